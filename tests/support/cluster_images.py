"""Small clusters for tests of the controller, and what a decision makes of them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from pykbroker.config.settings import Settings
from pykbroker.state.controller.decision import View
from pykbroker.state.controller.facts import Change
from pykbroker.state.controller.feature_levels import level_change
from pykbroker.state.controller.image import Endpoint, MetadataImage, PartitionImage
from pykbroker.state.controller.keys import partition_key, registration_key, topic_key
from pykbroker.state.controller.replay import Replay, partition_record
from pykbroker.state.types import LeaderEpoch, NodeId, TopicId
from wire.messages.metadata_records import (
    BrokerEndpoint,
    BrokerFeature,
    ConfigRecord,
    RegisterBrokerRecord,
    TopicRecord,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pykbroker.state.controller.decision import Decision

PLAINTEXT = Endpoint("PLAINTEXT", "localhost", 9092, 0)


def nodes(*ids: int) -> tuple[NodeId, ...]:
    return tuple(NodeId(node) for node in ids)


def topic_id(number: int) -> TopicId:
    return TopicId(b"topic" + number.to_bytes(11, "big"))


def partition(
    replicas: Iterable[int],
    *,
    leader: int | None = None,
    isr: Iterable[int] | None = None,
    elr: Iterable[int] = (),
    last_known: Iterable[int] = (),
    leader_epoch: int = 5,
    partition_epoch: int = 9,
    recovering: bool = False,
    adding: Iterable[int] = (),
    removing: Iterable[int] = (),
) -> PartitionImage:
    all_replicas = nodes(*replicas)
    return PartitionImage(
        all_replicas[0] if leader is None else NodeId(leader),
        LeaderEpoch(leader_epoch),
        partition_epoch,
        all_replicas,
        all_replicas if isr is None else nodes(*isr),
        nodes(*elr),
        nodes(*last_known),
        nodes(*adding),
        nodes(*removing),
        recovering,
    )


class Cluster:
    """A replayed cluster to which decisions can be applied."""

    def __init__(
        self,
        *brokers: int,
        settings: dict[str, str] | None = None,
        seed: int = 0,
        elr: bool = True,
    ) -> None:
        """``elr``: with eligible leader replicas, as every new cluster."""
        self.replay = Replay()
        if elr:
            self.replay.assume([level_change("eligible.leader.replicas.version", 1)])
        self.settings = Settings(settings or {})
        self.rng = random.Random(seed)
        self._topics = 0
        for node in brokers:
            self.broker(node)

    @property
    def image(self) -> MetadataImage:
        return self.replay.image

    @property
    def view(self) -> View:
        return View(self.image, self.settings, self.rng)

    def apply(self, decision: Decision) -> Decision:
        self.replay.assume(decision.changes)
        return decision

    def broker(
        self,
        node: int,
        *,
        epoch: int | None = None,
        fenced: bool = False,
        stopping: bool = False,
        rack: str | None = None,
        features: dict[str, tuple[int, int]] | None = None,
    ) -> None:
        record = RegisterBrokerRecord(
            broker_id=node,
            broker_epoch=100 + node if epoch is None else epoch,
            incarnation_id=bytes([node]) * 16,
            end_points=[BrokerEndpoint(name="PLAINTEXT", host="localhost", port=9092 + node)],
            features=[
                BrokerFeature(name=name, min_supported_version=low, max_supported_version=high)
                for name, (low, high) in (features or {"metadata.version": (7, 30)}).items()
            ],
            rack=rack,
            fenced=fenced,
            in_controlled_shutdown=stopping,
        )
        self.replay.assume([Change(registration_key(node), record)])

    def topic(self, name: str, *partitions: PartitionImage) -> TopicId:
        self._topics += 1
        id_ = topic_id(self._topics)
        changes = [
            Change(partition_key(id_, index), partition_record(id_, index, p))
            for index, p in enumerate(partitions)
        ]
        changes.append(Change(topic_key(name), TopicRecord(name=name, topic_id=id_)))
        self.replay.assume(changes)
        return id_

    def config(self, name: str, config: str, value: str) -> None:
        from pykbroker.state.controller.image import ConfigResource
        from pykbroker.state.controller.keys import config_key

        record = ConfigRecord(resource_type=2, resource_name=name, name=config, value=value)
        self.replay.assume([Change(config_key(ConfigResource(2, name), config), record)])
