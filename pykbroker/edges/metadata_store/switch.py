"""One port for Kafka and for the metadata store: the first bytes say which of them it is.

The store's preface read as the size of a Kafka request is 1.3 GB, which no request has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.edges.metadata_store.frames import MAGIC

if TYPE_CHECKING:
    from pykbroker.ports import ConnectionFactory, ConnectionProtocol, Peer, Transport


def store_or(store: ConnectionFactory, other: ConnectionFactory) -> ConnectionFactory:
    """Connections that begin as the store's clients do go to ``store``, all others to ``other``."""

    def connect(transport: Transport, peer: Peer) -> ConnectionProtocol:
        return Undecided(transport, peer, store, other)

    return connect


class Undecided:
    """A connection until its fourth byte, and from then on what it turned out to be."""

    def __init__(
        self, transport: Transport, peer: Peer, store: ConnectionFactory, other: ConnectionFactory
    ) -> None:
        self._transport = transport
        self._peer = peer
        self._store = store
        self._other = other
        self._buffer = bytearray(len(MAGIC))
        self._filled = 0
        self._chosen: ConnectionProtocol | None = None

    def get_buffer(self, size_hint: int) -> memoryview:
        if self._chosen is not None:
            return self._chosen.get_buffer(size_hint)
        return memoryview(self._buffer)[self._filled :]

    def buffer_updated(self, size: int) -> None:
        if self._chosen is not None:
            self._chosen.buffer_updated(size)
            return
        self._filled += size
        begun = bytes(self._buffer[: self._filled])
        if not MAGIC.startswith(begun):
            self._choose(self._other, begun)
        elif begun == MAGIC:
            self._choose(self._store, begun)

    def writable(self) -> None:
        if self._chosen is not None:
            self._chosen.writable()

    def closed(self) -> None:
        if self._chosen is not None:
            self._chosen.closed()

    def _choose(self, factory: ConnectionFactory, begun: bytes) -> None:
        chosen = self._chosen = factory(self._transport, self._peer)
        while begun:
            buffer = chosen.get_buffer(len(begun))
            size = min(len(begun), len(buffer))
            buffer[:size] = begun[:size]
            chosen.buffer_updated(size)
            begun = begun[size:]
