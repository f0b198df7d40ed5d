"""Slow, dead and greedy clients: others are served meanwhile, and nothing grows without bound."""

from __future__ import annotations

import os
import resource
import socket
import struct
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.support.clients import Confluent, KafkaPython, Message
from tests.support.process import PATIENCE_SECONDS, BrokerProcess, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

API_VERSIONS_V0 = struct.pack(">hhih", 18, 0, 7, -1)


def frame(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


def connect(broker: BrokerProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", broker.port), timeout=PATIENCE_SECONDS)


def read_response(sock: socket.socket) -> bytes:
    (size,) = struct.unpack(">i", read_exactly(sock, 4))
    return read_exactly(sock, size)


def read_exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        assert more, "closed"
        data += more
    return data


def is_closed(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except ConnectionError:
        return True


def assert_serves(broker: BrokerProcess, topic: str) -> None:
    sent = [Message(b"%d" % i) for i in range(50)]
    KafkaPython().produce(broker.bootstrap, topic, sent)
    got = KafkaPython().consume(broker.bootstrap, topic, len(sent))
    assert [m.value for m in got] == [m.value for m in sent]


@pytest.mark.parametrize("claim", [-1, -(2**31), 2**31 - 1, 104857601])
def test_an_impossible_frame_size_closes_the_connection_at_once(
    memory_broker: BrokerProcess, claim: int
) -> None:
    with connect(memory_broker) as sock:
        sock.sendall(struct.pack(">i", claim))
        assert is_closed(sock)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00",
        struct.pack(">hhih", 9999, 0, 1, -1),
        struct.pack(">hhih", 3, 99, 1, -1),
        struct.pack(">hhih", 3, 0, 1, -5),
        struct.pack(">hhihi", 3, 0, 1, -1, 2**31 - 1),
    ],
    ids=["empty", "one byte", "unknown api", "unknown version", "bad length", "huge count"],
)
def test_a_request_that_is_not_served_closes_the_connection(
    memory_broker: BrokerProcess, body: bytes
) -> None:
    with connect(memory_broker) as sock:
        sock.sendall(frame(body))
        assert is_closed(sock)


def test_an_unknown_version_of_api_versions_is_answered_in_version_0(
    memory_broker: BrokerProcess,
) -> None:
    with connect(memory_broker) as sock:
        sock.sendall(frame(struct.pack(">hhih", 18, 99, 42, -1) + b"\x00"))
        answer = read_response(sock)
        correlation, error, ranges, key, low, high = struct.unpack(">ihihhh", answer)
        assert (correlation, error, ranges, key, low) == (42, 35, 1, 18, 0)
        assert high >= 4
        sock.sendall(frame(API_VERSIONS_V0))
        assert len(read_response(sock)) > 100


def test_half_a_frame_holds_nobody_up(memory_broker: BrokerProcess) -> None:
    with connect(memory_broker) as sock:
        sock.sendall(frame(API_VERSIONS_V0)[:6])
        assert_serves(memory_broker, "half-a-frame")
        sock.sendall(frame(API_VERSIONS_V0)[6:])
        assert read_response(sock)


def test_a_frame_arriving_byte_by_byte_is_answered(memory_broker: BrokerProcess) -> None:
    with connect(memory_broker) as sock:
        for byte in frame(API_VERSIONS_V0):
            sock.sendall(bytes([byte]))
        assert read_response(sock)


def test_responses_keep_the_order_of_pipelined_requests(memory_broker: BrokerProcess) -> None:
    with connect(memory_broker) as sock:
        requests = [struct.pack(">hhih", 18, i % 3, i, -1) for i in range(500)]
        sock.sendall(b"".join(map(frame, requests)))
        for i in range(500):
            assert struct.unpack(">i", read_response(sock)[:4]) == (i,)


def test_a_client_that_never_reads_is_not_buffered_for_without_bound(
    start_broker: Callable[..., BrokerProcess],
) -> None:
    broker = start_broker("--memory")
    Confluent().produce(broker.bootstrap, "big", [Message(os.urandom(100_000)) for _ in range(400)])
    process = psutil.Process(broker.pid)
    before = process.memory_info().rss
    topic = b"big"
    fetch = struct.pack(">hhih", 1, 4, 1, -1) + struct.pack(">iiiib", -1, 100, 1, 50_000_000, 0)
    fetch += struct.pack(">ih", 1, len(topic)) + topic + struct.pack(">iiqi", 1, 0, 0, 50_000_000)
    socks = [connect(broker) for _ in range(10)]
    for sock in socks:
        sock.settimeout(2)
        try:
            for _ in range(200):
                sock.sendall(frame(fetch))
        except TimeoutError:
            continue
    assert_serves(broker, "meanwhile")
    # Ten readers of one response each, at most: the rest waits unread in the kernel.
    assert process.memory_info().rss - before < 10 * 100_000_000
    for sock in socks:
        sock.close()
    assert_serves(broker, "afterwards")


def test_clients_that_vanish_during_a_long_poll_are_forgotten(
    start_broker: Callable[..., BrokerProcess],
) -> None:
    broker = start_broker("--memory")
    assert_serves(broker, "polled")
    process = psutil.Process(broker.pid)
    before = len(process.net_connections())
    fetch = struct.pack(">hhih", 1, 4, 1, -1) + struct.pack(">iiiib", -1, 60_000, 1, 1000, 0)
    fetch += struct.pack(">ih", 1, 6) + b"polled" + struct.pack(">iiqi", 1, 0, 50, 1000)
    for _ in range(50):
        with connect(broker) as sock:
            sock.sendall(frame(fetch))
    eventually(lambda: len(process.net_connections()) <= before, what="connections gone")
    assert_serves(broker, "polled-after")


@pytest.fixture
def low_descriptor_limit() -> Iterator[None]:
    """Children begin with a soft limit of 1,024, as many systems give them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_thousand_idle_connections_and_a_thousand_partitions(
    low_descriptor_limit: None, start_broker: Callable[..., BrokerProcess], tmp_path: object
) -> None:
    from confluent_kafka.admin import AdminClient, NewTopic

    broker = start_broker("--data-dir", f"{tmp_path}/data")
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    admin.create_topics([NewTopic("wide", 1000, 1)])["wide"].result(60)
    sent = [Message(b"%d" % i, partition=i % 1000) for i in range(3000)]
    socks = [connect(broker) for _ in range(1000)]
    try:
        Confluent().produce(broker.bootstrap, "wide", sent)
        assert len(Confluent().consume(broker.bootstrap, "wide", 3000)) == 3000
        for sock in socks[::100]:
            sock.sendall(frame(API_VERSIONS_V0))
            assert read_response(sock)
    finally:
        for sock in socks:
            sock.close()
    assert broker.terminate() == 0
