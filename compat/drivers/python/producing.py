"""A producer's handle: what is the same whichever client sends."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compat.drivers.python.service import Handle
from compat.drivers.python.words import Json, bad_command, decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MOST_UNANSWERED = 10_000
"""Records of ``producer.fill`` that are under way at a time."""


@dataclass(frozen=True)
class Outgoing:
    topic: str
    partition: int | None = None
    key: bytes | None = None
    value: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()
    timestamp: int | None = None

    @classmethod
    def read(cls, line: Json) -> Outgoing:
        try:
            return cls(
                topic=line["topic"],
                partition=line.get("partition"),
                key=decode(line.get("key")),
                value=decode(line.get("value")),
                headers=[(name, decode(value)) for name, value in line.get("headers") or ()],
                timestamp=line.get("timestamp"),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise bad_command(f"not a record: {line!r}") from error


@dataclass(frozen=True)
class Landed:
    """Where a record is; ``offset`` is -1 where no broker said."""

    partition: int
    offset: int
    timestamp: int | None = None

    def line(self) -> Json:
        return {"partition": self.partition, "offset": self.offset, "timestamp": self.timestamp}


class Tally:
    """The result of ``producer.fill``."""

    def __init__(self) -> None:
        self.acked = self.failed = 0
        self.errors: dict[str, int] = {}
        self.offsets: dict[str, list[int]] = {}
        self._began = time.monotonic()

    def succeeded(self, landed: Landed) -> None:
        self.acked += 1
        offset = landed.offset
        span = self.offsets.setdefault(str(landed.partition), [offset, offset])
        span[0], span[1] = min(span[0], offset), max(span[1], offset)

    def refused(self, code: str) -> None:
        self.failed += 1
        self.errors[code] = self.errors.get(code, 0) + 1

    def result(self) -> Json:
        return {
            "acked": self.acked,
            "failed": self.failed,
            "errors": self.errors,
            "offsets": self.offsets,
            "elapsed_ms": (time.monotonic() - self._began) * 1000,
        }


def fill_records(
    topic: str, count: int, size: int, prefix: str, partition: int | None, keys: int | None
) -> Iterator[Outgoing]:
    for number in range(count):
        key = f"k{number % keys}".encode() if keys else None
        value = f"{prefix}-{number}".encode().ljust(size, b".")
        yield Outgoing(topic, partition, key, value)


class SendingProducer(Handle):
    """Subclasses have ``start``, which hands a record to the client."""

    def start(self, record: Outgoing) -> Callable[[], Landed]:
        """What waits for the answer. Either may raise what the client reports."""
        raise NotImplementedError

    def send(self, records: list[Json], each: bool = False) -> Json:
        outgoing = [Outgoing.read(line) for line in records]
        if each:
            return {"sent": [self._answer(self._started(record)) for record in outgoing]}
        return {"sent": [self._answer(w) for w in [self._started(record) for record in outgoing]]}

    def fill(
        self,
        topic: str,
        count: int,
        size: int,
        prefix: str,
        partition: int | None = None,
        keys: int | None = None,
    ) -> Json:
        tally = Tally()
        unanswered: deque[Callable[[], Landed]] = deque()

        def settle(most: int) -> None:
            while len(unanswered) > most:
                try:
                    tally.succeeded(unanswered.popleft()())
                except Exception as error:
                    tally.refused(self.explained(error).code)

        for record in fill_records(topic, count, size, prefix, partition, keys):
            unanswered.append(self._started(record))
            settle(MOST_UNANSWERED)
        settle(0)
        return tally.result()

    def _started(self, record: Outgoing) -> Callable[[], Landed]:
        try:
            return self.start(record)
        except Exception as error:
            refusal = self.explained(error)

        def refused() -> Landed:
            raise refusal

        return refused

    def _answer(self, wait: Callable[[], Landed]) -> Json:
        try:
            return wait().line()
        except Exception as error:
            return {"error": self.explained(error).line}
