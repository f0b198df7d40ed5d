"""A client of sockets and prepared requests, for loads where a library would be the bottleneck.

Requests are encoded beforehand; what is timed sends bytes, takes whole responses, and looks at the
error code where the layout of that version has it. Versions that Kafka 2.4 to 4.3 all serve.
"""

from __future__ import annotations

import datetime
import io
import socket
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from kio.schema.create_topics.v5 import request as create_v5
from kio.schema.create_topics.v5.response import CreateTopicsResponse
from kio.schema.delete_topics.v4.request import DeleteTopicsRequest
from kio.schema.delete_topics.v4.response import DeleteTopicsResponse
from kio.schema.errors import ErrorCode
from kio.schema.fetch.v12 import request as fetch_v12
from kio.schema.fetch.v12.response import FetchResponse
from kio.schema.metadata.v9 import request as metadata_v9
from kio.schema.metadata.v9.response import MetadataResponse
from kio.schema.produce.v9 import request as produce_v9
from kio.schema.types import BrokerId, TopicName
from kio.serial import entity_reader, entity_writer
from kio.static.primitive import Records, i8, i16, i32, i32Timedelta, i64

if TYPE_CHECKING:
    from types import TracebackType

CLIENT = "compat-bench"
OFFSET_MARK = 0x0BADCAFE0BADCAFE
PATIENCE_SECONDS = 60.0


class BrokerError(Exception):
    """The broker answered with an error, or not at all."""


def milliseconds(count: int) -> i32Timedelta:
    return i32Timedelta.parse(datetime.timedelta(milliseconds=count))


def frame(request: Any) -> bytes:
    """The request with its header and size."""
    out = io.BytesIO()
    header = request.__header_schema__
    entity_writer(header)(
        out,
        header(
            request_api_key=i16(request.__api_key__),
            request_api_version=i16(request.__version__),
            correlation_id=i32(1),
            client_id=CLIENT,
        ),
    )
    entity_writer(type(request))(out, request)
    body = out.getvalue()
    return struct.pack(">i", len(body)) + body


def decode(response_type: Any, body: bytes) -> Any:
    """A response after its size field."""
    _, size = entity_reader(response_type.__header_schema__)(body, 0)
    response, _ = entity_reader(response_type)(body, size)
    return response


def parts(response: Any) -> list[Any]:
    """The answer for each partition of a Fetch or Produce response."""
    if isinstance(response, FetchResponse):
        return [part for topic in response.responses for part in topic.partitions]
    return [part for topic in response.responses for part in topic.partition_responses]


class Connection:
    """A blocking connection on which one request waits at a time, unless the caller pipelines."""

    def __init__(self, host: str, port: int, timeout: float = PATIENCE_SECONDS) -> None:
        self.socket = socket.create_connection((host, port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray(1 << 16)

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def ask(self, request: bytes | bytearray) -> memoryview:
        """The response after its size field; valid until the next one."""
        self.socket.sendall(request)
        return self.take()

    def take(self) -> memoryview:
        view = memoryview(self._buffer)
        self._fill(view[:4])
        size = int.from_bytes(view[:4], "big")
        if size > len(self._buffer):
            self._buffer = bytearray(size)
            view = memoryview(self._buffer)
        self._fill(view[:size])
        return view[:size]

    def _fill(self, view: memoryview) -> None:
        while view:
            read = self.socket.recv_into(view)
            if not read:
                raise BrokerError("the broker closed the connection")
            view = view[read:]

    def call(self, request: Any, response_type: Any) -> Any:
        return decode(response_type, bytes(self.ask(frame(request))))


class PreparedProduce(NamedTuple):
    """A Produce request to one partition, and where its response has the error code."""

    frame: bytes
    error_at: int

    def check(self, response: memoryview) -> None:
        code = int.from_bytes(response[self.error_at : self.error_at + 2], "big", signed=True)
        if code:
            raise BrokerError(f"Produce: {ErrorCode(code).name}")


def produce_request(batches: dict[int, bytes], topic: str, acks: int) -> bytes:
    """A Produce request with a batch for each of several partitions."""
    return frame(
        produce_v9.ProduceRequest(
            acks=i16(acks),
            timeout=milliseconds(30_000),
            topic_data=(
                produce_v9.TopicProduceData(
                    name=TopicName(topic),
                    partition_data=tuple(
                        produce_v9.PartitionProduceData(index=i32(index), records=Records(records))
                        for index, records in batches.items()
                    ),
                ),
            ),
        )
    )


def prepare_produce(
    topic: str, records: bytes, *, partition: int = 0, acks: int = -1
) -> PreparedProduce:
    """``records``: one batch."""
    # correlation id, header tags, topics, name, partitions, index
    error_at = 4 + 1 + 1 + (1 + len(topic)) + 1 + 4
    return PreparedProduce(produce_request({partition: records}, topic, acks), error_at)


class Fetched(NamedTuple):
    """``records`` is a view of the response."""

    high_watermark: int
    records: memoryview

    def next_offset(self, asked: int) -> int:
        """After the last whole batch."""
        view, offset, at = self.records, asked, 0
        while at + 61 <= len(view):
            base, size = struct.unpack_from(">qi", view, at)
            if at + 12 + size > len(view):
                break
            (last_delta,) = struct.unpack_from(">i", view, at + 23)
            offset = base + last_delta + 1
            at += 12 + size
        return int(offset)


class PreparedFetch:
    """A Fetch request of one partition, whose offset is patched in."""

    def __init__(self, topic: str, partition: int = 0, **limits: int) -> None:
        encoded = fetch_request(topic, [partition], OFFSET_MARK, **limits)
        self._frame = bytearray(encoded)
        self._offset_at = encoded.index(OFFSET_MARK.to_bytes(8, "big"))
        self._topic_size = len(topic)

    def at(self, offset: int) -> bytearray:
        struct.pack_into(">q", self._frame, self._offset_at, offset)
        return self._frame

    def read(self, response: memoryview) -> Fetched:
        # correlation id, tags, throttle time, error, session id
        at = 4 + 1 + 4
        (error,) = struct.unpack_from(">h", response, at)
        topics, at = uvarint(response, at + 2 + 4)
        if error or topics != 2:
            raise BrokerError(f"Fetch: {ErrorCode(error).name}, {topics - 1} topics")
        at += 1 + self._topic_size + 1
        _, error, high_watermark, _, _ = struct.unpack_from(">ihqqq", response, at)
        if error:
            raise BrokerError(f"Fetch: {ErrorCode(error).name}")
        aborted, at = uvarint(response, at + 30)
        if aborted > 1:
            raise BrokerError("Fetch: aborted transactions where none ran")
        size, at = uvarint(response, at + 4)
        return Fetched(high_watermark, response[at : at + max(0, size - 1)])


def uvarint(view: memoryview, at: int) -> tuple[int, int]:
    """The number and where the next field is."""
    value = shift = 0
    while True:
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def fetch_request(
    topic: str,
    partitions: list[int],
    offset: int,
    *,
    max_wait_ms: int = 500,
    min_bytes: int = 1,
    max_bytes: int = 50 << 20,
    partition_max_bytes: int = 1 << 20,
    session_id: int = 0,
    session_epoch: int = -1,
) -> bytes:
    return frame(
        fetch_v12.FetchRequest(
            replica_id=BrokerId(-1),
            max_wait=milliseconds(max_wait_ms),
            min_bytes=i32(min_bytes),
            max_bytes=i32(max_bytes),
            isolation_level=i8(0),
            session_id=i32(session_id),
            session_epoch=i32(session_epoch),
            topics=(
                fetch_v12.FetchTopic(
                    topic=TopicName(topic),
                    partitions=tuple(
                        fetch_v12.FetchPartition(
                            partition=i32(index),
                            current_leader_epoch=i32(-1),
                            fetch_offset=i64(offset),
                            last_fetched_epoch=i32(-1),
                            log_start_offset=i64(-1),
                            partition_max_bytes=i32(partition_max_bytes),
                        )
                        for index in partitions
                    ),
                ),
            )
            if partitions
            else (),
            forgotten_topics_data=(),
            rack_id="",
        )
    )


def create_topic(connection: Connection, name: str, partitions: int, replicas: int = 1) -> None:
    request = create_v5.CreateTopicsRequest(
        topics=(
            create_v5.CreatableTopic(
                name=TopicName(name),
                num_partitions=i32(partitions),
                replication_factor=i16(replicas),
                assignments=(),
                configs=(),
            ),
        ),
        timeout=milliseconds(30_000),
    )
    response = connection.call(request, CreateTopicsResponse)
    for topic in response.topics:
        if topic.error_code is not ErrorCode.none:
            raise BrokerError(f"CreateTopics: {topic.error_code.name}: {topic.error_message}")


def delete_topic(connection: Connection, name: str) -> None:
    request = DeleteTopicsRequest(topic_names=(TopicName(name),), timeout=milliseconds(30_000))
    response = connection.call(request, DeleteTopicsResponse)
    for topic in response.responses:
        if topic.error_code is not ErrorCode.none:
            raise BrokerError(f"DeleteTopics: {topic.error_code.name}")


def metadata_request(topics: list[str]) -> bytes:
    """No topics: only the brokers."""
    return frame(
        metadata_v9.MetadataRequest(
            topics=tuple(metadata_v9.MetadataRequestTopic(name=TopicName(t)) for t in topics),
            allow_auto_topic_creation=False,
            include_cluster_authorized_operations=False,
            include_topic_authorized_operations=False,
        )
    )


def metadata(connection: Connection, topics: list[str]) -> Any:
    return decode(MetadataResponse, bytes(connection.ask(metadata_request(topics))))
