"""Leases of a store, counted on its owner's monotonic clock.

A lease that ran out is gone at once, whether or not anybody has come to remove its keys.
"""

from __future__ import annotations

import os


def some_lease() -> int:
    """Where to begin numbering, so that who held a lease of an earlier run cannot mean ours."""
    return int.from_bytes(os.urandom(5), "big") << 20 | 1


class Leases:
    def __init__(self, first_id: int = 1) -> None:
        self._next = first_id
        self._live: dict[int, tuple[int, int]] = {}
        """Lease -> (time to live, deadline)."""

    def __contains__(self, lease: int) -> bool:
        return lease in self._live

    def grant(self, ttl_ms: int, now_ms: int) -> int:
        if ttl_ms <= 0:
            raise ValueError(f"a lease of {ttl_ms} ms")
        lease, self._next = self._next, self._next + 1
        self._live[lease] = (ttl_ms, now_ms + ttl_ms)
        return lease

    def renew(self, lease: int, now_ms: int) -> bool:
        known = self._live.get(lease)
        if known is None or known[1] <= now_ms:
            return False
        self._live[lease] = (known[0], now_ms + known[0])
        return True

    def is_live(self, lease: int, now_ms: int) -> bool:
        known = self._live.get(lease)
        return known is not None and known[1] > now_ms

    def expired(self, now_ms: int) -> list[int]:
        return [lease for lease, (_, deadline) in self._live.items() if deadline <= now_ms]

    def remove(self, lease: int) -> None:
        self._live.pop(lease, None)

    def next_deadline_ms(self) -> int | None:
        return min((deadline for _, deadline in self._live.values()), default=None)
