"""Unix domain sockets: the transport between the processes of one machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from typing import TYPE_CHECKING, cast

from pykbroker.edges.listener import (
    BACKLOG,
    UNSENT_HIGH_BYTES,
    UNSENT_LOW_BYTES,
    Link,
)
from pykbroker.edges.metadata_store.addresses import short_path
from pykbroker.ports import UnusableStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykbroker.ports import ConnectionProtocol, Transport


class LocalLink(Link):
    """A link that can say which socket it is."""

    __slots__ = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transport is one in all but its base class.
        transport = self._transport = cast("asyncio.Transport", transport)
        transport.set_write_buffer_limits(UNSENT_HIGH_BYTES, UNSENT_LOW_BYTES)
        self._joined(self._open(self, "", 0))

    @property
    def socket(self) -> socket.socket:
        assert self._transport is not None
        return cast("socket.socket", self._transport.get_extra_info("socket"))


class LocalListener:
    """A socket in the file system, for its owner's processes alone, removed when closed."""

    def __init__(self, path: str, factory: Callable[[LocalLink], ConnectionProtocol]) -> None:
        """Raises UnusableStore."""
        self._path = path
        self._factory = factory
        self._links: set[Link] = set()
        self._server: asyncio.Server | None = None
        self._socket = _listen(path)
        self._inode = os.stat(path).st_ino

    async def start(self) -> None:
        self._server = await asyncio.get_running_loop().create_unix_server(
            lambda: LocalLink(self._open, self._links), sock=self._socket, backlog=BACKLOG
        )

    def close(self) -> None:
        """Connections are aborted."""
        if self._server is not None:
            self._server.close()
        self._socket.close()
        for link in list(self._links):
            link.abort()
        with contextlib.suppress(FileNotFoundError):
            if os.stat(self._path).st_ino == self._inode:
                os.unlink(self._path)

    def _open(self, link: Link, host: str, port: int) -> ConnectionProtocol:
        return self._factory(cast("LocalLink", link))


async def connect_local(
    path: str, factory: Callable[[Transport], ConnectionProtocol], links: set[Link]
) -> None:
    """Drive what ``factory`` makes once the connection stands. Raises OSError."""
    with short_path(path) as name:
        await asyncio.get_running_loop().create_unix_connection(
            lambda: LocalLink(lambda link, _host, _port: factory(link), links), name
        )


def _listen(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with short_path(path) as name:
            _remove_stale(path, name)
            sock.bind(name)
            os.chmod(name, 0o600)  # nobody can connect before it listens
            sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise UnusableStore(f"cannot listen on {path}: {error.strerror or error}") from error
    except UnusableStore:
        sock.close()
        raise
    return sock


def _remove_stale(path: str, name: str) -> None:
    """A socket that its owner left behind when it was killed."""
    try:
        mode = os.stat(name).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise UnusableStore(f"{path} is in the way: it is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(name)
        except ConnectionRefusedError:
            os.unlink(name)
            return
        except BlockingIOError:
            pass  # somebody listens and is busy
    raise UnusableStore(f"another process serves a metadata store at {path}")
