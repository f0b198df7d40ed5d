"""The image follows the store without gaps, and those who asked hear of it in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from pykbroker.edges.metadata_store.memory import MemoryStore
from pykbroker.ports import Put
from pykbroker.runtime.metadata import Images, MetadataFollower
from pykbroker.state.controller.facts import encode_value
from pykbroker.state.controller.keys import feature_key
from tests.support.faulty_store import FaultyStore, idle, until
from tests.support.manual_clock import ManualClock
from wire.messages.metadata_records import FeatureLevelRecord

if TYPE_CHECKING:
    from pykbroker.state.controller.image import MetadataDelta

pytestmark = pytest.mark.anyio


class Setup:
    def __init__(self, history_events: int = 100) -> None:
        self.clock = ManualClock()
        self.store = FaultyStore(MemoryStore(self.clock, history_events=history_events))
        self.images = Images()
        self.follower = MetadataFollower(self.store, self.images, self.clock)

    async def feature(self, name: str, level: int = 1) -> int:
        record = FeatureLevelRecord(name=name, feature_level=level)
        result = await self.store.inner.transact((), [Put(feature_key(name), encode_value(record))])
        return result.revision


async def test_what_is_there_is_read_and_what_comes_is_followed() -> None:
    setup = Setup()
    await setup.feature("a")
    await setup.follower.load()
    assert setup.images.current.features == {"a": 1}
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(setup.follower.run)
        revision = await setup.feature("b")
        image = await setup.images.wait_for(revision)
        assert image.features == {"a": 1, "b": 1}
        tasks.cancel_scope.cancel()


async def test_subscribers_act_on_the_new_image_before_anybody_who_waits() -> None:
    setup = Setup()
    await setup.follower.load()
    told: list[str] = []

    def subscriber(name: str, delta: MetadataDelta) -> None:
        assert setup.images.current is delta.after
        told.append(name)

    setup.images.subscribe(lambda delta: subscriber("first", delta))
    setup.images.subscribe(lambda delta: subscriber("second", delta))

    async def wait() -> None:
        await setup.images.wait_for(2)
        told.append("waiting")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(setup.follower.run)
        tasks.start_soon(wait)
        await idle()
        assert told == []
        await setup.feature("a")
        await until(lambda: len(told) == 3)
        tasks.cancel_scope.cancel()
    assert told == ["first", "second", "waiting"]


async def test_waiting_for_the_past_does_not_wait() -> None:
    setup = Setup()
    await setup.feature("a")
    await setup.follower.load()
    assert (await setup.images.wait_for(1)).revision == 2


async def test_who_stops_waiting_leaves_nothing_behind() -> None:
    setup = Setup()
    with anyio.move_on_after(0.001):
        await setup.images.wait_for(99)
    assert not setup.images._waiting


async def test_after_a_gap_everything_is_read_again_and_the_difference_told() -> None:
    setup = Setup(history_events=2)
    await setup.feature("old")
    await setup.follower.load()
    deltas: list[MetadataDelta] = []
    setup.images.subscribe(deltas.append)
    for n in range(9):
        await setup.feature(f"f{n}")
    setup.clock.advance(5_000)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(setup.follower.run)
        await setup.images.wait_for(11)
        assert len(setup.images.current.features) == 10
        assert [d.features_changed for d in deltas] == [True]
        assert setup.follower.loaded_ms == setup.clock.now_ms
        await setup.feature("next")
        await setup.images.wait_for(12)
        tasks.cancel_scope.cancel()


async def test_a_store_that_is_away_is_asked_again() -> None:
    setup = Setup(history_events=2)
    await setup.follower.load()
    setup.store.down = True
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(setup.follower.run)
        for n in range(9):
            await setup.feature(f"f{n}")
        for _ in range(5):
            await idle()
            setup.clock.advance(250)
        assert setup.images.current.features == {}
        setup.store.down = False
        setup.clock.advance(250)
        await setup.images.wait_for(10)
        tasks.cancel_scope.cancel()
