"""The embedded protocol of protocol type consumer: subscriptions and assignments."""

from __future__ import annotations

from wire.schema import Record, Struct, at, int32, string


class TopicPartition(Struct):
    topic: string = ""
    partitions: list[int32] = []


class ConsumerProtocolAssignment(Record, versions="0-3"):
    assigned_partitions: list[TopicPartition] = []
    user_data: bytes | None = None


class ConsumerProtocolSubscription(Record, versions="0-3"):
    topics: list[string] = []
    user_data: bytes | None = None
    owned_partitions: list[TopicPartition] = at("1+", default=[], ignorable=True)
    generation_id: int32 = at("2+", default=-1, ignorable=True)
    rack_id: string | None = at("3+", default=None, ignorable=True)
