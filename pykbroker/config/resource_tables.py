"""Settings of topics, groups and client-metrics subscriptions; the notation is in ``definitions``.

A topic's or group's setting that is not set falls back to the broker setting named on its line.
"""

from __future__ import annotations

from pykbroker.config.definitions import Table

TOPIC = Table("""
cleanup.policy list delete each(compact,delete) mc log.cleanup.policy
compression.gzip.level int -1 -1|1..9 mc compression.gzip.level
compression.lz4.level int 9 1..17 mc compression.lz4.level
compression.type string producer in(uncompressed,zstd,lz4,snappy,gzip,producer) mc compression.type
compression.zstd.level int 3 -131072..22 mc compression.zstd.level
delete.retention.ms long 86400000 0.. mc log.cleaner.delete.retention.ms
errors.deadletterqueue.group.enable bool false - mc
file.delete.delay.ms long 60000 0.. mc log.segment.delete.delay.ms
flush.messages long 9223372036854775807 1.. mc log.flush.interval.messages
flush.ms long 9223372036854775807 0.. mc log.flush.interval.ms
follower.replication.throttled.replicas list '' replicas mc
index.interval.bytes int 4096 0.. mc log.index.interval.bytes
internal.segment.bytes int ~ - mci
leader.replication.throttled.replicas list '' replicas mc
local.retention.bytes long -2 -2.. mc log.local.retention.bytes
local.retention.ms long -2 -2.. mc log.local.retention.ms
max.compaction.lag.ms long 9223372036854775807 1.. mc log.cleaner.max.compaction.lag.ms
max.decompressed.message.bytes int 2147483639 1..2147483639 mc max.decompressed.message.bytes
max.message.bytes int 1048588 0.. mc message.max.bytes
message.timestamp.after.max.ms long 3600000 0.. mc log.message.timestamp.after.max.ms
message.timestamp.before.max.ms long 9223372036854775807 0.. mc log.message.timestamp.before.max.ms
message.timestamp.type string CreateTime in(CreateTime,LogAppendTime) mc log.message.timestamp.type
min.cleanable.dirty.ratio double 0.5 0..1 mc log.cleaner.min.cleanable.ratio
min.compaction.lag.ms long 0 0.. mc log.cleaner.min.compaction.lag.ms
min.insync.replicas int 1 1.. mc min.insync.replicas
preallocate bool false - mc log.preallocate
remote.copy.lag.bytes long -1 -1.. mc log.remote.copy.lag.bytes
remote.copy.lag.ms long 0 -1.. mc log.remote.copy.lag.ms
remote.log.copy.disable bool false - mc
remote.log.delete.on.disable bool false - mc
remote.storage.enable bool false - mc
retention.bytes long -1 - mc log.retention.bytes
retention.ms long 604800000 -1.. mc log.retention.ms
segment.bytes int 1073741824 1048576.. mc log.segment.bytes
segment.index.bytes int 10485760 4.. mc log.index.size.max.bytes
segment.jitter.ms long 0 0.. mc log.roll.jitter.ms
segment.ms long 604800000 1.. mc log.roll.ms
unclean.leader.election.enable bool false - mc unclean.leader.election.enable
""")

GROUP = Table("""
consumer.assignment.interval.ms int 1000 0.. mc group.consumer.assignment.interval.ms group.consumer.min.assignment.interval.ms group.consumer.max.assignment.interval.ms
consumer.heartbeat.interval.ms int 5000 1.. mc group.consumer.heartbeat.interval.ms group.consumer.min.heartbeat.interval.ms group.consumer.max.heartbeat.interval.ms
consumer.session.timeout.ms int 45000 1.. mc group.consumer.session.timeout.ms group.consumer.min.session.timeout.ms group.consumer.max.session.timeout.ms
errors.deadletterqueue.copy.record.enable bool false - mc -
errors.deadletterqueue.topic.name string '' - mc -
share.assignment.interval.ms int 1000 0.. mc group.share.assignment.interval.ms group.share.min.assignment.interval.ms group.share.max.assignment.interval.ms
share.auto.offset.reset string latest reset mc -
share.delivery.count.limit int 5 2.. mc group.share.delivery.count.limit group.share.min.delivery.count.limit group.share.max.delivery.count.limit
share.heartbeat.interval.ms int 5000 1.. mc group.share.heartbeat.interval.ms group.share.min.heartbeat.interval.ms group.share.max.heartbeat.interval.ms
share.isolation.level string read_uncommitted in(read_committed,read_uncommitted) mc -
share.partition.max.record.locks int 2000 100.. mc group.share.partition.max.record.locks group.share.min.partition.max.record.locks group.share.max.partition.max.record.locks
share.record.lock.duration.ms int 30000 1000.. mc group.share.record.lock.duration.ms group.share.min.record.lock.duration.ms group.share.max.record.lock.duration.ms
share.renew.acknowledge.enable bool true - mc -
share.session.timeout.ms int 45000 1.. mc group.share.session.timeout.ms group.share.min.session.timeout.ms group.share.max.session.timeout.ms
streams.assignment.interval.ms int 1000 0.. mc group.streams.assignment.interval.ms group.streams.min.assignment.interval.ms group.streams.max.assignment.interval.ms
streams.assignor.name string ~ - mc group.streams.assignors
streams.heartbeat.interval.ms int 5000 1.. mc group.streams.heartbeat.interval.ms group.streams.min.heartbeat.interval.ms group.streams.max.heartbeat.interval.ms
streams.initial.rebalance.delay.ms int 3000 0.. mc group.streams.initial.rebalance.delay.ms
streams.num.standby.replicas int 0 0.. mc group.streams.num.standby.replicas - group.streams.max.standby.replicas
streams.rack.aware.assignment.tags list '' distinct lc group.streams.rack.aware.assignment.tags
streams.session.timeout.ms int 45000 1.. mc group.streams.session.timeout.ms group.streams.min.session.timeout.ms group.streams.max.session.timeout.ms
""")  # noqa: E501

CLIENT_METRICS = Table("""
interval.ms int 300000 - mc
match list '' distinct mc
metrics list '' distinct mc
""")
