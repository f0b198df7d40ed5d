"""kcat -P: a process for the records that go together, between delimiters that nobody has."""

from __future__ import annotations

import itertools
import re
import secrets
import threading
from typing import IO, TYPE_CHECKING, Any

from compat.drivers.python.kcat_words import (
    argument,
    error_of,
    has_ended,
    last_words,
    properties,
    start,
)
from compat.drivers.python.librdkafka_settings import producer_settings
from compat.drivers.python.producing import Landed, Outgoing, Tally, fill_records
from compat.drivers.python.service import Handle
from compat.drivers.python.words import CommandError, Json, unsupported

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ALONE_BYTES = 100_000
"""From here a record has a process of its own: kcat ends at once when one is too large to send."""

_DELIVERED = re.compile(r"% Message delivered to partition (\d+) \(offset (-?\d+)\)")
_FAILED = re.compile(r"% Delivery failed for message: (.*)")


class Producer(Handle):
    def __init__(self, config: Json) -> None:
        settings = producer_settings(config)
        bootstrap = settings.pop("bootstrap.servers")
        self._arguments = ["-b", bootstrap, "-P", "-E", "-vvv", *properties(settings)]

    @staticmethod
    def explain(error: Exception) -> CommandError:
        return CommandError("CLIENT", f"{type(error).__name__}: {error}")

    def send(self, records: list[Json], each: bool = False) -> Json:
        outgoing = [Outgoing.read(line) for line in records]
        sent: list[Json] = []
        for _, numbered in itertools.groupby(enumerate(outgoing), _alone if each else _alike):
            together = [record for _, record in numbered]
            try:
                answers = list(self._run(together))
            except CommandError as error:
                answers = [error] * len(together)
            sent += [a.line() if isinstance(a, Landed) else {"error": a.line} for a in answers]
        return {"sent": sent}

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
        records = list(fill_records(topic, count, size, prefix, partition, keys))
        if records:
            for answer in self._run(records):
                if isinstance(answer, Landed):
                    tally.succeeded(answer)
                else:
                    tally.refused(answer.code)
        return tally.result()

    def flush(self) -> Json:
        return {}  # each process ends with what it was given sent

    def _run(self, records: list[Outgoing]) -> Iterator[Landed | CommandError]:
        """An answer for each, as kcat gives them; what it did not come to has its last word."""
        first = records[0]
        key_delimiter, delimiter = (secrets.token_hex(8) for _ in range(2))
        arguments: list[str | bytes] = [*self._arguments, "-t", first.topic]
        arguments += ["-K", key_delimiter, "-D", delimiter, *_shared(first)]
        process = start(arguments, reads=True)
        assert process.stdin is not None
        assert process.stderr is not None
        parts = _lines(records, key_delimiter.encode(), delimiter.encode())
        writer = threading.Thread(target=_write, args=(process.stdin, parts), daemon=True)
        writer.start()
        said: list[str] = []
        answered = 0
        for line in process.stderr:
            text = line.decode(errors="replace").rstrip()
            if found := _DELIVERED.match(text):
                answered += 1
                yield Landed(int(found[1]), max(-1, int(found[2])))
            elif found := _FAILED.match(text):
                answered += 1
                yield error_of(found[1])
            else:
                said.append(text)
        process.wait()
        has_ended(process)
        writer.join()
        for _ in range(len(records) - answered):
            yield error_of(last_words(said))


def _alone(numbered: tuple[int, Outgoing]) -> Any:
    return numbered[0]


def _alike(numbered: tuple[int, Outgoing]) -> Any:
    """Records with the same one are sent by one process.

    Its answers do not say which record they are for: those of one partition come in order.
    """
    number, record = numbered
    size = len(record.key or b"") + len(record.value or b"")
    if record.partition is None or size >= ALONE_BYTES:
        return number
    return (
        record.topic,
        record.partition,
        record.timestamp,
        tuple(record.headers),
        _emptiness(record),
    )


def _emptiness(record: Outgoing) -> str:
    """What an empty field of a record is: null, empty, both, or none where there is no such field.

    kcat takes all of a process for the one or the other. A null key is also what has no delimiter,
    but with a value alone.
    """
    fields = {record.value}
    if record.key is not None or not record.value:
        fields.add(record.key)
    kinds = {"null" if field is None else "empty" for field in fields if not field}
    return "both" if len(kinds) > 1 else kinds.pop() if kinds else "none"


def _shared(record: Outgoing) -> list[str | bytes]:
    """The arguments that hold for every record of a process."""
    if record.timestamp is not None:
        raise unsupported("a record's timestamp")
    arguments: list[str | bytes] = []
    if record.partition is not None:
        arguments += ["-p", str(record.partition)]
    emptiness = _emptiness(record)
    if emptiness == "both":
        raise unsupported("a null beside what is empty")
    if emptiness == "null":
        arguments.append("-Z")
    for name, value in record.headers:
        if not name or "=" in name:
            raise unsupported(f"a header named {name!r}")
        field = name.encode() if value is None else name.encode() + b"=" + value
        arguments += ["-H", argument(field, "a header")]
    return arguments


def _lines(records: Iterable[Outgoing], key_delimiter: bytes, delimiter: bytes) -> Iterator[bytes]:
    for record in records:
        value = record.value or b""
        if record.key is None and value:
            yield value + delimiter
        else:
            yield (record.key or b"") + key_delimiter + value + delimiter


def _write(stream: IO[bytes], parts: Iterable[bytes]) -> None:
    try:
        for part in parts:
            stream.write(part)
        stream.close()
    except BrokenPipeError:
        return  # it ended, and says why
