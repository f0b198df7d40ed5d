"""What drivers must do besides: members of groups, and lines that are no commands."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from tests.support.process import eventually

if TYPE_CHECKING:
    from compat.client import Consumer
    from tests.compat.driver_contract import Bench


def a_member_with_much_in_hand(bench: Bench, auto_commit: bool) -> tuple[str, str, Consumer]:
    """Of two partitions with 20 records each, which one poll returns."""
    topic, group = bench.topic(2), bench.fresh("g")
    producer = bench.producer()
    for partition in (0, 1):
        producer.put(topic, *(b"%d" % n for n in range(20)), partition=partition)
    config = {"auto_commit": auto_commit, "auto_commit_interval_ms": 100, "client_id": "a"}
    return topic, group, bench.member(topic, group, assignor="range", **config)


def hand_partition_1_over(bench: Bench, topic: str, group: str, first: Consumer) -> Consumer:
    """To a member that comes second in the alphabet."""
    second = bench.member(topic, group, bench.another(), client_id="z", assignor="range")
    second.events("assigned")
    assert second.assignment() == {(topic, 1)}
    eventually(lambda: first.assignment() == {(topic, 0)}, what="the rest of the partitions")
    return second


def what_a_revoked_partition_leaves(bench: Bench) -> None:
    """Without auto-commit, what was not taken goes to the next owner, and to it alone."""
    if not {"events", "manual_commit", "range"} <= bench.has:
        return
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
    if not {"events", "auto_commit", "range"} <= bench.has:
        return
    topic, group, first = a_member_with_much_in_hand(bench, auto_commit=True)
    both = ((topic, 0), (topic, 1))
    eventually(lambda: set(first.committed(*both).values()) == {20}, what="auto-commit")
    hand_partition_1_over(bench, topic, group, first)
    taken = first.take(40)
    assert sorted((r.partition, r.offset) for r in taken) == [
        (partition, n) for partition in (0, 1) for n in range(20)
    ]


def a_member_is_fenced(bench: Bench) -> None:
    if not {"static_membership", "events"} <= bench.has:
        return
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


MEMBERS = (
    what_a_revoked_partition_leaves,
    what_the_client_committed_is_still_given,
    a_member_is_fenced,
    lines_that_are_no_commands,
)
