"""Requests to other brokers: connections that open when they are needed, and again when they end.

A link is one connection to one broker for one purpose. Requests on it are answered in their order,
as many in flight as there are callers; so what may take long has a link of its own.

No answer is an answer too: ``LinkLost``. It says whether the request had left; if it had, whether
it took effect is not known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import anyio

from pykbroker.config.listeners import parse_listeners
from pykbroker.log import get_logger
from pykbroker.runtime.link_connection import LinkConnection
from pykbroker.state.errors import KafkaError
from wire.apis import API_BY_KEY, ApiKey
from wire.errors import ErrorCode
from wire.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykbroker.config.settings import DynamicSettings
    from pykbroker.ports import Clock, Network, Transport
    from pykbroker.runtime.metadata import Images
    from pykbroker.state.controller.image import MetadataDelta, MetadataImage
    from pykbroker.state.types import NodeId
    from wire.schema import Request

logger = get_logger("pykbroker.runtime.broker_link")

BACKOFF_MS = 50
MAX_BACKOFF_MS = 1_000
API_VERSIONS_VERSION = 3
"""Every broker knows it, and its answer can always be read."""
SOFTWARE_NAME = "pykbroker"


class LinkLost(Exception):
    """There is no answer. With ``was_sent`` the request may have taken effect."""

    def __init__(self, reason: str, *, was_sent: bool) -> None:
        super().__init__(reason)
        self.was_sent = was_sent


class Address(NamedTuple):
    """Where a broker is, and which incarnation of it: another one is another connection."""

    host: str
    port: int
    broker_epoch: int


class BrokerLinks:
    """All links of one broker."""

    def __init__(
        self,
        node_id: NodeId,
        network: Network,
        clock: Clock,
        settings: DynamicSettings,
        images: Images,
        spawn: Callable[..., object],
    ) -> None:
        """``spawn`` starts a coroutine function in the broker's task group."""
        self.node_id = node_id
        self.network = network
        self.clock = clock
        self.settings = settings
        self.spawn = spawn
        self._images = images
        self._inter_broker = parse_listeners(settings.current).inter_broker
        self._links: dict[tuple[NodeId, str], BrokerLink] = {}
        self._closed = False
        images.subscribe(self._metadata_changed)

    def open(self, node_id: NodeId, purpose: str) -> BrokerLink:
        """The link for this purpose; it connects with the first call."""
        key = (node_id, purpose)
        link = self._links.get(key)
        if link is None:
            link = self._links[key] = BrokerLink(self, node_id, purpose)
            if self._closed:
                link.close()
        return link

    def forget(self, link: BrokerLink) -> None:
        key = (link.node_id, link.purpose)
        if self._links.get(key) is link:
            del self._links[key]

    def close(self) -> None:
        """Nothing is answered any more."""
        self._closed = True
        for link in list(self._links.values()):
            link.close()

    def address(self, node_id: NodeId) -> Address | None:
        return address_of(self._images.current, node_id, self._inter_broker)

    def _metadata_changed(self, delta: MetadataDelta) -> None:
        if delta.brokers_changed or delta.before.controller_id != delta.after.controller_id:
            for link in list(self._links.values()):
                link.check_address()


def address_of(image: MetadataImage, node_id: NodeId, listener: str) -> Address | None:
    """The controller's own word counts first: it may be no broker, or not registered yet."""
    broker = image.brokers.get(node_id)
    epoch = -1 if broker is None else broker.epoch
    if node_id == image.controller_id and image.controller_endpoints:
        endpoint = image.controller_endpoints[0]
        return Address(endpoint.host, endpoint.port, epoch)
    for endpoint in () if broker is None else broker.endpoints:
        if endpoint.listener == listener:
            return Address(endpoint.host, endpoint.port, epoch)
    return None


class _Attempt:
    """One try to connect, and everybody who waits for it."""

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.failure: str | None = None


class BrokerLink:
    def __init__(self, links: BrokerLinks, node_id: NodeId, purpose: str) -> None:
        self.node_id = node_id
        self.purpose = purpose
        self._links = links
        self._clock = links.clock
        self._connection: LinkConnection | None = None
        self._address: Address | None = None
        """Where the connection, or the attempt to make one, goes."""
        self._versions: dict[int, tuple[int, int]] = {}
        self._attempt: _Attempt | None = None
        self._scope: anyio.CancelScope | None = None
        self._not_before_ms = 0
        self._backoff_ms = BACKOFF_MS
        self._closed = False
        self._dropped = False
        """Whether the attempt that is under way goes where the broker is not any more."""

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    async def call(self, request: Request, *, timeout_ms: int) -> Any:
        """The response, whatever it says. Raises LinkLost, and UNSUPPORTED_VERSION (a KafkaError)
        where the two brokers have no version of the API in common.
        """
        deadline_ms = self._clock.monotonic_ms() + timeout_ms
        connection = await self._connected(deadline_ms)
        version = self.version_of(request.api_key)
        done = anyio.Event()
        exchange = connection.send(request, version, done.set)
        received = connection.received
        timer = self._clock.call_at(deadline_ms, done.set)
        try:
            await done.wait()
        finally:
            timer.cancel()
        if exchange.response is not None:
            return exchange.response
        if exchange.lost is not None:
            raise LinkLost(exchange.lost, was_sent=True)
        if connection.received == received:
            # Nothing at all came in all this time: whoever is there does not answer any more.
            connection.abort(f"no answer within {timeout_ms} ms")
        raise LinkLost(f"no answer within {timeout_ms} ms", was_sent=True)

    def version_of(self, api_key: int) -> int:
        """The newest that both have; what is never advertised is spoken in its newest version."""
        api = API_BY_KEY[api_key]
        theirs = self._versions.get(api_key)
        if theirs is None and not api.is_client_facing:
            return api.max_version
        low, high = theirs or (0, -1)
        version = min(high, api.max_version)
        if version < max(low, api.min_version):
            raise KafkaError(
                ErrorCode.UNSUPPORTED_VERSION,
                f"Broker {self.node_id} and this one have no version of {api.name} in common.",
            )
        return version

    def close(self) -> None:
        """For good: what is in flight is lost, and every later call is."""
        self._closed = True
        self._links.forget(self)
        self._drop("the link was closed")

    def check_address(self) -> None:
        """A broker that moved, or is another incarnation, is connected to anew."""
        if self._address is not None and self._links.address(self.node_id) != self._address:
            self._backoff_ms, self._not_before_ms = BACKOFF_MS, 0
            self._drop("the broker has another address or epoch")

    def _drop(self, reason: str) -> None:
        self._dropped = True
        self._address = None
        if self._scope is not None:
            self._scope.cancel()
        if self._connection is not None:
            self._connection.abort(reason)

    async def _connected(self, deadline_ms: int) -> LinkConnection:
        while self._connection is None:
            if self._closed:
                raise LinkLost("the link is closed", was_sent=False)
            attempt = self._attempt
            if attempt is None:
                attempt = self._attempt = _Attempt()
                self._links.spawn(self._connect, attempt)
            done = attempt.done
            await self._wait(done, deadline_ms)
            if attempt.failure is not None:
                raise LinkLost(attempt.failure, was_sent=False)
            if not done.is_set():
                raise LinkLost("not connected in time", was_sent=False)
        return self._connection

    async def _wait(self, done: anyio.Event, deadline_ms: int) -> None:
        with anyio.CancelScope() as scope:
            timer = self._clock.call_at(deadline_ms, scope.cancel)
            try:
                await done.wait()
            finally:
                timer.cancel()

    async def _connect(self, attempt: _Attempt) -> None:
        """In the broker's own task: callers come and go, the attempt is everybody's."""
        failure: str | None = "the attempt to connect was ended"
        try:
            delay_ms = self._not_before_ms - self._clock.monotonic_ms()
            if delay_ms > 0:
                await self._clock.sleep(delay_ms)
            failure = await self._try()
        finally:
            self._attempt = None
            if failure is not None:
                self._address = None
                self._not_before_ms = self._clock.monotonic_ms() + self._backoff_ms
                self._backoff_ms = min(2 * self._backoff_ms, MAX_BACKOFF_MS)
            else:
                self._backoff_ms, self._not_before_ms = BACKOFF_MS, 0
            attempt.failure = failure
            attempt.done.set()

    async def _try(self) -> str | None:
        """Why there is no connection. None when there is, or when it was sought in the wrong
        place."""
        address = self._links.address(self.node_id)
        if address is None:
            return f"broker {self.node_id} has no address"
        if self._closed:
            return "the link is closed"
        self._address, self._dropped = address, False
        made: list[LinkConnection] = []

        def factory(transport: Transport) -> LinkConnection:
            client_id = f"broker-{self._links.node_id}-{self.purpose}"
            made.append(LinkConnection(transport, client_id, self._ended))
            return made[0]

        timeout_ms = self._links.settings.current.int("socket.connection.setup.timeout.ms")
        reason = f"not connected within {timeout_ms} ms"
        is_ready = False
        with anyio.CancelScope() as self._scope:
            timer = self._clock.call_at(self._clock.monotonic_ms() + timeout_ms, self._scope.cancel)
            try:
                await self._links.network.connect(address.host, address.port, factory)
                reason = await self._shake_hands(made[0])
                is_ready = not reason and made[0].is_open
            except OSError as error:
                reason = str(error)
            finally:
                timer.cancel()
                self._scope = None
                if made and not is_ready:
                    made[0].abort(reason)
        if self._dropped and not self._closed:
            return None  # dropped meanwhile: the broker moved, and whoever waits tries again
        if not is_ready:
            logger.debug("not connected", broker=self.node_id, purpose=self.purpose, reason=reason)
            return f"{address.host}:{address.port}: {reason}"
        self._connection = made[0]
        return None

    async def _shake_hands(self, connection: LinkConnection) -> str:
        """Which versions the other broker has; "" when that is known."""
        from pykbroker import __version__

        done = anyio.Event()
        request = ApiVersionsRequest(
            client_software_name=SOFTWARE_NAME, client_software_version=__version__
        )
        exchange = connection.send(request, API_VERSIONS_VERSION, done.set)
        await done.wait()
        response = exchange.response
        if response is None:
            return exchange.lost or ""
        assert isinstance(response, ApiVersionsResponse)
        if response.error_code != ErrorCode.NONE:
            return f"ApiVersions refused: {ErrorCode(response.error_code).name}"
        self._versions = {
            api.api_key: (api.min_version, api.max_version) for api in response.api_keys
        }
        return "" if ApiKey.API_VERSIONS in self._versions else "no Kafka broker"

    def _ended(self, connection: LinkConnection) -> None:
        if self._connection is connection:
            self._connection = self._address = None
