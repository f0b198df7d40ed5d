# make run: a broker on 127.0.0.1:9092.   make test: everything that must hold.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
ARGS ?=

.PHONY: setup run bench-start test check lint types imports unit lock clean

setup: $(STAMP)

$(STAMP): requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -m compileall -q pykbroker wire
	touch $(STAMP)

run: setup
	$(BIN)/pykbroker serve $(ARGS)

bench-start: setup
	$(BIN)/python -m compileall -q pykbroker wire
	$(BIN)/python tests/bench/start_up.py $(ARGS)

test: check unit

check: lint types imports

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

unit: setup
	$(BIN)/python -m pytest $(ARGS)

# Needs uv. Versions and hashes only: no index or download address is written.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --group dev pyproject.toml -o requirements/dev.txt

clean:
	rm -rf $(VENV) build dist
