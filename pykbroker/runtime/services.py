"""Everything a handler may use, gathered. The composition root fills it in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykbroker.config.settings import DynamicSettings
    from pykbroker.ports import Clock, Random
    from pykbroker.runtime.controller import ControllerClient
    from pykbroker.runtime.group_coordinator import GroupCoordinator
    from pykbroker.runtime.metadata import Images
    from pykbroker.runtime.producer_ids import ProducerIds
    from pykbroker.runtime.quotas import Quotas
    from pykbroker.runtime.replica_manager import ReplicaManager
    from pykbroker.runtime.telemetry import Telemetry
    from pykbroker.state.fetch_session import FetchSessionCache
    from pykbroker.state.types import NodeId


@dataclass(slots=True)
class Services:
    node_id: NodeId
    clock: Clock
    rng: Random
    settings: DynamicSettings
    images: Images
    replicas: ReplicaManager
    controller: ControllerClient
    groups: GroupCoordinator
    quotas: Quotas
    fetch_sessions: FetchSessionCache
    telemetry: Telemetry
    producer_ids: ProducerIds
    spawn: Callable[..., object]
    """Start a coroutine function in the broker's task group."""
    metrics: Any = None
