"""One broker in the foreground: the real edges, signals, the lines that say it is ready."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import anyio

from pykbroker import __version__
from pykbroker.broker import Broker, World
from pykbroker.edges.clock import SystemClock
from pykbroker.edges.listener import ListenError
from pykbroker.edges.log_sink import StreamSink, timestamp
from pykbroker.edges.workers import ThreadWorkers
from pykbroker.log import CURRENT, DEBUG, ERROR, INFO, OFF, WARNING, Log, get_logger
from pykbroker.ports import UnusableStore
from pykbroker.runtime.membership import NodeIdInUse, WrongCluster
from pykbroker.runtime.storage.directory import DirectoryRefused

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from pykbroker.broker import Ready
    from pykbroker.config.load import Loaded
    from pykbroker.ports import Disk, MetadataStore

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


async def _serve(loaded: Loaded, options: argparse.Namespace) -> int:
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
    async with AsyncExitStack() as stack:
        disk: Disk
        store: MetadataStore
        if options.memory:
            from pykbroker.edges.memory_disk import MemoryDisk
            from pykbroker.edges.metadata_store.memory import MemoryStore

            disk = MemoryDisk(clock.wall_ms)
            store = MemoryStore(clock)
        else:
            from pykbroker.edges.disk import RealDisk
            from pykbroker.edges.metadata_store.sqlite import open_sqlite_store

            disk = RealDisk()
            if options.data_dir is None:
                logger.info("data directory", path=",".join(log_dirs))
            store_dir = loaded.settings.str("metadata.log.dir") or log_dirs[0]
            path = f"{absolute(store_dir)}/{STORE_NAME}"
            store = await stack.enter_async_context(open_sqlite_store(path, clock, workers))
        world = World(clock, random.SystemRandom(), disk, workers, store)
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
