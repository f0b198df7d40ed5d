"""Producer ids, handed out from blocks that the controller allocates to this broker.

An id is never handed out twice; what is left of a block when the broker stops is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from pykbroker.state.errors import KafkaError
from wire.errors import ErrorCode

if TYPE_CHECKING:
    from pykbroker.ports import Clock
    from pykbroker.runtime.controller_client import ControllerClient
    from pykbroker.runtime.metadata import Images
    from pykbroker.state.types import NodeId

PATIENCE_MS = 3_000
"""So long a producer waits for a block. kafka-python gives up for good when its own time is up."""


class ProducerIds:
    def __init__(
        self, node_id: NodeId, images: Images, controller: ControllerClient, clock: Clock
    ) -> None:
        self._node_id = node_id
        self._images = images
        self._controller = controller
        self._clock = clock
        self._next = 0
        self._end = 0
        self._turn = anyio.Lock()

    def take(self) -> int | None:
        """None when a new block is needed first: then ``fetch_and_take``."""
        if self._next >= self._end:
            return None
        taken, self._next = self._next, self._next + 1
        return taken

    async def fetch_and_take(self) -> int:
        """Raises KafkaError. Of many who wait at once, one asks the controller."""
        with anyio.CancelScope() as scope:
            timer = self._clock.call_at(self._clock.monotonic_ms() + PATIENCE_MS, scope.cancel)
            try:
                async with self._turn:
                    while (taken := self.take()) is None:
                        await self._fetch()
                    return taken
            finally:
                timer.cancel()
        raise _try_again(f"no ids within {PATIENCE_MS} ms")

    async def _fetch(self) -> None:
        from wire.messages.allocate_producer_ids import AllocateProducerIdsRequest

        broker = self._images.current.brokers.get(self._node_id)
        if broker is None:
            raise _try_again("not registered yet")
        request = AllocateProducerIdsRequest(broker_id=self._node_id, broker_epoch=broker.epoch)
        try:
            response = await self._controller.call(request)
        except KafkaError as error:
            raise _try_again(str(error)) from error
        self._next = response.producer_id_start
        self._end = response.producer_id_start + response.producer_id_len


def _try_again(reason: str) -> KafkaError:
    """The error after which every client asks again."""
    return KafkaError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, reason)
