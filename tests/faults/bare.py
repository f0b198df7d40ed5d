"""A client that never does anything by itself: no retries, no batching, no hidden requests.

Blocking sockets, one connection to each broker, for one thread. What it cannot say is ``Lost``,
which tells whether the request may have arrived.
"""

from __future__ import annotations

import socket
import struct
import time
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from wire.apis import API_BY_KEY, request_header_version, response_header_version
from wire.codec import decode, encode_bytes
from wire.errors import ErrorCode
from wire.messages.create_topics import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
)
from wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from wire.messages.find_coordinator import Coordinator, FindCoordinatorRequest
from wire.messages.init_producer_id import InitProducerIdRequest
from wire.messages.list_offsets import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsTopic,
)
from wire.messages.metadata import MetadataRequest, MetadataRequestTopic
from wire.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
)
from wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from wire.records.batch import iter_headers
from wire.records.record import Record, build_batch, decode_records

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wire.schema import Request, Response

R = TypeVar("R")

VERSIONS = {0: 9, 1: 12, 2: 7, 3: 12, 9: 8, 10: 4, 19: 7, 20: 5, 22: 4} | {
    32: 4,
    37: 3,
    43: 2,
    44: 1,
    45: 0,
    46: 0,
}
"""Of each API that is used here: by names, as new as names go."""
EARLIEST, LATEST = -2, -1


class Lost(Exception):
    """No answer. ``sent``: whether a byte of the request has left."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent

    @property
    def error(self) -> str:
        return "DISCONNECTED" if self.sent else "NOT_CONNECTED"


class Refused(Exception):
    """An answer with an error in it."""

    def __init__(self, code: int) -> None:
        super().__init__(ErrorCode(code).name)
        self.code = ErrorCode(code)


class PartitionState(NamedTuple):
    leader: int
    leader_epoch: int
    replicas: list[int]
    isr: list[int]
    error: ErrorCode


class ClusterState(NamedTuple):
    brokers: dict[int, tuple[str, int]]
    controller: int
    parts: dict[tuple[str, int], PartitionState]
    errors: dict[str, ErrorCode]


class Bare:
    def __init__(self, bootstrap: str, *, timeout_s: float = 10.0, client_id: str = "bare") -> None:
        self._bootstrap = addresses(bootstrap)
        self._timeout_s = timeout_s
        self._client_id = client_id.encode()
        self._open: dict[tuple[str, int], socket.socket] = {}
        self._correlation = 0
        self.brokers: dict[int, tuple[str, int]] = {}

    def close(self) -> None:
        for sock in self._open.values():
            sock.close()
        self._open.clear()

    def call(self, address: tuple[str, int], request: Request, *, answers: bool = True) -> Any:
        """The response. A connection that fails is closed, and so opened anew for the next."""
        key = request.api_key
        version = VERSIONS[key]
        self._correlation += 1
        flexible = request_header_version(key, version) >= 2
        head = struct.pack(">hhih", key, version, self._correlation, len(self._client_id))
        frame = head + self._client_id + b"\0" * flexible + encode_bytes(request, version)
        try:
            sock = self._connect(address)
        except OSError as error:
            raise Lost(str(error), sent=False) from error
        try:
            sock.sendall(struct.pack(">i", len(frame)) + frame)
            if not answers:
                return None
            (size,) = struct.unpack(">i", _exactly(sock, 4))
            data = _exactly(sock, size)
        except OSError as error:
            self._open.pop(address).close()
            raise Lost(str(error), sent=True) from error
        if struct.unpack_from(">i", data)[0] != self._correlation:
            self._open.pop(address).close()
            raise Lost("an answer to another request", sent=True)
        start = 5 if response_header_version(key, version) >= 1 else 4
        cls: type[Response] = API_BY_KEY[key].response
        return decode(cls, version, data, start)[0]

    def _connect(self, address: tuple[str, int]) -> socket.socket:
        sock = self._open.get(address)
        if sock is None:
            sock = socket.create_connection(address, self._timeout_s)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open[address] = sock
        return sock

    def call_any(self, request: Request) -> Any:
        """Of whichever broker answers first."""
        last: Lost | None = None
        for address in [*self.brokers.values(), *self._bootstrap]:
            try:
                return self.call(address, request)
            except Lost as error:
                last = error
        raise last or Lost("no broker is known", sent=False)

    def call_node(self, node: int, request: Request, *, answers: bool = True) -> Any:
        address = self.brokers.get(node)
        if address is None:
            raise Lost(f"broker {node} is not known", sent=False)
        return self.call(address, request, answers=answers)

    def metadata(
        self, topics: Iterable[str] | None = None, address: tuple[str, int] | None = None
    ) -> ClusterState:
        named = None if topics is None else [MetadataRequestTopic(name=t) for t in topics]
        request = MetadataRequest(topics=named, allow_auto_topic_creation=False)
        got = self.call_any(request) if address is None else self.call(address, request)
        self.brokers = {b.node_id: (b.host, b.port) for b in got.brokers}
        parts = {
            (t.name or "", p.partition_index): PartitionState(
                p.leader_id,
                p.leader_epoch,
                list(p.replica_nodes),
                list(p.isr_nodes),
                ErrorCode(p.error_code),
            )
            for t in got.topics
            for p in t.partitions
        }
        errors = {t.name or "": ErrorCode(t.error_code) for t in got.topics if t.error_code}
        return ClusterState(self.brokers, got.controller_id, parts, errors)

    def create_topic(
        self, name: str, partitions: int, factor: int, configs: dict[str, str] | None = None
    ) -> None:
        """On whichever broker: it goes to the controller."""
        topic = CreatableTopic(
            name=name,
            num_partitions=partitions,
            replication_factor=factor,
            configs=[
                CreatableTopicConfig(name=key, value=value)
                for key, value in (configs or {}).items()
            ],
        )
        got = self.call_any(CreateTopicsRequest(topics=[topic], timeout_ms=30_000))
        if got.topics[0].error_code:
            raise Refused(got.topics[0].error_code)

    def produce(
        self,
        node: int,
        topic: str,
        partition: int,
        values: list[bytes],
        *,
        acks: int = -1,
        timeout_ms: int = 5_000,
        producer: tuple[int, int, int] = (-1, -1, -1),
        timestamp_ms: int | None = None,
    ) -> int:
        """The offset of the first value, -1 with acks=0. ``producer``: id, epoch, sequence."""
        if timestamp_ms is None:
            timestamp_ms = time.time_ns() // 10**6
        records = [Record(i, timestamp_ms, None, value) for i, value in enumerate(values)]
        return self.produce_records(
            node, topic, partition, records, acks=acks, timeout_ms=timeout_ms, producer=producer
        )

    def produce_records(
        self,
        node: int,
        topic: str,
        partition: int,
        records: list[Record],
        *,
        acks: int,
        timeout_ms: int,
        producer: tuple[int, int, int],
    ) -> int:
        """The same with records, numbered from 0."""
        pid, epoch, sequence = producer
        batch = build_batch(
            records,
            producer_id=pid,
            producer_epoch=epoch,
            base_sequence=sequence,
        )
        data = PartitionProduceData(index=partition, records=[batch])
        request = ProduceRequest(
            acks=acks,
            timeout_ms=timeout_ms,
            topic_data=[TopicProduceData(name=topic, partition_data=[data])],
        )
        got = self.call_node(node, request, answers=acks != 0)
        if got is None:
            return -1
        answer = got.responses[0].partition_responses[0]
        if answer.error_code:
            raise Refused(answer.error_code)
        return int(answer.base_offset)

    def init_producer(self) -> tuple[int, int]:
        got = self.call_any(InitProducerIdRequest(transactional_id=None))
        if got.error_code:
            raise Refused(got.error_code)
        return got.producer_id, got.producer_epoch

    def offset(
        self, node: int, topic: str, partition: int, at: int, *, committed: bool = False
    ) -> tuple[int, int]:
        """Offset and leader epoch at one end."""
        part = ListOffsetsPartition(partition_index=partition, timestamp=at)
        request = ListOffsetsRequest(
            replica_id=-1,
            isolation_level=int(committed),
            topics=[ListOffsetsTopic(name=topic, partitions=[part])],
        )
        answer = self.call_node(node, request).topics[0].partitions[0]
        if answer.error_code:
            raise Refused(answer.error_code)
        return answer.offset, answer.leader_epoch

    def fetch(
        self, node: int, topic: str, partition: int, offset: int, *, max_wait_ms: int = 100
    ) -> tuple[list[Record], list[int], int]:
        """Records from ``offset`` on (none of control batches), their leader epochs, where to go
        on.
        """
        part = FetchPartition(partition=partition, fetch_offset=offset, partition_max_bytes=4 << 20)
        request = FetchRequest(
            replica_id=-1,
            max_wait_ms=max_wait_ms,
            min_bytes=1,
            max_bytes=16 << 20,
            topics=[FetchTopic(topic=topic, partitions=[part])],
        )
        got = self.call_node(node, request)
        if got.error_code:
            raise Refused(got.error_code)
        answer = got.responses[0].partitions[0]
        if answer.error_code:
            raise Refused(answer.error_code)
        data = b"".join(bytes(b) for b in _batches(answer.records))
        records: list[Record] = []
        epochs: list[int] = []
        following = offset
        for position, header in iter_headers(data, partial=True):
            following = header.next_offset
            if header.is_control:
                continue
            found = [r for r in decode_records(data, position) if r.offset >= offset]
            records += found
            epochs += [header.partition_leader_epoch] * len(found)
        return records, epochs, following

    def coordinator(self, group: str) -> int:
        return int(self._coordinator(group).node_id)

    def _coordinator(self, group: str) -> Coordinator:
        found = self.call_any(FindCoordinatorRequest(coordinator_keys=[group])).coordinators[0]
        if found.error_code:
            raise Refused(found.error_code)
        return found

    def committed(self, group: str, partitions: dict[str, list[int]]) -> dict[str, int]:
        """By topic-partition; of the group's coordinator, asked for anew each time."""
        found = self._coordinator(group)
        topics = [
            OffsetFetchRequestTopics(name=name, partition_indexes=indexes)
            for name, indexes in partitions.items()
        ]
        request = OffsetFetchRequest(
            groups=[OffsetFetchRequestGroup(group_id=group, topics=topics)]
        )
        answer = self.call((found.host, found.port), request).groups[0]
        if answer.error_code:
            raise Refused(answer.error_code)
        offsets = {}
        for topic in answer.topics:
            for part in topic.partitions:
                if part.error_code:
                    raise Refused(part.error_code)
                offsets[f"{topic.name}-{part.partition_index}"] = part.committed_offset
        return offsets


def addresses(bootstrap: str) -> list[tuple[str, int]]:
    found = []
    for one in bootstrap.split(","):
        host, _, port = one.rpartition(":")
        found.append((host, int(port)))
    return found


def _batches(records: Any) -> list[Any]:
    if records is None:
        return []
    return list(records) if isinstance(records, list | tuple) else [records]


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = sock.recv(min(1 << 20, size - len(data)))
        if not piece:
            raise ConnectionResetError("closed by the broker")
        data += piece
    return bytes(data)
