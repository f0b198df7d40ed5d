"""Which broker settings change what this broker does, and which of them clients are shown.

A setting that Kafka knows and that is not named here is accepted, and named once at start as
without effect. Topics' settings without effect are in ``TOPIC_WITHOUT_EFFECT``.
"""

from __future__ import annotations

EFFECTIVE = frozenset(
    """
advertised.listeners
alter.log.dirs.replication.quota.window.num alter.log.dirs.replication.quota.window.size.seconds
auto.create.topics.enable auto.leader.rebalance.enable
broker.heartbeat.interval.ms broker.id broker.rack broker.session.timeout.ms
compression.gzip.level compression.lz4.level compression.type compression.zstd.level
connections.max.idle.ms controller.listener.names controller.quorum.bootstrap.servers
controller.quorum.voters
controller.quota.window.num controller.quota.window.size.seconds
default.replication.factor delete.topic.enable
fetch.max.bytes follower.replication.throttled.rate
group.initial.rebalance.delay.ms group.max.session.timeout.ms group.max.size
group.min.session.timeout.ms
initial.broker.registration.timeout.ms inter.broker.listener.name
leader.imbalance.check.interval.seconds leader.replication.throttled.rate
listener.security.protocol.map listeners
log.cleaner.backoff.ms log.cleaner.delete.retention.ms log.cleaner.enable
log.cleaner.dedupe.buffer.size log.cleaner.io.buffer.load.factor
log.cleaner.io.max.bytes.per.second log.cleaner.max.compaction.lag.ms
log.cleaner.min.cleanable.ratio log.cleaner.min.compaction.lag.ms log.cleaner.threads
log.cleanup.policy log.dir log.dirs
log.flush.interval.messages log.flush.interval.ms log.flush.offset.checkpoint.interval.ms
log.flush.scheduler.interval.ms log.flush.start.offset.checkpoint.interval.ms
log.index.interval.bytes log.index.size.max.bytes log.initial.task.delay.ms
log.message.timestamp.after.max.ms log.message.timestamp.before.max.ms log.message.timestamp.type
log.retention.bytes log.retention.check.interval.ms log.retention.hours
log.retention.minutes log.retention.ms
log.roll.hours log.roll.jitter.hours log.roll.jitter.ms log.roll.ms
log.segment.bytes log.segment.delete.delay.ms
max.connection.creation.rate max.connections max.connections.per.ip
max.connections.per.ip.overrides max.decompressed.message.bytes
max.incremental.fetch.session.cache.slots
max.request.partition.size.limit message.max.bytes metadata.log.dir min.insync.replicas
node.id num.partitions num.replica.fetchers
offset.metadata.max.bytes offsets.commit.timeout.ms offsets.retention.check.interval.ms
offsets.retention.minutes offsets.topic.compression.codec offsets.topic.num.partitions
offsets.topic.replication.factor offsets.topic.segment.bytes
process.roles producer.id.expiration.check.interval.ms producer.id.expiration.ms
pykbroker.etcd.ca.location pykbroker.etcd.certificate.location pykbroker.etcd.key.location
pykbroker.etcd.max.txn.ops pykbroker.etcd.password pykbroker.etcd.prefix
pykbroker.etcd.tls.enable pykbroker.etcd.username
pykbroker.source.host pykbroker.validate.records
quota.window.num quota.window.size.seconds
replica.alter.log.dirs.io.max.bytes.per.second replica.fetch.backoff.ms replica.fetch.max.bytes
replica.fetch.min.bytes replica.fetch.response.max.bytes replica.fetch.wait.max.ms
replica.high.watermark.checkpoint.interval.ms replica.lag.time.max.ms replica.selector.class
replica.socket.timeout.ms replication.quota.window.num replication.quota.window.size.seconds
request.timeout.ms
security.inter.broker.protocol
socket.connection.setup.timeout.ms socket.request.max.bytes
telemetry.max.bytes
unclean.leader.election.enable unclean.leader.election.interval.ms
""".split()  # noqa: SIM905
)

ONLY_AT_START = frozenset(("listener.security.protocol.map", "listeners"))
"""Kafka changes these while it runs; here they are read once."""

HIDDEN_PREFIXES = (
    "add.partitions.to.txn.",
    "cordoned.log.dirs",
    "delegation.token.",
    "errors.deadletterqueue.",
    "follower.fetch.last.tiered.",
    "group.consumer.",
    "group.coordinator.cached.",
    "group.share.",
    "group.streams.",
    "log.local.retention.",
    "log.remote.",
    "principal.builder.class",
    "remote.",
    "sasl.",
    "share.",
    "ssl.",
    "transaction.",
    "transactional.",
)
"""Settings of features that are not there are known and accepted, and not shown to clients."""


def is_shown(name: str) -> bool:
    """Whether DescribeConfigs lists it where nobody set it or asked for it by name."""
    return not name.startswith(HIDDEN_PREFIXES)


TOPIC_WITHOUT_EFFECT = frozenset(
    """
errors.deadletterqueue.group.enable
local.retention.bytes local.retention.ms
preallocate
remote.copy.lag.bytes remote.copy.lag.ms
remote.log.copy.disable remote.log.delete.on.disable
""".split()  # noqa: SIM905
)
