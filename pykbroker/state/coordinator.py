"""What every coordinator has in common: it decides, then replays (see ``runtime.coordinator``).

A request is a decision: given state, request and time it returns records to append and replies to
give. Hard state, which the log holds, changes only in ``replay``; soft state, which a restart may
forget (who is joining, when a session ends), may change on the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from wire.tuples import NamedTuple, Protocol

if TYPE_CHECKING:
    from wire.schema import Record

Waiter: TypeAlias = Any
"""Whoever waits for an answer. State only hands it back, with the answer beside it."""


class RandomBytes(Protocol):
    """What of ``ports.Random`` state needs, for ids."""

    def randbytes(self, n: int, /) -> bytes: ...


class Instant(NamedTuple):
    """Deadlines count on the monotonic clock; wall time is for timestamps that are stored."""

    monotonic_ms: int
    wall_ms: int


class CoordinatorRecord(NamedTuple):
    """A value of None is a tombstone. ``version`` is the value's."""

    key: Record
    value: Record | None
    version: int = 0


class Reply(NamedTuple):
    waiter: Waiter
    response: Any


class Decision:
    """What the runtime must do, in this order: append the records as one batch and replay them;
    once the high watermark has passed them, give the replies."""

    __slots__ = ("assumed_by", "records", "replies")

    def __init__(
        self,
        records: list[CoordinatorRecord] | None = None,
        replies: list[Reply] | None = None,
        assumed_by: str | None = None,
    ) -> None:
        self.records = [] if records is None else records
        self.replies = [] if replies is None else replies
        self.assumed_by = assumed_by
        """Whose soft state already takes the records for granted. If they cannot be appended
        it must be brought back to the hard state with ``revert``."""

    def reply(self, waiter: Waiter, response: Any) -> None:
        self.replies.append(Reply(waiter, response))


class Shard(Protocol):
    """The state behind one partition of a coordinator's topic."""

    def replay(self, record: CoordinatorRecord, offset: int, producer_id: int) -> None: ...

    def replay_end_of_transaction(self, producer_id: int, committed: bool) -> None: ...

    def loaded(self, now: Instant) -> Decision:
        """Everything has been replayed; sessions and timeouts start now."""
        ...

    def revert(self, assumed_by: str, now: Instant) -> list[Waiter]:
        """Soft state goes back to the hard state; whoever was parked in it is returned."""
        ...

    def next_deadline(self) -> int | None:
        """When to call ``tick``, on the monotonic clock."""
        ...

    def tick(self, now: Instant) -> Decision: ...
