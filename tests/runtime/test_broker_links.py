"""Links to other brokers: opened when needed, opened again, and honest about what is not known."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from pykbroker.config.settings import DynamicSettings, Settings
from pykbroker.runtime.broker_link import BrokerLinks, LinkLost
from pykbroker.runtime.metadata import Images
from pykbroker.state.controller.image import BrokerImage, Endpoint, MetadataImage, replace
from pykbroker.state.controller.replay import difference
from pykbroker.state.errors import KafkaError
from pykbroker.state.types import NodeId
from tests.support.faulty_store import idle, until
from tests.support.manual_clock import ManualClock
from tests.support.peer_broker import FakeNetwork
from wire.apis import API_BY_KEY, ApiKey
from wire.errors import ErrorCode
from wire.messages.api_versions import ApiVersionsResponse
from wire.messages.broker_heartbeat import BrokerHeartbeatRequest, BrokerHeartbeatResponse
from wire.messages.heartbeat import HeartbeatRequest, HeartbeatResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import TaskGroup

    from tests.support.peer_broker import Asked
    from wire.schema import Response

pytestmark = pytest.mark.anyio
ME, OTHER = NodeId(1), NodeId(2)


def broker(epoch: int = 10, port: int = 9092, listener: str = "PLAINTEXT") -> BrokerImage:
    return BrokerImage(
        OTHER,
        epoch,
        bytes(16),
        (Endpoint("OUTSIDE", "outside", 1, 0), Endpoint(listener, "two", port, 0)),
    )


class World:
    """A broker's links, and what its calls came to."""

    def __init__(self, tasks: TaskGroup, **settings: str) -> None:
        self.clock = ManualClock()
        self.network = FakeNetwork()
        self.images = Images()
        self.publish(MetadataImage(brokers={OTHER: broker()}))
        named = {name.replace("_", "."): value for name, value in settings.items()}
        self.links = BrokerLinks(
            ME,
            self.network,
            self.clock,
            DynamicSettings(Settings(named)),
            self.images,
            tasks.start_soon,
        )
        self.link = self.links.open(OTHER, "test")
        self.ended: dict[str, Any] = {}
        self._tasks = tasks

    def publish(self, image: MetadataImage) -> None:
        self.images.publish(difference(self.images.current, image))

    def moved(self, **changes: Any) -> None:
        self.publish(replace(self.images.current, brokers={OTHER: broker(**changes)}))

    def start(self, name: str, *, timeout_ms: int = 1_000, request: Any = None) -> None:
        """A call in the background; ``ended`` has what becomes of it."""
        self._tasks.start_soon(self._call, name, timeout_ms, request)

    async def _call(self, name: str, timeout_ms: int, request: Any) -> None:
        asked = HeartbeatRequest(group_id=name) if request is None else request
        try:
            self.ended[name] = await self.link.call(asked, timeout_ms=timeout_ms)
        except (LinkLost, KafkaError) as error:
            self.ended[name] = error

    def lost(self, name: str) -> LinkLost:
        error = self.ended[name]
        assert isinstance(error, LinkLost)
        return error


@asynccontextmanager
async def world(**settings: str) -> AsyncIterator[World]:
    async with anyio.create_task_group() as tasks:
        made = World(tasks, **settings)
        yield made
        tasks.cancel_scope.cancel()


def agree(_: Asked) -> Response:
    return HeartbeatResponse()


async def test_nothing_is_opened_before_it_is_needed() -> None:
    async with world() as w:
        await idle()
        assert w.network.tried == 0
        assert not w.link.is_connected


async def test_a_call_connects_to_the_inter_broker_listener_and_is_answered() -> None:
    async with world() as w:
        w.network.respond = agree
        assert await w.link.call(HeartbeatRequest(), timeout_ms=1_000) == HeartbeatResponse()
        assert (w.network.peer.host, w.network.peer.port) == ("two", 9092)
        assert w.network.peer.asked[-1].client_id == "broker-1-test"
        await w.link.call(HeartbeatRequest(), timeout_ms=1_000)
        assert w.network.tried == 1, "one connection for all calls"


async def test_the_inter_broker_listener_is_the_one_that_is_set() -> None:
    settings = {
        "inter_broker_listener_name": "INSIDE",
        "listeners": "INSIDE://:9,PLAINTEXT://:10",
        "listener_security_protocol_map": "INSIDE:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    }
    async with world(**settings) as w:
        w.network.respond = agree
        with pytest.raises(LinkLost, match="no address"):
            await w.link.call(HeartbeatRequest(), timeout_ms=1_000)
        w.moved(listener="INSIDE")
        w.start("a")
        await idle()
        w.clock.advance(100)
        await until(lambda: "a" in w.ended)
        assert w.ended["a"] == HeartbeatResponse()


async def test_many_callers_share_one_attempt_and_their_requests_are_in_flight_together() -> None:
    async with world() as w:
        for name in "abc":
            w.start(name)
        await until(lambda: w.network.peers and len(w.network.peer.open_requests) == 3)
        assert w.network.tried == 1
        for asked in w.network.peer.open_requests:
            code = "abc".index(asked.request.group_id)  # type: ignore[attr-defined]
            asked.answer(HeartbeatResponse(error_code=code))
        await until(lambda: len(w.ended) == 3)
        assert [w.ended[name].error_code for name in "abc"] == [0, 1, 2]


async def test_links_of_different_purposes_are_different_connections() -> None:
    async with world() as w:
        w.network.respond = agree
        other = w.links.open(OTHER, "other")
        assert w.links.open(OTHER, "test") is w.link
        await w.link.call(HeartbeatRequest(), timeout_ms=1_000)
        await other.call(HeartbeatRequest(), timeout_ms=1_000)
        assert w.network.tried == 2


@pytest.mark.parametrize(
    ("theirs", "spoken"), [((0, 2), 2), ((0, 99), API_BY_KEY[ApiKey.HEARTBEAT].max_version)]
)
async def test_the_newest_version_that_both_have_is_spoken(
    theirs: tuple[int, int], spoken: int
) -> None:
    async with world() as w:
        w.network.respond = agree
        w.network.ranges[ApiKey.HEARTBEAT] = theirs
        await w.link.call(HeartbeatRequest(), timeout_ms=1_000)
        assert w.network.peer.asked[-1].version == spoken


@pytest.mark.parametrize("theirs", [None, (77, 99)])
async def test_without_a_version_in_common_nothing_is_asked(
    theirs: tuple[int, int] | None,
) -> None:
    async with world() as w:
        del w.network.ranges[ApiKey.HEARTBEAT]
        if theirs is not None:
            w.network.ranges[ApiKey.HEARTBEAT] = theirs
        with pytest.raises(KafkaError) as refused:
            await w.link.call(HeartbeatRequest(), timeout_ms=1_000)
        assert refused.value.code == ErrorCode.UNSUPPORTED_VERSION
        assert not w.network.peer.open_requests


async def test_what_brokers_alone_ask_is_spoken_in_its_newest_version() -> None:
    async with world() as w:
        w.network.respond = lambda _: BrokerHeartbeatResponse(is_fenced=False)
        response = await w.link.call(BrokerHeartbeatRequest(), timeout_ms=1_000)
        assert not response.is_fenced
        newest = API_BY_KEY[ApiKey.BROKER_HEARTBEAT].max_version
        assert w.network.peer.asked[-1].version == newest


async def test_a_broker_that_cannot_be_reached_is_not_asked_and_says_so() -> None:
    async with world() as w:
        w.network.refuses = OSError("refused")
        w.start("a")
        await until(lambda: "a" in w.ended)
        assert not w.lost("a").was_sent
        assert "refused" in str(w.lost("a"))


async def test_attempts_are_further_and_further_apart_and_then_near_again() -> None:
    async with world() as w:
        w.network.refuses = OSError("refused")
        waited = []
        for turn in range(8):
            w.start(f"{turn}", timeout_ms=60_000)
            await idle()
            begun_ms = w.clock.now_ms
            while f"{turn}" not in w.ended:
                w.clock.advance(10)
                await idle()
            waited.append(w.clock.now_ms - begun_ms)
            assert w.network.tried == turn + 1
        assert waited[0] == 0
        assert waited[1:6] == sorted(waited[1:6])
        assert 40 <= waited[1] <= 60
        assert 990 <= waited[6] <= waited[7] <= 1_010
        w.network.refuses, w.network.respond = None, agree
        w.start("again", timeout_ms=60_000)
        await idle()
        w.clock.advance(1_000)
        await until(lambda: "again" in w.ended)
        w.network.peer.hang_up()
        w.network.refuses = OSError("refused")
        w.start("first", timeout_ms=60_000)
        await until(lambda: "first" in w.ended)


async def test_whose_time_is_up_before_there_is_a_connection_was_not_heard() -> None:
    async with world() as w:
        w.network.shakes_hands = False
        w.start("short", timeout_ms=300)
        w.start("long", timeout_ms=20_000)
        await idle()
        w.clock.advance(300)
        await until(lambda: "short" in w.ended)
        assert not w.lost("short").was_sent
        assert "long" not in w.ended, "one caller's patience is not another's"
        w.clock.advance(9_700)
        await until(lambda: "long" in w.ended)
        assert "not connected within 10000 ms" in str(w.lost("long"))
        assert w.network.peer.is_closed


@pytest.mark.parametrize("kind", ["refused", "no broker", "hangs up"])
async def test_a_handshake_that_fails_is_no_connection(kind: str) -> None:
    async with world() as w:
        if kind == "no broker":
            w.network.ranges.clear()
        else:
            w.network.shakes_hands = False
        w.start("a", timeout_ms=5_000)
        await until(lambda: w.network.peers and w.network.peer.asked)
        if kind == "refused":
            code = ErrorCode.UNSUPPORTED_VERSION
            w.network.peer.asked[0].answer(ApiVersionsResponse(error_code=code))
        elif kind == "hangs up":
            w.network.peer.hang_up()
        await until(lambda: "a" in w.ended)
        assert not w.lost("a").was_sent
        assert w.network.peer.is_closed
        assert not w.link.is_connected


async def test_an_answer_that_is_late_is_lost_and_the_silent_connection_is_given_up() -> None:
    async with world() as w:
        w.start("a", timeout_ms=1_000)
        w.start("b", timeout_ms=5_000)
        await until(lambda: w.network.peers and len(w.network.peer.open_requests) == 2)
        w.clock.advance(1_000)
        await until(lambda: len(w.ended) == 2)
        assert w.lost("a").was_sent
        assert w.lost("b").was_sent
        assert w.network.peer.is_closed


async def test_a_connection_on_which_others_are_answered_is_kept() -> None:
    async with world() as w:
        w.start("first", timeout_ms=5_000)
        await until(lambda: w.network.peers and len(w.network.peer.open_requests) == 1)
        w.start("slow", timeout_ms=1_000)
        w.start("other", timeout_ms=5_000)
        await until(lambda: len(w.network.peer.open_requests) == 3)
        first, slow, other = w.network.peer.open_requests
        first.answer(HeartbeatResponse())
        await until(lambda: "first" in w.ended)
        w.clock.advance(1_000)
        await until(lambda: "slow" in w.ended)
        assert w.lost("slow").was_sent
        assert not w.network.peer.is_closed
        slow.answer(HeartbeatResponse(error_code=1))
        other.answer(HeartbeatResponse(error_code=2))
        await until(lambda: "other" in w.ended)
        assert w.ended["other"].error_code == 2, "the late answer is nobody's"


async def test_a_caller_that_is_gone_leaves_its_place_in_the_line() -> None:
    async with world() as w:
        scope = anyio.CancelScope()

        async def impatient() -> None:
            with scope:
                await w.link.call(HeartbeatRequest(group_id="gone"), timeout_ms=1_000)

        w._tasks.start_soon(impatient)
        await until(lambda: w.network.peers and w.network.peer.open_requests)
        w.start("next")
        await until(lambda: len(w.network.peer.open_requests) == 2)
        scope.cancel()
        await idle()
        for index, asked in enumerate(w.network.peer.open_requests):
            asked.answer(HeartbeatResponse(error_code=index))
        await until(lambda: "next" in w.ended)
        assert w.ended["next"].error_code == 1


async def test_after_the_connection_ended_the_next_call_opens_another() -> None:
    async with world() as w:
        w.start("a")
        await until(lambda: w.network.peers and w.network.peer.open_requests)
        w.network.peer.hang_up()
        await until(lambda: "a" in w.ended)
        assert w.lost("a").was_sent
        assert not w.link.is_connected
        w.network.respond = agree
        assert await w.link.call(HeartbeatRequest(), timeout_ms=1_000) == HeartbeatResponse()
        assert w.network.tried == 2


@pytest.mark.parametrize("change", [{"epoch": 11}, {"port": 9093}])
async def test_a_broker_that_moved_or_restarted_is_connected_to_anew(
    change: dict[str, int],
) -> None:
    async with world() as w:
        w.start("a")
        await until(lambda: w.network.peers and w.network.peer.open_requests)
        w.moved()
        await idle()
        assert "a" not in w.ended, "nothing has changed for this connection"
        w.moved(**change)
        await until(lambda: "a" in w.ended)
        assert w.lost("a").was_sent
        w.network.respond = agree
        await w.link.call(HeartbeatRequest(), timeout_ms=1_000)
        assert w.network.peer.port == change.get("port", 9092)


async def test_an_attempt_to_where_the_broker_was_is_made_anew_at_once() -> None:
    async with world() as w:
        w.network.shakes_hands = False
        w.start("a", timeout_ms=60_000)
        await until(lambda: w.network.peers)
        stale = w.network.peer
        w.network.shakes_hands, w.network.respond = True, agree
        w.moved(port=9093)
        await until(lambda: "a" in w.ended)
        assert isinstance(w.ended["a"], HeartbeatResponse)
        assert stale.is_closed
        assert w.network.peer.port == 9093


async def test_an_attempt_to_a_broker_that_is_gone_by_then_is_lost() -> None:
    async with world() as w:
        w.network.shakes_hands = False
        w.start("a", timeout_ms=60_000)
        await until(lambda: w.network.peers)
        w.publish(replace(w.images.current, brokers={}))
        await until(lambda: "a" in w.ended)
        assert not w.lost("a").was_sent


async def test_a_broker_that_is_forgotten_has_no_address() -> None:
    async with world() as w:
        w.start("a")
        await until(lambda: w.network.peers and w.network.peer.open_requests)
        w.publish(replace(w.images.current, brokers={}))
        await until(lambda: "a" in w.ended)
        with pytest.raises(LinkLost, match="no address"):
            await w.link.call(HeartbeatRequest(), timeout_ms=5_000)


async def test_a_controller_is_found_where_it_says() -> None:
    async with world() as w:
        w.network.respond = agree
        endpoint = Endpoint("CONTROLLER", "office", 9099, 0)
        w.publish(
            MetadataImage(
                controller_id=NodeId(9), controller_epoch=3, controller_endpoints=(endpoint,)
            )
        )
        link = w.links.open(NodeId(9), "test")
        await link.call(HeartbeatRequest(), timeout_ms=1_000)
        assert (w.network.peer.host, w.network.peer.port) == ("office", 9099)


async def test_a_closed_link_loses_everything_and_opens_no_more() -> None:
    async with world() as w:
        w.start("a")
        await until(lambda: w.network.peers and w.network.peer.open_requests)
        w.links.close()
        await until(lambda: "a" in w.ended)
        assert w.lost("a").was_sent
        for link in (w.link, w.links.open(OTHER, "test"), w.links.open(OTHER, "late")):
            with pytest.raises(LinkLost) as lost:
                await link.call(HeartbeatRequest(), timeout_ms=1_000)
            assert not lost.value.was_sent
        assert w.network.tried == 1


async def test_one_link_closed_gives_way_to_a_new_one() -> None:
    async with world() as w:
        w.network.respond = agree
        w.link.close()
        again = w.links.open(OTHER, "test")
        assert again is not w.link
        assert await again.call(HeartbeatRequest(), timeout_ms=1_000) == HeartbeatResponse()
