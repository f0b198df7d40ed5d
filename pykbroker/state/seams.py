"""What state is handed from outside: randomness, and what a metadata store said.

``ports`` offers the same names to everybody above.
"""

from __future__ import annotations

from wire.tuples import NamedTuple, Protocol


class Random(Protocol):
    """Seeded in simulations. ``random.Random`` fits."""

    def random(self) -> float: ...

    def randrange(self, stop: int, /) -> int: ...

    def randbytes(self, n: int, /) -> bytes: ...


class KeyValue(NamedTuple):
    key: str
    value: bytes
    create_revision: int
    mod_revision: int


class StoreEvent(NamedTuple):
    """``value`` is None for a deletion."""

    key: str
    value: bytes | None
    create_revision: int
    mod_revision: int


class StoreUpdate(NamedTuple):
    """All events of one revision, in the order of their writing."""

    revision: int
    events: tuple[StoreEvent, ...]


class StoreSnapshot(NamedTuple):
    revision: int
    items: tuple[KeyValue, ...]
