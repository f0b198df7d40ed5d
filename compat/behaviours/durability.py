"""acks 0, 1 and all, and what each survives. These strike the brokers."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from compat.client import PATIENCE_MS, Record
from compat.driver import DriverError
from compat.suite import behaviour, holds, same

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from compat.case import Case
    from compat.client import Producer
    from compat.driver import Json

SAFE: dict[str, Any] = {"min_insync_replicas": 2, "unclean_leader_election_enable": "false"}
HASTY = {"retries": 0, "request_timeout_ms": 5000, "delivery_timeout_ms": 8000}
FETCH_WAIT_SECONDS = 2.0
"""Well above replica.fetch.wait.max.ms, well below broker.session.timeout.ms."""
strike = partial(behaviour, brokers=3, control=True, seconds=400)


def leader_of(case: Case, topic: str) -> int:
    leader: int = case.setup.describe_topic(topic)["partitions"][0]["leader"]
    return leader


def isr_of(case: Case, topic: str) -> set[int]:
    return set(case.setup.describe_topic(topic)["partitions"][0]["isr"])


def wait_until_in_sync(case: Case, topic: str, count: int = 3) -> None:
    case.wait_for(lambda: len(isr_of(case, topic)) == count, f"{count} replicas in sync", 120)


def coordinator_of(case: Case, group: str) -> int:
    """The leader of the group's partition: its name's hash, as Java has it, over their number."""
    partitions = case.setup.describe_topic("__consumer_offsets")["partitions"]
    code = 0
    for unit in group:
        code = (31 * code + ord(unit)) & 0xFFFFFFFF
    signed = code - (1 << 32) if code >= 1 << 31 else code
    index = abs(signed) % len(partitions)
    leader: int = next(p["leader"] for p in partitions if p["partition"] == index)
    return leader


def values_in(case: Case, topic: str) -> list[bytes | None]:
    """Everything that a consumer of the suite's own client reads, to the end of the log."""
    case.wait_for(lambda: leader_of(case, topic) >= 0, "a leader", 120)
    case.wait_for(lambda: case.setup.end_offset(topic, 0) >= 0, "an end offset", 120)
    end = case.setup.end_offset(topic, 0)
    start = case.setup.end_offset(topic, 0, "earliest")
    if end == start:
        return []
    return [r.value for r in case.reader(topic).take(end - start)]


def begin_filling(case: Case, producer: Producer, topic: str, prefix: str) -> Future[Json]:
    """Three thousand records to partition 0; returns once the first of them are there."""
    before = case.setup.end_offset(topic, 0)
    sending = producer.begin_fill(topic, 3000, size=100, partition=0, prefix=prefix)
    case.wait_for(lambda: case.setup.end_offset(topic, 0) > before, "the first of many")
    return sending


@strike(
    "acks=all: the record will not be lost as long as at least one in-sync replica remains alive.",
    needs="produce read",
)
def acks_all_survives_the_leader(case: Case) -> None:
    topic = case.topic(replication=3, **SAFE)
    wait_until_in_sync(case, topic)
    producer = case.producer(acks=-1)
    producer.put(topic, b"first", partition=0)
    sending = begin_filling(case, producer, topic, "all")
    leader = leader_of(case, topic)
    case.control.kill(leader)
    done = sending.result(2 * PATIENCE_MS / 1000)["result"]
    case.control.start(leader)
    found = values_in(case, topic)
    same("the one before", found[:1], [b"first"])
    same("lost, of those acknowledged", max(0, done["acked"] - len(set(found[1:]))), 0)
    if not done["failed"]:
        wanted = {f"all-{n}".encode().ljust(100, b".") for n in range(3000)}
        same("missing", len(wanted - set(found)), 0)


@strike(
    "acks=1: the leader acknowledges without awaiting the followers; should it fail immediately "
    "after, before they have replicated it, the record is lost.",
    needs="produce read",
)
def acks_one_dies_with_the_leader(case: Case) -> None:
    topic = case.topic(replication=3, **SAFE)
    wait_until_in_sync(case, topic)
    producer = case.producer(acks=1, **_no_idempotence(case))
    producer.put(topic, b"replicated", partition=0)
    case.wait_for(lambda: case.setup.end_offset(topic, 0) == 1, "the first record replicated")
    _lose_the_leader_after(case, topic, lambda: producer.put(topic, b"lost", partition=0))
    same("what is left", values_in(case, topic), [b"replicated"])


@strike(
    "acks=0: the producer will not wait for any acknowledgment; no guarantee can be made that the "
    "server has received the record, the offset given back is -1, and nobody tells of a loss.",
    needs="produce read acks0",
)
def acks_zero_loses_silently(case: Case) -> None:
    topic = case.topic(replication=3, **SAFE)
    wait_until_in_sync(case, topic)
    producer = case.producer(acks=0, **_no_idempotence(case))
    producer.send(Record(topic=topic, value=b"replicated", partition=0))
    case.wait_for(lambda: case.setup.end_offset(topic, 0) == 1, "the first record replicated")
    answers = []
    _lose_the_leader_after(
        case,
        topic,
        lambda: answers.extend(producer.send(Record(topic=topic, value=b"lost", partition=0))),
    )
    holds("the client was told nothing", answers[0].error is None, answers)
    same("what is left", values_in(case, topic), [b"replicated"])


def _lose_the_leader_after(case: Case, topic: str, act: Callable[[], object]) -> None:
    """The leader dies with what it has, before its followers, who stand still, have fetched."""
    leader = leader_of(case, topic)
    followers = [broker for broker in case.control.brokers if broker != leader]
    for broker in followers:
        case.control.pause(broker)
    try:
        # A fetch that waits at the leader would be answered with the record, and be read by the
        # follower once it goes on: let it run out first.
        time.sleep(FETCH_WAIT_SECONDS)
        act()
        case.control.kill(leader)
    finally:
        for broker in followers:
            case.control.resume(broker)
    case.wait_for(lambda: leader_of(case, topic) in followers, "another leader", 120)
    case.control.start(leader)
    wait_until_in_sync(case, topic)


def _no_idempotence(case: Case) -> dict[str, Any]:
    """acks below all and idempotence exclude each other."""
    return {"idempotent": False} if case.offers("idempotent") else {}


@strike(
    "min.insync.replicas with acks=all: if this minimum cannot be met, the producer will raise "
    "NotEnoughReplicas; it goes on when the replicas are back.",
    needs="produce read",
)
def not_enough_replicas(case: Case) -> None:
    topic = case.topic(replication=3, **SAFE)
    wait_until_in_sync(case, topic)
    case.producer(acks=-1).put(topic, b"before", partition=0)
    leader = leader_of(case, topic)
    others = [broker for broker in case.control.brokers if broker != leader]
    for broker in others:
        case.control.stop(broker)
    case.wait_for(lambda: isr_of(case, topic) == {leader}, "a leader alone", 120)
    hasty = case.producer(acks=-1, prefer=HASTY, **_no_idempotence(case))
    code = hasty.refusal(Record(topic=topic, value=b"refused", partition=0))
    holds("the code", code in ("NOT_ENOUGH_REPLICAS", "TIMEOUT"), code)
    for broker in others:
        case.control.start(broker)
    wait_until_in_sync(case, topic)
    case.producer(acks=-1).put(topic, b"after", partition=0)
    same("the log", values_in(case, topic), [b"before", b"after"])


@strike(
    "A clean stop of the leader hands its partitions over: no send fails.",
    needs="produce read",
)
def clean_stop_of_the_leader(case: Case) -> None:
    topic = case.topic(replication=3, **SAFE)
    wait_until_in_sync(case, topic)
    producer = case.producer(acks=-1)
    sending = begin_filling(case, producer, topic, "stop")
    leader = leader_of(case, topic)
    case.control.stop(leader)
    done = sending.result(2 * PATIENCE_MS / 1000)["result"]
    same("failed sends", (done["failed"], done["errors"]), (0, {}))
    case.control.start(leader)
    wanted = {f"stop-{n}".encode().ljust(100, b".") for n in range(3000)}
    same("missing", len(wanted - set(values_in(case, topic))), 0)


@strike(
    "A group goes on when its coordinator dies: members stay, commits survive.",
    needs="produce groups manual_commit",
)
def coordinator_that_dies(case: Case) -> None:
    topic, group = case.topic(replication=3, **SAFE), case.group()
    wait_until_in_sync(case, topic)
    producer = case.producer(acks=-1)
    producer.put(topic, *(b"%d" % n for n in range(5)), partition=0)
    consumer = case.consumer(topic, group=group, auto_commit=False)
    consumer.take(5)
    consumer.commit({(topic, 0): 5})
    coordinator = coordinator_of(case, group)
    case.control.kill(coordinator)
    producer.put(topic, b"after", partition=0)
    same("it reads on", consumer.take(1, 2 * PATIENCE_MS)[0].value, b"after")
    case.control.start(coordinator)
    case.wait_for(
        lambda: case.setup.group_offsets(group).get(f"{topic}-0") == 5, "the commit of 5", 120
    )
    _commit_in_the_end(case, lambda: consumer.commit({(topic, 0): 6}))
    same("what the group has", case.setup.group_offsets(group), {f"{topic}-0": 6})


def _commit_in_the_end(case: Case, commit: Callable[[], object]) -> None:
    """A client may tell of the change of coordinators; then its application commits again."""

    def committed() -> bool:
        try:
            commit()
        except DriverError as error:
            if not error.retriable and error.code not in ("REBALANCE_IN_PROGRESS", "CLIENT"):
                raise AssertionError(f"commit after the change: {error}") from error
            return False
        return True

    case.wait_for(committed, "a commit after the change of coordinators", 120)
