"""One broker in the foreground: the real edges, signals, the lines that say it is ready."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import sys
import time
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from pykbroker import __version__
from pykbroker.broker import Broker, World
from pykbroker.edges.clock import SystemClock
from pykbroker.edges.log_sink import StreamSink, timestamp
from pykbroker.edges.network import TcpNetwork
from pykbroker.edges.workers import ThreadWorkers
from pykbroker.log import CURRENT, DEBUG, ERROR, INFO, OFF, WARNING, Log, get_logger
from pykbroker.ports import ListenError, UnusableStore
from pykbroker.runtime.membership import NodeIdInUse, WrongCluster
from pykbroker.runtime.storage.directory import DirectoryRefused

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator, Sequence

    from pykbroker.broker import Ready
    from pykbroker.config.load import Loaded
    from pykbroker.ports import Clock, Disk, MetadataStore, Workers

logger = get_logger("pykbroker")

LEVELS = {"debug": DEBUG, "info": INFO, "warn": WARNING, "error": ERROR, "off": OFF}
STORE_NAME = "metadata.sqlite"
STORE_FILES = (STORE_NAME, f"{STORE_NAME}-wal", f"{STORE_NAME}-shm")


def run(loaded: Loaded, options: argparse.Namespace) -> int:
    """The exit code of ``pykbroker serve``."""
    sink = StreamSink(sys.stderr, json=options.log_format == "json")
    CURRENT.set(Log(sink, LEVELS[options.log_level]))
    try:
        return anyio.run(
            _serve, loaded, options, backend="asyncio", backend_options=_backend_options()
        )
    except KeyboardInterrupt:
        return 130


def _backend_options() -> dict[str, bool]:
    try:
        import uvloop  # noqa: F401
    except ImportError:
        return {}
    return {"use_uvloop": True}


def _log_loop_error(_: object, context: dict[str, Any]) -> None:
    """What a callback of the event loop let escape: a defect, and never silence."""
    logger.error(str(context.get("message")), error=context.get("exception"))


async def _serve(loaded: Loaded, options: argparse.Namespace) -> int:
    asyncio.get_running_loop().set_exception_handler(_log_loop_error)
    for warning in loaded.warnings:
        logger.warning(warning)
    if loaded.without_effect:
        logger.info("settings without effect", names=",".join(loaded.without_effect))
    code = 0
    try:
        await _serve_with_edges(loaded, options)
    except* (ListenError, DirectoryRefused, UnusableStore, WrongCluster, NodeIdInUse) as group:
        print(f"pykbroker: {_first(group)}", file=sys.stderr, flush=True)
        code = 1
    return code


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _serve_with_edges(loaded: Loaded, options: argparse.Namespace) -> None:
    clock = SystemClock()
    workers = ThreadWorkers()
    log_dirs = [absolute(path) for path in loaded.settings.list("log.dirs")]
    disk: Disk
    if options.memory:
        from pykbroker.edges.memory_disk import MemoryDisk

        disk = MemoryDisk(clock.wall_ms)
        open_store = partial(_memory_store, clock)
    else:
        from pykbroker.edges.disk import RealDisk

        disk = RealDisk()
        cluster_dir = _cluster_directory(loaded, options, log_dirs)
        open_store = partial(_sqlite_store, f"{cluster_dir}/{STORE_NAME}", clock, workers)
    world = World(
        clock,
        random.SystemRandom(),
        disk,
        workers,
        TcpNetwork(),
        open_store,
        socket.gethostname(),
    )
    broker = Broker(
        loaded,
        world,
        log_dirs=log_dirs,
        http_port=options.http_port,
        ignored_names=STORE_FILES,
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_watch_signals, broker)
        await broker.run(announce)
        tasks.cancel_scope.cancel()


def _cluster_directory(loaded: Loaded, options: argparse.Namespace, log_dirs: list[str]) -> str:
    """Where the metadata store is: ``--data-dir`` itself, or with the first of ``log.dirs``."""
    if not loaded.settings.is_explicit("log.dirs") or options.data_dir is not None:
        directory = os.path.dirname(log_dirs[0])
        _check_cluster_directory(directory)
        if options.data_dir is None:
            logger.info("data directory", path=directory)
        return directory
    return absolute(loaded.settings.str("metadata.log.dir") or log_dirs[0])


def _check_cluster_directory(directory: str) -> None:
    """Refuse a directory with anything in it that no broker of ours put there."""
    try:
        names = set(os.listdir(directory))
    except FileNotFoundError:
        return
    except OSError as error:
        raise DirectoryRefused(f"cannot use {directory}: {error.strerror}") from error
    if "meta.properties" in names:
        raise DirectoryRefused(
            f"{directory} is a log directory of a Kafka broker: "
            f"take it over with 'pykbroker import {directory} --data-dir NEW'"
        )
    foreign = sorted(n for n in names if n not in STORE_FILES and not n.startswith("broker-"))
    if foreign and foreign != ["lost+found"]:
        raise DirectoryRefused(f"{directory} holds what is not ours ({foreign[0]}): not used")


@asynccontextmanager
async def _memory_store(clock: Clock) -> AsyncIterator[MetadataStore]:
    from pykbroker.edges.metadata_store.memory import MemoryStore

    store = MemoryStore(clock)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def _sqlite_store(path: str, clock: Clock, workers: Workers) -> AsyncIterator[MetadataStore]:
    from pykbroker.edges.metadata_store.sqlite import open_sqlite_store

    async with open_sqlite_store(path, clock, workers) as store:
        yield store


def absolute(path: str) -> str:
    return os.path.abspath(path)


async def _watch_signals(broker: Broker) -> None:
    """The first signal asks for a clean stop, the second does not wait for it."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        asked = False
        async for number in signals:
            if asked:
                os._exit(128 + number)
            asked = True
            logger.info("stopping", signal=signal.Signals(number).name)
            broker.stop()


def announce(ready: Ready) -> None:
    """The ready line, and the lines that container modules wait for, in Kafka's layout."""
    now = timestamp(time.time())
    http = f" http={ready.http}" if ready.http else ""
    lines = [
        f"pykbroker ready bootstrap.servers={','.join(ready.bootstrap)}{http}",
        f"[{now}] INFO [BrokerLifecycleManager id={ready.node_id}] The broker has been unfenced. "
        "Transitioning from RECOVERY to RUNNING. (kafka.server.BrokerLifecycleManager)",
        f"[{now}] INFO [KafkaRaftServer nodeId={ready.node_id}] Kafka Server started "
        "(kafka.server.KafkaRaftServer)",
    ]
    _print(lines)


def _print(lines: Sequence[str]) -> None:
    try:
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
    except OSError as error:
        # Whoever started us does not read; that is no reason not to serve.
        logger.warning("standard output is closed", reason=str(error), version=__version__)
