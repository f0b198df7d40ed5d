"""What a handler is, and what it is given.

A handler is a function ``(request, context) -> response``, registered for its request class. It
returns the response, a Deferral of it (long fetch, acks=all, group joins), or is ``async def``
for rare admin waits. It sees one shape of the request (see ``wire``) and answers in one shape.

``KafkaError`` raised by a handler becomes the API's whole-response error where it has one; errors
per topic or partition are for the handler to put in place.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from pykbroker.runtime.controller_client import Origin
from pykbroker.runtime.waiters import Deferral
from wire.schema import Request, Response

if TYPE_CHECKING:
    from pykbroker.ports import Peer
    from pykbroker.runtime.request_counts import RequestTiming
    from pykbroker.runtime.services import Services

R = TypeVar("R", bound=Request)
Answer = Response | Deferral[Any] | Awaitable[Response] | None
"""None: no response is sent at all (Produce with acks=0)."""
Handler = Callable[[Any, "Context"], Answer]


class CloseConnection(Exception):
    """Raised by a handler that has no answer to put its failure into: the client shall see its
    connection end (Produce with acks=0)."""


HANDLERS: dict[int, Handler] = {}
"""By API key, as far as their modules are loaded; ``registry`` knows all."""


def handles(request: type[R]) -> Callable[[Callable[[R, Context], Any]], Callable[..., Any]]:
    def register(function: Callable[[R, Context], Any]) -> Callable[..., Any]:
        key = request.api_key
        assert key not in HANDLERS, f"{request.__name__} has two handlers"
        HANDLERS[key] = function
        return function

    return register


class Connection:
    """What is known of the client at the other end of one connection."""

    __slots__ = (
        "client_software_name",
        "client_software_version",
        "number",
        "peer",
        "principal",
    )

    def __init__(self, peer: Peer, number: int) -> None:
        self.peer = peer
        self.number = number
        self.principal = "User:ANONYMOUS"
        self.client_software_name = ""
        self.client_software_version = ""


class Context:
    """One request's surroundings."""

    __slots__ = (
        "api_key",
        "api_version",
        "broker",
        "busy_ns",
        "client_id",
        "connection",
        "correlation_id",
        "is_exempt",
        "received_ms",
        "request_bytes",
        "timing",
        "told_none",
    )

    def __init__(
        self,
        broker: Services,
        connection: Connection,
        api_key: int,
        api_version: int,
        client_id: str | None,
        correlation_id: int,
        received_ms: int,
        request_bytes: int = 0,
    ) -> None:
        self.broker = broker
        self.connection = connection
        self.api_key = api_key
        self.api_version = api_version
        self.client_id = client_id
        self.correlation_id = correlation_id
        self.received_ms = received_ms
        """Monotonic."""
        self.request_bytes = request_bytes
        self.busy_ns = 0
        """How long the handler ran; measured only where a quota needs it."""
        self.is_exempt = False
        """Another broker's request: no client quota counts it."""
        self.timing: RequestTiming | None = None
        """Where this one is timed."""
        self.told_none = 0
        """How many error codes are in the answer, where its handler knows that all are NONE; 0
        where it has to be looked through."""

    def origin(self, api_version: int | None = None) -> Origin:
        """For a request to the controller on this client's behalf: its own, or one of another API
        in ``api_version``."""
        version = self.api_version if api_version is None else api_version
        return Origin(self.connection.principal, self.client_id, self.connection.peer.host, version)


async def forward(request: Request, ctx: Context) -> Response:
    """Handles what is the controller's to decide, and whose answer is the client's as it is."""
    response: Response = await ctx.broker.controller.call(request, origin=ctx.origin())
    return response
