"""kcat -C and kcat -G: processes that write what they read as lines of JSON."""

from __future__ import annotations

import json
import queue
import re
import threading
import time
from typing import TYPE_CHECKING, Any

from compat.drivers.python.buffer import Fetched, one_of
from compat.drivers.python.consuming import PollingConsumer
from compat.drivers.python.kcat_words import ask, end, error_of, has_ended, properties, start
from compat.drivers.python.librdkafka_settings import consumer_settings
from compat.drivers.python.words import (
    CommandError,
    Json,
    Partition,
    encode,
    name_of,
    pairs,
    unsupported,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_REBALANCED = (
    re.compile(
        r"% Group .* rebalanced \(memberid (?P<member>.*?)\): "
        r"(?P<what>assigned|revoked): ?(?P<named>.*)"
    ),
    re.compile(
        r"% Group .* rebalanced: incremental (?P<what>assignment|revoke) of \d+ partition\(s\) "
        r"\(memberid (?P<member>.*?), .*? rebalance protocol\): ?(?P<named>.*)"
    ),
)
_PARTITION = re.compile(r"(\S+) \[(\d+)\]")
_OFFSET = re.compile(r"(\S+) \[(\d+)\] offset (-?\d+)(?:: (.*))?")


class Reading:
    """One process, and the threads that hand on what it writes until it is ended."""

    def __init__(self, arguments: list[str], arrived: queue.Queue[Callable[[], None]]) -> None:
        self._process = start([*arguments, "-J", "-u"])
        self._arrived = arrived
        self.is_wanted = True
        self._said = "kcat ended without a word"

    def follow(self, take: Callable[[Json], None], hear: Callable[[str], None]) -> None:
        """``take`` gets each record, ``hear`` each line for a person, and what it ended with."""
        self._take, self._hear = take, hear
        for work in (self._read_records, self._read_words):
            threading.Thread(target=work, daemon=True).start()

    def end(self) -> None:
        self.is_wanted = False
        end(self._process)

    def _hand_on(self, work: Callable[[], None]) -> None:
        while self.is_wanted:
            try:
                self._arrived.put(lambda: work() if self.is_wanted else None, timeout=0.1)
                return
            except queue.Full:
                continue

    def _read_records(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if self.is_wanted:
                record = json.loads(line.decode("utf-8", "surrogateescape"))
                self._hand_on(lambda record=record: self._take(record))  # type: ignore[misc]

    def _read_words(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            text = line.decode(errors="replace").rstrip()
            if text.startswith("%"):
                self._said = text
                self._hand_on(lambda text=text: self._hear(text))  # type: ignore[misc]
        self._process.wait()
        has_ended(self._process)
        self._hand_on(lambda: self._hear(f"% ENDED {self._said}"))


class Consumer(PollingConsumer):
    """It is told where to begin when it starts: a seek is a new start.

    Each partition that is assigned by hand has a process, for that is how it takes one.
    """

    def __init__(
        self,
        config: Json,
        topics: list[str] | None = None,
        pattern: str | None = None,
        assign: list[Json] | None = None,
    ) -> None:
        one_of(topics, pattern, assign)
        settings = consumer_settings(config)
        super().__init__(auto_commit=settings.get("enable.auto.commit", True))
        self._bootstrap = ["-b", settings.pop("bootstrap.servers")]
        self._arrived: queue.Queue[Callable[[], None]] = queue.Queue(1000)
        self._assigned: set[Partition] = set()
        self._member_id = ""
        self._by_hand: dict[Partition, Reading] = {}
        self._in_group: Reading | None = None
        self._is_holding = False
        if assign is not None:
            self._properties = properties(settings)
            offsets = [_where(one.get("offset", "committed")) for one in assign]
            for at, offset in zip(pairs(assign), offsets, strict=True):
                self._begin(at, offset)
            self._assigned = set(self._by_hand)
            return
        group = settings.pop("group.id", None)
        if group is None:
            raise unsupported("a subscription without a group")
        names = topics or [pattern if pattern and pattern.startswith("^") else f"^{pattern}"]
        arguments = [*self._bootstrap, "-G", group, *properties(settings), *names]
        self._in_group = Reading(arguments, self._arrived)
        self._in_group.follow(self._take, self._hear)

    def _begin(self, at: Partition, offset: str) -> None:
        topic, partition = at
        arguments = [*self._bootstrap, "-C", "-t", topic, "-p", str(partition), "-o", offset]
        reading = Reading([*arguments, *self._properties], self._arrived)
        reading.follow(self._take, self._hear)
        self._by_hand[at] = reading

    def _take(self, record: Json) -> None:
        size = len(_bytes(record["payload"]) or b"")
        at = record["topic"], record["partition"]
        self.buffer.add([Fetched(*at, record["offset"], None, size, record)])

    def _hear(self, text: str) -> None:
        rebalanced = next(filter(None, (one.match(text) for one in _REBALANCED)), None)
        if rebalanced is not None:
            self._member_id = rebalanced["member"]
            named = [(topic, int(p)) for topic, p in _PARTITION.findall(rebalanced["named"])]
            if rebalanced["what"].startswith("assign"):
                self._assigned |= set(named)
                self.assigned(named)
            else:
                self._assigned -= set(named)
                self.revoked(named)
        elif text.startswith("% ENDED"):
            error = error_of(text)
            raise CommandError(error.code, text, number=error.line["number"], fatal=True)
        elif text.startswith("% ERROR"):
            raise error_of(text)

    # What the base asks

    empty_poll_is_success = False

    @staticmethod
    def explain(error: Exception) -> CommandError:
        return CommandError("CLIENT", f"{type(error).__name__}: {error}")

    def poll_client(self, seconds: float) -> bool:
        if self._is_holding:
            time.sleep(seconds)
            return False
        before = len(self.buffer)
        try:
            self._arrived.get(timeout=seconds)()
            while True:
                self._arrived.get_nowait()()
        except queue.Empty:
            return len(self.buffer) > before

    def assignment(self) -> set[Partition]:
        return set(self._assigned)

    def membership(self) -> Json:
        return {"member_id": self._member_id}

    def pause_client(self, partitions: set[Partition]) -> None:
        """Reads no more of what it writes, until it can write no more."""
        self._is_holding = True

    def resume_client(self, partitions: set[Partition]) -> None:
        self._is_holding = False

    def line(self, one: Fetched) -> Json:
        record = one.record
        headers = record.get("headers") or []
        told: Json = {
            "topic": one.topic,
            "partition": one.partition,
            "offset": one.offset,
            "key": encode(_bytes(record["key"])),
            "value": encode(_bytes(record["payload"])),
            "headers": [
                [name, encode(_bytes(value))]
                for name, value in zip(headers[::2], headers[1::2], strict=True)
            ],
            "timestamp": record["ts"],
        }
        kinds = {"create": "create", "logappend": "append"}
        kind = kinds.get(record["tstype"])
        return told | ({} if kind is None else {"timestamp_type": kind})

    # Commands

    def seek(self, partition: Json, offset: int | str) -> Json:
        (at,) = pairs([partition])
        if at not in self._by_hand:
            raise unsupported("seeking what was not assigned by hand")
        where = _where(offset)
        self._by_hand[at].end()
        self.buffer.drop([at])
        self._begin(at, where)
        return {}

    def offsets(self, partitions: list[Json], at: int | str) -> Json:
        named = {"earliest": -2, "latest": -1}
        time_ms = named[at] if isinstance(at, str) else at
        arguments = [*self._bootstrap, "-Q"]
        for topic, partition in pairs(partitions):
            arguments += ["-t", f"{topic}:{partition}:{time_ms}"]
        offsets: Json = {}
        for topic, number, offset, error in _OFFSET.findall(ask(arguments)):
            if error:
                raise error_of(error)
            found = {"offset": int(offset), "timestamp": None} if int(offset) >= 0 else None
            offsets[name_of(topic, int(number))] = found
        return {"offsets": offsets}

    def close(self) -> Json:
        for reading in [*self._by_hand.values(), *([self._in_group] if self._in_group else [])]:
            reading.end()
        return {}


def _where(offset: int | str) -> str:
    if offset == "committed":
        raise unsupported("beginning at a committed offset outside a group")
    return {"earliest": "beginning", "latest": "end"}.get(str(offset), str(offset))


def _bytes(text: Any) -> bytes | None:
    return None if text is None else text.encode("utf-8", "surrogateescape")
