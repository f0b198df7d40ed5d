"""Produce: append batches to partitions, and wait for as much as acks asks for.

v1 throttle time - v2 message format 1, log append time - v3 message format 2, transactions
(KIP-98) - v4 KAFKA_STORAGE_ERROR - v5 log start offset - v7 zstd (KIP-110) - v8 errors by record
(KIP-467) - v9 flexible - v10 current leader (KIP-951) - v13 topic ids (KIP-516)
"""

from __future__ import annotations

from functools import partial
from struct import Struct
from typing import TYPE_CHECKING, Any

from pykbroker.handlers.api import CloseConnection, Context, handles
from pykbroker.handlers.topic_refs import (
    ADMIN_CLIENT_ID,
    INTERNAL_TOPICS,
    TopicRef,
    check_partition,
    leader_hint,
    topic_ref,
)
from pykbroker.log import INFO, get_logger
from pykbroker.runtime.purgatory import PRODUCE, AckWait
from pykbroker.state.errors import KafkaError
from pykbroker.state.log.errors import RecordsRefused
from wire.errors import ErrorCode
from wire.messages.produce import (
    BatchIndexAndErrorMessage,
    LeaderIdAndEpoch,
    NodeEndpoint,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceResponse,
)
from wire.records.batch import (
    ATTRIBUTES,
    BATCH_LENGTH,
    COMPRESSION_MASK,
    LOG_OVERHEAD,
    MAGIC,
    RECORDS,
    SMALLEST_ENTRY,
    TRANSACTIONAL_BIT,
)
from wire.records.compression import Compression
from wire.schema import maker

if TYPE_CHECKING:
    from pykbroker.runtime.partition import Partition
    from pykbroker.runtime.waiters import Deferral
    from wire.messages.produce import PartitionProduceData
    from wire.schema import Buffer

logger = get_logger("pykbroker.handlers.produce")

ACKS_ALL, ACKS_NONE = -1, 0
TOPIC_IDS_SINCE = 13
# The definition's own default, shared: nothing ever changes it.
NO_LEADER_HINT: LeaderIdAndEpoch = PartitionProduceResponse.definitions["current_leader"][1].default
ZSTD_SINCE = 7
_LOW_BITS = ATTRIBUTES + 1
_SHAPE = Struct(">8xi4xB4xh")
"""Of a batch: its length, its magic, its attributes."""

# Of these Kafka tells nothing but the code.
_BARE = frozenset(
    (
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode.UNKNOWN_TOPIC_ID,
        ErrorCode.NOT_LEADER_OR_FOLLOWER,
        ErrorCode.MESSAGE_TOO_LARGE,
        ErrorCode.RECORD_LIST_TOO_LARGE,
        ErrorCode.CORRUPT_MESSAGE,
        ErrorCode.KAFKA_STORAGE_ERROR,
        ErrorCode.INVALID_TOPIC_EXCEPTION,
        ErrorCode.INVALID_REQUIRED_ACKS,
        ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
    )
)

# These fail in Kafka before any partition is looked at, and then with a message.
_SAID_BEFOREHAND = (
    ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    ErrorCode.CORRUPT_MESSAGE,
)

Part = PartitionProduceResponse
_new_part = maker(PartitionProduceResponse)
_new_topic = maker(TopicProduceResponse)
_new_response = maker(ProduceResponse)


class Append:
    """What one request did: its response in the making, and what it has yet to wait for."""

    __slots__ = ("ctx", "has_errors", "request", "response", "waits")

    def __init__(self, request: ProduceRequest, ctx: Context) -> None:
        self.request = request
        self.ctx = ctx
        self.response = _new_response(responses=[], node_endpoints=[])
        self.has_errors = False
        self.waits: list[tuple[Part, Partition, int]] = []


@handles(ProduceRequest)
def produce(
    request: ProduceRequest, ctx: Context
) -> ProduceResponse | Deferral[ProduceResponse] | None:
    append = Append(request, ctx)
    refusal = _refusal(request)
    image = ctx.broker.images.current
    responses = append.response.responses
    for topic in request.topic_data:
        if not topic.partition_data:
            continue  # Kafka answers by partition.
        ref = topic_ref(image, topic.name, topic.topic_id)
        if ref.name in INTERNAL_TOPICS and refusal is None and ref.image is not None:
            refusal_here = _internal_refusal(ref, ctx)
        else:
            refusal_here = refusal
        responses.append(
            _new_topic(
                name=topic.name,
                topic_id=topic.topic_id,
                partition_responses=[
                    _append(append, ref, data, refusal_here) for data in topic.partition_data
                ],
            )
        )
    # Whoever waited for these records is answered now, all partitions being whole.
    ctx.broker.replicas.wakeups.run()
    if request.acks == ACKS_NONE:
        if append.has_errors:
            _give_up(append)
        return None
    if append.waits:
        return _wait(append)
    if not append.has_errors and len(responses) == 1:
        ctx.told_none = len(responses[0].partition_responses)
    return append.response


def _refusal(request: ProduceRequest) -> KafkaError | None:
    """What is wrong with the request as a whole."""
    if request.transactional_id is not None:
        return _no_transactions()
    if request.acks not in (-1, 0, 1):
        return KafkaError(ErrorCode.INVALID_REQUIRED_ACKS)
    return None


def _no_transactions() -> KafkaError:
    """Final to every client: without transactions no retry can help."""
    return KafkaError(
        ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, "Transactional Id authorization failed."
    )


def _internal_refusal(topic: TopicRef, ctx: Context) -> KafkaError | None:
    if ctx.client_id == ADMIN_CLIENT_ID:
        return None
    return KafkaError(
        ErrorCode.INVALID_TOPIC_EXCEPTION, f"Cannot append to internal topic {topic.name}"
    )


def _append(
    append: Append, topic: TopicRef, data: PartitionProduceData, refusal: KafkaError | None
) -> Part:
    ctx = append.ctx
    index = data.index
    acks = append.request.acks
    partition = None
    try:
        check_partition(topic, index, by_id=ctx.api_version >= TOPIC_IDS_SINCE)
        if refusal is not None:
            raise refusal
        records = _checked(data, ctx.api_version)
        partition = ctx.broker.replicas.leader_by_id(topic.topic_id, index)
        info = partition.append_as_leader(records, acks=acks)
    except KafkaError as error:
        _count_failure(append, topic, data, error, partition)
        return _failed(append, topic, index, error, partition)
    if ctx.api_version < 3 and records[MAGIC] < 2:
        partition.traffic.produce_conversions += info.record_count
    end = info.last_offset + 1
    part = _new_part(
        index=index,
        base_offset=info.first_offset,
        log_append_time_ms=info.log_append_time,
        log_start_offset=info.log_start_offset,
        current_leader=NO_LEADER_HINT,
    )
    if acks == ACKS_ALL and partition.log.high_watermark < end:
        append.waits.append((part, partition, end))
    return part


def _checked(data: PartitionProduceData, version: int) -> Buffer:
    """What a version of the request may carry; the rest is for the log to check."""
    records: Any = data.records
    if records is not None and version >= ZSTD_SINCE and len(records) >= RECORDS:
        length, magic, attributes = _SHAPE.unpack_from(records)
        if (
            magic == 2
            and length + LOG_OVERHEAD == len(records)
            and not attributes & TRANSACTIONAL_BIT
        ):
            return records  # type: ignore[no-any-return]
    size = _first_entry(records, version)
    if records[MAGIC] == 2:
        attributes = records[_LOW_BITS]
        if attributes & TRANSACTIONAL_BIT:
            raise _no_transactions()
        if version < ZSTD_SINCE and attributes & COMPRESSION_MASK == Compression.ZSTD:
            raise KafkaError(
                ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
                f"Produce requests with version {version} are not allowed to use ZStandard "
                "compression",
            )
    elif version >= 3:
        raise KafkaError(
            ErrorCode.INVALID_RECORD,
            f"Produce requests with version {version} are only allowed to contain record batches "
            "with magic version 2",
        )
    if size < len(records) and version >= 3:
        if _entry_size(records[size:]):
            raise KafkaError(
                ErrorCode.INVALID_RECORD,
                f"Produce requests with version {version} are only allowed to contain exactly "
                "one record batch per partition",
            )
        records = records[:size]
    return records  # type: ignore[no-any-return]


def _first_entry(records: Any, version: int) -> int:
    """The size of the first batch or message; one that is cut off counts as none."""
    size = _entry_size(records) if records else 0
    if not size:
        raise KafkaError(
            ErrorCode.INVALID_RECORD,
            f"Produce requests with version {version} must have at least one record batch per "
            "partition",
        )
    return size


def _entry_size(records: Any) -> int:
    """0 if it is cut off."""
    if len(records) < LOG_OVERHEAD:
        return 0
    length = int.from_bytes(records[BATCH_LENGTH:LOG_OVERHEAD], "big", signed=True)
    if length < SMALLEST_ENTRY[0]:
        raise KafkaError(
            ErrorCode.CORRUPT_MESSAGE,
            f"Record size {length} is less than the minimum record overhead (14)",
        )
    if LOG_OVERHEAD + length > len(records):
        return 0
    magic = records[MAGIC]
    if magic > 2 or length < SMALLEST_ENTRY[magic]:
        raise KafkaError(
            ErrorCode.CORRUPT_MESSAGE, f"No batch has magic {magic} and {length} bytes"
        )
    return LOG_OVERHEAD + length


def _count_failure(
    append: Append,
    topic: TopicRef,
    data: PartitionProduceData,
    error: KafkaError,
    partition: Partition | None,
) -> None:
    """As Kafka: what the client has to expect of a cluster is no failure."""
    code, traffic = error.code, append.ctx.broker.replicas.traffic
    if isinstance(error, RecordsRefused):
        traffic.refused_records(error.kind, len(error.record_errors))
    if partition is None:
        if code is ErrorCode.NOT_LEADER_OR_FOLLOWER:
            traffic.known(topic.name).produces += 1
    elif code is ErrorCode.MESSAGE_TOO_LARGE:
        partition.traffic.bytes_rejected += len(data.records or b"")
    elif code not in _BARE:
        partition.traffic.failed_produces += 1


def _failed(
    append: Append,
    topic: TopicRef,
    index: int,
    error: KafkaError,
    partition: Partition | None,
) -> Part:
    """``partition``: where the records came as far as that."""
    append.has_errors = True
    code = error.code
    part = Part(index=index, error_code=code, base_offset=-1, current_leader=NO_LEADER_HINT)
    if isinstance(error, RecordsRefused) and code not in _BARE:
        part.error_message = error.message
        part.record_errors = [
            BatchIndexAndErrorMessage(batch_index=at, batch_index_error_message=message)
            for at, message in error.record_errors
        ]
    elif code in _SAID_BEFOREHAND and partition is None:
        part.error_message = error.message
    if code not in _BARE and partition is not None:
        part.log_start_offset = partition.log_start_offset
    if code is ErrorCode.NOT_LEADER_OR_FOLLOWER:
        _point_to_leader(append, topic.name, part)
    return part


def _point_to_leader(append: Append, name: str, part: Part) -> None:
    hint = leader_hint(append.ctx, name, part.index)
    part.current_leader = LeaderIdAndEpoch(leader_id=hint.leader, leader_epoch=hint.leader_epoch)
    known = append.response.node_endpoints
    if hint.endpoint and hint.broker and all(e.node_id != hint.leader for e in known):
        known.append(
            NodeEndpoint(
                node_id=hint.leader,
                host=hint.endpoint.host,
                port=hint.endpoint.port,
                rack=hint.broker.rack,
            )
        )


def _wait(append: Append) -> Deferral[ProduceResponse]:
    ctx = append.ctx

    def settle(pending: tuple[Part, str], code: ErrorCode) -> None:
        part, name = pending
        part.error_code = code
        if code is ErrorCode.NOT_LEADER_OR_FOLLOWER:
            _point_to_leader(append, name, part)

    return AckWait(
        ctx.broker.clock,
        ctx.broker.replicas.counts,
        PRODUCE,
        append.request.timeout_ms,
        [
            ((part, partition.topic_partition.topic), partial(partition.when_replicated, end))
            for part, partition, end in append.waits
        ],
        settle,
        lambda: append.response,
    ).deferral


def _give_up(append: Append) -> None:
    """acks=0: there is no answer to put an error into. A closed connection makes the client look
    at the metadata again."""
    if logger.is_enabled(INFO):
        errors = {
            f"{topic.name}-{part.index}": ErrorCode(part.error_code).name
            for topic in append.response.responses
            for part in topic.partition_responses
            if part.error_code
        }
        logger.info(
            "closing connection after a failed produce with acks=0",
            client_id=append.ctx.client_id,
            errors=errors,
        )
    raise CloseConnection
