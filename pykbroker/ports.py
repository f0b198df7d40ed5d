"""The few interfaces through which the broker reaches the world. Edges implement them.

Everything that could differ between two runs comes through here: time, randomness, files, other
processes. A simulation implements the same interfaces with a virtual clock and one seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from pykbroker.state.seams import KeyValue, Random, StoreEvent, StoreSnapshot, StoreUpdate
from wire.tuples import NamedTuple, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from wire.schema import Buffer

__all__ = [
    "Bound",
    "Clock",
    "Compare",
    "ConnectionFactory",
    "ConnectionProtocol",
    "Delete",
    "Disk",
    "File",
    "FileLock",
    "KeyValue",
    "ListenError",
    "MetadataStore",
    "Network",
    "Page",
    "Peer",
    "Put",
    "Random",
    "Server",
    "StoreEvent",
    "StoreSnapshot",
    "StoreUnavailable",
    "StoreUpdate",
    "TimerHandle",
    "Transacted",
    "Transport",
    "UnusableStore",
    "Watch",
    "WatchCompacted",
    "Workers",
]

T = TypeVar("T")


class TimerHandle(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    """Wall time is for timestamps that clients see; deadlines count on the monotonic clock."""

    def wall_ms(self) -> int: ...

    def monotonic_ms(self) -> int: ...

    def monotonic_ns(self) -> int:
        """For measuring how long something took; the same clock as ``monotonic_ms``."""
        ...

    def call_at(self, when_ms: int, callback: Callable[[], None]) -> TimerHandle:
        """Call once at or after ``when_ms`` on the monotonic clock, on the loop."""
        ...

    async def sleep(self, delay_ms: int) -> None: ...


class Workers(Protocol):
    """Where blocking work goes (fsync, cleaning, compression). Inline in simulations."""

    async def run(self, function: Callable[..., T], *args: Any) -> T: ...


class File(Protocol):
    """An open file. ``size`` is what has been written through this handle or was there."""

    @property
    def size(self) -> int: ...

    def append(self, buffers: Sequence[Buffer]) -> None:
        """Write all of them at the end, or raise OSError having restored the old size."""
        ...

    def pread(self, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes; fewer only at the end of the file."""
        ...

    def pwrite(self, offset: int, data: Buffer) -> None: ...

    def truncate(self, size: int) -> None: ...

    def sync(self) -> None:
        """Durable when this returns. An OSError from here is final: never retry and go on."""
        ...

    def close(self) -> None: ...


class FileLock(Protocol):
    def release(self) -> None: ...


class Disk(Protocol):
    """A file system. Paths are absolute strings; every method is synchronous."""

    def open(self, path: str, *, create: bool = False) -> File: ...

    def exists(self, path: str) -> bool: ...

    def size(self, path: str) -> int: ...

    def listdir(self, path: str) -> list[str]:
        """Names, sorted."""
        ...

    def mkdir(self, path: str) -> bool:
        """With parents; existing is fine. Whether it was not there."""
        ...

    def rename(self, source: str, target: str) -> None: ...

    def unlink(self, path: str) -> None: ...

    def rmtree(self, path: str) -> None: ...

    def sync_dir(self, path: str) -> None: ...

    def read_bytes(self, path: str) -> bytes: ...

    def write_atomic(self, path: str, data: bytes) -> None:
        """Temporary file, fsync, rename, fsync of the directory."""
        ...

    def space(self, path: str) -> tuple[int, int]:
        """(total, usable) bytes of the volume; (-1, -1) where that has no meaning."""
        ...

    def is_directory(self, path: str) -> bool: ...

    def mtime_ms(self, path: str) -> int: ...

    def set_mtime_ms(self, path: str, mtime_ms: int) -> None: ...

    def lock(self, path: str) -> FileLock:
        """Held until released or the process dies; BlockingIOError while another holds it."""
        ...


class Compare(NamedTuple):
    """Holds when the key's mod_revision is this one; 0 means the key is absent."""

    key: str
    mod_revision: int


class Put(NamedTuple):
    key: str
    value: bytes
    lease: int = 0


class Delete(NamedTuple):
    key: str


class Transacted(NamedTuple):
    """``revision`` is the store's after the transaction, or as seen when it was refused."""

    succeeded: bool
    revision: int


class StoreUnavailable(Exception):
    """The store did not answer. Whether a transaction took effect is unknown."""


class UnusableStore(Exception):
    """A store that cannot be opened; nothing in it was changed. The message is one line."""


class WatchCompacted(Exception):
    """The revisions asked for are gone: read everything again."""


class Watch(Protocol):
    """Iterates StoreUpdates in the order of revisions, none missing, none twice."""

    def __aiter__(self) -> Watch: ...

    async def __anext__(self) -> StoreUpdate: ...


class MetadataStore(Protocol):
    """Keys and values with transactions, leases and watches: etcd's model, cut to the need.

    The first revision is 1; every transaction that changes something makes the next one.
    """

    @property
    def max_operations(self) -> int:
        """How many operations, and how many compares, one transaction may have."""
        ...

    async def read(self, prefix: str) -> StoreSnapshot:
        """Linearizable; sorted by key."""
        ...

    async def transact(
        self, compares: Iterable[Compare], operations: Iterable[Put | Delete]
    ) -> Transacted:
        """Apply all operations in one revision if every compare holds and every lease that is
        put under lives; otherwise nothing. A key may stand in one operation only (ValueError).
        Deleting what is absent is no change."""
        ...

    async def grant_lease(self, ttl_ms: int) -> int: ...

    async def renew_lease(self, lease: int) -> bool:
        """False when the lease is gone; its keys are then deleted or about to be."""
        ...

    async def revoke_lease(self, lease: int) -> None: ...

    def watch(self, prefix: str, from_revision: int) -> AbstractAsyncContextManager[Watch]:
        """Everything from ``from_revision`` on, that one included."""
        ...

    async def close(self) -> None: ...


class Transport(Protocol):
    """The writing half of a client connection, as the sans-I/O connection sees it."""

    def write(self, buffers: Sequence[Buffer]) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None:
        """After what was written has left."""
        ...

    def abort(self) -> None: ...

    @property
    def unsent(self) -> int:
        """Bytes written but not yet taken by the kernel."""
        ...


class ConnectionProtocol(Protocol):
    """What the listener drives. None of these may block or raise."""

    def get_buffer(self, size_hint: int) -> memoryview: ...

    def buffer_updated(self, size: int) -> None: ...

    def writable(self) -> None:
        """The transport's unsent bytes fell below its low-water mark."""
        ...

    def closed(self) -> None: ...


class Peer(NamedTuple):
    """Where a connection came in and from whom."""

    listener: str
    security_protocol: str
    host: str
    port: int


ConnectionFactory = Callable[[Transport, Peer], ConnectionProtocol]


class ListenError(Exception):
    """A listener cannot be opened; the message is one line for a person."""


class Bound(Protocol):
    """An address that is taken. Who connects to it waits until it is served."""

    @property
    def port(self) -> int: ...

    def close(self) -> None: ...


class Server(Protocol):
    """A listener that accepts, and the connections that came in through it."""

    @property
    def name(self) -> str: ...

    @property
    def port(self) -> int: ...

    def stop_accepting(self) -> None: ...

    def close_connections(self) -> None:
        """What was answered still leaves; nothing more is read."""
        ...

    def abort_connections(self) -> None: ...


class Network(Protocol):
    """How connections come in, and go out to other brokers."""

    def bind(self, host: str, port: int) -> Bound:
        """Port 0 picks a free one. Raises ListenError."""
        ...

    async def serve(
        self, bound: Bound, name: str, security_protocol: str, factory: ConnectionFactory
    ) -> Server: ...

    async def connect(
        self, host: str, port: int, factory: Callable[[Transport], ConnectionProtocol]
    ) -> None:
        """Drive what ``factory`` makes once the connection stands. Raises OSError.

        How long it may take is for the caller to bound, by cancelling."""
        ...


class Page(NamedTuple):
    """What an HTTP endpoint answers with."""

    status: int
    content_type: str
    body: bytes
