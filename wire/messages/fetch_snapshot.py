"""FetchSnapshot: the messages."""

from __future__ import annotations

from wire.schema import (
    ZERO_UUID,
    Request,
    Response,
    Struct,
    at,
    batches,
    int16,
    int32,
    int64,
    string,
    uint16,
    uuid,
)


class SnapshotId(Struct):
    end_offset: int64 = 0
    epoch: int32 = 0


class PartitionSnapshot(Struct):
    partition: int32 = 0
    current_leader_epoch: int32 = 0
    snapshot_id: SnapshotId = SnapshotId()
    position: int64 = 0
    replica_directory_id: uuid = at("1+", default=ZERO_UUID, tag=0, ignorable=True)


class TopicSnapshot(Struct):
    name: string = ""
    partitions: list[PartitionSnapshot] = []


class FetchSnapshotRequest(Request, api_key=59, versions="0-1", flexible="0+"):
    cluster_id: string | None = at("0+", default=None, tag=0)
    replica_id: int32 = -1
    max_bytes: int32 = 2147483647
    topics: list[TopicSnapshot] = []


class LeaderIdAndEpoch(Struct):
    leader_id: int32 = 0
    leader_epoch: int32 = 0


class FetchSnapshotResponsePartitionSnapshot(Struct):
    index: int32 = 0
    error_code: int16 = 0
    snapshot_id: SnapshotId = SnapshotId()
    current_leader: LeaderIdAndEpoch = at("0+", default=LeaderIdAndEpoch(), tag=0)
    size: int64 = 0
    position: int64 = 0
    unaligned_records: batches | None = at("0+", default=None, nullable="")


class FetchSnapshotResponseTopicSnapshot(Struct):
    name: string = ""
    partitions: list[FetchSnapshotResponsePartitionSnapshot] = []


class NodeEndpoint(Struct):
    node_id: int32 = 0
    host: string = ""
    port: uint16 = 0


class FetchSnapshotResponse(Response, api_key=59, versions="0-1", flexible="0+"):
    throttle_time_ms: int32 = at("0+", default=0, ignorable=True)
    error_code: int16 = 0
    topics: list[FetchSnapshotResponseTopicSnapshot] = []
    node_endpoints: list[NodeEndpoint] = at("1+", default=[], tag=0)
