"""Metadata: brokers, topics, and who leads what.

v1 null for all topics, controller - v2 cluster id - v4 creation can be refused
v5 offline replicas - v6 LISTENER_NOT_FOUND - v7 leader epochs (KIP-320)
v8 authorized operations (KIP-430) - v9 flexible - v10 topic ids (KIP-516)
v11 no operations of the cluster - v12 by topic id alone - v13 an error for the whole (KIP-1102)
"""

from __future__ import annotations

from wire.schema import ZERO_UUID, Request, Response, Struct, at, int16, int32, kept, string, uuid


class MetadataRequestTopic(Struct):
    topic_id: uuid = at("10+", default=ZERO_UUID, ignorable=True)
    name: string | None = at("0+", default="", nullable="10+")


class MetadataRequest(Request, api_key=3, versions="0-13", flexible="9+"):
    topics: list[MetadataRequestTopic] | None = at("0+", default=[], nullable="1+")
    allow_auto_topic_creation: bool = at("4+", default=True)
    include_cluster_authorized_operations: bool = at("8-10", default=False)
    include_topic_authorized_operations: bool = at("8+", default=False)


class MetadataResponseBroker(Struct):
    node_id: int32 = 0
    host: string = ""
    port: int32 = 0
    rack: string | None = at("1+", default=None, ignorable=True)


class MetadataResponsePartition(Struct):
    error_code: int16 = 0
    partition_index: int32 = 0
    leader_id: int32 = 0
    leader_epoch: int32 = at("7+", default=-1, ignorable=True)
    replica_nodes: list[int32] = []
    isr_nodes: list[int32] = []
    offline_replicas: list[int32] = at("5+", default=[], ignorable=True)


class MetadataResponseTopic(Struct):
    error_code: int16 = 0
    name: string | None = at("0+", default="", nullable="12+")
    topic_id: uuid = at("10+", default=ZERO_UUID, ignorable=True)
    is_internal: bool = at("1+", default=False, ignorable=True)
    partitions: list[MetadataResponsePartition] = []
    topic_authorized_operations: int32 = at("8+", default=-2147483648)


StandingTopic = kept(MetadataResponseTopic)
"""What is told of a topic until it changes."""


class MetadataResponse(Response, api_key=3, versions="0-13", flexible="9+"):
    throttle_time_ms: int32 = at("3+", default=0, ignorable=True)
    brokers: list[MetadataResponseBroker] = []
    cluster_id: string | None = at("2+", default=None, ignorable=True)
    controller_id: int32 = at("1+", default=-1, ignorable=True)
    topics: list[MetadataResponseTopic] = []
    cluster_authorized_operations: int32 = at("8-10", default=-2147483648)
    error_code: int16 = at("13+", default=0, ignorable=True)


def upgrade(request: MetadataRequest, version: int) -> MetadataRequest:
    """v0 asks for all topics with an empty list, later versions with null."""
    if version == 0 and not request.topics:
        request.topics = None
    return request


def downgrade(response: MetadataResponse, version: int) -> MetadataResponse:
    """Before v12 a topic that was asked for by an id nobody knows has an empty name."""
    if version < 12:
        for topic in response.topics:
            if topic.name is None:
                topic.name = ""
    return response
