"""A member of a consumer group, by the classic protocol: joins, assigns ranges, commits, leaves."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pykbroker.tools.client import PASSING, ToolError, Unreachable, check
from wire.errors import ErrorCode
from wire.messages.consumer_protocol import (
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
    TopicPartition,
)
from wire.messages.heartbeat import HeartbeatRequest
from wire.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol
from wire.messages.leave_group import LeaveGroupRequest, MemberIdentity
from wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from wire.messages.offset_fetch import OffsetFetchRequest, OffsetFetchRequestGroup
from wire.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment
from wire.persisted import decode_embedded, encode_versioned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeAlias

    from pykbroker.tools.client import Client
    from wire.messages.join_group import JoinGroupResponse
    from wire.schema import Request

    Partition: TypeAlias = tuple[str, int]

SESSION_TIMEOUT_MS = 45_000
REBALANCE_TIMEOUT_MS = 300_000
HEARTBEAT_SECONDS = 3.0
REJOIN = frozenset(
    (
        ErrorCode.REBALANCE_IN_PROGRESS,
        ErrorCode.ILLEGAL_GENERATION,
        ErrorCode.UNKNOWN_MEMBER_ID,
        ErrorCode.MEMBER_ID_REQUIRED,
        *PASSING,
    )
)


class Membership:
    """``join`` gives what this member is to read; ``is_stable`` says whether that still holds."""

    def __init__(self, client: Client, group: str, topics: Sequence[str]) -> None:
        self._client, self._group, self._topics = client, group, list(topics)
        self._node = client.coordinator(group)
        self._member_id = ""
        self._generation = -1
        self._next_heartbeat = 0.0

    def join(self) -> list[Partition]:
        subscription = encode_versioned(ConsumerProtocolSubscription(topics=self._topics), 1)
        protocol = JoinGroupRequestProtocol(name="range", metadata=subscription)
        for _ in self._client.attempts():
            request = JoinGroupRequest(
                group_id=self._group,
                session_timeout_ms=SESSION_TIMEOUT_MS,
                rebalance_timeout_ms=REBALANCE_TIMEOUT_MS,
                member_id=self._member_id,
                protocol_type="consumer",
                protocols=[protocol],
            )
            joined = self._ask(request)
            self._member_id = joined.member_id or self._member_id
            if self._must_try_again(joined.error_code):
                continue
            self._generation = joined.generation_id
            synced = self._ask(
                SyncGroupRequest(
                    group_id=self._group,
                    generation_id=self._generation,
                    member_id=self._member_id,
                    protocol_type="consumer",
                    protocol_name="range",
                    assignments=self._assignments(joined),
                )
            )
            if self._must_try_again(synced.error_code):
                continue
            self._next_heartbeat = time.monotonic() + HEARTBEAT_SECONDS
            assigned, _ = decode_embedded(ConsumerProtocolAssignment, synced.assignment)
            return [(t.topic, p) for t in assigned.assigned_partitions for p in t.partitions]
        raise ToolError(f"The group {self._group} could not be joined.")

    def is_stable(self) -> bool:
        """Sends a heartbeat when one is due. False: join again."""
        if time.monotonic() < self._next_heartbeat:
            return True
        self._next_heartbeat = time.monotonic() + HEARTBEAT_SECONDS
        request = HeartbeatRequest(
            group_id=self._group, generation_id=self._generation, member_id=self._member_id
        )
        return not self._must_try_again(self._ask(request).error_code)

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """What the group goes on from. A generation that is over commits nothing."""
        answer = self._ask(
            commit_request(self._client, self._group, positions, self._generation, self._member_id)
        )
        for topic in answer.topics:
            for partition in topic.partitions:
                if partition.error_code not in REJOIN:
                    check(partition.error_code)

    def leave(self) -> None:
        identity = MemberIdentity(member_id=self._member_id)
        self._ask(LeaveGroupRequest(group_id=self._group, members=[identity]))

    def _ask(self, request: Request) -> Any:
        """The coordinator; once more when it went away. Nothing here does harm when done twice."""
        try:
            return self._client.call(request, self._node)
        except Unreachable:
            self._node = self._client.coordinator(self._group)
            return self._client.call(request, self._node)

    def _must_try_again(self, code: int) -> bool:
        if code not in REJOIN:
            check(code)
            return False
        if code == ErrorCode.UNKNOWN_MEMBER_ID:
            self._member_id = ""
        elif code in PASSING:
            self._node = self._client.coordinator(self._group)
        return True

    def _assignments(self, joined: JoinGroupResponse) -> list[SyncGroupRequestAssignment]:
        """The leader's part: of every topic a range for each member that has subscribed to it."""
        if joined.leader != self._member_id:
            return []
        members = {
            m.member_id: decode_embedded(ConsumerProtocolSubscription, m.metadata)[0].topics
            for m in joined.members
        }
        given: dict[str, list[TopicPartition]] = {member: [] for member in members}
        for name in sorted({topic for topics in members.values() for topic in topics}):
            count = len(self._client.topic(name).partitions)
            readers = sorted(member for member, topics in members.items() if name in topics)
            start = 0
            for index, member in enumerate(readers):
                size = count // len(readers) + (index < count % len(readers))
                part = list(range(start, start + size))
                start += size
                if part:
                    given[member].append(TopicPartition(topic=name, partitions=part))
        return [
            SyncGroupRequestAssignment(
                member_id=member,
                assignment=encode_versioned(ConsumerProtocolAssignment(assigned_partitions=p), 1),
            )
            for member, p in given.items()
        ]


def commit_request(
    client: Client,
    group: str,
    positions: Mapping[Partition, int],
    generation: int = -1,
    member: str = "",
) -> OffsetCommitRequest:
    topics: dict[str, list[OffsetCommitRequestPartition]] = {}
    for (topic, partition), offset in positions.items():
        topics.setdefault(topic, []).append(
            OffsetCommitRequestPartition(
                partition_index=partition, committed_offset=offset, committed_metadata=""
            )
        )
    return OffsetCommitRequest(
        group_id=group,
        generation_id_or_member_epoch=generation,
        member_id=member,
        topics=[
            OffsetCommitRequestTopic(
                name=name, topic_id=client.topic(name).topic_id, partitions=partitions
            )
            for name, partitions in topics.items()
        ],
    )


def committed(client: Client, group: str) -> dict[Partition, int]:
    """What a group has committed, of every topic there is."""
    names = {topic.topic_id: topic.name or "" for topic in client.metadata(None).topics}
    wanted = OffsetFetchRequestGroup(group_id=group, topics=None)
    request = OffsetFetchRequest(groups=[wanted], require_stable=True)
    for _ in client.attempts():
        (answer,) = client.call(request, client.coordinator(group)).groups
        if answer.error_code in PASSING:
            continue
        check(answer.error_code)
        return {
            (topic.name or names.get(topic.topic_id, ""), partition.partition_index): (
                partition.committed_offset
            )
            for topic in answer.topics
            for partition in topic.partitions
            if partition.committed_offset >= 0
        }
    raise ToolError(f"The offsets of group {group} could not be read.")
