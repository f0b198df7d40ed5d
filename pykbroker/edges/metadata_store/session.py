"""One client of a served store, as the server sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from pykbroker.edges.metadata_store import bodies, frames
from pykbroker.edges.metadata_store.conversation import Conversation, Ended
from pykbroker.log import get_logger
from pykbroker.ports import StoreUnavailable, WatchCompacted
from wire.errors import DecodeError
from wire.tuples import Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from pykbroker.edges.metadata_store.frames import Message
    from pykbroker.edges.metadata_store.processes import Process
    from pykbroker.ports import Clock, Compare, Delete, MetadataStore, Put, Transport

logger = get_logger("pykbroker.edges.metadata_store.session")

REQUEST_LIMIT_BYTES = 64 * 1024 * 1024
OUTSTANDING_LIMIT = 1024
"""Requests and watches of one client; ours stay far below."""
MAX_TTL_MS = 2**31 - 1
NOTHING = "\0"
"""A prefix under which no key is: reading it gives the revision alone."""


class Owner(Protocol):
    """What a session needs of its server."""

    store: MetadataStore
    clock: Clock

    def spawn(
        self, function: Callable[..., Coroutine[Any, Any, None]], *arguments: object
    ) -> None: ...

    def left(self, session: Session) -> None: ...


class Session(Conversation):
    """``process`` is who is at the other end of a local socket, where that is known."""

    def __init__(self, owner: Owner, transport: Transport, process: Process | None) -> None:
        super().__init__(transport, owner.clock, REQUEST_LIMIT_BYTES)
        self.process = process
        self._owner = owner
        self._store = owner.store
        self._outstanding = 0
        self._watches: dict[int, anyio.CancelScope] = {}
        self._welcomed = False

    def buffer_updated(self, size: int) -> None:
        super().buffer_updated(size)
        if self._reader.greeted and not self._welcomed and not self.ended.is_set():
            self._welcomed = True
            self._begin(0, self._welcome)

    def heard(self, message: Message) -> None:
        kind, id_, payload = message
        if kind == frames.PING:
            self.say(frames.PONG, id_)
        elif kind == frames.RENEW:
            self._begin(id_, self._renew, bodies.read_number(payload))
        elif kind == frames.READ:
            self._begin(id_, self._read, bodies.read_text(payload))
        elif kind == frames.TRANSACT:
            self._begin(id_, self._transact, *bodies.read_transaction(payload))
        elif kind == frames.GRANT:
            self._begin(id_, self._grant, bodies.read_number(payload))
        elif kind == frames.REVOKE:
            self._begin(id_, self._revoke, bodies.read_number(payload))
        elif kind == frames.WATCH:
            self._begin(id_, self._watch, *bodies.read_watch(payload))
        elif kind == frames.UNWATCH:
            scope = self._watches.get(id_)
            if scope is not None:
                scope.cancel()
        else:
            raise DecodeError(f"unknown message {kind}")

    def refused(self, error: DecodeError) -> None:
        logger.warning("a client of the metadata store is dropped", reason=str(error))
        if isinstance(error, frames.OtherVersion):
            # It learns our version before it is shut out.
            self.greet()
            self._transport.close()
        self.end(str(error))

    def over(self) -> None:
        for scope in self._watches.values():
            scope.cancel()
        self._owner.left(self)

    def _begin(
        self, id_: int, request: Callable[..., Coroutine[Any, Any, None]], *arguments: object
    ) -> None:
        self._outstanding += 1
        if self._outstanding > OUTSTANDING_LIMIT:
            raise DecodeError(f"more than {OUTSTANDING_LIMIT} requests at once")
        self._owner.spawn(self._answer, id_, request, *arguments)

    async def _answer(
        self, id_: int, request: Callable[..., Coroutine[Any, Any, None]], *arguments: object
    ) -> None:
        try:
            await request(id_, *arguments)
        except StoreUnavailable as error:
            self._fail(id_, bodies.UNAVAILABLE, error)
        except ValueError as error:
            self._fail(id_, bodies.MISUSED, error)
        except WatchCompacted as error:
            self._fail(id_, bodies.COMPACTED, error)
        except Ended:
            pass  # nobody is there to hear it
        finally:
            self._outstanding -= 1

    def _fail(self, id_: int, reason: int, error: Exception) -> None:
        self.say(frames.FAILED, id_, bodies.write_failure(reason, str(error)))

    async def _welcome(self, id_: int) -> None:
        revision = (await self._store.read(NOTHING)).revision
        welcome = bodies.Welcome(self._store.max_operations, revision)
        self.say(frames.WELCOME, id_, bodies.write_welcome(welcome))

    async def _read(self, id_: int, prefix: str) -> None:
        snapshot = await self._store.read(prefix)
        await self.tell(frames.ANSWER, id_, bodies.write_snapshot(snapshot))

    async def _transact(
        self, id_: int, compares: list[Compare], operations: list[Put | Delete]
    ) -> None:
        result = await self._store.transact(compares, operations)
        self.say(frames.ANSWER, id_, bodies.write_transacted(result))

    async def _grant(self, id_: int, ttl_ms: int) -> None:
        if not 0 < ttl_ms <= MAX_TTL_MS:
            raise ValueError(f"a lease of {ttl_ms} ms")
        lease = await self._store.grant_lease(ttl_ms)
        process = self.process
        if process is not None:
            process.leases.add(lease)
            if process.is_gone:
                await self._store.revoke_lease(lease)
        self.say(frames.ANSWER, id_, bodies.write_number(lease))

    async def _renew(self, id_: int, lease: int) -> None:
        renewed = await self._store.renew_lease(lease)
        if not renewed and self.process is not None:
            self.process.leases.discard(lease)
        self.say(frames.ANSWER, id_, bodies.write_number(renewed))

    async def _revoke(self, id_: int, lease: int) -> None:
        await self._store.revoke_lease(lease)
        if self.process is not None:
            self.process.leases.discard(lease)
        self.say(frames.ANSWER, id_)

    async def _watch(self, id_: int, prefix: str, from_revision: int) -> None:
        if id_ in self._watches:
            self.refused(DecodeError(f"watch {id_} is there already"))
            return
        with anyio.CancelScope() as scope:
            self._watches[id_] = scope
            try:
                async with self._store.watch(prefix, from_revision) as watch:
                    async for update in watch:
                        await self.tell(frames.UPDATE, id_, bodies.write_update(update))
            finally:
                del self._watches[id_]
