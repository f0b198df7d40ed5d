"""Committed offsets: who commits what when, and what a later member finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from compat.driver import DriverError
from compat.suite import behaviour, holds, same

if TYPE_CHECKING:
    from compat.case import Case

STALE = ("ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID", "REBALANCE_IN_PROGRESS", "FENCED", "CLIENT")
SHORT: dict[str, Any] = {"session_timeout_ms": 6000, "heartbeat_interval_ms": 500}


@behaviour(
    "commitSync: commits offsets to Kafka; they will be used on the first fetch after every "
    "rebalance and also on startup.",
    needs="produce groups manual_commit",
)
def manual_commit(case: Case) -> None:
    topic, group = case.topic(), case.group()
    case.producer().put(topic, *(b"%d" % n for n in range(10)))
    first = case.consumer(topic, group=group, auto_commit=False)
    same("the first member reads", [r.offset for r in first.take(10)], list(range(10)))
    first.commit({(topic, 0): 4})
    same("what the group has", case.setup.group_offsets(group), {f"{topic}-0": 4})
    first.close()
    second = case.consumer(topic, group=group, auto_commit=False)
    same("the next one goes on at", [r.offset for r in second.take(6)], [4, 5, 6, 7, 8, 9])


@behaviour(
    "committed: get the last committed offset, whether the commit happened by this process or "
    "another.",
    needs="produce groups manual_commit",
)
def committed_is_seen(case: Case) -> None:
    topic, group = case.topic(), case.group()
    case.producer().put(topic, *[b"x"] * 5)
    consumer = case.consumer(topic, group=group, auto_commit=False)
    consumer.take(5)
    same("before", consumer.committed((topic, 0)), {(topic, 0): None})
    consumer.commit()
    same("after", consumer.committed((topic, 0)), {(topic, 0): 5})
    consumer.commit({(topic, 0): 2})
    same("lowered on purpose", consumer.committed((topic, 0)), {(topic, 0): 2})


@behaviour(
    "enable.auto.commit: if true the consumer's offset will be periodically committed in the "
    "background.",
    needs="produce groups auto_commit",
)
def auto_commit(case: Case) -> None:
    topic, group = case.topic(), case.group()
    case.producer().put(topic, *[b"x"] * 8)
    consumer = case.consumer(topic, group=group, auto_commit=True, auto_commit_interval_ms=200)
    consumer.take(8)
    case.wait_for(
        lambda: case.setup.group_offsets(group) == {f"{topic}-0": 8}, "the automatic commit of 8"
    )


@behaviour(
    "With auto-commit, close commits what was consumed: the next member repeats nothing.",
    needs="produce groups auto_commit",
)
def auto_commit_at_close(case: Case) -> None:
    topic, group = case.topic(), case.group()
    producer = case.producer()
    producer.put(topic, *[b"x"] * 5)
    first = case.consumer(topic, group=group, auto_commit=True, auto_commit_interval_ms=60_000)
    first.take(5)
    first.close()
    producer.put(topic, b"new")
    second = case.consumer(topic, group=group, auto_commit=False)
    same("what the next one reads first", second.take(1)[0].offset, 5)


@behaviour(
    "What a member committed before it died is where the next one begins; what it read and had "
    "not committed comes again.",
    needs="produce groups manual_commit",
)
def commit_of_a_dead_member(case: Case) -> None:
    topic, group = case.topic(), case.group()
    case.producer().put(topic, *(b"%d" % n for n in range(10)))
    process = case.process()
    first = case.consumer(topic, driver=process, group=group, auto_commit=False, **SHORT)
    first.take(10)
    first.commit({(topic, 0): 7})
    process.crash()
    second = case.consumer(topic, group=group, auto_commit=False, **SHORT)
    same("redelivered", [r.offset for r in second.take(3)], [7, 8, 9])


@behaviour(
    "ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID: a member that was put out of its group cannot commit "
    "for it any more.",
    needs="produce groups manual_commit",
)
def commit_of_a_stale_generation(case: Case) -> None:
    topic, group = case.topic(), case.group()
    case.producer().put(topic, *[b"x"] * 10)
    process = case.process()
    stale = case.consumer(topic, driver=process, group=group, auto_commit=False, **SHORT)
    stale.take(10)
    process.pause()
    try:
        other = case.consumer(topic, group=group, auto_commit=False, **SHORT)
        same("its successor reads", len(other.take(10)), 10)
        other.commit({(topic, 0): 10})
    finally:
        process.resume()
    try:
        stale.commit({(topic, 0): 1})
    except DriverError as error:
        holds("the refusal", error.code in STALE, str(error))
    else:
        # It may have joined again before the command came, and then it has no such partition.
        raise AssertionError("a member of an old generation committed")
    same("what the group has", case.setup.group_offsets(group), {f"{topic}-0": 10})


@behaviour(
    "offsets.retention.minutes: offsets of a group that has members are kept however old they "
    "are; deleteConsumerGroupOffsets and deleteConsumerGroups remove them.",
    needs="produce groups manual_commit",
)
def offsets_kept_and_deleted(case: Case) -> None:
    topic, group = case.topic(partitions=2), case.group()
    consumer = case.consumer(topic, group=group, auto_commit=False)
    case.wait_for(
        lambda: case.setup.describe_group(group)["state"].lower() == "stable", "a stable group"
    )
    consumer.commit({(topic, 0): 0, (topic, 1): 0})
    partitions = [{"topic": topic, "partition": 0}]
    answer = case.setup.do("delete_group_offsets", group=group, partitions=partitions)["offsets"]
    error = answer[f"{topic}-0"].get("error", {}).get("code")
    same("of a topic that is subscribed to", error, "GROUP_SUBSCRIBED_TO_TOPIC")
    consumer.close()
    case.wait_for(
        lambda: case.setup.describe_group(group)["state"].lower() == "empty", "an empty group"
    )
    answer = case.setup.do("delete_group_offsets", group=group, partitions=partitions)["offsets"]
    same("of an empty group", answer[f"{topic}-0"], {})
    same("what is left", case.setup.group_offsets(group), {f"{topic}-1": 0})
    same("the group", case.setup.do("delete_groups", groups=[group])["groups"][group], {})
    same("nothing is left", case.setup.group_offsets(group), {})


@behaviour(
    "At-most-once: with auto-commit, what was committed and not yet processed when the consumer "
    "dies is lost to the group.",
    needs="produce groups auto_commit",
)
def auto_commit_loses(case: Case) -> None:
    topic, group = case.topic(), case.group()
    producer = case.producer()
    producer.put(topic, *(b"%d" % n for n in range(5)))
    process = case.process()
    case.consumer(
        topic, driver=process, group=group, auto_commit=True, auto_commit_interval_ms=100, **SHORT
    )
    # It polls, and its application has not looked at one record when the commit is made.
    case.wait_for(
        lambda: case.setup.group_offsets(group) == {f"{topic}-0": 5}, "the automatic commit of 5"
    )
    process.crash()
    producer.put(topic, b"after")
    second = case.consumer(topic, group=group, auto_commit=False, **SHORT)
    same("never delivered again", [r.value for r in second.take(1)], [b"after"])


@behaviour(
    "At-least-once: what was processed after the last automatic commit is delivered again when "
    "the consumer dies.",
    needs="produce groups auto_commit_interval",
)
def auto_commit_repeats(case: Case) -> None:
    topic, group = case.topic(), case.group()
    case.producer().put(topic, *(b"%d" % n for n in range(5)))
    process = case.process()
    first = case.consumer(
        topic,
        driver=process,
        group=group,
        auto_commit=True,
        auto_commit_interval_ms=600_000,
        **SHORT,
    )
    same("processed", [r.offset for r in first.take(5)], list(range(5)))
    process.crash()
    second = case.consumer(topic, group=group, auto_commit=False, **SHORT)
    same("delivered again", [r.offset for r in second.take(5)], list(range(5)))
