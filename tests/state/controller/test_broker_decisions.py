"""Brokers register, are unfenced and fenced, shut down and are forgotten."""

from __future__ import annotations

import pytest

from pykbroker.state.controller.brokers import (
    broker_heartbeat,
    next_to_settle,
    settle,
    unregister_broker,
)
from pykbroker.state.controller.keys import registration_key
from pykbroker.state.controller.replay import LiveBroker
from pykbroker.state.errors import KafkaError
from pykbroker.state.types import NodeId
from tests.support.cluster_images import Cluster, partition
from wire.errors import ErrorCode
from wire.messages.broker_heartbeat import BrokerHeartbeatRequest
from wire.messages.metadata_records import BrokerEndpoint, RegisterBrokerRecord
from wire.messages.unregister_broker import UnregisterBrokerRequest

E = ErrorCode


def alive(node: int, epoch: int, clean_epoch: int = -1) -> dict[NodeId, LiveBroker]:
    record = RegisterBrokerRecord(
        broker_id=node,
        broker_epoch=clean_epoch,
        incarnation_id=b"n" * 16,
        end_points=[BrokerEndpoint(name="PLAINTEXT", host="new", port=1)],
        rack="r1",
    )
    return {NodeId(node): LiveBroker(epoch, record)}


def heartbeat(cluster: Cluster, node: int, epoch: int, **wants: object):
    request = BrokerHeartbeatRequest(broker_id=node, broker_epoch=epoch, **wants)  # type: ignore[arg-type]
    return cluster.apply(broker_heartbeat(request, cluster.view))


def test_a_new_broker_is_registered_fenced() -> None:
    cluster = Cluster()
    live = alive(1, 7)
    assert next_to_settle(cluster.image, live, ()) == 1
    cluster.apply(settle(NodeId(1), cluster.view, live))
    broker = cluster.image.brokers[NodeId(1)]
    assert (broker.epoch, broker.fenced, broker.in_controlled_shutdown) == (7, True, False)
    assert (broker.endpoints[0].host, broker.rack) == ("new", "r1")
    assert next_to_settle(cluster.image, live, ()) is None


def restarted(clean_epoch: int) -> Cluster:
    """Broker 1 comes back under epoch 200; its registered one is 101."""
    cluster = Cluster(1, 2, 3, settings={"min.insync.replicas": "2"})
    cluster.topic("led", partition([1, 2, 3]))
    cluster.topic("small", partition([1, 2], isr=[1, 2]))
    cluster.topic("alone", partition([1]))
    cluster.topic("eligible", partition([2, 1, 3], leader=-1, isr=[], elr=[1, 2], last_known=[1]))
    live = alive(1, 200, clean_epoch)
    assert next_to_settle(cluster.image, live, {NodeId(2), NodeId(3)}) == 1
    cluster.apply(settle(NodeId(1), cluster.view, live))
    return cluster


def states(cluster: Cluster) -> dict[str, tuple]:
    return {
        name: (p.leader, p.isr, p.elr, p.last_known_elr)
        for name, topic in cluster.image.topics.items()
        for p in topic.partitions
    }


def test_an_incarnation_with_proof_of_a_clean_stop_stays_eligible() -> None:
    assert states(restarted(clean_epoch=101)) == {
        "led": (2, (2, 3), (), ()),
        "small": (2, (2,), (1,), ()),
        "alone": (-1, (), (1,), (1,)),
        "eligible": (-1, (), (1, 2), (1,)),
    }


def test_an_incarnation_without_proof_is_trusted_with_nothing() -> None:
    for epoch in (-1, 100, 200):
        assert states(restarted(clean_epoch=epoch)) == {
            "led": (2, (2, 3), (), ()),
            "small": (2, (2,), (), ()),
            "alone": (-1, (), (), (1,)),
            "eligible": (2, (2,), (), ()),
        }


@pytest.mark.parametrize(
    ("dirs", "elr"), [((b"a", b"b"), (1,)), ((b"a", b"b", b"c"), (1,)), ((b"a",), ()), ((), ())]
)
def test_an_incarnation_with_a_log_directory_less_is_trusted_with_nothing(
    dirs: tuple[bytes, ...], elr: tuple[int, ...]
) -> None:
    cluster = Cluster(2, settings={"min.insync.replicas": "2"})
    for epoch, clean_epoch, held in ((150, -1, (b"a", b"b")), (200, 150, dirs)):
        (live,) = alive(1, epoch, clean_epoch).values()
        record = live.record
        record.log_dirs, record.incarnation_id = list(held), b"%016d" % epoch
        if epoch == 200:
            cluster.topic("t", partition([2, 1], isr=[2, 1]))
        cluster.apply(settle(NodeId(1), cluster.view, {NodeId(1): LiveBroker(epoch, record)}))
    assert states(cluster)["t"] == (2, (2,), elr, ())


def again(cluster: Cluster, node: int, epoch: int) -> dict[NodeId, LiveBroker]:
    """The process that is registered, under a new lease."""
    (live,) = alive(node, epoch).values()
    live.record.incarnation_id = cluster.image.brokers[NodeId(node)].incarnation_id
    return {NodeId(node): live}


def test_a_broker_that_lost_its_lease_unnoticed_is_what_it_was() -> None:
    cluster = Cluster(1, 2, 3)
    cluster.topic("led", partition([1, 2, 3]))
    before = cluster.image.topics
    live = again(cluster, 1, 200)
    assert next_to_settle(cluster.image, live, {NodeId(2), NodeId(3)}) == 1
    cluster.apply(settle(NodeId(1), cluster.view, live))
    assert cluster.image.topics == before
    broker = cluster.image.brokers[NodeId(1)]
    assert (broker.epoch, broker.fenced) == (200, False)
    assert next_to_settle(cluster.image, live, {NodeId(2), NodeId(3)}) is None


def test_a_broker_that_was_fenced_meanwhile_has_to_ask() -> None:
    cluster = Cluster(1, 2, 3)
    cluster.topic("led", partition([1, 2, 3]))
    cluster.apply(settle(NodeId(1), cluster.view, {}, {NodeId(2), NodeId(3)}))
    cluster.apply(settle(NodeId(1), cluster.view, again(cluster, 1, 200)))
    broker = cluster.image.brokers[NodeId(1)]
    assert (broker.epoch, broker.fenced) == (200, True)
    assert states(cluster)["led"] == (2, (2, 3), (), ())


def test_once_unfenced_the_only_replica_leads_again_under_a_new_epoch() -> None:
    for clean_epoch in (101, -1):
        cluster = restarted(clean_epoch)
        before = cluster.image.topics["alone"].partitions[0]
        decision = heartbeat(cluster, 1, 200, current_metadata_offset=200)
        after = cluster.image.topics["alone"].partitions[0]
        assert (after.leader, after.isr, after.recovering) == (1, (1,), False)
        assert after.leader_epoch == before.leader_epoch + 1
        assert not cluster.image.brokers[NodeId(1)].fenced
        assert (decision.response.is_fenced, decision.response.is_caught_up) == (False, True)


def test_a_broker_stays_fenced_until_it_has_caught_up_with_its_registration() -> None:
    cluster = restarted(101)
    decision = heartbeat(cluster, 1, 200, current_metadata_offset=199)
    assert (decision.response.is_fenced, decision.response.is_caught_up) == (True, False)
    assert not decision.changes


def test_an_unfenced_broker_asks_in_vain_for_more() -> None:
    decision = heartbeat(Cluster(1), 1, 101, current_metadata_offset=500)
    assert not decision.response.is_fenced
    assert not decision.changes


def test_a_broker_whose_lease_is_gone_is_fenced_and_its_leaderships_move() -> None:
    cluster = Cluster(1, 2, 3)
    cluster.topic("t", partition([1, 2, 3]), partition([2, 3, 1]), partition([3, 2]))
    live = alive(2, 102) | alive(3, 103)
    assert next_to_settle(cluster.image, live, ()) == 1
    cluster.apply(settle(NodeId(1), cluster.view, live))
    assert cluster.image.brokers[NodeId(1)].fenced
    assert [(p.leader, p.isr) for p in cluster.image.topics["t"].partitions] == [
        (2, (2, 3)),
        (2, (2, 3)),
        (3, (3, 2)),
    ]
    assert next_to_settle(cluster.image, live, ()) is None


def test_brokers_that_are_gone_together_stay_eligible_together() -> None:
    cluster = Cluster(1, 2, 3, settings={"min.insync.replicas": "1"})
    cluster.topic("t", partition([1, 2, 3]))
    while (node := next_to_settle(cluster.image, {}, ())) is not None:
        cluster.apply(settle(node, cluster.view, {}, ()))
    assert states(cluster)["t"] == (-1, (), (1, 2, 3), (1,))
    assert all(broker.fenced for broker in cluster.image.brokers.values())


def test_who_may_still_come_back_is_not_fenced() -> None:
    cluster = Cluster(1, 2)
    assert next_to_settle(cluster.image, {}, {NodeId(1), NodeId(2)}) is None
    assert next_to_settle(cluster.image, {}, {NodeId(1)}) == 2


def test_the_registration_is_the_last_thing_written() -> None:
    cluster = Cluster(1, 2)
    cluster.topic("t", partition([1, 2]))
    fence = settle(NodeId(1), cluster.view, alive(2, 102))
    register = settle(NodeId(1), cluster.view, alive(1, 300))
    stop = heartbeat(cluster, 1, 101, want_shut_down=True)
    for decision in (fence, register, stop):
        assert len(decision.changes) == 2
        assert decision.changes[-1].key == registration_key(1)


def test_controlled_shutdown_moves_what_it_leads_and_leaves_the_isr() -> None:
    cluster = Cluster(1, 2)
    cluster.topic("t", partition([1, 2]), partition([2, 1]), partition([1]))
    decision = heartbeat(cluster, 1, 101, want_shut_down=True)
    assert decision.response.should_shut_down
    broker = cluster.image.brokers[NodeId(1)]
    assert (broker.fenced, broker.in_controlled_shutdown) == (False, True)
    assert [(p.leader, p.isr) for p in cluster.image.topics["t"].partitions] == [
        (2, (2,)),
        (2, (2,)),
        (-1, ()),
    ]
    again = heartbeat(cluster, 1, 101, want_shut_down=True)
    assert again.response.should_shut_down
    assert not again.changes


def test_a_broker_can_ask_to_be_fenced() -> None:
    cluster = Cluster(1, 2)
    cluster.topic("t", partition([1, 2]))
    decision = heartbeat(cluster, 1, 101, want_fence=True)
    assert decision.response.is_fenced
    assert cluster.image.topics["t"].partitions[0].leader == 2
    assert not heartbeat(cluster, 1, 101, want_fence=True).changes


@pytest.mark.parametrize(
    ("node", "epoch", "code"),
    [(9, 1, E.BROKER_ID_NOT_REGISTERED), (1, 100, E.STALE_BROKER_EPOCH)],
)
def test_heartbeats_of_strangers_and_of_the_past_are_refused(
    node: int, epoch: int, code: ErrorCode
) -> None:
    with pytest.raises(KafkaError) as refused:
        heartbeat(Cluster(1), node, epoch)
    assert refused.value.code == code


def test_a_forgotten_broker_is_in_no_isr_and_no_elr() -> None:
    cluster = Cluster(1, 2)
    cluster.topic("t", partition([1, 2]), partition([2, 1], isr=[2], elr=[1]))
    cluster.apply(unregister_broker(UnregisterBrokerRequest(broker_id=1), cluster.view))
    assert list(cluster.image.brokers) == [2]
    assert [(p.leader, p.isr, p.elr) for p in cluster.image.topics["t"].partitions] == [
        (2, (2,), ()),
        (2, (2,), ()),
    ]
    with pytest.raises(KafkaError) as refused:
        unregister_broker(UnregisterBrokerRequest(broker_id=1), cluster.view)
    assert refused.value.code == E.BROKER_ID_NOT_REGISTERED


def test_an_unclean_election_is_told_to_the_operator() -> None:
    cluster = Cluster(2, settings={"unclean.leader.election.enable": "true"})
    cluster.broker(1, fenced=True)
    cluster.topic("t", partition([1, 2], leader=-1, isr=[], elr=[1], last_known=[1]))
    cluster.broker(2, fenced=True)
    decision = heartbeat(cluster, 2, 102, current_metadata_offset=102)
    (after,) = cluster.image.topics["t"].partitions
    assert (after.leader, after.recovering) == (2, True)
    (note,) = [n for n in decision.notes if n.is_warning]
    assert note.fields["topic"] == "t"
    assert note.fields["last_known_leader"] == [1]


def test_a_sole_replica_that_comes_back_is_no_unclean_election() -> None:
    """Nobody can have held more than it does; what it lost, it says itself."""
    cluster = Cluster()
    cluster.broker(1, fenced=True)
    cluster.topic("t", partition([1], leader=-1, isr=[], last_known=[1]))
    decision = heartbeat(cluster, 1, 101, current_metadata_offset=101)
    (after,) = cluster.image.topics["t"].partitions
    assert (after.leader, after.isr, after.recovering) == (1, (1,), False)
    assert [note.event for note in decision.notes if note.is_warning] == []
