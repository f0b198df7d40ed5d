"""How a connection ends on which something impossible came: behind the answers that are due."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

import pykbroker.handlers.api_versions  # noqa: F401
from pykbroker.handlers.api import HANDLERS, CloseConnection
from pykbroker.handlers.connections import FRAME_COMPLETION_MS, Connections
from pykbroker.runtime.waiters import Deferral
from tests.support.admin import AdminBroker
from tests.support.connected_client import Client, framed
from wire.apis import ApiKey
from wire.messages.api_versions import ApiVersionsResponse

if TYPE_CHECKING:
    from collections.abc import Callable

TOO_LARGE = b"\x7f\xff\xff\xff"
UNKNOWN_API = framed(b"\x7f\x00" + bytes(6) + b"\xff\xff")
UNREADABLE = framed(b"\x00")


def api_versions(correlation_id: int = 0) -> bytes:
    head = ApiKey.API_VERSIONS.to_bytes(2, "big") + bytes(2)
    return framed(head + correlation_id.to_bytes(4, "big") + b"\xff\xff")


class Scene:
    """One client of a broker whose ApiVersions may be made to wait."""

    def __init__(self) -> None:
        self.broker = AdminBroker()
        self.client = Client(Connections(cast("Any", self.broker)))
        self.deferrals: list[Deferral[Any]] = []

    def defer(self, request: Any, context: Any) -> Deferral[Any]:
        self.deferrals.append(Deferral())
        return self.deferrals[-1]

    def answer(self) -> None:
        self.deferrals.pop(0).complete(ApiVersionsResponse())


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def handle_by(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    return lambda handler: monkeypatch.setitem(HANDLERS, ApiKey.API_VERSIONS, handler)


@pytest.mark.parametrize("end", [TOO_LARGE, UNKNOWN_API, UNREADABLE])
def test_what_came_before_in_the_same_read_is_answered(scene: Scene, end: bytes) -> None:
    scene.client.send_bytes(api_versions() + api_versions() + end)
    assert len(scene.client.take_answers()) == 2
    assert not scene.client.is_open


@pytest.mark.parametrize("end", [TOO_LARGE, UNKNOWN_API, UNREADABLE])
def test_answers_that_come_later_are_waited_for(
    scene: Scene, end: bytes, handle_by: Callable[[Any], None]
) -> None:
    handle_by(scene.defer)
    client = scene.client
    client.send_bytes(api_versions() + api_versions() + end)
    assert client.is_open
    assert not client.transport.reading
    client.send_bytes(api_versions())  # It may have been read before reading stopped.
    assert len(scene.deferrals) == 2
    scene.broker.clock.advance(2 * FRAME_COMPLETION_MS)
    scene.answer()
    assert client.is_open
    scene.answer()
    assert not client.is_open
    assert len(client.take_answers()) == 2


def test_a_request_that_closes_the_connection_waits_for_those_before_it(
    scene: Scene, handle_by: Callable[[Any], None]
) -> None:
    def close_at_the_second(request: Any, context: Any) -> Any:
        if scene.deferrals:
            raise CloseConnection
        return scene.defer(request, context)

    handle_by(close_at_the_second)
    scene.client.send_bytes(api_versions() + api_versions() + api_versions())
    assert scene.client.is_open
    scene.answer()
    assert len(scene.client.take_answers()) == 1
    assert not scene.client.is_open


def test_a_client_that_leaves_meanwhile_is_forgotten(
    scene: Scene, handle_by: Callable[[Any], None]
) -> None:
    handle_by(scene.defer)
    scene.client.send_bytes(api_versions() + TOO_LARGE)
    scene.client.leave()
    assert scene.deferrals[0].done


def test_a_frame_is_not_late_while_nothing_is_read(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    throttles = [2 * FRAME_COMPLETION_MS, 0]
    monkeypatch.setattr(scene.broker.quotas, "active", True)
    monkeypatch.setattr(scene.broker.quotas, "request_done", lambda *_: throttles.pop(0))
    scene.client.send_bytes(api_versions() + api_versions()[:5])
    scene.broker.clock.advance(2 * FRAME_COMPLETION_MS)
    assert scene.client.is_served
    scene.client.send_bytes(api_versions()[5:])
    assert len(scene.client.take_answers()) == 2
    scene.client.send_bytes(api_versions()[:5])
    scene.broker.clock.advance(2 * FRAME_COMPLETION_MS)
    assert not scene.client.is_open


def test_of_two_throttle_times_the_one_that_ends_later_counts(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, handle_by: Callable[[Any], None]
) -> None:
    throttles = [5_000, 1_000, 6_000]
    monkeypatch.setattr(scene.broker.quotas, "active", True)
    monkeypatch.setattr(scene.broker.quotas, "request_done", lambda *_: throttles.pop(0))
    handle_by(scene.defer)
    scene.client.send_bytes(api_versions() * 3)
    for _ in range(3):
        scene.answer()
        scene.broker.clock.advance(500)
    scene.broker.clock.advance(5_499)
    assert not scene.client.transport.reading
    scene.broker.clock.advance(1)
    assert scene.client.transport.reading


def test_a_shorter_throttle_time_does_not_end_a_longer_one(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, handle_by: Callable[[Any], None]
) -> None:
    throttles = [5_000, 1_000]
    monkeypatch.setattr(scene.broker.quotas, "active", True)
    monkeypatch.setattr(scene.broker.quotas, "request_done", lambda *_: throttles.pop(0))
    handle_by(scene.defer)
    scene.client.send_bytes(api_versions() * 2)
    scene.answer()
    scene.answer()
    scene.broker.clock.advance(4_999)
    assert not scene.client.transport.reading
    scene.broker.clock.advance(1)
    assert scene.client.transport.reading
