"""Requests to a controller in another process.

What only brokers ask goes as it is. What a client asked for goes in an Envelope (KIP-590), with
the client's principal and address: the controller charges that client's quotas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from pykbroker.log import get_logger
from pykbroker.ports import StoreUnavailable
from pykbroker.runtime.broker_link import LinkLost
from pykbroker.runtime.controller_batch import NotController, OutcomeUnknown
from pykbroker.runtime.controller_client import NOBODY_KNOWS, RETRY_MS, Origin
from pykbroker.state.errors import KafkaError
from wire.apis import API_BY_KEY, ApiKey
from wire.client import request_data, response_body
from wire.codec import decode, encode_bytes
from wire.errors import DecodeError, ErrorCode
from wire.messages.envelope import EnvelopeRequest, EnvelopeResponse
from wire.messages.principal import DefaultPrincipalData

if TYPE_CHECKING:
    from pykbroker.ports import Clock
    from pykbroker.runtime.broker_link import BrokerLinks
    from pykbroker.runtime.metadata import MetadataFollower
    from pykbroker.state.types import NodeId
    from wire.schema import Request, Response

logger = get_logger("pykbroker.runtime.forwarding")

GRACE_MS = 1_000
"""The controller itself answers when a request's time is up: that long its answer may take."""
ASK_PURPOSE, FORWARD_PURPOSE = "to-controller", "forwarding"
PRINCIPAL_VERSION = 0
OWN_VERSIONS = {int(ApiKey.CREATE_TOPICS): 4}
"""For what a broker asks for by itself. Before v6 a quota refuses nothing; before v5 the answer
does not describe the topic."""
REPEATABLE = frozenset(
    (
        ApiKey.ALTER_PARTITION,  # compares epochs
        ApiKey.BROKER_HEARTBEAT,
        ApiKey.ALLOCATE_PRODUCER_IDS,  # a block that was allocated in vain is never used
        ApiKey.ALTER_CONFIGS,
        ApiKey.ALTER_CLIENT_QUOTAS,
        ApiKey.LIST_PARTITION_REASSIGNMENTS,
        ApiKey.UPDATE_FEATURES,
    )
)
"""Doing it twice is doing it once, and the second answer is as true as the first."""
_SET, _DELETE = 0, 1


class Forwarding:
    def __init__(self, links: BrokerLinks, follower: MetadataFollower, clock: Clock) -> None:
        self._links = links
        self._follower = follower
        self._clock = clock

    async def call(
        self, node_id: NodeId, request: Request, origin: Origin | None, deadline_ms: int
    ) -> Any:
        """Raises NotController when it may be asked again, KafkaError when it was refused."""
        api = API_BY_KEY[request.api_key]
        try:
            if api.is_client_facing:
                response = await self._in_envelope(node_id, request, origin, deadline_ms)
            else:
                response = await self._as_it_is(node_id, request, deadline_ms)
        except LinkLost as lost:
            logger.info(
                "controller not reached", controller=node_id, api=api.name, reason=str(lost)
            )
            if not lost.was_sent:
                raise NotController from None
            if is_repeatable(request):
                raise OutcomeUnknown from None
            raise KafkaError(ErrorCode.REQUEST_TIMED_OUT, NOBODY_KNOWS) from None
        if request.api_key != ApiKey.ALLOCATE_PRODUCER_IDS:
            await self._catch_up(deadline_ms)
        return response

    async def _as_it_is(self, node_id: NodeId, request: Request, deadline_ms: int) -> Any:
        response: Any = await self._ask(node_id, ASK_PURPOSE, request, deadline_ms)
        code = ErrorCode(response.error_code)
        if code == ErrorCode.NOT_CONTROLLER:
            raise NotController
        if code == ErrorCode.REQUEST_TIMED_OUT and is_repeatable(request):
            raise OutcomeUnknown
        if code != ErrorCode.NONE:
            raise KafkaError(code, "The controller refused the request.")
        return response

    async def _in_envelope(
        self, node_id: NodeId, request: Request, origin: Origin | None, deadline_ms: int
    ) -> Response:
        api = API_BY_KEY[request.api_key]
        if origin is None:
            version = OWN_VERSIONS.get(request.api_key, api.max_version)
            origin = Origin("User:ANONYMOUS", f"broker-{self._links.node_id}", "", version)
        version = origin.api_version
        envelope = EnvelopeRequest(
            request_data=b"".join(request_data(request, version, 0, origin.client_id)),
            request_principal=principal_bytes(origin.principal),
            client_host_address=address_bytes(origin.host),
        )
        answer: EnvelopeResponse = await self._ask(node_id, FORWARD_PURPOSE, envelope, deadline_ms)
        if answer.error_code == ErrorCode.NOT_CONTROLLER:
            raise NotController
        data = answer.response_data
        if answer.error_code != ErrorCode.NONE or data is None:
            # It says something about the two brokers, and nothing about the client's request.
            code = ErrorCode(answer.error_code)
            logger.error("envelope refused", controller=node_id, api=api.name, code=code.name)
            raise KafkaError(ErrorCode.UNKNOWN_SERVER_ERROR, None)
        try:
            body = response_body(data, api.key, version)
            response, _ = decode(api.response, version, data, body)
        except DecodeError as error:
            logger.error("answer in an envelope", controller=node_id, api=api.name, error=error)
            raise KafkaError(ErrorCode.UNKNOWN_SERVER_ERROR, None) from error
        return response

    async def _ask(self, node_id: NodeId, purpose: str, request: Request, deadline_ms: int) -> Any:
        timeout_ms = deadline_ms - self._clock.monotonic_ms() + GRACE_MS
        return await self._links.open(node_id, purpose).call(request, timeout_ms=timeout_ms)

    async def _catch_up(self, deadline_ms: int) -> None:
        """Until this broker's image shows what the controller wrote. At the deadline the answer is
        given all the same: it is true, and who reads here next may not see it yet."""
        with anyio.CancelScope() as scope:
            timer = self._clock.call_at(deadline_ms, scope.cancel)
            try:
                while True:
                    try:
                        await self._follower.catch_up()
                        return
                    except StoreUnavailable:
                        await self._clock.sleep(RETRY_MS)
            finally:
                timer.cancel()


def is_repeatable(request: Any) -> bool:
    """Whether it may be asked again when nobody knows if it took effect."""
    if request.api_key in REPEATABLE or getattr(request, "validate_only", False):
        return True
    if request.api_key == ApiKey.INCREMENTAL_ALTER_CONFIGS:
        return all(
            config.config_operation in (_SET, _DELETE)
            for resource in request.resources
            for config in resource.configs
        )
    return False


def principal_bytes(principal: str) -> bytes:
    """As Kafka's default principal serializes itself: two bytes of version, then the message."""
    kind, _, name = principal.partition(":")
    data = encode_bytes(DefaultPrincipalData(type=kind, name=name), PRINCIPAL_VERSION)
    return PRINCIPAL_VERSION.to_bytes(2, "big") + data


def address_bytes(host: str) -> bytes:
    """Four or sixteen bytes; zeros for what is no address."""
    from ipaddress import ip_address

    try:
        return ip_address(host).packed
    except ValueError:
        return bytes(4)
