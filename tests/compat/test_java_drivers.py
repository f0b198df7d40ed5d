"""The drivers of the Java client do what PROTOCOL.md says, against a broker of ours."""

from __future__ import annotations

import json
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from compat.client import Consumer, Record
from compat.drivers import FAMILIES, Missing, build
from tests.compat.driver_contract import CONTRACT, Bench, code_of
from tests.support.process import ROOT, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.process import BrokerProcess

pytestmark = [pytest.mark.compat, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def commands() -> dict[str, list[str] | Missing]:
    return build("java", ROOT)


def a_member_with_much_in_hand(bench: Bench, auto_commit: bool) -> tuple[str, str, Consumer]:
    """Of two partitions with 20 records each, which one poll returns."""
    topic, group = bench.topic(2), bench.fresh("g")
    producer = bench.producer()
    for partition in (0, 1):
        producer.put(topic, *(b"%d" % n for n in range(20)), partition=partition)
    config = {"auto_commit": auto_commit, "auto_commit_interval_ms": 100, "client_id": "a"}
    return topic, group, bench.member(topic, group, **config)


def hand_partition_1_over(bench: Bench, topic: str, group: str, first: Consumer) -> Consumer:
    """To a member that comes second in the alphabet."""
    second = bench.member(topic, group, bench.another(), client_id="z")
    second.events("assigned")
    assert second.assignment() == {(topic, 1)}
    eventually(lambda: first.assignment() == {(topic, 0)}, what="the rest of the partitions")
    return second


def what_a_revoked_partition_leaves(bench: Bench) -> None:
    """Without auto-commit, what was not taken goes to the next owner, and to it alone."""
    topic, group, first = a_member_with_much_in_hand(bench, auto_commit=False)
    first.take(1)
    second = hand_partition_1_over(bench, topic, group, first)
    first.commit()
    committed = second.committed((topic, 1))[topic, 1]
    assert committed is None, "of a partition that is another's"
    kept = first.take(20)
    assert [(r.partition, r.offset) for r in kept] == [(0, n) for n in range(20)]
    given = second.take(20)
    assert [(r.partition, r.offset) for r in given] == [(1, n) for n in range(20)]
    assert first.upto(1, 300) == []


def what_the_client_committed_is_still_given(bench: Bench) -> None:
    topic, group, first = a_member_with_much_in_hand(bench, auto_commit=True)
    both = ((topic, 0), (topic, 1))
    eventually(lambda: set(first.committed(*both).values()) == {20}, what="auto-commit")
    hand_partition_1_over(bench, topic, group, first)
    taken = first.take(40)
    assert sorted((r.partition, r.offset) for r in taken) == [
        (partition, n) for partition in (0, 1) for n in range(20)
    ]


def holds_some_ten_thousand(bench: Bench) -> None:
    topic, group = bench.topic(1), bench.fresh("g")
    producer = bench.producer()
    producer.fill(topic, 30_000, size=10, keys=1)
    consumer = bench.member(topic, group, auto_commit=True, auto_commit_interval_ms=50)
    at = (topic, 0)
    eventually(lambda: (consumer.committed(at)[at] or 0) >= 10_000, what="a full driver")
    consumer.pause(at)
    consumer.resume(at)
    consumer.events("revoked", timeout_ms=1000)
    fetched = consumer.committed(at)[at]
    assert fetched is not None
    assert 10_000 <= fetched < 10_500
    drained = consumer.drain(30_000)
    assert (drained["count"], drained["in_order"]) == (30_000, True)


def commands_do_not_disturb_each_other(bench: Bench) -> None:
    """Each wakes the poll, and only the poll: not the call that comes after it."""
    topic, group = bench.topic(1), bench.fresh("g")
    filling = bench.producer(linger_ms=0, batch_bytes=1).begin_fill(topic, 5000, size=10, keys=1)
    consumer = bench.member(topic, group)
    for offset in range(1000):
        assert [r.offset for r in consumer.take(1)] == [offset]
        consumer.commit()
        assert consumer.committed((topic, 0)) == {(topic, 0): offset + 1}
    assert filling.result(60)["result"]["acked"] == 5000


def a_member_is_fenced(bench: Bench) -> None:
    topic, group = bench.topic(1), bench.fresh("g")
    first = bench.member(topic, group, instance_id="i")
    first.events("assigned")
    second = bench.member(topic, group, bench.another(), instance_id="i")
    second.events("assigned")
    errors = [e["error"] for e in first.events("error") if e["event"] == "error"]
    assert [(e["code"], e["number"], e["fatal"]) for e in errors] == [
        ("FENCED_INSTANCE_ID", 82, True)
    ]
    assert len(bench.admin().describe_group(group)["members"]) == 1


def errors_have_kafkas_names(bench: Bench) -> None:
    topic = bench.fresh()
    bench.admin().create_topic(topic, configs={"cleanup.policy": "compact"})
    producer = bench.producer(retries=0, acks=1, idempotent=False)
    far = Record(topic=topic, key=b"k", timestamp=10**13)
    keyless = Record(topic=topic, value=b"v")
    errors = [sent.error for sent in producer.send(far, keyless, each=True)]
    assert [error and (error.code, error.retriable) for error in errors] == [
        ("INVALID_TIMESTAMP", False),
        ("INVALID_RECORD", False),
    ]
    assert code_of(lambda: bench.member(topic, "g", rebalance_timeout_ms=1)) == "UNSUPPORTED"
    assert code_of(lambda: bench.producer(acks=1, idempotent=True)) == "CLIENT"


def what_only_the_newest_can(bench: Bench) -> None:
    topic = bench.topic(1)
    producer = bench.producer()
    producer.put(topic, b"", partition=0, timestamp=1_500_000_000_000)
    producer.put(topic, b"", partition=0, timestamp=1_000_000_000_000)
    admin = bench.admin()
    asked = {"type": "group", "name": "g"}
    if bench.name == "java":
        assert admin.end_offset(topic, 0, "max_timestamp") == 0
        assert admin.do("describe_configs", **asked)["configs"]
    else:
        assert code_of(lambda: admin.end_offset(topic, 0, "max_timestamp")) == "UNSUPPORTED"
        assert code_of(lambda: admin.do("describe_configs", **asked)) == "UNSUPPORTED"


def lines_that_are_no_commands(bench: Bench) -> None:
    with subprocess.Popen(
        bench.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as driver:
        assert driver.stdin is not None
        assert driver.stdout is not None
        assert "hello" in json.loads(driver.stdout.readline())
        for line, number in (
            ("{", None),
            ("[]", None),
            ("{} {}", None),
            ('{"id": 1}', 1),
            ('{"id": 2, "op": 5}', 2),
            ('{"id": "x", "op": "admin.list_topics"}', "x"),
            ('{"id": 3, "op": "producer.open", "handle": "p", "config": []}', 3),
            ('{"id": 4, "op": "producer.open", "handle": 7, "config": {}}', 4),
            ('{"id": 5, "op": "nobody.open", "handle": "n"}', 5),
        ):
            driver.stdin.write(line + "\n")
            driver.stdin.flush()
            answer = json.loads(driver.stdout.readline())
            assert answer["id"] == number
            assert (answer["ok"], answer["error"]["code"]) == (False, "BAD_COMMAND"), answer
        driver.stdin.close()
        assert driver.wait(60) == 0


OWN = (
    what_a_revoked_partition_leaves,
    what_the_client_committed_is_still_given,
    holds_some_ten_thousand,
    commands_do_not_disturb_each_other,
    a_member_is_fenced,
    errors_have_kafkas_names,
    what_only_the_newest_can,
    lines_that_are_no_commands,
)


@pytest.mark.parametrize("name", FAMILIES["java"])
@pytest.mark.parametrize("check", [*CONTRACT, *OWN], ids=lambda check: check.__name__)
def test_the_driver(
    name: str,
    check: Callable[[Bench], None],
    commands: dict[str, list[str] | Missing],
    memory_broker: BrokerProcess,
) -> None:
    command = commands[name]
    if isinstance(command, Missing):
        pytest.skip(str(command))
    with closing(Bench(name, command, memory_broker.bootstrap)) as bench:
        check(bench)
