"""A group under random traffic, restarts and failed writes, against what must always hold.

The clients behave: they join, synchronise with what they were told, heartbeat, commit, leave, die.
The leader deals four partitions round; so two owners of one partition in one generation would be
the coordinator's doing.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pykbroker.state.group.classic_group import State
from pykbroker.state.group.shard import GroupShard
from tests.support.group_scenario import GROUP, GroupScenario
from wire.errors import ErrorCode
from wire.messages.group_records import GroupMetadataKey, GroupMetadataValue
from wire.messages.join_group import JoinGroupResponse
from wire.messages.sync_group import SyncGroupResponse

PARTITIONS = 4
NAMES = st.sampled_from("abcd")


INSTANCES = {"a": "i-a"}
"""Who is a static member."""


class Client:
    """What one consumer believes, and what it does next."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.generation = -1
        self.members: list[str] = []
        self.leads = False
        self.next_step = "join"
        self.knows_id = False

    def hear(self, answer: Any) -> None:
        code = ErrorCode(getattr(answer, "error_code", 0))
        if code in (ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.FENCED_INSTANCE_ID):
            self.knows_id, self.next_step = False, "join"
        elif code is not ErrorCode.NONE:
            self.next_step = "join"
        elif isinstance(answer, JoinGroupResponse):
            self.generation = answer.generation_id
            self.leads = answer.leader == answer.member_id
            self.members = [m.member_id for m in answer.members]
            self.knows_id, self.next_step = True, "sync"
        elif isinstance(answer, SyncGroupResponse):
            self.next_step = "heartbeat"


class GroupMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.s = GroupScenario(initial_delay_ms=500, max_size=5)
        self.clients = {name: Client(name) for name in "abcd"}
        self.owners: dict[tuple[int, int], str] = {}
        self.accepted: dict[int, int] = {}
        self.next_offset = 0
        self.read = 0
        self.follower = GroupShard(self.s.config, self.s.rng)
        self.followed = 0
        self.looked_at = 0
        self.logged_generation = 0
        self.live_generation = 0

    def settle(self) -> None:
        """Clients read their answers."""
        self.s.askers = [asker for asker in self.s.askers if asker.answer is None]
        while self.read < len(self.s.told):
            name, answer = self.s.told[self.read]
            self.read += 1
            client = self.clients[name]
            client.hear(answer)
            if isinstance(answer, SyncGroupResponse) and client.next_step == "heartbeat":
                assert client.generation == self.s.group.generation_id
                assert answer.assignment == self.assigned_by_the_log(name)
                for partition in answer.assignment:
                    owner = self.owners.setdefault((client.generation, partition), name)
                    assert owner == name, f"{owner} and {name} own partition {partition}"

    def assigned_by_the_log(self, name: str) -> bytes:
        written = reversed(self.s.records)
        value = next(r.value for r in written if isinstance(r.key, GroupMetadataKey))
        assert isinstance(value, GroupMetadataValue)
        members = {m.member_id: m.assignment for m in value.members}
        return members[self.s.member_ids[name]]

    # What clients do.

    @rule(name=NAMES, times=st.integers(1, 4))
    def go_on(self, name: str, times: int) -> None:
        """The client does what is next, unless it still waits for an answer."""
        for _ in range(times):
            if not any(asker.name == name for asker in self.s.askers):
                getattr(self, self.clients[name].next_step)(name)

    @rule(times=st.integers(1, 3))
    def all_go_on(self, times: int) -> None:
        for _ in range(times):
            for name in "abcd":
                self.go_on(name, 1)
            self.time_passes(500)

    @rule(name=NAMES)
    def restart_client(self, name: str) -> None:
        """It has forgotten everything; what it waited for goes nowhere."""
        self.clients[name].knows_id = False
        self.clients[name].next_step = "join"
        self.join(name)

    @rule(name=NAMES, extra=st.integers(0, 2))
    def join(self, name: str, extra: int = 0) -> None:
        self.s.join(
            name,
            instance=INSTANCES.get(name),
            member_id=None if self.clients[name].knows_id else "",
            protocols={"range": b"", "sticky": b"x" * extra},
            rebalance_ms=5_000,
            session_ms=8_000,
        )
        self.settle()

    @rule(name=NAMES, behind=st.booleans())
    def sync(self, name: str, behind: bool = False) -> None:
        client = self.clients[name]
        deal: dict[str, bytes] = {}
        if client.leads and client.members:
            by_id = {member_id: n for n, member_id in self.s.member_ids.items()}
            for index, member_id in enumerate(sorted(client.members)):
                if member_id in by_id:
                    mine = range(index, PARTITIONS, len(client.members))
                    deal[by_id[member_id]] = bytes(mine)
        generation = client.generation - behind
        self.s.sync(name, generation=generation, protocol_name=None, **deal)
        self.settle()

    @rule(name=NAMES)
    def heartbeat(self, name: str) -> None:
        self.s.heartbeat(name, generation=self.clients[name].generation)
        self.settle()

    @rule(name=NAMES)
    def leave(self, name: str) -> None:
        self.s.leave(name)
        self.clients[name].knows_id, self.clients[name].next_step = False, "join"
        self.settle()

    @rule(name=NAMES, partition=st.integers(0, PARTITIONS - 1), behind=st.integers(0, 1))
    def commit(self, name: str, partition: int, behind: int) -> None:
        self.next_offset += 1
        generation = max(self.clients[name].generation - behind, -1)
        simple = generation == -1
        member_id = "" if simple else None
        self.s.commit(
            name,
            self.next_offset,
            partition=partition,
            generation=generation,
            member_id=member_id,
        )
        answer = self.s.told[-1][1]
        if getattr(answer, "error_code", ErrorCode.NONE) == ErrorCode.NONE:
            assert answer.topics[0].partitions[0].error_code == ErrorCode.NONE
            self.accepted[partition] = self.next_offset
            if generation >= 0:
                assert generation == self.s.group.generation_id, "a commit of a past generation"
        self.settle()

    @rule(ms=st.integers(1, 4_000))
    def time_passes(self, ms: int) -> None:
        self.s.later(ms)
        self.settle()

    # What happens to the coordinator.

    @rule()
    def restart(self) -> None:
        for asker in self.s.askers:
            self.clients[asker.name].next_step = "join"  # NOT_COORDINATOR
        self.s.askers.clear()
        self.s.restart()
        self.live_generation = 0
        self.settle()

    @rule()
    def writes_begin_or_cease_to_fail(self) -> None:
        self.s.refuse_appends = not self.s.refuse_appends
        self.live_generation = 0

    @precondition(lambda self: self.s.refuse_appends)
    @rule()
    def writes_work_again(self) -> None:
        self.s.refuse_appends = False

    # What must hold.

    @invariant()
    def the_log_replayed_gives_the_same_state(self) -> None:
        """To another shard that follows it, as a replica would."""
        self.followed = self.s.follow(self.follower, self.followed)
        assert _hard(self.follower) == _hard(self.s.shard)
        assert self.follower.offsets.snapshot() == self.s.shard.offsets.snapshot()

    @invariant()
    def the_last_accepted_commit_is_what_is_fetched(self) -> None:
        for partition in range(PARTITIONS):
            expected = self.accepted.get(partition, -1)
            assert self.s.committed(partition=partition) == expected

    @invariant()
    def generations_rise(self) -> None:
        for record in self.s.records[self.looked_at :]:
            if isinstance(record.key, GroupMetadataKey):
                assert isinstance(record.value, GroupMetadataValue)
                assert record.value.generation >= self.logged_generation
                self.logged_generation = record.value.generation
        self.looked_at = len(self.s.records)
        group = self.s.shard.groups.get(GROUP)
        if group is not None and not self.s.refuse_appends:
            assert group.generation_id >= self.live_generation
            self.live_generation = group.generation_id

    @invariant()
    def the_group_is_well_formed(self) -> None:
        group = self.s.shard.groups.get(GROUP)
        if group is None:
            return
        members = group.members
        if group.state is State.EMPTY:
            assert not members
        if group.state in (State.STABLE, State.COMPLETING_REBALANCE):
            assert members
            assert group.leader_id in members
            assert all(
                any(n == group.protocol_name for n, _ in m.protocols) for m in members.values()
            )
            assert not any(m.join_waiter for m in members.values())
        if group.state is not State.COMPLETING_REBALANCE:
            assert not any(m.sync_waiter for m in members.values())
        statics = {m.group_instance_id: i for i, m in members.items() if m.group_instance_id}
        assert group.static_members == statics
        assert not group.pending_join & members.keys()
        assert group.pending_sync <= members.keys()
        assert all(m.member_id == i for i, m in members.items())

    @invariant()
    def nobody_is_forgotten(self) -> None:
        group = self.s.shard.groups.get(GROUP)
        members = group.members.values() if group is not None else ()
        parked = {id(w) for m in members for w in (m.join_waiter, m.sync_waiter) if w is not None}
        assert {id(asker) for asker in self.s.askers if asker.answer is None} == parked
        if group is not None:
            assert group.proposed is None, "what was not written is not taken for granted"
        if parked:
            assert self.s.shard.next_deadline() is not None


def _hard(shard: Any) -> dict[str, Any]:
    return {i: group.hard for i, group in shard.groups.items() if group.hard is not None}


TestGroup = GroupMachine.TestCase
TestGroup.settings = settings(max_examples=100, stateful_step_count=60)
