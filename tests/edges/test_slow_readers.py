"""Answers that a client is slow to take: they stay what they were, whatever becomes of the log."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest

from pykbroker.edges.disk import RealDisk
from pykbroker.state.types import TopicPartition
from tests.support.in_process import broker_in_process
from tests.support.storage import batch
from wire.client import request_frame, response_body
from wire.codec import decode_exact
from wire.messages.create_topics import CreatableTopic, CreateTopicsRequest
from wire.messages.fetch import FetchPartition, FetchRequest, FetchResponse, FetchTopic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pykbroker.broker import Broker
    from pykbroker.runtime.storage.log import PartitionLog

pytestmark = pytest.mark.anyio
VERSION = 12
RECORD_BYTES = 200_000
RECORDS = 20
ANSWER_BYTES = RECORDS // 2 * RECORD_BYTES
ASKED = 8
"""More than any socket buffers hold."""
LIVENESS_S = 60


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """uvloop keeps what it is given to send, asyncio copies it."""
    return "asyncio", {"use_uvloop": request.param}


def filling(number: int, mark: int) -> bytes:
    return bytes((mark,)) * (RECORD_BYTES - number)


@asynccontextmanager
async def slow_reader(folder: Path) -> AsyncIterator[tuple[Broker, PartitionLog, socket.socket]]:
    """A client that asked for half of the log again and again, and has taken nothing yet."""
    disk = RealDisk()
    async with broker_in_process(disk=disk, log_dir=str(folder)) as broker:
        services: Any = broker.connections._broker
        topic = CreatableTopic(name="t", num_partitions=1, replication_factor=1)
        await services.controller.call(CreateTopicsRequest(topics=[topic], timeout_ms=30_000))
        partition = services.replicas.leader(TopicPartition("t", 0))
        for number in range(RECORDS):
            partition.append_as_leader(batch(filling(number, 1)), acks=1)
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            client.connect(("127.0.0.1", broker.listeners[0].port))
            client.sendall(b"".join(map(bytes, request_frame(half(), VERSION, 1, None))) * ASKED)
            with anyio.fail_after(LIVENESS_S):
                while not any(link.unsent > ANSWER_BYTES for link in broker.listeners[0].links):
                    await anyio.sleep(0.01)
            yield broker, partition.log, client


def half() -> FetchRequest:
    wanted = FetchPartition(
        partition=0, fetch_offset=RECORDS // 2, partition_max_bytes=2 * ANSWER_BYTES
    )
    return FetchRequest(
        max_wait_ms=0,
        min_bytes=1,
        max_bytes=2 * ANSWER_BYTES,
        session_epoch=-1,
        topics=[FetchTopic(topic="t", partitions=[wanted])],
    )


def taken(client: socket.socket, count: int) -> list[bytes]:
    """The records of so many answers; blocks."""
    client.settimeout(LIVENESS_S)
    found = []
    with client.makefile("rb") as stream:
        for _ in range(count):
            frame = stream.read(int.from_bytes(stream.read(4), "big"))
            body = frame[response_body(frame, FetchRequest.api_key, VERSION) :]
            response = decode_exact(FetchResponse, VERSION, body)
            found.append(bytes(response.responses[0].partitions[0].records))
    return found


async def test_what_was_answered_arrives_though_the_log_was_cut_and_written_anew(
    tmp_path: Path,
) -> None:
    async with slow_reader(tmp_path) as (_, log, client):
        asked = bytes(log.read(RECORDS // 2, 2 * ANSWER_BYTES).records)
        unsent_from = log.log_end_offset
        # Within a page: the batch before the cut and the new one share one.
        log.truncate_to(RECORDS // 2 + 1)
        for number in range(RECORDS // 2 + 1, RECORDS):
            log.append_as_leader(batch(filling(number, 2)), 0, log.context.clock.wall_ms())
        assert log.log_end_offset == unsent_from
        log.update_high_watermark(unsent_from)
        rewritten = bytes(log.read(RECORDS // 2, 2 * ANSWER_BYTES).records)
        assert rewritten != asked
        assert len(rewritten) == len(asked)
        answers = await anyio.to_thread.run_sync(taken, client, ASKED)
    assert answers[0] == asked
    # Those that were not read yet when the log was cut are the new ones, whole.
    assert answers == sorted(answers, key=[asked, rewritten].index)


async def test_what_was_answered_arrives_though_its_segment_is_gone(tmp_path: Path) -> None:
    async with slow_reader(tmp_path) as (_, log, client):
        asked = bytes(log.read(RECORDS // 2, 2 * ANSWER_BYTES).records)
        log.truncate_fully_and_start_at(0)
        assert log.size_in_bytes == 0
        assert await anyio.to_thread.run_sync(taken, client, 1) == [asked]


async def test_who_hangs_up_with_answers_on_their_way_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    async with slow_reader(tmp_path) as (broker, log, client):
        client.close()
        with anyio.fail_after(LIVENESS_S):
            while broker.listeners[0].links:
                await anyio.sleep(0.01)
        assert log.read(0, 1, min_one_batch=True).records
