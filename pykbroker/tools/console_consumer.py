"""kafka-console-consumer: records to standard output.

With ``--group`` as a member of it; without, every partition is read and nobody hears of it.
"""

from __future__ import annotations

import re
import signal
import sys
import time
from typing import TYPE_CHECKING

from pykbroker.tools.client import ToolError
from pykbroker.tools.fetching import MAX_WAIT_MS, READ_COMMITTED, Reader
from pykbroker.tools.membership import Membership, committed
from pykbroker.tools.message_format import MessageFormat
from pykbroker.tools.offsets import EARLIEST, LATEST, offset_at
from pykbroker.tools.options import connect, flag, ignored, parse, parser, run, say, settings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from pykbroker.tools.client import Client
    from pykbroker.tools.membership import Partition
    from pykbroker.tools.options import Parser

COMMIT_SECONDS = 5.0
FORMATTER = "DefaultMessageFormatter"
DEPRECATED = (
    "Option --property is deprecated and will be removed in a future version. "
    "Use --formatter-property instead."
)


def command_line() -> Parser:
    made = parser("kafka-console-consumer", "Records of topics to standard output.")
    made.add_argument("--topic")
    made.add_argument("--include", "--whitelist", help="a regular expression of topics")
    flag(made, "from-beginning")
    made.add_argument("--partition", type=int)
    made.add_argument("--offset", help="a number, earliest or latest; with --partition")
    made.add_argument("--group")
    made.add_argument("--max-messages", type=int)
    made.add_argument("--timeout-ms", type=int, help="ends when nothing has come for so long")
    made.add_argument("--isolation-level", default="read_uncommitted")
    for name in ("formatter-property", "property", "consumer-property", "command-property"):
        made.add_argument(f"--{name}", action="append", default=[], metavar="name=value")
    for name in ("consumer.config", "formatter-config"):
        made.add_argument(
            f"--{name}", metavar="FILE", dest=name.replace(".", "_").replace("-", "_")
        )
    made.add_argument("--formatter", default=FORMATTER)
    made.add_argument("--key-deserializer")
    made.add_argument("--value-deserializer")
    ignored(made, "skip-message-on-error", "enable-systest-events", value=False)
    return made


def main(arguments: Sequence[str]) -> int:
    made = command_line()
    options = parse(made, arguments)
    if (options.topic is None) == (options.include is None):
        made.error("Exactly one of --include/--topic is required. ")
    if options.partition is not None and options.topic is None:
        made.error("The topic is required when partition is specified.")
    if options.offset is not None and options.partition is None:
        made.error("The partition is required when offset is specified.")
    if options.offset is not None and options.from_beginning:
        made.error("Options from-beginning and offset cannot be specified together.")
    return run(lambda: consume(options))


def consume(options: argparse.Namespace) -> int:
    if options.property:
        say(DEPRECATED)
    if options.formatter.rpartition(".")[2] != FORMATTER:
        raise ToolError(f"--formatter {options.formatter} is not supported, only {FORMATTER}")
    shown = settings(options.property + options.formatter_property, options.formatter_config)
    for kind in ("key", "value"):
        given = getattr(options, f"{kind}_deserializer")
        if given is not None:
            shown[f"{kind}.deserializer"] = given
    consumer = settings(
        options.consumer_property + options.command_property,
        options.command_config,
        options.consumer_config,
    )
    group = options.group or consumer.get("group.id")
    message_format = MessageFormat(shown)
    client = connect(options, consumer)
    return Consumption(options, client, consumer, message_format).run(group)


class Consumption:
    """Prints until it has enough; says at its end how much there was."""

    def __init__(
        self,
        options: argparse.Namespace,
        client: Client,
        consumer: dict[str, str],
        message_format: MessageFormat,
    ) -> None:
        self._options, self._client, self._format = options, client, message_format
        reset = consumer.get("auto.offset.reset", "latest")
        self._reset = EARLIEST if options.from_beginning or reset == "earliest" else LATEST
        level = consumer.get("isolation.level", options.isolation_level)
        self._isolation = READ_COMMITTED if level == "read_committed" else 0
        self._count = 0
        self._signal = 0
        self._last: float | None = None
        """When a record came last, or reading began: joining a group takes its time."""

    def run(self, group: str | None) -> int:
        """Until it has enough, or a signal says so: then it ends as one that a signal ended."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        if group is None or self._options.partition is not None:
            self._alone()
        else:
            self._as_member(group)
        say(f"Processed a total of {self._count} messages")
        return 128 + self._signal if self._signal else 0

    def _stop(self, number: int, frame: object) -> None:
        """Between two requests: what was read is still committed. A second signal ends at once."""
        self._signal = number
        signal.signal(number, signal.SIG_DFL)

    # Who reads what.

    def _alone(self) -> None:
        partitions = self._partitions()
        reader = self._reader({p: self._start(p) for p in partitions})
        while not self._read(reader):
            pass

    def _as_member(self, group: str) -> None:
        member = Membership(self._client, group, self._names())
        reader = self._reader({})
        try:
            done = False
            while not done:
                assigned = member.join()
                known = committed(self._client, group)
                reader = self._reader(
                    {p: known[p] if p in known else self._start(p) for p in assigned}
                )
                next_commit = time.monotonic() + COMMIT_SECONDS
                while not done and member.is_stable():
                    done = self._read(reader)
                    if time.monotonic() >= next_commit:
                        member.commit(reader.positions)
                        next_commit = time.monotonic() + COMMIT_SECONDS
                member.commit(reader.positions)
        finally:
            member.leave()

    def _names(self) -> list[str]:
        if self._options.topic is not None:
            return [self._client.topic(self._options.topic, create=True).name or ""]
        pattern = re.compile(self._options.include.replace(",", "|"))
        found = [t.name or "" for t in self._client.metadata(None).topics if not t.is_internal]
        return sorted(name for name in found if pattern.fullmatch(name))

    def _partitions(self) -> list[Partition]:
        names = self._names()
        if self._options.partition is not None:
            return [(names[0], self._options.partition)]
        return [
            (name, p.partition_index) for name in names for p in self._client.topic(name).partitions
        ]

    def _start(self, partition: Partition) -> int:
        given = self._options.offset
        if given is not None and given.isdigit():
            return int(given)
        if given not in (None, "earliest", "latest"):
            raise ToolError(
                f"The provided offset value '{given}' is incorrect. Valid values are "
                "'earliest', 'latest', or a non-negative long."
            )
        where = {"earliest": EARLIEST, "latest": LATEST}.get(given, self._reset)
        return offset_at(self._client, *partition, where)

    def _reader(self, positions: dict[Partition, int]) -> Reader:
        return Reader(self._client, positions, self._reset, self._isolation)

    # What comes.

    def _read(self, reader: Reader) -> bool:
        """One round; whether that was enough."""
        if self._signal:
            return True
        most, patience = self._options.max_messages, self._options.timeout_ms
        if most is not None and self._count >= most >= 0:
            return True
        wait_ms = MAX_WAIT_MS
        if patience is not None:
            self._last = self._last or time.monotonic()
            left = self._last + patience / 1000 - time.monotonic()
            if left <= 0:
                say("Error processing message, terminating consumer process: no message in time")
                return True
            wait_ms = min(MAX_WAIT_MS, int(left * 1000) + 1)
        if not reader.positions:
            time.sleep(wait_ms / 1000)
        out = sys.stdout.buffer
        enough = False
        for partition, record, by_broker in reader.fetch(wait_ms):
            out.write(self._format.line(partition[1], record, by_broker))
            self._count += 1
            self._last = time.monotonic()
            if self._count == most:
                enough = True
                break
        out.flush()
        return enough
