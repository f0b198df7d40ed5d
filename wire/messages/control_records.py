"""What control batches carry."""

from __future__ import annotations

from wire.schema import ZERO_UUID, Record, Struct, at, int16, int32, int64, string, uint16, uuid


class ControlRecordTypeSchema(Record, versions="0"):
    type: int16 = 0


class EndTxnMarker(Record, versions="0"):
    coordinator_epoch: int32 = 0


class KRaftVersionRecord(Record, versions="0", flexible="0+"):
    version: int16 = 0
    k_raft_version: int16 = 0


class Voter(Struct):
    voter_id: int32 = 0
    voter_directory_id: uuid = at("1+", default=ZERO_UUID)


class LeaderChangeMessage(Record, versions="0-1", flexible="0+"):
    version: int16 = 0
    leader_id: int32 = 0
    voters: list[Voter] = []
    granting_voters: list[Voter] = []


class SnapshotFooterRecord(Record, versions="0", flexible="0+"):
    version: int16 = 0


class SnapshotHeaderRecord(Record, versions="0", flexible="0+"):
    version: int16 = 0
    last_contained_log_timestamp: int64 = 0


class Endpoint(Struct):
    name: string = ""
    host: string = ""
    port: uint16 = 0


class KRaftVersionFeature(Struct):
    min_supported_version: int16 = 0
    max_supported_version: int16 = 0


class VotersRecordVoter(Struct):
    voter_id: int32 = 0
    voter_directory_id: uuid = ZERO_UUID
    endpoints: list[Endpoint] = []
    k_raft_version_feature: KRaftVersionFeature = KRaftVersionFeature()


class VotersRecord(Record, versions="0", flexible="0+"):
    version: int16 = 0
    voters: list[VotersRecordVoter] = []
