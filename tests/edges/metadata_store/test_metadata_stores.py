"""What every metadata store promises, asked of each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from pykbroker.ports import (
    Compare,
    Delete,
    KeyValue,
    MetadataStore,
    Put,
    StoreEvent,
    StoreUnavailable,
    StoreUpdate,
    WatchCompacted,
)
from tests.support.manual_clock import ManualClock
from tests.support.metadata_stores import ALL, ETCD, LOCAL, Backend, Members

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(scope="session")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Members]:
    members = Members(tmp_path_factory.mktemp)
    yield members
    members.kill()


@pytest.fixture(params=ALL)
def open_store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock, members: Members
) -> Backend:
    return Backend(request.param, tmp_path, clock, members)


LOCAL_ONLY = pytest.mark.parametrize("open_store", LOCAL, indirect=True)
"""What takes a clock that the test moves, or a short history."""


async def put(store: MetadataStore, key: str, value: bytes = b"v", lease: int = 0) -> int:
    result = await store.transact((), [Put(key, value, lease)])
    assert result.succeeded
    return result.revision


async def keys(store: MetadataStore, prefix: str = "/") -> list[str]:
    return [item.key for item in (await store.read(prefix)).items]


async def settled(condition: Callable[[], object]) -> None:
    with anyio.fail_after(60):
        while not condition():
            await anyio.sleep(0.001)


async def test_an_empty_store_has_revision_1_and_nothing_in_it(open_store: Backend) -> None:
    async with open_store() as store:
        snapshot = await store.read("/")
        assert (snapshot.revision, snapshot.items) == (1, ())


async def test_each_transaction_is_one_revision_and_items_remember_theirs(
    open_store: Backend,
) -> None:
    async with open_store() as store:
        assert await put(store, "/a", b"1") == 2
        result = await store.transact((), [Put("/b", b"2"), Put("/a", b"3")])
        assert result == (True, 3)
        assert (await store.read("/")).items == (
            KeyValue("/a", b"3", 2, 3),
            KeyValue("/b", b"2", 3, 3),
        )


async def test_a_key_created_again_has_a_new_create_revision(open_store: Backend) -> None:
    async with open_store() as store:
        await put(store, "/a")
        await store.transact((), [Delete("/a")])
        revision = await put(store, "/a")
        assert (await store.read("/a")).items == (KeyValue("/a", b"v", revision, revision),)


async def test_read_takes_exactly_the_prefix_sorted(open_store: Backend) -> None:
    async with open_store() as store:
        for key in ("/a/2", "/a/10", "/b", "/a", "/a/\u00e9", "/a/\U0001f600"):
            await put(store, key)
        assert await keys(store, "/a/") == ["/a/10", "/a/2", "/a/\u00e9", "/a/\U0001f600"]
        assert (await store.read("/c")).items == ()


@pytest.mark.parametrize(
    "compare", [Compare("/a", 0), Compare("/a", 99), Compare("/absent", 2), Compare("/a", 2)]
)
async def test_a_transaction_whose_compare_fails_changes_nothing(
    open_store: Backend, compare: Compare
) -> None:
    async with open_store() as store:
        await put(store, "/a")
        await put(store, "/a", b"newer")
        result = await store.transact(
            [Compare("/a", 3), compare], [Put("/a", b"x"), Put("/z", b"")]
        )
        assert result == (False, 3)
        assert (await store.read("/")).items == (KeyValue("/a", b"newer", 2, 3),)


async def test_compares_hold_for_absent_and_unchanged_keys(open_store: Backend) -> None:
    async with open_store() as store:
        await put(store, "/a")
        result = await store.transact([Compare("/a", 2), Compare("/b", 0)], [Put("/b", b"x")])
        assert result == (True, 3)


async def test_nothing_changed_is_no_revision(open_store: Backend) -> None:
    async with open_store() as store:
        assert await store.transact((), []) == (True, 1)
        assert await store.transact((), [Delete("/absent")]) == (True, 1)
        assert await store.transact([Compare("/a", 5)], []) == (False, 1)


async def test_misuse_is_an_error_and_changes_nothing(open_store: Backend) -> None:
    async with open_store(max_operations=2) as store:
        with pytest.raises(ValueError):
            await store.transact((), [Put("/a", b""), Delete("/a")])
        with pytest.raises(ValueError):
            await store.transact((), [Put(f"/{n}", b"") for n in range(3)])
        with pytest.raises(ValueError):
            await store.grant_lease(0)
        assert await store.read("/") == (1, ())


async def test_of_two_rivals_for_an_absent_key_one_wins(open_store: Backend) -> None:
    async with open_store() as store:
        outcomes = []

        async def rival(value: bytes) -> None:
            result = await store.transact([Compare("/k", 0)], [Put("/k", value)])
            outcomes.append(result.succeeded)

        async with anyio.create_task_group() as tasks:
            for n in range(10):
                tasks.start_soon(rival, b"%d" % n)
        assert sorted(outcomes) == [False] * 9 + [True]


@LOCAL_ONLY
async def test_a_lease_that_runs_out_takes_its_keys_in_one_revision(
    open_store: Backend, clock: ManualClock
) -> None:
    async with open_store() as store, store.watch("/", 2) as watch:
        lease = await store.grant_lease(1_000)
        await store.transact((), [Put("/a", b"", lease), Put("/b", b"", lease), Put("/c", b"")])
        await watch.__anext__()
        clock.advance(1_000)
        with anyio.fail_after(60):
            update = await watch.__anext__()
        assert update.revision == 3
        assert sorted(update.events) == [
            StoreEvent("/a", None, 0, 3),
            StoreEvent("/b", None, 0, 3),
        ]
        assert await keys(store) == ["/c"]
        assert not await store.renew_lease(lease)


@LOCAL_ONLY
async def test_no_call_sees_a_key_whose_lease_has_run_out(
    open_store: Backend, clock: ManualClock
) -> None:
    """Even when the timer has not fired yet."""
    async with open_store() as store:
        lease = await store.grant_lease(1_000)
        await put(store, "/a", lease=lease)
        clock.now_ms += 1_000
        assert not await store.renew_lease(lease)
        assert (await store.transact([Compare("/a", 0)], [Put("/b", b"")])).succeeded
        assert await keys(store) == ["/b"]


@LOCAL_ONLY
async def test_renewals_keep_a_lease(open_store: Backend, clock: ManualClock) -> None:
    async with open_store() as store:
        lease = await store.grant_lease(1_000)
        await put(store, "/a", lease=lease)
        for _ in range(5):
            clock.advance(900)
            await checkpoint()
            assert await store.renew_lease(lease)
            assert await keys(store) == ["/a"]
        clock.advance(1_000)
        assert await keys(store) == []


@LOCAL_ONLY
async def test_leases_run_out_each_at_its_own_time(open_store: Backend, clock: ManualClock) -> None:
    async with open_store() as store:
        for ttl_ms in (3_000, 1_000, 2_000):
            await put(store, f"/{ttl_ms}", lease=await store.grant_lease(ttl_ms))
        for left in (["/2000", "/3000"], ["/3000"], []):
            clock.advance(1_000)
            assert await keys(store) == left


async def test_a_revoked_lease_takes_its_keys(open_store: Backend) -> None:
    async with open_store() as store:
        lease = await store.grant_lease(1_000)
        await put(store, "/a", lease=lease)
        await store.revoke_lease(lease)
        await store.revoke_lease(lease)
        assert await keys(store) == []
        assert not await store.renew_lease(lease)


async def test_putting_under_a_lease_that_is_gone_is_refused_whole(open_store: Backend) -> None:
    async with open_store() as store:
        lease = await store.grant_lease(1_000)
        await store.revoke_lease(lease)
        result = await store.transact((), [Put("/a", b""), Put("/b", b"", lease)])
        assert result == (False, 1)
        assert await keys(store) == []


async def test_the_last_put_says_whose_lease_a_key_is_under(open_store: Backend) -> None:
    async with open_store() as store:
        one, two = await store.grant_lease(1_000), await store.grant_lease(1_000)
        await put(store, "/a", lease=one)
        await put(store, "/a", lease=two)
        await put(store, "/b", lease=one)
        await put(store, "/b")
        await store.revoke_lease(one)
        assert await keys(store) == ["/a", "/b"]
        await store.revoke_lease(two)
        assert await keys(store) == ["/b"]


async def test_a_watch_gives_the_past_from_its_revision_then_the_present(
    open_store: Backend,
) -> None:
    async with open_store() as store:
        for n in range(4):
            await put(store, f"/{n}")
        seen: list[StoreUpdate] = []

        async def follow() -> None:
            async with store.watch("/", 3) as watch:
                async for update in watch:
                    seen.append(update)  # noqa: PERF401

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow)
            await settled(lambda: len(seen) == 3)
            await put(store, "/4")
            await settled(lambda: len(seen) == 4)
            tasks.cancel_scope.cancel()
        assert [u.revision for u in seen] == [3, 4, 5, 6]
        assert seen[0].events == (StoreEvent("/1", b"v", 3, 3),)


async def test_a_watch_sees_only_its_prefix(open_store: Backend) -> None:
    async with open_store() as store, store.watch("/b/", 2) as watch:
        await put(store, "/a/1")
        await store.transact((), [Put("/a/2", b""), Put("/b/1", b"x")])
        await put(store, "/b")
        await put(store, "/b/2", b"y")
        assert (await watch.__anext__()).events == (StoreEvent("/b/1", b"x", 3, 3),)
        assert (await watch.__anext__()).events == (StoreEvent("/b/2", b"y", 5, 5),)


async def test_a_watch_may_begin_in_the_future(open_store: Backend) -> None:
    async with open_store() as store, store.watch("/", 4) as watch:
        for n in range(4):
            await put(store, f"/{n}")
        assert (await watch.__anext__()).revision == 4


async def test_deletions_of_absent_keys_make_no_event(open_store: Backend) -> None:
    async with open_store() as store, store.watch("/", 2) as watch:
        await put(store, "/a")
        await store.transact((), [Delete("/absent"), Delete("/a")])
        await watch.__anext__()
        assert await watch.__anext__() == (3, (StoreEvent("/a", None, 0, 3),))


@LOCAL_ONLY
async def test_a_watch_behind_the_history_is_told_so(open_store: Backend) -> None:
    async with open_store(history_events=3) as store:
        for n in range(6):
            await put(store, f"/{n}")
        async with store.watch("/", 2) as late:
            with pytest.raises(WatchCompacted):
                await late.__anext__()
        async with store.watch("/", 5) as watch:
            assert [(await watch.__anext__()).revision for _ in range(3)] == [5, 6, 7]


@pytest.mark.parametrize("open_store", LOCAL[:2], indirect=True)
async def test_a_watch_that_lags_behind_the_history_is_told_so(open_store: Backend) -> None:
    async with open_store(history_events=3) as store, store.watch("/", 2) as slow:
        for n in range(6):
            await put(store, f"/{n}")
        with pytest.raises(WatchCompacted):
            await slow.__anext__()


@LOCAL_ONLY
async def test_the_newest_update_is_kept_whatever_its_size(open_store: Backend) -> None:
    async with open_store(history_events=3) as store, store.watch("/", 2) as watch:
        await store.transact((), [Put(f"/{n}", b"") for n in range(9)])
        assert len((await watch.__anext__()).events) == 9


async def test_compaction_ends_watches_that_needed_the_past(open_store: Backend) -> None:
    async with open_store() as store:
        for n in range(4):
            await put(store, f"/{n}")
        await open_store.compact(4)
        async with store.watch("/", 3) as behind, store.watch("/", 6) as ahead:
            with pytest.raises(WatchCompacted):
                await behind.__anext__()
            await put(store, "/x")
            assert (await ahead.__anext__()).revision == 6


async def test_a_closed_store_is_unavailable(open_store: Backend) -> None:
    async with open_store() as store:
        async with store.watch("/", 2) as watch, anyio.create_task_group() as tasks:

            async def follow() -> None:
                with pytest.raises(StoreUnavailable):
                    await watch.__anext__()

            tasks.start_soon(follow)
            await checkpoint()
            await store.close()
            await store.close()
        for call in (store.read("/"), store.transact((), []), store.grant_lease(1)):
            with pytest.raises(StoreUnavailable):
                await call


NAMES = st.sampled_from(["/a", "/b", "/c/1", "/c/2"])
OPERATIONS = st.lists(
    st.one_of(
        st.builds(Put, NAMES, st.binary(max_size=3), st.integers(0, 3)), st.builds(Delete, NAMES)
    ),
    unique_by=lambda operation: operation.key,
    max_size=4,
)
STEPS = [
    st.tuples(st.just("transact"), st.lists(st.tuples(NAMES, st.booleans())), OPERATIONS),
    st.tuples(st.just("revoke"), st.integers(1, 3)),
]
TIME_PASSES = st.tuples(st.just("advance"), st.integers(1, 900))


async def play(store: MetadataStore, clock: ManualClock, steps: list, unit_ms: int = 1_000) -> list:
    """Everything a caller can see of these steps."""
    seen: list = []
    leases = [0, *[await store.grant_lease(n * unit_ms) for n in (1, 2, 3)]]
    for step in steps:
        if step[0] == "transact":
            known = {item.key: item.mod_revision for item in (await store.read("/")).items}
            compares = [Compare(k, known.get(k, 0) + (not true)) for k, true in step[1]]
            operations = [
                o._replace(lease=leases[o.lease]) if isinstance(o, Put) else o for o in step[2]
            ]
            seen.append(await store.transact(compares, operations))
        elif step[0] == "revoke":
            await store.revoke_lease(leases[step[1]])
        else:
            clock.now_ms += step[1]
        seen.append(await store.read("/"))
    last = seen[-1].revision if seen else 1
    async with store.watch("/", 2) as watch:
        while last > 1:
            update = await watch.__anext__()
            seen.append((update.revision, sorted(update.events)))
            if update.revision >= last:
                break
    return seen


@given(st.lists(st.one_of(*STEPS, TIME_PASSES), max_size=25))
def test_all_stores_behave_alike(
    members: Members, tmp_path_factory: pytest.TempPathFactory, steps: list
) -> None:
    async def all_of_them() -> list[list]:
        seen = []
        for kind in LOCAL:
            clock = ManualClock()
            path = tmp_path_factory.mktemp("store")
            async with Backend(kind, path, clock, members)() as store:
                seen.append(await play(store, clock, steps))
        return seen

    first, *others = anyio.run(all_of_them)
    for other in others:
        assert other == first


@pytest.mark.parametrize("kind", ETCD)
@given(st.lists(st.one_of(STEPS), max_size=15))
def test_etcd_behaves_as_they_do(
    kind: str, members: Members, tmp_path_factory: pytest.TempPathFactory, steps: list
) -> None:
    async def both() -> list[list]:
        seen = []
        for each in ("memory", kind):
            clock = ManualClock()
            path = tmp_path_factory.mktemp("store")
            async with Backend(each, path, clock, members)() as store:
                seen.append(await play(store, clock, steps, 60_000))
        return seen

    memory, etcd = anyio.run(both)
    assert etcd == memory
