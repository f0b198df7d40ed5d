"""Where a broker's metadata is kept: which store this process opens, or whose it uses.

A store is opened by one process. Which one follows from what was asked for, the first that
applies:

- ``--metadata``: etcd, or the store that the process at that address serves;
- ``controller.quorum.voters``: the first voter opens it, and serves it on its controller
  listener; the same for the one server of ``controller.quorum.bootstrap.servers``;
- ``--memory``: this process, for itself alone;
- who serves the socket of the cluster directory; if nobody does, this process.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from pykbroker.cluster_dir import SOCKET_NAME, STORE_NAME, check_directory
from pykbroker.config.listeners import CONTROLLER_ROLE, format_address
from pykbroker.log import get_logger
from pykbroker.ports import UnusableStore

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from pykbroker.config.load import Loaded
    from pykbroker.config.rules import Voter
    from pykbroker.config.settings import Settings
    from pykbroker.edges.metadata_store.served import StoreServer
    from pykbroker.ports import Clock, ConnectionFactory, MetadataStore, Workers

logger = get_logger("pykbroker")


class MetadataSource:
    """``open`` gives the store. Exactly one of the others is set, or none: a store in memory."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        workers: Workers,
        *,
        address: str | None = None,
        directory: str | None = None,
        serves_voters: bool = False,
    ) -> None:
        self.address = address
        """Of etcd, or of the process that serves the store."""
        self.directory = directory
        """Where this process keeps the store."""
        self._serves_voters = serves_voters
        self._settings = settings
        self._clock = clock
        self._workers = workers
        self._ready = anyio.Event()
        self._server: StoreServer | None = None

    def open(self) -> AbstractAsyncContextManager[MetadataStore]:
        """Raises UnusableStore."""
        if self.address is not None:
            if self.address.startswith("etcd://"):
                return self._etcd(self.address)
            return self._remote(self.address)
        return self._own()

    def beside(self, factory: ConnectionFactory) -> ConnectionFactory:
        """What a controller listener serves: Kafka's protocol, and the store if we have it."""
        if self._server is None:
            return factory
        from pykbroker.edges.metadata_store.switch import store_or

        return store_or(self._server.connect, factory)

    def serves(self) -> None:
        """The broker is ready: now it costs nobody's time to offer the store to others."""
        self._ready.set()

    def _etcd(self, url: str) -> AbstractAsyncContextManager[MetadataStore]:
        from pykbroker.edges.metadata_store.etcd import etcd_options, open_etcd_store

        return open_etcd_store(etcd_options(url, self._settings), self._clock)

    def _remote(self, address: str) -> AbstractAsyncContextManager[MetadataStore]:
        from pykbroker.edges.metadata_store.remote import connect_store

        return connect_store(
            address, self._clock, source_host=self._settings.str("pykbroker.source.host")
        )

    @asynccontextmanager
    async def _own(self) -> AsyncIterator[MetadataStore]:
        async with (
            open_store(self.directory, self._clock, self._workers) as store,
            anyio.create_task_group() as tasks,
        ):
            if self._serves_voters:
                await tasks.start(self._serve_voters, store)
            elif self.directory is not None:
                tasks.start_soon(self._serve_directory, store, self.directory)
            yield store
            tasks.cancel_scope.cancel()

    async def _serve_voters(
        self, store: MetadataStore, *, task_status: anyio.abc.TaskStatus[None]
    ) -> None:
        from pykbroker.edges.metadata_store.served import serve_store

        async with serve_store(store, self._clock) as self._server:
            task_status.started()
            await anyio.sleep_forever()

    async def _serve_directory(self, store: MetadataStore, directory: str) -> None:
        """So that another broker can be started on the same cluster directory."""
        await self._ready.wait()
        from pykbroker.edges.metadata_store.addresses import socket_address
        from pykbroker.edges.metadata_store.served import serve_store

        try:
            async with serve_store(store, self._clock, socket_address(directory)):
                await anyio.sleep_forever()
        except UnusableStore as error:
            logger.warning("no other broker can join this directory", reason=str(error))


def metadata_source(
    loaded: Loaded,
    options: argparse.Namespace,
    log_dirs: Sequence[str],
    clock: Clock,
    workers: Workers,
) -> MetadataSource:
    """Raises DirectoryRefused, UnusableStore."""
    settings = loaded.settings
    if options.metadata is not None:
        return MetadataSource(settings, clock, workers, address=options.metadata)
    voters = _voters(settings)
    if voters and voters[0].node_id != settings.int("node.id"):
        host = format_address(voters[0].host or "localhost", voters[0].port)
        return MetadataSource(settings, clock, workers, address=f"tcp://{host}")
    is_host = bool(voters)
    is_controller = CONTROLLER_ROLE in settings.list("process.roles")
    servers = settings.list("controller.quorum.bootstrap.servers")
    if servers and not voters:
        if not is_controller:
            return MetadataSource(settings, clock, workers, address=f"tcp://{servers[0]}")
        if len(servers) > 1:
            raise UnusableStore(
                "several controllers are named by controller.quorum.bootstrap.servers: name them "
                "by controller.quorum.voters, whose first one keeps the metadata"
            )
        is_host = True
    if options.memory:
        _check_controller(is_controller)
        return MetadataSource(settings, clock, workers, serves_voters=is_host)
    directory = cluster_directory(loaded, options, log_dirs)
    if not is_host and is_served(directory):
        from pykbroker.edges.metadata_store.addresses import socket_address

        return MetadataSource(settings, clock, workers, address=socket_address(directory))
    _check_controller(is_controller)
    return MetadataSource(settings, clock, workers, directory=directory, serves_voters=is_host)


def _check_controller(is_controller: bool) -> None:
    """With a store of its own a broker would wait for ever for another one's controller."""
    if not is_controller:
        raise UnusableStore(
            "process.roles is broker alone, and there is no controller: name it by "
            "controller.quorum.voters or controller.quorum.bootstrap.servers, or the metadata by "
            "--metadata"
        )


def _voters(settings: Settings) -> list[Voter]:
    from pykbroker.config.rules import parse_voters

    name = "controller.quorum.voters"
    return parse_voters(name, settings.list(name)) if settings.list(name) else []


def cluster_directory(loaded: Loaded, options: argparse.Namespace, log_dirs: Sequence[str]) -> str:
    """``--data-dir`` itself, or with the first of ``log.dirs``."""
    if not loaded.settings.is_explicit("log.dirs") or options.data_dir is not None:
        directory = os.path.dirname(log_dirs[0])
        check_directory(directory)
        if options.data_dir is None:
            logger.info("data directory", path=directory)
        return directory
    return os.path.abspath(loaded.settings.str("metadata.log.dir") or log_dirs[0])


@asynccontextmanager
async def open_store(
    directory: str | None, clock: Clock, workers: Workers
) -> AsyncIterator[MetadataStore]:
    """The SQLite store of a cluster directory, or one in memory. Raises UnusableStore."""
    if directory is None:
        from pykbroker.edges.metadata_store.memory import MemoryStore

        memory = MemoryStore(clock)
        try:
            yield memory
        finally:
            await memory.close()
        return
    from pykbroker.edges.metadata_store.sqlite import open_sqlite_store

    try:
        os.makedirs(directory, exist_ok=True)
    except OSError as error:
        raise UnusableStore(f"cannot use {directory}: {error.strerror}") from error
    async with open_sqlite_store(f"{directory}/{STORE_NAME}", clock, workers) as store:
        yield store


def is_served(directory: str) -> bool:
    """Whether some process serves the cluster directory's store."""
    path = f"{directory}/{SOCKET_NAME}"
    if not os.path.exists(path):
        return False
    import socket

    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0
