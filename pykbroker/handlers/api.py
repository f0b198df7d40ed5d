"""What a handler is, and what it is given.

A handler is a function ``(request, context) -> response``, registered for its request class. It
returns the response, a Deferral of it (long fetch, acks=all, group joins), or is ``async def``
for rare admin waits. It sees one shape of the request (see ``wire``) and answers in one shape.

``KafkaError`` raised by a handler becomes the API's whole-response error where it has one; errors
per topic or partition are for the handler to put in place.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pykbroker.runtime.waiters import Deferral
from wire.schema import Request, Response

if TYPE_CHECKING:
    from pykbroker.ports import Peer
    from pykbroker.runtime.services import Services

R = TypeVar("R", bound=Request)
Answer = Response | Deferral[Any] | Awaitable[Response] | None
"""None: no response is sent at all (Produce with acks=0)."""
Handler = Callable[[Any, "Context"], Answer]


class CloseConnection(Exception):
    """Raised by a handler that has no answer to put its failure into: the client shall see its
    connection end (Produce with acks=0)."""


HANDLERS: dict[int, Handler] = {}
"""By API key. What ApiVersions advertises is wire's range for exactly these keys."""


def handles(request: type[R]) -> Callable[[Callable[[R, Context], Any]], Callable[..., Any]]:
    def register(function: Callable[[R, Context], Any]) -> Callable[..., Any]:
        key = request.api_key
        assert key not in HANDLERS, f"{request.__name__} has two handlers"
        HANDLERS[key] = function
        return function

    return register


@dataclass(slots=True)
class Connection:
    """What is known of the client at the other end of one connection."""

    peer: Peer
    number: int
    principal: str = "User:ANONYMOUS"
    client_software_name: str = ""
    client_software_version: str = ""


@dataclass(slots=True)
class Context:
    """One request's surroundings."""

    broker: Services
    connection: Connection
    api_key: int
    api_version: int
    client_id: str | None
    correlation_id: int
    received_ms: int
    """Monotonic."""
    request_bytes: int = 0
    busy_ns: int = 0
    """How long the handler ran; measured only where a quota needs it."""
    is_exempt: bool = False
    """Another broker's request: no client quota counts it."""
