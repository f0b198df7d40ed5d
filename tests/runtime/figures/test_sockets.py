"""What connections count, by listener and by software, as a scraper reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

import pykbroker.handlers.api_versions  # noqa: F401
from pykbroker.handlers.connections import Connections
from pykbroker.runtime.figures.rates import Rates
from pykbroker.runtime.figures.sockets import SOFTWARE_LIMIT, socket_samples
from tests.support.admin import AdminBroker
from tests.support.connected_client import Client
from tests.support.scraped import scrape, value
from wire.client import request_frame
from wire.messages.api_versions import ApiVersionsRequest

if TYPE_CHECKING:
    from tests.support.scraped import Found

LISTENER = "kafka_server_socket_server_metrics_listener_plaintext_networkprocessor_0_"
SOFTWARE = (
    "kafka_server_socket_server_metrics_clientsoftwarename_{}_clientsoftwareversion_{}"
    "_listener_plaintext_networkprocessor_0_connections"
)


@pytest.fixture
def table() -> Connections:
    return Connections(cast("Any", AdminBroker()))


def told(table: Connections, now_ms: int = 1_000) -> Found:
    return scrape(socket_samples(table, Rates(0), now_ms))


def ask(client: Client, name: str = "a", version: str = "1") -> int:
    """The size of the request; it is answered at once."""
    request = ApiVersionsRequest(client_software_name=name, client_software_version=version)
    frame = b"".join(request_frame(request, 3, 1, "x"))
    client.send_bytes(frame)
    return len(frame)


def test_requests_and_bytes_are_counted_both_ways(table: Connections) -> None:
    clients = [Client(table) for _ in range(3)]
    sent = sum(ask(client) for client in clients for _ in range(4))
    answered = sum(len(client.transport.written) for client in clients)
    found = told(table, 10_000)
    assert value(found, f"{LISTENER}request_total") == 12
    assert value(found, f"{LISTENER}incoming_byte_total") == sent
    assert value(found, f"{LISTENER}outgoing_byte_total") == answered
    assert value(found, f"{LISTENER}incoming_byte_rate") == sent / 10
    assert value(found, f"{LISTENER}outgoing_byte_rate") == answered / 10


def test_connections_that_come_and_go(table: Connections) -> None:
    clients = [Client(table) for _ in range(4)]
    clients[0].leave()
    clients[0].leave()
    found = told(table, 2_000)
    assert value(found, f"{LISTENER}connection_count") == 3
    assert value(found, f"{LISTENER}connection_creation_total") == 4
    assert value(found, f"{LISTENER}connection_creation_rate") == 2
    assert value(found, f"{LISTENER}connection_close_rate") == 0.5


def test_connections_by_the_software_of_their_clients(table: Connections) -> None:
    for name, version in (("librdkafka", "2.3.0"), ("librdkafka", "2.3.0"), ("Apache-Kafka", "4")):
        ask(Client(table), name, version)
    Client(table)
    found = told(table)
    assert value(found, SOFTWARE.format("librdkafka", "2_3_0")) == 2
    assert value(found, SOFTWARE.format("apache_kafka", "4")) == 1
    assert len([name for name, _ in found if "clientsoftwarename" in name]) == 2


def test_kinds_of_software_are_bounded(table: Connections) -> None:
    frequent = [Client(table), Client(table)]
    for number in range(2 * SOFTWARE_LIMIT):
        ask(Client(table), f"z{number}")
    for client in frequent:
        ask(client, "frequent")
    found = told(table)
    assert len([name for name, _ in found if "clientsoftwarename" in name]) == SOFTWARE_LIMIT
    assert value(found, SOFTWARE.format("frequent", "1")) == 2
