"""A classic group: its members, its state and what follows from them. It decides nothing.

``hard`` is what the log holds, changed by ``accept`` and ``from_record`` alone. Everything else is
soft: it runs ahead of the log while a rebalance is under way and can be made again from ``hard``.

Invariants: no state but EMPTY and PREPARING_REBALANCE without members, none but those two without
a protocol, EMPTY never with members; every member that is not pending counts once; members of a
group share its protocol type and at least one protocol.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from pykbroker.state.group.member import Member, member_from_record
from pykbroker.state.group.subscription import subscribed_topics_of
from wire.messages.group_records import GroupMetadataValue

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pykbroker.state.group.member import Protocols

CONSUMER = "consumer"
"""The protocol type of consumers; Kafka Connect's is ``connect``."""


class State(Enum):
    EMPTY = "Empty"
    PREPARING_REBALANCE = "PreparingRebalance"
    COMPLETING_REBALANCE = "CompletingRebalance"
    STABLE = "Stable"
    DEAD = "Dead"


LEGAL: dict[State, frozenset[State]] = {
    State.EMPTY: frozenset((State.PREPARING_REBALANCE, State.DEAD)),
    State.PREPARING_REBALANCE: frozenset((State.COMPLETING_REBALANCE, State.EMPTY, State.DEAD)),
    State.COMPLETING_REBALANCE: frozenset((State.STABLE, State.PREPARING_REBALANCE, State.DEAD)),
    State.STABLE: frozenset((State.PREPARING_REBALANCE, State.DEAD)),
    State.DEAD: frozenset(),
}


class ClassicGroup:
    group_type = "classic"

    def __init__(self, group_id: str, wall_ms: int) -> None:
        self.group_id = group_id
        self.hard: GroupMetadataValue | None = None
        self.proposed: GroupMetadataValue | None = None
        """What is being appended: when this very object is replayed, soft state stands."""
        self.state = State.EMPTY
        self.previous_state = State.DEAD
        self.state_timestamp_ms = wall_ms
        """-1: unknown, the record is of a version that did not say."""
        self.generation_id = 0
        self.protocol_type: str | None = None
        self.protocol_name: str | None = None
        self.leader_id: str | None = None
        self.members: dict[str, Member] = {}
        self.static_members: dict[str, str] = {}
        """Group instance id -> member id."""
        self.pending_join: set[str] = set()
        """Ids that were given out and not joined with yet (KIP-394); not members."""
        self.pending_sync: set[str] = set()
        self.new_member_added = False
        self.subscribed_topics: frozenset[str] | None = None
        """None: not known, because the group is no consumer group or cannot be understood."""

    @classmethod
    def from_record(cls, group_id: str, value: GroupMetadataValue) -> ClassicGroup:
        group = cls(group_id, value.current_state_timestamp)
        group.hard = value
        group.generation_id = value.generation
        group.protocol_type = value.protocol_type or None
        group.protocol_name = value.protocol
        group.leader_id = value.leader
        for record in value.members:
            member = member_from_record(record, value.protocol)
            group.members[member.member_id] = member
            if member.group_instance_id is not None:
                group.static_members[member.group_instance_id] = member.member_id
        group.state = State.STABLE if group.members else State.EMPTY
        group.subscribed_topics = group.compute_subscribed_topics()
        return group

    def to_record(self, assignments: dict[str, bytes]) -> GroupMetadataValue:
        protocol = self.protocol_name
        return GroupMetadataValue(
            protocol_type=self.protocol_type or "",
            generation=self.generation_id,
            protocol=protocol,
            leader=self.leader_id,
            current_state_timestamp=self.state_timestamp_ms,
            members=[
                member.to_record(protocol, assignments.get(member.member_id, b""))
                for member in self.members.values()
            ],
        )

    def accept(self, value: GroupMetadataValue) -> None:
        """What this group proposed is in the log."""
        assert value is self.proposed
        self.hard, self.proposed = value, None
        for record in value.members:
            self.members[record.member_id].assignment = record.assignment
        if self.state is State.COMPLETING_REBALANCE:
            self.move_to(State.STABLE, self.state_timestamp_ms)

    def move_to(self, state: State, wall_ms: int) -> None:
        assert state in LEGAL[self.state], f"{self.group_id}: {self.state} -> {state}"
        self.previous_state, self.state = self.state, state
        self.state_timestamp_ms = wall_ms

    # Members.

    @property
    def is_empty(self) -> bool:
        return self.state is State.EMPTY

    @property
    def can_rebalance(self) -> bool:
        return State.PREPARING_REBALANCE in LEGAL[self.state]

    @property
    def awaiting_join(self) -> int:
        return sum(member.join_waiter is not None for member in self.members.values())

    @property
    def has_all_joined(self) -> bool:
        return not self.pending_join and all(
            member.join_waiter is not None for member in self.members.values()
        )

    @property
    def rebalance_timeout_ms(self) -> int:
        return max((m.rebalance_timeout_ms for m in self.members.values()), default=0)

    def add(self, member: Member, protocol_type: str) -> None:
        assert member.member_id not in self.members
        if not self.members:
            self.protocol_type = protocol_type
        if member.group_instance_id is not None:
            assert member.group_instance_id not in self.static_members
            self.static_members[member.group_instance_id] = member.member_id
        if self.leader_id is None:
            self.leader_id = member.member_id
        self.members[member.member_id] = member
        self.pending_join.discard(member.member_id)

    def remove(self, member_id: str) -> None:
        """A member, on whose behalf nobody waits any more, or a pending id."""
        self.pending_join.discard(member_id)
        self.pending_sync.discard(member_id)
        member = self.members.pop(member_id, None)
        if member is None:
            return
        assert member.join_waiter is None
        assert member.sync_waiter is None
        if member.group_instance_id is not None:
            del self.static_members[member.group_instance_id]
        if self.leader_id == member_id:
            self.leader_id = next(iter(self.members), None)

    def rename_static(self, instance_id: str, new_id: str) -> Member:
        """Its client has restarted and goes by a new id; nobody may be parked under the old."""
        old_id = self.static_members[instance_id]
        member = self.members.pop(old_id)
        assert member.join_waiter is None
        assert member.sync_waiter is None
        member.member_id = new_id
        member.is_new = False
        self.members[new_id] = member
        self.static_members[instance_id] = new_id
        self.pending_sync.discard(old_id)
        if self.leader_id == old_id:
            self.leader_id = new_id
        return member

    def elect_joined_leader(self) -> bool:
        """Keep the leader if it has rejoined, else take any that has; False when nobody has."""
        if self.leader_id is None:
            return False
        if self.members[self.leader_id].join_waiter is None:
            joined = (m.member_id for m in self.members.values() if m.join_waiter is not None)
            new_leader = next(joined, None)
            if new_leader is None:
                return False
            self.leader_id = new_leader
        return True

    # Protocols.

    def supports(self, protocol_type: str, protocols: Protocols) -> bool:
        """Whether a member with these could be in the group: one protocol that all know."""
        if self.is_empty:
            return bool(protocol_type) and bool(protocols)
        common = self._common_protocols(self.members.values())
        return self.protocol_type == protocol_type and any(
            common is None or name in common for name, _ in protocols
        )

    def select_protocol(self) -> str:
        """Each votes for its most wanted among those that all know; the most votes win."""
        candidates = self._common_protocols(self.members.values())
        assert candidates, f"{self.group_id}: members without a common protocol"
        votes: dict[str, int] = {}
        for member in self.members.values():
            name = member.vote(candidates)
            votes[name] = votes.get(name, 0) + 1
        return max(votes, key=votes.__getitem__)

    @staticmethod
    def _common_protocols(members: Iterable[Member]) -> set[str] | None:
        common: set[str] | None = None
        for member in members:
            names = {name for name, _ in member.protocols}
            common = names if common is None else common & names
        return common

    @property
    def is_consumer_group(self) -> bool:
        return self.protocol_type == CONSUMER

    def compute_subscribed_topics(self) -> frozenset[str] | None:
        if not self.is_consumer_group:
            return None
        if self.members and self.protocol_name is None:
            return None
        topics: set[str] = set()
        for member in self.members.values():
            subscribed = subscribed_topics_of(member.metadata(self.protocol_name))
            if subscribed is None:
                return None
            topics.update(subscribed)
        return frozenset(topics)

    def is_subscribed_to(self, topic: str) -> bool:
        """Where the subscription is not known, a consumer group counts as subscribed to all."""
        if self.subscribed_topics is None:
            return self.is_consumer_group
        return topic in self.subscribed_topics
