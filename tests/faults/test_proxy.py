"""The proxy does to a connection what it was told, to that one, in that direction."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.faults.proxy import (
    ANSWERS,
    ANY,
    BLACKHOLE,
    DROP,
    PASS,
    REQUESTS,
    RESET,
    Proxy,
    delay,
    rate,
)
from tests.support.process import PATIENCE_SECONDS, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCES = {"1": "127.0.0.11", "2": "127.0.0.12"}
SILENCE_SECONDS = 0.3
"""Long enough for what is not held back to have come."""


class Echo:
    """Answers every piece with itself, and remembers what came."""

    def __init__(self) -> None:
        self.received = bytearray()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with suppress(OSError):
            while piece := connection.recv(65536):
                self.received += piece
                connection.sendall(piece)
            connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        with suppress(OSError):  # closed already
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept
        self._listener.close()
        for connection in self._open:
            connection.close()


class Ends:
    """A proxy before two echoing destinations, "a" and "b"."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.echoes = {name: Echo() for name in "ab"}
        self.ports = {name: proxy.listen(name) for name in "ab"}
        self.opened: list[socket.socket] = []
        for name, echo in self.echoes.items():
            proxy.set_target(name, echo.port)

    def connect(self, source: str = "1", destination: str = "a") -> socket.socket:
        client = socket.create_connection(
            ("127.0.0.1", self.ports[destination]), PATIENCE_SECONDS, (SOURCES[source], 0)
        )
        self.opened.append(client)
        return client

    def close(self) -> None:
        for client in self.opened:
            client.close()
        for echo in self.echoes.values():
            echo.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    with Proxy(SOURCES) as proxy:
        made = Ends(proxy)
        yield made
        made.close()


def exchange(client: socket.socket, text: bytes = b"hello") -> bytes:
    client.sendall(text)
    got = b""
    while len(got) < len(text):
        piece = client.recv(65536)
        if not piece:
            break
        got += piece
    return got


def is_silent(client: socket.socket) -> bool:
    client.settimeout(SILENCE_SECONDS)
    try:
        return not client.recv(1) and False
    except TimeoutError:
        return True
    finally:
        client.settimeout(PATIENCE_SECONDS)


def test_it_passes_both_ways_and_knows_who_it_is(ends: Ends) -> None:
    one, two = ends.connect("1", "a"), ends.connect("2", "b")
    assert exchange(one) == exchange(two) == b"hello"
    assert sorted(ends.proxy.links()) == [("1", "a"), ("2", "b")]
    big = bytes(range(256)) * 10_000
    threading.Thread(target=one.sendall, args=(big,), daemon=True).start()
    got = bytearray()
    while len(got) < len(big):
        got += one.recv(1 << 20)
    assert got == big


def test_the_end_of_one_direction_is_handed_on(ends: Ends) -> None:
    client = ends.connect()
    client.sendall(b"last")
    client.shutdown(socket.SHUT_WR)
    assert client.recv(10) == b"last"
    assert client.recv(10) == b""


def test_a_black_hole_holds_requests_until_it_heals(ends: Ends) -> None:
    client = ends.connect()
    exchange(client)
    ends.proxy.set(BLACKHOLE, "1", "a", (REQUESTS,))
    client.sendall(b"held")
    assert is_silent(client)
    assert bytes(ends.echoes["a"].received) == b"hello"
    ends.proxy.heal()
    assert client.recv(10) == b"held"


def test_a_black_hole_of_answers_lets_requests_through(ends: Ends) -> None:
    client = ends.connect()
    ends.proxy.set(BLACKHOLE, "1", "a", (ANSWERS,))
    client.sendall(b"through")
    eventually(lambda: bytes(ends.echoes["a"].received) == b"through")
    assert is_silent(client)
    ends.proxy.heal()
    assert client.recv(10) == b"through"


def test_a_rule_is_for_one_source_and_one_destination(ends: Ends) -> None:
    ends.proxy.set(BLACKHOLE, "1", "a")
    assert exchange(ends.connect("2", "a")) == b"hello"
    assert exchange(ends.connect("1", "b")) == b"hello"
    client = ends.connect("1", "a")
    client.sendall(b"x")
    assert is_silent(client)


def test_the_special_rule_goes_before_the_general(ends: Ends) -> None:
    ends.proxy.set(RESET, ANY, "a")
    ends.proxy.set(PASS, "2", "a")
    assert exchange(ends.connect("2", "a")) == b"hello"
    with pytest.raises(OSError):
        raise_if_closed(ends.connect("1", "a"))


def raise_if_closed(client: socket.socket) -> None:
    if not exchange(client):
        raise ConnectionResetError


def test_reset_cuts_what_is_connected_and_what_comes(ends: Ends) -> None:
    client, other = ends.connect("1"), ends.connect("2")
    exchange(client)
    exchange(other)
    ends.proxy.set(RESET, "1", "a")
    with pytest.raises(OSError):
        raise_if_closed(client)
    with pytest.raises(OSError):
        raise_if_closed(ends.connect("1"))
    assert exchange(other) == b"hello"
    ends.proxy.heal()
    assert exchange(ends.connect("1")) == b"hello"


def test_dropped_answers_are_lost_and_the_connection_with_them(ends: Ends) -> None:
    client = ends.connect()
    exchange(client)
    ends.proxy.set(DROP, "1", "a", (ANSWERS,))
    client.sendall(b"effect")
    eventually(lambda: ends.echoes["a"].received.endswith(b"effect"))
    assert is_silent(client)
    ends.proxy.heal()
    with pytest.raises(OSError):
        raise_if_closed(client)


def test_delay_and_rate_take_their_time(ends: Ends) -> None:
    client = ends.connect()
    ends.proxy.set(delay(100), "1", "a")
    begun = time.monotonic()
    exchange(client)
    assert time.monotonic() - begun >= 0.2
    ends.proxy.set(rate(50_000), "1", "a", (REQUESTS,))
    ends.proxy.set(PASS, "1", "a", (ANSWERS,))
    begun = time.monotonic()
    exchange(client, bytes(10_000))
    assert time.monotonic() - begun >= 0.2


def test_who_is_not_there_is_not_reached(ends: Ends) -> None:
    ends.echoes["a"].close()
    with pytest.raises(OSError):
        raise_if_closed(ends.connect("1", "a"))
    assert exchange(ends.connect("1", "b")) == b"hello"
