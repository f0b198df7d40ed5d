"""The simulated cluster: real brokers on simulated machines, one store, one network, one seed."""

from __future__ import annotations

import zlib
from contextlib import asynccontextmanager
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from pykbroker.broker import Broker, World
from pykbroker.config.load import load_settings
from pykbroker.log import CURRENT, ERROR, WARNING, Log
from tests.simulation.clock import SimClock
from tests.simulation.disk import DiskOfLife, Killed, SimDisk
from tests.simulation.loop import Life, VirtualLoop
from tests.simulation.network import NetworkOfLife, SimNetwork
from tests.simulation.store import SimStore, StoreOfLife

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pykbroker.ports import MetadataStore, StoreUpdate
    from tests.simulation.loop import OrderedTask

T = TypeVar("T")

PORT = 9092
SETTINGS = {
    # Clocks jump; a broker whose clock is behind refuses what seems to come from the future.
    "log.message.timestamp.after.max.ms": str(2**63 - 1),
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "replica.lag.time.max.ms": "3000",
    "replica.fetch.wait.max.ms": "500",
    "log.roll.ms": "6000",
    "log.cleaner.enable": "false",
    "auto.create.topics.enable": "false",
    # With one in sync, who is put out is not waited for, and a lost tail may lead (KIP-966).
    "min.insync.replicas": "2",
    "offsets.topic.num.partitions": "1",
    "initial.broker.registration.timeout.ms": "60000",
    "leader.imbalance.check.interval.seconds": "5",
    "group.initial.rebalance.delay.ms": "0",
}


class Violation(AssertionError):
    """Something that must hold did not."""


class Trace:
    """What happened, as a running checksum; as lines for whoever wants to read it."""

    def __init__(self, loop: VirtualLoop, write: Callable[[str], None] | None = None) -> None:
        self.digest = 0
        self.events = 0
        self._loop = loop
        self._write = write

    def note(self, event: str, *fields: object) -> None:
        text = f"{self._loop.time():.6f} {event} {fields}"
        self.digest = zlib.crc32(text.encode(), self.digest)
        self.events += 1
        if self._write is not None:
            self._write(text)


class BrokerSink:
    """What a broker logs. An error is a defect, unless its machine gave it reason."""

    def __init__(self, node: Node, life: Life) -> None:
        self._node = node
        self._life = life

    def emit(self, level: int, name: str, event: str, fields: dict[str, Any]) -> None:
        cluster = self._node.cluster
        if cluster.trace_logs:
            cluster.trace.note("log", self._life.name, level, name, event, fields)
        if level >= ERROR and not self._life.is_dead:
            error = fields.get("error")
            cluster.fail(f"{self._life.name} logged {event!r} {fields}", error)


class Node:
    """One machine: its disk and its clock outlive the broker processes that run on it."""

    def __init__(self, cluster: Cluster, number: int) -> None:
        rng = cluster.rng
        self.cluster = cluster
        self.number = number
        self.host = f"b{number}"
        self.rate = 1.0 + rng.uniform(-0.01, 0.01)
        self.clock = SimClock(cluster.loop, rng.uniform(0, 1e6), self.rate)
        self.clock.wall_offset_ms = rng.randint(-2_000, 2_000)
        self.disk = SimDisk(self.clock.wall_ms)
        self.runs = 0
        self.life: Life | None = None
        self.broker: Broker | None = None
        self.is_ready = False
        self.is_stopping = False
        self.disk_of_life: DiskOfLife | None = None
        self._task: OrderedTask | None = None

    @property
    def is_running(self) -> bool:
        return self.life is not None

    @property
    def replicas(self) -> Any:
        """The broker's ReplicaManager, once there is one."""
        connections = getattr(self.broker, "connections", None)
        return None if connections is None else connections._broker.replicas

    @property
    def is_frozen(self) -> bool:
        return self.life is not None and self.life.is_frozen

    def start(self) -> None:
        assert self.life is None
        cluster = self.cluster
        cluster.network.power_on(self.host)
        self.runs += 1
        life = self.life = Life(f"{self.host}.{self.runs}")
        life.context.run(CURRENT.set, Log(BrokerSink(self, life), cluster.log_level))
        self.is_ready = self.is_stopping = False
        self.broker = life.context.run(self._make_broker, life)
        cluster.trace.note("start", life.name)
        self._task = cluster.loop.spawn(life, self._run(life, self.broker))

    def _make_broker(self, life: Life) -> Broker:
        cluster = self.cluster
        rng = Random(cluster.rng.getrandbits(64))
        settings = {
            **SETTINGS,
            **cluster.settings,
            "node.id": str(self.number),
            "listeners": f"PLAINTEXT://{self.host}:{PORT}",
        }

        @asynccontextmanager
        async def open_store() -> AsyncIterator[MetadataStore]:
            yield StoreOfLife(cluster.store, self.host, life)

        loaded = load_settings(
            options=[f"{name}={value}" for name, value in settings.items()],
            environment={},
            brokers=len(cluster.nodes) or cluster.size,
        )
        disk = self.disk_of_life = DiskOfLife(self.disk, life)
        network = NetworkOfLife(cluster.network, self.host, life)
        world = World(self.clock, rng, disk, SimWorkers(cluster, life), network, open_store)
        return Broker(loaded, world, log_dirs=["/data"])

    async def _run(self, life: Life, broker: Broker) -> None:
        def ready(_: object) -> None:
            self.is_ready = True
            self.cluster.trace.note("ready", life.name)

        try:
            await broker.run(ready)
        except BaseException as error:
            if not life.is_dead:
                self.cluster.fail(f"{life.name} ended", error)
            return
        if life.is_dead:
            return
        self.cluster.trace.note("stopped", life.name)
        self._over(life)

    def _over(self, life: Life) -> None:
        """The process is gone; its callbacks go as well, as soon as its tasks have unwound."""
        life.is_dead = True
        self.cluster.network.kill_process(self.host)
        self.disk.kill()
        self.life = self.broker = self.disk_of_life = None
        self.is_ready = False
        self.cluster.loop.call_later(1.0, lambda: setattr(life, "is_buried", True))

    # Faults

    def stop(self) -> None:
        """SIGTERM."""
        if self.broker is not None and self.is_ready and not self.is_stopping:
            self.is_stopping = True
            self.cluster.trace.note("stop", self.host)
            self.broker.stop()

    def kill(self) -> None:
        """SIGKILL: what was written stays."""
        if self.life is not None:
            self.cluster.trace.note("kill", self.host)
            self._die(self.life)

    def lose_power(self) -> None:
        if self.life is not None:
            self.cluster.trace.note("power", self.host)
            self.cluster.network.power_off(self.host)
            self._die(self.life)
            self.disk.lose_power(self.cluster.rng)

    def _die(self, life: Life) -> None:
        task, self._task = self._task, None
        self._over(life)
        self.cluster.loop.thaw(life)
        if task is not None:
            self.cluster.loop.call_soon(task.cancel, context=life.context)

    def freeze(self) -> None:
        if self.life is not None:
            self.cluster.trace.note("freeze", self.host)
            self.cluster.loop.freeze(self.life)

    def thaw(self) -> None:
        if self.life is not None and self.life.is_frozen:
            self.cluster.trace.note("thaw", self.host)
            self.cluster.loop.thaw(self.life)


class SimWorkers:
    """Blocking work takes its time, and is done at some point in it."""

    def __init__(self, cluster: Cluster, life: Life) -> None:
        self._cluster = cluster
        self._life = life

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        duration_s = self._cluster.work_duration_s()
        with anyio.CancelScope(shield=True):
            await anyio.sleep(duration_s)
            result = self._do(function, args)
            await anyio.sleep(duration_s / 10)
        return result

    def _do(self, function: Callable[..., T], args: tuple[Any, ...]) -> T:
        if self._life.is_dead:
            raise Killed(self._life.name)
        return function(*args)


class Cluster:
    """``start`` it on a loop, do things to it; ``failure`` is the first thing that went wrong."""

    def __init__(
        self,
        loop: VirtualLoop,
        seed: int,
        *,
        brokers: int = 3,
        settings: dict[str, str] | None = None,
        write: Callable[[str], None] | None = None,
    ) -> None:
        self.loop = loop
        self.size = brokers
        self.rng = Random(seed)
        self.settings = settings or {}
        self.trace = Trace(loop, write)
        self.trace_logs = write is not None
        self.log_level = WARNING if write is None else 20
        self.failure: Violation | None = None
        self.on_store_change: Callable[[StoreUpdate], None] = lambda _: None
        self.network = SimNetwork(loop, Random(self.rng.getrandbits(64)))
        self.network.on_delivery = lambda *fields: self.trace.note("net", *fields)
        self.store = SimStore(self.network, self._store_changed)
        self.slow_disks = self.rng.random() < 0.2
        self.nodes: list[Node] = []
        self.nodes.extend(Node(self, number) for number in range(1, brokers + 1))
        loop.set_exception_handler(self._escaped)

    def node(self, number: int) -> Node:
        return self.nodes[number - 1]

    def start(self) -> None:
        for node in self.nodes:
            node.start()

    def fail(self, what: str, cause: BaseException | None = None) -> None:
        if self.failure is None:
            self.trace.note("violation", what)
            self.failure = Violation(what)
            self.failure.__cause__ = cause

    def new_rng(self) -> Random:
        """For somebody whose choices shall not depend on what others do."""
        return Random(self.rng.getrandbits(64))

    def check(self) -> None:
        if self.failure is not None:
            raise self.failure

    def work_duration_s(self) -> float:
        draw = self.rng.random()
        return (0.02 if self.slow_disks else 0.0005) * (0.2 + draw) + (draw > 0.99) * draw

    def _store_changed(self, update: StoreUpdate) -> None:
        self.trace.note("store", update.revision, [e.key for e in update.events])
        self.on_store_change(update)

    def _escaped(self, _: object, context: dict[str, Any]) -> None:
        from tests.simulation.loop import LIFE

        handle = context.get("handle")
        life = handle._context.get(LIFE) if handle is not None else LIFE.get()
        if life is None or not life.is_dead:
            self.fail(f"escaped: {context.get('message')}", context.get("exception"))
