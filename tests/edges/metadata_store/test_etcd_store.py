"""What etcd adds to what every store promises: members, credentials, certificates, limits."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from base64 import b64decode, b64encode
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING

import anyio
import httpx
import pytest

from pykbroker.config.settings import Settings
from pykbroker.edges.clock import SystemClock
from pykbroker.edges.metadata_store.etcd import (
    EtcdOptions,
    EtcdStore,
    EtcdTransport,
    etcd_options,
    open_etcd_store,
)
from pykbroker.edges.metadata_store.etcd_watch import WatchCancelled, WatchReader
from pykbroker.ports import (
    Compare,
    Put,
    StoreEvent,
    StoreUnavailable,
    StoreUpdate,
    UnusableStore,
    WatchCompacted,
)
from tests.support.cut_proxy import cut_proxy
from tests.support.etcd import EtcdMember, an_etcd, endpoints, free_ports, start_members

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdMember]:
    member = EtcdMember(an_etcd(), tmp_path_factory.mktemp("etcd"))
    member.start()
    yield member.wait()
    member.kill()


@asynccontextmanager
async def opened(*members: str, prefix: str, **options: int) -> AsyncIterator[EtcdStore]:
    chosen = EtcdOptions(members, prefix)._replace(**options)
    async with open_etcd_store(chosen, SystemClock()) as store:
        yield store


# Options.


def test_the_members_are_read_from_the_url_and_the_rest_from_settings() -> None:
    named = {
        "ca.location": "/ca.pem",
        "certificate.location": "/me.pem",
        "key.location": "/me.key",
        "username": "kafka",
        "password": "secret",
        "prefix": "/clusters/one/",
        "max.txn.ops": "512",
    }
    settings = Settings({f"pykbroker.etcd.{name}": value for name, value in named.items()})
    options = etcd_options("etcd://a:1,[::1]:2379", settings)
    assert options.urls() == ("https://a:1", "https://[::1]:2379")
    assert (options.prefix, options.max_operations) == ("/clusters/one", 512)
    assert (options.username, options.password) == ("kafka", "secret")
    plain = etcd_options("etcd://a:1", Settings({}))
    assert plain == EtcdOptions(("a:1",))
    assert plain.urls() == ("http://a:1",)


@pytest.mark.parametrize(
    "url", ["etcd://", "etcd://a", "etcd://a:b", "etcd://a:0", "etcd://a:1,", "http://a:1", "a:1"]
)
def test_what_is_no_url_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(UnusableStore, match="not etcd://HOST:PORT"):
        etcd_options(url, Settings({}))


@pytest.mark.parametrize("name", ["username", "password", "key.location"])
def test_what_goes_together_is_asked_for_together(name: str) -> None:
    with pytest.raises(UnusableStore, match=name):
        etcd_options("etcd://a:1", Settings({f"pykbroker.etcd.{name}": "x"}))


async def test_certificates_that_are_not_there_are_one_line() -> None:
    options = EtcdOptions(("a:1",), tls=True, ca_location="/nowhere.pem")
    with pytest.raises(UnusableStore, match="certificates for etcd cannot be used"):
        async with open_etcd_store(options, SystemClock()):
            pass


async def test_no_etcd_is_one_line_after_some_patience() -> None:
    (port,) = free_ports(1)
    options = EtcdOptions((f"127.0.0.1:{port}",))
    with pytest.raises(UnusableStore, match="no etcd within 100 ms: etcd does not answer"):
        async with open_etcd_store(options, SystemClock(), patience_ms=100):
            pass


# The words on a watch.


def put_event(key: str, revision: int, value: bytes = b"v") -> dict:
    item = {"key": b64encode(key.encode()).decode(), "value": b64encode(value).decode()}
    return {"kv": item | {"create_revision": str(revision), "mod_revision": str(revision)}}


def line(**result: object) -> bytes:
    return json.dumps({"result": result}).encode() + b"\n"


def test_updates_are_whole_revisions_however_the_bytes_come() -> None:
    said = line(created=True) + line(events=[put_event("/p/a", 5), put_event("/p/b", 5)])
    said += line(events=[put_event("/p/c", 6)], fragment=True)
    said += line(events=[put_event("/p/d", 6), put_event("/p/e", 8)]) + line(header={})
    for size in (1, 7, 100, len(said)):
        reader, updates = WatchReader(b"/p"), []
        for start in range(0, len(said), size):
            updates += reader.feed(said[start : start + size])
        assert reader.is_created
        assert [(u.revision, [e.key for e in u.events]) for u in updates] == [
            (5, ["/a", "/b"]),
            (6, ["/c", "/d"]),
            (8, ["/e"]),
        ]


def test_a_deletion_has_no_value_and_an_empty_value_is_one() -> None:
    deleted = {"type": "DELETE", "kv": {"key": "L2E=", "mod_revision": "9"}}
    empty = {"kv": {"key": "L2I=", "create_revision": "9", "mod_revision": "9"}}
    assert WatchReader(b"").feed(line(events=[deleted, empty])) == [
        StoreUpdate(9, (StoreEvent("/a", None, 0, 9), StoreEvent("/b", b"", 9, 9)))
    ]


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (line(canceled=True, compact_revision="7"), WatchCompacted),
        (line(created=True, canceled=True, cancel_reason="permission denied"), WatchCancelled),
        (b'{"error":{"grpc_code":14,"message":"no leader"}}\n', StoreUnavailable),
        (b"<html>\n", StoreUnavailable),
    ],
)
def test_the_end_of_a_watch_says_why(said: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        WatchReader(b"").feed(said)


# A real one.


async def test_values_beyond_what_the_gateway_carries_are_read_in_pages(
    member: EtcdMember,
) -> None:
    async with opened(member.endpoint, prefix="/large") as store:
        revision = (await store.read("/")).revision
        for start in range(0, 600, 60):
            keys = [f"/{n:04}" for n in range(start, start + 60)]
            await store.transact((), [Put(key, bytes(18_000)) for key in keys])
        snapshot = await store.read("/")
        assert [item.key for item in snapshot.items] == [f"/{n:04}" for n in range(600)]
        assert all(item.value == bytes(18_000) for item in snapshot.items)
        async with store.watch("/", revision + 1) as watch:
            assert [len((await watch.__anext__()).events) for _ in range(10)] == [60] * 10


class SmallGateway:
    """Holds 2,500 keys; answers of more than ``most`` are too long for it. Compacts once."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.compacted = False
        self.asked: list[tuple[int, int]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        limit, revision = int(body["limit"]), int(body["revision"])
        self.asked.append((limit, revision))
        if limit > self.most:
            text = "grpc: received message larger than max (5000000 vs. 4194304)"
            return httpx.Response(429, json={"code": 8, "message": text})
        if revision == 7 and not self.compacted:
            self.compacted = True
            text = "etcdserver: mvcc: required revision has been compacted"
            return httpx.Response(400, json={"code": 11, "message": text})
        start = b64decode(body["key"])
        keys = [key for key in (b"/p/%04d" % n for n in range(2_500)) if key >= start]
        found = [
            {"key": b64encode(k).decode(), "create_revision": "3", "mod_revision": "4"}
            for k in keys[:limit]
        ]
        newest = "8" if self.compacted else "7"
        answer = {"header": {"revision": newest}, "kvs": found, "more": len(keys) > limit}
        return httpx.Response(200, json=answer)


async def test_pages_are_of_one_revision_and_as_short_as_they_must_be() -> None:
    gateway = SmallGateway(300)
    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(gateway)) as client,
        anyio.create_task_group() as tasks,
    ):
        store = EtcdStore(EtcdOptions(("a:1",), "/p"), client, SystemClock(), tasks)
        snapshot = await store.read("/")
    assert snapshot.revision == 8
    assert [item.key for item in snapshot.items] == [f"/{n:04}" for n in range(2_500)]
    assert gateway.asked[:2] == [(1_000, 0), (250, 0)]
    assert gateway.asked[2] == (250, 7), "compacted: everything is read again"
    assert gateway.asked[3:] == [(250, 0)] + [(250, 8)] * 9


async def test_a_connection_that_is_reset_at_once_leaves_the_outcome_unknown() -> None:
    def gone(request: httpx.Request) -> httpx.Response:
        raise AttributeError("'NoneType' object has no attribute 'getpeername'")

    transport = EtcdTransport(httpx.MockTransport(gone))
    async with (
        httpx.AsyncClient(transport=transport) as client,
        anyio.create_task_group() as tasks,
    ):
        store = EtcdStore(EtcdOptions(("a:1",), "/p"), client, SystemClock(), tasks)
        with pytest.raises(StoreUnavailable):
            await store.transact([], [Put("/a", b"1")])


async def test_a_request_too_large_for_etcd_is_misuse(member: EtcdMember) -> None:
    async with opened(member.endpoint, prefix="/misuse") as store:
        for size in (1_700_000, 3_000_000):
            with pytest.raises(ValueError, match=r"too large|larger than max"):
                await store.transact((), [Put("/a", bytes(size))])
        with pytest.raises(ValueError, match="the limit is 128"):
            await store.transact([Compare(f"/{n}", 0) for n in range(129)], [])
        assert (await store.read("/")).items == ()


async def test_clusters_do_not_see_each_other(member: EtcdMember) -> None:
    async with (
        opened(member.endpoint, prefix="/one") as one,
        opened(member.endpoint, prefix="/one-more") as two,
    ):
        revision = (await one.transact((), [Put("/a", b"1")])).revision
        async with two.watch("/", revision) as watch:
            await one.transact((), [Put("/a", b"2")])
            await two.transact((), [Put("/b", b"")])
            assert [e.key for e in (await watch.__anext__()).events] == ["/b"]
        assert [item.key for item in (await one.read("/")).items] == ["/a"]


async def test_a_lease_that_is_not_renewed_takes_its_keys(member: EtcdMember) -> None:
    async with opened(member.endpoint, prefix="/lease") as store:
        lease = await store.grant_lease(1_001)
        result = await store.transact((), [Put("/a", b"", lease), Put("/b", b"", lease)])
        assert await store.renew_lease(lease)
        async with store.watch("/", result.revision + 1) as watch:
            with anyio.fail_after(60):
                update = await watch.__anext__()
        assert sorted(e.key for e in update.events) == ["/a", "/b"]
        assert all(e.value is None for e in update.events)
        assert not await store.renew_lease(lease)


@pytest.mark.parametrize("cut", [["up"], ["down"]])
async def test_a_member_that_is_cut_off_ends_what_waits_on_it(
    member: EtcdMember, cut: list[str]
) -> None:
    async with (
        cut_proxy("127.0.0.1", member.port) as proxy,
        opened(f"127.0.0.1:{proxy.port}", prefix="/cut", request_timeout_ms=500) as store,
        store.watch("/", (await store.read("/")).revision + 1) as watch,
    ):
        proxy.cut(*cut)
        with pytest.raises(StoreUnavailable):
            await store.transact((), [Put("/a", b"")])
        with anyio.fail_after(60), pytest.raises(StoreUnavailable):
            # The transaction may have arrived, and be seen.
            await anext(update async for update in watch if update.events[0].key == "/never")
        proxy.reset()
        proxy.heal()
        with anyio.fail_after(60):
            while True:
                with suppress(StoreUnavailable):
                    await store.transact((), [Put("/b", b"")])
                    break


async def test_another_member_is_asked_when_one_is_cut_off(member: EtcdMember) -> None:
    async with cut_proxy("127.0.0.1", member.port) as proxy:
        proxied = f"127.0.0.1:{proxy.port}"
        async with opened(proxied, member.endpoint, prefix="/two", request_timeout_ms=600) as store:
            proxy.cut("down")
            lease = await store.grant_lease(60_000)
            assert await store.renew_lease(lease)
            assert (await store.transact((), [Put("/a", b"")])).succeeded
            await store.revoke_lease(lease)


async def test_what_was_acknowledged_outlives_a_kill(tmp_path: Path) -> None:
    with ExitStack() as stack:
        member = EtcdMember(an_etcd(), tmp_path)
        stack.callback(member.kill)
        member.start()
        member.wait()
        async with opened(member.endpoint, prefix="/kill", request_timeout_ms=1_000) as store:
            lease = await store.grant_lease(600_000)
            await store.transact((), [Put("/held", b"", lease)])
            acknowledged = 0
            for number in range(1, 30):
                assert (await store.transact((), [Put("/n", b"%d" % number)])).succeeded
                acknowledged = number
            member.signal(signal.SIGKILL)
            with pytest.raises(StoreUnavailable):
                await store.transact((), [Put("/n", b"unknown")])
            member.kill()
            member.start()
            member.wait()
            items = {item.key: item.value for item in (await store.read("/")).items}
            assert items["/n"] in (b"%d" % acknowledged, b"unknown")
            assert "/held" in items
            assert await store.renew_lease(lease), "etcd's leases outlive its process"


async def test_a_user_has_to_give_the_right_password(tmp_path: Path) -> None:
    with ExitStack() as stack:
        member = EtcdMember(an_etcd(), tmp_path)
        stack.callback(member.kill)
        member.start()
        member.wait()
        for name, role in (("root", "root"), ("kafka", "pykbroker")):
            member.ask("auth/role/add", {"name": role})
            member.ask("auth/user/add", {"name": name, "password": "secret"})
            member.ask("auth/user/grant", {"user": name, "role": role})
        span = {"key": b64encode(b"/k/").decode(), "range_end": b64encode(b"/k0").decode()}
        grant = {"name": "pykbroker", "perm": span | {"permType": "READWRITE"}}
        member.ask("auth/role/grant", grant)
        member.ask("auth/enable", {})
        known = EtcdOptions((member.endpoint,), "/k", username="kafka", password="secret")
        async with open_etcd_store(known, SystemClock()) as store:
            revision = (await store.transact((), [Put("/a", b"1")])).revision
            store._gateway._token = "no longer good.1"
            assert (await store.transact((), [Put("/a", b"2")])).succeeded
            async with store.watch("/", revision) as watch:
                assert (await watch.__anext__()).events[0].value == b"1"
            assert await store.renew_lease(await store.grant_lease(60_000))
        for wrong, complaint in (
            (known._replace(password="guessed"), "authentication failed"),
            (known._replace(username=None, password=None), "user name is empty"),
            (known._replace(prefix="/else"), "permission denied"),
        ):
            with pytest.raises(UnusableStore, match=complaint):
                async with open_etcd_store(wrong, SystemClock()):
                    pass


def make_certificates(directory: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make certificates with")
    run = [
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 9 -subj /CN=ca",
        "req -newkey rsa:2048 -nodes -keyout me.key -out me.csr -subj /CN=me",
        "x509 -req -in me.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out me.pem -days 9 "
        "-extfile names",
    ]
    (directory / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    for arguments in run:
        subprocess.run(
            ["openssl", *arguments.split()], cwd=directory, check=True, capture_output=True
        )


async def test_tls_with_a_certificate_of_our_own(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    ca, cert, key = (str(tmp_path / name) for name in ("ca.pem", "me.pem", "me.key"))
    options = ("--cert-file", cert, "--key-file", key, "--trusted-ca-file", ca)
    with ExitStack() as stack:
        member = EtcdMember(
            an_etcd(),
            tmp_path,
            *options,
            "--client-cert-auth",
            scheme="https",
            ca_location=ca,
            certificate=(cert, key),
        )
        stack.callback(member.kill)
        member.start()
        member.wait()
        known = EtcdOptions(
            (member.endpoint,),
            tls=True,
            ca_location=ca,
            certificate_location=cert,
            key_location=key,
        )
        async with open_etcd_store(known, SystemClock()) as store:
            revision = (await store.transact((), [Put("/a", b"1")])).revision
            async with store.watch("/", revision) as watch:
                assert (await watch.__anext__()).revision == revision
        for wrong in (
            known._replace(certificate_location=None, key_location=None),
            known._replace(ca_location=None),
            known._replace(tls=False),
        ):
            with pytest.raises(UnusableStore, match="no etcd within 500 ms"):
                async with open_etcd_store(wrong, SystemClock(), patience_ms=500):
                    pass


async def test_three_members_of_which_one_is_killed(tmp_path: Path) -> None:
    with ExitStack() as stack:
        members = start_members(an_etcd(), tmp_path, 3)
        for member in members:
            stack.callback(member.kill)
        async with opened(*endpoints(members), prefix="/three") as store:
            revision = (await store.transact((), [Put("/a", b"")])).revision
            async with store.watch("/", revision + 1) as watch:
                members[0].kill()
                with anyio.fail_after(60), pytest.raises(StoreUnavailable):
                    await watch.__anext__()
            with anyio.fail_after(60):
                while True:
                    with suppress(StoreUnavailable):
                        await store.transact((), [Put("/b", b"")])
                        break
            async with store.watch("/", revision + 1) as watch:
                assert [e.key for e in (await watch.__anext__()).events] == ["/b"]
            members[1].kill()
            with pytest.raises(StoreUnavailable):
                await store.transact((), [Put("/c", b"")])
