"""Of the partitions that this broker holds: replica manager, topics' traffic, logs, replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.state.errors import KafkaError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pykbroker.runtime.figures.table import Sample
    from pykbroker.runtime.partition import Partition
    from pykbroker.runtime.replica_manager import ReplicaManager
    from pykbroker.runtime.services import Services

PARTITION_LIMIT = 10_000
"""Partitions with series of their own; the sums are of all."""

TOPIC_LIMIT = 10_000
"""Topics with series of their own."""

_LOG = "kafka_log_log_"
_ONE = "kafka_cluster_partition_"
_TOPIC = "kafka_topic_partition_"
_SUM = "kafka_server_replicamanager_"
_TRAFFIC = "kafka_server_brokertopicmetrics_"
_COUNTED = {
    "messagesin": "records_in",
    "bytesin": "bytes_in",
    "bytesout": "bytes_out",
    "bytesrejected": "bytes_rejected",
    "totalproducerequests": "produces",
    "failedproducerequests": "failed_produces",
    "totalfetchrequests": "fetches",
    "failedfetchrequests": "failed_fetches",
    "producemessageconversions": "produce_conversions",
    "fetchmessageconversions": "fetch_conversions",
}
_REFUSED = {
    "magic": "invalidmagicnumberrecords",
    "crc": "invalidmessagecrcrecords",
    "offset": "invalidoffsetorsequencerecords",
    "keyless": "nokeycompactedtopicrecords",
}


def partition_samples(replicas: ReplicaManager) -> Iterator[Sample | None]:
    """None is a good place to pause."""
    partitions = list(replicas.partitions())
    yield from _sums(replicas, partitions)
    for partition in partitions[:PARTITION_LIMIT]:
        yield from _log(partition)
        yield from _replicas(partition)
    yield "pykbroker_metrics_left_out", (), max(0, len(partitions) - PARTITION_LIMIT)


def _min_isr(partition: Partition) -> int:
    return partition.state.effective_min_isr(partition.stored_log.config.min_insync_replicas)


def _lacks_replicas(partition: Partition) -> bool:
    """As Kafka counts: those that a reassignment adds are not missed yet."""
    state = partition.state
    return len(state.isr) < len(state.replicas) - len(state.adding)


def _sums(replicas: ReplicaManager, partitions: list[Partition]) -> Iterator[Sample | None]:
    led = under_replicated = under_min = at_min = moving = producers = 0
    for partition in partitions:
        yield None
        state, log = partition.state, partition.stored_log
        producers += len(log.producers.entries) if log.is_loaded else 0
        if not state.is_leader:
            continue
        in_sync, needed = len(state.isr), _min_isr(partition)
        led += 1
        under_replicated += _lacks_replicas(partition)
        under_min += in_sync < needed
        at_min += in_sync == needed
        moving += bool(state.adding or state.removing)
    yield f"{_SUM}partitioncount", (), len(partitions) + replicas.offline_count
    yield f"{_SUM}leadercount", (), led
    yield f"{_SUM}offlinereplicacount", (), replicas.offline_count
    yield f"{_SUM}underreplicatedpartitions", (), under_replicated
    yield f"{_SUM}underminisrpartitioncount", (), under_min
    yield f"{_SUM}atminisrpartitioncount", (), at_min
    yield f"{_SUM}reassigningpartitions", (), moving
    yield f"{_SUM}produceridcount", (), producers


def traffic_samples(broker: Services) -> Iterator[Sample | None]:
    """Told by topic and in all."""
    traffic = broker.replicas.traffic
    for session in broker.fetch_sessions.sessions():
        yield None
        session.settle()
    topics = list(traffic.topics.items())
    for kind, field in _COUNTED.items():
        name = f"{_TRAFFIC}{kind}_total"
        total = getattr(traffic.others, field)
        for number, (topic, counts) in enumerate(topics):
            yield None
            count = getattr(counts, field)
            total += count
            if number < TOPIC_LIMIT:
                yield name, (topic,), count
        yield name, (), total
    yield f"{_TRAFFIC}replicationbytesin_total", (), traffic.replicated_in
    yield f"{_TRAFFIC}replicationbytesout_total", (), traffic.replicated_out
    yield f"{_TRAFFIC}reassignmentbytesin_total", (), traffic.reassigned_in
    yield f"{_TRAFFIC}reassignmentbytesout_total", (), traffic.reassigned_out
    for kind, name in _REFUSED.items():
        yield f"{_TRAFFIC}{name}_total", (), traffic.refused[kind]


def _log(partition: Partition) -> Iterator[Sample | None]:
    topic, index = partition.topic_partition
    labels = (topic, str(index))
    yield None
    try:
        log = partition.log
    except KafkaError:
        return  # It has just gone offline with its log directory, and counts there.
    segments = log.segments
    yield f"{_LOG}size", labels, sum(segment.size for segment in segments)
    yield f"{_LOG}logendoffset", labels, log.log_end_offset
    yield f"{_LOG}logstartoffset", labels, log.log_start_offset
    yield f"{_LOG}numlogsegments", labels, len(segments)
    yield f"{_ONE}laststableoffsetlag", labels, log.high_watermark - log.last_stable_offset
    if partition.is_leader:
        yield f"{_TOPIC}current_offset", labels, log.high_watermark
        yield f"{_TOPIC}oldest_offset", labels, log.log_start_offset


def _replicas(partition: Partition) -> Iterator[Sample | None]:
    topic, index = partition.topic_partition
    labels = (topic, str(index))
    state = partition.state
    leads, in_sync, needed = state.is_leader, len(state.isr), _min_isr(partition)
    lacks = leads and _lacks_replicas(partition)
    yield f"{_ONE}underreplicated", labels, lacks
    yield f"{_ONE}underminisr", labels, leads and in_sync < needed
    yield f"{_ONE}atminisr", labels, leads and in_sync == needed
    yield f"{_ONE}insyncreplicascount", labels, in_sync if leads else 0
    yield f"{_ONE}replicascount", labels, len(state.replicas) if leads else 0
    if leads:
        yield f"{_TOPIC}in_sync_replica", labels, in_sync
        yield f"{_TOPIC}leader", labels, state.leader
        yield f"{_TOPIC}leader_is_preferred", labels, state.replicas[0] == state.leader
        yield f"{_TOPIC}replicas", labels, len(state.replicas)
        yield f"{_TOPIC}under_replicated_partition", labels, lacks
