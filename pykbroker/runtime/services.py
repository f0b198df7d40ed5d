"""Everything a handler may use, gathered. The composition root fills it in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykbroker.config.settings import DynamicSettings
    from pykbroker.ports import Clock, Random
    from pykbroker.runtime.broker_link import BrokerLinks
    from pykbroker.runtime.controller_client import ControllerClient
    from pykbroker.runtime.group_coordinator import GroupCoordinator
    from pykbroker.runtime.metadata import Images
    from pykbroker.runtime.producer_ids import ProducerIds
    from pykbroker.runtime.quotas import Quotas
    from pykbroker.runtime.replica_manager import ReplicaManager
    from pykbroker.runtime.telemetry import Telemetry
    from pykbroker.state.fetch_session import FetchSessionCache
    from pykbroker.state.types import NodeId


class Services:
    """Filled in once, by keyword, before the first request."""

    __slots__ = (
        "_links",
        "clock",
        "controller",
        "fetch_sessions",
        "groups",
        "images",
        "node_id",
        "producer_ids",
        "quotas",
        "replicas",
        "rng",
        "settings",
        "spawn",
        "telemetry",
    )

    def __init__(
        self,
        *,
        node_id: NodeId,
        clock: Clock,
        rng: Random,
        settings: DynamicSettings,
        images: Images,
        replicas: ReplicaManager,
        controller: ControllerClient,
        groups: GroupCoordinator,
        quotas: Quotas,
        fetch_sessions: FetchSessionCache,
        telemetry: Telemetry,
        producer_ids: ProducerIds,
        spawn: Callable[..., object],
        links: Callable[[], BrokerLinks],
    ) -> None:
        self.node_id = node_id
        self.clock = clock
        self.rng = rng
        self.settings = settings
        self.images = images
        self.replicas = replicas
        self.controller = controller
        self.groups = groups
        self.quotas = quotas
        self.fetch_sessions = fetch_sessions
        self.telemetry = telemetry
        self.producer_ids = producer_ids
        self.spawn = spawn
        """Starts a coroutine function in the broker's task group."""
        self._links = links

    @property
    def links(self) -> BrokerLinks:
        """To other brokers. A broker that asks nobody never loads them."""
        return self._links()
