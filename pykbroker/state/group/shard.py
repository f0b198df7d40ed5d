"""The group coordinator behind one partition of ``__consumer_offsets``.

Every group whose id hashes to the partition lives here, with its members and its offsets. One
module per protocol does the deciding; this one holds what they share, replays, and looks after
the groups as such: describe, list, delete, expire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.state.coordinator import CoordinatorRecord, Decision, Instant, Waiter
from pykbroker.state.deadlines import Deadlines
from pykbroker.state.group.classic_group import ClassicGroup, State
from pykbroker.state.group.counts import GroupCounts
from pykbroker.state.group.joining import Joiner, Joining
from pykbroker.state.group.membership import Membership
from pykbroker.state.group.offset_requests import OffsetRequests
from pykbroker.state.group.offsets import GroupOffsets, OffsetKey, committed_from_record
from pykbroker.state.group.rebalance import (
    Deadline,
    JoinPhase,
    Rebalance,
    Session,
    Sweep,
    SyncPhase,
)
from pykbroker.state.group.records import group_tombstone, offset_tombstone
from wire.errors import ErrorCode
from wire.messages.delete_groups import DeletableGroupResult
from wire.messages.describe_groups import DescribedGroup
from wire.messages.group_records import (
    GroupMetadataKey,
    GroupMetadataValue,
    LegacyOffsetCommitKey,
    OffsetCommitKey,
    OffsetCommitValue,
)
from wire.messages.list_groups import ListedGroup

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pykbroker.state.coordinator import RandomBytes
    from pykbroker.state.group.config import GroupConfig
    from wire.messages.heartbeat import HeartbeatRequest
    from wire.messages.join_group import JoinGroupRequest
    from wire.messages.leave_group import LeaveGroupRequest
    from wire.messages.offset_commit import OffsetCommitRequest
    from wire.messages.offset_delete import OffsetDeleteRequest
    from wire.messages.offset_fetch import OffsetFetchRequestGroup, OffsetFetchResponseGroup
    from wire.messages.sync_group import SyncGroupRequest


class GroupShard:
    def __init__(
        self, config: GroupConfig, rng: RandomBytes, counts: GroupCounts | None = None
    ) -> None:
        """Several shards may share their ``counts``."""
        self.counts = counts or GroupCounts()
        self.groups: dict[str, ClassicGroup] = {}
        self.offsets = GroupOffsets()
        self._deadlines: Deadlines[Deadline] = Deadlines()
        self._rebalance = Rebalance(self.groups, self._deadlines, config, self.counts)
        self._joining = Joining(self._rebalance, rng)
        self._membership = Membership(self._rebalance)
        self._offset_requests = OffsetRequests(self._rebalance, self.offsets)

    # Requests of members.

    def join(
        self, request: JoinGroupRequest, joiner: Joiner, waiter: Waiter, now: Instant
    ) -> Decision:
        return self._joining.join(request, joiner, waiter, now)

    def sync(self, request: SyncGroupRequest, waiter: Waiter, now: Instant) -> Decision:
        return self._membership.sync(request, waiter, now)

    def heartbeat(self, request: HeartbeatRequest, waiter: Waiter, now: Instant) -> Decision:
        return self._membership.heartbeat(request, waiter, now)

    def leave(self, request: LeaveGroupRequest, waiter: Waiter, now: Instant) -> Decision:
        return self._membership.leave(request, waiter, now)

    # Offsets.

    def commit_offsets(
        self, request: OffsetCommitRequest, waiter: Waiter, now: Instant
    ) -> Decision:
        return self._offset_requests.commit(request, waiter, now)

    def fetch_offsets(
        self, request: OffsetFetchRequestGroup, require_stable: bool
    ) -> OffsetFetchResponseGroup:
        return self._offset_requests.fetch(request, require_stable)

    def delete_offsets(self, request: OffsetDeleteRequest, waiter: Waiter) -> Decision:
        return self._offset_requests.delete(request, waiter)

    def topics_deleted(self, topics: Iterable[str]) -> Decision:
        return self._offset_requests.delete_topics(topics)

    # Groups as such.

    def describe(self, group_id: str) -> DescribedGroup:
        group = self.groups.get(group_id)
        if group is None:
            return DescribedGroup(
                group_id=group_id,
                group_state=State.DEAD.value,
                error_code=ErrorCode.GROUP_ID_NOT_FOUND,
                error_message=f"Group {group_id} not found.",
            )
        protocol = group.protocol_name if group.state is State.STABLE else None
        return DescribedGroup(
            group_id=group_id,
            group_state=group.state.value,
            protocol_type=group.protocol_type or "",
            protocol_data=protocol or "",
            members=[member.describe(protocol) for member in group.members.values()],
        )

    def list_groups(self, states: Collection[str], types: Collection[str]) -> list[ListedGroup]:
        """An empty filter lets everything through; case does not matter."""
        wanted_states = {state.strip().lower() for state in states}
        wanted_types = {name.lower() for name in types}
        return [
            ListedGroup(
                group_id=group.group_id,
                protocol_type=group.protocol_type or "",
                group_state=group.state.value,
                group_type=group.group_type,
            )
            for group in self.groups.values()
            if not (wanted_states and group.state.value.lower() not in wanted_states)
            and not (wanted_types and group.group_type not in wanted_types)
        ]

    def delete_group(self, group_id: str, waiter: Waiter) -> Decision:
        decision = Decision()
        code = ErrorCode.NONE
        group = self.groups.get(group_id)
        if group is None:
            code = ErrorCode.GROUP_ID_NOT_FOUND
        elif not group.is_empty:
            code = ErrorCode.NON_EMPTY_GROUP
        else:
            decision.records += self._offset_requests.delete_all(group_id)
            decision.records.append(group_tombstone(group_id))
        decision.reply(waiter, DeletableGroupResult(group_id=group_id, error_code=code))
        return decision

    # Replay.

    def replay(self, record: CoordinatorRecord, offset: int, producer_id: int) -> None:
        key, value = record.key, record.value
        if isinstance(key, OffsetCommitKey | LegacyOffsetCommitKey):
            offset_key = OffsetKey(key.topic, key.partition)
            if value is None:
                self.offsets.remove(key.group, offset_key)
                return
            assert isinstance(value, OffsetCommitValue)
            if key.group not in self.groups:
                # A consumer that uses no membership: a group without a protocol type.
                self.groups[key.group] = ClassicGroup(key.group, value.commit_timestamp)
            committed = committed_from_record(value, offset)
            self.offsets.put(key.group, offset_key, committed, producer_id)
        elif isinstance(key, GroupMetadataKey):
            assert value is None or isinstance(value, GroupMetadataValue)
            self._replay_group(key.group, value)

    def _replay_group(self, group_id: str, value: GroupMetadataValue | None) -> None:
        group = self.groups.get(group_id)
        if group is not None and value is not None and value is group.proposed:
            group.accept(value)
            return
        if group is not None:
            self._rebalance.forget(group)
        if value is None:
            self.groups.pop(group_id, None)
        else:
            self.groups[group_id] = ClassicGroup.from_record(group_id, value)

    def replay_end_of_transaction(self, producer_id: int, committed: bool) -> None:
        self.offsets.end_transaction(producer_id, committed)

    def loaded(self, now: Instant) -> Decision:
        """All sessions start anew: the members could not reach a coordinator meanwhile."""
        decision = Decision()
        for group in list(self.groups.values()):
            self._restart(group, decision, now)
        self._schedule_sweep(now)
        return decision

    def _restart(self, group: ClassicGroup, decision: Decision, now: Instant) -> None:
        for member in group.members.values():
            self._rebalance.restart_session(group, member, now)
        if len(group.members) > self._rebalance.config.max_size:
            self._rebalance.prepare(group, decision, now)

    def revert(self, assumed_by: str, now: Instant) -> list[Waiter]:
        group = self.groups.pop(assumed_by, None)
        if group is None:
            return []
        self._rebalance.forget(group)
        if group.hard is not None:
            restored = ClassicGroup.from_record(assumed_by, group.hard)
            self.groups[assumed_by] = restored
            for member in restored.members.values():
                self._rebalance.restart_session(restored, member, now)
        elif self.offsets.keys_of_group(assumed_by):
            self.groups[assumed_by] = ClassicGroup(assumed_by, now.wall_ms)
        return self._rebalance.parked(group)

    # Time.

    def next_deadline(self) -> int | None:
        return self._deadlines.next()

    def tick(self, now: Instant) -> Decision:
        """What the earliest deadline that has passed brings with it; one at a time, so that what
        belongs together is written together."""
        decision = Decision()
        key = self._deadlines.pop_due(now.monotonic_ms)
        if isinstance(key, Session):
            self._rebalance.session_ended(key, decision, now)
        elif isinstance(key, JoinPhase):
            self._rebalance.join_phase_ended(key, decision, now)
        elif isinstance(key, SyncPhase):
            self._rebalance.sync_phase_ended(key, decision, now)
        elif isinstance(key, Sweep):
            self._sweep(decision, now)
        return decision

    def _schedule_sweep(self, now: Instant) -> None:
        interval_ms = self._rebalance.config.offsets_retention_check_interval_ms
        self._deadlines.set(Sweep(), now.monotonic_ms + interval_ms)

    def _sweep(self, decision: Decision, now: Instant) -> None:
        """Offsets that have expired go, and with the last of them a group without members."""
        for group in self.groups.values():
            keys, nothing_left = self._offset_requests.expired(group, now.wall_ms)
            decision.records += [offset_tombstone(group.group_id, key) for key in keys]
            self.counts.expirations += len(keys)
            if nothing_left and group.is_empty and not group.pending_join:
                decision.records.append(group_tombstone(group.group_id))
        self._schedule_sweep(now)
