"""Fetch: records from several partitions; waits until there are enough of them.

v3 limit of the whole response - v4 isolation level (KIP-98) - v5 log start offset - v7 sessions
(KIP-227) - v9 leader epoch (KIP-320) - v10 zstd (KIP-110) - v11 nearest replica (KIP-392) -
v12 flexible, diverging epoch (KIP-595) - v13 topic ids (KIP-516) - v15 replica epoch (KIP-903) -
v16 endpoints of leaders (KIP-951) - v17 replica directories - v18 high watermark of followers
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pykbroker.handlers.api import Context, handles
from pykbroker.handlers.error_response import error_response
from pykbroker.handlers.topic_refs import leader_hint
from pykbroker.log import get_logger
from pykbroker.runtime.fetching import FetchParams, Reading, read_partitions
from pykbroker.runtime.partition import HIGH_WATERMARK, TXN_COMMITTED
from pykbroker.runtime.purgatory import FetchWait
from pykbroker.state.errors import KafkaError
from pykbroker.state.fetch_session import entries_of
from pykbroker.state.types import TopicId
from wire.errors import ErrorCode
from wire.messages.fetch import (
    FetchableTopicResponse,
    FetchRequest,
    FetchResponse,
    LeaderIdAndEpoch,
    NodeEndpoint,
)
from wire.schema import maker

if TYPE_CHECKING:
    from pykbroker.runtime.waiters import Deferral
    from pykbroker.state.fetch_session import FetchContext, FetchEntry, TopicKey
    from wire.messages.fetch import PartitionData
    from wire.schema import Response

logger = get_logger("pykbroker.handlers.fetch")

_MOVED = (ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.FENCED_LEADER_EPOCH)
LEADERS_FROM_VERSION = 16
"""Older ones have a place for the leader's id but none for its address, and whoever follows the id
may not know the broker: kafka-python 3.0 then fetches nothing from that one for ever."""
_new_response = maker(FetchResponse)
_new_topic = maker(FetchableTopicResponse)
RACK_AWARE = "RackAwareReplicaSelector"


@handles(FetchRequest)
def fetch(request: FetchRequest, ctx: Context) -> FetchResponse | Deferral[Any]:
    params = _params(request, ctx)
    context = _context(request, ctx)
    if context.error is not ErrorCode.NONE:
        return FetchResponse(error_code=context.error)
    entries = list(context.entries())
    replicas = ctx.broker.replicas

    def read(*, update_followers: bool) -> Reading:
        context.count_fetch()
        return read_partitions(
            replicas,
            entries,
            params,
            only_news=context.is_incremental,
            update_followers=update_followers,
        )

    def answer() -> Response:
        try:
            return _respond(ctx, context, read(update_followers=False))
        except Exception as error:
            # Here nobody else sees it, and the client would wait for ever.
            logger.error("fetch failed", client_id=ctx.client_id, error=error)
            return error_response(request, ErrorCode.UNKNOWN_SERVER_ERROR, None, ctx.api_version)

    reading = read(update_followers=True)
    if params.is_follower:
        ctx.is_exempt = True
        replicas.wakeups.run()
    if (
        params.max_wait_ms <= 0
        or reading.size >= params.min_bytes
        or reading.is_urgent
        or not reading.watched
    ):
        return _respond(ctx, context, reading)
    found = {}
    if reading.size:  # Batches are not cut to fill a limit: what did not fit counts none the less.
        found = {
            entry: partition.ready_bytes(entry, params.isolation, params.replica_id)
            for partition, entry in reading.watched
        }
        if sum(found.values()) >= params.min_bytes:
            return _respond(ctx, context, reading)
    return FetchWait(
        ctx.broker.clock,
        replicas.wakeups,
        replicas.counts,
        max_wait_ms=params.max_wait_ms,
        min_bytes=params.min_bytes,
        replica_id=params.replica_id,
        isolation=params.isolation,
        watched=reading.watched,
        found=found,
        answer=answer,
    ).deferral


def _context(request: FetchRequest, ctx: Context) -> FetchContext:
    image = ctx.broker.images.current
    uses_ids = ctx.api_version >= 13
    names = image.topic_names
    wanted: list[FetchEntry] = []
    keys: set[TopicKey] = set()
    distinct = 0
    for topic in request.topics:
        key: TopicKey = topic.topic_id if uses_ids else topic.topic
        name = names.get(TopicId(topic.topic_id)) if uses_ids else topic.topic
        partitions = topic.partitions
        wanted += entries_of(key, name, partitions)
        keys.add(key)
        distinct += (
            len(partitions) if len(partitions) < 2 else len({p.partition for p in partitions})
        )
    forgotten = [
        (topic.topic_id if uses_ids else topic.topic, index)
        for topic in request.forgotten_topics_data
        for index in topic.partitions
    ]
    return ctx.broker.fetch_sessions.context(
        request.session_id,
        request.session_epoch,
        wanted,
        forgotten,
        uses_topic_ids=uses_ids,
        is_follower=request.replica_state.replica_id >= 0,
        now_ms=ctx.received_ms,
        names=lambda topic_id: names.get(TopicId(topic_id)),
        are_distinct=len(keys) == len(request.topics) and distinct == len(wanted),
    )


def _params(request: FetchRequest, ctx: Context) -> FetchParams:
    settings = ctx.broker.settings.current
    max_bytes = min(request.max_bytes, settings.int("fetch.max.bytes"))
    if request.replica_state.replica_id < 0:
        max_bytes = ctx.broker.quotas.max_fetch_bytes(ctx, max_bytes)
    rack_id = request.rack_id
    if rack_id and not (settings.str("replica.selector.class") or "").endswith(RACK_AWARE):
        rack_id = ""
    return FetchParams(
        replica_id=request.replica_state.replica_id,
        broker_epoch=request.replica_state.replica_epoch,
        max_wait_ms=request.max_wait_ms,
        min_bytes=min(request.min_bytes, max_bytes),
        max_bytes=max_bytes,
        isolation=isolation_of(request.isolation_level),
        only_leader=ctx.api_version < 11,
        rack_id=rack_id,
        one_batch_each=ctx.api_version < 3,
        may_share=ctx.api_version >= 10,
    )


def isolation_of(level: int) -> int:
    if level not in (HIGH_WATERMARK, TXN_COMMITTED):
        # As Kafka, which has no better word for it.
        raise KafkaError(ErrorCode.UNKNOWN_SERVER_ERROR, f"Unknown isolation level {level}")
    return level


def _respond(ctx: Context, context: FetchContext, reading: Reading) -> FetchResponse:
    version = ctx.api_version
    answers, size = reading.answers, reading.size
    replicas = ctx.broker.replicas
    traffic = replicas.traffic
    if version < 10:
        from pykbroker.handlers.old_formats import fit

        answers = [fit(answer, version, traffic.known(answer.entry.topic)) for answer in answers]
        size = sum(answer.size for answer in answers)
    if not ctx.is_exempt:
        throttle_ms = ctx.broker.quotas.record_fetch(ctx, size)
        if throttle_ms > 0:
            error, session_id = context.finish_throttled()
            return FetchResponse(
                error_code=error, session_id=session_id, throttle_time_ms=throttle_ms
            )
    error, session_id, told = context.finish(answers, ctx.broker.clock.monotonic_ms())
    response = _new_response(
        error_code=error, session_id=session_id, responses=[], node_endpoints=[]
    )
    has_errors = error is not ErrorCode.NONE
    if ctx.is_exempt:
        replicas.replicated_out(reading)
    topic: FetchableTopicResponse | None = None
    key: TopicKey | None = None
    for answer in told:
        entry, data = answer.entry, answer.data
        if data.error_code:
            has_errors = True
            if data.error_code in _MOVED and version >= LEADERS_FROM_VERSION:
                _point_to_leader(ctx, response, entry, data)
        if answer.size and not ctx.is_exempt:
            traffic.known(entry.topic).bytes_out += answer.size
        if topic is None or entry.key != key:
            key = entry.key
            topic = _new_topic(partitions=[])
            if isinstance(key, bytes):
                topic.topic_id = key
            else:
                topic.topic = key
            response.responses.append(topic)
        topic.partitions.append(data)
    if not has_errors:
        ctx.told_none = 1 + len(told)
    return response


def _point_to_leader(
    ctx: Context, response: FetchResponse, entry: FetchEntry, data: PartitionData
) -> None:
    hint = leader_hint(ctx, entry.topic or "", entry.partition)
    data.current_leader = LeaderIdAndEpoch(leader_id=hint.leader, leader_epoch=hint.leader_epoch)
    known = response.node_endpoints
    if ctx.is_exempt:
        return  # Brokers know where to find each other.
    if hint.endpoint and hint.broker and all(e.node_id != hint.leader for e in known):
        known.append(
            NodeEndpoint(
                node_id=hint.leader,
                host=hint.endpoint.host,
                port=hint.endpoint.port,
                rack=hint.broker.rack,
            )
        )
