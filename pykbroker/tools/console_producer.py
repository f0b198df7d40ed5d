"""kafka-console-producer: every line of standard input is a record."""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pykbroker.tools.client import PASSING, Refused, ToolError, check
from pykbroker.tools.options import connect, flag, ignored, parse, parser, run, say, settings
from pykbroker.tools.partitioner import partition_for
from wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from wire.records.compression import Compression
from wire.records.record import Record, build_batch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pykbroker.tools.client import Client
    from pykbroker.tools.options import Parser
    from wire.messages.metadata import MetadataResponseTopic

CHUNK_BYTES = 256 * 1024
ACKS = {"0": 0, "1": 1, "-1": -1, "all": -1}
TIMEOUT_MS = 30_000
DEPRECATED = (
    "Warning: --property is deprecated and will be removed in a future version. "
    "Use --reader-property instead."
)


def command_line() -> Parser:
    made = parser("kafka-console-producer", "Every line of standard input is a record.")
    made.add_argument("--topic", required=True)
    for name in ("reader-property", "property", "producer-property", "command-property"):
        made.add_argument(f"--{name}", action="append", default=[], metavar="name=value")
    for name in ("producer.config", "reader-config"):
        made.add_argument(
            f"--{name}", metavar="FILE", dest=name.replace(".", "_").replace("-", "_")
        )
    made.add_argument("--compression-codec", nargs="?", const="gzip")
    made.add_argument("--request-required-acks")
    flag(made, "sync", "every record is sent on its own; so it is here")
    ignored(made, "batch-size", "timeout", "message-send-max-retries", "retry-backoff-ms")
    ignored(made, "request-timeout-ms", "metadata-expiry-ms", "max-block-ms", "line-reader")
    ignored(made, "max-memory-bytes", "max-partition-memory-bytes", "socket-buffer-size")
    made.add_argument("--broker-list", dest="bootstrap_server", help=argparse.SUPPRESS)
    return made


def main(arguments: Sequence[str]) -> int:
    options = parse(command_line(), arguments)

    def act() -> None:
        if options.property:
            say(DEPRECATED)
        given = options.producer_property + options.command_property
        files = (options.command_config, options.producer_config)
        producer = settings(given, *files)
        codec = options.compression_codec or producer.get("compression.type", "none")
        acks = options.request_required_acks or producer.get("acks", "-1")
        if codec.upper() not in Compression.__members__:
            raise ToolError(f"Invalid value {codec} for configuration compression.type")
        if acks not in ACKS:
            raise ToolError(f"Invalid value {acks} for configuration acks")
        reader = settings(options.property + options.reader_property, options.reader_config)
        client = connect(options, producer)
        sender = Sender(client, options.topic, ACKS[acks], Compression[codec.upper()])
        shape = line_shape(reader)
        prompt = sys.stdin.isatty()
        number = 0
        for lines in whole_lines(prompt):
            records = []
            try:
                for line in lines:
                    number += 1
                    records.append(shape.record(line, number))
            finally:  # what came before a line that cannot be read is sent
                sender.send(records)

    return run(act)


def whole_lines(prompt: bool) -> Iterator[list[bytes]]:
    """Lines as they come, all that are there at a time; a last one without its end counts."""
    rest = b""
    while True:
        if prompt:
            print(">", end="", flush=True)
        chunk = os.read(sys.stdin.fileno(), CHUNK_BYTES)
        *lines, rest = (rest + chunk).split(b"\n")
        if not chunk and rest:
            lines, rest = [rest], b""
        if lines:
            yield [line.removesuffix(b"\r") for line in lines]
        if not chunk:
            return


@dataclass
class LineShape:
    """What a line is made of. A separator of None: that part is not in it."""

    key_separator: bytes | None
    headers_delimiter: bytes | None
    headers_separator: bytes
    header_key_separator: bytes
    null_marker: bytes | None
    ignore_error: bool

    def record(self, line: bytes, number: int) -> Record:
        headers: list[tuple[str, bytes | None]] = []
        key = None
        if self.headers_delimiter is not None:
            text, line = self._split(line, self.headers_delimiter, "headers delimiter", number)
            for pair in (text or b"").split(self.headers_separator) if text else ():
                name, value = self._split(pair, self.header_key_separator, "header", number)
                headers.append(((name or b"").decode(errors="replace"), self._or_null(value)))
        if self.key_separator is not None:
            key, line = self._split(line, self.key_separator, "key separator", number)
        return Record(0, 0, self._or_null(key), self._or_null(line), headers)

    def _split(
        self, line: bytes, mark: bytes, what: str, number: int
    ) -> tuple[bytes | None, bytes]:
        first, found, rest = line.partition(mark)
        if found:
            return first, rest
        if self.ignore_error:
            return None, line
        text = line.decode(errors="replace")
        raise ToolError(f"No {what} found on line number {number}: '{text}'")

    def _or_null(self, value: bytes | None) -> bytes | None:
        return None if value == self.null_marker else value


def line_shape(given: dict[str, str]) -> LineShape:
    def mark(name: str, default: str) -> bytes:
        found = given.get(name, default).encode()
        if not found:
            raise ToolError(f"{name} must not be empty")
        return found

    def is_set(name: str) -> bool:
        return given.get(name, "false").strip().lower() == "true"

    null = given.get("null.marker")
    return LineShape(
        key_separator=mark("key.separator", "\t") if is_set("parse.key") else None,
        headers_delimiter=mark("headers.delimiter", "\t") if is_set("parse.headers") else None,
        headers_separator=mark("headers.separator", ","),
        header_key_separator=mark("headers.key.separator", ":"),
        null_marker=None if null is None else null.encode(),
        ignore_error=is_set("ignore.error"),
    )


class Sender:
    """Batches to the leaders of a topic; a key's records all into its partition."""

    def __init__(self, client: Client, topic: str, acks: int, compression: Compression) -> None:
        self._client, self._topic = client, topic
        self._acks, self._compression = acks, compression
        self._turn = time.monotonic_ns()
        """Records without a key: where the next batch of them goes."""

    def send(self, records: Sequence[Record]) -> None:
        if not records:
            return
        topic = self._client.topic(self._topic, create=True)
        count = len(topic.partitions)
        batches: dict[int, list[Record]] = {}
        self._turn += 1
        now_ms = time.time_ns() // 1_000_000
        for record in records:
            record.timestamp = now_ms
            keyed = record.key is not None
            index = partition_for(record.key or b"", count) if keyed else self._turn % count
            batches.setdefault(index, []).append(record)
        for index, batch in batches.items():
            self._append(topic, index, batch)

    def _append(self, topic: MetadataResponseTopic, index: int, records: list[Record]) -> None:
        batch = bytes(build_batch(records, compression=self._compression))
        data = PartitionProduceData(index=index, records=batch)
        for _ in self._client.attempts():
            leader = next(p.leader_id for p in topic.partitions if p.partition_index == index)
            named = TopicProduceData(
                name=self._topic, topic_id=topic.topic_id, partition_data=[data]
            )
            request = ProduceRequest(
                acks=self._acks or 1, timeout_ms=TIMEOUT_MS, topic_data=[named]
            )
            (answer,) = self._client.call(request, leader).responses
            (result,) = answer.partition_responses
            if result.error_code not in PASSING:
                check(result.error_code, result.error_message)
                return
            topic = self._client.topic(self._topic)
        raise Refused(result.error_code)
