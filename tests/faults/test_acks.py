"""What each acks level keeps when its leader dies before any follower has fetched.

The followers' fetches are held back by the proxy, and the replica lag time is long, so that the
ISR stays whole: the leader that follows is in sync by the rules, and has nothing of the tail.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.faults.bare import Bare, Lost, Refused
from tests.faults.brokers import wait_until
from tests.faults.cluster import Cluster
from tests.faults.load import ends_of, patiently
from tests.faults.proxy import BLACKHOLE
from tests.faults.workload import Topic
from wire.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TOPIC = "acks"
LONG_LAG = {"replica.lag.time.max.ms": "120000", "replica.socket.timeout.ms": "120000"}


@pytest.fixture
def clusters(tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    made: list[Cluster] = []

    def start(**settings: str) -> Cluster:
        fields = {name.replace("_", "."): value for name, value in settings.items()}
        cluster = Cluster(tmp_path / str(len(made)), settings=LONG_LAG | fields)
        made.append(cluster)
        cluster.start()
        client = cluster.client(10)
        patiently(lambda: client.create_topic(TOPIC, 1, 3), "the topic")
        client.close()
        cluster.wait_in_sync(TOPIC)
        return cluster

    yield start
    for cluster in made:
        cluster.end()


def values(cluster: Cluster) -> list[bytes]:
    """All that is there, in order."""
    client = cluster.client(10)

    def read() -> list[bytes]:
        found: list[bytes] = []
        end = ends_of(client, Topic(TOPIC, 1))[f"{TOPIC}-0"]
        offset = 0
        while offset < end:
            leader = client.metadata([TOPIC]).parts[TOPIC, 0].leader
            records, _, offset = client.fetch(leader, TOPIC, 0, offset)
            found += [bytes(r.value or b"") for r in records]
        return found

    try:
        got: list[bytes] = patiently(read, "reading")
        return got
    finally:
        client.close()


def hold_back_followers(cluster: Cluster, leader: int) -> None:
    """Nothing that the followers ask from now on is answered, and nothing under way arrives."""
    for node in cluster.nodes:
        if node != leader:
            cluster.cut(BLACKHOLE, node, leader)


def kill_and_follow(cluster: Cluster, leader: int) -> int:
    cluster.brokers[leader].kill()
    cluster.heal()
    found: int = wait_until(
        lambda: (n := cluster.leader(TOPIC)) > 0 and n != leader and n, "a new leader"
    )
    return found


def begin(cluster: Cluster) -> tuple[Bare, int]:
    """A client that has written one record which all replicas have, and the leader."""
    client = cluster.client(10)
    leader = client.metadata([TOPIC]).parts[TOPIC, 0].leader
    patiently(lambda: client.produce(leader, TOPIC, 0, [b"before"]), "the first record")
    wait_until(lambda: values(cluster) == [b"before"], "the first record read")
    hold_back_followers(cluster, leader)
    time.sleep(0.5)  # a fetch that was answered before the cut has been used up
    return client, leader


def whole_isr(cluster: Cluster) -> bool:
    return len(cluster.state(TOPIC).parts[TOPIC, 0].isr) == 3


def test_acks_1_loses_what_only_the_leader_had(clusters: Callable[..., Cluster]) -> None:
    cluster = clusters()
    client, leader = begin(cluster)
    assert client.produce(leader, TOPIC, 0, [b"acknowledged"], acks=1) == 1
    assert whole_isr(cluster)
    kill_and_follow(cluster, leader)
    assert values(cluster) == [b"before"]
    cluster.restart(leader)
    cluster.wait_in_sync(TOPIC)
    assert values(cluster) == [b"before"], "the old leader's tail does not come back"
    client.close()


def test_acks_0_loses_silently(clusters: Callable[..., Cluster]) -> None:
    cluster = clusters()
    client, leader = begin(cluster)
    assert client.produce(leader, TOPIC, 0, [b"sent"], acks=0) == -1  # and no error either
    # On the same connection, so it comes after: the leader has both.
    assert client.produce(leader, TOPIC, 0, [b"marker"], acks=1) == 2
    assert whole_isr(cluster)
    kill_and_follow(cluster, leader)
    assert values(cluster) == [b"before"]
    client.close()


def test_acks_all_says_nothing_that_it_does_not_keep(clusters: Callable[..., Cluster]) -> None:
    """Not acknowledged while nobody else has it; sent again, it is there once it is."""
    cluster = clusters()
    client, leader = begin(cluster)
    ended: list[object] = []

    def send() -> None:
        try:
            ended.append(client.produce(leader, TOPIC, 0, [b"value"], timeout_ms=60_000))
        except (Lost, Refused) as error:
            ended.append(error)

    sending = threading.Thread(target=send)
    sending.start()
    sending.join(3)
    assert not ended, "acknowledged before any follower had it"
    assert whole_isr(cluster)
    successor = kill_and_follow(cluster, leader)
    sending.join(60)
    assert isinstance(ended[0], Lost)
    assert values(cluster) == [b"before"], "what was never acknowledged may go, and does here"
    again = cluster.client(10)
    again.metadata([TOPIC])
    patiently(lambda: again.produce(successor, TOPIC, 0, [b"value"]), "the retry")
    cluster.brokers[successor].kill()
    cluster.restart(leader)
    wait_until(lambda: cluster.leader(TOPIC) not in (-1, successor), "the third leader")
    assert values(cluster) == [b"before", b"value"]
    client.close()
    again.close()


def test_too_few_in_sync_are_refused_and_recover(clusters: Callable[..., Cluster]) -> None:
    cluster = clusters(replica_lag_time_max_ms="3000")
    client = cluster.client(10)
    leader = client.metadata([TOPIC]).parts[TOPIC, 0].leader
    client.produce(leader, TOPIC, 0, [b"one"])
    others = [n for n in cluster.nodes if n != leader]
    for node in others:
        cluster.brokers[node].kill()

    def refused() -> bool:
        try:
            client.produce(leader, TOPIC, 0, [b"refused"], timeout_ms=1000)
        except Refused as error:
            return error.code == ErrorCode.NOT_ENOUGH_REPLICAS
        return False

    wait_until(refused, "NOT_ENOUGH_REPLICAS")
    for node in others:
        cluster.restart(node)
    cluster.wait_in_sync(TOPIC)
    patiently(lambda: client.produce(leader, TOPIC, 0, [b"two"]), "acks=all again")
    got = values(cluster)
    assert got[0] == b"one"
    assert got[-1] == b"two"
    client.close()


@pytest.mark.parametrize("unclean", [False, True])
def test_without_anyone_in_sync(clusters: Callable[..., Cluster], unclean: bool) -> None:
    """The last in sync dies with records that the others lack: wait for it, or go on without."""
    cluster = clusters(
        replica_lag_time_max_ms="3000",
        min_insync_replicas="1",
        unclean_leader_election_enable=str(unclean).lower(),
    )
    client = cluster.client(10)
    leader = client.metadata([TOPIC]).parts[TOPIC, 0].leader
    client.produce(leader, TOPIC, 0, [b"all have it"])
    others = [n for n in cluster.nodes if n != leader]
    for node in others:
        cluster.brokers[node].kill()
    wait_until(lambda: cluster.state(TOPIC).parts[TOPIC, 0].isr == [leader], "an ISR of one")
    patiently(lambda: client.produce(leader, TOPIC, 0, [b"one has it"]), "a record of one")
    cluster.brokers[leader].kill()
    for node in others:
        cluster.restart(node)
    for node in others:
        cluster.brokers[node].wait_for("Kafka Server started")
    if unclean:
        wait_until(lambda: cluster.leader(TOPIC) in others, "an unclean leader")
        assert values(cluster) == [b"all have it"]
        said = "".join(cluster.brokers[n].log.read_text() for n in others)
        assert "unclean leader election: committed records may be lost" in said
        cluster.restart(leader)
        cluster.wait_in_sync(TOPIC)
        assert values(cluster) == [b"all have it"]
        said = cluster.brokers[leader].said()
        assert f"truncating partition={TOPIC}-0 offset=1 log_end_offset=2" in said
    else:
        end = time.monotonic() + 8  # well over the lease
        while time.monotonic() < end:
            assert cluster.state(TOPIC).parts[TOPIC, 0].leader == -1
            time.sleep(0.5)
        cluster.restart(leader)
        wait_until(lambda: cluster.leader(TOPIC) == leader, "the old leader")
        assert values(cluster) == [b"all have it", b"one has it"]
    client.close()
