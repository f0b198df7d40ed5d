"""One sentence or two for the settings that this broker acts on (DescribeConfigs, KIP-569)."""

from __future__ import annotations

from pykbroker.config.resource_tables import GROUP, TOPIC
from pykbroker.config.settings import base_name

_TEXTS = """
advertised.listeners: The addresses clients are told to connect to, by listener name. Without it, the listeners themselves.
alter.log.dirs.replication.quota.window.num: Samples kept to measure what is copied between log directories.
alter.log.dirs.replication.quota.window.size.seconds: How long one of these samples lasts.
auto.create.topics.enable: Whether a metadata request for an unknown topic creates it.
auto.leader.rebalance.enable: Whether leaderships go back to the preferred replicas from time to time.
broker.heartbeat.interval.ms: How often a broker renews its registration.
broker.id: The same as node.id.
broker.rack: Where this broker stands; replicas are spread over racks.
broker.session.timeout.ms: How long a broker may be silent before it is fenced.
compression.gzip.level: Level for batches that the broker compresses with gzip; -1 is the codec's own.
compression.lz4.level: Level for batches that the broker compresses with lz4.
compression.type: How batches are kept: as the producer sent them (producer), uncompressed, or recompressed to the named codec.
compression.zstd.level: Level for batches that the broker compresses with zstd.
connections.max.idle.ms: A connection without traffic for this long is closed; negative never.
controller.listener.names: Listeners that only controllers speak on; never advertised to clients.
controller.quorum.bootstrap.servers: A controller, as host:port, in place of controller.quorum.voters.
controller.quorum.voters: The controllers, each as id@host:port. The first one keeps the metadata.
controller.quota.window.num: Samples kept to measure controller mutations against their quota.
controller.quota.window.size.seconds: How long one of these samples lasts.
default.replication.factor: Replicas of a topic that is created without saying how many.
delete.topic.enable: Whether topics can be deleted at all.
fetch.max.bytes: The most one fetch response carries, whatever the client asks for.
follower.replication.throttled.rate: Bytes per second that this broker's throttled followers fetch.
group.initial.rebalance.delay.ms: How long the first rebalance of an empty classic group waits for more members.
group.max.session.timeout.ms: The longest session timeout a classic member may ask for.
group.max.size: The most members of one classic group.
group.min.session.timeout.ms: The shortest session timeout a classic member may ask for.
initial.broker.registration.timeout.ms: How long a starting broker waits for its node id to be free.
inter.broker.listener.name: The listener that brokers use among themselves.
leader.imbalance.check.interval.seconds: How often leaderships go back to the preferred replicas, where that is wanted.
leader.replication.throttled.rate: Bytes per second that this broker's throttled leaders send to followers.
listener.security.protocol.map: Which security protocol each listener name stands for.
listeners: Where to accept connections: NAME://host:port. An empty host is every interface, port 0 any free port.
log.cleaner.backoff.ms: How long the cleaner sleeps when there is nothing to clean.
log.cleaner.dedupe.buffer.size: Memory for the offsets of keys while cleaning, over all cleaner threads.
log.cleaner.delete.retention.ms: How long the delete markers of a compacted topic can still be read.
log.cleaner.enable: Whether compacted topics are cleaned.
log.cleaner.io.buffer.load.factor: How full the cleaner's memory of keys may get before it stops reading.
log.cleaner.io.max.bytes.per.second: The most the cleaner reads and writes per second.
log.cleaner.max.compaction.lag.ms: A record is compacted at the latest this long after it was written.
log.cleaner.min.cleanable.ratio: How much of a log must be uncleaned before the cleaner takes it on.
log.cleaner.min.compaction.lag.ms: A record is left alone by compaction at least this long.
log.cleaner.threads: How many logs are cleaned at a time.
log.cleanup.policy: What happens to old records: delete, compact, both, or with an empty list nothing.
log.dir: The log directory where log.dirs is not set.
log.dirs: The directories that logs are kept in.
log.flush.interval.messages: After this many records in a partition it is forced to disk.
log.flush.interval.ms: After this long, records are forced to disk.
log.flush.offset.checkpoint.interval.ms: How often the recovery points are written down.
log.flush.scheduler.interval.ms: How often logs are looked at for records to force to disk.
log.flush.start.offset.checkpoint.interval.ms: How often the log start offsets are written down.
log.index.interval.bytes: About how many bytes of log there are between two entries of its index.
log.index.size.max.bytes: The largest size of an index file; a segment rolls when its index is full.
log.message.timestamp.after.max.ms: How far a record's timestamp may lie ahead of the broker's clock.
log.message.timestamp.before.max.ms: How far a record's timestamp may lie behind the broker's clock.
log.message.timestamp.type: Whether records keep the producer's time (CreateTime) or get the broker's (LogAppendTime).
log.retention.bytes: How large a partition may grow before old segments are deleted; negative is without limit.
log.retention.check.interval.ms: How often logs are checked for segments to delete.
log.retention.hours: As log.retention.ms, in hours; it counts last.
log.retention.minutes: As log.retention.ms, in minutes; it counts where log.retention.ms is not set.
log.retention.ms: How long a segment is kept after its newest record; -1 is without limit.
log.roll.hours: As log.roll.ms, in hours; it counts where log.roll.ms is not set.
log.roll.jitter.hours: As log.roll.jitter.ms, in hours; it counts where log.roll.jitter.ms is not set.
log.roll.jitter.ms: At most how much earlier a segment rolls, chosen at random.
log.roll.ms: How long a segment takes records before a new one is begun.
log.segment.bytes: How large a segment grows before a new one is begun.
log.segment.delete.delay.ms: How long the files of a deleted segment stay on disk.
max.connection.creation.rate: New connections per second that the broker, or with a listener prefix a listener, accepts.
max.connections: The most connections of the broker, or with a listener prefix of a listener.
max.connections.per.ip: The most connections from one address.
max.connections.per.ip.overrides: Other limits for named hosts or addresses: host:limit,host:limit.
max.decompressed.message.bytes: The largest size of one record once decompressed.
max.incremental.fetch.session.cache.slots: How many incremental fetch sessions are kept.
max.request.partition.size.limit: The most partitions in one answer to DescribeTopicPartitions.
message.max.bytes: The largest record batch that is accepted, as it arrives.
metadata.log.dir: Where the cluster's metadata is kept; the first log directory unless set.
min.insync.replicas: How many replicas must be in sync for a write with acks=all.
node.id: The number of this broker in its cluster.
num.partitions: Partitions of a topic that is created without saying how many.
num.replica.fetchers: How many fetchers follow one leading broker.
offset.metadata.max.bytes: The longest metadata that may be committed with an offset.
offsets.commit.timeout.ms: How long a commit waits for the replicas of its partition.
offsets.retention.check.interval.ms: How often expired offsets are looked for.
offsets.retention.minutes: How long the offsets of a group without members are kept.
offsets.topic.compression.codec: The codec of the offsets topic, by its number.
offsets.topic.num.partitions: Partitions of the offsets topic when it is created.
offsets.topic.replication.factor: Replicas of the offsets topic when it is created.
offsets.topic.segment.bytes: Segment size of the offsets topic when it is created.
process.roles: What this process is: broker, controller, or both.
producer.id.expiration.check.interval.ms: How often idle producer ids are looked for.
producer.id.expiration.ms: How long the state of an idle producer id is kept.
pykbroker.etcd.ca.location: A file with the certificates that etcd's are checked against, instead of the system's.
pykbroker.etcd.certificate.location: A file with the certificate chain that is shown to etcd.
pykbroker.etcd.key.location: A file with the key of that certificate, where it is not in the same file.
pykbroker.etcd.max.txn.ops: How many operations etcd allows in a transaction (its --max-txn-ops).
pykbroker.etcd.password: The password of the user at etcd.
pykbroker.etcd.prefix: What the cluster's keys begin with in etcd: one for each cluster.
pykbroker.etcd.tls.enable: Whether etcd is reached over TLS. A location of certificates implies it.
pykbroker.etcd.username: Who this broker is at etcd.
pykbroker.source.host: The local address of connections to other brokers and to their metadata store.
pykbroker.validate.records: Whether every record of a produced batch is read and checked, not the batch alone.
quota.window.num: Samples kept to measure clients against their quotas.
quota.window.size.seconds: How long one of these samples lasts.
replica.alter.log.dirs.io.max.bytes.per.second: How fast replicas are moved between log directories.
replica.fetch.backoff.ms: How long a follower waits at the most before it tries a failed leader again.
replica.fetch.max.bytes: The most a follower asks of one partition at a time.
replica.fetch.min.bytes: How much a follower waits for before it is answered.
replica.fetch.response.max.bytes: The most a follower asks for at a time.
replica.fetch.wait.max.ms: How long a follower's fetch waits for something new.
replica.high.watermark.checkpoint.interval.ms: How often the high watermarks are written down.
replica.lag.time.max.ms: How long a follower may be behind before it is no longer in sync.
replica.selector.class: RackAwareReplicaSelector sends consumers to a replica in their own rack.
replica.socket.timeout.ms: How long a follower waits for the answer to a fetch.
replication.quota.window.num: Samples kept to measure throttled replication against its rates.
replication.quota.window.size.seconds: How long one of these samples lasts.
request.timeout.ms: How long this broker waits for another one's answer.
security.inter.broker.protocol: The protocol brokers use among themselves where no listener is named for that.
socket.connection.setup.timeout.ms: How long a connection to another broker may take to come about.
socket.request.max.bytes: The largest request; more closes the connection.
telemetry.max.bytes: The largest metrics push of a client, as it arrives.
unclean.leader.election.enable: Whether a replica that is out of sync may lead when no other is left, losing records.
unclean.leader.election.interval.ms: How often partitions without a leader are looked after where an unclean election is allowed.
segment.jitter.ms: At most how much earlier a segment rolls, chosen at random.
follower.replication.throttled.replicas: Replicas that are throttled as followers, by their brokers' rate: partition:broker pairs, or *.
leader.replication.throttled.replicas: Replicas that are throttled as leaders, by their brokers' rate: partition:broker pairs, or *.
consumer.heartbeat.interval.ms: How often members of a consumer group send heartbeats.
consumer.session.timeout.ms: How long a member of a consumer group may be silent before it is removed.
interval.ms: How often clients push their metrics.
match: Which clients the subscription is for: parameter=regular expression pairs that must all match.
metrics: Prefixes of the metrics that clients shall push; * is all of them.
"""  # noqa: E501

_known: dict[str, str] = {}


def documentation_of(name: str) -> str | None:
    """None where there is nothing to say, as for settings without effect."""
    if not _known:
        for line in _TEXTS.strip().split("\n"):
            name_, _, sentence = line.partition(": ")
            _known[name_] = sentence
    text = _known.get(base_name(name))
    if text is None:
        definition = TOPIC.get(name) or GROUP.get(name)
        if definition is not None and definition.extras:
            text = _known.get(definition.extras[0])
    return text
