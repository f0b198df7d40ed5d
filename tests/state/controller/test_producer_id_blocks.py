"""Blocks of producer ids never overlap."""

from __future__ import annotations

import pytest

from pykbroker.state.controller.facts import Change
from pykbroker.state.controller.keys import PRODUCER_IDS
from pykbroker.state.controller.producer_ids import allocate_producer_ids
from pykbroker.state.errors import KafkaError
from tests.support.cluster_images import Cluster
from wire.errors import ErrorCode
from wire.messages.allocate_producer_ids import AllocateProducerIdsRequest
from wire.messages.metadata_records import ProducerIdsRecord


def allocate(cluster: Cluster, node: int, epoch: int) -> range:
    request = AllocateProducerIdsRequest(broker_id=node, broker_epoch=epoch)
    answer = cluster.apply(allocate_producer_ids(request, cluster.view)).response
    return range(answer.producer_id_start, answer.producer_id_start + answer.producer_id_len)


def test_blocks_follow_each_other_whoever_asks() -> None:
    cluster = Cluster(1, 2)
    blocks = [allocate(cluster, node, 100 + node) for node in (1, 2, 1)]
    assert blocks == [range(0, 1000), range(1000, 2000), range(2000, 3000)]


@pytest.mark.parametrize(("node", "epoch"), [(1, 100), (9, 101)])
def test_brokers_of_the_past_get_none(node: int, epoch: int) -> None:
    with pytest.raises(KafkaError) as refused:
        allocate(Cluster(1), node, epoch)
    assert refused.value.code == ErrorCode.STALE_BROKER_EPOCH


def test_the_last_block_is_the_last() -> None:
    cluster = Cluster(1)
    end = ProducerIdsRecord(next_producer_id=(1 << 63) - 1500)
    cluster.replay.assume([Change(PRODUCER_IDS, end)])
    assert allocate(cluster, 1, 101).stop == (1 << 63) - 500
    with pytest.raises(KafkaError) as refused:
        allocate(cluster, 1, 101)
    assert refused.value.code == ErrorCode.UNKNOWN_SERVER_ERROR
