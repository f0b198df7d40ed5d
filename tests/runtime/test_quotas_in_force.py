"""What is recorded for each request, and what its answer and its connection get to feel."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from pykbroker.config.settings import Settings
from pykbroker.runtime.quotas import Quotas
from pykbroker.state.errors import KafkaError
from tests.support.images import delta_between, entity, image_with
from tests.support.manual_clock import ManualClock
from wire.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Mapping

PRODUCE, FETCH, METADATA, VOTE = 0, 1, 3, 52


def context(api_key: int = PRODUCE, **values: Any) -> Any:
    made = SimpleNamespace(
        api_key=api_key,
        api_version=9,
        client_id="c",
        connection=SimpleNamespace(principal="User:u"),
        request_bytes=0,
        busy_ns=0,
        is_exempt=False,
    )
    vars(made).update(values)
    return made


def response() -> Any:
    return SimpleNamespace(throttle_time_ms=0)


def quotas(
    limits: Mapping[str, float], clock: ManualClock | None = None, **parts: str | None
) -> Quotas:
    made = Quotas(Settings({}), cast("Any", clock or ManualClock()))
    made.update({entity(**(parts or {"user": "u"})): dict(limits)})
    return made


def test_without_any_quota_nothing_is_recorded() -> None:
    idle = quotas({})
    answer = response()
    assert not idle.active
    assert not idle.measures_time
    assert idle.request_done(context(request_bytes=1 << 40), answer) == 0
    assert idle.record_fetch(context(FETCH), 1 << 40) == 0
    assert idle.max_fetch_bytes(context(FETCH), 77) == 77


def test_a_throttled_producer_is_told_so_and_its_connection_mute_for_as_long() -> None:
    limited = quotas({"producer_byte_rate": 1000.0})
    answer = response()
    assert limited.request_done(context(request_bytes=10_000), answer) == 0
    assert answer.throttle_time_ms == 0
    throttle_ms = limited.request_done(context(request_bytes=10_000), answer)
    assert throttle_ms == answer.throttle_time_ms == 10_000
    assert list(limited.produce.used(0)) == [("u", "", 2000.0, 10_000.0)]


def test_producers_without_acks_are_throttled_without_an_answer() -> None:
    limited = quotas({"producer_byte_rate": 1000.0})
    assert limited.request_done(context(request_bytes=20_000), None) == 10_000


def test_other_requests_do_not_count_as_produced() -> None:
    limited = quotas({"producer_byte_rate": 1000.0})
    assert limited.request_done(context(METADATA, request_bytes=1 << 30), response()) == 0


def test_other_users_are_not_throttled() -> None:
    limited = quotas({"producer_byte_rate": 1000.0})
    other = context(request_bytes=1 << 30, connection=SimpleNamespace(principal="User:v"))
    assert limited.request_done(other, response()) == 0


def test_clients_are_told_apart_by_their_id() -> None:
    limited = quotas({"producer_byte_rate": 1000.0}, client_id="c")
    assert limited.request_done(context(request_bytes=20_000), response()) == 10_000
    for client_id in ("d", "", None):
        other = context(request_bytes=20_000, client_id=client_id)
        assert limited.request_done(other, response()) == 0


def test_a_throttled_fetch_is_not_counted_for_it_is_answered_empty() -> None:
    limited = quotas({"consumer_byte_rate": 1000.0})
    assert limited.record_fetch(context(FETCH), 10_000) == 0
    assert limited.record_fetch(context(FETCH), 5_000) == 5_000
    assert limited.record_fetch(context(FETCH), 5_000) == 5_000


def test_a_fetch_takes_no_more_than_its_window_allows() -> None:
    limited = quotas({"consumer_byte_rate": 1000.0})
    assert limited.max_fetch_bytes(context(FETCH), 1 << 20) == 10_000
    assert limited.max_fetch_bytes(context(FETCH), 500) == 500


def test_a_consumer_gets_its_quota_within_15_percent() -> None:
    clock = ManualClock(0)
    limited = quotas({"consumer_byte_rate": 100_000.0}, clock)
    received = 0
    while clock.now_ms < 30_000:
        throttle_ms = limited.record_fetch(context(FETCH), 20_000)
        if throttle_ms == 0 and clock.now_ms >= 20_000:
            received += 20_000
        clock.advance(throttle_ms + 1)
    assert received / 10 == pytest.approx(100_000, rel=0.15)


def test_what_the_handler_found_is_kept_where_it_is_longer() -> None:
    limited = quotas({"consumer_byte_rate": 1000.0})
    answer = response()
    answer.throttle_time_ms = 700
    assert limited.request_done(context(FETCH), answer) == 700
    assert answer.throttle_time_ms == 700


def test_answers_without_a_throttle_time_mute_all_the_same() -> None:
    limited = quotas({"request_percentage": 1.0})
    busy = context(17, busy_ns=1_000_000_000)
    assert limited.request_done(busy, SimpleNamespace()) > 0


def test_request_time_counts_in_percent_of_one_thread_and_owes_one_window_at_most() -> None:
    limited = quotas({"request_percentage": 10.0})
    assert limited.measures_time
    assert limited.request_done(context(METADATA, busy_ns=900_000_000), response()) == 0
    assert limited.request_done(context(METADATA, busy_ns=500_000_000), response()) == 1000
    assert [used.throttle_ms for used in limited.request.used(0)] == [1000]


def test_brokers_requests_are_exempt_from_request_time() -> None:
    limited = quotas({"request_percentage": 1.0}, user=None)
    assert limited.request_done(context(VOTE, busy_ns=10**12), response()) == 0
    follower = context(FETCH, busy_ns=10**12, is_exempt=True)
    assert limited.request_done(follower, response()) == 0
    assert limited.request_done(context(METADATA, busy_ns=10**12), response()) > 0


def test_strict_mutations_are_refused_with_their_error() -> None:
    clock = ManualClock(0)
    limited = quotas({"controller_mutation_rate": 1.0}, clock)
    request = limited.controller_mutation(context(19, api_version=6), strict_since=6)
    request.record(15)
    assert request.throttle_ms == 0
    with pytest.raises(KafkaError) as caught:
        request.record(1)
    assert caught.value.code == ErrorCode.THROTTLING_QUOTA_EXCEEDED
    assert request.throttle_ms == 4000
    clock.advance(4000)
    limited.controller_mutation(context(19, api_version=6), strict_since=6).record(1)


def test_old_clients_are_throttled_afterwards() -> None:
    limited = quotas({"controller_mutation_rate": 1.0})
    request = limited.controller_mutation(context(19, api_version=5), strict_since=6)
    request.record(15)
    request.record(1)
    assert request.throttle_ms == 5000


def test_without_a_quota_mutations_are_free() -> None:
    request = quotas({}).controller_mutation(context(19), strict_since=6)
    for _ in range(100):
        request.record(10_000)
    assert request.throttle_ms == 0


def test_quotas_follow_the_metadata() -> None:
    made = Quotas(Settings({}), cast("Any", ManualClock()))
    empty = image_with()
    limited = image_with(quotas={entity(user=None): {"producer_byte_rate": 10.0}})
    made.apply(delta_between(empty, limited))
    assert made.active
    made.apply(delta_between(limited, limited))
    assert made.active
    made.apply(delta_between(limited, empty))
    assert not made.active


def test_window_settings_shape_the_rate() -> None:
    settings = Settings({"quota.window.num": "2", "quota.window.size.seconds": "1"})
    made = Quotas(settings, cast("Any", ManualClock()))
    made.update({entity(user="u"): {"producer_byte_rate": 1000.0}})
    assert made.request_done(context(request_bytes=2000), response()) == 1000
