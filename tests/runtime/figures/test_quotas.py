"""What is told of clients that have a quota."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from pykbroker.config.settings import Settings
from pykbroker.runtime.figures.quotas import quota_samples
from pykbroker.runtime.quotas import Quotas
from tests.support.images import entity
from tests.support.manual_clock import ManualClock
from tests.support.scraped import scrape, value

if TYPE_CHECKING:
    import pytest

LIMITS = {"producer_byte_rate": 1000.0, "consumer_byte_rate": 500.0, "request_percentage": 10.0}


def quotas() -> Quotas:
    made = Quotas(Settings({}), cast("Any", ManualClock()))
    made.update({entity(client_id=None): LIMITS, entity(user="u"): LIMITS})
    return made


def test_each_client_with_a_quota_has_its_rates_and_waits() -> None:
    limited = quotas()
    assert limited.record_produce("u", "c", 20_000, 0) == 10_000
    limited.record_produce("other", "c", 5_000, 0)
    limited.record_request("other", "c", 500_000_000, 0)
    consumer = SimpleNamespace(client_id="c", connection=SimpleNamespace(principal="User:other"))
    limited.record_fetch(cast("Any", consumer), 100_000)
    found = scrape(quota_samples(limited, 0))
    user, client = {"user": "u", "client_id": ""}, {"user": "", "client_id": "c"}
    assert value(found, "kafka_server_produce_byte_rate", **user) == 2000
    assert value(found, "kafka_server_produce_throttle_time", **user) == 10_000
    assert value(found, "kafka_server_produce_byte_rate", **client) == 500
    assert value(found, "kafka_server_produce_throttle_time", **client) == 0
    assert value(found, "kafka_server_request_request_time", **client) == 5
    # It was not sent, so it does not count.
    assert value(found, "kafka_server_fetch_byte_rate", **client) == 0
    assert value(found, "kafka_server_fetch_throttle_time", **client) == 190_000


def test_clients_with_series_of_their_own_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pykbroker.runtime.figures.quotas.CLIENT_LIMIT", 3)
    limited = quotas()
    for number in range(5):
        limited.record_produce("other", f"c{number}", 1, 0)
    found = scrape(quota_samples(limited, 0))
    assert len([name for name, _ in found if name == "kafka_server_produce_byte_rate"]) == 3
    assert value(found, "pykbroker_metrics_left_out") == 2


def test_without_quotas_nobody_is_told_of() -> None:
    limited = Quotas(Settings({}), cast("Any", ManualClock()))
    limited.record_produce("u", "c", 1, 0)
    found = scrape(quota_samples(limited, 0))
    assert {name for name, _ in found} == {"pykbroker_metrics_left_out"}
