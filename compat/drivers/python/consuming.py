"""A consumer's handle: a poll in the background, and commands between polls."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from compat.drivers.python.buffer import MOST_HELD, Buffer, Fetched, Next, Summary, read_offsets
from compat.drivers.python.service import Handle
from compat.drivers.python.words import Json, Partition, lines, pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BLOCK_SECONDS = 0.05
"""How long a poll keeps the next command waiting."""


class PollingConsumer(Handle):
    """A consumer whose poll is called by its handle's thread while no command is done.

    Subclasses have what their client does; listeners call ``assigned``, ``revoked`` and ``lost``.
    """

    empty_poll_is_success = True
    """Whether a poll that brings nothing says that the last error is over."""

    def __init__(self, *, auto_commit: bool) -> None:
        self.buffer = Buffer()
        self._auto_commit = auto_commit
        self._paused: set[Partition] = set()
        self._held: set[Partition] = set()
        self._is_over = False

    def poll_client(self, seconds: float) -> bool:
        """Puts what comes in the buffer, at once, for a listener may be called next.

        Whether anything came. Raises what the client raises.
        """
        raise NotImplementedError

    def assignment(self) -> set[Partition]:
        raise NotImplementedError

    def pause_client(self, partitions: set[Partition]) -> None:
        raise NotImplementedError

    def resume_client(self, partitions: set[Partition]) -> None:
        raise NotImplementedError

    def line(self, one: Fetched) -> Json:
        raise NotImplementedError

    def membership(self) -> Json:
        """``generation`` and ``member_id``, where the client lets them be known."""
        return {}

    # What listeners say

    def assigned(self, partitions: Iterable[Partition]) -> None:
        self._happened("assigned", partitions)

    def revoked(self, partitions: Iterable[Partition], event: str = "revoked") -> None:
        gone = set(partitions)
        if not gone:
            return  # some clients revoke nothing when they first join
        if self._auto_commit:
            self.buffer.disown(gone)
        else:
            self.buffer.drop(gone)
        self._paused -= gone
        self._held -= gone
        self._happened(event, gone)

    def lost(self, partitions: Iterable[Partition]) -> None:
        self.revoked(partitions, "lost")

    def _happened(self, event: str, partitions: Iterable[Partition]) -> None:
        self.buffer.happened({"event": event, "partitions": lines(partitions)} | self.membership())

    # Polling

    @property
    def idle_seconds(self) -> float | None:  # type: ignore[override]
        return None if self._is_over else 0.0

    def idle(self) -> None:
        self._poll(BLOCK_SECONDS)

    def _poll(self, seconds: float, most: int = MOST_HELD) -> None:
        if self._is_over:
            time.sleep(seconds)
            return
        try:
            self._hold_or_release(most)
            has_come = self.poll_client(seconds)
        except Exception as error:
            explained = self.explained(error)
            self.buffer.report(explained)
            self._is_over = explained.fatal
            time.sleep(BLOCK_SECONDS)  # an error that stays is not asked for without a pause
            return
        if has_come or self.empty_poll_is_success:
            self.buffer.succeeded()

    def _hold_or_release(self, most: int) -> None:
        """Stops fetching while much is held; polling goes on, for not polling ends membership."""
        held = len(self.buffer)
        if held >= most:
            more = self.assignment() - self._paused - self._held
            if more:
                self.pause_client(more)
                self._held |= more
        elif self._held and held <= most // 2:
            self.resume_client(self._held & self.assignment())
            self._held.clear()

    def _until(self, done: Callable[[], bool], timeout_ms: float, most: int = MOST_HELD) -> None:
        deadline = time.monotonic() + timeout_ms / 1000
        while not done() and (left := deadline - time.monotonic()) > 0:
            self._poll(min(BLOCK_SECONDS, left), most)

    # Commands

    def take(self, count: int, timeout_ms: float) -> Json:
        most = max(MOST_HELD, 2 * count)
        self._until(lambda: len(self.buffer) >= count, timeout_ms, most)
        return {"records": [self.line(one) for one in self.buffer.take(count)]}

    def drain(self, count: int, timeout_ms: float) -> Json:
        summary = Summary()

        def is_enough() -> bool:
            for one in self.buffer.take(count - summary.count):
                summary.add(one)
            return summary.count >= count

        self._until(is_enough, timeout_ms)
        is_enough()
        return summary.result()

    def events(self, timeout_ms: float = 0, wait_for: str | None = None) -> Json:
        if wait_for is not None:
            self._until(lambda: self.buffer.has_event(wait_for), timeout_ms)
        return {"events": self.buffer.take_events(), "assignment": lines(self.assignment())}


class SteeredConsumer(PollingConsumer):
    """One that can be told where to read, and what to commit."""

    def seek_client(self, at: Partition, offset: int | str) -> None:
        raise NotImplementedError

    def commit_client(self, offsets: dict[Partition, Next]) -> None:
        raise NotImplementedError

    def commit(self, offsets: Json | None = None) -> Json:
        chosen = self.buffer.taken() if offsets is None else read_offsets(offsets)
        if chosen:
            self.commit_client(chosen)
        return {}

    def seek(self, partition: Json, offset: int | str) -> Json:
        (at,) = pairs([partition])
        self.seek_client(at, offset)
        self.buffer.drop([at])
        return {}

    def pause(self, partitions: list[Json]) -> Json:
        chosen = set(pairs(partitions))
        self.pause_client(chosen)
        self._paused |= chosen
        self._held -= chosen
        return {}

    def resume(self, partitions: list[Json]) -> Json:
        chosen = set(pairs(partitions))
        self.resume_client(chosen)
        self._paused -= chosen
        return {}
