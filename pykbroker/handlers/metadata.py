"""Metadata and DescribeTopicPartitions: brokers, topics, who leads what.

Metadata: v0 an empty list means all topics - v1 controller, racks, null means all - v2 cluster id -
v4 automatic creation is the client's choice - v5 offline replicas - v7 leader epochs (KIP-320) -
v8 authorized operations (KIP-430) - v10 topic ids (KIP-516), asked for since v12 -
v11 no cluster operations - v13 a top-level error
DescribeTopicPartitions: eligible leader replicas, in pages (KIP-966)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.handlers.api import handles
from pykbroker.handlers.topic_metadata import (
    INTERNAL_TOPICS,
    Style,
    TopicDescriber,
    endpoint_of,
    leader_and_offline,
    unknown_topic_error,
)
from pykbroker.log import get_logger
from pykbroker.state.errors import KafkaError
from pykbroker.state.operations import NOT_ASKED, ON_CLUSTER, ON_TOPIC
from pykbroker.state.types import NO_LEADER, NO_TOPIC_ID, TopicId
from wire.errors import ErrorCode
from wire.messages.describe_topic_partitions import (
    Cursor,
    DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
)
from wire.messages.metadata import (
    MetadataRequest,
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponseTopic,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from pykbroker.handlers.api import Context
    from pykbroker.state.controller.image import MetadataImage, TopicImage

logger = get_logger("pykbroker.handlers.metadata")

CONSUMER_OFFSETS = "__consumer_offsets"
CREATION_VERSION = 4
"""Of CreateTopics: its quota refuses nothing, and the answer does not describe the topic."""


@handles(MetadataRequest)
def metadata(
    request: MetadataRequest, ctx: Context
) -> MetadataResponse | Awaitable[MetadataResponse]:
    _check(request, ctx.api_version)
    missing = _to_create(request, ctx)
    if missing:
        return _create_and_answer(missing, request, ctx)
    return _answer(request, ctx, {})


def _check(request: MetadataRequest, version: int) -> None:
    if version >= 12:
        return
    for topic in request.topics or ():
        if topic.name is None:
            raise KafkaError(
                ErrorCode.INVALID_REQUEST, f"Topic name can not be null for version {version}"
            )
        if topic.topic_id != NO_TOPIC_ID:
            raise KafkaError(
                ErrorCode.INVALID_REQUEST,
                f"Topic IDs are not supported in requests for version {version}",
            )


def _to_create(request: MetadataRequest, ctx: Context) -> list[str]:
    """Topics that are missing and may be created by asking for them."""
    topics = ctx.broker.images.current.topics
    missing = [
        topic.name
        for topic in request.topics or ()
        if topic.name is not None and topic.topic_id == NO_TOPIC_ID and topic.name not in topics
    ]
    if not missing or not request.allow_auto_topic_creation:
        return []
    if not ctx.broker.settings.current.bool("auto.create.topics.enable"):
        return []
    legal = [n for n in missing if unknown_topic_error(n) != ErrorCode.INVALID_TOPIC_EXCEPTION]
    return list(dict.fromkeys(legal))


async def _create_and_answer(
    names: list[str], request: MetadataRequest, ctx: Context
) -> MetadataResponse:
    """The first answer already has a leader: the client need not ask again."""
    return _answer(request, ctx, await _create(names, ctx))


async def _create(names: list[str], ctx: Context) -> dict[str, ErrorCode]:
    """What could not be created, and why."""
    from wire.messages.create_topics import CreatableTopic, CreateTopicsRequest

    plain = [name for name in names if name not in INTERNAL_TOPICS]
    if CONSUMER_OFFSETS in names:
        await ctx.broker.groups.topic.create()
    if not plain:
        return {}
    request = CreateTopicsRequest(
        topics=[
            CreatableTopic(name=name, num_partitions=-1, replication_factor=-1) for name in plain
        ],
        timeout_ms=ctx.broker.settings.current.int("request.timeout.ms"),
    )
    mutation = ctx.broker.quotas.controller_mutation(ctx, strict_since=1 << 15)
    try:
        response = await ctx.broker.controller.call(
            request, charge=mutation.record, origin=ctx.origin(CREATION_VERSION)
        )
    except KafkaError as error:
        logger.warning("automatic topic creation failed", topics=plain, reason=str(error))
        return {}
    errors = {}
    for result in response.topics:
        if result.error_code in (ErrorCode.NONE, ErrorCode.TOPIC_ALREADY_EXISTS):
            continue
        _warn_once(ctx, result.name, result.error_code, result.error_message)
        if result.error_code == ErrorCode.INVALID_TOPIC_EXCEPTION:
            errors[result.name] = ErrorCode.INVALID_TOPIC_EXCEPTION
    return errors


def _warn_once(ctx: Context, name: str, code: int, message: str | None) -> None:
    """Clients ask again every moment: one line while the cluster stays as it is."""
    image = ctx.broker.images.current
    said = ctx.broker.images.derived.setdefault("creation failures", {})
    if said.get(name) != image.revision:
        if len(said) > 1_000:
            said.clear()
        said[name] = image.revision
        reason = message or ErrorCode(code).name
        logger.warning("automatic topic creation failed", topic=name, reason=reason)


def _answer(
    request: MetadataRequest, ctx: Context, errors: dict[str, ErrorCode]
) -> MetadataResponse:
    image = ctx.broker.images.current
    listener = ctx.connection.peer.listener
    asked = request.include_topic_authorized_operations
    describer = TopicDescriber.of(
        ctx.broker.images,
        Style(
            listener, ctx.api_version == 0, ctx.api_version >= 6, ON_TOPIC if asked else NOT_ASKED
        ),
    )
    brokers = _brokers(image, listener)
    operations = ON_CLUSTER if request.include_cluster_authorized_operations else NOT_ASKED
    return MetadataResponse(
        brokers=brokers,
        cluster_id=image.cluster_id,
        controller_id=_controller_id(image, brokers),
        topics=_topics(request, image, describer, errors),
        cluster_authorized_operations=operations,
    )


def _brokers(image: MetadataImage, listener: str) -> list[MetadataResponseBroker]:
    found = []
    for node, broker in sorted(image.brokers.items()):
        endpoint = endpoint_of(broker, listener)
        if endpoint is not None and not broker.fenced:
            found.append(
                MetadataResponseBroker(
                    node_id=node, host=endpoint.host, port=endpoint.port, rack=broker.rack
                )
            )
    return found


def _controller_id(image: MetadataImage, brokers: list[MetadataResponseBroker]) -> int:
    """A broker that clients can reach: every one of them passes admin requests on."""
    alive = [broker.node_id for broker in brokers]
    if image.controller_id in alive:
        return image.controller_id
    return alive[0] if alive else NO_LEADER


def _topics(
    request: MetadataRequest,
    image: MetadataImage,
    describer: TopicDescriber,
    errors: dict[str, ErrorCode],
) -> list[MetadataResponseTopic]:
    if request.topics is None:
        return describer.all_topics()
    ids = dict.fromkeys(t.topic_id for t in request.topics if t.topic_id != NO_TOPIC_ID)
    if ids:
        return [_by_id(TopicId(topic_id), image, describer) for topic_id in ids]
    names = dict.fromkeys(t.name for t in request.topics if t.name is not None)
    return [_by_name(name, image, describer, errors) for name in names]


def _by_id(
    topic_id: TopicId, image: MetadataImage, describer: TopicDescriber
) -> MetadataResponseTopic:
    topic = image.topic_by_id(topic_id)
    if topic is not None:
        return describer.topic(topic)
    return MetadataResponseTopic(
        error_code=ErrorCode.UNKNOWN_TOPIC_ID, name=None, topic_id=topic_id
    )


def _by_name(
    name: str, image: MetadataImage, describer: TopicDescriber, errors: dict[str, ErrorCode]
) -> MetadataResponseTopic:
    topic = image.topics.get(name)
    if topic is not None:
        return describer.topic(topic)
    code = errors.get(name) or unknown_topic_error(name)
    return MetadataResponseTopic(error_code=code, name=name, is_internal=name in INTERNAL_TOPICS)


@handles(DescribeTopicPartitionsRequest)
def describe_topic_partitions(
    request: DescribeTopicPartitionsRequest, ctx: Context
) -> DescribeTopicPartitionsResponse:
    """Topics by name, up to a number of partitions; the cursor says where the next page begins."""
    image = ctx.broker.images.current
    names, first = _page_start(request, image)
    limit = ctx.broker.settings.current.int("max.request.partition.size.limit")
    left = max(min(limit, request.response_partition_limit), 1)
    response = DescribeTopicPartitionsResponse()
    for name in names:
        start, first = first, 0
        topic = image.topics.get(name)
        if left == 0:
            response.next_cursor = Cursor(topic_name=name, partition_index=0)
            break
        if topic is None:
            if request.topics:
                response.topics.append(_unknown_topic(name))
            continue
        end = min(len(topic.partitions), start + left)
        response.topics.append(_topic_page(topic, image, ctx.connection.peer.listener, start, end))
        if end < len(topic.partitions):
            response.next_cursor = Cursor(topic_name=name, partition_index=end)
            break
        left -= max(end - start, 0)
    return response


def _page_start(
    request: DescribeTopicPartitionsRequest, image: MetadataImage
) -> tuple[list[str], int]:
    """Names in order from the cursor on, and the partition to begin with in the first of them."""
    wanted = {topic.name for topic in request.topics} if request.topics else set(image.topics)
    cursor = request.cursor
    if cursor is None:
        return sorted(wanted), 0
    if request.topics and cursor.topic_name not in wanted:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST,
            "DescribeTopicPartitionsRequest topic list should contain the cursor topic: "
            f"{cursor.topic_name}",
        )
    if cursor.partition_index < 0:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST,
            f"DescribeTopicPartitionsRequest cursor partition must be valid: {cursor}",
        )
    names = sorted(name for name in wanted if name >= cursor.topic_name)
    starts_there = bool(names) and names[0] == cursor.topic_name
    return names, cursor.partition_index if starts_there else 0


def _unknown_topic(name: str) -> DescribeTopicPartitionsResponseTopic:
    return DescribeTopicPartitionsResponseTopic(
        error_code=unknown_topic_error(name),
        name=name,
        is_internal=name in INTERNAL_TOPICS,
        topic_authorized_operations=ON_TOPIC,
    )


def _topic_page(
    topic: TopicImage, image: MetadataImage, listener: str, start: int, end: int
) -> DescribeTopicPartitionsResponseTopic:
    result = DescribeTopicPartitionsResponseTopic(
        name=topic.name,
        topic_id=topic.topic_id,
        is_internal=topic.name in INTERNAL_TOPICS,
        topic_authorized_operations=ON_TOPIC,
    )
    for index in range(start, end):
        partition = topic.partitions[index]
        leader, offline = leader_and_offline(image, partition, listener)
        result.partitions.append(
            DescribeTopicPartitionsResponsePartition(
                partition_index=index,
                leader_id=leader,
                leader_epoch=partition.leader_epoch,
                replica_nodes=list(partition.replicas),
                isr_nodes=list(partition.isr),
                eligible_leader_replicas=list(partition.elr),
                last_known_elr=list(partition.last_known_elr),
                offline_replicas=offline,
            )
        )
    return result
