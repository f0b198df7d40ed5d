"""Every metric of ``/metrics``: name, type, labels, meaning.

A line is ``name type labels: meaning``. Labels are joined by commas, ``-`` is none; ``[topic]``
says that there is a series without the label beside those with it. ``{listener}`` stands for a
listener's name in lower case. The names are those that the usual JMX exporter rules give to Kafka's
figures, and kafka_exporter's; what begins with ``pykbroker_`` is our own.
"""

from __future__ import annotations

from wire.tuples import NamedTuple

Sample = tuple[str, tuple[str, ...], float]
"""(name as in the table, label values in the table's order or none of them, value)"""

_TEXT = """
pykbroker_build_info gauge version: 1, with the version of pykbroker.
pykbroker_event_loop_lag_seconds gauge -: How late the event loop's last timer was.
pykbroker_event_loop_lag_max_seconds gauge -: How late the latest timer of the last minute was.
pykbroker_metrics_left_out gauge -: Partitions and committed offsets beyond what one page holds.
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
kafka_server_leaderreplication_byte_rate gauge -: Bytes per second sent of throttled partitions.
kafka_server_followerreplication_byte_rate gauge -: Bytes per second fetched of throttled partitions.
kafka_server_delayedoperationpurgatory_purgatorysize gauge delayedOperation: Requests that wait.
kafka_server_delayedoperationpurgatory_numdelayedoperations gauge delayedOperation: Requests that wait with a timer.
kafka_server_fetchsessioncache_numincrementalfetchsessions gauge -: Open fetch sessions.
kafka_server_fetchsessioncache_numincrementalfetchpartitionscached gauge -: Partitions in fetch sessions.
kafka_server_fetchsessioncache_incrementalfetchsessionevictions_total counter -: Fetch sessions that were driven out.
kafka_server_kafkaserver_brokerstate gauge -: 1 fenced, 3 running, 6 in controlled shutdown.

kafka_log_log_size gauge topic,partition: Bytes of the log.
kafka_log_log_logendoffset gauge topic,partition: The next offset.
kafka_log_log_logstartoffset gauge topic,partition: The first offset.
kafka_log_log_numlogsegments gauge topic,partition: Segments.
kafka_log_logmanager_offlinelogdirectorycount gauge -: Log directories that have failed.
kafka_log_logmanager_logdirectoryoffline gauge logDirectory: 1 if the directory has failed.
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

kafka_coordinator_group_groupmetadatamanager_numgroups gauge -: Groups that this broker coordinates.
kafka_coordinator_group_groupmetadatamanager_numoffsets gauge -: Offsets committed by them.
kafka_coordinator_group_groupmetadatamanager_numgroupspreparingrebalance gauge -: Groups whose members join.
kafka_coordinator_group_groupmetadatamanager_numgroupscompletingrebalance gauge -: Groups that wait for their leader.
kafka_coordinator_group_groupmetadatamanager_numgroupsstable gauge -: Groups at work.
kafka_coordinator_group_groupmetadatamanager_numgroupsempty gauge -: Groups without members.
kafka_coordinator_group_groupmetadatamanager_numgroupsdead gauge -: Groups that are being forgotten.

kafka_server_socket_server_metrics_listener_{listener}_networkprocessor_0_connection_count gauge -: Open connections.
kafka_server_socket_server_metrics_listener_{listener}_networkprocessor_0_connection_creation_total counter -: Connections opened.

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
kafka_consumergroup_lag gauge consumergroup,topic,partition: Records behind the committed offset; where the coordinator has a replica.
kafka_consumergroup_lag_sum gauge consumergroup,topic: The lag of the topic, summed; where that of every partition is known.
kafka_consumergroup_members gauge consumergroup: Members of the group.
"""  # noqa: E501

LISTENER = "{listener}"


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


def of_listener(name: str, listener: str) -> str:
    return name.replace(LISTENER, listener.lower())
