"""The metadata store in etcd (3.4 or newer), for a cluster on many machines.

What differs from the stores in this process: a transaction has 128 operations at most, as etcd is
set up unless told otherwise; leases last whole seconds, and at least two, rounded up; a key whose
lease ran out is there until etcd has taken it away, up to a second later; revisions also rise when
somebody else writes to the same etcd.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio

from pykbroker.edges.metadata_store.buffered_watch import BufferedWatch
from pykbroker.edges.metadata_store.deadline import TooLate, within
from pykbroker.edges.metadata_store.etcd_options import EtcdOptions, etcd_options, tls_context
from pykbroker.edges.metadata_store.transactions import check_operations
from pykbroker.log import get_logger
from pykbroker.ports import (
    KeyValue,
    Put,
    StoreSnapshot,
    StoreUnavailable,
    Transacted,
    UnusableStore,
    WatchCompacted,
)

try:
    import httpx

    from pykbroker.edges.metadata_store.etcd_gateway import (
        FAILED,
        INVALID_ARGUMENT,
        NOT_FOUND,
        OUT_OF_RANGE,
        RESOURCE_EXHAUSTED,
        BadCredentials,
        Credentials,
        EtcdError,
        Gateway,
    )
    from pykbroker.edges.metadata_store.etcd_watch import WatchCancelled, WatchReader
except ImportError as error:
    raise UnusableStore(
        "etcd needs httpx, which comes with the extra: pip install '.[etcd]' in a checkout"
    ) from error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from anyio.abc import TaskGroup

    from pykbroker.ports import Clock, Compare, Delete

__all__ = ["EtcdOptions", "EtcdStore", "etcd_options", "open_etcd_store"]

logger = get_logger("pykbroker.edges.metadata_store.etcd")

PAGE_KEYS = 1_000
"""Keys read in one request. The gateway passes on 4 MB at most; with larger values it is fewer."""
RETRY_MS = 250
CHECK_MS = 1_000
"""How often a member that is being watched is asked whether it is still there."""
STALE_MS = 30 * 60_000
"""etcd speaks up on a quiet watch every ten minutes."""
OLDEST = (3, 4)


@asynccontextmanager
async def open_etcd_store(
    options: EtcdOptions, clock: Clock, *, patience_ms: int = 60_000
) -> AsyncIterator[EtcdStore]:
    """Once etcd has answered. Raises UnusableStore when it does not within ``patience_ms``."""
    failure: UnusableStore | None = None
    async with _client(options) as client, anyio.create_task_group() as tasks:
        store = EtcdStore(options, client, clock, tasks)
        try:
            await store.first_answer(patience_ms)
            yield store
        except UnusableStore as error:
            failure = error
        finally:
            await store.close()
            tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


def _client(options: EtcdOptions) -> httpx.AsyncClient:
    # No proxies or certificates from the environment: the cluster's metadata goes where it is told.
    transport = httpx.AsyncHTTPTransport(
        verify=tls_context(options) or False,
        trust_env=False,
        local_address=options.source_host,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=16),
    )
    timeout = httpx.Timeout(options.request_timeout_ms / 1000)
    return httpx.AsyncClient(transport=EtcdTransport(transport), timeout=timeout, trust_env=False)


class EtcdTransport(httpx.AsyncBaseTransport):
    """Where the other end resets a connection as soon as it stands, its socket is gone before it
    has been looked at, which comes up as an AttributeError: to us it is a failure of the network,
    and what was sent is unknown."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await self._transport.handle_async_request(request)
        except AttributeError as error:
            raise httpx.ReadError(f"connection reset at once ({error})", request=request) from error

    async def aclose(self) -> None:
        await self._transport.aclose()


class EtcdStore:
    """See ``ports.MetadataStore``. Every key is under the options' prefix."""

    def __init__(
        self, options: EtcdOptions, client: httpx.AsyncClient, clock: Clock, tasks: TaskGroup
    ) -> None:
        self.max_operations = options.max_operations
        self._prefix = options.prefix.encode()
        self._clock = clock
        self._tasks = tasks
        self._client = client
        self._page_keys = PAGE_KEYS
        self._closed = False
        self._followed: set[anyio.CancelScope] = set()
        many = len(options.endpoints) > 1
        self._attempt_timeout_ms = options.request_timeout_ms // (2 if many else 1)
        credentials = None
        if options.username is not None:
            credentials = Credentials(options.username, options.password or "")
        self._gateway = Gateway(
            client,
            options.urls(),
            clock,
            credentials=credentials,
            attempt_timeout_ms=self._attempt_timeout_ms,
        )

    async def read(self, prefix: str) -> StoreSnapshot:
        while True:
            try:
                return await self._read_pages(self._key(prefix))
            except EtcdError as error:
                if error.code == RESOURCE_EXHAUSTED and self._page_keys > 1:
                    self._page_keys = max(1, self._page_keys // 4)
                elif error.code != OUT_OF_RANGE:  # compacted between two pages: begin again
                    raise StoreUnavailable(str(error)) from error

    async def transact(
        self, compares: Iterable[Compare], operations: Iterable[Put | Delete]
    ) -> Transacted:
        compares, operations = list(compares), list(operations)
        check_operations(operations, self.max_operations)
        if len(compares) > self.max_operations:
            raise ValueError(f"{len(compares)} compares; the limit is {self.max_operations}")
        body = {
            "compare": [self._compare(compare) for compare in compares],
            "success": [self._operation(operation) for operation in operations]
            # Without any operation etcd might answer from what a member remembers.
            or [{"request_range": self._nothing()}],
        }
        try:
            answer = await self._call("kv/txn", body, repeat=False)
        except EtcdError as error:
            if error.code == NOT_FOUND:  # a lease
                return Transacted(False, await self._revision())
            if error.code in (INVALID_ARGUMENT, RESOURCE_EXHAUSTED):  # too large
                raise ValueError(str(error)) from error
            raise StoreUnavailable(str(error)) from error
        return Transacted(bool(answer.get("succeeded")), int(answer["header"]["revision"]))

    async def grant_lease(self, ttl_ms: int) -> int:
        if ttl_ms <= 0:
            raise ValueError(f"a lease of {ttl_ms} ms")
        try:
            answer = await self._call("lease/grant", {"TTL": str(-(-ttl_ms // 1000))})
        except EtcdError as error:
            raise StoreUnavailable(str(error)) from error
        return int(answer["ID"])

    async def renew_lease(self, lease: int) -> bool:
        try:
            answer = await self._call("lease/keepalive", {"ID": str(lease)})
        except EtcdError as error:
            if error.code == NOT_FOUND:
                return False
            raise StoreUnavailable(str(error)) from error
        return int(answer.get("TTL", 0)) > 0

    async def revoke_lease(self, lease: int) -> None:
        try:
            await self._call("lease/revoke", {"ID": str(lease)})
        except EtcdError as error:
            if error.code != NOT_FOUND:
                raise StoreUnavailable(str(error)) from error

    @asynccontextmanager
    async def watch(self, prefix: str, from_revision: int) -> AsyncIterator[BufferedWatch]:
        """Raises StoreUnavailable when no member takes it on."""
        self._check_open()
        endpoint = self._gateway.endpoint
        key = self._key(prefix)
        request = {
            "key": _text(key),
            "range_end": _text(_end_of(key)),
            "start_revision": str(max(from_revision, 1)),
            "progress_notify": True,
            "fragment": True,
        }
        response = await self._gateway.stream(endpoint, "watch", {"create_request": request})
        watch = BufferedWatch()
        scope = anyio.CancelScope()
        self._followed.add(scope)
        self._tasks.start_soon(self._follow, endpoint, response, watch, scope)
        try:
            yield watch
        finally:
            self._followed.discard(scope)
            scope.cancel()

    async def close(self) -> None:
        self._closed = True
        for scope in self._followed:
            scope.cancel()

    async def first_answer(self, patience_ms: int) -> None:
        """Until etcd has answered, and is one that will do. Raises UnusableStore."""
        reason = "no answer"

        async def answered() -> None:
            nonlocal reason
            while True:
                try:
                    await self._revision()
                    return
                except BadCredentials as error:
                    raise UnusableStore(f"etcd: {error}") from error
                except StoreUnavailable as error:
                    if reason != str(error):
                        reason = str(error)
                        logger.warning("no etcd yet, still trying", reason=reason)
                    await self._clock.sleep(RETRY_MS)

        try:
            await within(self._clock, patience_ms, answered)
        except TooLate:
            raise UnusableStore(f"no etcd within {patience_ms} ms: {reason}") from None
        version = await self._gateway.version()
        if version and _numbers(version) < OLDEST:
            raise UnusableStore(f"etcd {version} is too old: 3.4 is the oldest that will do")
        logger.info("linked to etcd", endpoint=self._gateway.endpoint, version=version)

    async def _follow(
        self,
        endpoint: str,
        response: httpx.Response,
        watch: BufferedWatch,
        scope: anyio.CancelScope,
    ) -> None:
        """Carry what etcd says on one watch to its reader, until either goes away."""
        try:
            with scope:
                async with anyio.create_task_group() as tasks:
                    reader = WatchReader(self._prefix)
                    heard = _Heard(self._clock)
                    tasks.start_soon(self._check, endpoint, watch, heard, tasks)
                    error = await _read(response, reader, watch, heard)
                    if isinstance(error, WatchCancelled):
                        self._gateway.forget_token()
                    watch.fail(error)
                    tasks.cancel_scope.cancel()
        finally:
            watch.fail(StoreUnavailable("the store is closed"))
            with anyio.CancelScope(shield=True):
                await response.aclose()

    async def _check(
        self, endpoint: str, watch: BufferedWatch, heard: _Heard, tasks: TaskGroup
    ) -> None:
        """A quiet watch and a dead one look alike: whether the member is there is asked apart."""
        while True:
            await self._clock.sleep(CHECK_MS)
            try:
                await self._gateway.ping(endpoint, self._nothing())
                if heard.silent_ms() > STALE_MS:
                    raise StoreUnavailable(f"{endpoint}: nothing comes on the watch")
            except StoreUnavailable as error:
                self._gateway.leave(endpoint)
                watch.fail(error)
                tasks.cancel_scope.cancel()
                return

    async def _read_pages(self, start: bytes) -> StoreSnapshot:
        """All at the revision of the first page, which is the newest there is."""
        key, end, revision = start, _end_of(start), 0
        items: list[KeyValue] = []
        while True:
            body = {
                "key": _text(key),
                "range_end": _text(end),
                "limit": str(self._page_keys),
                "revision": str(revision),
            }
            page = await self._call("kv/range", body)
            revision = revision or int(page["header"]["revision"])
            found = page.get("kvs", ())
            items += map(self._item, found)
            if not page.get("more"):
                return StoreSnapshot(revision, tuple(items))
            key = b64decode(found[-1]["key"]) + b"\0"

    async def _revision(self) -> int:
        try:
            answer = await self._call("kv/range", self._nothing())
        except EtcdError as error:
            raise StoreUnavailable(str(error)) from error
        return int(answer["header"]["revision"])

    async def _call(self, path: str, body: dict[str, Any], *, repeat: bool = True) -> Any:
        self._check_open()
        return await self._gateway.call(path, body, repeat=repeat)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store is closed")

    def _key(self, key: str) -> bytes:
        return self._prefix + key.encode()

    def _nothing(self) -> dict[str, Any]:
        """A linearizable read of a key that is never there: it gives the revision alone."""
        return {"key": _text(self._key("/")), "count_only": True}

    def _compare(self, compare: Compare) -> dict[str, str]:
        return {
            "key": _text(self._key(compare.key)),
            "target": "MOD",
            "result": "EQUAL",
            "mod_revision": str(compare.mod_revision),
        }

    def _operation(self, operation: Put | Delete) -> dict[str, dict[str, str]]:
        key = _text(self._key(operation.key))
        if isinstance(operation, Put):
            value, lease = _text(operation.value), str(operation.lease)
            return {"request_put": {"key": key, "value": value, "lease": lease}}
        return {"request_delete_range": {"key": key}}

    def _item(self, item: dict[str, str]) -> KeyValue:
        return KeyValue(
            b64decode(item["key"])[len(self._prefix) :].decode(),
            b64decode(item.get("value", "")),
            int(item["create_revision"]),
            int(item["mod_revision"]),
        )


class _Heard:
    """When something last came in."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._when_ms = clock.monotonic_ms()

    def now(self) -> None:
        self._when_ms = self._clock.monotonic_ms()

    def silent_ms(self) -> int:
        return self._clock.monotonic_ms() - self._when_ms


async def _read(
    response: httpx.Response, reader: WatchReader, watch: BufferedWatch, heard: _Heard
) -> Exception:
    """Until it ends; why it did."""
    try:
        async for data in response.aiter_bytes():
            heard.now()
            for update in reader.feed(data):
                watch.add(update)
    except (StoreUnavailable, WatchCompacted) as error:
        return error
    except FAILED as error:
        return StoreUnavailable(f"the watch has failed: {error}")
    return StoreUnavailable("etcd ended the watch")


def _text(data: bytes) -> str:
    return b64encode(data).decode()


def _end_of(prefix: bytes) -> bytes:
    """The first key after all those that begin with ``prefix``, as etcd wants it."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else b"\0"


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.partition("-")[0].split(".")
    return tuple(int(part) for part in parts[:2] if part.isdigit())
