"""The checks, by name."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from compat.tools.runner import Tools

MODULES = ("topics", "records", "groups", "moving", "cluster", "files")


@dataclass(frozen=True)
class Check:
    name: str
    promise: str
    run: Callable[[str, Path, Tools], None]
    """``(bootstrap servers, a directory of its own, the tools)``."""
    brokers: int = 1
    """How many it needs at least."""
    needs_data: bool = False
    """Whether it reads the brokers' files: ``Tools.data_directories``."""

    def applies(self, tools: Tools, brokers: int) -> bool:
        return brokers >= self.brokers and (bool(tools.data_directories) or not self.needs_data)


_CHECKS: dict[str, Check] = {}


def check(
    name: str, promise: str, *, brokers: int = 1, needs_data: bool = False
) -> Callable[[Callable[[str, Path, Tools], None]], Callable[[str, Path, Tools], None]]:
    def register(
        function: Callable[[str, Path, Tools], None],
    ) -> Callable[[str, Path, Tools], None]:
        assert name not in _CHECKS, name
        _CHECKS[name] = Check(name, promise, function, brokers, needs_data)
        return function

    return register


def checks() -> list[Check]:
    """All of them, those of one tool together."""
    for module in MODULES:
        importlib.import_module(f"compat.tools.{module}")
    return list(_CHECKS.values())
