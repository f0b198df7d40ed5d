"""Consumer groups: members come, go and die, and each partition has one of them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from compat.client import Record
from compat.driver import PATIENCE_SECONDS
from compat.suite import behaviour, holds, same

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compat.case import Case
    from compat.client import Consumer, TopicPartition

SHORT: dict[str, Any] = {"session_timeout_ms": 6000, "heartbeat_interval_ms": 500}

REFRESHING: dict[str, Any] = SHORT | {"metadata_max_age_ms": 1000}


def members_of(case: Case, group: str) -> list[set[str]]:
    """What each member has, as the coordinator tells it; raises nothing for a group that moves."""
    described = case.setup.describe_group(group)
    if described["state"].lower() != "stable":
        return []
    return [set(member["assignment"]) for member in described["members"]]


def wait_for_members(
    case: Case, group: str, count: int, partitions: Sequence[TopicPartition]
) -> list[set[str]]:
    """Until the group is stable with so many members who share all partitions among them."""
    every = {f"{topic}-{partition}" for topic, partition in partitions}
    found: list[set[str]] = []

    def shared() -> bool:
        found[:] = members_of(case, group)
        return (
            len(found) == count
            and sum(len(one) for one in found) == len(every)
            and set().union(*found) == every
        )

    case.wait_for(shared, f"{count} members of {group} that share {len(every)} partitions")
    return found


def _partitions(topic: str, count: int) -> list[TopicPartition]:
    return [(topic, number) for number in range(count)]


@behaviour(
    "The partitions of a topic are divided over the consumers in the group; a new member gets a "
    "share, and those of one that leaves go to the others.",
    needs="produce groups",
)
def joining_and_leaving(case: Case) -> None:
    topic, group = case.topic(partitions=4), case.group()
    first = case.consumer(topic, group=group, **SHORT)
    wait_for_members(case, group, 1, _partitions(topic, 4))
    second = case.consumer(topic, driver=case.process(), group=group, **SHORT)
    shares = wait_for_members(case, group, 2, _partitions(topic, 4))
    same("shares", sorted(len(one) for one in shares), [2, 2])
    second.close()
    wait_for_members(case, group, 1, _partitions(topic, 4))
    producer = case.producer()
    producer.send(*(_record(topic, partition) for partition in range(4)))
    got = {r.partition for r in first.take(4)}
    same("who is left reads all", got, {0, 1, 2, 3})


def _record(topic: str, partition: int) -> Record:
    return Record(topic=topic, partition=partition, value=b"%d" % partition)


@behaviour(
    "session.timeout.ms: if no heartbeats are received by the broker before the expiration of this "
    "session timeout, then the broker will remove this client from the group and initiate a "
    "rebalance.",
    needs="produce groups",
)
def member_that_dies(case: Case) -> None:
    topic, group = case.topic(partitions=2), case.group()
    process = case.process()
    case.consumer(topic, driver=process, group=group, **SHORT)
    survivor = case.consumer(topic, group=group, **SHORT)
    wait_for_members(case, group, 2, _partitions(topic, 2))
    process.crash()
    wait_for_members(case, group, 1, _partitions(topic, 2))
    case.producer().send(_record(topic, 0), _record(topic, 1))
    same("the survivor reads all", {r.partition for r in survivor.take(2)}, {0, 1})


@behaviour(
    "Each record published to a topic is delivered to one consumer instance within each "
    "subscribing consumer group.",
    needs="produce groups auto_commit",
)
def each_group_reads_all(case: Case) -> None:
    topic = case.topic(partitions=3)
    readers = [case.consumer(topic, group=case.group()) for _ in range(2)]
    done = case.producer().fill(topic, 300, keys=30)
    same("acknowledged", done["acked"], 300)
    for reader in readers:
        same("records", reader.drain(300)["count"], 300)
        same("none twice", len(reader.upto(1, 300)), 0)


@behaviour(
    "group.instance.id: a static member that comes back within its session timeout causes no "
    "rebalance and has its partitions again.",
    needs="produce groups static_membership",
)
def static_membership(case: Case) -> None:
    topic, group = case.topic(partitions=4), case.group()
    session: dict[str, Any] = {"session_timeout_ms": 30_000, "heartbeat_interval_ms": 500}
    case.consumer(topic, group=group, instance_id="stays", **session)
    process = case.process()
    case.consumer(topic, driver=process, group=group, instance_id="returns", **session)
    wait_for_members(case, group, 2, _partitions(topic, 4))
    before = _by_instance(case, group)
    process.crash()
    case.consumer(topic, driver=case.process(), group=group, instance_id="returns", **session)
    old_id = before["returns"][0]
    case.wait_for(
        lambda: _by_instance(case, group).get("returns", (old_id,))[0] != old_id,
        "the member that returned, under a new id",
    )
    wait_for_members(case, group, 2, _partitions(topic, 4))
    after = _by_instance(case, group)
    same("who stayed is the same member", after["stays"], before["stays"])
    same("who returned has the same", after["returns"][1], before["returns"][1])


def _by_instance(case: Case, group: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    members = case.setup.describe_group(group)["members"]
    return {m["instance_id"]: (m["member_id"], tuple(sorted(m["assignment"]))) for m in members}


@behaviour(
    "partition.assignment.strategy: eager assignors (range, roundrobin, sticky) give every "
    "partition to one member.",
    needs="produce groups",
)
def eager_assignors(case: Case) -> None:
    tried = [name for name in ("range", "roundrobin", "sticky") if case.offers(name)]
    for assignor in tried:
        topic, group = case.topic(partitions=6), case.group()
        opened = [
            case.consumer(topic, driver=driver, group=group, assignor=assignor, **SHORT)
            for driver in (case.driver, case.process())
        ]
        shares = wait_for_members(case, group, 2, _partitions(topic, 6))
        same(f"shares by {assignor}", sorted(len(one) for one in shares), [3, 3])
        for one in opened:
            one.close()


@behaviour(
    "Incremental cooperative rebalancing (KIP-429): members keep what does not move, and read on.",
    needs="produce groups cooperative events",
)
def cooperative_assignor(case: Case) -> None:
    topic, group = case.topic(partitions=4), case.group()
    first = case.consumer(topic, group=group, assignor="cooperative", **SHORT)
    wait_for_members(case, group, 1, _partitions(topic, 4))
    case.wait_for(lambda: len(first.assignment()) == 4, "four partitions of the first member")
    first.events()
    case.consumer(topic, driver=case.process(), group=group, assignor="cooperative", **SHORT)
    shares = wait_for_members(case, group, 2, _partitions(topic, 4))
    same("shares", sorted(len(one) for one in shares), [2, 2])
    case.wait_for(lambda: len(first.assignment()) == 2, "two partitions of the first member")
    revoked = [
        partition
        for event in first.events()
        if event["event"] == "revoked"
        for partition in event["partitions"]
    ]
    same("revoked from the first", len(revoked), 2)


@behaviour(
    "subscribe(Pattern): all topics matching the pattern, those that come later included.",
    needs="produce groups regex",
)
def regex_subscription(case: Case) -> None:
    prefix = case.name("regex")
    case.setup.create_topic(f"{prefix}-a", 1, case.replication)
    case.wait_until_known(f"{prefix}-a")
    consumer = case.consumer(pattern=f"^{prefix}-.*", group=case.group(), **REFRESHING)
    producer = case.producer()
    producer.put(f"{prefix}-a", b"first")
    same("of the first topic", consumer.take(1)[0].value, b"first")
    case.setup.create_topic(f"{prefix}-b", 1, case.replication)
    case.wait_until_known(f"{prefix}-b")
    producer.put(f"{prefix}-b", b"second")
    same("of the one that came later", consumer.take(1)[0].value, b"second")
    consumer.close()
    for name in ("a", "b"):
        case.setup.delete_topic(f"{prefix}-{name}")


@behaviour(
    "A group of 20 members shares 40 partitions, reads each record once, and settles again when "
    "half of it leaves.",
    needs="produce groups",
    seconds=300,
)
def twenty_members(case: Case) -> None:
    topic, group = case.topic(partitions=40), case.group()
    long: dict[str, Any] = {"session_timeout_ms": 30_000, "heartbeat_interval_ms": 1000}
    members = [case.consumer(topic, group=group, **long) for _ in range(20)]
    shares = wait_for_members(case, group, 20, _partitions(topic, 40))
    same("shares", {len(one) for one in shares}, {2})
    done = case.producer().fill(topic, 2000, keys=400)
    same("acknowledged", done["acked"], 2000)
    got = _read_all(members, 2000)
    holds("every record was read", len(got) == 2000, len(got))
    for member in members[10:]:
        member.close()
    shares = wait_for_members(case, group, 10, _partitions(topic, 40))
    same("shares of ten", {len(one) for one in shares}, {4})


def _read_all(members: Sequence[Consumer], count: int) -> set[tuple[str, int | None, int | None]]:
    got: set[tuple[str, int | None, int | None]] = set()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(got) < count and time.monotonic() < deadline:
        for member in members:
            got |= {(r.topic, r.partition, r.offset) for r in member.upto(10_000, 20)}
    return got


@behaviour(
    "A member that leaves hands its partitions over with what it committed: nothing is lost and, "
    "after a commit, nothing repeated.",
    needs="produce groups manual_commit",
)
def handing_over(case: Case) -> None:
    topic, group = case.topic(partitions=2), case.group()
    case.producer().fill(topic, 200, keys=20)
    first = case.consumer(topic, group=group, auto_commit=False, **SHORT)
    seen = {(r.partition, r.offset) for r in first.take(200)}
    first.commit()
    first.close()
    case.producer().fill(topic, 100, keys=20, prefix="later")
    second = case.consumer(topic, driver=case.process(), group=group, auto_commit=False, **SHORT)
    again = {(r.partition, r.offset) for r in second.take(100)}
    same("repeated", seen & again, set())
    same("all of them", len(seen | again), 300)
