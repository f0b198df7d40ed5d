"""Whoever brings something is answered before those who waited for it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest

from pykbroker.handlers.api import HANDLERS, Context
from pykbroker.handlers.connections import Connections
from pykbroker.runtime.waiters import Deferral
from tests.support.admin import AdminBroker
from tests.support.connected_client import Client, framed
from wire.apis import ApiKey
from wire.messages.heartbeat import HeartbeatRequest, HeartbeatResponse

if TYPE_CHECKING:
    from collections.abc import Sequence

WAITS, BRINGS, FAILS = 1, 2, 3


def body(generation: int) -> bytes:
    return b"\0\1g" + generation.to_bytes(4, "big") + b"\0\1m"


class House:
    """Heartbeats that wait, and one that brings what they wait for; as produce and fetch do."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.broker = AdminBroker()
        self.table = Connections(cast("Any", self.broker))
        self.waiting: list[Deferral[HeartbeatResponse]] = []
        self.written: list[str] = []
        """To whom."""
        monkeypatch.setitem(HANDLERS, ApiKey.HEARTBEAT, self.handle)

    def client(self, name: str) -> Client:
        client = Client(self.table)

        def write(_: Sequence[Any]) -> None:
            self.written.append(name)

        cast("Any", client.transport).write = write
        return client

    def handle(self, request: HeartbeatRequest, _: Context) -> Any:
        if request.generation_id == WAITS:
            self.waiting.append(Deferral())
            return self.waiting[-1]
        wakeups = self.broker.replicas.wakeups
        for deferral in self.waiting:
            wakeups.add(partial(deferral.complete, HeartbeatResponse()))
        self.waiting.clear()
        wakeups.run()
        if request.generation_id == FAILS:
            raise RuntimeError
        return HeartbeatResponse()


def ask(client: Client, generation: int) -> None:
    client.send(ApiKey.HEARTBEAT, 0, body(generation))


@pytest.mark.parametrize("generation", [BRINGS, FAILS])
def test_who_brings_it_comes_first(monkeypatch: pytest.MonkeyPatch, generation: int) -> None:
    house = House(monkeypatch)
    bringer, *others = (house.client(name) for name in ("bringer", "a", "b"))
    for other in others:
        ask(other, WAITS)
    ask(bringer, generation)
    assert house.written == ["bringer", "a", "b"]


def test_all_that_came_in_one_read_is_answered_first(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(monkeypatch)
    waits, brings = house.client("waits"), house.client("brings")
    ask(waits, WAITS)
    header = int(ApiKey.HEARTBEAT).to_bytes(2, "big") + bytes(6) + b"\xff\xff"
    brings.send_bytes(2 * framed(header + body(BRINGS)))
    assert house.written == ["brings", "waits"]


def test_one_that_waited_for_what_it_brought_itself_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = House(monkeypatch)
    both = house.client("both")
    ask(both, WAITS)
    ask(both, BRINGS)
    assert house.written == ["both"]
    assert both.connection.is_idle
