"""A broker comes, stays, goes and comes again; the cluster counts on it exactly when it may."""

from __future__ import annotations

import anyio
import pytest

from pykbroker.edges.metadata_store.memory import MemoryStore
from pykbroker.ports import Put
from pykbroker.runtime.membership import NodeIdInUse, WrongCluster
from pykbroker.state.controller import keys
from pykbroker.state.controller.facts import encode_value
from pykbroker.state.types import NodeId
from tests.support.faulty_store import FaultyStore, Process, idle, running, until
from tests.support.manual_clock import ManualClock
from wire.messages.create_topics import CreatableTopic, CreateTopicsRequest
from wire.messages.metadata_records import RegisterBrokerRecord
from wire.messages.unregister_broker import UnregisterBrokerRequest

pytestmark = pytest.mark.anyio


class World:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.inner = MemoryStore(self.clock)

    def process(self, node: int = 1, **options: object) -> Process:
        settings = {"default.replication.factor": "1"}
        return Process(
            node,
            FaultyStore(self.inner),
            self.clock,
            settings=settings,
            **options,  # type: ignore[arg-type]
        )

    async def pass_time(self, delay_ms: int, step_ms: int = 500) -> None:
        for _ in range(delay_ms // step_ms):
            await idle()
            self.clock.advance(step_ms)
        await idle()


def registered(process: Process, node: int = 1):
    return process.images.current.brokers[NodeId(node)]


async def with_topic(process: Process) -> None:
    topic = CreatableTopic(name="t", num_partitions=1, replication_factor=1)
    await process.client.call(CreateTopicsRequest(topics=[topic]))


def partition(process: Process):
    return process.images.current.topics["t"].partitions[0]


async def test_it_is_unfenced_under_the_revision_of_its_own_key() -> None:
    world = World()
    process = world.process()
    async with running(process):
        await until(lambda: process.is_unfenced)
        (item,) = (await world.inner.read(keys.broker_key(1))).items
        assert process.membership.broker_epoch == item.create_revision
        assert registered(process).epoch == item.create_revision
        assert not registered(process).fenced


async def test_it_stays_while_time_passes() -> None:
    world = World()
    process = world.process()
    async with running(process):
        await until(lambda: process.is_unfenced)
        revision = process.images.current.revision
        await world.pass_time(60_000)
        assert process.images.current.revision == revision, "nothing had to be written"
        assert not registered(process).fenced


async def test_a_clean_stop_and_start_keeps_the_partition_without_recovery() -> None:
    world = World()
    process = world.process()
    async with running(process):
        await until(lambda: process.is_unfenced)
        await with_topic(process)
        first = partition(process)
        epoch = await process.membership.controlled_shutdown()
        assert partition(process).leader == -1
        assert partition(process).elr == (1,)
        await process.membership.leave()
    assert (await world.inner.read("/brokers/")).items == ()
    again = world.process(clean_epoch=epoch, incarnation=1)
    async with running(again):
        await until(lambda: again.is_unfenced)
        assert (partition(again).leader, partition(again).isr) == (1, (1,))
        assert partition(again).leader_epoch > first.leader_epoch
        assert again.membership.broker_epoch > epoch


async def test_without_a_controller_it_stops_all_the_same() -> None:
    world = World()
    process = world.process()
    async with running(process):
        await until(lambda: process.is_unfenced)
        process.store.transactions.extend(["lost"] * 100)
        epochs: list[int] = []

        async def stop() -> None:
            epochs.append(await process.membership.controlled_shutdown(2_000))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stop)
            await world.pass_time(1_500)
            assert not epochs
            await world.pass_time(1_000)
            await until(lambda: epochs)
        assert epochs == [process.membership.broker_epoch]


async def test_a_refused_shutdown_is_no_obstacle() -> None:
    world = World()
    process = world.process()
    async with running(process):
        await until(lambda: process.is_unfenced)
        process.membership.broker_epoch += 1
        assert await process.membership.controlled_shutdown() == process.membership.broker_epoch


async def test_after_a_crash_the_only_replica_leads_again_under_a_new_epoch() -> None:
    world = World()
    process = world.process()
    async with running(process):
        await until(lambda: process.is_unfenced)
        await with_topic(process)
        first = partition(process)
    world.clock.advance(9_000)
    again = world.process(incarnation=1)
    async with running(again):
        await until(lambda: again.is_unfenced)
        assert (partition(again).leader, partition(again).isr) == (1, (1,))
        assert partition(again).leader_epoch > first.leader_epoch


async def test_it_waits_until_its_predecessors_lease_has_run_out() -> None:
    world = World()
    first = world.process()
    async with running(first):
        await until(lambda: first.is_unfenced)
    second = world.process(incarnation=1)
    async with running(second):
        await idle()
        assert not second.is_unfenced
        await world.pass_time(9_000)
        await until(lambda: second.is_unfenced)


async def test_a_node_id_in_use_is_given_up_on_in_the_end() -> None:
    world = World()
    first, second = world.process(), world.process(incarnation=1)
    refused: list[bool] = []

    async def come_too() -> None:
        with pytest.raises(NodeIdInUse, match=r"node\.id 1 is in use"):
            await second.run()
        refused.append(True)

    async with running(first):
        await until(lambda: first.is_unfenced)
        epoch = first.membership.broker_epoch
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(come_too)
            await world.pass_time(61_000)
            await until(lambda: refused)
        assert registered(first).epoch == epoch
        assert not registered(first).fenced


async def test_data_of_another_cluster_is_refused() -> None:
    world = World()
    first = world.process()
    async with running(first):
        await until(lambda: first.is_unfenced)
        with pytest.raises(WrongCluster, match="belongs to cluster another"):
            await world.process(2, cluster_id="another").run()
        assert list(first.images.current.brokers) == [1]


async def test_a_lost_lease_is_followed_by_a_new_registration() -> None:
    world = World()
    process = world.process()
    async with running(process):
        await until(lambda: process.is_unfenced)
        await with_topic(process)
        epoch, leader_epoch = process.membership.broker_epoch, partition(process).leader_epoch
        process.store.down = True
        await world.pass_time(12_000)
        assert not process.is_unfenced
        process.store.down = False
        await world.pass_time(3_000)
        await until(lambda: process.is_unfenced)
        assert process.membership.broker_epoch > epoch
        assert registered(process).epoch == process.membership.broker_epoch
        after = partition(process)
        assert (after.leader, after.isr, after.recovering) == (1, (1,), False)
        assert after.leader_epoch == leader_epoch, "nobody was there to fence it"


async def test_the_same_incarnation_proves_itself_by_its_own_last_epoch() -> None:
    world = World()
    process = world.process()
    async with running(process):
        await until(lambda: process.is_unfenced)
        epoch = process.membership.broker_epoch
        process.store.down = True
        await world.pass_time(12_000)
        process.store.down = False
        await world.pass_time(3_000)
        await until(lambda: process.is_unfenced)
        (said,) = process.follower.replay.live.values()
        assert said.record.broker_epoch == epoch


async def test_who_is_fenced_or_forgotten_though_alive_comes_back() -> None:
    world = World()
    process = world.process()
    async with running(process):
        await until(lambda: process.is_unfenced)
        await process.client.call(UnregisterBrokerRequest(broker_id=1))
        await until(
            lambda: process.images.current.brokers.get(1) and not registered(process).fenced
        )


async def test_after_an_outage_brokers_may_come_back_before_they_are_fenced() -> None:
    """All leases lapsed at once; the new controller reads that nobody is there."""
    world = World()
    absent = RegisterBrokerRecord(broker_id=2, broker_epoch=9, fenced=False)
    await world.inner.transact((), [Put(keys.registration_key(2), encode_value(absent))])
    process = world.process()
    async with running(process):
        await until(lambda: process.is_unfenced)
        await world.pass_time(8_500)
        assert not registered(process, 2).fenced
        await world.pass_time(1_000)
        assert registered(process, 2).fenced


async def test_who_goes_before_its_eyes_is_fenced_at_once() -> None:
    world = World()
    one, two = world.process(1), world.process(2)
    async with running(one, two):
        await until(lambda: one.is_unfenced and two.is_unfenced)
        await two.membership.leave()
        await until(lambda: registered(one, 2).fenced)


async def test_registration_survives_lost_answers() -> None:
    world = World()
    process = world.process()
    process.store.transactions.extend(["silent", "lost", "silent", "lost"])
    async with running(process):
        await world.pass_time(5_000)
        await until(lambda: process.is_unfenced)
        assert registered(process).epoch == process.membership.broker_epoch


async def test_a_lease_that_is_gone_before_its_registration_is_seen_is_no_end() -> None:
    world = World()
    process = world.process()
    transact = process.store.transact
    revoked: list[int] = []

    async def revoke_after(compares, operations):
        result = await transact(compares, operations)
        put = next((o for o in operations if o.key == keys.broker_key(1)), None)
        if put is not None and not revoked:
            revoked.append(put.lease)
            await world.inner.revoke_lease(put.lease)
        return result

    process.store.transact = revoke_after
    async with running(process):
        await world.pass_time(10_000)
        await until(lambda: process.is_unfenced)
        assert revoked
        assert registered(process).epoch == process.membership.broker_epoch
