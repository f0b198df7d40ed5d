"""From the start of the process to the first acknowledged record, and memory before and after."""

from __future__ import annotations

import shutil
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from compat.bench.batches import batch
from compat.bench.case import Case
from compat.bench.loads.requests import pipelined_produce, read_back
from compat.bench.raw import BrokerError, create_topic, prepare_produce
from compat.bench.subjects import PATIENCE_SECONDS, POLL_SECONDS, Subject, await_leaders

if TYPE_CHECKING:
    from compat.bench.launchers import Server

REST_SECONDS = 2.0
BATCH_BYTES = 100_000
TOPIC = "first"


def cases(*, quick: bool) -> list[Case]:
    megabytes = 50 if quick else 1000
    return [Case("start", f"{megabytes} MB", partial(run, megabytes=megabytes), managed=True)]


def run(subject: Subject, *, megabytes: int) -> dict[str, float]:
    assert subject.launcher is not None
    directory = Path(tempfile.mkdtemp(prefix=f"bench-start-{subject.name}-"))
    try:
        start = subject.launcher.prepare(directory, 1)
        begun = time.perf_counter()
        server = start()
        try:
            first_record(server)
            first_ack = time.perf_counter() - begun
            return {"first_ack_ms": first_ack * 1000, **memory(server, megabytes)}
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory)


def first_record(server: Server) -> None:
    """Makes a topic and produces to it, as soon as the broker lets it be done."""
    subject = Subject("started", server.bootstrap)
    produce = prepare_produce(TOPIC, batch(1, 100))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with subject.connect() as connection:
                create_topic(connection, TOPIC, 1)
                await_leaders(connection, TOPIC, 1)
                produce.check(connection.ask(produce.frame))
                return
        except (OSError, BrokerError):
            server.check()
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_SECONDS)


def memory(server: Server, megabytes: int) -> dict[str, float]:
    subject = Subject("started", server.bootstrap, server.tree())
    assert subject.processes is not None
    time.sleep(REST_SECONDS)
    idle = subject.processes.resident_mb()
    count = megabytes * 1_000_000 // BATCH_BYTES
    with subject.processes.peak() as peak, subject.topic() as topic:
        pipelined_produce(topic, batch(BATCH_BYTES // 1000, 1000), count)
        read_back(topic, count * (BATCH_BYTES // 1000))
    time.sleep(REST_SECONDS)
    return {"idle_mb": idle, "peak_mb": peak.mb, "after_mb": subject.processes.resident_mb()}
