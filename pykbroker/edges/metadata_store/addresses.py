"""Where a store is served: ``unix:/path`` on this machine, ``tcp://host:port`` for others."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pykbroker.ports import UnusableStore
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

SOCKET_NAME = "store.sock"
PATH_LIMIT_BYTES = 100
"""A socket's path has room for 107 bytes on Linux and 103 on macOS."""


class UnixAddress(NamedTuple):
    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


class TcpAddress(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{self.port}"


def socket_address(cluster_directory: str) -> str:
    """Where the store of a cluster on this machine is served."""
    return f"unix:{cluster_directory}/{SOCKET_NAME}"


def parse_address(text: str) -> UnixAddress | TcpAddress:
    """Raises UnusableStore."""
    scheme, colon, rest = text.partition(":")
    if scheme == "unix" and rest.startswith("/"):
        return UnixAddress(rest)
    host, colon, port = rest.removeprefix("//").rpartition(":")
    if scheme == "tcp" and rest.startswith("//") and colon and port.isascii() and port.isdigit():
        number = int(port)
        host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        if host and number < 65536:
            return TcpAddress(host, number)
    raise UnusableStore(f"{text}: not unix:/path or tcp://host:port")


@contextmanager
def short_path(path: str) -> Iterator[str]:
    """A name for ``path`` that fits into a socket's address, good while the block lasts.

    A path that is too long is reached through a link of a temporary directory.
    """
    if len(os.fsencode(path)) <= PATH_LIMIT_BYTES:
        yield path
        return
    import tempfile

    with tempfile.TemporaryDirectory(prefix="pykbroker-") as temporary:
        link = os.path.join(temporary, "d")
        os.symlink(os.path.dirname(path), link)
        yield os.path.join(link, os.path.basename(path))
