"""Classic group and committed-offset records of __consumer_offsets."""

from __future__ import annotations

from wire.schema import ZERO_UUID, Record, Struct, at, int32, int64, string, uuid


class LegacyOffsetCommitKey(Record, api_key=0, versions="0"):
    group: string = ""
    topic: string = ""
    partition: int32 = 0


class LegacyOffsetCommitValue(Record, api_key=0, versions="0"):
    offset: int64 = 0
    metadata: string = ""
    commit_timestamp: int64 = 0


class OffsetCommitKey(Record, api_key=1, versions="0"):
    group: string = ""
    topic: string = ""
    partition: int32 = 0


class OffsetCommitValue(Record, api_key=1, versions="0-4", flexible="4+"):
    offset: int64 = 0
    leader_epoch: int32 = at("3+", default=-1, ignorable=True)
    metadata: string = ""
    commit_timestamp: int64 = 0
    expire_timestamp: int64 = at("1", default=-1, ignorable=True)
    topic_id: uuid = at("4+", default=ZERO_UUID, tag=0, ignorable=True)


class GroupMetadataKey(Record, api_key=2, versions="0"):
    group: string = ""


class MemberMetadata(Struct):
    member_id: string = ""
    group_instance_id: string | None = at("3+", default=None, ignorable=True)
    client_id: string = ""
    client_host: string = ""
    rebalance_timeout: int32 = at("1+", default=-1, ignorable=True)
    session_timeout: int32 = 0
    subscription: bytes = b""
    assignment: bytes = b""


class GroupMetadataValue(Record, api_key=2, versions="0-4", flexible="4+"):
    protocol_type: string = ""
    generation: int32 = 0
    protocol: string | None = ""
    leader: string | None = ""
    current_state_timestamp: int64 = at("2+", default=-1, ignorable=True)
    members: list[MemberMetadata] = []
