"""Reading partitions from given offsets on, as a consumer does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.tools.client import PASSING, Unreachable, check
from pykbroker.tools.offsets import offset_at
from wire.errors import ErrorCode
from wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from wire.records.batch import LOG_APPEND_TIME, iter_headers
from wire.records.record import ControlType, control_type, iter_records

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pykbroker.tools.client import Client
    from pykbroker.tools.membership import Partition
    from wire.messages.fetch import PartitionData
    from wire.messages.metadata import MetadataResponseTopic
    from wire.records.record import Record

MAX_WAIT_MS = 500
MAX_BYTES = 16 * 1024 * 1024
READ_COMMITTED = 1


class Reader:
    """``positions`` are the offsets to read next. ``reset`` is where to go on (EARLIEST, LATEST)
    when the log has nothing at a position."""

    def __init__(
        self, client: Client, positions: dict[Partition, int], reset: int, isolation: int = 0
    ) -> None:
        self.positions = positions
        self._client, self._reset, self._isolation = client, reset, isolation
        self._topics: dict[str, MetadataResponseTopic] = {}

    def fetch(self, max_wait_ms: int) -> Iterator[tuple[Partition, Record, bool]]:
        """One round over all leaders: records, and whether their time is that of the broker. The
        position moves before the record is given."""
        leaders: dict[int, list[Partition]] = {}
        for partition in self.positions:
            leaders.setdefault(self._leader(partition), []).append(partition)
        for leader, partitions in leaders.items():
            request = self._request(partitions, max(1, max_wait_ms // len(leaders)))
            try:
                answer = self._client.call(request, leader)
            except Unreachable:  # there may be another leader by now
                self._topics.clear()
                return
            check(answer.error_code)
            names = {self._topics[name].topic_id: name for name, _ in partitions}
            for topic in answer.responses:
                name = topic.topic or names[topic.topic_id]
                for data in topic.partitions:
                    yield from self._records((name, data.partition_index), data)

    def _leader(self, partition: Partition) -> int:
        name, index = partition
        if name not in self._topics:
            self._topics[name] = self._client.topic(name)
        found = self._topics[name].partitions
        return next(p.leader_id for p in found if p.partition_index == index)

    def _request(self, partitions: list[Partition], max_wait_ms: int) -> FetchRequest:
        topics: dict[str, FetchTopic] = {}
        for name, index in partitions:
            if name not in topics:
                topics[name] = FetchTopic(topic=name, topic_id=self._topics[name].topic_id)
            topics[name].partitions.append(
                FetchPartition(
                    partition=index,
                    fetch_offset=self.positions[name, index],
                    partition_max_bytes=MAX_BYTES,
                )
            )
        return FetchRequest(
            max_wait_ms=max_wait_ms,
            min_bytes=1,
            max_bytes=MAX_BYTES,
            isolation_level=self._isolation,
            topics=list(topics.values()),
        )

    def _records(
        self, partition: Partition, data: PartitionData
    ) -> Iterator[tuple[Partition, Record, bool]]:
        if data.error_code == ErrorCode.OFFSET_OUT_OF_RANGE:
            self.positions[partition] = offset_at(self._client, *partition, self._reset)
            return
        if data.error_code in PASSING or data.error_code == ErrorCode.UNKNOWN_TOPIC_ID:
            self._topics.pop(partition[0], None)
            return
        check(data.error_code)
        if not data.records:
            return
        assert not isinstance(data.records, list)
        waiting = sorted((a.first_offset, a.producer_id) for a in data.aborted_transactions or ())
        aborted: set[int] = set()
        for pos, header in iter_headers(data.records, partial=True):
            while waiting and waiting[0][0] <= header.last_offset:
                aborted.add(waiting.pop(0)[1])
            if header.is_control:
                for record in iter_records(data.records, pos):
                    if control_type(record) == ControlType.ABORT:
                        aborted.discard(header.producer_id)
            elif not (header.is_transactional and header.producer_id in aborted):
                by_broker = header.timestamp_type == LOG_APPEND_TIME
                for record in iter_records(data.records, pos):
                    if record.offset >= self.positions[partition]:
                        self.positions[partition] = record.offset + 1
                        yield partition, record, by_broker
            self.positions[partition] = max(self.positions[partition], header.next_offset)
