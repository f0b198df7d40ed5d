"""The controller holds its office by fenced writes alone, whatever the store does to it."""

from __future__ import annotations

import anyio
import pytest

from pykbroker.edges.metadata_store.memory import MemoryStore
from pykbroker.ports import Compare, Delete, Put
from pykbroker.state.controller import keys
from pykbroker.state.controller.facts import encode_value
from pykbroker.state.controller.replay import partition_record
from pykbroker.state.errors import KafkaError
from tests.support.cluster_images import partition, topic_id
from tests.support.faulty_store import FaultyStore, Process, idle, running, until
from tests.support.manual_clock import ManualClock
from wire.errors import ErrorCode
from wire.messages.create_topics import CreatableTopic, CreateTopicsRequest, CreateTopicsResponse
from wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from wire.messages.elect_leaders import ElectLeadersRequest
from wire.messages.fetch import FetchRequest
from wire.messages.metadata_records import RegisterControllerRecord, TopicRecord

pytestmark = pytest.mark.anyio
E = ErrorCode


class World:
    def __init__(self, *nodes: int, max_operations: int = 1_000, **settings: str) -> None:
        self.clock = ManualClock()
        self.inner = MemoryStore(self.clock, max_operations=max_operations)
        named = {name.replace("_", "."): value for name, value in settings.items()}
        self.settings = {"default.replication.factor": "1"} | named
        self.processes = [
            Process(n, FaultyStore(self.inner), self.clock, settings=self.settings) for n in nodes
        ]

    @property
    def one(self) -> Process:
        return self.processes[0]

    async def started(self) -> None:
        await until(lambda: all(p.is_unfenced for p in self.processes))
        await idle()

    def leader(self) -> Process:
        (active,) = [p for p in self.processes if p.controller.is_active]
        return active


def creation(*names: str, partitions: int = 1, timeout_ms: int = 30_000) -> CreateTopicsRequest:
    return CreateTopicsRequest(
        topics=[
            CreatableTopic(name=n, num_partitions=partitions, replication_factor=1) for n in names
        ],
        timeout_ms=timeout_ms,
    )


async def create(process: Process, *names: str, partitions: int = 1) -> list[int]:
    response: CreateTopicsResponse = await process.client.call(
        creation(*names, partitions=partitions)
    )
    return [t.error_code for t in response.topics]


async def test_the_first_process_takes_the_office_and_counts_it() -> None:
    world = World(1)
    async with running(world.one):
        await world.started()
        image = world.one.images.current
        assert (image.controller_id, image.controller_epoch) == (1, 0)
        assert image.features == {
            "metadata.version": 30,
            "eligible.leader.replicas.version": 1,
        }
        assert image.cluster_id == "cluster"


async def test_what_is_asked_is_counted_with_its_wait() -> None:
    world = World(1)
    async with running(world.one):
        await world.started()
        counts = world.one.controller.counts
        before = (counts.started, counts.waited.count, counts.turns.count)
        assert await create(world.one, "t", "u") == [0, 0]
        assert await create(world.one, "t") == [E.TOPIC_ALREADY_EXISTS]
        after = (counts.started, counts.waited.count, counts.turns.count)
        assert [b - a for a, b in zip(before, after, strict=True)] == [2, 2, 2]
        assert counts.elections.count == 0, "whoever is the first replaces nobody"
        assert counts.errors == 0


async def test_a_single_broker_is_ready_after_three_writes() -> None:
    world = World(1)
    async with running(world.one):
        await world.started()
        assert len(world.one.store.written) == 3


async def test_what_was_answered_is_in_the_image() -> None:
    world = World(1)
    async with running(world.one):
        await world.started()
        for n in range(20):
            assert await create(world.one, f"t{n}") == [E.NONE]
            assert f"t{n}" in world.one.images.current.topics


async def test_requests_that_come_together_are_written_together() -> None:
    world = World(1)
    async with running(world.one):
        await world.started()
        before = len(world.one.store.written)
        answers = []

        async def one(name: str) -> None:
            answers.extend(await create(world.one, name))

        async with anyio.create_task_group() as tasks:
            for n in range(150):
                tasks.start_soon(one, f"t{n}")
                tasks.start_soon(one, "same")
        assert sorted(answers) == [E.NONE] * 151 + [E.TOPIC_ALREADY_EXISTS] * 149
        assert len(world.one.images.current.topics) == 151
        assert len(world.one.store.written) - before < 10


async def test_refused_requests_hurt_no_others_in_their_transaction() -> None:
    world = World(1)
    async with running(world.one):
        await world.started()
        errors: list[KafkaError] = []

        async def bad() -> None:
            with pytest.raises(KafkaError) as refused:
                await world.one.client.call(ElectLeadersRequest(election_type=9))
            errors.append(refused.value)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bad)
            tasks.start_soon(create, world.one, "t")
            tasks.start_soon(bad)
        assert [e.code for e in errors] == [E.INVALID_REQUEST] * 2
        assert "t" in world.one.images.current.topics


async def test_what_the_controller_does_not_decide_is_refused() -> None:
    world = World(1)
    async with running(world.one):
        await world.started()
        with pytest.raises(KafkaError) as refused:
            await world.one.client.call(FetchRequest())
        assert refused.value.code == E.UNSUPPORTED_VERSION


async def test_a_large_topic_takes_several_writes_and_appears_at_once() -> None:
    world = World(1, max_operations=10)
    async with running(world.one):
        await world.started()
        before = len(world.one.store.written)
        seen: list[int] = []
        world.one.images.subscribe(
            lambda delta: seen.extend(len(t.partitions) for t in delta.after.topics.values())
        )
        assert await create(world.one, "large", partitions=25) == [E.NONE]
        writes = world.one.store.written[before:]
        assert len(writes) == 3
        assert keys.topic_key("large") in writes[-1]
        assert set(seen) == {25}


async def test_what_a_broken_off_creation_left_behind_is_removed() -> None:
    world = World(1)
    orphan = encode_value(partition_record(topic_id(9), 0, partition([1])))
    await world.inner.transact((), [Put(keys.partition_key(topic_id(9), 0), orphan)])
    async with running(world.one):
        await world.started()
        await until(lambda: not world.one.follower.replay.orphans)
        assert [k.key for k in (await world.inner.read("/partitions/")).items] == []


@pytest.mark.parametrize("fault", ["lost", "silent"])
async def test_a_write_without_an_answer_is_looked_up_not_repeated_blindly(fault: str) -> None:
    world = World(1)
    async with running(world.one):
        await world.started()
        world.one.store.transactions.append(fault)
        assert await create(world.one, "t") == [E.NONE]
        assert list(world.one.images.current.topics) == ["t"]
        assert world.one.controller.is_active


async def test_a_write_that_arrives_late_takes_no_effect() -> None:
    world = World(1)
    async with running(world.one):
        await world.started()
        world.one.store.transactions.append("late")
        assert await create(world.one, "t") == [E.NONE]
        first = world.one.images.current.topics["t"].topic_id
        assert await create(world.one, "other") == [E.NONE]
        late = await world.one.store.deliver()
        assert [result.succeeded for result in late] == [False]
        await idle()
        assert world.one.images.current.topics["t"].topic_id == first
        assert len(world.one.images.current.topics) == 2


async def test_taking_the_office_anew_survives_its_own_lost_answers() -> None:
    world = World(1)
    async with running(world.one):
        await world.started()
        epoch = world.one.images.current.controller_epoch
        world.one.store.transactions.extend(["late", "silent", "lost", "silent"])

        async def advance() -> None:
            while True:
                await idle()
                world.clock.advance(250)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(advance)
            assert await create(world.one, "t") == [E.NONE]
            tasks.cancel_scope.cancel()
        assert [r.succeeded for r in await world.one.store.deliver()] == [False]
        assert world.one.images.current.controller_epoch == epoch, "it was never out of office"
        assert await create(world.one, "u") == [E.NONE]


async def test_somebody_elses_change_of_a_key_makes_it_decide_again() -> None:
    world = World(1)
    async with running(world.one):
        await world.started()
        held = world.one.store
        held.transactions.append("held")
        answers: list[list[int]] = []

        async def one() -> None:
            answers.append(await create(world.one, "t"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one)
            await idle()
            record = encode_value(partition_record(topic_id(9), 0, partition([1])))
            await world.inner.transact((), [Put(keys.partition_key(topic_id(9), 0), record)])
            await held.deliver()
        assert answers == [[E.NONE]]


async def test_who_lost_the_office_writes_nothing_and_says_so() -> None:
    world = World(1)
    async with running(world.one):
        await world.started()
        usurper = RegisterControllerRecord(controller_id=9, incarnation_id=b"u" * 16)
        await world.inner.transact((), [Put(keys.CONTROLLER, encode_value(usurper))])
        revision = (await world.inner.read("/")).revision
        with pytest.raises(KafkaError) as refused:
            await world.one.controller.call(creation("t"), world.clock.now_ms + 1_000)
        assert refused.value.code == E.NOT_CONTROLLER
        assert (await world.inner.read("/")).revision == revision
        await until(lambda: not world.one.controller.is_active)
        await world.inner.transact((), [Delete(keys.CONTROLLER)])
        await until(lambda: world.one.controller.is_active)
        assert world.one.images.current.controller_epoch == 1
        assert await create(world.one, "t") == [E.NONE]


async def test_who_lost_the_office_over_a_write_without_an_answer_says_that_nobody_knows() -> None:
    """NOT_CONTROLLER would say that nothing was done; it was."""
    world = World(1)
    async with running(world.one):
        await world.started()
        world.one.store.transactions.extend(["silent", "held"])
        codes: list[E] = []

        async def ask() -> None:
            with pytest.raises(KafkaError) as refused:
                await world.one.controller.call(creation("t"), world.clock.now_ms + 9_000)
            codes.append(refused.value.code)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await idle()
            usurper = RegisterControllerRecord(controller_id=9, incarnation_id=b"u" * 16)
            await world.inner.transact((), [Put(keys.CONTROLLER, encode_value(usurper))])
            await world.one.store.deliver()
            await idle()
            world.clock.advance(250)
        assert codes == [E.REQUEST_TIMED_OUT]
        assert "t" in world.one.images.current.topics


async def test_a_controller_whose_time_is_up_does_not_write() -> None:
    """It was asleep: its renewals stand still, its lease ran out by its own clock."""
    world = World(1)
    async with running(world.one):
        await world.started()
        before = len(world.one.store.written)
        world.clock.now_ms += 8_100
        with pytest.raises(KafkaError) as refused:
            await world.one.controller.call(creation("t"), world.clock.now_ms + 9_000)
        assert refused.value.code == E.NOT_CONTROLLER
        assert len(world.one.store.written) == before


async def test_of_several_processes_one_has_the_office_and_the_next_takes_over() -> None:
    world = World(1, 2, 3)
    async with running(*world.processes):
        await until(lambda: any(p.controller.is_active for p in world.processes))
        first = world.leader()
        first.kill()
        others = [p for p in world.processes if p is not first]
        for _ in range(60):
            await idle()
            world.clock.advance(200)
        await until(lambda: any(p.controller.is_active for p in others))
        (second,) = [p for p in others if p.controller.is_active]
        assert second.images.current.controller_epoch == 1
        fenced = second.images.current.brokers[first.controller.node_id].fenced
        assert fenced, "its lease is gone"


async def test_a_sleeper_that_wakes_up_is_refused_by_the_store() -> None:
    """Its own clock stood still as well: nothing but the fence can stop it."""
    world = World(1)
    async with running(world.one):
        await world.started()
        stale = world.one.follower.replay.mod_revisions[keys.CONTROLLER]
        world.one.kill()
        world.clock.advance(9_000)
        await world.inner.transact(
            [Compare(keys.CONTROLLER, 0)],
            [Put(keys.CONTROLLER, encode_value(RegisterControllerRecord(controller_id=2)))],
        )
        late = await world.inner.transact(
            [Compare(keys.CONTROLLER, stale)], [Put("/topics/t", b"from the past")]
        )
        assert not late.succeeded


async def test_under_a_lease_that_the_store_forgot_nobody_spins() -> None:
    """The store refuses, and there is nothing new to learn from it."""
    world = World(1)
    store = world.one.store
    forgotten = await store.grant_lease(1)
    world.clock.advance(1)

    async def grant(ttl_ms: int) -> int:
        return forgotten

    store.grant_lease = grant  # type: ignore[method-assign]
    calls = 0
    transact = store.transact

    async def counted(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        return await transact(*arguments)  # type: ignore[arg-type]

    store.transact = counted  # type: ignore[assignment, method-assign]
    async with running(world.one):
        await idle()
        assert calls == 2, "the broker and the controller, once each"
        world.clock.advance(250)
        await idle()
        assert calls == 4
        del store.grant_lease
        for _ in range(20):
            world.clock.advance(250)
            await idle()
        await world.started()


async def test_a_write_that_is_refused_for_no_visible_reason_is_not_repeated_at_once() -> None:
    world = World(1)
    async with running(world.one):
        await world.started()
        store, transact, calls = world.one.store, world.one.store.transact, 0

        async def refuse(compares: list[Compare], operations: list[Put | Delete]) -> object:
            nonlocal calls
            calls += 1
            if calls < 3:
                return await transact([*compares, Compare("/never", 1)], operations)
            return await transact(compares, operations)

        store.transact = refuse  # type: ignore[assignment, method-assign]
        answers: list[int] = []

        async def one() -> None:
            answers.extend(await create(world.one, "t"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one)
            for expected in (1, 2, 3):
                await idle()
                assert calls == expected
                world.clock.advance(250)
        assert answers == [E.NONE]


async def test_without_a_controller_callers_wait_as_long_as_they_allow() -> None:
    world = World(1)
    answers: list[int] = []

    async def ask(timeout_ms: int) -> None:
        with pytest.raises(KafkaError) as refused:
            await world.one.client.call(creation("t", timeout_ms=timeout_ms))
        answers.append(timeout_ms)
        assert refused.value.code == E.NOT_CONTROLLER

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, 5_000)
        tasks.start_soon(ask, 1_000)
        await idle()
        world.clock.advance(1_000)
        await until(lambda: answers == [1_000])
        world.clock.advance(4_000)
        await until(lambda: answers == [1_000, 5_000])


async def test_a_caller_that_waits_is_served_once_there_is_a_controller() -> None:
    world = World(1)
    async with anyio.create_task_group() as tasks:
        answers: list[int] = []

        async def ask() -> None:
            answers.extend(await create(world.one, "t"))

        tasks.start_soon(ask)
        await idle()
        async with running(world.one):
            await until(lambda: answers)
            # The broker may be fenced still when the request is decided.
            assert answers in ([E.NONE], [E.INVALID_REPLICATION_FACTOR])


async def test_a_request_whose_time_is_up_in_the_queue_is_not_carried_out() -> None:
    world = World(1)
    async with running(world.one):
        await world.started()
        with pytest.raises(KafkaError) as refused:
            await world.one.controller.call(creation("t"), world.clock.now_ms)
        assert refused.value.code == E.REQUEST_TIMED_OUT
        assert not world.one.images.current.topics


@pytest.mark.parametrize("timeout_ms", [0, -1])
async def test_a_request_without_time_runs_out_at_once(timeout_ms: int) -> None:
    world = World(1)
    async with running(world.one):
        await world.started()
        request = creation("t")
        request.timeout_ms = timeout_ms
        with pytest.raises(KafkaError) as refused:
            await world.one.client.call(request)
        assert refused.value.code == E.REQUEST_TIMED_OUT
        assert not world.one.images.current.topics


async def test_deleted_topics_are_gone_whole() -> None:
    world = World(1, max_operations=10)
    async with running(world.one):
        await world.started()
        await create(world.one, "t", partitions=30)
        request = DeleteTopicsRequest(topics=[DeleteTopicState(name="t")], timeout_ms=9_000)
        await world.one.client.call(request)
        assert not world.one.images.current.topics
        await until(lambda: not world.one.follower.replay.orphans)
        assert (await world.inner.read("/partitions/")).items == ()


async def test_leaders_go_back_to_the_preferred_replicas_in_time() -> None:
    world = World(1, 2)
    async with running(*world.processes):
        await until(lambda: any(p.controller.is_active for p in world.processes))
        leader = world.leader()
        record = partition([1, 2], leader=2)
        id_ = topic_id(1)
        await until(lambda: not any(b.fenced for b in leader.images.current.brokers.values()))
        await world.inner.transact(
            (),
            [
                Put(keys.partition_key(id_, 0), encode_value(partition_record(id_, 0, record))),
                Put(keys.topic_key("t"), encode_value(TopicRecord(name="t", topic_id=id_))),
            ],
        )
        for _ in range(150):
            await idle()
            world.clock.advance(2_000)
        await until(lambda: leader.images.current.topics["t"].partitions[0].leader == 1)
