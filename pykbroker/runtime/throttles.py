"""Replication throttles in force (KIP-73): this broker's quotas as a leader and as a follower.

Which partitions they are about stands in the topics' settings, and so in each log's; the rates are
dynamic settings of the broker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.state.replication_quota import ReplicationQuota

if TYPE_CHECKING:
    from pykbroker.config.settings import DynamicSettings, Settings
    from pykbroker.config.topic import ThrottledReplicas
    from pykbroker.ports import Clock
    from pykbroker.runtime.partition import Partition
    from pykbroker.state.types import NodeId

LEADER_RATE = "leader.replication.throttled.rate"
FOLLOWER_RATE = "follower.replication.throttled.rate"


def replication_quota(settings: Settings) -> ReplicationQuota:
    """Its windows are those of the broker's start, its limit is still to be set."""
    return ReplicationQuota(
        settings.int("replication.quota.window.num"),
        settings.int("replication.quota.window.size.seconds") * 1000,
    )


class Throttles:
    def __init__(self, node_id: NodeId, clock: Clock, settings: DynamicSettings) -> None:
        self._node_id = node_id
        self._clock = clock
        self._settings = settings
        self.leader = replication_quota(settings.current)
        self.follower = replication_quota(settings.current)
        self._settings_changed(frozenset())
        settings.on_change(self._settings_changed)

    def _settings_changed(self, _: frozenset[str]) -> None:
        settings = self._settings.current
        self.leader.limit = settings.int(LEADER_RATE)
        self.follower.limit = settings.int(FOLLOWER_RATE)

    def _names(self, replicas: ThrottledReplicas, partition: Partition) -> bool:
        return bool(replicas) and replicas.covers(
            partition.topic_partition.partition, self._node_id
        )

    # As a leader

    def is_throttled_leader(self, partition: Partition) -> bool:
        config = partition.stored_log.config
        return self._names(config.leader_replication_throttled_replicas, partition)

    def holds_back(self, partition: Partition, follower: NodeId) -> bool:
        """Whether that follower is to be sent nothing of it now. Never one that is in sync."""
        return (
            self.is_throttled_leader(partition)
            and follower not in partition.state.isr
            and self.leader.is_exceeded(self._clock.monotonic_ms())
        )

    def sent(self, size: int) -> None:
        """Of throttled partitions, to whichever follower."""
        self.leader.record(size, self._clock.monotonic_ms())

    # As a follower

    def is_throttled_follower(self, partition: Partition) -> bool:
        config = partition.stored_log.config
        return self._names(config.follower_replication_throttled_replicas, partition)

    def received(self, size: int) -> None:
        """Of throttled partitions, in sync or not."""
        self.follower.record(size, self._clock.monotonic_ms())

    def leaves_out(self) -> bool:
        """Whether throttled partitions that are not in sync are not to be asked for now."""
        return self.follower.is_exceeded(self._clock.monotonic_ms())
