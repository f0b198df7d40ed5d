"""The pages of the HTTP endpoint: metrics and health."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.ports import Page
from pykbroker.runtime.figures.broker import samples
from pykbroker.runtime.figures.groups import committed_partitions
from pykbroker.runtime.leader_ends import LeaderEnds
from pykbroker.runtime.metrics import page

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from pykbroker.ports import Workers
    from pykbroker.runtime.figures.broker import Clients, Watch
    from pykbroker.runtime.services import Services

TEXT = "text/plain; charset=utf-8"


def pages(
    broker: Services, clients: Clients, watch: Watch, workers: Workers
) -> dict[str, Callable[[Mapping[str, str]], Awaitable[Page]]]:
    ends = LeaderEnds(broker)

    async def metrics(headers: Mapping[str, str]) -> Page:
        await ends.refresh(committed_partitions(broker))
        found = samples(broker, clients, watch, ends)
        accept = headers.get("accept", "")
        content_type, body = await page(found, accept, broker.clock, workers)
        return Page(200, content_type, body)

    async def live(headers: Mapping[str, str]) -> Page:
        return Page(200, TEXT, b"live\n")

    async def ready(headers: Mapping[str, str]) -> Page:
        """Served once the broker serves; unready again while it is fenced."""
        known = broker.images.current.brokers.get(broker.node_id)
        if known is None or known.fenced:
            return Page(503, TEXT, b"fenced\n")
        return Page(200, TEXT, b"ready\n")

    return {"/metrics": metrics, "/health/live": live, "/health/ready": ready}
