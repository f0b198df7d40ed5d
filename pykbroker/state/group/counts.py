"""What the coordinators of groups have done, counted from the broker's start."""

from __future__ import annotations


class GroupCounts:
    __slots__ = ("commits", "deletions", "expirations", "rebalances")

    def __init__(self) -> None:
        # Offsets, one for each partition.
        self.commits = self.expirations = self.deletions = 0
        self.rebalances = 0
        """Generations that began."""
