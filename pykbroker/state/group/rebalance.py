"""How a classic group gets from one generation to the next.

PREPARING_REBALANCE parks JoinGroups until everybody has joined or the rebalance timeout has passed;
then a new generation begins and all are answered at once. COMPLETING_REBALANCE parks SyncGroups
until the leader brings the assignment, which is written to the log and makes the group STABLE.
The first rebalance of an empty group waits for ``group.initial.rebalance.delay.ms`` instead, again
for as long as new members keep coming (KIP-134).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.state.group.classic_group import ClassicGroup, State
from pykbroker.state.group.records import group_record
from wire.errors import ErrorCode
from wire.messages.join_group import JoinGroupResponse, JoinGroupResponseMember
from wire.messages.sync_group import SyncGroupResponse
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from pykbroker.state.coordinator import Decision, Instant, Waiter
    from pykbroker.state.deadlines import Deadlines
    from pykbroker.state.group.config import GroupConfig
    from pykbroker.state.group.counts import GroupCounts
    from pykbroker.state.group.member import Member


class Session(NamedTuple):
    """A member, or an id that was given out, has been silent for its session timeout."""

    group_id: str
    member_id: str


class JoinPhase(NamedTuple):
    """PREPARING_REBALANCE has lasted long enough."""

    group_id: str
    kind: str = "join"
    """Named tuples of different classes and equal fields are equal."""


class SyncPhase(NamedTuple):
    """Some have not sent SyncGroup within the rebalance timeout (KAFKA-13424)."""

    group_id: str
    kind: str = "sync"


class Sweep(NamedTuple):
    """Time to look for offsets and groups that have expired."""


Deadline = Session | JoinPhase | SyncPhase | Sweep


NOBODY_JOINED_MS = 1_000
"""Before looking again, when static members alone are left and none has come back; members may ask
for a rebalance timeout of nothing."""


class InitialDelay(NamedTuple):
    delay_ms: int
    remaining_ms: int


class Rebalance:
    """The phases, over the groups of one shard. Every method adds what is to be done to a
    decision; ``groups`` and ``deadlines`` are the shard's."""

    def __init__(
        self,
        groups: dict[str, ClassicGroup],
        deadlines: Deadlines[Deadline],
        config: GroupConfig,
        counts: GroupCounts,
    ) -> None:
        self.groups = groups
        self.deadlines = deadlines
        self.config = config
        self.counts = counts
        self._initial: dict[str, InitialDelay] = {}

    # Sessions.

    def restart_session(self, group: ClassicGroup, member: Member, now: Instant) -> None:
        when_ms = now.monotonic_ms + member.session_timeout_ms
        self.deadlines.set(Session(group.group_id, member.member_id), when_ms)

    def session_ended(self, key: Session, decision: Decision, now: Instant) -> None:
        group = self.groups.get(key.group_id)
        if group is None:
            return
        member = group.members.get(key.member_id)
        if key.member_id in group.pending_join:
            group.remove(key.member_id)
            self.complete_join_if_all_there(group, decision, now)
        elif member is not None and not member.is_excused:
            self.remove(group, member.member_id, ErrorCode.UNKNOWN_MEMBER_ID, decision)
            self.after_removal(group, decision, now)

    def remove(
        self, group: ClassicGroup, member_id: str, code: ErrorCode, decision: Decision
    ) -> None:
        """Take a member or a pending id out; its parked requests are answered with ``code``."""
        member = group.members.get(member_id)
        if member is not None:
            self.release(member, code, decision)
        group.remove(member_id)
        self.deadlines.cancel(Session(group.group_id, member_id))

    def release(self, member: Member, code: ErrorCode, decision: Decision) -> None:
        if member.join_waiter is not None:
            member_id = "" if code is ErrorCode.UNKNOWN_MEMBER_ID else member.member_id
            refused = JoinGroupResponse(error_code=code, member_id=member_id, protocol_name=None)
            decision.reply(member.join_waiter, refused)
            member.join_waiter = None
        self.release_sync(member, code, decision)

    @staticmethod
    def release_sync(member: Member, code: ErrorCode, decision: Decision) -> None:
        if member.sync_waiter is not None:
            decision.reply(member.sync_waiter, SyncGroupResponse(error_code=code))
            member.sync_waiter = None

    def after_removal(self, group: ClassicGroup, decision: Decision, now: Instant) -> None:
        """Some member is gone."""
        if group.state in (State.STABLE, State.COMPLETING_REBALANCE):
            self.prepare(group, decision, now)
        else:
            self.complete_join_if_all_there(group, decision, now)

    def complete_join_if_all_there(
        self, group: ClassicGroup, decision: Decision, now: Instant
    ) -> None:
        if group.state is State.PREPARING_REBALANCE and group.has_all_joined:
            self.complete_join(group, decision, now)

    # The join phase.

    def prepare_or_complete(self, group: ClassicGroup, decision: Decision, now: Instant) -> None:
        """Somebody joined."""
        if group.can_rebalance:
            self.prepare(group, decision, now)
        elif group.previous_state is not State.EMPTY:  # the first rebalance waits for its delay
            self.complete_join_if_all_there(group, decision, now)

    def prepare(self, group: ClassicGroup, decision: Decision, now: Instant) -> None:
        if group.state is State.COMPLETING_REBALANCE:
            for member in group.members.values():
                member.assignment = b""
                if member.sync_waiter is not None:
                    self.release_sync(member, ErrorCode.REBALANCE_IN_PROGRESS, decision)
                    self.restart_session(group, member, now)
        group.pending_sync.clear()
        self.deadlines.cancel(SyncPhase(group.group_id))
        is_initial = group.is_empty
        group.move_to(State.PREPARING_REBALANCE, now.wall_ms)
        if is_initial:
            delay_ms = self.config.initial_rebalance_delay_ms
            remaining_ms = max(group.rebalance_timeout_ms - delay_ms, 0)
            self._delay_initial(group, InitialDelay(delay_ms, remaining_ms), now)
        elif group.has_all_joined:
            self.complete_join(group, decision, now)
        else:
            self._await_joins(group, now)

    def _await_joins(self, group: ClassicGroup, now: Instant, *, at_least_ms: int = 0) -> None:
        delay_ms = max(group.rebalance_timeout_ms, at_least_ms)
        self.deadlines.set(JoinPhase(group.group_id), now.monotonic_ms + delay_ms)

    def _delay_initial(self, group: ClassicGroup, delay: InitialDelay, now: Instant) -> None:
        self._initial[group.group_id] = delay
        self.deadlines.set(JoinPhase(group.group_id), now.monotonic_ms + delay.delay_ms)

    def join_phase_ended(self, key: JoinPhase, decision: Decision, now: Instant) -> None:
        group = self.groups.get(key.group_id)
        initial = self._initial.pop(key.group_id, None)
        if group is None or group.state is not State.PREPARING_REBALANCE:
            return
        if initial is not None and group.new_member_added and initial.remaining_ms:
            group.new_member_added = False
            delay_ms = min(self.config.initial_rebalance_delay_ms, initial.remaining_ms)
            remaining_ms = max(initial.remaining_ms - initial.delay_ms, 0)
            self._delay_initial(group, InitialDelay(delay_ms, remaining_ms), now)
        else:
            self.complete_join(group, decision, now)

    def complete_join(self, group: ClassicGroup, decision: Decision, now: Instant) -> None:
        """Go on with those that have joined. Dynamic members that have not are out; static ones
        stay until their session ends (KIP-345)."""
        self._initial.pop(group.group_id, None)
        self.deadlines.cancel(JoinPhase(group.group_id))
        late = [m for m in group.members.values() if m.join_waiter is None and not m.is_static]
        for member in late:
            self.remove(group, member.member_id, ErrorCode.UNKNOWN_MEMBER_ID, decision)
        if not group.elect_joined_leader() and group.members:
            self._await_joins(group, now, at_least_ms=NOBODY_JOINED_MS)
            return
        group.generation_id += 1
        group.pending_sync.clear()
        group.new_member_added = False
        if group.members:
            self._begin_generation(group, decision, now)
        else:
            group.protocol_name = None
            group.subscribed_topics = group.compute_subscribed_topics()
            group.move_to(State.EMPTY, now.wall_ms)
            self.propose(group, {}, decision)

    def _begin_generation(self, group: ClassicGroup, decision: Decision, now: Instant) -> None:
        self.counts.rebalances += 1
        group.protocol_name = group.select_protocol()
        group.subscribed_topics = group.compute_subscribed_topics()
        group.move_to(State.COMPLETING_REBALANCE, now.wall_ms)
        for member in group.members.values():
            if member.join_waiter is not None:
                decision.reply(member.join_waiter, self.joined(group, member))
                member.join_waiter = None
            member.is_new = False
            self.restart_session(group, member, now)
            group.pending_sync.add(member.member_id)
        when_ms = now.monotonic_ms + group.rebalance_timeout_ms
        self.deadlines.set(SyncPhase(group.group_id), when_ms)

    def joined(self, group: ClassicGroup, member: Member) -> JoinGroupResponse:
        """The current generation as this member is told of it; the leader is told of all."""
        response = JoinGroupResponse(
            generation_id=group.generation_id,
            protocol_type=group.protocol_type,
            protocol_name=group.protocol_name,
            leader=group.leader_id or "",
            member_id=member.member_id,
        )
        if group.leader_id == member.member_id:
            response.members = [
                JoinGroupResponseMember(
                    member_id=other.member_id,
                    group_instance_id=other.group_instance_id,
                    metadata=other.metadata(group.protocol_name),
                )
                for other in group.members.values()
            ]
        return response

    # The sync phase.

    def synced(self, group: ClassicGroup, member_id: str) -> None:
        group.pending_sync.discard(member_id)
        if not group.pending_sync:
            self.deadlines.cancel(SyncPhase(group.group_id))

    def sync_phase_ended(self, key: SyncPhase, decision: Decision, now: Instant) -> None:
        group = self.groups.get(key.group_id)
        if group is None or group.state not in (State.COMPLETING_REBALANCE, State.STABLE):
            return
        silent = sorted(group.pending_sync)
        for member_id in silent:
            self.remove(group, member_id, ErrorCode.UNKNOWN_MEMBER_ID, decision)
        if silent:
            self.prepare(group, decision, now)

    # The log.

    @staticmethod
    def propose(group: ClassicGroup, assignments: dict[str, bytes], decision: Decision) -> None:
        """Have the group written as it is; soft state takes that for done."""
        assert decision.assumed_by is None
        value = group.proposed = group.to_record(assignments)
        decision.records.append(group_record(group.group_id, value))
        decision.assumed_by = group.group_id

    def parked(self, group: ClassicGroup) -> list[Waiter]:
        members = group.members.values()
        waiters = [w for m in members for w in (m.join_waiter, m.sync_waiter)]
        return [waiter for waiter in waiters if waiter is not None]

    def forget(self, group: ClassicGroup) -> None:
        """Its deadlines, when it is removed or made anew."""
        self._initial.pop(group.group_id, None)
        self.deadlines.cancel(JoinPhase(group.group_id))
        self.deadlines.cancel(SyncPhase(group.group_id))
        for member_id in (*group.members, *group.pending_join):
            self.deadlines.cancel(Session(group.group_id, member_id))
