"""Cases: what is asked of both sides, by name."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compat.differential.talk import common_versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from compat.differential.talk import Side, Talk


@dataclass(frozen=True)
class Case:
    """``run(talk, version)``: the same steps for every broker; what differs is what it answers."""

    name: str
    run: Callable[[Talk, int], None]
    api: str
    """Runs once for every version of it that both speak; "" runs once, with version -1."""
    alone: bool
    """Whether it changes what other cases could see: settings of the broker, quotas."""
    brokers: int
    """1: for clusters of one, where everything is with one broker; else so many at least."""
    versions: Callable[[int], bool] | None


@dataclass(frozen=True)
class Instance:
    case: Case
    version: int

    @property
    def name(self) -> str:
        return self.case.name if self.version < 0 else f"{self.case.name} v{self.version}"


_CASES: dict[str, Case] = {}


def case(
    name: str,
    *,
    api: str = "",
    alone: bool = False,
    brokers: int = 1,
    versions: Callable[[int], bool] | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a case ``f(talk)``, or ``f(talk, version)`` where ``api`` is given."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        def run(talk: Talk, version: int) -> None:
            if api:
                function(talk, version)
            else:
                function(talk)

        add(Case(name, run, api, alone, brokers, versions))
        return function

    return register


def add(one: Case) -> None:
    if one.name in _CASES:
        raise ValueError(f"two cases are called {one.name}")
    _CASES[one.name] = one


def all_cases() -> list[Case]:
    """Of every module in ``cases``, by name."""
    package: Any = importlib.import_module("compat.differential.cases")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return [_CASES[name] for name in sorted(_CASES)]


def instances(cases: list[Case], sides: list[Side]) -> Iterator[Instance]:
    """Every case with each version it runs with on these sides."""
    for one in cases:
        if not all(
            one.brokers == 1 == len(s.nodes) or 1 < one.brokers <= len(s.nodes) for s in sides
        ):
            continue
        if not one.api:
            yield Instance(one, -1)
            continue
        for version in common_versions(one.api, sides):
            if one.versions is None or one.versions(version):
                yield Instance(one, version)
