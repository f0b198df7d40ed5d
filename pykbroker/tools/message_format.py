"""How a record is printed: Kafka's DefaultMessageFormatter and its properties."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pykbroker.tools.client import ToolError

if TYPE_CHECKING:
    from wire.records.record import Record

DEFAULT = {
    "print.timestamp": "false",
    "print.partition": "false",
    "print.offset": "false",
    "print.delivery": "false",
    "print.headers": "false",
    "print.key": "false",
    "print.value": "true",
    "key.separator": "\t",
    "line.separator": "\n",
    "headers.separator": ",",
    "null.literal": "null",
}
TYPES = ("StringDeserializer", "ByteArrayDeserializer")


@dataclass
class MessageFormat:
    settings: dict[str, str]

    def __post_init__(self) -> None:
        for name, value in self.settings.items():
            if name.endswith(".deserializer") and value.rpartition(".")[2] not in TYPES:
                raise ToolError(f"{name}={value} is not supported, only {' and '.join(TYPES)}")
        self.settings = DEFAULT | self.settings
        self._shown = [
            name
            for name in DEFAULT
            if name.startswith("print.") and self.settings[name].strip().lower() == "true"
        ]
        self._null = self.settings["null.literal"].encode()

    def line(self, partition: int, record: Record, log_append_time: bool) -> bytes:
        parts = [self._part(name, partition, record, log_append_time) for name in self._shown]
        end = self.settings["line.separator"].encode()
        return self.settings["key.separator"].encode().join(parts) + end

    def _part(self, name: str, partition: int, record: Record, log_append_time: bool) -> bytes:
        if name == "print.timestamp":
            if record.timestamp < 0:
                return b"NO_TIMESTAMP"
            kind = "LogAppendTime" if log_append_time else "CreateTime"
            return f"{kind}:{record.timestamp}".encode()
        if name == "print.partition":
            return f"Partition:{partition}".encode()
        if name == "print.offset":
            return f"Offset:{record.offset}".encode()
        if name == "print.delivery":
            return b"Delivery:NOT_PRESENT"
        if name == "print.headers":
            return self._headers(record)
        value = record.key if name == "print.key" else record.value
        return self._null if value is None else value

    def _headers(self, record: Record) -> bytes:
        if not record.headers:
            return b"NO_HEADERS"
        pairs = (
            key.encode() + b":" + (self._null if value is None else value)
            for key, value in record.headers
        )
        return self.settings["headers.separator"].encode().join(pairs)
