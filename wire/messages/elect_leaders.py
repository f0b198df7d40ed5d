"""ElectLeaders: preferred leaders, or any (KIP-183).

v1 unclean elections (KIP-460) - v2 flexible
"""

from __future__ import annotations

from wire.schema import Request, Response, Struct, at, int8, int16, int32, string


class TopicPartitions(Struct):
    topic: string = ""
    partitions: list[int32] = []


class ElectLeadersRequest(Request, api_key=43, versions="0-2", flexible="2+"):
    election_type: int8 = at("1+", default=0)
    topic_partitions: list[TopicPartitions] | None = []
    timeout_ms: int32 = 60000


class PartitionResult(Struct):
    partition_id: int32 = 0
    error_code: int16 = 0
    error_message: string | None = ""


class ReplicaElectionResult(Struct):
    topic: string = ""
    partition_result: list[PartitionResult] = []


class ElectLeadersResponse(Response, api_key=43, versions="0-2", flexible="2+"):
    throttle_time_ms: int32 = 0
    error_code: int16 = at("1+", default=0)
    replica_election_results: list[ReplicaElectionResult] = []


def downgrade(response: ElectLeadersResponse, version: int) -> ElectLeadersResponse:
    """v0 has no error for the whole: it stands in every partition."""
    if version == 0 and response.error_code:
        for topic in response.replica_election_results:
            for partition in topic.partition_result:
                partition.error_code = partition.error_code or response.error_code
        response.error_code = 0
    return response
