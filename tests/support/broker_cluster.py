"""Several brokers in the test process, over one metadata store in memory and real sockets."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio

from pykbroker.broker import Broker, World
from pykbroker.config.load import load_settings
from pykbroker.edges.clock import SystemClock
from pykbroker.edges.memory_disk import MemoryDisk
from pykbroker.edges.metadata_store.memory import MemoryStore
from pykbroker.edges.network import TcpNetwork
from pykbroker.edges.workers import ThreadWorkers
from wire.apis import API_BY_KEY
from wire.client import request_frame, response_body
from wire.codec import decode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from pykbroker.broker import Ready
    from pykbroker.ports import ConnectionProtocol, Transport
    from pykbroker.runtime.services import Services
    from wire.schema import Buffer, Request

PATIENCE_SECONDS = 60


class Node:
    """One broker of the cluster."""

    def __init__(self, cluster: BrokerCluster, node_id: int, options: tuple[str, ...]) -> None:
        self.node_id = node_id
        self.disk = MemoryDisk()
        self.network: Any = cluster.network()
        self.scope = anyio.CancelScope()
        self.broker: Any = None
        self.bootstrap = ""
        self._cluster = cluster
        self._options = options
        self._ready = anyio.Event()

    @property
    def services(self) -> Services:
        services: Services = self.broker.connections._broker
        return services

    @property
    def is_controller(self) -> bool:
        return not self.scope.cancel_called and self.services.controller._controller.is_active

    @property
    def image(self) -> Any:
        return self.services.images.current

    @property
    def port(self) -> int:
        return int(self.bootstrap.rpartition(":")[2])

    async def run(self) -> None:
        options = (f"node.id={self.node_id}", *self._options)
        loaded = load_settings(options=options, port=0)
        world = World(
            self._cluster.clock,
            random.Random(self.node_id),
            self.disk,
            ThreadWorkers(),
            self.network,
            self._cluster.store,
        )
        self.broker = Broker(loaded, world, log_dirs=[f"/memory/{self.node_id}"])
        with self.scope:
            await self.broker.run(self._started)

    def _started(self, ready: Ready) -> None:
        self.bootstrap = ready.bootstrap[0]
        self._ready.set()

    async def ready(self) -> None:
        with anyio.fail_after(PATIENCE_SECONDS):
            await self._ready.wait()

    def kill(self) -> None:
        """At once: nothing is written, nobody is told."""
        if self.scope.cancel_called:
            return
        for listener in self.broker.listeners:
            listener.stop_accepting()
            listener.abort_connections()
        if self.broker._links is not None:
            self.broker._links.close()
        self.scope.cancel()

    async def ask(self, request: Request, version: int | None = None) -> Any:
        """One request on a connection of its own, as a client."""
        api = API_BY_KEY[request.api_key]
        version = api.max_version if version is None else version
        with anyio.fail_after(PATIENCE_SECONDS):
            async with await anyio.connect_tcp("127.0.0.1", self.port) as stream:
                await stream.send(b"".join(request_frame(request, version, 7, "a-client")))
                data = b""
                while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
                    data += await stream.receive()
        frame = memoryview(data)[4:]
        response, end = decode(api.response, version, frame, response_body(frame, api.key, version))
        assert end == len(frame)
        return response


class LossyNetwork(TcpNetwork):
    """Connections to other brokers that lose what goes out or what comes back, and then end.

    ``loses``: "requests" or "answers" of every connection on which anything is forwarded;
    ``loses_next``: of one of them. ``refuses``: no connection is made, and what stood has ended.
    """

    def __init__(self) -> None:
        super().__init__()
        self.loses = ""
        self.loses_next = ""
        self._wires: set[LossyWire] = set()
        self._refuses = False

    @property
    def refuses(self) -> bool:
        return self._refuses

    @refuses.setter
    def refuses(self, refuses: bool) -> None:
        self._refuses = refuses
        for wire in list(self._wires):
            wire.end()

    def loss(self) -> str:
        loses, self.loses_next = self.loses_next or self.loses, ""
        return loses

    async def connect(
        self, host: str, port: int, factory: Callable[[Transport], ConnectionProtocol]
    ) -> None:
        if self._refuses:
            raise ConnectionRefusedError("refused by the test")
        await super().connect(host, port, lambda transport: self._wire(transport, factory))

    def _wire(
        self, transport: Transport, factory: Callable[[Transport], ConnectionProtocol]
    ) -> LossyWire:
        wire = LossyWire(self._wires, transport)
        self._wires.add(wire)
        wire.network = self
        wire.link = factory(wire)  # type: ignore[arg-type]
        return wire


class LossyWire:
    """Between a link and its transport; loses what the network says."""

    network: LossyNetwork
    link: Any

    def __init__(self, wires: set[LossyWire], transport: Transport) -> None:
        self._wires = wires
        self._transport = transport
        self._loses_answer = False

    def write(self, buffers: Sequence[Buffer]) -> None:
        data = b"".join(buffers)
        loss = self.network.loss() if data[4:6] == b"\x00\x3a" else ""  # an Envelope
        if loss == "requests":
            self.end()
            return
        self._loses_answer = loss == "answers"
        self._transport.write([data])

    def end(self) -> None:
        self._transport.abort()
        self.closed()

    def get_buffer(self, size_hint: int) -> memoryview:
        view: memoryview = self.link.get_buffer(size_hint)
        return view

    def buffer_updated(self, size: int) -> None:
        if self._loses_answer:
            self.end()
        else:
            self.link.buffer_updated(size)

    def writable(self) -> None:
        self.link.writable()

    def closed(self) -> None:
        self._wires.discard(self)
        self.link.closed()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class BrokerCluster:
    def __init__(self, network: Callable[[], Any] = TcpNetwork) -> None:
        self.clock = SystemClock()
        self.network = network
        self.nodes: list[Node] = []
        self._store = MemoryStore(self.clock)

    @asynccontextmanager
    async def store(self) -> AsyncIterator[MemoryStore]:
        yield self._store

    @property
    def controller(self) -> Node:
        (active,) = [n for n in self.nodes if n.is_controller]
        return active

    @property
    def others(self) -> list[Node]:
        """Who is not the controller."""
        controller = self.controller
        return [n for n in self.nodes if n is not controller and not n.scope.cancel_called]


@asynccontextmanager
async def brokers(
    *node_ids: int, options: tuple[str, ...] = (), network: Callable[[], Any] = TcpNetwork
) -> AsyncIterator[BrokerCluster]:
    """All of them are ready. Those that still run are stopped at once in the end."""
    cluster = BrokerCluster(network)
    async with anyio.create_task_group() as tasks:
        for node_id in node_ids:
            node = Node(cluster, node_id, options)
            cluster.nodes.append(node)
            tasks.start_soon(node.run)
        for node in cluster.nodes:
            await node.ready()
        await until(lambda: all(len(n.image.brokers) == len(node_ids) for n in cluster.nodes))
        try:
            yield cluster
        finally:
            for node in cluster.nodes:
                node.kill()
    await anyio.sleep(0)  # for the loop to close what was aborted


async def until(condition: Callable[[], object]) -> None:
    with anyio.fail_after(PATIENCE_SECONDS):
        while not condition():
            await anyio.sleep(0.005)
