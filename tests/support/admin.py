"""A broker's admin side alone: handlers over an image that a tiny controller changes."""

from __future__ import annotations

from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from pykbroker.config.settings import DynamicSettings, Settings
from pykbroker.handlers.api import HANDLERS, Connection, Context
from pykbroker.ports import Peer
from pykbroker.runtime.dynamic_config import ConfigFollower
from pykbroker.runtime.purgatory import Wakeups
from pykbroker.runtime.quotas import Quotas
from pykbroker.runtime.telemetry import Telemetry
from pykbroker.state.configs import decide_alter_configs, decide_incremental_alter
from pykbroker.state.controller.image import MetadataDelta, MetadataImage
from pykbroker.state.quota_configs import decide_alter_client_quotas
from pykbroker.state.types import NodeId
from tests.support.images import delta_between, image_with
from tests.support.manual_clock import ManualClock
from wire.messages.alter_client_quotas import AlterClientQuotasRequest
from wire.messages.alter_configs import AlterConfigsRequest
from wire.messages.incremental_alter_configs import IncrementalAlterConfigsRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykbroker.runtime.services import Services
    from wire.schema import Request, Response

ME = NodeId(1)


class AdminBroker:
    """What admin handlers see of a broker; changes take effect at once."""

    def __init__(self, image: MetadataImage | None = None, **settings: str) -> None:
        static = {"process.roles": "broker", "node.id": "1"}
        static |= {name.replace("_", "."): value for name, value in settings.items()}
        self.clock = ManualClock()
        self.node_id = ME
        self.settings = DynamicSettings(Settings(static))
        self.subscribers: list[Callable[[MetadataDelta], None]] = []
        self.images = SimpleNamespace(
            current=image or image_with(topics=["t"]), subscribe=self.subscribers.append
        )
        self.quotas = Quotas(self.settings.current, cast("Any", self.clock))
        self.telemetry = Telemetry(self.settings, cast("Any", self.clock), Random(1))
        self.fetch_sessions = SimpleNamespace(connection_closed=lambda number: None)
        self.replicas = SimpleNamespace(wakeups=Wakeups())
        self.controller = self
        self.forwarded: list[Request] = []
        self.subscribers += [
            ConfigFollower(self.settings, ME).apply,
            self.quotas.apply,
            self.telemetry.apply,
        ]
        empty = MetadataImage()
        self._tell(delta_between(empty, self.images.current))

    async def call(self, request: Request, **_: Any) -> Response:
        """The controller: decide, store, tell."""
        self.forwarded.append(request)
        before = self.images.current
        configs = {key: dict(values) for key, values in before.configs.items()}
        quotas = {key: dict(values) for key, values in before.quotas.items()}
        response: Response
        if isinstance(request, AlterClientQuotasRequest):
            quota_changes, response = decide_alter_client_quotas(before, request)
            for quota in quota_changes:
                _store(quotas.setdefault(quota.entity, {}), quota.key, quota.value)
        else:
            settings = self.settings.current
            if isinstance(request, IncrementalAlterConfigsRequest):
                changes, response = decide_incremental_alter(before, request, settings)
            else:
                assert isinstance(request, AlterConfigsRequest)
                changes, response = decide_alter_configs(before, request, settings)
            for change in changes:
                _store(configs.setdefault(change.resource, {}), change.name, change.value)
        self.images.current = MetadataImage(
            brokers=before.brokers,
            topics=before.topics,
            topic_names=before.topic_names,
            features=before.features,
            configs={key: values for key, values in configs.items() if values},
            quotas={key: values for key, values in quotas.items() if values},
        )
        self._tell(delta_between(before, self.images.current))
        return response

    def _tell(self, delta: MetadataDelta) -> None:
        for apply in self.subscribers:
            apply(delta)

    def context(self, request: Request, *, version: int = 4, **options: Any) -> Context:
        connection = options.pop("connection", None) or Connection(
            Peer("PLAINTEXT", "PLAINTEXT", "127.0.0.1", 5000), 1
        )
        context = Context(cast("Services", self), connection, request.api_key, version, "app", 1, 0)
        for name, value in options.items():
            setattr(context, name, value)
        return context

    async def ask(self, request: Request, **options: Any) -> Any:
        answer = HANDLERS[request.api_key](request, self.context(request, **options))
        return await answer if hasattr(answer, "__await__") else answer


def _store(values: dict[str, Any], name: str, value: Any) -> None:
    if value is None:
        values.pop(name, None)
    else:
        values[name] = value
