"""JoinGroup: who gets into a classic group, and when that starts a rebalance.

Members: an unknown dynamic member is given an id first and has to come back with it (KIP-394);
a static one is known by its instance id, takes its place again after a restart and, if nothing
has changed, keeps the generation as it is (KIP-345, KIP-814).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.state.coordinator import Decision, Instant, Waiter
from pykbroker.state.errors import KafkaError
from pykbroker.state.group.classic_group import ClassicGroup, State
from pykbroker.state.group.config import NEW_MEMBER_JOIN_TIMEOUT_MS
from pykbroker.state.group.member import Member, Protocols, protocols_of
from pykbroker.state.group.rebalance import Rebalance, Session
from pykbroker.state.group.records import group_record, new_group_value
from wire.errors import ErrorCode
from wire.messages.join_group import JoinGroupResponse
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pykbroker.state.coordinator import RandomBytes
    from wire.messages.join_group import JoinGroupRequest


class Joiner(NamedTuple):
    """The client behind a JoinGroup and what its version lets it do."""

    client_id: str
    client_host: str
    must_know_member_id: bool = True
    """KIP-394, version 4."""
    can_skip_assignment: bool = True
    """KIP-814, version 9."""


class Join(NamedTuple):
    """One JoinGroup under way."""

    request: JoinGroupRequest
    protocols: Protocols
    joiner: Joiner
    waiter: Waiter
    now: Instant

    @property
    def session_timeout_ms(self) -> int:
        return self.request.session_timeout_ms

    @property
    def rebalance_timeout_ms(self) -> int:
        """Version 0 has none of its own."""
        timeout = self.request.rebalance_timeout_ms
        return self.request.session_timeout_ms if timeout == -1 else timeout


class Joining:
    def __init__(self, rebalance: Rebalance, rng: RandomBytes) -> None:
        self._rebalance = rebalance
        self._rng = rng

    def join(
        self, request: JoinGroupRequest, joiner: Joiner, waiter: Waiter, now: Instant
    ) -> Decision:
        config = self._rebalance.config
        join = Join(request, protocols_of(request.protocols), joiner, waiter, now)
        decision = Decision()
        code = ErrorCode.NONE
        if not request.group_id or not _can_be_written(request.group_id):
            code = ErrorCode.INVALID_GROUP_ID
        elif not all(map(_can_be_written, _texts(join))):
            code = ErrorCode.INVALID_REQUEST
        elif not (
            config.min_session_timeout_ms
            <= request.session_timeout_ms
            <= config.max_session_timeout_ms
        ):
            code = ErrorCode.INVALID_SESSION_TIMEOUT
        if code is not ErrorCode.NONE:
            _refuse(join, code, decision)
            return decision
        group = self._rebalance.groups.get(request.group_id)
        if group is None:
            self._join_new_group(join, decision)
        elif not self._has_room(group, request.member_id):
            self._rebalance.remove(group, request.member_id, ErrorCode.UNKNOWN_MEMBER_ID, decision)
            self._rebalance.complete_join_if_all_there(group, decision, now)
            _refuse(join, ErrorCode.GROUP_MAX_SIZE_REACHED, decision, member_id="")
        else:
            self._join_group(group, join, decision)
        return decision

    def _join_new_group(self, join: Join, decision: Decision) -> None:
        group_id = join.request.group_id
        if join.request.member_id:
            _refuse(join, ErrorCode.UNKNOWN_MEMBER_ID, decision)
            return
        group = ClassicGroup(group_id, join.now.wall_ms)
        if not group.supports(join.request.protocol_type, join.protocols):
            _refuse(join, ErrorCode.INCONSISTENT_GROUP_PROTOCOL, decision, member_id="")
            return
        self._rebalance.groups[group_id] = group
        self._join_group(group, join, decision)
        value = group.proposed = new_group_value(join.now.wall_ms)
        decision.records.append(group_record(group_id, value))
        decision.assumed_by = group_id

    def _has_room(self, group: ClassicGroup, member_id: str) -> bool:
        """While joins are collected those that wait are counted: the group may have been over
        its size before, and the last to come back are then the ones to go."""
        member = group.members.get(member_id)
        max_size = self._rebalance.config.max_size
        if group.state is State.EMPTY:
            return True
        if group.state is State.PREPARING_REBALANCE:
            is_waiting = member is not None and member.join_waiter is not None
            return is_waiting or group.awaiting_join < max_size
        return member is not None or len(group.members) < max_size

    def _join_group(self, group: ClassicGroup, join: Join, decision: Decision) -> None:
        member_id = join.request.member_id
        if not group.supports(join.request.protocol_type, join.protocols):
            _refuse(join, ErrorCode.INCONSISTENT_GROUP_PROTOCOL, decision)
        elif member_id in group.pending_join and join.request.group_instance_id is None:
            self._add(group, member_id, join, decision)
        elif member_id:
            self._rejoin(group, join, decision)
        elif join.request.group_instance_id is not None:
            self._join_static(group, join, decision)
        elif join.joiner.must_know_member_id:
            self._give_member_id(group, join, decision)
        else:
            self._add(group, self._new_member_id(join), join, decision)

    def _give_member_id(self, group: ClassicGroup, join: Join, decision: Decision) -> None:
        member_id = self._new_member_id(join)
        group.pending_join.add(member_id)
        key = Session(group.group_id, member_id)
        self._rebalance.deadlines.set(key, join.now.monotonic_ms + join.session_timeout_ms)
        _refuse(join, ErrorCode.MEMBER_ID_REQUIRED, decision, member_id=member_id)

    def _join_static(self, group: ClassicGroup, join: Join, decision: Decision) -> None:
        member_id = self._new_member_id(join)
        if join.request.group_instance_id in group.static_members:
            self._replace_static(group, member_id, join, decision)
        else:
            self._add(group, member_id, join, decision)

    def _add(self, group: ClassicGroup, member_id: str, join: Join, decision: Decision) -> None:
        request = join.request
        member = Member(
            member_id,
            request.group_instance_id,
            join.joiner.client_id,
            join.joiner.client_host,
            join.rebalance_timeout_ms,
            join.session_timeout_ms,
            join.protocols,
            join_waiter=join.waiter,
            is_new=True,
        )
        if group.state is State.PREPARING_REBALANCE and group.previous_state is State.EMPTY:
            group.new_member_added = True
        group.add(member, request.protocol_type)
        when_ms = join.now.monotonic_ms + NEW_MEMBER_JOIN_TIMEOUT_MS
        self._rebalance.deadlines.set(Session(group.group_id, member_id), when_ms)
        self._rebalance.prepare_or_complete(group, decision, join.now)

    # Members that the group knows.

    def _rejoin(self, group: ClassicGroup, join: Join, decision: Decision) -> None:
        request = join.request
        try:
            member = validate_member(group, request.member_id, request.group_instance_id)
        except KafkaError as error:
            _refuse(join, error.code, decision)
            return
        has_changed = join.protocols != member.protocols
        leads = group.leader_id == member.member_id
        if group.state is State.PREPARING_REBALANCE:
            rebalance = True
        elif group.state is State.COMPLETING_REBALANCE:
            rebalance = has_changed  # otherwise it may have missed the answer
        else:
            rebalance = has_changed or leads  # a leader rejoins when its topics have changed
        if rebalance:
            self._update(member, join, decision)
            self._rebalance.prepare_or_complete(group, decision, join.now)
        else:
            decision.reply(join.waiter, self._rebalance.joined(group, member))

    @staticmethod
    def _update(member: Member, join: Join, decision: Decision) -> None:
        if member.join_waiter is not None:  # sent again, since its client gave up on the first
            refused = JoinGroupResponse(
                error_code=ErrorCode.REBALANCE_IN_PROGRESS,
                member_id=member.member_id,
                protocol_name=None,
            )
            decision.reply(member.join_waiter, refused)
        member.protocols = join.protocols
        member.rebalance_timeout_ms = join.rebalance_timeout_ms
        member.session_timeout_ms = join.session_timeout_ms
        member.join_waiter = join.waiter

    def _replace_static(
        self, group: ClassicGroup, new_id: str, join: Join, decision: Decision
    ) -> None:
        instance_id = join.request.group_instance_id
        assert instance_id is not None
        old_leader = group.leader_id
        old = group.members[group.static_members[instance_id]]
        self._rebalance.release(old, ErrorCode.FENCED_INSTANCE_ID, decision)
        self._rebalance.deadlines.cancel(Session(group.group_id, old.member_id))
        member = group.rename_static(instance_id, new_id)
        self._rebalance.restart_session(group, member, join.now)
        self._update(member, join, decision)
        if group.state is State.COMPLETING_REBALANCE:
            # The leader may have been told of the old id already and would assign to that.
            self._rebalance.prepare(group, decision, join.now)
        elif group.state is not State.STABLE:
            self._rebalance.prepare_or_complete(group, decision, join.now)
        elif group.protocol_name != group.select_protocol():
            self._rebalance.prepare(group, decision, join.now)
        else:
            self._keep_generation(group, member, old_leader, join, decision)

    def _keep_generation(
        self,
        group: ClassicGroup,
        member: Member,
        old_leader: str | None,
        join: Join,
        decision: Decision,
    ) -> None:
        """A static member is back under a new id and nothing else has changed: no rebalance."""
        member.join_waiter = None
        assignments = {m.member_id: m.assignment for m in group.members.values()}
        self._rebalance.propose(group, assignments, decision)
        response = self._rebalance.joined(group, member)
        if join.joiner.can_skip_assignment:
            response.skip_assignment = group.leader_id == member.member_id
        else:
            # Told that it leads, an old client would compute an assignment that nobody wants.
            response.leader, response.members = old_leader or "", []
        decision.reply(join.waiter, response)

    def _new_member_id(self, join: Join) -> str:
        """The instance id, or else the client's, and a random UUID (version 4)."""
        data = bytearray(self._rng.randbytes(16))
        data[6] = data[6] & 0x0F | 0x40
        data[8] = data[8] & 0x3F | 0x80
        text = data.hex()
        uuid = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
        instance_id = join.request.group_instance_id
        return f"{join.joiner.client_id if instance_id is None else instance_id}-{uuid}"


def validate_member(group: ClassicGroup, member_id: str, instance_id: str | None) -> Member:
    if instance_id is not None:
        current_id = group.static_members.get(instance_id)
        if current_id is None:
            raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID)
        if current_id != member_id:
            raise KafkaError(ErrorCode.FENCED_INSTANCE_ID)
    member = group.members.get(member_id)
    if member is None:
        raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID)
    return member


def _texts(join: Join) -> Iterator[str]:
    """What a group's record holds of its members."""
    yield join.request.protocol_type
    yield join.joiner.client_id
    yield join.request.group_instance_id or ""
    yield from (name for name, _ in join.protocols)


def _can_be_written(text: str) -> bool:
    """Texts in the record have at most 32,767 bytes; a member id adds a UUID to one of them. What
    could not be written would end the generation of everybody else."""
    return len(text) < 10_000 or len(text.encode()) < 32_700


def _refuse(
    join: Join, code: ErrorCode, decision: Decision, *, member_id: str | None = None
) -> None:
    if member_id is None:
        member_id = join.request.member_id
    response = JoinGroupResponse(error_code=code, member_id=member_id, protocol_name=None)
    decision.reply(join.waiter, response)
