"""The cluster itself: its brokers, its controller, its features.

DescribeCluster: v1 endpoint types (KIP-919) - v2 fenced brokers (KIP-1073)
DescribeQuorum: v1 fetch times (KIP-836) - v2 nodes and directories (KIP-853)
UpdateFeatures: v1 validate only, upgrade types (KIP-778) - v2 all or nothing (KIP-1022)

The metadata quorum of this cluster is one voter, the active controller: the metadata store behind
it replicates by its own means. Offsets are the store's revisions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.handlers.api import forward, handles
from pykbroker.handlers.topic_metadata import endpoint_of
from pykbroker.state.operations import NOT_ASKED, ON_CLUSTER
from pykbroker.state.types import NO_LEADER
from wire.errors import ErrorCode
from wire.messages.describe_cluster import (
    DescribeClusterBroker,
    DescribeClusterRequest,
    DescribeClusterResponse,
)
from wire.messages.describe_quorum import (
    DescribeQuorumRequest,
    DescribeQuorumResponse,
    DescribeQuorumResponsePartitionData,
    DescribeQuorumResponseTopicData,
    Listener,
    Node,
    ReplicaState,
)
from wire.messages.unregister_broker import UnregisterBrokerRequest
from wire.messages.update_features import UpdateFeaturesRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pykbroker.handlers.api import Context
    from pykbroker.state.controller.image import Endpoint, MetadataImage
    from pykbroker.state.types import NodeId

BROKERS, CONTROLLERS = 1, 2
CLUSTER_METADATA_TOPIC = "__cluster_metadata"


@handles(DescribeClusterRequest)
def describe_cluster(request: DescribeClusterRequest, ctx: Context) -> DescribeClusterResponse:
    refused = _endpoint_type_error(request.endpoint_type, ctx.api_version)
    if refused is not None:
        return refused
    image = ctx.broker.images.current
    brokers = []
    for node, broker in sorted(image.brokers.items()):
        endpoint = endpoint_of(broker, ctx.connection.peer.listener)
        if endpoint is not None and (request.include_fenced_brokers or not broker.fenced):
            brokers.append(
                DescribeClusterBroker(
                    broker_id=node,
                    host=endpoint.host,
                    port=endpoint.port,
                    rack=broker.rack,
                    is_fenced=broker.fenced,
                )
            )
    asked = request.include_cluster_authorized_operations
    return DescribeClusterResponse(
        cluster_id=image.cluster_id,
        controller_id=_controller_id(image, [b.broker_id for b in brokers if not b.is_fenced]),
        brokers=brokers,
        cluster_authorized_operations=ON_CLUSTER if asked else NOT_ASKED,
    )


def _endpoint_type_error(endpoint_type: int, version: int) -> DescribeClusterResponse | None:
    if endpoint_type == BROKERS:
        return None
    if endpoint_type == CONTROLLERS:
        code = ErrorCode.MISMATCHED_ENDPOINT_TYPE
        message = (
            "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type "
            "CONTROLLER"
        )
    else:
        code = ErrorCode.UNSUPPORTED_ENDPOINT_TYPE
        message = f"Unsupported endpoint type {endpoint_type}"
    if version == 0:
        code = ErrorCode.INVALID_REQUEST
    return DescribeClusterResponse(error_code=code, error_message=message)


def _controller_id(image: MetadataImage, alive: list[int]) -> int:
    if image.controller_id in alive:
        return image.controller_id
    return alive[0] if alive else NO_LEADER


@handles(DescribeQuorumRequest)
def describe_quorum(request: DescribeQuorumRequest, ctx: Context) -> DescribeQuorumResponse:
    asked = [(t.topic_name, [p.partition_index for p in t.partitions]) for t in request.topics]
    if asked != [(CLUSTER_METADATA_TOPIC, [0])]:
        return _unknown_partitions(asked)
    image = ctx.broker.images.current
    now_ms = ctx.broker.clock.wall_ms()
    partition = DescribeQuorumResponsePartitionData(
        leader_id=image.controller_id,
        leader_epoch=image.controller_epoch,
        high_watermark=image.revision,
    )
    voters = [] if image.controller_id == NO_LEADER else [image.controller_id]
    observers = [n for n, b in sorted(image.brokers.items()) if not b.fenced and n not in voters]
    for ids, states in ((voters, partition.current_voters), (observers, partition.observers)):
        states += [
            ReplicaState(
                replica_id=node,
                log_end_offset=image.revision,
                last_fetch_timestamp=now_ms,
                last_caught_up_timestamp=now_ms,
            )
            for node in ids
        ]
    nodes = [
        Node(
            node_id=node,
            listeners=[
                Listener(name=e.listener, host=e.host, port=e.port) for e in _endpoints(image, node)
            ],
        )
        for node in voters
    ]
    return DescribeQuorumResponse(
        topics=[
            DescribeQuorumResponseTopicData(
                topic_name=CLUSTER_METADATA_TOPIC, partitions=[partition]
            )
        ],
        nodes=nodes,
    )


def _endpoints(image: MetadataImage, controller_id: NodeId) -> Iterable[Endpoint]:
    """A controller may be no broker."""
    broker = image.brokers.get(controller_id)
    return image.controller_endpoints if broker is None else broker.endpoints


def _unknown_partitions(asked: list[tuple[str, list[int]]]) -> DescribeQuorumResponse:
    unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    message = "This server does not host this topic-partition."
    return DescribeQuorumResponse(
        topics=[
            DescribeQuorumResponseTopicData(
                topic_name=name,
                partitions=[
                    DescribeQuorumResponsePartitionData(
                        partition_index=index, error_code=unknown, error_message=message
                    )
                    for index in partitions
                ],
            )
            for name, partitions in asked
        ],
    )


handles(UpdateFeaturesRequest)(forward)
handles(UnregisterBrokerRequest)(forward)
