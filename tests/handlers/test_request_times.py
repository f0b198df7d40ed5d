"""The times of requests as their connection takes them, on a clock that tests move."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from pykbroker.handlers.api import HANDLERS, Context
from pykbroker.handlers.connections import Connections
from pykbroker.runtime.figures.requests import request_samples
from pykbroker.runtime.waiters import Deferral
from tests.support.admin import AdminBroker
from tests.support.connected_client import Client
from tests.support.images import delta_between, entity, image_with
from tests.support.scraped import scrape, value
from wire.apis import ApiKey
from wire.messages.heartbeat import HeartbeatRequest, HeartbeatResponse

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "kafka_network_requestmetrics_"
BODY = b"\0\1g" + bytes(4) + b"\0\1m"
"""Heartbeat v0: group, generation, member."""
REQUEST_BYTES = 10 + len(BODY)


class House:
    """One client of a broker that has one API: work takes 3 ms, and some wait for ``answer``."""

    def __init__(self) -> None:
        self.broker = AdminBroker()
        self.table = Connections(cast("Any", self.broker))
        self.client = Client(self.table)
        self.waiting: list[Deferral[HeartbeatResponse]] = []
        self.waits = False

    def handle(self, request: HeartbeatRequest, ctx: Context) -> Any:
        self.broker.clock.advance(3)
        if not self.waits:
            return HeartbeatResponse()
        self.waiting.append(Deferral())
        return self.waiting[-1]

    def ask(self) -> None:
        self.client.send(ApiKey.HEARTBEAT, 0, BODY)

    def told(self) -> dict[str, float | None]:
        """The median of everything, and the count."""
        found = scrape(request_samples(self.table.requests))
        labels = {"request": "Heartbeat"}
        names = ("total", "requestqueue", "local", "remote", "responsequeue", "throttle")
        told = {
            name: value(found, f"{NAME}{name}timems", **labels, quantile="0.999") for name in names
        }
        told["bytes"] = value(found, f"{NAME}requestbytes", **labels, quantile="0.50")
        told["requests"] = value(found, f"{NAME}requests_total", **labels, version="0")
        return told


@pytest.fixture
def house() -> Iterator[House]:
    before = HANDLERS.get(ApiKey.HEARTBEAT)
    house = House()
    HANDLERS[ApiKey.HEARTBEAT] = house.handle
    yield house
    if before is None:
        del HANDLERS[ApiKey.HEARTBEAT]
    else:
        HANDLERS[ApiKey.HEARTBEAT] = before


def about(milliseconds: float) -> Any:
    return pytest.approx(milliseconds, rel=0.032)


def test_what_is_answered_at_once_took_the_broker_alone(house: House) -> None:
    for _ in range(3):
        house.broker.clock.advance(50)
        house.ask()
    assert house.told() == {
        "total": about(3),
        "requestqueue": 0,
        "local": about(3),
        "remote": 0,
        "responsequeue": 0,
        "throttle": 0,
        "bytes": REQUEST_BYTES,
        "requests": 3,
    }


def test_what_waits_for_others_is_told_apart(house: House) -> None:
    house.waits = True
    house.ask()
    house.broker.clock.advance(40)
    house.waiting.pop().complete(HeartbeatResponse())
    told = house.told()
    assert (told["local"], told["remote"], told["total"]) == (about(3), about(40), about(43))


def test_a_response_waits_for_those_before_it(house: House) -> None:
    house.waits = True
    house.ask()
    house.waits = False
    house.broker.clock.advance(50)
    house.ask()
    house.broker.clock.advance(100)
    house.waiting.pop().complete(HeartbeatResponse())
    told = house.told()
    assert told["requests"] == 2
    assert told["responsequeue"] == about(100)
    assert told["remote"] == about(150)
    assert told["total"] == about(156)


def test_a_request_waits_for_those_that_came_with_it(house: House) -> None:
    frame = bytes.fromhex("000c0000") + bytes(4) + b"\xff\xff" + BODY
    house.client.send_bytes((len(frame).to_bytes(4, "big") + frame) * 20)
    told = house.told()
    assert told["requests"] == 20
    assert told["local"] == about(3)
    assert told["requestqueue"] in [about(3 * before) for before in range(1, 20)]


def test_a_quota_makes_the_throttle_time(house: House) -> None:
    broker = house.broker
    before = broker.images.current
    quotas: Any = {entity(user=None): {"request_percentage": 0.01}}
    broker.images.current = image_with(quotas=quotas)
    for apply in broker.subscribers:
        apply(delta_between(before, broker.images.current))
    assert broker.quotas.measures_time
    house.ask()
    throttle = house.told()["throttle"]
    assert throttle is not None
    assert throttle > 100


def test_a_client_that_leaves_leaves_nothing_behind(house: House) -> None:
    house.waits = True
    house.ask()
    house.client.leave()
    house.waiting.pop().complete(HeartbeatResponse())
    told = house.told()
    assert (told["requests"], told["total"]) == (None, None)
