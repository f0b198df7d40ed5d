"""OffsetCommit, OffsetFetch and OffsetDelete, and how offsets expire (KIP-211)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.state.coordinator import CoordinatorRecord, Decision, Instant, Waiter
from pykbroker.state.errors import KafkaError
from pykbroker.state.group.classic_group import ClassicGroup, State
from pykbroker.state.group.joining import validate_member
from pykbroker.state.group.offsets import CommittedOffset, GroupOffsets, OffsetKey
from pykbroker.state.group.records import offset_record, offset_tombstone
from wire.errors import ErrorCode
from wire.messages.offset_commit import (
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)
from wire.messages.offset_delete import (
    OffsetDeleteResponse,
    OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
)
from wire.messages.offset_fetch import (
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartitions,
    OffsetFetchResponseTopics,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pykbroker.state.group.rebalance import Rebalance
    from wire.messages.offset_commit import OffsetCommitRequest, OffsetCommitRequestPartition
    from wire.messages.offset_delete import OffsetDeleteRequest
    from wire.messages.offset_fetch import OffsetFetchRequestGroup


class OffsetRequests:
    def __init__(self, rebalance: Rebalance, offsets: GroupOffsets) -> None:
        self._rebalance = rebalance
        self._offsets = offsets

    # Commit.

    def commit(self, request: OffsetCommitRequest, waiter: Waiter, now: Instant) -> Decision:
        """GROUP_ID_NOT_FOUND for a generation of a group that is not there."""
        self._check_commit(request, now)
        max_bytes = self._rebalance.config.offset_metadata_max_bytes
        retention_ms = request.retention_time_ms
        expires_ms = -1 if retention_ms == -1 else now.wall_ms + retention_ms
        decision = Decision()
        topics = []
        for topic in request.topics:
            partitions = []
            for p in topic.partitions:
                code = ErrorCode.NONE
                if p.committed_metadata and len(p.committed_metadata) > max_bytes:
                    code = ErrorCode.OFFSET_METADATA_TOO_LARGE
                else:
                    committed = _committed(p, topic.topic_id, expires_ms, now)
                    key = OffsetKey(topic.name, p.partition_index)
                    decision.records.append(offset_record(request.group_id, key, committed))
                partitions.append(
                    OffsetCommitResponsePartition(
                        partition_index=p.partition_index, error_code=code
                    )
                )
            topics.append(
                OffsetCommitResponseTopic(
                    name=topic.name, topic_id=topic.topic_id, partitions=partitions
                )
            )
        self._rebalance.counts.commits += len(decision.records)
        decision.reply(waiter, OffsetCommitResponse(topics=topics))
        return decision

    def _check_commit(self, request: OffsetCommitRequest, now: Instant) -> None:
        generation_id = request.generation_id_or_member_epoch
        group = self._rebalance.groups.get(request.group_id)
        if group is None:
            if generation_id >= 0:
                raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND)
            return  # a consumer without a group, or an administrator: replay makes the group
        if generation_id < 0 and group.is_empty:
            return
        if generation_id < 0 and not request.member_id and request.group_instance_id is None:
            raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID)
        member = validate_member(group, request.member_id, request.group_instance_id)
        if generation_id != group.generation_id:
            raise KafkaError(ErrorCode.ILLEGAL_GENERATION)
        if group.state is State.COMPLETING_REBALANCE:
            raise KafkaError(ErrorCode.REBALANCE_IN_PROGRESS)
        self._rebalance.restart_session(group, member, now)

    # Fetch.

    def fetch(
        self, request: OffsetFetchRequestGroup, require_stable: bool
    ) -> OffsetFetchResponseGroup:
        """All partitions of a group when it names no topics. What is not there has offset -1; what
        a transaction is about to change is UNSTABLE_OFFSET_COMMIT to those who ask for stable
        offsets only (KIP-447)."""
        group_id = request.group_id
        known = self._offsets.of_group(group_id) if group_id in self._rebalance.groups else {}
        wanted: Iterable[tuple[str, bytes, Iterable[int]]]
        if request.topics is None:
            wanted = [(name, bytes(16), ids) for name, ids in _by_topic(known).items()]
        else:
            wanted = [(t.name, t.topic_id, t.partition_indexes) for t in request.topics]
        response = OffsetFetchResponseGroup(group_id=group_id)
        for name, topic_id, indexes in wanted:
            topic = OffsetFetchResponseTopics(name=name, topic_id=topic_id)
            response.topics.append(topic)
            for index in indexes:
                key = OffsetKey(name, index)
                committed = known.get(key)
                partition = OffsetFetchResponsePartitions(
                    partition_index=index, committed_offset=-1
                )
                topic.partitions.append(partition)
                if require_stable and self._offsets.is_pending(group_id, key):
                    partition.error_code = ErrorCode.UNSTABLE_OFFSET_COMMIT
                elif committed is not None and committed.is_of(topic_id):
                    partition.committed_offset = committed.offset
                    partition.committed_leader_epoch = committed.leader_epoch
                    partition.metadata = committed.metadata
        return response

    # Delete.

    def delete(self, request: OffsetDeleteRequest, waiter: Waiter) -> Decision:
        """KIP-496: not while a member consumes the topic."""
        if not request.group_id:
            raise KafkaError(ErrorCode.INVALID_GROUP_ID)
        group = self._rebalance.groups.get(request.group_id)
        if group is None:
            raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND)
        if not group.is_empty and not group.is_consumer_group:
            raise KafkaError(ErrorCode.NON_EMPTY_GROUP)
        decision = Decision()
        response = OffsetDeleteResponse()
        keys = set(self._offsets.keys_of_group(request.group_id))
        for topic in request.topics:
            subscribed = group.is_subscribed_to(topic.name)
            code = ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC if subscribed else ErrorCode.NONE
            indexes = [p.partition_index for p in topic.partitions]
            response.topics.append(
                OffsetDeleteResponseTopic(
                    name=topic.name,
                    partitions=[
                        OffsetDeleteResponsePartition(partition_index=i, error_code=code)
                        for i in indexes
                    ],
                )
            )
            gone = [OffsetKey(topic.name, i) for i in dict.fromkeys(indexes) if not subscribed]
            decision.records += self._tombstones(request.group_id, keys.intersection(gone))
        decision.reply(waiter, response)
        return decision

    def delete_all(self, group_id: str) -> list[CoordinatorRecord]:
        return self._tombstones(group_id, self._offsets.keys_of_group(group_id))

    def delete_topics(self, topics: Iterable[str]) -> Decision:
        keys = self._offsets.keys_of_topics(topics)
        self._rebalance.counts.deletions += len(keys)
        return Decision([offset_tombstone(group_id, key) for group_id, key in keys])

    def _tombstones(self, group_id: str, keys: Iterable[OffsetKey]) -> list[CoordinatorRecord]:
        gone = [offset_tombstone(group_id, key) for key in sorted(keys)]
        self._rebalance.counts.deletions += len(gone)
        return gone

    # Expiry.

    def expired(self, group: ClassicGroup, wall_ms: int) -> tuple[list[OffsetKey], bool]:
        """Which offsets have had their time, and whether nothing remains without them.

        Retention counts from when a group became empty; for a consumer without a group, and for
        topics that a stable consumer group no longer subscribes to, from the commit."""
        offsets = self._offsets.of_group(group.group_id)
        has_pending = self._offsets.has_pending(group.group_id)
        if not offsets:
            return [], not has_pending
        counts_from_empty = group.protocol_type is not None and group.is_empty
        if not counts_from_empty and group.protocol_type is not None:
            knows = group.is_consumer_group and group.subscribed_topics is not None
            if not knows or group.state is not State.STABLE:
                return [], False
        retention_ms = self._rebalance.config.offsets_retention_ms
        gone = []
        for key, committed in offsets.items():
            base_ms = committed.commit_timestamp_ms
            if counts_from_empty and group.state_timestamp_ms != -1:
                base_ms = group.state_timestamp_ms
            if (
                committed.has_expired(base_ms, wall_ms, retention_ms)
                and not group.is_subscribed_to(key.topic)
                and not self._offsets.is_pending(group.group_id, key)
            ):
                gone.append(key)
        return gone, len(gone) == len(offsets) and not has_pending


def _committed(
    partition: OffsetCommitRequestPartition, topic_id: bytes, expires_ms: int, now: Instant
) -> CommittedOffset:
    timestamp_ms = partition.commit_timestamp  # the client's, in version 1 only
    return CommittedOffset(
        partition.committed_offset,
        partition.committed_leader_epoch,
        partition.committed_metadata or "",
        now.wall_ms if timestamp_ms == -1 else timestamp_ms,
        expires_ms,
        topic_id,
    )


def _by_topic(offsets: Mapping[OffsetKey, CommittedOffset]) -> dict[str, list[int]]:
    topics: dict[str, list[int]] = {}
    for key in offsets:
        topics.setdefault(key.topic, []).append(key.partition)
    return topics
