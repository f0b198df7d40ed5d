"""A metadata store for other processes: whoever has it opened serves it to them.

Any store can be served, over a Unix socket to this machine and over TCP to others. Leases count on
this process's clock. A lease granted to a process over the Unix socket ends with that process, at
once; over TCP only its time ends it.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio

from pykbroker.edges.metadata_store.addresses import TcpAddress, UnixAddress, parse_address
from pykbroker.edges.metadata_store.local_socket import LocalLink, LocalListener
from pykbroker.edges.metadata_store.processes import Processes, peer_pid
from pykbroker.edges.metadata_store.session import Session
from pykbroker.log import get_logger
from pykbroker.ports import ListenError, StoreUnavailable, UnusableStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from anyio.abc import TaskGroup

    from pykbroker.edges.metadata_store.processes import Process
    from pykbroker.ports import Clock, MetadataStore, Network, Peer, Server, Transport

logger = get_logger("pykbroker.edges.metadata_store.served")

SILENCE_MS = 30_000
"""A client that says nothing for so long is not there: the living ask for a sign every second."""


@asynccontextmanager
async def serve_store(
    store: MetadataStore,
    clock: Clock,
    *addresses: str,
    network: Network | None = None,
    use_pidfd: bool = True,
) -> AsyncIterator[StoreServer]:
    """Serve at ``unix:/path`` and ``tcp://host:port`` until the block ends; port 0 is a free one.

    Raises UnusableStore. The store stays its owner's to close, after this.
    """
    failure: UnusableStore | None = None
    async with anyio.create_task_group() as tasks:
        server = StoreServer(store, clock, tasks, use_pidfd=use_pidfd)
        try:
            for address in addresses:
                await server.listen(address, network)
            tasks.start_soon(server.drop_silent_clients)
            yield server
        except UnusableStore as error:
            failure = error
        finally:
            server.close()
            tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


class StoreServer:
    """``connect`` is a ``ports.ConnectionFactory``: a listener of any kind can serve the store."""

    def __init__(
        self, store: MetadataStore, clock: Clock, tasks: TaskGroup, *, use_pidfd: bool = True
    ) -> None:
        self.store = store
        self.clock = clock
        self._tasks = tasks
        self._sessions: set[Session] = set()
        self._processes = Processes(clock, self._process_gone, use_pidfd=use_pidfd)
        self._local: list[LocalListener] = []
        self._remote: list[Server] = []
        self._addresses: list[str] = []
        self._closed = False

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it is served, in the order in which that was asked for."""
        return tuple(self._addresses)

    def connect(self, transport: Transport, peer: Peer) -> Session:
        """A client on another machine, or of another listener: only time ends its leases."""
        return self._admit(Session(self, transport, None))

    async def revoke_leases_of(self, pid: int) -> None:
        """For who knows that this process has ended: its leases are gone when this returns."""
        process = self._processes.gone(pid)
        if process is not None:
            await self._revoke(process)

    async def listen(self, address: str, network: Network | None = None) -> None:
        """Serve here too. Raises UnusableStore."""
        parsed = parse_address(address)
        if isinstance(parsed, UnixAddress):
            listener = LocalListener(parsed.path, self._connect_local)
            self._local.append(listener)
            await listener.start()
        else:
            parsed = await self._listen_remote(parsed, network)
        self._addresses.append(str(parsed))
        logger.info("the metadata store is served", address=str(parsed))

    async def drop_silent_clients(self) -> None:
        """Runs as long as the store is served."""
        while True:
            await self.clock.sleep(SILENCE_MS // 3)
            heard_ms = self.clock.monotonic_ms() - SILENCE_MS
            for session in list(self._sessions):
                if session.heard_ms < heard_ms:
                    session.end("nothing was heard of it")

    def close(self) -> None:
        self._closed = True
        for listener in self._local:
            listener.close()
        for server in self._remote:
            server.stop_accepting()
        for session in list(self._sessions):
            session.end("the store is no longer served")
        self._processes.close()

    # Sessions call these.

    def spawn(self, function: Callable[..., Coroutine[Any, Any, None]], *arguments: object) -> None:
        self._tasks.start_soon(function, *arguments)

    def left(self, session: Session) -> None:
        self._sessions.discard(session)
        if session.process is not None and not self._closed:
            self._processes.disconnected(session.process)

    def _connect_local(self, link: LocalLink) -> Session:
        pid = peer_pid(link.socket)
        process = None if pid is None else self._processes.connected(pid)
        return self._admit(Session(self, link, process))

    def _admit(self, session: Session) -> Session:
        self._sessions.add(session)
        if self._closed:
            session.end("the store is no longer served")
        return session

    def _process_gone(self, process: Process) -> None:
        if process.leases and not self._closed:
            logger.info("a process is gone, its leases end", pid=process.pid)
            self._tasks.start_soon(self._revoke, process)

    async def _revoke(self, process: Process) -> None:
        while process.leases:
            lease = process.leases.pop()
            try:
                await self.store.revoke_lease(lease)
            except StoreUnavailable as error:
                # Its time ends it.
                logger.warning("a lease was not revoked", lease=lease, reason=str(error))

    async def _listen_remote(self, address: TcpAddress, network: Network | None) -> TcpAddress:
        if network is None:
            from pykbroker.edges.network import TcpNetwork

            network = TcpNetwork()
        try:
            bound = network.bind(address.host, address.port)
        except ListenError as error:
            raise UnusableStore(str(error)) from error
        self._remote.append(await network.serve(bound, "STORE", "PLAINTEXT", self.connect))
        return TcpAddress(address.host, bound.port)
