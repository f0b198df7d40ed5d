"""This process's lease on the metadata store: what its registration and its office hang on.

It is renewed at a third of its time to live, or sooner where that is wished. Its holder stops
acting before the store can have given it away: the time is counted on the holder's own monotonic
clock, from the moment a renewal is SENT, and a margin is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.log import get_logger
from pykbroker.ports import StoreUnavailable

if TYPE_CHECKING:
    from pykbroker.ports import Clock, MetadataStore

logger = get_logger("pykbroker.runtime.lease")

RETRY_MS = 250
MARGIN_PERCENT = 10


class LeaseLost(Exception):
    """Whatever was held under the lease is no longer ours."""


class Lease:
    def __init__(
        self,
        store: MetadataStore,
        clock: Clock,
        ttl_ms: int,
        interval_ms: int,
        lease: int,
        since_ms: int,
    ) -> None:
        self.id = lease
        self.ttl_ms = ttl_ms
        self._interval_ms = min(interval_ms, ttl_ms // 3)
        self._store = store
        self._clock = clock
        self._until_ms = self._counted_from(since_ms)

    @classmethod
    async def grant(
        cls, store: MetadataStore, clock: Clock, ttl_ms: int, interval_ms: int
    ) -> Lease:
        """Raises StoreUnavailable."""
        since_ms = clock.monotonic_ms()
        lease = await store.grant_lease(ttl_ms)
        return cls(store, clock, ttl_ms, interval_ms, lease, since_ms)

    @property
    def is_held(self) -> bool:
        """Whether its holder may still act. Ask again after every wait."""
        return self._clock.monotonic_ms() < self._until_ms

    async def keep(self) -> None:
        """Renew until it is lost: then LeaseLost is raised, and not before."""
        pause_ms = self._interval_ms
        while True:
            left_ms = self._until_ms - self._clock.monotonic_ms()
            await self._clock.sleep(max(min(pause_ms, left_ms), 1))
            if not self.is_held:
                raise LeaseLost(f"not renewed within {self.ttl_ms} ms")
            renewed = await self._renew()
            pause_ms = self._interval_ms if renewed else min(RETRY_MS, self._interval_ms)

    async def revoke(self) -> None:
        """Give it up at once; its keys go with it."""
        self._until_ms = 0
        await self._store.revoke_lease(self.id)

    async def _renew(self) -> bool:
        sent_ms = self._clock.monotonic_ms()
        try:
            renewed = await self._store.renew_lease(self.id)
        except StoreUnavailable as error:
            logger.warning("lease not renewed", reason=str(error))
            return False
        if not renewed:
            raise LeaseLost("the store no longer knows it")
        if not self.is_held:
            # Whoever saw that has given up what depends on it, and must be able to begin anew.
            raise LeaseLost("its renewal was answered too late")
        self._until_ms = self._counted_from(sent_ms)
        return True

    def _counted_from(self, sent_ms: int) -> int:
        return sent_ms + self.ttl_ms - self.ttl_ms * MARGIN_PERCENT // 100
