"""Three processes, one store, and everything that can go wrong between them, from a seed.

Watched at every revision: one office at a time, epochs that only rise, leaders that may lead.
Afterwards everything heals, and the cluster must be whole.
"""

from __future__ import annotations

import random
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
import pytest

from pykbroker.edges.metadata_store.memory import MemoryStore
from pykbroker.runtime.controller_batch import NotController
from pykbroker.state.controller import keys
from pykbroker.state.controller.elections import is_active
from pykbroker.state.controller.replay import Replay
from pykbroker.state.errors import KafkaError
from pykbroker.state.types import NO_LEADER
from tests.support.faulty_store import FaultyStore, Process, idle, until
from tests.support.manual_clock import ManualClock
from wire.messages.create_partitions import CreatePartitionsRequest, CreatePartitionsTopic
from wire.messages.create_topics import CreatableTopic, CreateTopicsRequest
from wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from wire.messages.elect_leaders import ElectLeadersRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio.abc import TaskGroup

    from pykbroker.ports import StoreUpdate
    from wire.schema import Request

pytestmark = pytest.mark.anyio
NODES = (1, 2, 3)
STEPS = 60


class Watcher:
    """Replays what is written, and looks at every revision."""

    def __init__(self) -> None:
        self.replay = Replay()
        self.epochs: dict[tuple[bytes, int], tuple[int, int]] = {}
        self.incarnations: list[bytes] = []
        self.controller_epochs: list[int] = []

    def see(self, update: StoreUpdate) -> None:
        self.replay.apply(update)
        image = self.replay.image
        incarnation = self.replay.controller_incarnation
        if incarnation and incarnation not in self.incarnations:
            self.incarnations.append(incarnation)
            self.controller_epochs.append(image.controller_epoch)
            assert self.controller_epochs == sorted(set(self.controller_epochs))
        elif incarnation:
            assert incarnation == self.incarnations[-1], "an office that was lost came back"
        for topic in image.topics.values():
            assert topic.partitions, "a topic is there with all its partitions"
            for index, partition in enumerate(topic.partitions):
                leader_epoch, partition_epoch = self.epochs.get((topic.topic_id, index), (-1, -1))
                assert partition.leader_epoch >= leader_epoch
                assert partition.partition_epoch >= partition_epoch
                self.epochs[topic.topic_id, index] = (
                    partition.leader_epoch,
                    partition.partition_epoch,
                )
                assert not set(partition.isr) & set(partition.elr)
                if partition.leader != NO_LEADER:
                    assert partition.leader in partition.isr
                    assert is_active(image, partition.leader)


class Chaos:
    def __init__(self, seed: int, tasks: TaskGroup) -> None:
        self.rng = random.Random(seed)
        self.tasks = tasks
        self.clock = ManualClock()
        self.inner = MemoryStore(self.clock, history_events=30)
        self.watcher = Watcher()
        self.starts = 0
        self.clean_epochs = dict.fromkeys(NODES, -1)
        self.processes = {node: self.started(node) for node in NODES}

    def started(self, node: int) -> Process:
        self.starts += 1
        process = Process(
            node,
            FaultyStore(self.inner),
            self.clock,
            settings={"default.replication.factor": "2", "min.insync.replicas": "2"},
            clean_epoch=self.clean_epochs[node],
            incarnation=self.starts,
        )
        self.clean_epochs[node] = -1
        self.tasks.start_soon(process.run)
        return process

    async def follow(self) -> None:
        """Sees every revision: the history is long enough for one step."""
        async with self.inner.watch(keys.ALL, 2) as watch:
            async for update in watch:
                self.watcher.see(update)

    async def step(self) -> None:
        action: Callable[[], object] = self.rng.choice(
            [
                self.restart,
                self.stop_cleanly,
                self.cut_off,
                self.reconnect,
                self.lose_answers,
                self.lose_answers,
                self.ask,
                self.ask,
                self.ask,
            ]
        )
        action()
        await idle()
        for process in self.processes.values():
            if self.rng.random() < 0.3:
                await process.store.deliver()
        for _ in range(self.rng.choice([1, 1, 4, 12])):
            await idle()
            self.clock.advance(self.rng.choice([100, 900]))

    def any_process(self) -> Process:
        return self.processes[self.rng.choice(NODES)]

    def restart(self) -> None:
        node = self.rng.choice(NODES)
        self.processes[node].kill()
        self.processes[node] = self.started(node)

    def stop_cleanly(self) -> None:
        node = self.rng.choice(NODES)
        process = self.processes[node]
        if process.store.down or not process.is_unfenced:
            return

        async def stop() -> None:
            with anyio.CancelScope() as scope:
                self.clock.call_at(self.clock.now_ms + 2_000, scope.cancel)
                with suppress(KafkaError):
                    epoch = await process.membership.controlled_shutdown()
                    if self.processes[node] is process:
                        self.clean_epochs[node] = epoch
            if self.processes[node] is process:
                process.kill()
                self.processes[node] = self.started(node)

        self.tasks.start_soon(stop)

    def cut_off(self) -> None:
        self.any_process().store.down = True

    def reconnect(self) -> None:
        for process in self.processes.values():
            process.store.down = False

    def lose_answers(self) -> None:
        faults = self.rng.choices(["lost", "late", "silent", ""], k=3)
        self.any_process().store.transactions.extend(faults)

    def ask(self) -> None:
        name = f"t{self.rng.randrange(4)}"
        requests: list[Request] = [
            CreateTopicsRequest(
                topics=[CreatableTopic(name=name, num_partitions=2, replication_factor=2)]
            ),
            CreateTopicsRequest(
                topics=[CreatableTopic(name=name, num_partitions=2, replication_factor=2)]
            ),
            DeleteTopicsRequest(topics=[DeleteTopicState(name=name)]),
            CreatePartitionsRequest(
                topics=[CreatePartitionsTopic(name=name, count=4, assignments=None)]
            ),
            ElectLeadersRequest(topic_partitions=None),
        ]
        request = self.rng.choice(requests)
        process = self.any_process()

        async def ask() -> None:
            with anyio.CancelScope() as scope, suppress(KafkaError, NotController):
                self.clock.call_at(self.clock.now_ms + 20_000, scope.cancel)
                await process.controller.call(request, self.clock.now_ms + 20_000)

        if process.controller.is_active:
            self.tasks.start_soon(ask)

    async def heal(self) -> None:
        for process in self.processes.values():
            process.store.transactions.clear()
            await process.store.deliver()
        self.reconnect()
        for _ in range(120):
            for process in self.processes.values():
                process.peers = list(self.processes.values())
            await idle()
            self.clock.advance(500)
        await until(lambda: all(p.is_unfenced for p in self.processes.values()))
        await idle()


@pytest.mark.parametrize("seed", range(25))
async def test_the_cluster_is_whole_whatever_happened(seed: int) -> None:
    async with anyio.create_task_group() as tasks:
        chaos = Chaos(seed, tasks)
        tasks.start_soon(chaos.follow)
        for _ in range(STEPS):
            for process in chaos.processes.values():
                process.peers = list(chaos.processes.values())
            await chaos.step()
        await chaos.heal()
        (active,) = [p for p in chaos.processes.values() if p.controller.is_active]
        image, replay = chaos.watcher.replay.image, chaos.watcher.replay
        assert image.revision == (await chaos.inner.read("/")).revision
        for process in chaos.processes.values():
            assert process.images.current == image
        assert image.controller_id == active.controller.node_id
        assert not replay.orphans
        assert set(image.brokers) == set(replay.live) == set(NODES)
        for node, live in replay.live.items():
            assert image.brokers[node].epoch == live.epoch
            assert not image.brokers[node].fenced
        for topic in image.topics.values():
            for partition in topic.partitions:
                assert partition.leader != NO_LEADER
        tasks.cancel_scope.cancel()
