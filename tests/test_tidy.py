"""The house rules that a linter does not know: sizes, and who may wait."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("wire", "pykbroker", "compat", "grafana")
SOURCES = sorted(p for room in ROOMS for p in (ROOT / room).rglob("*.py"))
MODULE_LINES = 800
FUNCTION_LINES = 70
SYNCHRONOUS = ("wire", "pykbroker/state", "pykbroker/config")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_module_is_small_and_says_what_it_is_for(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MODULE_LINES
    assert ast.get_docstring(ast.parse(text)), "no docstring"


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_function_is_one_reading(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= FUNCTION_LINES, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_state_does_not_wait(path: Path) -> None:
    if not name(path).startswith(SYNCHRONOUS):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await), f"line {node.lineno}"
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = {a.name for a in node.names} | {getattr(node, "module", None)}
            assert not modules & {"anyio", "asyncio", "time", "socket", "threading", "random"}
