"""A cluster on this machine: N broker processes, and this one, which has their metadata store.

The brokers are forked once everything is imported, before there is an event loop: that makes them
start in a fraction of the time, on shared memory. Nothing is started again by itself. A broker
that is gone is fenced at once; one that was started again alone, on the same cluster directory,
is nobody's child and joins through the socket there. The supervisor ends when it is told to.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import tempfile
from contextlib import asynccontextmanager
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from pykbroker import __version__
from pykbroker.broker import Ready
from pykbroker.cluster_dir import Layout, check_directory, write_layout
from pykbroker.edges.children import Child, Parent, fork
from pykbroker.edges.clock import SystemClock
from pykbroker.edges.metadata_store.addresses import socket_address
from pykbroker.edges.metadata_store.remote import connect_store
from pykbroker.edges.metadata_store.served import StoreServer, serve_store
from pykbroker.edges.workers import ThreadWorkers
from pykbroker.log import get_logger
from pykbroker.metadata_source import open_store
from pykbroker.running import (
    REFUSALS,
    announce,
    first_of,
    log_loop_errors,
    refuse,
    run,
    run_loop,
    start_logging,
)
from pykbroker.runtime.storage.directory import DirectoryRefused

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator, Sequence

    from pykbroker.config.load import Loaded

logger = get_logger("pykbroker.supervisor")

_USED_BY_CHILDREN = (connect_store,)
"""Imported here so that no child has to."""


def run_cluster(loaded: Sequence[Loaded], options: argparse.Namespace) -> int:
    """The exit code of ``pykbroker serve --brokers N``."""
    start_logging(options)
    try:
        directory = _cluster_directory(loaded, options)
    except (DirectoryRefused, OSError) as error:
        return refuse(error, options)
    try:
        gc.freeze()
        children: list[Child] = []
        for index, settings in enumerate(loaded):
            serve = partial(_serve_child, settings, _options_of(options, index, directory))
            children.append(fork(index + 1, serve, children))
        return run_loop(_Supervisor(children, directory, options).run)
    finally:
        if options.memory:
            shutil.rmtree(directory, ignore_errors=True)


def _cluster_directory(loaded: Sequence[Loaded], options: argparse.Namespace) -> str:
    if options.memory:
        return tempfile.mkdtemp(prefix="pykbroker-")
    directory = os.path.dirname(os.path.abspath(loaded[0].settings.list("log.dirs")[0]))
    check_directory(directory)
    if options.data_dir is None:
        logger.info("data directory", path=directory)
    os.makedirs(directory, exist_ok=True)
    return directory


def _options_of(options: argparse.Namespace, index: int, directory: str) -> argparse.Namespace:
    """What one broker is told: where its metadata is, and a port of its own for HTTP."""
    own = copy(options)
    if own.metadata is None:
        own.metadata = socket_address(directory)
    if own.http_port:
        own.http_port += index
    return own


def _serve_child(loaded: Loaded, options: argparse.Namespace, parent: Parent) -> int:
    return run(loaded, options, parent)


class _Supervisor:
    """Started at once with its children, which wait for the store that it serves."""

    def __init__(self, children: list[Child], directory: str, options: argparse.Namespace) -> None:
        self._children = children
        self._directory = directory
        self._in_memory: bool = options.memory
        self._address = socket_address(directory) if options.metadata is None else None
        """Where the store is served; None when it is somebody else's."""
        self._ready: dict[int, Ready] = {}
        self._stopping = anyio.Event()
        self._options = options
        self._code = 0

    async def run(self) -> int:
        log_loop_errors()
        logger.info("starting", version=__version__, brokers=len(self._children))
        try:
            await self._serve()
        except* REFUSALS as group:
            self._code = refuse(first_of(group), self._options)
            self._signal(signal.SIGTERM)
        return self._code

    async def _serve(self) -> None:
        """Until all children are gone and we were told to stop: who was started again alone
        still needs the store."""
        async with self._store() as server, anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch_signals)
            async with anyio.create_task_group() as watchers:
                for child in self._children:
                    watchers.start_soon(self._watch, child, server)
            await self._stopping.wait()
            tasks.cancel_scope.cancel()
        logger.info("cluster stopped")

    @asynccontextmanager
    async def _store(self) -> AsyncIterator[StoreServer | None]:
        if self._address is None:
            yield None
            return
        clock = SystemClock()
        where = None if self._in_memory else self._directory
        async with (
            open_store(where, clock, ThreadWorkers()) as store,
            serve_store(store, clock, self._address) as server,
        ):
            yield server

    async def _watch(self, child: Child, server: StoreServer | None) -> None:
        await child.messages(partial(self._heard, child))
        if server is not None:
            await server.revoke_leases_of(child.pid)
        if self._stopping.is_set():
            return
        code = child.exit_code or 0
        fields: dict[str, Any] = {"broker": child.node_id, "pid": child.pid}
        if code < 0:
            logger.error("broker is gone", signal=signal.Signals(-code).name, **fields)
        else:
            logger.warning("broker has stopped", exit_code=code, **fields)
        if len(self._ready) < len(self._children):
            self._code = code if code > 0 else 1
            self._stop(signal.SIGTERM)

    def _heard(self, child: Child, message: dict[str, Any]) -> None:
        self._ready[child.node_id] = Ready(
            message["node_id"], tuple(message["bootstrap"]), message["http"]
        )
        if len(self._ready) == len(self._children):
            self._announce()

    def _announce(self) -> None:
        """All serve: the cluster can elect."""
        brokers = [self._ready[child.node_id] for child in self._children]
        ports = {ready.node_id: int(ready.bootstrap[0].rpartition(":")[2]) for ready in brokers}
        write_layout(self._directory, Layout(len(brokers), ports))
        http = ",".join(ready.http for ready in brokers if ready.http)
        bootstrap = tuple(address for ready in brokers for address in ready.bootstrap)
        for child in self._children:
            logger.info("broker", node_id=child.node_id, pid=child.pid)
        if self._in_memory:
            logger.info("cluster in memory", metadata=self._address)
        announce(Ready(brokers[0].node_id, bootstrap, http or None))

    async def _watch_signals(self) -> None:
        """Handed on: the first asks for a clean stop, the second does not wait for it."""
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for number in signals:
                if self._stopping.is_set():
                    self._signal(signal.SIGTERM)
                    os._exit(128 + number)
                logger.info("stopping", signal=signal.Signals(number).name)
                self._stop(signal.SIGTERM)

    def _stop(self, number: signal.Signals) -> None:
        self._stopping.set()
        self._signal(number)

    def _signal(self, number: signal.Signals) -> None:
        for child in self._children:
            child.signal(number)
