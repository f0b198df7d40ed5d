"""Every metric of ``/metrics``: name, type, labels, meaning.

A line is ``name type labels: meaning``. Labels are joined by commas, ``-`` is none; ``[topic]``
says that there is a series without the label beside those with it. ``{listener}`` stands for a
listener's name in lower case; ``{name}`` and ``{version}`` for those of a client's software. The
names are those that the usual JMX exporter rules give to Kafka's figures, and kafka_exporter's;
what begins with ``pykbroker_`` is our own.
"""

from __future__ import annotations

import re

from wire.tuples import NamedTuple

Sample = tuple[str, tuple[str, ...], float]
"""(name as in the table, label values in the table's order or none of them, value)"""

_TEXT = """
pykbroker_build_info gauge version: 1, with the version of pykbroker.
pykbroker_event_loop_lag_seconds gauge -: How late the event loop's last timer was.
pykbroker_event_loop_lag_max_seconds gauge -: How late the latest timer of the last minute was.
pykbroker_log_directory_total_bytes gauge logDirectory: Bytes of the volume that the log directory is on.
pykbroker_log_directory_usable_bytes gauge logDirectory: Bytes that are free there for the broker.
pykbroker_event_loop_idle_ratio gauge -: Share of the last minute in which the event loop had nothing to do, 0 to 1.
pykbroker_metrics_left_out gauge -: Partitions, topics, groups, committed offsets and clients with a quota beyond what one page holds.
pykbroker_connections_refused_total counter -: Connections closed because their client broke the protocol.

kafka_server_brokertopicmetrics_messagesin_total counter [topic]: Records appended.
kafka_server_brokertopicmetrics_bytesin_total counter [topic]: Bytes appended for clients.
kafka_server_brokertopicmetrics_bytesout_total counter [topic]: Bytes sent to clients that fetch.
kafka_server_brokertopicmetrics_bytesrejected_total counter [topic]: Bytes of batches above max.message.bytes.
kafka_server_brokertopicmetrics_totalproducerequests_total counter [topic]: Partitions that were to be appended to.
kafka_server_brokertopicmetrics_failedproducerequests_total counter [topic]: Of these, refused for what the producer sent or for lack of replicas.
kafka_server_brokertopicmetrics_totalfetchrequests_total counter [topic]: Partitions read for fetches, again when a fetch has waited.
kafka_server_brokertopicmetrics_failedfetchrequests_total counter [topic]: Of these, failed unexpectedly.
kafka_server_brokertopicmetrics_producemessageconversions_total counter [topic]: Records that came in an old message format.
kafka_server_brokertopicmetrics_fetchmessageconversions_total counter [topic]: Records that were sent in an old message format.
kafka_server_brokertopicmetrics_replicationbytesin_total counter -: Bytes fetched from leaders.
kafka_server_brokertopicmetrics_replicationbytesout_total counter -: Bytes sent to followers.
kafka_server_brokertopicmetrics_reassignmentbytesin_total counter -: Of these, for replicas here that a reassignment adds.
kafka_server_brokertopicmetrics_reassignmentbytesout_total counter -: Of these, to replicas that a reassignment adds.
kafka_server_brokertopicmetrics_invalidmagicnumberrecords_total counter -: Batches refused for their message format.
kafka_server_brokertopicmetrics_invalidmessagecrcrecords_total counter -: Batches refused for their checksum.
kafka_server_brokertopicmetrics_invalidoffsetorsequencerecords_total counter -: Batches refused for their count, offsets or sequence.
kafka_server_brokertopicmetrics_nokeycompactedtopicrecords_total counter -: Records without a key, refused by compacted topics.

kafka_server_replicamanager_partitioncount gauge -: Replicas on this broker, those offline included.
kafka_server_replicamanager_leadercount gauge -: Partitions that this broker leads.
kafka_server_replicamanager_offlinereplicacount gauge -: Replicas whose log directory has failed.
kafka_server_replicamanager_underreplicatedpartitions gauge -: Led partitions whose ISR lacks a replica.
kafka_server_replicamanager_underminisrpartitioncount gauge -: Led partitions with fewer in sync than min.insync.replicas.
kafka_server_replicamanager_atminisrpartitioncount gauge -: Led partitions with just min.insync.replicas in sync.
kafka_server_replicamanager_reassigningpartitions gauge -: Led partitions that are being reassigned.
kafka_server_replicamanager_isrshrinks_total counter -: Replicas taken out of an ISR.
kafka_server_replicamanager_isrexpands_total counter -: Replicas taken into an ISR.
kafka_server_replicamanager_failedisrupdates_total counter -: Changes of an ISR that the controller refused.
kafka_server_replicamanager_produceridcount gauge -: Producer ids that are known of, partition by partition.
kafka_server_replicafetchermanager_maxlag gauge clientId: Records that the latest of the followed partitions is behind.
kafka_server_replicafetchermanager_minfetchrate gauge clientId: Fetches per second of the slowest fetcher.
kafka_server_replicafetchermanager_failedpartitionscount gauge clientId: Followed partitions that are fetched no more.
kafka_server_fetcherlagmetrics_consumerlag gauge clientId,topic,partition: Records that a followed partition is behind its leader.
kafka_server_leaderreplication_byte_rate gauge -: Bytes per second sent of throttled partitions.
kafka_server_followerreplication_byte_rate gauge -: Bytes per second fetched of throttled partitions.
kafka_server_produce_byte_rate gauge user,client_id: Bytes per second of produce requests, of clients with a quota for them.
kafka_server_produce_throttle_time gauge user,client_id: Milliseconds that they were throttled for it, each time, on average.
kafka_server_fetch_byte_rate gauge user,client_id: Bytes per second fetched, of clients with a quota for them.
kafka_server_fetch_throttle_time gauge user,client_id: Milliseconds that they were throttled for it, each time, on average.
kafka_server_request_request_time gauge user,client_id: Percent of one core that requests take, of clients with a quota for it.
kafka_server_request_throttle_time gauge user,client_id: Milliseconds that they were throttled for it, each time, on average.
kafka_server_delayedoperationpurgatory_purgatorysize gauge delayedOperation: Requests that wait.
kafka_server_delayedoperationpurgatory_numdelayedoperations gauge delayedOperation: Requests that wait with a timer.
kafka_server_fetchsessioncache_numincrementalfetchsessions gauge -: Open fetch sessions.
kafka_server_fetchsessioncache_numincrementalfetchpartitionscached gauge -: Partitions in fetch sessions.
kafka_server_fetchsessioncache_incrementalfetchsessionevictions_total counter -: Fetch sessions that were driven out.
kafka_server_kafkaserver_linux_disk_read_bytes gauge -: Bytes that the process had read from disks.
kafka_server_kafkaserver_linux_disk_write_bytes gauge -: Bytes that the process had written to disks.
kafka_server_kafkaserver_brokerstate gauge -: 1 fenced, 3 running, 6 in controlled shutdown.

kafka_log_log_size gauge topic,partition: Bytes of the log.
kafka_log_log_logendoffset gauge topic,partition: The next offset.
kafka_log_log_logstartoffset gauge topic,partition: The first offset.
kafka_log_log_numlogsegments gauge topic,partition: Segments.
kafka_log_logmanager_offlinelogdirectorycount gauge -: Log directories that have failed.
kafka_log_logmanager_logdirectoryoffline gauge logDirectory: 1 if the directory has failed.
kafka_log_logflushstats_logflushrateandtimems gauge quantile: Milliseconds of a sync of one log.
kafka_log_logflushstats_logflushrateandtimems_count counter -: Syncs of logs.
kafka_log_logcleaner_max_dirty_percent gauge -: How dirty the dirtiest compacted log was when they were last looked at.
kafka_log_logcleanermanager_time_since_last_run_ms gauge -: Milliseconds since the cleaner looked for a log to clean.
kafka_log_logcleanermanager_uncleanable_partitions_count gauge logDirectory: Logs that the cleaner gave up on.

kafka_cluster_partition_underreplicated gauge topic,partition: 1 if this broker leads it and the ISR lacks a replica.
kafka_cluster_partition_underminisr gauge topic,partition: 1 if this broker leads it with fewer in sync than min.insync.replicas.
kafka_cluster_partition_atminisr gauge topic,partition: 1 if this broker leads it with just min.insync.replicas in sync.
kafka_cluster_partition_insyncreplicascount gauge topic,partition: Replicas in sync where this broker leads, else 0.
kafka_cluster_partition_replicascount gauge topic,partition: Replicas where this broker leads, else 0.
kafka_cluster_partition_laststableoffsetlag gauge topic,partition: Records between the last stable offset and the high watermark.

kafka_network_requestmetrics_requests_total counter request,version: Requests that were handled.
kafka_network_requestmetrics_errors_total counter request,error: Error codes told, NONE among them.
kafka_network_requestmetrics_totaltimems gauge request,quantile: Milliseconds from the arrival of a request until its response is handed on.
kafka_network_requestmetrics_totaltimems_count counter request: Requests that were handled.
kafka_network_requestmetrics_requestqueuetimems gauge request,quantile: Milliseconds from its arrival until it is looked at.
kafka_network_requestmetrics_requestqueuetimems_count counter request: Requests that were handled.
kafka_network_requestmetrics_localtimems gauge request,quantile: Milliseconds that the broker works on it.
kafka_network_requestmetrics_localtimems_count counter request: Requests that were handled.
kafka_network_requestmetrics_remotetimems gauge request,quantile: Milliseconds that its answer waits for others: replicas, data, members, the controller.
kafka_network_requestmetrics_remotetimems_count counter request: Requests that were handled.
kafka_network_requestmetrics_responsequeuetimems gauge request,quantile: Milliseconds that the response waits for those before it.
kafka_network_requestmetrics_responsequeuetimems_count counter request: Requests that were handled.
kafka_network_requestmetrics_responsesendtimems gauge request,quantile: Milliseconds to hand it to the kernel; what does not fit is not waited for.
kafka_network_requestmetrics_responsesendtimems_count counter request: Requests that were handled.
kafka_network_requestmetrics_throttletimems gauge request,quantile: Milliseconds that its connection is silent for a quota.
kafka_network_requestmetrics_throttletimems_count counter request: Requests that were handled.
kafka_network_requestmetrics_requestbytes gauge request,quantile: Bytes of the request.
kafka_network_requestmetrics_requestbytes_count counter request: Requests that were handled.

kafka_controller_kafkacontroller_activecontrollercount gauge -: 1 on the active controller.
kafka_controller_kafkacontroller_offlinepartitionscount gauge -: Partitions without a leader.
kafka_controller_kafkacontroller_preferredreplicaimbalancecount gauge -: Partitions not led by their first replica.
kafka_controller_kafkacontroller_globaltopiccount gauge -: Topics of the cluster.
kafka_controller_kafkacontroller_globalpartitioncount gauge -: Partitions of the cluster.
kafka_controller_kafkacontroller_activebrokercount gauge -: Brokers that serve.
kafka_controller_kafkacontroller_fencedbrokercount gauge -: Brokers that are fenced.
kafka_controller_controllerstats_uncleanleaderelections_total counter -: Leaders elected that may lack committed records.
kafka_controller_controllerstats_leaderelectionrateandtimems gauge quantile: Milliseconds from the decision for another leader until it was written.
kafka_controller_controllerstats_leaderelectionrateandtimems_count counter -: Leaders elected in place of others.
kafka_controller_controllereventmanager_eventqueuetimems gauge quantile: Milliseconds that requests wait for the controller.
kafka_controller_controllereventmanager_eventqueuetimems_count counter -: Requests that waited.
kafka_controller_controllereventmanager_eventqueueprocessingtimems gauge quantile: Milliseconds to decide what waits and to write it.
kafka_controller_controllereventmanager_eventqueueprocessingtimems_count counter -: How often that was done.
kafka_controller_kafkacontroller_eventqueueoperationsstartedcount gauge -: Requests that the controller looked at.
kafka_controller_kafkacontroller_metadataerrorcount gauge -: Decisions that failed unexpectedly.

kafka_coordinator_group_groupmetadatamanager_numgroups gauge -: Groups that this broker coordinates.
kafka_coordinator_group_groupmetadatamanager_numoffsets gauge -: Offsets committed by them.
kafka_coordinator_group_groupmetadatamanager_numgroupspreparingrebalance gauge -: Groups whose members join.
kafka_coordinator_group_groupmetadatamanager_numgroupscompletingrebalance gauge -: Groups that wait for their leader.
kafka_coordinator_group_groupmetadatamanager_numgroupsstable gauge -: Groups at work.
kafka_coordinator_group_groupmetadatamanager_numgroupsempty gauge -: Groups without members.
kafka_coordinator_group_groupmetadatamanager_numgroupsdead gauge -: Groups that are being forgotten.
kafka_server_group_coordinator_metrics_protocol_classic_group_count gauge -: Groups of the classic protocol.
kafka_server_group_coordinator_metrics_offset_commit_count gauge -: Offsets that were to be committed.
kafka_server_group_coordinator_metrics_offset_commit_rate gauge -: The same per second.
kafka_server_group_coordinator_metrics_offset_expiration_count gauge -: Offsets that expired.
kafka_server_group_coordinator_metrics_offset_expiration_rate gauge -: The same per second.
kafka_server_group_coordinator_metrics_offset_deletion_count gauge -: Offsets deleted, by request or with their topic or group.
kafka_server_group_coordinator_metrics_offset_deletion_rate gauge -: The same per second.
kafka_server_group_coordinator_metrics_group_completed_rebalance_count gauge -: Generations of groups that began.
kafka_server_group_coordinator_metrics_group_completed_rebalance_rate gauge -: The same per second.
kafka_server_group_coordinator_metrics_partition_load_time_max gauge -: Milliseconds that a partition of __consumer_offsets took to load, at most.
kafka_server_group_coordinator_metrics_partition_load_time_avg gauge -: The same on average.

kafka_server_socket_server_metrics_listener_{listener}_networkprocessor_0_connection_count gauge -: Open connections.
kafka_server_socket_server_metrics_listener_{listener}_networkprocessor_0_connection_creation_total counter -: Connections opened.
kafka_server_socket_server_metrics_listener_{listener}_networkprocessor_0_connection_creation_rate gauge -: Connections opened per second.
kafka_server_socket_server_metrics_listener_{listener}_networkprocessor_0_connection_close_rate gauge -: Connections closed per second.
kafka_server_socket_server_metrics_listener_{listener}_networkprocessor_0_request_total counter -: Requests that arrived.
kafka_server_socket_server_metrics_listener_{listener}_networkprocessor_0_incoming_byte_total counter -: Bytes received.
kafka_server_socket_server_metrics_listener_{listener}_networkprocessor_0_incoming_byte_rate gauge -: Bytes received per second.
kafka_server_socket_server_metrics_listener_{listener}_networkprocessor_0_outgoing_byte_total counter -: Bytes of responses.
kafka_server_socket_server_metrics_listener_{listener}_networkprocessor_0_outgoing_byte_rate gauge -: Bytes of responses per second.
kafka_server_socket_server_metrics_clientsoftwarename_{name}_clientsoftwareversion_{version}_listener_{listener}_networkprocessor_0_connections gauge -: Open connections of this client software; the 50 most frequent kinds.


kafka_brokers gauge -: Brokers that serve; told by the active controller.
kafka_broker_info gauge id,address: 1 for each broker; told by the active controller.
kafka_topic_partitions gauge topic: Partitions of the topic; told by the active controller.
kafka_topic_partition_current_offset gauge topic,partition: The high watermark; told by the leader, as what follows.
kafka_topic_partition_oldest_offset gauge topic,partition: The first offset.
kafka_topic_partition_in_sync_replica gauge topic,partition: Replicas in sync.
kafka_topic_partition_leader gauge topic,partition: The leader's node id.
kafka_topic_partition_leader_is_preferred gauge topic,partition: 1 if the first replica leads.
kafka_topic_partition_replicas gauge topic,partition: Replicas.
kafka_topic_partition_under_replicated_partition gauge topic,partition: 1 if the ISR lacks a replica.
kafka_consumergroup_current_offset gauge consumergroup,topic,partition: The committed offset; told by the group's coordinator, as what follows.
kafka_consumergroup_current_offset_sum gauge consumergroup,topic: The committed offsets of the topic, summed.
kafka_consumergroup_lag gauge consumergroup,topic,partition: Records behind the committed offset; where the leader, or a replica at the coordinator, tells its end.
kafka_consumergroup_lag_sum gauge consumergroup,topic: The lag of the topic, summed; where that of every partition is known.
kafka_consumergroup_members gauge consumergroup: Members of the group.
"""  # noqa: E501

_PART = re.compile(r"\\{\w+\\}")
_NO_NAME = re.compile(r"[^a-z0-9:_]")


class Family(NamedTuple):
    """``type`` is Prometheus' name of it: gauge, counter."""

    name: str
    type: str
    labels: tuple[str, ...]
    also_bare: bool
    """There is a series without labels as well."""
    help: str


def _parse(line: str) -> Family:
    head, _, text = line.partition(": ")
    name, type_, labels = head.split(" ")
    bare = labels.startswith("[")
    names = () if labels == "-" else tuple(labels.strip("[]").split(","))
    return Family(name, type_, names, bare, text)


FAMILIES: dict[str, Family] = {
    family.name: family for family in (_parse(line) for line in _TEXT.split("\n") if line)
}


_PATTERNS = {
    re.compile(_PART.sub("(.+)", re.escape(name))): family
    for name, family in FAMILIES.items()
    if "{" in name
}


def named(template: str, **parts: str) -> str:
    """A name with parts that are told by what is measured, such as ``{listener}``."""
    return template.format_map(
        {key: _NO_NAME.sub("_", part.lower()) for key, part in parts.items()}
    )


def family_of(name: str) -> Family:
    family = FAMILIES.get(name)
    if family is not None:
        return family
    for pattern, found in _PATTERNS.items():
        if pattern.fullmatch(name):
            return found
    raise KeyError(name)
