"""The words of the line protocol, as the Python drivers say them: see PROTOCOL.md."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Json = dict[str, Any]
Partition = tuple[str, int]

OPS = {
    "producer": ("open", "send", "fill", "flush", "close"),
    "consumer": (
        "open",
        "take",
        "drain",
        "events",
        "commit",
        "committed",
        "position",
        "seek",
        "pause",
        "resume",
        "offsets",
        "close",
    ),
    "admin": (
        "open",
        "create_topics",
        "delete_topics",
        "create_partitions",
        "list_topics",
        "describe_topics",
        "describe_cluster",
        "describe_configs",
        "alter_configs",
        "list_groups",
        "describe_groups",
        "delete_groups",
        "group_offsets",
        "alter_group_offsets",
        "delete_group_offsets",
        "list_offsets",
        "delete_records",
        "elect_leaders",
        "close",
    ),
}
"""Every command there is, whether or not a client has it."""


class CommandError(Exception):
    """How a command fails; ``code`` is Kafka's name of it, or one of PROTOCOL.md's."""

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        number: int | None = None,
        retriable: bool = False,
        fatal: bool = False,
    ) -> None:
        super().__init__(f"{code} {message}".strip())
        self.code = code
        self.fatal = fatal
        self.line: Json = {
            "code": code,
            "number": number,
            "message": message,
            "retriable": retriable,
            "fatal": fatal,
        }


def unsupported(what: str) -> CommandError:
    return CommandError("UNSUPPORTED", what)


def bad_command(why: str) -> CommandError:
    return CommandError("BAD_COMMAND", why)


def encode(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def decode(text: str | None) -> bytes | None:
    """Raises BAD_COMMAND for what is not base64."""
    if text is None:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise bad_command(f"not base64: {text!r}") from error


def name_of(topic: str, partition: int) -> str:
    return f"{topic}-{partition}"


def split_name(name: str) -> Partition:
    topic, _, partition = name.rpartition("-")
    if not topic or not partition.isdecimal():
        raise bad_command(f"not a partition: {name!r}")
    return topic, int(partition)


def pairs(partitions: Iterable[Json]) -> list[Partition]:
    try:
        return [(p["topic"], p["partition"]) for p in partitions]
    except (KeyError, TypeError) as error:
        raise bad_command(f"not partitions: {partitions!r}") from error


def lines(partitions: Iterable[Partition]) -> list[Json]:
    return [{"topic": topic, "partition": partition} for topic, partition in sorted(partitions)]


def renamed(config: Json, names: Mapping[str, str]) -> Json:
    """The settings under the client's own names. Raises UNSUPPORTED for one it does not have."""
    for name in config:
        if name not in names:
            raise unsupported(f"setting {name}")
    return {names[name]: value for name, value in config.items()}


def chosen(setting: str, value: Any, values: Mapping[str, Any]) -> Any:
    """The client's own value for one of PROTOCOL.md's. Raises UNSUPPORTED where it has none."""
    if value not in values:
        raise unsupported(f"{setting} {value}")
    return values[value]
