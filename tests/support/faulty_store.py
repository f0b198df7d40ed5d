"""A metadata store that fails on command, and one process of a small cluster around it."""

from __future__ import annotations

import random
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio

from pykbroker.config.settings import DynamicSettings, Settings
from pykbroker.ports import StoreUnavailable
from pykbroker.runtime.controller import Controller
from pykbroker.runtime.controller_client import ControllerClient
from pykbroker.runtime.membership import Announcement, Membership
from pykbroker.runtime.metadata import Images, MetadataFollower
from pykbroker.state.types import NodeId
from tests.support.cluster_images import PLAINTEXT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from pykbroker.edges.metadata_store.memory import MemoryStore
    from pykbroker.ports import Compare, Delete, Put, StoreSnapshot, Transacted, Watch
    from tests.support.manual_clock import ManualClock
    from wire.schema import Request


class FaultyStore:
    """Passes everything on, except what the test has asked to go wrong.

    ``transactions``: what happens to the next ones, in order: "lost" (never arrives), "late"
    (arrives when ``deliver`` is called), "silent" (takes effect, the answer is lost), "held" (as
    late, but without an answer until then). ``down``: nothing is answered at all.
    """

    def __init__(self, inner: MemoryStore) -> None:
        self.inner = inner
        self.max_operations = inner.max_operations
        self.transactions: deque[str] = deque()
        self.down = False
        self.written: list[list[str]] = []
        self._late: list[Callable[[], Awaitable[Transacted]]] = []
        self._delivered = anyio.Event()

    async def deliver(self) -> list[Transacted]:
        late, self._late = self._late, []
        results = [await transaction() for transaction in late]
        delivered, self._delivered = self._delivered, anyio.Event()
        delivered.set()
        return results

    async def transact(self, compares: list[Compare], operations: list[Put | Delete]) -> Transacted:
        self._check()
        compares, operations = list(compares), list(operations)
        fault = self.transactions.popleft() if self.transactions else ""
        if fault in ("late", "held"):
            self._late.append(lambda: self.inner.transact(compares, operations))
            if fault == "held":
                await self._delivered.wait()
            raise StoreUnavailable(fault)
        if fault == "lost":
            raise StoreUnavailable(fault)
        result = await self.inner.transact(compares, operations)
        if result.succeeded:
            self.written.append([o.key for o in operations])
        if fault == "silent":
            raise StoreUnavailable(fault)
        return result

    async def read(self, prefix: str) -> StoreSnapshot:
        self._check()
        return await self.inner.read(prefix)

    async def grant_lease(self, ttl_ms: int) -> int:
        self._check()
        return await self.inner.grant_lease(ttl_ms)

    async def renew_lease(self, lease: int) -> bool:
        self._check()
        return await self.inner.renew_lease(lease)

    async def revoke_lease(self, lease: int) -> None:
        self._check()
        await self.inner.revoke_lease(lease)

    def watch(self, prefix: str, from_revision: int) -> AbstractAsyncContextManager[Watch]:
        self._check()
        return self.inner.watch(prefix, from_revision)

    async def close(self) -> None:
        await self.inner.close()

    def _check(self) -> None:
        if self.down:
            raise StoreUnavailable("down")


class Process:
    """What one broker process has of the cluster's metadata."""

    def __init__(
        self,
        node: int,
        store: FaultyStore,
        clock: ManualClock,
        *,
        settings: dict[str, str] | None = None,
        cluster_id: str = "cluster",
        clean_epoch: int = -1,
        incarnation: int = 0,
    ) -> None:
        self.store = store
        self.clock = clock
        self.settings = DynamicSettings(Settings({"node.id": str(node)} | (settings or {})))
        self.images = Images()
        self.follower = MetadataFollower(store, self.images, clock)
        rng = random.Random(node * 1000 + incarnation)
        self.controller = Controller(NodeId(node), store, self.follower, self.settings, clock, rng)
        self.client = ControllerClient(self.controller, clock)
        said = Announcement(
            NodeId(node), cluster_id, rng.randbytes(16), (PLAINTEXT,), clean_epoch=clean_epoch
        )
        self.membership = Membership(
            said, store, self.follower, self.controller, self.client, self.settings, clock
        )
        self.scope = anyio.CancelScope()
        self.client.call = self._call  # type: ignore[method-assign]
        self.peers: list[Process] = [self]

    async def _call(self, request: Request, **options: Any) -> Any:
        """Ask whichever of the processes is the controller, as over the network."""
        while True:
            for peer in self.peers:
                if peer.controller.is_active and not peer.scope.cancel_called:
                    response = await ControllerClient.call(peer.client, request, **options)
                    await self.images.wait_for(peer.images.current.revision)
                    return response
            if len(self.peers) == 1:
                return await ControllerClient.call(self.client, request, **options)
            await anyio.sleep(0)

    async def run(self) -> None:
        """Until killed."""
        with self.scope:
            while True:
                try:
                    await self.follower.load()
                    break
                except StoreUnavailable:
                    await self.clock.sleep(250)
            await self.membership.run()

    def kill(self) -> None:
        self.scope.cancel()

    @property
    def is_unfenced(self) -> bool:
        return self.membership.unfenced.is_set()


@asynccontextmanager
async def running(*processes: Process) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        for process in processes:
            process.peers = list(processes)
            tasks.start_soon(process.run)
        yield
        tasks.cancel_scope.cancel()


async def until(condition: Callable[[], object]) -> None:
    """Let the others run until it holds. Time stands still meanwhile."""
    with anyio.fail_after(60):
        while not condition():
            await anyio.sleep(0)


async def idle() -> None:
    """Long enough for everybody to have done what can be done without time passing."""
    for _ in range(50):
        await anyio.sleep(0)
