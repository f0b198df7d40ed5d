"""A lease is acted on only while the store cannot have given it away."""

from __future__ import annotations

import anyio
import pytest

from pykbroker.edges.metadata_store.memory import MemoryStore
from pykbroker.runtime.lease import Lease, LeaseLost
from tests.support.faulty_store import FaultyStore, idle, until
from tests.support.manual_clock import ManualClock

pytestmark = pytest.mark.anyio
TTL_MS = 9_000
INTERVAL_MS = 60_000
"""More than the rule allows: a third of the time to live counts."""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> FaultyStore:
    return FaultyStore(MemoryStore(clock))


async def test_it_is_held_until_a_margin_before_its_end(
    clock: ManualClock, store: FaultyStore
) -> None:
    lease = await Lease.grant(store, clock, TTL_MS, INTERVAL_MS)
    clock.advance(8_099)
    assert lease.is_held
    clock.advance(1)
    assert not lease.is_held
    assert await store.renew_lease(lease.id), "the store would still have it"


async def test_it_is_renewed_in_time_for_ever(clock: ManualClock, store: FaultyStore) -> None:
    lease = await Lease.grant(store, clock, TTL_MS, INTERVAL_MS)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lease.keep)
        for _ in range(20):
            await idle()
            clock.advance(3_000)
            assert lease.is_held
        tasks.cancel_scope.cancel()


async def keep(lease: Lease, lost: list[LeaseLost]) -> None:
    try:
        await lease.keep()
    except LeaseLost as error:
        lost.append(error)


async def test_time_counts_from_the_sending_of_the_renewal(
    clock: ManualClock, store: FaultyStore
) -> None:
    lease = await Lease.grant(store, clock, TTL_MS, INTERVAL_MS)
    answer = anyio.Event()
    renew = store.renew_lease

    async def slow(lease_id: int) -> bool:
        renewed = await renew(lease_id)
        await answer.wait()
        return renewed

    store.renew_lease = slow  # type: ignore[method-assign]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep, lease, [])
        await idle()
        clock.advance(3_000)
        await idle()
        clock.advance(2_000)
        answer.set()
        await idle()
        clock.advance(6_099)
        assert lease.is_held
        clock.advance(1)
        assert not lease.is_held, "8100 ms after the renewal was sent"
        tasks.cancel_scope.cancel()


async def test_an_answer_that_comes_too_late_does_not_bring_it_back(
    clock: ManualClock, store: FaultyStore
) -> None:
    """Meanwhile its holder may have given up what depends on it."""
    lease, lost = await Lease.grant(store, clock, TTL_MS, INTERVAL_MS), []
    answer = anyio.Event()
    renew = store.renew_lease

    async def slow(lease_id: int) -> bool:
        renewed = await renew(lease_id)
        await answer.wait()
        return renewed

    store.renew_lease = slow  # type: ignore[method-assign]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep, lease, lost)
        await idle()
        clock.advance(3_000)
        await idle()
        clock.advance(5_100)
        assert not lease.is_held
        answer.set()
        await until(lambda: lost)
        assert not lease.is_held


async def test_a_store_that_is_away_is_asked_again_until_time_is_up(
    clock: ManualClock, store: FaultyStore
) -> None:
    lease, lost = await Lease.grant(store, clock, TTL_MS, INTERVAL_MS), []
    store.down = True
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep, lease, lost)
        for _ in range(80):
            await idle()
            assert not lost
            assert lease.is_held
            clock.advance(100)
        await idle()
        clock.advance(100)
        await until(lambda: lost)
    assert not lease.is_held


async def test_a_store_that_comes_back_in_time_is_no_loss(
    clock: ManualClock, store: FaultyStore
) -> None:
    lease, lost = await Lease.grant(store, clock, TTL_MS, INTERVAL_MS), []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep, lease, lost)
        store.down = True
        for step in range(200):
            await idle()
            store.down = step < 60
            clock.advance(100)
        assert not lost
        assert lease.is_held
        tasks.cancel_scope.cancel()


async def test_a_lease_that_the_store_forgot_is_lost_at_the_next_renewal(
    clock: ManualClock, store: FaultyStore
) -> None:
    lease, lost = await Lease.grant(store, clock, TTL_MS, INTERVAL_MS), []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep, lease, lost)
        await store.inner.revoke_lease(lease.id)
        await idle()
        clock.advance(3_000)
        await until(lambda: lost)


async def test_one_that_was_given_up_is_not_held(clock: ManualClock, store: FaultyStore) -> None:
    lease = await Lease.grant(store, clock, TTL_MS, INTERVAL_MS)
    await lease.revoke()
    assert not lease.is_held
    assert not await store.renew_lease(lease.id)


async def test_it_is_renewed_as_often_as_is_wished(clock: ManualClock, store: FaultyStore) -> None:
    lease = await Lease.grant(store, clock, TTL_MS, 500)
    renewals: list[int] = []
    renew = store.renew_lease

    async def counted(lease_id: int) -> bool:
        renewals.append(clock.now_ms)
        return await renew(lease_id)

    store.renew_lease = counted  # type: ignore[method-assign]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lease.keep)
        for _ in range(8):
            await idle()
            clock.advance(250)
        await idle()
        tasks.cancel_scope.cancel()
    assert renewals == [1_500, 2_000, 2_500, 3_000]
