"""Replication throttles (KIP-73): how much of chosen partitions' replication passes in a second.

A broker has one quota for what it sends as a leader, one for what it fetches as a follower, one for
what it copies between its log directories. What counts against the first two is the traffic of the
partitions that their topics' settings name, whoever it is for; what is held back while a quota is
exceeded is only what replicas out of sync are to get, so that a throttle puts nobody out of an ISR.

Nothing is weighed in advance: whoever asks while the rate is within the limit may exceed it by one
answer, and then waits until the rate has fallen.
"""

from __future__ import annotations

from pykbroker.state.quota import Rate

UNLIMITED = 2**63 - 1


class SimpleRate(Rate):
    """Kafka's SimpleRate: over the time since the oldest sample began, and one window at least."""

    def elapsed_ms(self, now_ms: int) -> int:
        return max(self.age_ms(now_ms), self.window_ms)


class ReplicationQuota:
    def __init__(self, samples: int, window_ms: int) -> None:
        self.limit = UNLIMITED
        """Bytes per second."""
        self._rate = SimpleRate(samples, window_ms)

    def record(self, size: int, now_ms: int) -> None:
        self._rate.record(size, now_ms)

    def is_exceeded(self, now_ms: int) -> bool:
        return self.limit < UNLIMITED and self._rate.measure(now_ms) > self.limit

    def rate(self, now_ms: int) -> float:
        """Bytes per second, as measured now."""
        return self._rate.measure(now_ms)
