"""The Python drivers' half of the lines: commands to handles, polls to records that wait."""

from __future__ import annotations

import json
import sys
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from compat.driver import Driver
from compat.drivers.python.buffer import MOST_HELD, Fetched, Next
from compat.drivers.python.consuming import SteeredConsumer
from compat.drivers.python.words import OPS, CommandError
from tests.compat.driver_contract import code_of
from tests.support.process import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compat.drivers.python.words import Json, Partition

COMMAND = [sys.executable, str(Path(__file__).with_name("a_python_driver.py"))]
AT = ("t", 0)


@pytest.fixture
def driver() -> Iterator[Driver]:
    with closing(Driver("plain", COMMAND, {"PYTHONPATH": str(ROOT)})) as one:
        yield one


def open_producer(driver: Driver, handle: str = "p", **config: Any) -> None:
    driver.call("producer.open", handle=handle, config=config)


def test_what_a_command_may_be(driver: Driver) -> None:
    open_producer(driver)
    wrong: list[Json] = [
        {"op": "nonsense"},
        {"op": "producer.explode", "handle": "p"},
        {"op": "producer.idle", "handle": "p"},
        {"op": "producer.send", "handle": "p"},
        {"op": "producer.send", "handle": "p", "records": [], "colour": "red"},
        {"op": "producer.send", "handle": "q", "records": []},
        {"op": "producer.send", "records": []},
        {"op": "producer.open", "handle": "p", "config": {}},
    ]
    for command in wrong:
        fields = {k: v for k, v in command.items() if k != "op"}
        assert code_of(lambda: driver.call(command["op"], **fields)) == "BAD_COMMAND", command  # noqa: B023
    for op in ("producer.flush", "consumer.open", "admin.list_topics"):
        assert code_of(lambda: driver.call(op, handle="p")) == "UNSUPPORTED", op  # noqa: B023
    assert driver.call("producer.send", handle="p", records=[{}]) == {"sent": [1]}


def test_a_line_that_is_no_command_is_answered(driver: Driver) -> None:
    driver.hello()
    process = driver._process
    assert process.stdin is not None
    future: Future[Json] = Future()
    driver._waiting[77] = future
    process.stdin.write(b'{not json\n[1]\n{"id": 77, "op": 5}\n')
    process.stdin.flush()
    assert future.result(60)["error"]["code"] == "BAD_COMMAND"


def test_handles_do_not_wait_for_each_other(driver: Driver) -> None:
    open_producer(driver, "slow", slow=1)
    open_producer(driver, "quick")
    slow = [driver.begin("producer.send", handle="slow", records=[{}]) for _ in range(2)]
    assert driver.call("producer.send", handle="quick", records=[{}]) == {"sent": [1]}
    assert not slow[1].done()
    assert [one.result(60)["result"]["sent"] for one in slow] == [[1], [2]]


def test_a_handle_may_be_opened_again_while_it_closes(driver: Driver) -> None:
    open_producer(driver, slow=1)
    closing_it = driver.begin("producer.close", handle="p")
    assert code_of(lambda: driver.call("producer.send", handle="p", records=[])) == "BAD_COMMAND"
    open_producer(driver)
    assert closing_it.done()
    assert driver.call("producer.send", handle="p", records=[{}]) == {"sent": [1]}


def test_a_handle_that_could_not_be_opened(driver: Driver) -> None:
    assert code_of(lambda: open_producer(driver, fails=True)) == "CLIENT"
    assert code_of(lambda: driver.call("producer.send", handle="p", records=[])) == "BAD_COMMAND"
    open_producer(driver)
    assert driver.call("producer.send", handle="p", records=[{}]) == {"sent": [1]}


def test_the_end_of_input_is_the_end(driver: Driver) -> None:
    open_producer(driver, slow=600)
    driver.begin("producer.send", handle="p", records=[{}])
    process = driver._process
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(60) == 0


def test_the_ops_are_those_of_the_protocol() -> None:
    text = (ROOT / "compat/PROTOCOL.md").read_text()
    named = {
        op.split()[0].strip("`,")
        for line in text.splitlines()
        if line.startswith("| `")
        for op in line.split("|")[1].split(", ")
    }
    assert named >= {f"{kind}.{op}" for kind, ops in OPS.items() for op in ops}
    assert {n for n in named if n.partition(".")[0] in OPS} <= {
        f"{kind}.{op}" for kind, ops in OPS.items() for op in ops
    }


class Plain(SteeredConsumer):
    """A client whose every poll is written down beforehand."""

    def __init__(self, *, auto_commit: bool = False) -> None:
        super().__init__(auto_commit=auto_commit)
        self.next: list[list[Fetched] | Exception] = []
        self.committed: list[dict[Partition, Next]] = []
        self.is_paused: set[Partition] = set()
        self.polls = 0

    @staticmethod
    def explain(error: Exception) -> CommandError:
        return CommandError("CLIENT", str(error), fatal=str(error) == "fatal")

    def poll_client(self, seconds: float) -> bool:
        self.polls += 1
        polled = self.next.pop(0) if self.next else []
        if isinstance(polled, Exception):
            raise polled
        self.buffer.add(polled)
        return bool(polled)

    def line(self, one: Fetched) -> Json:
        return {"offset": one.offset}

    def assignment(self) -> set[Partition]:
        return {AT, ("t", 1)}

    def pause_client(self, partitions: set[Partition]) -> None:
        self.is_paused |= partitions

    def resume_client(self, partitions: set[Partition]) -> None:
        self.is_paused -= partitions

    def seek_client(self, at: Partition, offset: int | str) -> None:
        return

    def commit_client(self, offsets: dict[Partition, Next]) -> None:
        self.committed.append(offsets)


def some(count: int, partition: int = 0, first: int = 0) -> list[Fetched]:
    return [Fetched("t", partition, first + n, 5, 1, None) for n in range(count)]


def offsets(answer: Json) -> list[int]:
    return [one["offset"] for one in answer["records"]]


def test_null_commits_what_was_taken() -> None:
    consumer = Plain()
    consumer.commit()
    consumer.next = [some(5)]
    assert offsets(consumer.take(2, 60_000)) == [0, 1]
    consumer.commit()
    assert consumer.committed == [{AT: Next(2, 5)}]
    assert consumer.buffer.next_offset(AT) == 2
    consumer.seek({"topic": "t", "partition": 0}, 0)
    consumer.commit()
    assert len(consumer.committed) == 1
    assert consumer.take(1, 0) == {"records": []}


@pytest.mark.parametrize("auto_commit", [False, True])
def test_what_is_revoked(auto_commit: bool) -> None:
    consumer = Plain(auto_commit=auto_commit)
    consumer.next = [some(3) + some(1, partition=1)]
    assert offsets(consumer.take(1, 60_000)) == [0]
    consumer.revoked([AT])
    left = offsets(consumer.take(3, 60 if auto_commit else 0))
    assert left == ([1, 2, 0] if auto_commit else [0])
    consumer.commit()
    assert consumer.committed == [{("t", 1): Next(1, 5)}]
    events = consumer.events()["events"]
    assert events == [{"event": "revoked", "partitions": [{"topic": "t", "partition": 0}]}]


def test_nothing_revoked_is_no_event() -> None:
    consumer = Plain()
    consumer.revoked([])
    consumer.lost([])
    consumer.assigned([])
    assert [e["event"] for e in consumer.events()["events"]] == ["assigned"]


def test_an_error_that_stays_is_one_event() -> None:
    consumer = Plain()
    gone, other = RuntimeError("gone"), RuntimeError("other")
    consumer.next = [gone, gone, other, [], other]
    for _ in range(5):
        consumer.idle()
    told = [e["error"]["message"] for e in consumer.events()["events"]]
    assert told == ["gone", "other", "other"]


def test_after_a_fatal_error_it_polls_no_more() -> None:
    consumer = Plain()
    consumer.next = [RuntimeError("fatal"), some(1)]
    consumer.idle()
    assert consumer.idle_seconds is None
    assert consumer.take(1, 100) == {"records": []}
    assert consumer.polls == 1
    (event,) = consumer.events()["events"]
    assert event["error"]["fatal"]


def test_it_holds_only_so_much() -> None:
    consumer = Plain()
    consumer.pause([{"topic": "t", "partition": 1}])
    consumer.next = [some(MOST_HELD)]
    consumer.idle()
    consumer.idle()
    assert consumer.is_paused == {AT, ("t", 1)}
    assert consumer.drain(MOST_HELD // 2, 0)["count"] == MOST_HELD // 2
    consumer.idle()
    assert consumer.is_paused == {("t", 1)}, "what was paused by a command stays so"
    consumer.next = [some(MOST_HELD, first=MOST_HELD), some(MOST_HELD, first=2 * MOST_HELD)]
    wanted = MOST_HELD // 2 + 2 * MOST_HELD
    assert len(consumer.take(wanted, 60_000)["records"]) == wanted, "as much as is asked for"


def test_a_drain_sums_up() -> None:
    consumer = Plain()
    consumer.next = [some(2) + some(1, first=1), some(2, partition=1, first=7)]
    summary = consumer.drain(5, 60_000)
    del summary["elapsed_ms"]
    assert summary == {
        "count": 5,
        "bytes": 5,
        "in_order": False,
        "partitions": {
            "t-0": {"first": 0, "last": 1, "count": 3},
            "t-1": {"first": 7, "last": 8, "count": 2},
        },
    }
    assert json.dumps(summary)
