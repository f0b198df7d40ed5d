"""Of the groups that this broker coordinates, and how far behind they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.state.errors import KafkaError
from pykbroker.state.types import TopicPartition
from wire.tuples import Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pykbroker.runtime.figures.rates import Rates
    from pykbroker.runtime.figures.table import Sample
    from pykbroker.runtime.replica_manager import ReplicaManager
    from pykbroker.runtime.services import Services
    from pykbroker.state.group.offsets import CommittedOffset, OffsetKey

GROUP_LIMIT, OFFSET_LIMIT = 10_000, 20_000
"""Groups and committed offsets with series of their own."""
_STATES = ("PreparingRebalance", "CompletingRebalance", "Stable", "Empty", "Dead")
_MANAGER = "kafka_coordinator_group_groupmetadatamanager_num"
_COORDINATOR = "kafka_server_group_coordinator_metrics_"
_GROUP = "kafka_consumergroup_"


def coordinator_totals(broker: Services) -> dict[str, float]:
    """Whose rates are told, by the names of those."""
    counts = broker.groups.counts
    return {
        f"{_COORDINATOR}offset_commit": counts.commits,
        f"{_COORDINATOR}offset_expiration": counts.expirations,
        f"{_COORDINATOR}offset_deletion": counts.deletions,
        f"{_COORDINATOR}group_completed_rebalance": counts.rebalances,
    }


def _coordinator(broker: Services, rates: Rates) -> Iterator[Sample | None]:
    now_ms = broker.clock.monotonic_ms()
    for name, total in coordinator_totals(broker).items():
        yield f"{name}_count", (), total
        yield f"{name}_rate", (), rates.rate(name, total, now_ms)
    loads = broker.groups.loads
    yield f"{_COORDINATOR}partition_load_time_max", (), loads.longest_ms
    yield f"{_COORDINATOR}partition_load_time_avg", (), loads.mean_ms


class Ends(Protocol):
    """Where partitions end that other brokers lead."""

    def end(self, topic_partition: TopicPartition) -> int | None: ...


def committed_partitions(broker: Services) -> Iterator[TopicPartition | None]:
    """What the groups that are coordinated here have committed; not each of them once."""
    for shard in broker.groups.shards():
        for _, committed in list(shard.offsets.groups()):
            yield None
            for key in list(committed):
                yield TopicPartition(key.topic, key.partition)


def group_samples(broker: Services, rates: Rates, ends: Ends) -> Iterator[Sample | None]:
    yield from _coordinator(broker, rates)
    states = dict.fromkeys(_STATES, 0)
    groups = offsets = left_out = 0
    for shard in broker.groups.shards():
        for group in list(shard.groups.values()):
            yield None
            groups += 1
            states[group.state.value] += 1
            committed = shard.offsets.of_group(group.group_id)
            offsets += len(committed)
            if groups > GROUP_LIMIT or offsets - left_out > OFFSET_LIMIT:
                left_out += len(committed) or 1
                continue
            yield f"{_GROUP}members", (group.group_id,), len(group.members)
            yield from _committed(broker.replicas, ends, group.group_id, dict(committed))
    yield f"{_MANAGER}groups", (), groups
    yield f"{_COORDINATOR}protocol_classic_group_count", (), groups
    yield f"{_MANAGER}offsets", (), offsets
    for state, count in states.items():
        yield f"{_MANAGER}groups{state.lower()}", (), count
    yield "pykbroker_metrics_left_out", (), left_out


def _committed(
    replicas: ReplicaManager,
    ends: Ends,
    group_id: str,
    committed: Mapping[OffsetKey, CommittedOffset],
) -> Iterator[Sample | None]:
    offsets: dict[str, int] = {}
    lags: dict[str, int | None] = {}
    for (topic, index), found in committed.items():
        yield None
        labels = (group_id, topic, str(index))
        yield f"{_GROUP}current_offset", labels, found.offset
        offsets[topic] = offsets.get(topic, 0) + found.offset
        end = _end(replicas, ends, TopicPartition(topic, index))
        lag = None if end is None else max(0, end - found.offset)
        so_far = lags.get(topic, 0)
        lags[topic] = None if so_far is None or lag is None else so_far + lag
        if lag is not None:
            yield f"{_GROUP}lag", labels, lag
    for topic, total in offsets.items():
        yield f"{_GROUP}current_offset_sum", (group_id, topic), total
        lag = lags[topic]
        if lag is not None:
            yield f"{_GROUP}lag_sum", (group_id, topic), lag


def _end(replicas: ReplicaManager, ends: Ends, topic_partition: TopicPartition) -> int | None:
    """None where nobody can say. A replica here may lag behind what its leader says itself."""
    partition = replicas.find(topic_partition)
    if partition is None or not partition.is_leader:
        told = ends.end(topic_partition)
        if told is not None or partition is None:
            return told
    try:
        return partition.log.high_watermark
    except KafkaError:
        return None
