"""One broker in this process: the real edges, signals, the lines that say it is ready."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

import anyio

from pykbroker import __version__
from pykbroker.broker import Broker, World
from pykbroker.cluster_dir import OURS
from pykbroker.edges.clock import SystemClock
from pykbroker.edges.entropy import SystemRandom
from pykbroker.edges.log_sink import StreamSink, take_over, timestamp
from pykbroker.edges.network import TcpNetwork
from pykbroker.edges.workers import ThreadWorkers
from pykbroker.log import CURRENT, DEBUG, ERROR, INFO, OFF, WARNING, Log, get_logger
from pykbroker.metadata_source import metadata_source
from pykbroker.ports import ListenError, UnusableStore
from pykbroker.runtime.membership import NodeIdInUse, WrongCluster
from pykbroker.runtime.storage.directory import DirectoryRefused

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from pykbroker.broker import Ready
    from pykbroker.config.load import Loaded
    from pykbroker.edges.children import Parent
    from pykbroker.metadata_source import MetadataSource
    from pykbroker.ports import Disk

logger = get_logger("pykbroker")

LEVELS = {"debug": DEBUG, "info": INFO, "warn": WARNING, "error": ERROR, "off": OFF}


def run(loaded: Loaded, options: argparse.Namespace, parent: Parent | None = None) -> int:
    """The exit code of ``pykbroker serve``. ``parent``: the supervisor that this broker serves
    under; it hears that the broker is ready, and when it is gone the broker stops."""
    node_id = None if parent is None else loaded.settings.int("node.id")
    start_logging(options, node_id)
    return run_loop(_serve, loaded, options, parent)


def start_logging(options: argparse.Namespace, node_id: int | None = None) -> None:
    sink = StreamSink(sys.stderr, json=options.log_format == "json", node_id=node_id)
    log = Log(sink, LEVELS[options.log_level])
    CURRENT.set(log)
    take_over(log)


def refuse(problem: object, options: argparse.Namespace) -> int:
    """Why it cannot serve: one line for a person, or for a machine. The exit code."""
    if options.log_format == "json":
        logger.error("cannot serve", reason=str(problem))
    else:
        # At one go: several brokers may share the stream.
        sys.stderr.write(f"pykbroker: {problem}\n")
        sys.stderr.flush()
    return 1


def run_loop(main: Callable[..., Any], *arguments: Any) -> int:
    try:
        code: int = anyio.run(
            _settled, main, arguments, backend="asyncio", backend_options=_backend_options()
        )
        return code
    except KeyboardInterrupt:
        return 130


async def _settled(main: Callable[..., Any], arguments: tuple[Any, ...]) -> int:
    """What has been imported by now stays, and the garbage collector need not look at it."""
    gc.freeze()
    gc.set_threshold(GARBAGE_AT)
    gc.enable()
    code: int = await main(*arguments)
    return code


def _backend_options() -> dict[str, bool]:
    try:
        import uvloop  # noqa: F401
    except ImportError:
        return {}
    return {"use_uvloop": True}


def log_loop_errors() -> None:
    """For the running event loop."""
    asyncio.get_running_loop().set_exception_handler(_log_loop_error)


def _log_loop_error(_: object, context: dict[str, Any]) -> None:
    """What a callback of the event loop let escape: a defect, and never silence."""
    logger.error(str(context.get("message")), error=context.get("exception"))


GARBAGE_AT = 20_000
"""How many more objects than were there before make a look for garbage worth while. A request for a
thousand partitions has some thousands, all gone with its answer: looking at them finds nothing."""
SETTLED_MS = 1_000
"""After this long a broker has started: what is not needed for that comes now."""
REFUSALS = (ListenError, DirectoryRefused, UnusableStore, WrongCluster, NodeIdInUse)
"""Why a broker cannot serve: one line for a person, and exit code 1."""


async def _serve(loaded: Loaded, options: argparse.Namespace, parent: Parent | None) -> int:
    log_loop_errors()
    for warning in loaded.warnings:
        logger.warning(warning)
    if loaded.without_effect:
        logger.info("settings without effect", names=",".join(loaded.without_effect))
    code = 0
    try:
        await _serve_with_edges(loaded, options, parent)
    except* REFUSALS as group:
        code = refuse(first_of(group), options)
    return code


def first_of(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _serve_with_edges(
    loaded: Loaded, options: argparse.Namespace, parent: Parent | None
) -> None:
    clock = SystemClock()
    workers = ThreadWorkers()
    log_dirs = [absolute(path) for path in loaded.settings.list("log.dirs")]
    disk: Disk
    if options.memory:
        from pykbroker.edges.memory_disk import MemoryDisk

        disk, max_open_files = MemoryDisk(clock.wall_ms), sys.maxsize
    else:
        from pykbroker.edges.disk import RealDisk, segments_held_open

        disk, max_open_files = RealDisk(), segments_held_open()
    source = metadata_source(loaded, options, log_dirs, clock, workers)
    world = World(
        clock,
        SystemRandom(),
        disk,
        workers,
        TcpNetwork(loaded.settings.str("pykbroker.source.host")),
        source.open,
        source.beside,
        socket.gethostname(),
        lambda problem: os._exit(refuse(problem, options)),
        max_open_files,
    )
    broker = Broker(
        loaded,
        world,
        log_dirs=log_dirs,
        http_port=options.http_port,
        ignored_names=OURS,
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_watch_signals, broker)
        clock.call_at(clock.monotonic_ms() + SETTLED_MS, _settle)
        if parent is None:
            await broker.run(lambda ready: _ready(ready, source))
        else:
            tasks.start_soon(_watch_parent, parent, broker)
            await broker.run(lambda ready: parent.tell(ready._asdict()))
        tasks.cancel_scope.cancel()


def _settle() -> None:
    from pykbroker.edges.allocator import keep_freed_memory

    logger.debug("allocator", keeps_freed_memory=keep_freed_memory())


def _ready(ready: Ready, source: MetadataSource) -> None:
    announce(ready)
    source.serves()


async def _watch_parent(parent: Parent, broker: Broker) -> None:
    await parent.gone()
    logger.warning("the supervisor is gone: stopping")
    broker.stop()


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
    """The ready line, and the lines that container modules wait for, in Kafka's layout.

    The third was Kafka's last one with ZooKeeper, and some modules still wait for it.
    """
    now = timestamp(time.time())
    http = f" http={ready.http}" if ready.http else ""
    lines = [
        f"pykbroker ready bootstrap.servers={','.join(ready.bootstrap)}{http}",
        f"[{now}] INFO [BrokerLifecycleManager id={ready.node_id}] The broker has been unfenced. "
        "Transitioning from RECOVERY to RUNNING. (kafka.server.BrokerLifecycleManager)",
        f"[{now}] INFO [KafkaServer id={ready.node_id}] started (kafka.server.KafkaServer)",
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
