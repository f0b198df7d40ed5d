"""One connection to a served store, as its client sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from pykbroker.edges.metadata_store import bodies, frames
from pykbroker.edges.metadata_store.buffered_watch import BufferedWatch
from pykbroker.edges.metadata_store.conversation import Conversation, Ended
from pykbroker.ports import StoreUnavailable, WatchCompacted
from wire.errors import DecodeError

if TYPE_CHECKING:
    from pykbroker.edges.metadata_store.frames import Message
    from pykbroker.ports import Clock, Transport

ANSWER_LIMIT_BYTES = 1024 * 1024 * 1024


class Reply:
    """What becomes of one request."""

    __slots__ = ("done", "error", "payload")

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.payload = b""
        self.error: Exception | None = None

    def fail(self, error: Exception) -> None:
        self.error = error
        self.done.set()


class RemoteLink(Conversation):
    """Greets at once; ``welcome`` is there when ``welcomed`` is set."""

    def __init__(self, transport: Transport, clock: Clock) -> None:
        super().__init__(transport, clock, ANSWER_LIMIT_BYTES)
        self.welcomed = anyio.Event()
        """Also set when the connection has ended instead."""
        self.welcome = bodies.Welcome(0, 0)
        self.foreign = ""
        """What is wrong, when the answer is not this version of this protocol."""
        self._next_id = 0
        self._replies: dict[int, Reply] = {}
        self._watches: dict[int, BufferedWatch] = {}

    def heard(self, message: Message) -> None:
        kind, id_, payload = message
        if kind == frames.ANSWER:
            reply = self._replies.pop(id_, None)
            if reply is not None:
                reply.payload = payload
                reply.done.set()
        elif kind == frames.UPDATE:
            watch = self._watches.get(id_)
            if watch is not None:
                watch.add(bodies.read_update(payload))
        elif kind == frames.FAILED:
            self._failed(id_, *bodies.read_failure(payload))
        elif kind == frames.WELCOME:
            self.welcome = bodies.read_welcome(payload)
            self.welcomed.set()
        elif kind != frames.PONG:
            raise DecodeError(f"unknown message {kind}")

    def refused(self, error: DecodeError) -> None:
        if not self._reader.greeted:
            self.foreign = str(error)
        self.end(str(error))

    def over(self) -> None:
        self.welcomed.set()
        error = StoreUnavailable(f"the link to the metadata store is gone: {self.reason}")
        replies, self._replies = self._replies, {}
        for reply in replies.values():
            reply.fail(error)
        for watch in self._watches.values():
            watch.fail(error)

    async def ask(self, kind: int, payload: bytes) -> bytes:
        """The answer. Raises StoreUnavailable when the link ends first; ValueError for misuse."""
        id_ = self._new_id()
        reply = self._replies[id_] = Reply()
        try:
            await self.tell(kind, id_, payload)
            await reply.done.wait()
        except Ended:
            raise StoreUnavailable(f"the link to the metadata store ended: {self.reason}") from None
        finally:
            self._replies.pop(id_, None)
        if reply.error is not None:
            raise reply.error
        return reply.payload

    def ping(self) -> None:
        self.say(frames.PING, self._new_id())

    def watch(self, prefix: str, from_revision: int) -> tuple[int, BufferedWatch]:
        """Its number, for ``unwatch``, and the watch."""
        id_ = self._new_id()
        watch = self._watches[id_] = BufferedWatch()
        self.say(frames.WATCH, id_, bodies.write_watch(prefix, from_revision))
        if self.ended.is_set():
            watch.fail(StoreUnavailable(f"the link to the metadata store ended: {self.reason}"))
        return id_, watch

    def unwatch(self, id_: int) -> None:
        del self._watches[id_]
        self.say(frames.UNWATCH, id_)

    def _failed(self, id_: int, reason: int, text: str) -> None:
        error: Exception
        if reason == bodies.COMPACTED:
            error = WatchCompacted(text)
        elif reason == bodies.MISUSED:
            error = ValueError(text)
        else:
            error = StoreUnavailable(text)
        reply, watch = self._replies.pop(id_, None), self._watches.get(id_)
        if reply is not None:
            reply.fail(error)
        elif watch is not None:
            watch.fail(error)
        elif id_ == 0:
            self.end(f"the store does not answer: {text}")

    def _new_id(self) -> int:
        while True:
            self._next_id = self._next_id % 0xFFFFFFFF + 1
            if self._next_id not in self._replies and self._next_id not in self._watches:
                return self._next_id
