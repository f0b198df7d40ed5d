"""kafka-get-offsets, and what other tools ask of the offsets of partitions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pykbroker.tools.client import PASSING, ToolError, check
from pykbroker.tools.options import connect, flag, parse, parser, run, settings
from wire.messages.list_offsets import ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pykbroker.tools.client import Client

EARLIEST, LATEST, MAX_TIMESTAMP = -2, -1, -3
WORDS = {"earliest": EARLIEST, "latest": LATEST, "max-timestamp": MAX_TIMESTAMP}


def offset_at(client: Client, topic: str, partition: int, timestamp: int) -> int:
    """The first offset from that time on (ms since 1970, EARLIEST, LATEST), or -1."""
    asked = ListOffsetsPartition(partition_index=partition, timestamp=timestamp)
    request = ListOffsetsRequest(
        replica_id=-1,
        topics=[ListOffsetsTopic(name=topic, partitions=[asked])],
        timeout_ms=30_000,
    )
    for _ in client.attempts():
        found = client.topic(topic).partitions
        leaders = [p.leader_id for p in found if p.partition_index == partition]
        if not leaders:
            raise ToolError(f"Partition {topic}-{partition} does not exist.")
        (answer,) = client.call(request, leaders[0]).topics
        (result,) = answer.partitions
        if result.error_code not in PASSING:
            check(result.error_code)
            return int(result.offset)
    raise ToolError(f"No leader for {topic}-{partition}.")


def main(arguments: Sequence[str]) -> int:
    made = parser("kafka-get-offsets", "The offsets of topics.")
    made.add_argument("--topic", "--topic-partitions", help="a regular expression")
    made.add_argument("--partitions", metavar="0,1,...")
    made.add_argument("--time", default="latest", help="ms since 1970, earliest, latest")
    flag(made, "exclude-internal-topics")
    options = parse(made, arguments)

    def act() -> None:
        timestamp = when(options.time)
        client = connect(options, settings([], options.command_config))
        pattern = re.compile((options.topic or ".*").replace(",", "|"))
        only = {int(p) for p in options.partitions.split(",")} if options.partitions else None
        topics = [
            topic
            for topic in client.metadata(None).topics
            if pattern.fullmatch(topic.name or "")
            and not (options.exclude_internal_topics and topic.is_internal)
        ]
        if not topics:
            raise ToolError("Could not match any topic-partitions with the specified filters")
        for topic in sorted(topics, key=lambda topic: topic.name or ""):
            for index in sorted(p.partition_index for p in topic.partitions):
                if only is None or index in only:
                    offset = offset_at(client, topic.name or "", index, timestamp)
                    print(f"{topic.name}:{index}:{offset if offset >= 0 else ''}")

    return run(act, "Error occurred: ")


def when(text: str) -> int:
    try:
        return WORDS[text] if text in WORDS else int(text)
    except ValueError:
        raise ToolError(
            f"Malformed time argument {text}. Please use -1 or latest / -2 or earliest / "
            "-3 or max-timestamp, or a specified long format timestamp"
        ) from None
