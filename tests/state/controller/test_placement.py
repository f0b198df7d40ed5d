"""Replicas are spread over racks and brokers, fairly, and led by the living."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykbroker.state.controller.image import BrokerImage
from pykbroker.state.controller.placement import place
from pykbroker.state.errors import KafkaError
from pykbroker.state.types import NodeId
from wire.errors import ErrorCode


def broker(
    node: int, rack: str | None = None, *, fenced: bool = False, stopping: bool = False
) -> BrokerImage:
    return BrokerImage(NodeId(node), 1, b"", (), rack, fenced, stopping)


BROKERS = st.lists(
    st.tuples(st.sampled_from([None, "a", "b", "c"]), st.booleans()), min_size=1, max_size=9
).map(lambda ks: [broker(n, rack, fenced=fenced) for n, (rack, fenced) in enumerate(ks)])


@given(BROKERS, st.integers(1, 12), st.integers(1, 9), st.integers(0, 1000))
def test_what_always_holds_of_a_placement(
    brokers: list[BrokerImage], partitions: int, factor: int, seed: int
) -> None:
    if factor > len(brokers) or all(b.fenced for b in brokers):
        with pytest.raises(KafkaError) as refused:
            place(brokers, partitions, factor, random.Random(seed))
        assert refused.value.code == ErrorCode.INVALID_REPLICATION_FACTOR
        return
    placed = place(brokers, partitions, factor, random.Random(seed))
    fenced = {b.node_id for b in brokers if b.fenced}
    assert len(placed) == partitions
    for replicas in placed:
        assert len(set(replicas)) == len(replicas) == factor
        assert replicas[0] not in fenced
        assert set(replicas) <= {b.node_id for b in brokers}


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.integers(0, 1000))
def test_racks_are_used_evenly(racks: int, per_rack: int, factor: int, seed: int) -> None:
    factor = min(factor, racks * per_rack)
    brokers = [broker(n, f"rack{n % racks}") for n in range(racks * per_rack)]
    for replicas in place(brokers, 12, factor, random.Random(seed)):
        used = Counter(node % racks for node in replicas)
        assert max(used.values()) - min(used.get(r, 0) for r in range(racks)) <= 1


@given(st.integers(1, 7), st.integers(1, 5), st.integers(0, 1000))
def test_every_broker_leads_equally_often(count: int, rounds: int, seed: int) -> None:
    brokers = [broker(n) for n in range(count)]
    placed = place(brokers, count * rounds, min(3, count), random.Random(seed))
    assert set(Counter(replicas[0] for replicas in placed).values()) == {rounds}


@given(st.integers(3, 8), st.integers(0, 1000))
def test_followers_do_not_all_fall_to_one_neighbour(count: int, seed: int) -> None:
    placed = place([broker(n) for n in range(count)], count * 40, 2, random.Random(seed))
    for leader in range(count):
        followers = {r[1] for r in placed if r[0] == leader}
        assert len(followers) > 1


def test_brokers_that_are_leaving_get_nothing() -> None:
    brokers = [broker(1), broker(2, stopping=True)]
    assert place(brokers, 3, 1, random.Random(0)) == [(1,)] * 3
    with pytest.raises(KafkaError, match=r"only 1 broker\(s\) are registered"):
        place(brokers, 1, 2, random.Random(0))


def test_fenced_brokers_come_last() -> None:
    brokers = [broker(1, fenced=True), broker(2), broker(3)]
    for replicas in place(brokers, 20, 2, random.Random(0)):
        assert set(replicas) == {2, 3}
    assert {replicas[2] for replicas in place(brokers, 20, 3, random.Random(0))} == {1}


@pytest.mark.parametrize(
    ("brokers", "factor", "message"),
    [
        ([broker(1)], 0, "must be positive"),
        ([broker(1, fenced=True)], 1, "All brokers are currently fenced."),
        ([], 1, "All brokers are currently fenced."),
        ([broker(1)], 2, "The target replication factor of 2 cannot be reached"),
    ],
)
def test_what_cannot_be_placed_is_refused(
    brokers: list[BrokerImage], factor: int, message: str
) -> None:
    with pytest.raises(KafkaError, match=message) as refused:
        place(brokers, 1, factor, random.Random(0))
    assert refused.value.code == ErrorCode.INVALID_REPLICATION_FACTOR


def test_the_same_seed_places_the_same() -> None:
    brokers = [broker(n, "ab"[n % 2]) for n in range(6)]
    one, two = (place(brokers, 50, 3, random.Random(7)) for _ in range(2))
    assert one == two
