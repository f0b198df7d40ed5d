"""How the rest of a broker asks the active controller: in this process, or in another one.

Whoever is asked may have lost the office, or be lost itself. What was certainly not looked at is
asked again, of whoever holds the office then. What may have been done already is asked again only
where that does no harm; else the caller is told that nobody knows (REQUEST_TIMED_OUT).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pykbroker.runtime.controller_batch import NotController, OutcomeUnknown
from pykbroker.state.errors import KafkaError
from pykbroker.state.types import NO_LEADER
from wire.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykbroker.ports import Clock
    from pykbroker.runtime.broker_link import BrokerLinks
    from pykbroker.runtime.controller import Controller
    from pykbroker.runtime.controller_batch import ControllerCounts
    from pykbroker.runtime.forwarding import Forwarding
    from pykbroker.runtime.metadata import MetadataFollower
    from pykbroker.state.controller.image import MetadataDelta
    from pykbroker.state.types import NodeId
    from wire.schema import Request

RETRY_MS = 250
NOBODY_KNOWS = "The controller did not answer: whether the request took effect is not known."


class Origin(NamedTuple):
    """The client behind a request that is passed on: the controller charges its quota."""

    principal: str
    client_id: str | None
    host: str
    api_version: int


class ControllerClient:
    def __init__(
        self,
        controller: Controller,
        clock: Clock,
        timeout_ms: int = 30_000,
        *,
        follower: MetadataFollower | None = None,
        links: Callable[[], BrokerLinks] | None = None,
    ) -> None:
        """``timeout_ms`` bounds requests that name no timeout of their own. Without ``links``
        there is no controller but the one in this process."""
        self._controller = controller
        self._clock = clock
        self._timeout_ms = timeout_ms
        self._follower = follower
        self._links = links
        self._forwarding: Forwarding | None = None
        if follower is not None:
            follower.images.subscribe(self._metadata_changed)

    @property
    def counts(self) -> ControllerCounts:
        """Of the controller in this process."""
        return self._controller.counts

    async def call(
        self,
        request: Request,
        *,
        charge: Callable[[int], None] | None = None,
        origin: Origin | None = None,
    ) -> Any:
        """The response, once this broker's own image shows what it says. Raises KafkaError.

        Waits for a controller as long as the request allows. ``charge`` takes what partitions are
        created and deleted from the client's quota, where the controller is in this process; in
        another one it is the quota of ``origin``; without it the broker asks for itself.
        """
        deadline_ms = self._deadline_ms(request)
        nobody = KafkaError(ErrorCode.NOT_CONTROLLER, "There is no controller.")
        while True:
            rung = self._controller.news.rung
            try:
                return await self._controller.call(request, deadline_ms, charge)
            except NotController:
                pass
            node_id = self._elsewhere()
            if node_id is not None:
                try:
                    return await self._forward().call(node_id, request, origin, deadline_ms)
                except OutcomeUnknown:
                    nobody = KafkaError(ErrorCode.REQUEST_TIMED_OUT, NOBODY_KNOWS)
                except NotController:
                    pass
            until_ms = deadline_ms
            if node_id is not None:
                until_ms = min(deadline_ms, self._clock.monotonic_ms() + RETRY_MS)
            await self._controller.news.wait(rung, until_ms)
            if self._clock.monotonic_ms() >= deadline_ms:
                raise nobody

    async def serve(self, request: Request, charge: Callable[[int], None] | None = None) -> Any:
        """For what another broker passed on: decided in this process or not at all.

        Raises KafkaError; NotController if the request was not even looked at.
        """
        return await self._controller.call(request, self._deadline_ms(request), charge)

    def _deadline_ms(self, request: Request) -> int:
        timeout_ms: int = getattr(request, "timeout_ms", self._timeout_ms)
        return self._clock.monotonic_ms() + timeout_ms

    def _elsewhere(self) -> NodeId | None:
        """The node of the controller when that is not here."""
        if self._links is None or self._follower is None:
            return None
        node_id = self._follower.images.current.controller_id
        return None if node_id in (NO_LEADER, self._controller.node_id) else node_id

    def _forward(self) -> Forwarding:
        if self._forwarding is None:
            from pykbroker.runtime.forwarding import Forwarding

            assert self._links is not None
            assert self._follower is not None
            self._forwarding = Forwarding(self._links(), self._follower, self._clock)
        return self._forwarding

    def _metadata_changed(self, delta: MetadataDelta) -> None:
        before, after = delta.before, delta.after
        if (before.controller_id, before.controller_epoch) != (
            after.controller_id,
            after.controller_epoch,
        ):
            self._controller.news.ring()
