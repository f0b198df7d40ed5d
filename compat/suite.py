"""Behaviours: what a broker promises, each written once and run with every client.

    @behaviour(
        "Messages sent by a producer to a particular topic partition will be appended in the order "
        "they are sent.",
        needs="produce consume",
    )
    def order_within_a_partition(case: Case) -> None: ...

The first argument is the promise in Kafka's words. ``needs`` names capabilities of PROTOCOL.md that
the client must offer (``read`` is either of ``consume`` and ``groups``), ``apis`` what the broker
must advertise, ``brokers`` how many there must be, ``control`` that they can be killed and started
again.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from compat.case import Case


@dataclass(frozen=True)
class Behaviour:
    family: str
    name: str
    promise: str
    check: Callable[[Case], None]
    needs: frozenset[str] = field(default_factory=frozenset)
    apis: tuple[str, ...] = ()
    brokers: int = 1
    control: bool = False
    clients: tuple[str, ...] | None = None
    seconds: float = 180.0

    @property
    def full_name(self) -> str:
        return f"{self.family}/{self.name}"

    @property
    def is_exclusive(self) -> bool:
        """Whether it strikes brokers, and so cannot share the cluster."""
        return self.control


_REGISTRY: dict[str, Behaviour] = {}


def behaviour(
    promise: str,
    *,
    needs: str = "",
    apis: tuple[str, ...] = (),
    brokers: int = 1,
    control: bool = False,
    clients: tuple[str, ...] | None = None,
    seconds: float = 180.0,
) -> Callable[[Callable[[Case], None]], Callable[[Case], None]]:
    """``clients`` limits it to some; ``seconds`` is when a run that hangs is given up."""

    def register(check: Callable[[Case], None]) -> Callable[[Case], None]:
        one = Behaviour(
            family=check.__module__.rpartition(".")[2],
            name=check.__name__.replace("_", " "),
            promise=" ".join(promise.split()),
            check=check,
            needs=frozenset(needs.split()),
            apis=apis,
            brokers=brokers,
            control=control,
            clients=clients,
            seconds=seconds,
        )
        if one.full_name in _REGISTRY:
            raise ValueError(f"two behaviours named {one.full_name}")
        _REGISTRY[one.full_name] = one
        return check

    return register


def all_behaviours() -> list[Behaviour]:
    """Every behaviour of ``compat.behaviours``, in the order of the files and within them."""
    from compat import behaviours

    for module in pkgutil.iter_modules(behaviours.__path__):
        importlib.import_module(f"compat.behaviours.{module.name}")
    return list(_REGISTRY.values())


class Unavailable(Exception):
    """This combination cannot be run, for a reason that is nobody's failure."""


def same(what: str, got: object, want: object) -> None:
    """Raises AssertionError with both."""
    if got != want:
        raise AssertionError(f"{what}: {_short(got)}, expected {_short(want)}")


def holds(what: str, condition: bool, got: object = None) -> None:
    if not condition:
        raise AssertionError(f"{what}" + ("" if got is None else f": {_short(got)}"))


def _short(value: object, most: int = 400) -> str:
    text = repr(value)
    return text if len(text) <= most else text[:most] + " ..."
