"""What goes in and out of partitions, counted by topic and in all, since the broker's start.

A topic counts for itself as long as it is there, wherever its partitions move meanwhile; what
topics counted that are gone stays in the sums, or these would fall.
"""

from __future__ import annotations

COUNTED = (
    "records_in",
    "bytes_in",
    "bytes_out",
    "bytes_rejected",
    "produces",
    "failed_produces",
    "fetches",
    "failed_fetches",
    "produce_conversions",
    "fetch_conversions",
)


class TopicTraffic:
    """Of one topic; produces and fetches are counted by partition, as Kafka does."""

    __slots__ = COUNTED

    def __init__(self) -> None:
        self.records_in = self.bytes_in = self.bytes_out = 0
        """To and from clients and coordinators, replicas not counted."""
        self.bytes_rejected = 0
        """Of batches that were too large."""
        self.produces = self.failed_produces = 0
        self.fetches = self.failed_fetches = 0
        self.produce_conversions = self.fetch_conversions = 0
        """Records that came or left in an old message format."""

    def add(self, other: TopicTraffic) -> None:
        for name in COUNTED:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Traffic:
    def __init__(self) -> None:
        self.topics: dict[str, TopicTraffic] = {}
        """Those of which this broker holds partitions, or did."""
        self.others = TopicTraffic()
        """Topics that are gone."""
        # Bytes from leaders and to followers; of that, for replicas that a reassignment adds.
        self.replicated_in = self.replicated_out = 0
        self.reassigned_in = self.reassigned_out = 0
        # Batches that were refused, and keyless records of those that were.
        self.refused = {"magic": 0, "crc": 0, "offset": 0, "keyless": 0}

    def of(self, topic: str) -> TopicTraffic:
        """For whoever holds a partition of it."""
        found = self.topics.get(topic)
        if found is None:
            found = self.topics[topic] = TopicTraffic()
        return found

    def known(self, topic: str | None) -> TopicTraffic:
        """For anybody: a topic that is not held here has nothing of its own."""
        return self.topics.get(topic or "", self.others)

    def count_fetches(self, topic: str | None, partitions: int) -> None:
        self.known(topic).fetches += partitions

    def refused_records(self, kind: str, records: int) -> None:
        """A batch, for one of the reasons that are counted or for another."""
        if kind:
            self.refused[kind] += records if kind == "keyless" else 1

    def topic_deleted(self, topic: str) -> None:
        former = self.topics.pop(topic, None)
        if former is not None:
            self.others.add(former)
