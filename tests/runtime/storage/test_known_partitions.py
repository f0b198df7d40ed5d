from __future__ import annotations

from pykbroker.config.settings import Settings
from pykbroker.runtime.storage.known import known_partitions
from pykbroker.state.controller.image import (
    ConfigResource,
    MetadataImage,
    PartitionImage,
    TopicImage,
)
from pykbroker.state.types import NO_TOPIC_ID, NodeId, TopicId, TopicPartition

HERE = TopicId(bytes(15) + b"\1")
ELSEWHERE = TopicId(bytes(15) + b"\2")
ONE = NodeId(1)
IMAGE = MetadataImage(
    topics={
        "t": TopicImage("t", HERE, tuple(PartitionImage(ONE, e, 0, (ONE,), (ONE,)) for e in (3, 8)))
    },
    configs={ConfigResource(2, "t"): {"cleanup.policy": "compact"}},
)
known = known_partitions(IMAGE, Settings({}))


def test_epoch_and_settings_of_a_partition_are_told() -> None:
    for topic_id in (HERE, NO_TOPIC_ID):
        found = known(TopicPartition("t", 1), topic_id)
        assert found is not None
        assert found.leader_epoch == 8
        assert found.config.cleanup_compact


def test_of_others_nothing_is_known() -> None:
    assert known(TopicPartition("t", 2), HERE) is None
    assert known(TopicPartition("t", 0), ELSEWHERE) is None
    assert known(TopicPartition("u", 0), HERE) is None
