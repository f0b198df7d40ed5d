"""One run: a cluster under load, faults from a seed, then peace, and the books are compared."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio

from tests.simulation.admin import Admin
from tests.simulation.clients import Committer, History, Producer, Reader, Topics
from tests.simulation.cluster import Cluster, Violation
from tests.simulation.faults import Faults
from tests.simulation.loop import Stuck, simulated
from tests.simulation.observer import Observer, observing
from wire.records.batch import iter_headers, read_header
from wire.records.record import decode_records

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.simulation.clients import Client

START_PATIENCE_S = 60.0
CHAOS_S = (6.0, 14.0)
RECOVERY_PATIENCE_S = 90.0
LOOK_S = 0.25


class Outcome(NamedTuple):
    seed: int
    digest: int
    """Of the trace: two runs of one seed have the same."""
    failure: str | None
    at_s: float
    """Virtual time when it was over."""
    events: int
    acks: int
    elections: int
    checks: int
    admin: int
    """Admin operations that were answered as done."""
    faults: dict[str, int]
    cpu_s: float


class Scenario:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        rng = cluster.new_rng()
        self.rng = rng
        self.flushes = rng.random() < 0.4
        if self.flushes:
            cluster.settings["log.flush.interval.messages"] = "1"
        self.observer = Observer(cluster)
        self.history = History()
        common = (cluster, self.observer, self.history)
        self.topics = {"a": {"min.insync.replicas": "2"}}
        self.partitions = 2
        self.creator = Topics(*common, "c0", topics=self.topics, partitions=self.partitions)
        self.producers = [
            Producer(*common, "p1", topic="a", partition=0, once=True),
            Producer(*common, "p2", topic="a", partition=1, once=True),
            Producer(*common, "p3", topic="a", partition=0, once=False),
            Producer(*common, "p4", topic="a", partition=1, acks=1, once=False),
        ]
        self.committer = Committer(*common, "g1", topic="a")
        self.readers = [
            Reader(*common, f"r{index}", topic="a", partition=index) for index in (0, 1)
        ]
        shared = {"a": self.partitions, "__consumer_offsets": 1}
        self.admin = Admin(*common, "admin", shared=shared)
        self.clients: list[Client] = [*self.producers, self.committer, *self.readers, self.admin]
        hosts = [client.name for client in self.clients]
        self.faults = Faults(cluster, self.observer, flushes=self.flushes, hosts=hosts)

    async def run(self) -> None:
        cluster = self.cluster
        cluster.start()
        await self._until(lambda: all(node.is_ready for node in cluster.nodes), "start")
        self.creator.start()
        await self._until(lambda: self.creator.is_done, "topics")
        for client in self.clients:
            client.start()
        await self._until(lambda: self.history.acks > 0, "the first acknowledgement")
        self.faults.start()
        await self._let_pass(self.rng.uniform(*CHAOS_S))
        self.faults.heal()
        await self._until_answered(self.admin.is_listed, "a list of the reassignments")
        before = {producer: producer.acked for producer in self.producers}
        commits = self.history.commits
        await self._until(
            lambda: (
                all(producer.acked > before[producer] for producer in self.producers)
                and self.history.commits > commits
            ),
            "service after everything was healed",
            RECOVERY_PATIENCE_S,
        )
        for client in self.clients:
            client.stopping = True
        await self._until(lambda: all(client.is_done for client in self.clients), "clients to end")
        await self._until(self._is_whole, "every replica in sync", RECOVERY_PATIENCE_S)
        await self._until_answered(self.admin.is_listed, "an empty list of reassignments")
        await self._until_answered(self._offsets_are_right, "the committed offsets")
        self._compare()
        self.admin.compare()
        cluster.check()

    async def _let_pass(self, duration_s: float) -> None:
        end_s = self.cluster.loop.time() + duration_s
        while self.cluster.loop.time() < end_s:
            await anyio.sleep(LOOK_S)

    async def _until(
        self, condition: Callable[[], bool], what: str, patience_s: float = START_PATIENCE_S
    ) -> None:
        deadline_s = self.cluster.loop.time() + patience_s
        while not condition():
            if self.cluster.loop.time() > deadline_s:
                self.cluster.fail(f"waited in vain for {what}: {self._state()}")
                self.cluster.check()
            await anyio.sleep(LOOK_S)

    def _state(self) -> str:
        image = self.observer.truth.image
        topics = {
            f"{topic.name}-{index}": (
                (p.leader, p.leader_epoch, p.isr, p.elr),
                (p.replicas, p.adding, p.removing),
            )
            for topic in image.topics.values()
            for index, p in enumerate(topic.partitions)
        }
        brokers = {b.node_id: (b.epoch, b.fenced) for b in image.brokers.values()}
        ready = [node.is_ready for node in self.cluster.nodes]
        ends = {
            f"{n.host} {p.topic_partition}": (p.log.high_watermark, p.log.log_end_offset)
            for n in self.cluster.nodes
            if n.replicas is not None
            for p in n.replicas.partitions()
        }
        return f"controller {image.controller_id}, {ready=}, {brokers=}, {topics=}, {ends=}"

    def _is_whole(self) -> bool:
        """Every replica is where it belongs, holds all there is, and knows that it is committed."""
        if self.admin.reassignments() or not self._holds_what_it_should():
            return False
        for topic in self.observer.truth.image.topics.values():
            for index, partition in enumerate(topic.partitions):
                if set(partition.isr) != set(partition.replicas):
                    return False
                logs = [self._log(node, topic.name, index) for node in partition.replicas]
                if not all(logs):
                    return False
                ends = {(log.high_watermark, log.log_end_offset) for log in logs}
                if len(ends) != 1 or len(set(ends.pop())) != 1:
                    return False
        return True

    def _holds_what_it_should(self) -> bool:
        held = {
            (node.number, p.topic_partition)
            for node in self.cluster.nodes
            for p in (node.replicas.partitions() if node.replicas is not None else ())
        }
        return held == {
            (node, (topic.name, index))
            for topic in self.observer.truth.image.topics.values()
            for index, partition in enumerate(topic.partitions)
            for node in partition.replicas
        }

    def _log(self, number: int, topic: str, index: int) -> Any:
        replicas = self.cluster.node(number).replicas
        for partition in replicas.partitions() if replicas is not None else ():
            if partition.topic_partition == (topic, index):
                return partition.log
        return None

    async def _until_answered(self, ask: Callable[[], Awaitable[bool]], what: str) -> None:
        deadline_s = self.cluster.loop.time() + RECOVERY_PATIENCE_S
        while not await ask():
            if self.cluster.loop.time() > deadline_s:
                self.cluster.fail(f"asked in vain for {what}: {self._state()}")
            self.cluster.check()
            await anyio.sleep(LOOK_S)

    async def _offsets_are_right(self) -> bool:
        for node in self.cluster.nodes:
            if await self.committer.check(node.number):
                return True
        return False

    # The books

    def _compare(self) -> None:
        for topic in self.observer.truth.image.topics.values():
            for index, partition in enumerate(topic.partitions):
                contents = []
                for node in partition.replicas:
                    log = self._log(node, topic.name, index)
                    self.observer.check_isr((topic.topic_id, index))
                    contents.append(_content(log))
                if any(content != contents[0] for content in contents):
                    self.cluster.fail(
                        f"{topic.name}-{index}: replicas differ: {_difference(contents)}"
                    )
                if topic.name in self.topics:
                    self._judge(topic.name, index, contents[0])

    def _judge(self, topic: str, index: int, data: list[bytes]) -> None:
        values = {
            record.offset: record.value or b""
            for chunk in data
            for position, header in iter_headers(chunk)
            if not header.is_control
            for record in decode_records(chunk, position)
        }
        fail, history = self.cluster.fail, self.history
        for offset, value in history.acked.get((topic, index), {}).items():
            if values.get(offset) != value:
                fail(f"{topic}-{index}: lost {value!r} at {offset}, there is {values.get(offset)}")
        newest: dict[bytes, int] = {}
        for offset, value in sorted(values.items()):
            if history.sent.get(value) != (topic, index):
                fail(f"{topic}-{index}: nobody sent {value!r} at {offset}")
            if value in history.once:
                name, number = value.split(b"/")
                if int(number) <= newest.get(name, -1):
                    fail(f"{topic}-{index}: {value!r} at {offset} is twice there, or too late")
                newest[name] = int(number)


def _content(log: Any) -> list[bytes]:
    found: list[bytes] = []
    offset = log.log_start_offset
    while offset < log.log_end_offset:
        data = bytes(log.read(offset, 1 << 20, min_one_batch=True).records)
        for position, header in iter_headers(data):
            found.append(data[position : position + header.size_in_bytes])
            offset = header.next_offset
        if not data:
            break
    return found


def _difference(contents: list[list[bytes]]) -> str:
    """The first batch that is not the same on all of them, as each has it."""
    for index in range(max(map(len, contents))):
        batches = [content[index] if index < len(content) else b"" for content in contents]
        if len(set(batches)) > 1:
            headers = [read_header(b) if b else None for b in batches]
            return f"batch {index} of {[len(content) for content in contents]}: {headers}"
    return ""


def simulate(
    seed: int,
    *,
    write: Callable[[str], None] | None = None,
    make: Callable[[Cluster], Any] = Scenario,
) -> Outcome:
    """One seed, to its end or its first violation."""
    begun_s = time.process_time()
    with simulated() as loop:
        cluster = Cluster(loop, seed, write=write)
        scenario = make(cluster)
        loop.after_turn = cluster.check
        failure: str | None = None
        with observing(scenario.observer):
            try:
                loop.run_until_complete(scenario.run())
            except (Violation, Stuck) as error:
                failure = _reason(error)
        return Outcome(
            seed,
            cluster.trace.digest,
            failure,
            loop.time(),
            cluster.trace.events,
            scenario.history.acks,
            scenario.observer.elections,
            scenario.observer.checks,
            scenario.admin.done,
            scenario.faults.struck,
            time.process_time() - begun_s,
        )


def _reason(error: BaseException) -> str:
    import traceback

    if error.__cause__ is None:
        return f"{type(error).__name__}: {error}"
    cause = "".join(traceback.format_exception(error.__cause__))
    return f"{type(error).__name__}: {error}\n{cause}"
