"""What keeps this broker's replicas in step with those elsewhere. Loaded with the first of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from pykbroker.runtime.follower import Followers
from pykbroker.runtime.isr import IsrUpdates
from pykbroker.runtime.throttles import Throttles

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykbroker.config.settings import DynamicSettings
    from pykbroker.ports import Clock
    from pykbroker.runtime.follower import Links
    from pykbroker.runtime.isr import AsksController
    from pykbroker.runtime.replica_manager import ReplicaManager


class Replication:
    def __init__(
        self,
        *,
        clock: Clock,
        settings: DynamicSettings,
        replicas: ReplicaManager,
        controller: AsksController,
        links: Links,
        broker_epoch: Callable[[], int],
    ) -> None:
        """``broker_epoch`` is that of this broker's own registration."""
        self.throttles = Throttles(replicas.node_id, clock, settings)
        self.followers = Followers(
            node_id=replicas.node_id,
            clock=clock,
            settings=settings,
            throttles=self.throttles,
            wakeups=replicas.wakeups,
            traffic=replicas.traffic,
            links=links,
            broker_epoch=broker_epoch,
        )
        self.isr_updates = IsrUpdates(
            node_id=replicas.node_id,
            clock=clock,
            settings=settings,
            replicas=replicas,
            controller=controller,
            broker_epoch=broker_epoch,
        )

    async def run(self) -> None:
        """Until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.followers.run)
            await self.isr_updates.run()
