"""A broker's handlers over a replayed cluster whose controller decides at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from pykbroker.config.settings import DynamicSettings
from pykbroker.handlers.api import HANDLERS, Connection, Context
from pykbroker.ports import Peer
from pykbroker.runtime.metadata import Images
from pykbroker.runtime.producer_ids import ProducerIds
from pykbroker.runtime.waiters import Deferral
from pykbroker.state.controller.decide import decide
from pykbroker.state.controller.replay import difference
from pykbroker.state.errors import KafkaError
from pykbroker.state.types import NodeId
from tests.support.manual_clock import ManualClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykbroker.runtime.controller_client import Origin
    from pykbroker.runtime.services import Services
    from tests.support.cluster_images import Cluster
    from wire.errors import ErrorCode
    from wire.schema import Request


class Mutation:
    """What controller_mutation_rate has left for this client."""

    def __init__(self, permits: int | None) -> None:
        self.left = permits
        self.throttle_ms = 0

    def record(self, partitions: int) -> None:
        if self.left is None:
            return
        self.left -= partitions
        if self.left < 0:
            from wire.errors import ErrorCode

            self.throttle_ms = 777
            raise KafkaError(ErrorCode.THROTTLING_QUOTA_EXCEEDED)


class ClusterBroker:
    """What handlers of topics and cluster see of a broker."""

    def __init__(self, cluster: Cluster, **settings: str) -> None:
        cluster.settings = _settings(settings)
        self.cluster = cluster
        self.node_id = NodeId(1)
        self.clock = ManualClock()
        self.settings = DynamicSettings(cluster.settings)
        self.images = Images()
        self.controller = self
        self.producer_ids = ProducerIds(self.node_id, self.images, cast("Any", self), self.clock)
        self.quotas = SimpleNamespace(controller_mutation=self._mutation)
        self.groups = SimpleNamespace(topic=SimpleNamespace(create=self._create_offsets))
        self.permits: int | None = None
        self.strict_since: list[int] = []
        self.asked: list[Request] = []
        self._spawned: list[tuple[Any, ...]] = []
        self.origins: list[Origin | None] = []
        self.fails_with: KafkaError | None = None
        self.offsets_created = 0
        self.publish()

    def publish(self) -> None:
        self.images.publish(difference(self.images.current, self.cluster.image))

    async def call(
        self,
        request: Request,
        *,
        charge: Callable[[int], None] | None = None,
        origin: Origin | None = None,
    ) -> Any:
        self.origins.append(origin)
        return await self.serve(request, charge)

    async def serve(self, request: Request, charge: Callable[[int], None] | None = None) -> Any:
        self.asked.append(request)
        if self.fails_with is not None:
            raise self.fails_with
        view = self.cluster.view
        if charge is not None:
            view = view._replace(charge=charge)
        decision = self.cluster.apply(decide(request, view))
        self.publish()
        return decision.response

    async def ask(self, request: Request, *, version: int = 99, listener: str = "PLAINTEXT") -> Any:
        connection = Connection(Peer(listener, "PLAINTEXT", "127.0.0.1", 5000), 1)
        broker = cast("Services", self)
        context = Context(broker, connection, request.api_key, version, "client", 1, 0)
        answer = HANDLERS[request.api_key](request, context)
        if isinstance(answer, Deferral):
            return await self._completed(answer)
        return await answer if hasattr(answer, "__await__") else answer

    async def _completed(self, deferral: Deferral[Any]) -> Any:
        """What the handler left to be done in the background is done here."""
        found: list[Any] = []
        deferral.when_done(found.append)
        while self._spawned:
            function, *arguments = self._spawned.pop(0)
            await function(*arguments)
        (answer,) = found
        return answer

    def spawn(self, function: Any, *arguments: Any) -> None:
        self._spawned.append((function, *arguments))

    async def refusal(self, request: Request, **options: Any) -> ErrorCode:
        try:
            await self.ask(request, **options)
        except KafkaError as error:
            return error.code
        raise AssertionError("it was not refused")

    def _mutation(self, _: Context, *, strict_since: int) -> Mutation:
        self.strict_since.append(strict_since)
        return Mutation(self.permits)

    async def _create_offsets(self) -> None:
        self.offsets_created += 1


def _settings(settings: dict[str, str]) -> Any:
    from pykbroker.config.settings import Settings

    return Settings({name.replace("_", "."): value for name, value in settings.items()})
