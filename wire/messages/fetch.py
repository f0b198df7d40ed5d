"""Fetch: records from offsets on, for consumers and for followers.

v1 throttle time - v2 message format 1 - v3 limit of the whole (KIP-74)
v4 message format 2, isolation level (KIP-98) - v5 log start offset (KIP-107)
v6 KAFKA_STORAGE_ERROR - v7 sessions (KIP-227) - v9 leader epochs (KIP-320) - v10 zstd (KIP-110)
v11 rack (KIP-392) - v12 flexible, diverging epochs (KIP-595) - v13 topic ids (KIP-516)
v14 tiered storage (KIP-405) - v15 replica state (KIP-903) - v16 endpoints (KIP-951)
v17 directory ids (KIP-853) - v18 high watermark (KIP-1166)
"""

from __future__ import annotations

from wire.errors import ErrorCode
from wire.schema import (
    ZERO_UUID,
    Request,
    Response,
    Struct,
    at,
    batches,
    int8,
    int16,
    int32,
    int64,
    kept,
    string,
    uuid,
)


class ReplicaState(Struct):
    replica_id: int32 = -1
    replica_epoch: int64 = -1


class FetchPartition(Struct):
    partition: int32 = 0
    current_leader_epoch: int32 = at("9+", default=-1, ignorable=True)
    fetch_offset: int64 = 0
    last_fetched_epoch: int32 = at("12+", default=-1)
    log_start_offset: int64 = at("5+", default=-1, ignorable=True)
    partition_max_bytes: int32 = 0
    replica_directory_id: uuid = at("17+", default=ZERO_UUID, tag=0, ignorable=True)
    high_watermark: int64 = at("18+", default=9223372036854775807, tag=1, ignorable=True)


class FetchTopic(Struct):
    topic: string = at("0-12", default="", ignorable=True)
    topic_id: uuid = at("13+", default=ZERO_UUID, ignorable=True)
    partitions: list[FetchPartition] = []


class ForgottenTopic(Struct):
    topic: string = at("7-12", default="", ignorable=True)
    topic_id: uuid = at("13+", default=ZERO_UUID, ignorable=True)
    partitions: list[int32] = []


class FetchRequest(Request, api_key=1, versions="0-18", flexible="12+"):
    cluster_id: string | None = at("12+", default=None, tag=0, ignorable=True)
    replica_id: int32 = at("0-14", default=-1)
    replica_state: ReplicaState = at("15+", default=ReplicaState(), tag=1)
    max_wait_ms: int32 = 0
    min_bytes: int32 = 0
    max_bytes: int32 = at("3+", default=2147483647, ignorable=True)
    isolation_level: int8 = at("4+", default=0, ignorable=True)
    session_id: int32 = at("7+", default=0, ignorable=True)
    session_epoch: int32 = at("7+", default=-1, ignorable=True)
    topics: list[FetchTopic] = []
    forgotten_topics_data: list[ForgottenTopic] = at("7+", default=[])
    rack_id: string = at("11+", default="", ignorable=True)


class EpochEndOffset(Struct):
    epoch: int32 = -1
    end_offset: int64 = -1


class LeaderIdAndEpoch(Struct):
    leader_id: int32 = -1
    leader_epoch: int32 = -1


class SnapshotId(Struct):
    end_offset: int64 = -1
    epoch: int32 = -1


class AbortedTransaction(Struct):
    producer_id: int64 = 0
    first_offset: int64 = 0


class PartitionData(Struct):
    partition_index: int32 = 0
    error_code: int16 = 0
    high_watermark: int64 = 0
    last_stable_offset: int64 = at("4+", default=-1, ignorable=True)
    log_start_offset: int64 = at("5+", default=-1, ignorable=True)
    diverging_epoch: EpochEndOffset = at("12+", default=EpochEndOffset(), tag=0)
    current_leader: LeaderIdAndEpoch = at("12+", default=LeaderIdAndEpoch(), tag=1)
    snapshot_id: SnapshotId = at("12+", default=SnapshotId(), tag=2)
    aborted_transactions: list[AbortedTransaction] | None = at("4+", default=[], ignorable=True)
    preferred_read_replica: int32 = at("11+", default=-1)
    records: batches | None = None


StandingData = kept(PartitionData)
"""What a partition answers while it stands still."""


class FetchableTopicResponse(Struct):
    topic: string = at("0-12", default="", ignorable=True)
    topic_id: uuid = at("13+", default=ZERO_UUID, ignorable=True)
    partitions: list[PartitionData] = []


class NodeEndpoint(Struct):
    node_id: int32 = 0
    host: string = ""
    port: int32 = 0
    rack: string | None = None


class FetchResponse(Response, api_key=1, versions="0-18", flexible="12+"):
    throttle_time_ms: int32 = at("1+", default=0, ignorable=True)
    error_code: int16 = at("7+", default=0, ignorable=True)
    session_id: int32 = at("7+", default=0)
    responses: list[FetchableTopicResponse] = []
    node_endpoints: list[NodeEndpoint] = at("16+", default=[], tag=0)


def upgrade(request: FetchRequest, version: int) -> FetchRequest:
    """The replica id is in a structure of its own, with the epoch of its broker."""
    if version < 15 and request.replica_id != -1:
        request.replica_state = ReplicaState(replica_id=request.replica_id)
        request.replica_id = -1
    return request


def downgrade(response: FetchResponse, version: int) -> FetchResponse:
    """Older clients know fewer errors, and are not told where the leader went."""
    if version >= 16:
        return response
    response.node_endpoints = []
    if version < 12:
        for topic in response.responses:
            for partition in topic.partitions:
                if partition.error_code:
                    _downgrade_error(partition, version)
                if version < 11:
                    partition.preferred_read_replica = -1
    return response


def _downgrade_error(partition: PartitionData, version: int) -> None:
    partition.current_leader = LeaderIdAndEpoch()
    if partition.error_code == ErrorCode.KAFKA_STORAGE_ERROR and version < 6:
        partition.error_code = ErrorCode.NOT_LEADER_OR_FOLLOWER
