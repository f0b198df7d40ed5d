"""Limits of connections and quotas of clients, as the connections themselves feel them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

import pykbroker.handlers.api_versions
import pykbroker.handlers.configs  # noqa: F401
from pykbroker.handlers.api import HANDLERS
from pykbroker.handlers.connections import Connections
from tests.support.admin import AdminBroker
from tests.support.connected_client import Client
from tests.support.images import delta_between, entity, image_with
from wire.apis import ApiKey
from wire.codec import decode_exact
from wire.messages.produce import ProduceResponse

if TYPE_CHECKING:
    from collections.abc import Iterator


def set_quotas(broker: AdminBroker, quotas: dict[Any, dict[str, float]]) -> None:
    before = broker.images.current
    broker.images.current = image_with(quotas=quotas)
    for apply in broker.subscribers:
        apply(delta_between(before, broker.images.current))


def set_dynamic(broker: AdminBroker, **values: str) -> None:
    broker.settings.update({}, {name.replace("_", "."): v for name, v in values.items()})


def test_the_number_of_connections_changes_while_the_broker_runs() -> None:
    broker = AdminBroker()
    table = Connections(cast("Any", broker))
    clients = [Client(table) for _ in range(3)]
    assert all(client.is_served for client in clients)
    set_dynamic(broker, max_connections="3")
    late = Client(table)
    assert late.is_open
    assert not late.is_served
    clients[0].leave()
    assert late.is_served
    later = Client(table)
    assert not later.is_served
    set_dynamic(broker, max_connections="10")
    assert later.is_served


def test_one_that_waits_may_give_up() -> None:
    broker = AdminBroker(max_connections="1")
    table = Connections(cast("Any", broker))
    first, second, third = (Client(table) for _ in range(3))
    second.leave()
    first.leave()
    assert third.is_served


def test_connections_per_address_change_while_the_broker_runs() -> None:
    broker = AdminBroker()
    table = Connections(cast("Any", broker))
    set_dynamic(broker, max_connections_per_ip="1")
    assert Client(table).is_served
    assert not Client(table).is_open
    assert Client(table, "10.0.0.2").is_served
    set_dynamic(broker, max_connections_per_ip="1", max_connections_per_ip_overrides="10.0.0.1:2")
    assert Client(table).is_served
    assert not Client(table).is_open
    assert table.admissions.rejected == 2


def test_the_rate_of_new_connections_changes_while_the_broker_runs() -> None:
    broker = AdminBroker()
    table = Connections(cast("Any", broker))
    set_dynamic(broker, max_connection_creation_rate="1")
    clients = [Client(table) for _ in range(12)]
    assert clients[0].is_served
    assert not clients[-1].is_served
    broker.clock.advance(1000)
    assert all(client.is_served for client in clients)


def test_an_address_with_a_quota_is_closed_after_a_while() -> None:
    broker = AdminBroker()
    table = Connections(cast("Any", broker))
    set_quotas(broker, {entity(ip="10.0.0.1"): {"connection_creation_rate": 1.0}})
    clients = [Client(table) for _ in range(11)]
    assert [client.is_served for client in clients] == [True] * 10 + [False]
    assert clients[-1].is_open
    broker.clock.advance(1000)
    assert not clients[-1].is_open
    assert Client(table, "10.0.0.2").is_served


def test_brokers_get_in_where_clients_have_filled_the_house() -> None:
    broker = AdminBroker(
        listeners="PLAINTEXT://:1,INSIDE://:2",
        listener_security_protocol_map="PLAINTEXT:PLAINTEXT,INSIDE:PLAINTEXT",
        inter_broker_listener_name="INSIDE",
        max_connections="2",
    )
    table = Connections(cast("Any", broker))
    quiet = Client(table)
    broker.clock.advance(1000)
    busy = Client(table)
    inside = Client(table, "10.0.0.9", "INSIDE")
    assert inside.is_served
    assert not quiet.is_open
    assert busy.is_served


def test_a_listeners_own_limit_changes_while_the_broker_runs() -> None:
    broker = AdminBroker()
    table = Connections(cast("Any", broker))
    broker.settings.update({"listener.name.plaintext.max.connections": "1"}, {})
    first, second = Client(table), Client(table)
    assert first.is_served
    assert not second.is_served
    broker.settings.update({}, {})
    assert second.is_served


@pytest.fixture
def produce_handler() -> Iterator[None]:
    """Produce that takes anything; what counts here is its size."""
    before = HANDLERS.get(ApiKey.PRODUCE)
    HANDLERS[ApiKey.PRODUCE] = lambda request, ctx: ProduceResponse()
    yield
    if before is None:
        del HANDLERS[ApiKey.PRODUCE]
    else:
        HANDLERS[ApiKey.PRODUCE] = before


def produce_body(size: int) -> bytes:
    """v3: no transactional id, acks 1, timeout, one topic with a name that fills the rest."""
    name = b"x" * size
    topic = len(name).to_bytes(2, "big") + name + bytes(4)
    return b"\xff\xff" + b"\x00\x01" + bytes(4) + b"\x00\x00\x00\x01" + topic


@pytest.mark.usefixtures("produce_handler")
def test_a_producer_is_told_its_throttle_time_and_then_not_heard_for_as_long() -> None:
    broker = AdminBroker()
    table = Connections(cast("Any", broker))
    set_quotas(broker, {entity(user="ANONYMOUS"): {"producer_byte_rate": 1000.0}})
    client = Client(table)
    throttled = 0
    while not throttled:
        client.send(ApiKey.PRODUCE, 3, produce_body(5_000))
        (answer,) = client.take_answers()
        throttled = decode_exact(ProduceResponse, 3, answer).throttle_time_ms
    assert not client.transport.reading
    client.send(ApiKey.PRODUCE, 3, produce_body(10))
    assert client.take_answers() == []
    broker.clock.advance(throttled - 1)
    assert client.take_answers() == []
    broker.clock.advance(1)
    assert len(client.take_answers()) == 1


@pytest.mark.usefixtures("produce_handler")
def test_a_producer_that_wants_no_answer_is_not_heard_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(HANDLERS, ApiKey.PRODUCE, lambda request, ctx: None)
    broker = AdminBroker()
    table = Connections(cast("Any", broker))
    set_quotas(broker, {entity(user="ANONYMOUS"): {"producer_byte_rate": 1000.0}})
    client = Client(table)
    client.send(ApiKey.PRODUCE, 3, produce_body(20_000))
    assert client.take_answers() == []
    assert not client.transport.reading
    broker.clock.advance(20_000)
    assert client.transport.reading


@pytest.mark.usefixtures("produce_handler")
def test_a_producer_gets_its_quota_within_15_percent_over_10_seconds() -> None:
    broker = AdminBroker()
    table = Connections(cast("Any", broker))
    set_quotas(broker, {entity(client_id=None, user=None): {"producer_byte_rate": 1.0}})
    set_quotas(broker, {entity(user="ANONYMOUS"): {"producer_byte_rate": 100_000.0}})
    client = Client(table)
    sent = 0
    body = produce_body(5_000)
    while broker.clock.now_ms < 31_000:
        if client.transport.reading:
            client.send(ApiKey.PRODUCE, 3, body)
            if broker.clock.now_ms >= 21_000:
                sent += len(body) + 10
        broker.clock.advance(1)
    assert sent / 10 == pytest.approx(100_000, rel=0.15)


def test_a_client_that_keeps_the_broker_busy_is_held_back() -> None:
    """Time passes only while its requests are handled: 60 ms each."""
    broker = AdminBroker()
    table = Connections(cast("Any", broker))
    set_quotas(broker, {entity(user="ANONYMOUS"): {"request_percentage": 20.0}})
    before = HANDLERS[ApiKey.API_VERSIONS]

    def slow(request: Any, ctx: Any) -> Any:
        broker.clock.now_ms += 60
        return before(request, ctx)

    HANDLERS[ApiKey.API_VERSIONS] = slow
    try:
        client = Client(table)
        busy_ms = 0
        while broker.clock.now_ms < 41_000:
            if client.transport.reading:
                client.send(ApiKey.API_VERSIONS, 0, b"")
                busy_ms += 60 if broker.clock.now_ms >= 21_000 else 0
            broker.clock.advance(1)
    finally:
        HANDLERS[ApiKey.API_VERSIONS] = before
    assert busy_ms / 200 == pytest.approx(20, rel=0.15)
