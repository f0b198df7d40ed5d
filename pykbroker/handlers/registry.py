"""Which APIs are served, the module that serves each, and the way of their requests.

A module is imported by the first request for one of its APIs: a broker that is asked for metadata
alone does not pay for everything else. The table is all that ApiVersions needs; a test holds it
against what the modules register.

A Route is found once for all requests of an API and version: who handles them, how they are read
and answered, where they are counted. The requests of one connection are mostly of one kind and
carry the same client id: such a header is known by its bytes, and only its correlation id is read.
"""

from __future__ import annotations

from importlib import import_module
from struct import Struct, error
from typing import TYPE_CHECKING

from pykbroker.handlers.api import HANDLERS, Handler
from wire.apis import API_BY_KEY, ApiKey
from wire.codec import request_reader, response_writer
from wire.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykbroker.runtime.request_counts import RequestCounts
    from wire.apis import Api
    from wire.frame import RequestHeader
    from wire.schema import Buffer

REMEMBERED_BYTES = 256
"""A header that is longer is read each time."""
_KIND, _REST = 4, 8
"""What stands before the correlation id, and where the header goes on behind it."""
_unpacks: dict[int, Callable[[Buffer], tuple[bytes, int, bytes]]] = {}
"""By the length of what is behind the correlation id."""
MODULES: dict[str, tuple[int, ...]] = {
    "api_versions": (ApiKey.API_VERSIONS,),
    "cluster": (
        ApiKey.DESCRIBE_QUORUM,
        ApiKey.UPDATE_FEATURES,
        ApiKey.DESCRIBE_CLUSTER,
        ApiKey.UNREGISTER_BROKER,
    ),
    "configs": (
        ApiKey.DESCRIBE_CONFIGS,
        ApiKey.ALTER_CONFIGS,
        ApiKey.INCREMENTAL_ALTER_CONFIGS,
        ApiKey.LIST_CONFIG_RESOURCES,
    ),
    "coordinators": (ApiKey.FIND_COORDINATOR,),
    "fetch": (ApiKey.FETCH,),
    "groups": (
        ApiKey.JOIN_GROUP,
        ApiKey.HEARTBEAT,
        ApiKey.LEAVE_GROUP,
        ApiKey.SYNC_GROUP,
        ApiKey.DESCRIBE_GROUPS,
        ApiKey.LIST_GROUPS,
        ApiKey.DELETE_GROUPS,
    ),
    "inter_broker": (
        ApiKey.ALTER_PARTITION,
        ApiKey.ENVELOPE,
        ApiKey.BROKER_HEARTBEAT,
        ApiKey.ALLOCATE_PRODUCER_IDS,
    ),
    "list_offsets": (ApiKey.LIST_OFFSETS, ApiKey.OFFSET_FOR_LEADER_EPOCH),
    "log_dirs": (ApiKey.ALTER_REPLICA_LOG_DIRS, ApiKey.DESCRIBE_LOG_DIRS),
    "metadata": (ApiKey.METADATA, ApiKey.DESCRIBE_TOPIC_PARTITIONS),
    "offsets": (ApiKey.OFFSET_COMMIT, ApiKey.OFFSET_FETCH, ApiKey.OFFSET_DELETE),
    "produce": (ApiKey.PRODUCE,),
    "producer_ids": (ApiKey.INIT_PRODUCER_ID,),
    "quotas": (ApiKey.DESCRIBE_CLIENT_QUOTAS, ApiKey.ALTER_CLIENT_QUOTAS),
    "records": (ApiKey.DELETE_RECORDS, ApiKey.DESCRIBE_PRODUCERS),
    "telemetry": (ApiKey.GET_TELEMETRY_SUBSCRIPTIONS, ApiKey.PUSH_TELEMETRY),
    "topics": (
        ApiKey.CREATE_TOPICS,
        ApiKey.DELETE_TOPICS,
        ApiKey.CREATE_PARTITIONS,
        ApiKey.ELECT_LEADERS,
        ApiKey.ALTER_PARTITION_REASSIGNMENTS,
        ApiKey.LIST_PARTITION_REASSIGNMENTS,
    ),
}
MODULE_OF = {key: module for module, keys in MODULES.items() for key in keys}
SERVED = frozenset(MODULE_OF)


def handler(key: int) -> Handler:
    """The handler of an API that is in ``SERVED``."""
    found = HANDLERS.get(key)
    if found is None:
        import_module(f"pykbroker.handlers.{MODULE_OF[key]}")
        found = HANDLERS[key]
    return found


def load_all() -> None:
    for module in MODULES:
        import_module(f"pykbroker.handlers.{module}")


class Route:
    """One API in one version. (To call a slot, put it into a variable first: that is quicker.)"""

    __slots__ = ("answered", "api", "api_key", "handle", "read", "response", "version", "write")

    def __init__(self, api: Api, version: int, requests: RequestCounts) -> None:
        self.api = api
        self.api_key = api.key
        self.version = version
        self.handle = handler(api.key)
        self.response = api.response
        self.read = request_reader(api, version)
        self.write = response_writer(api, version)
        self.answered = requests.of(api.key, version)
        """Those that do not come from other brokers."""


class Routes:
    """Those that were needed so far, for all connections of a broker."""

    def __init__(self, requests: RequestCounts) -> None:
        self._requests = requests
        self._known: dict[tuple[int, int], Route] = {}

    def find(self, key: int, version: int, *, is_privileged: bool) -> Route | None:
        """None is a version of ApiVersions that we do not know; what else is not served raises
        DecodeError. ``is_privileged``: other brokers connect where this request came in."""
        route = self._known.get((key, version))
        if route is None or not (is_privileged or route.api.is_client_facing):
            api = API_BY_KEY.get(key)
            # What only brokers ask is not advertised, and served where brokers connect.
            if api is None or key not in SERVED or not (is_privileged or api.is_client_facing):
                raise DecodeError(f"API {key} is not served")
            if not api.min_version <= version <= api.max_version:
                if key == ApiKey.API_VERSIONS:
                    return None
                raise DecodeError(f"{api.name} version {version} is not served")
            route = self._known[key, version] = Route(api, version, self._requests)
        return route


class Heading:
    """The header of a request, its correlation id left out, and what it means."""

    __slots__ = ("_kind", "_rest", "_unpack", "body_at", "client_id", "route")

    def __init__(
        self, route: Route, header: RequestHeader, frame: memoryview, body_at: int
    ) -> None:
        self.route = route
        self.client_id = header.client_id
        self.body_at = body_at
        self._kind = bytes(frame[:_KIND])
        self._rest = bytes(frame[_REST:body_at])
        self._unpack = _unpack(body_at - _REST)

    def correlation_id(self, frame: memoryview) -> int | None:
        """None unless the frame begins with this very header."""
        try:
            kind, correlation_id, rest = self._unpack(frame)
        except error:
            return None
        return correlation_id if kind == self._kind and rest == self._rest else None


def _unpack(size: int) -> Callable[[Buffer], tuple[bytes, int, bytes]]:
    if size > REMEMBERED_BYTES:
        return _never
    unpack = _unpacks.get(size)
    if unpack is None:
        unpack = _unpacks[size] = Struct(f">{_KIND}si{size}s").unpack_from
    return unpack


def _never(_frame: Buffer) -> tuple[bytes, int, bytes]:
    return b"", 0, b""
