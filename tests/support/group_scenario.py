"""A group shard with a log, a clock and named clients, so that a rebalance reads as it happens.

    s = GroupScenario()
    s.join("a").join("b")
    assert s.joined("a").generation_id == s.joined("b").generation_id == 1
    s.sync("a", a=b"0", b=b"1").sync("b")

A client's name is its client id. ``join`` follows the order to come back with the id it was given
(KIP-394). Answers land in the client's inbox, ``take`` reads the oldest. Whatever is decided is
appended and replayed at once; ``restart`` makes a new shard from the log's bytes.
"""

from __future__ import annotations

import random
from typing import Any

from pykbroker.state.coordinator import CoordinatorRecord, Decision, Instant
from pykbroker.state.errors import KafkaError
from pykbroker.state.group.config import GroupConfig
from pykbroker.state.group.joining import Joiner
from pykbroker.state.group.shard import GroupShard
from wire.errors import ErrorCode
from wire.messages.heartbeat import HeartbeatRequest
from wire.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse
from wire.messages.leave_group import LeaveGroupRequest, MemberIdentity
from wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from wire.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic,
)
from wire.messages.offset_fetch import (
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
    OffsetFetchResponseGroup,
)
from wire.messages.sync_group import (
    SyncGroupRequest,
    SyncGroupRequestAssignment,
    SyncGroupResponse,
)
from wire.persisted import decode_record, encode_record

WALL_MS = 1_700_000_000_000
"""The wall clock when the scenario's own stands at zero."""
GROUP = "g"


def subscription(*topics: str) -> bytes:
    """A consumer's, in version 0 of its protocol."""
    names = b"".join(len(t).to_bytes(2, "big") + t.encode() for t in topics)
    return b"\0\0" + len(topics).to_bytes(4, "big") + names + b"\xff\xff\xff\xff"


class Refusal(KafkaError):
    """In an inbox, in place of the answer that a handler would make of the error."""

    @property
    def error_code(self) -> ErrorCode:
        return self.code


def refusal(code: ErrorCode) -> Refusal:
    return Refusal(code)


class Asker:
    """One request of a client; it is answered once."""

    def __init__(self, name: str, then: Any) -> None:
        self.name = name
        self.then = then
        self.answer: Any = None


class GroupScenario:
    def __init__(self, *, initial_delay_ms: int = 0, **config: Any) -> None:
        self.config = GroupConfig(initial_rebalance_delay_ms=initial_delay_ms, **config)
        self.rng = random.Random(7)
        self.now_ms = 0
        self.log: list[tuple[bytes, bytes | None]] = []
        self.records: list[CoordinatorRecord] = []
        self.refuse_appends = False
        self.askers: list[Asker] = []
        self.inbox: dict[str, list[Any]] = {}
        self.told: list[tuple[str, Any]] = []
        """Every answer, in order, with the client it went to."""
        self.member_ids: dict[str, str] = {}
        self.generations: dict[str, int] = {}
        self.shard = GroupShard(self.config, self.rng)
        self.carry_out(self.shard.loaded(self.now))

    @property
    def now(self) -> Instant:
        return Instant(self.now_ms, WALL_MS + self.now_ms)

    @property
    def group(self) -> Any:
        return self.shard.groups[GROUP]

    def carry_out(self, decision: Decision) -> None:
        if decision.records and self.refuse_appends:
            self._refused(decision)
            return
        for record in decision.records:
            self.shard.replay(record, len(self.log), -1)
            self.log.append(encode_record(record.key, record.value, record.version))
            self.records.append(record)
        for waiter, response in decision.replies:
            self._tell(waiter, response)

    def _refused(self, decision: Decision) -> None:
        waiters = [reply.waiter for reply in decision.replies]
        if decision.assumed_by is not None:
            waiters += self.shard.revert(decision.assumed_by, self.now)
        for waiter in waiters:
            self._tell(waiter, refusal(ErrorCode.COORDINATOR_NOT_AVAILABLE))

    def _tell(self, waiter: Any, response: Any) -> None:
        assert waiter.answer is None, f"{waiter.name} is answered twice"
        waiter.answer = response
        self.inbox.setdefault(waiter.name, []).append(response)
        self.told.append((waiter.name, response))
        if waiter.then is not None:
            waiter.then(response)

    def at(self, now_ms: int) -> GroupScenario:
        """Time passes; what is due meanwhile happens when it is due."""
        while (due_ms := self.shard.next_deadline()) is not None and due_ms <= now_ms:
            self.now_ms = max(self.now_ms, due_ms)
            self.carry_out(self.shard.tick(self.now))
        self.now_ms = now_ms
        return self

    def later(self, ms: int) -> GroupScenario:
        return self.at(self.now_ms + ms)

    def restart(self) -> GroupScenario:
        self.shard = self.replayed()
        self.carry_out(self.shard.loaded(self.now))
        return self

    def replayed(self) -> GroupShard:
        """A shard that knows nothing but the log."""
        shard = GroupShard(self.config, self.rng)
        self.follow(shard, 0)
        return shard

    def follow(self, shard: GroupShard, offset: int) -> int:
        """Replay the log's bytes from ``offset`` on; where it ends."""
        while offset < len(self.log):
            record = decode_record(*self.log[offset])
            assert record is not None
            shard.replay(CoordinatorRecord(*record), offset, -1)
            offset += 1
        return offset

    def take(self, name: str) -> Any:
        return self.inbox[name].pop(0)

    def joined(self, name: str) -> JoinGroupResponse:
        response = self.take(name)
        assert isinstance(response, JoinGroupResponse)
        assert response.error_code == ErrorCode.NONE, ErrorCode(response.error_code)
        return response

    def assigned(self, name: str) -> bytes:
        response = self.take(name)
        assert isinstance(response, SyncGroupResponse)
        assert response.error_code == ErrorCode.NONE, ErrorCode(response.error_code)
        return response.assignment

    def code(self, name: str) -> ErrorCode:
        """The error of the oldest answer."""
        return ErrorCode(self.take(name).error_code)

    # What clients do.

    def _ask(self, name: str, decide: Any, then: Any = None) -> GroupScenario:
        waiter = Asker(name, then)
        self.askers.append(waiter)
        try:
            decision = decide(waiter)
        except KafkaError as error:
            self._tell(waiter, refusal(error.code))
            return self
        self.carry_out(decision)
        return self

    def join(
        self,
        name: str,
        *,
        protocols: dict[str, bytes] | None = None,
        member_id: str | None = None,
        instance: str | None = None,
        session_ms: int = 10_000,
        rebalance_ms: int = 30_000,
        protocol_type: str = "consumer",
        follow: bool = True,
        must_know: bool = True,
        can_skip: bool = True,
        group: str = GROUP,
    ) -> GroupScenario:
        if protocols is None:
            protocols = {"range": subscription("t")}
        known = self.member_ids.get(name, "") if member_id is None else member_id
        request = JoinGroupRequest(
            group_id=group,
            session_timeout_ms=session_ms,
            rebalance_timeout_ms=rebalance_ms,
            member_id=known,
            group_instance_id=instance,
            protocol_type=protocol_type,
            protocols=[JoinGroupRequestProtocol(name=n, metadata=m) for n, m in protocols.items()],
        )
        joiner = Joiner(name, "/127.0.0.1", must_know, can_skip)

        def told(response: JoinGroupResponse) -> None:
            if response.error_code == ErrorCode.NONE:
                self.member_ids[name] = response.member_id
                self.generations[name] = response.generation_id
            elif response.error_code == ErrorCode.MEMBER_ID_REQUIRED:
                self.member_ids[name] = response.member_id
                if not follow:
                    return
                self.inbox[name].pop()
                self.told.pop()
                request.member_id = response.member_id
                self._ask(name, lambda w: self.shard.join(request, joiner, w, self.now), told)

        self._ask(name, lambda w: self.shard.join(request, joiner, w, self.now), told)
        return self.at(self.now_ms)

    def sync(
        self,
        name: str,
        *,
        generation: int | None = None,
        member_id: str | None = None,
        instance: str | None = None,
        protocol_type: str | None = "consumer",
        protocol_name: str | None = "range",
        **assignments: bytes,
    ) -> GroupScenario:
        request = SyncGroupRequest(
            group_id=GROUP,
            generation_id=self.generations.get(name, -1) if generation is None else generation,
            member_id=self.member_ids.get(name, "") if member_id is None else member_id,
            group_instance_id=instance,
            protocol_type=protocol_type,
            protocol_name=protocol_name,
            assignments=[
                SyncGroupRequestAssignment(member_id=self.member_ids[n], assignment=data)
                for n, data in assignments.items()
            ],
        )
        return self._ask(name, lambda w: self.shard.sync(request, w, self.now))

    def heartbeat(
        self,
        name: str,
        *,
        generation: int | None = None,
        member_id: str | None = None,
        instance: str | None = None,
        group: str = GROUP,
    ) -> GroupScenario:
        request = HeartbeatRequest(
            group_id=group,
            generation_id=self.generations.get(name, -1) if generation is None else generation,
            member_id=self.member_ids.get(name, "") if member_id is None else member_id,
            group_instance_id=instance,
        )
        return self._ask(name, lambda w: self.shard.heartbeat(request, w, self.now))

    def leave(self, name: str, *identities: MemberIdentity, group: str = GROUP) -> GroupScenario:
        """Itself, unless others are named."""
        members = list(identities) or [MemberIdentity(member_id=self.member_ids.get(name, ""))]
        request = LeaveGroupRequest(group_id=group, members=members)
        return self._ask(name, lambda w: self.shard.leave(request, w, self.now))

    def commit(
        self,
        name: str,
        offset: int,
        *,
        topic: str = "t",
        partition: int = 0,
        generation: int | None = None,
        member_id: str | None = None,
        instance: str | None = None,
        metadata: str | None = "",
        leader_epoch: int = -1,
        retention_ms: int = -1,
        timestamp: int = -1,
        topic_id: bytes = bytes(16),
        group: str = GROUP,
    ) -> GroupScenario:
        request = OffsetCommitRequest(
            group_id=group,
            generation_id_or_member_epoch=(
                self.generations.get(name, -1) if generation is None else generation
            ),
            member_id=self.member_ids.get(name, "") if member_id is None else member_id,
            group_instance_id=instance,
            retention_time_ms=retention_ms,
            topics=[
                OffsetCommitRequestTopic(
                    name=topic,
                    topic_id=topic_id,
                    partitions=[
                        OffsetCommitRequestPartition(
                            partition_index=partition,
                            committed_offset=offset,
                            committed_leader_epoch=leader_epoch,
                            committed_metadata=metadata,
                            commit_timestamp=timestamp,
                        )
                    ],
                )
            ],
        )
        return self._ask(name, lambda w: self.shard.commit_offsets(request, w, self.now))

    def commit_code(self, name: str) -> ErrorCode:
        """The error of the oldest answer, of the commit as a whole or of its one partition."""
        answer = self.take(name)
        if isinstance(answer, KafkaError):
            return answer.code
        return ErrorCode(answer.topics[0].partitions[0].error_code)

    def fetch(
        self,
        partitions: dict[str, list[int]] | None = None,
        *,
        stable: bool = False,
        topic_id: bytes = bytes(16),
        group: str = GROUP,
    ) -> OffsetFetchResponseGroup:
        topics = None
        if partitions is not None:
            topics = [
                OffsetFetchRequestTopics(name=t, topic_id=topic_id, partition_indexes=ids)
                for t, ids in partitions.items()
            ]
        request = OffsetFetchRequestGroup(group_id=group, topics=topics)
        return self.shard.fetch_offsets(request, stable)

    def committed(self, topic: str = "t", partition: int = 0, group: str = GROUP) -> int:
        found = self.fetch({topic: [partition]}, group=group)
        return found.topics[0].partitions[0].committed_offset

    def delete_offsets(
        self, name: str, topic: str, *partitions: int, group: str = GROUP
    ) -> GroupScenario:
        request = OffsetDeleteRequest(
            group_id=group,
            topics=[
                OffsetDeleteRequestTopic(
                    name=topic,
                    partitions=[
                        OffsetDeleteRequestPartition(partition_index=p) for p in partitions
                    ],
                )
            ],
        )
        return self._ask(name, lambda w: self.shard.delete_offsets(request, w))

    def delete_group(self, name: str, group: str = GROUP) -> GroupScenario:
        return self._ask(name, lambda w: self.shard.delete_group(group, w))

    # Whole stories.

    def stable(
        self, *names: str, static: dict[str, str] | None = None, **join: Any
    ) -> GroupScenario:
        """A group of these, joined, synchronised, nothing unread; the first of them leads."""
        instances = static or {}
        for count, name in enumerate(names):
            for each in (name, *names[:count]):
                self.join(each, instance=instances.get(each), **join)
        self.inbox.clear()
        return self.sync_all(*names)

    def sync_all(self, *names: str) -> GroupScenario:
        for name in names:
            everybody = {n: n.encode() for n in names}
            leads = self.group.leader_id == self.member_ids[name]
            self.sync(name, protocol_type=None, protocol_name=None, **everybody if leads else {})
        for name in names:
            assert self.assigned(name) == name.encode()
        return self
