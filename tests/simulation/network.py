"""Hosts and the links between them: latency, cuts in one direction or both, resets, dead peers.

A connection keeps its bytes in order, as TCP does. While the direction from one host to another is
cut, what is written waits; when it heals, the bytes arrive late, or the connection is reset. The
peer of a host that lost its power hears nothing, until the host is back and answers with a reset.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import anyio

from pykbroker.ports import ListenError, Peer
from tests.simulation.disk import Killed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from pykbroker.ports import Bound, ConnectionFactory, ConnectionProtocol, Server, Transport
    from tests.simulation.loop import Life, VirtualLoop
    from wire.schema import Buffer

CONNECT_PATIENCE_S = 20.0
SYN_INTERVAL_S = 0.5
FIN, RESET = "fin", "reset"
Item = bytes | str


class SimNetwork:
    """All links. A cut is a pair (from host, to host)."""

    def __init__(self, loop: VirtualLoop, rng: Random) -> None:
        self.loop = loop
        self.rng = rng
        self.cuts: set[tuple[str, str]] = set()
        self.down: set[str] = set()
        """Hosts without power."""
        self.slow: dict[tuple[str, str], float] = {}
        """Extra seconds in one direction."""
        self.on_healed: Callable[[str, str], None] = lambda *_: None
        self.bound: dict[tuple[str, int], SimBound] = {}
        self.ends: dict[End, None] = {}
        """Ends of connections that stand, in the order in which they came."""
        self.on_delivery: Callable[[str, str, int], None] = lambda *_: None
        self._next_port = 40_000
        self._waiting: dict[tuple[str, str], list[Callable[[], None]]] = {}

    def is_cut(self, source: str, target: str) -> bool:
        return (source, target) in self.cuts or source in self.down or target in self.down

    def latency_s(self, source: str, target: str) -> float:
        draw = self.rng.random()
        latency = 0.0002 + 0.002 * draw * draw
        if draw > 0.995:
            latency += self.rng.random() * 0.2
        return latency + self.slow.get((source, target), 0.0)

    def cut(self, source: str, target: str) -> None:
        self.cuts.add((source, target))

    def heal(self, source: str, target: str) -> None:
        if (source, target) not in self.cuts:
            return
        self.cuts.discard((source, target))
        self._release(source, target)

    def heal_all(self) -> None:
        for source, target in sorted(self.cuts):
            self.heal(source, target)
        self.slow.clear()

    def _release(self, source: str, target: str) -> None:
        for end in [e for e in self.ends if e.host == source and e.peer.host == target]:
            end.link_healed()
        waiting = self._waiting.pop((source, target), [])
        for deliver in waiting:
            deliver()
        self.on_healed(source, target)

    def when_healed(self, source: str, target: str, deliver: Callable[[], None]) -> None:
        """A datagram of somebody else that shall arrive late."""
        self._waiting.setdefault((source, target), []).append(deliver)

    # Hosts

    def power_off(self, host: str) -> None:
        """Nobody hears of it."""
        self.down.add(host)
        self._forget_listeners(host)
        for end in [e for e in self.ends if e.host == host]:
            del self.ends[end]

    def power_on(self, host: str) -> None:
        if host not in self.down:
            return
        self.down.discard(host)
        sources = sorted({e.host for e in self.ends if e.peer.host == host})
        for source in sources:
            if (source, host) not in self.cuts:
                self._release(source, host)

    def kill_process(self, host: str) -> None:
        """The kernel closes what the process had open."""
        self._forget_listeners(host)
        for end in [e for e in self.ends if e.host == host]:
            end.reset_peer()
            self.ends.pop(end, None)

    def _forget_listeners(self, host: str) -> None:
        self.bound = {key: bound for key, bound in self.bound.items() if key[0] != host}

    def pick_port(self) -> int:
        self._next_port += 1
        return self._next_port


class End:
    """One end of a connection: the Transport of the protocol that lives there."""

    def __init__(self, network: SimNetwork, host: str, life: Life, port: int) -> None:
        self.host = host
        self.life = life
        self.port = port
        self.peer: End = self
        self.protocol: ConnectionProtocol | None = None
        self._network = network
        self._stalled: list[Item] = []
        """Written, but not on its way: the link is cut."""
        self._inbox: deque[Item] = deque()
        self._is_paused = False
        self._is_closed = False
        self._last_arrival_s = 0.0
        network.ends[self] = None

    # ports.Transport

    def write(self, buffers: Sequence[Buffer]) -> None:
        if not self._is_closed:
            self._send(b"".join(buffers))

    def pause_reading(self) -> None:
        self._is_paused = True

    def resume_reading(self) -> None:
        self._is_paused = False
        if self._inbox:
            self._network.loop.call_soon(self.drain, context=self.life.context)

    def close(self) -> None:
        if not self._is_closed:
            self._send(FIN)
            self._lose()

    def abort(self) -> None:
        if not self._is_closed:
            self._stalled.clear()
            self._send(RESET)
            self._lose()

    @property
    def unsent(self) -> int:
        return sum(len(item) for item in self._stalled if not isinstance(item, str))

    # The link

    def _send(self, item: Item) -> None:
        if self.life.is_dead:
            return
        if self._stalled or self._network.is_cut(self.host, self.peer.host):
            self._stalled.append(item)
        else:
            self._put_on_wire(item)

    def _put_on_wire(self, item: Item, extra_s: float = 0.0) -> None:
        network, peer = self._network, self.peer
        now = network.loop.time()
        arrival = now + extra_s + network.latency_s(self.host, peer.host)
        self._last_arrival_s = arrival = max(arrival, self._last_arrival_s + 1e-6)
        if type(item) is bytes and len(item) > 64 and network.rng.random() < 0.03:
            middle = network.rng.randrange(1, len(item))
            network.loop.call_at(arrival, peer.arrive, item[:middle], context=peer.life.context)
            item = item[middle:]
            self._last_arrival_s = arrival = arrival + 0.0005
        network.loop.call_at(arrival, peer.arrive, item, context=peer.life.context)

    def link_healed(self) -> None:
        """What was retransmitted gets through at last; or somebody has given up."""
        stalled, self._stalled = self._stalled, []
        rng = self._network.rng
        if not stalled:
            return
        if rng.random() < 0.4:
            self.reset_peer()
            self._network.loop.at(self.life, rng.random() * 0.1, self.arrive, RESET)
            return
        delay_s = rng.random() * 0.5
        for item in stalled:
            self._put_on_wire(item, delay_s)
        if self.protocol is not None and not self._is_closed:
            self._network.loop.call_soon(self._writable, context=self.life.context)

    def _writable(self) -> None:
        if self.protocol is not None and not self._is_closed:
            self.protocol.writable()

    def reset_peer(self) -> None:
        if self._network.is_cut(self.host, self.peer.host):
            self._stalled = [RESET]
        else:
            self._put_on_wire(RESET)

    def arrive(self, item: Item) -> None:
        """In the context of the life that this end belongs to."""
        network = self._network
        if self.host in network.down:
            return
        if self.life.is_dead or (self._is_closed and item is not FIN and item is not RESET):
            if item is not RESET and item is not FIN:
                self.reset_peer()
            return
        network.on_delivery(self.peer.host, self.host, len(item))
        if self.protocol is None or (self._is_paused and item is not RESET):
            self._inbox.append(item)
        else:
            self._take(item)

    def drain(self) -> None:
        while self._inbox and not self._is_paused and not self._is_closed:
            self._take(self._inbox.popleft())

    def _take(self, item: Item) -> None:
        protocol = self.protocol
        assert protocol is not None
        if isinstance(item, str):
            self._lose()
            return
        view = memoryview(item)
        while len(view) and not self._is_closed:
            room = protocol.get_buffer(len(view))
            size = min(len(room), len(view))
            room[:size] = view[:size]
            protocol.buffer_updated(size)
            view = view[size:]

    def _lose(self) -> None:
        """As asyncio's ``connection_lost``: soon, and once."""
        if self._is_closed:
            return
        self._is_closed = True
        protocol, self.protocol = self.protocol, None
        self._network.ends.pop(self, None)
        if protocol is not None:
            self._network.loop.call_soon(protocol.closed, context=self.life.context)


class SimBound:
    def __init__(self, network: SimNetwork, host: str, port: int, life: Life) -> None:
        self.host = host
        self.port = port
        self.life = life
        self.server: SimServer | None = None
        self._network = network
        self._backlog: list[Callable[[], None]] = []

    def close(self) -> None:
        if self._network.bound.get((self.host, self.port)) is self:
            del self._network.bound[self.host, self.port]

    def accept(self, end: End, peer: Peer) -> None:
        """Now, or once it is served. In the server's context."""
        if self.server is None:
            self._backlog.append(lambda: self.accept(end, peer))
            return
        server = self.server
        end.protocol = server.factory(
            end, peer._replace(listener=server.name, security_protocol=server.security_protocol)
        )
        server.ends[end] = None
        end.drain()

    def serve(self, server: SimServer) -> None:
        self.server = server
        backlog, self._backlog = self._backlog, []
        for accept in backlog:
            accept()


class SimServer:
    def __init__(
        self, bound: SimBound, name: str, security_protocol: str, factory: ConnectionFactory
    ) -> None:
        self.name = name
        self.port = bound.port
        self.security_protocol = security_protocol
        self.factory = factory
        self.ends: dict[End, None] = {}
        self._bound = bound

    def stop_accepting(self) -> None:
        self._bound.close()

    def close_connections(self) -> None:
        for end in list(self.ends):
            end.close()

    def abort_connections(self) -> None:
        for end in list(self.ends):
            end.abort()


class NetworkOfLife:
    """``ports.Network`` as one life on one host has it."""

    def __init__(self, network: SimNetwork, host: str, life: Life) -> None:
        self._network = network
        self._host = host
        self._life = life

    def bind(self, host: str, port: int) -> SimBound:
        self._check()
        chosen = port or self._network.pick_port()
        if (self._host, chosen) in self._network.bound:
            raise ListenError(f"cannot listen on {host}:{chosen}: the port is in use")
        bound = SimBound(self._network, self._host, chosen, self._life)
        self._network.bound[self._host, chosen] = bound
        return bound

    async def serve(
        self, bound: Bound, name: str, security_protocol: str, factory: ConnectionFactory
    ) -> Server:
        self._check()
        assert isinstance(bound, SimBound)
        server = SimServer(bound, name, security_protocol, factory)
        bound.serve(server)
        return server

    async def connect(
        self, host: str, port: int, factory: Callable[[Transport], ConnectionProtocol]
    ) -> None:
        self._check()
        network = self._network
        deadline_s = network.loop.time() + CONNECT_PATIENCE_S
        while network.is_cut(self._host, host) or network.is_cut(host, self._host):
            if network.loop.time() >= deadline_s:
                raise TimeoutError(f"no answer from {host}:{port}")
            await anyio.sleep(SYN_INTERVAL_S)
        await anyio.sleep(network.latency_s(self._host, host) * 2)
        self._check()
        bound = network.bound.get((host, port))
        if bound is None or bound.life.is_dead:
            raise ConnectionRefusedError(f"{host}:{port}")
        here = End(network, self._host, self._life, network.pick_port())
        there = End(network, host, bound.life, port)
        here.peer, there.peer = there, here
        peer = Peer("", "", self._host, here.port)
        here.protocol = factory(here)
        network.loop.call_soon(bound.accept, there, peer, context=bound.life.context)

    def _check(self) -> None:
        if self._life.is_dead:
            raise Killed(self._life.name)
