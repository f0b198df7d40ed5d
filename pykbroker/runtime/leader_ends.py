"""Where partitions end that other brokers lead: who coordinates a group tells its lag, and may have
no replica of what it reads.

Leaders are asked when somebody wants to know, not between; several who want to know within a few
seconds share the answers. A leader that does not answer in time is not asked again for a while, so
that nobody waits for it each time; of its partitions nothing is known then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from pykbroker.runtime.metrics import collect
from pykbroker.runtime.storage.lookup import LATEST
from pykbroker.state.errors import KafkaError
from pykbroker.state.types import NO_LEADER, NodeId, TopicPartition
from wire.messages.list_offsets import ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pykbroker.runtime.services import Services
    from wire.messages.list_offsets import ListOffsetsResponse

FRESH_MS = 5_000
TIMEOUT_MS = 1_000
"""For all leaders together: they are asked at once."""
SILENCE_MS = 15_000
PARTITIONS_PER_REQUEST = 200
LIMIT = 20_000


class LeaderEnds:
    def __init__(self, broker: Services) -> None:
        self._broker = broker
        self._clock = broker.clock
        self._ends: dict[TopicPartition, int] = {}
        self._asked_ms = -FRESH_MS
        self._not_before_ms: dict[NodeId, int] = {}
        self._asking = anyio.Lock()

    def end(self, topic_partition: TopicPartition) -> int | None:
        """The high watermark, as its leader told it last."""
        return self._ends.get(topic_partition)

    async def refresh(self, wanted: Iterable[TopicPartition | None]) -> None:
        """``wanted`` may have places to pause, and partitions that are led here or nowhere."""
        async with self._asking:
            now_ms = self._clock.monotonic_ms()
            if now_ms - self._asked_ms < FRESH_MS:
                return
            by_leader: dict[NodeId, list[TopicPartition]] = {}
            for leader, place in await collect(self._led_elsewhere(wanted), self._clock):
                by_leader.setdefault(leader, []).append(place)
            self._ends = {}
            async with anyio.create_task_group() as tasks:
                for leader, places in by_leader.items():
                    if now_ms >= self._not_before_ms.get(leader, now_ms):
                        tasks.start_soon(self._ask, leader, places)
            self._asked_ms = self._clock.monotonic_ms()

    def _led_elsewhere(
        self, wanted: Iterable[TopicPartition | None]
    ) -> Iterator[tuple[NodeId, TopicPartition] | None]:
        topics = self._broker.images.current.topics
        known: set[TopicPartition] = set()
        for place in wanted:
            yield None
            if place is None or place in known or len(known) >= LIMIT:
                continue
            known.add(place)
            topic = topics.get(place.topic)
            if topic is not None and place.partition < len(topic.partitions):
                leader = topic.partitions[place.partition].leader
                if leader not in (NO_LEADER, self._broker.node_id):
                    yield leader, place

    async def _ask(self, leader: NodeId, places: list[TopicPartition]) -> None:
        from pykbroker.runtime.broker_link import LinkLost

        link = self._broker.links.open(leader, "lag")
        until_ms = self._clock.monotonic_ms() + TIMEOUT_MS
        for first in range(0, len(places), PARTITIONS_PER_REQUEST):
            request = _request(places[first : first + PARTITIONS_PER_REQUEST])
            left_ms = max(1, until_ms - self._clock.monotonic_ms())
            try:
                response: ListOffsetsResponse = await link.call(request, timeout_ms=left_ms)
            except (LinkLost, KafkaError):
                self._not_before_ms[leader] = self._clock.monotonic_ms() + SILENCE_MS
                return
            for topic in response.topics:
                for data in topic.partitions:
                    if not data.error_code and data.offset >= 0:
                        self._ends[TopicPartition(topic.name, data.partition_index)] = data.offset


def _request(places: Iterable[TopicPartition]) -> ListOffsetsRequest:
    topics: dict[str, ListOffsetsTopic] = {}
    for name, index in places:
        topic = topics.setdefault(name, ListOffsetsTopic(name=name))
        topic.partitions.append(ListOffsetsPartition(partition_index=index, timestamp=LATEST))
    # As a consumer: followers are told where the log ends, committed or not.
    return ListOffsetsRequest(replica_id=-1, topics=list(topics.values()))
