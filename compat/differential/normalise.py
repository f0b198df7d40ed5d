"""What two brokers may say differently and mean the same, replaced by words.

Ports, ids that a broker draws, times near now, the wording of a text. That an id is the same one
as before, that a text is there, that a time is there: that is kept.
"""

from __future__ import annotations

import re
import time
import uuid
from typing import TYPE_CHECKING, Any

from kio.schema.index import api_key_map

from compat.differential.batches import read_batches
from compat.differential.codec import ZERO_UUID, error_name

if TYPE_CHECKING:
    from collections.abc import Mapping

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_OF_A_CASE = re.compile(r"d[0-9a-f]{6}-\d+\.")
_MINUTE_MS = 60_000
_NEAR_MINUTES = 3 * 24 * 60
_TEXTS = frozenset({"error_message", "batch_index_error_message", "documentation"})
_ERRORS = frozenset({"error_code"})
_DRAWN = {"producer_id": "producer", "session_id": "session", "broker_epoch": "broker epoch"}
_WORDS = {
    "host": "<host>",
    "port": "<port>",
    "client_host": "<client host>",
    "cluster_id": "<cluster>",
    "controller_id": "<controller>",
    "log_dir": "<directory>",
}
_MOVING = frozenset(
    {
        ("describe_quorum", "leader_epoch"),
        ("describe_quorum", "high_watermark"),
        ("describe_quorum", "log_end_offset"),
        ("api_versions", "finalized_features_epoch"),
    }
)
"""Counts of the whole cluster's, in which the cases of either run have no part."""
_SIZES = frozenset({"total_bytes", "usable_bytes"})

KEYED: Mapping[tuple[str, str], str] = {
    ("metadata", "topics"): "name",
    ("list_offsets", "topics"): "name",
    ("list_offsets", "topics.partitions"): "partition_index",
    ("delete_records", "topics"): "name",
    ("delete_records", "topics.partitions"): "partition_index",
    ("describe_configs", "results.configs"): "name",
    ("create_topics", "topics.configs"): "name",
    ("list_groups", "groups"): "group_id",
    ("api_versions", "api_keys"): "api_key",
    ("api_versions", "supported_features"): "name",
    ("api_versions", "finalized_features"): "name",
}
"""Arrays whose order Kafka does not promise: told by this field of their elements."""


UNORDERED = frozenset(
    {
        ("delete_topics", "responses"),
        ("describe_client_quotas", "entries"),
        ("describe_client_quotas", "entries.entity"),
        ("alter_client_quotas", "entries.entity"),
        ("describe_groups", "groups"),
        ("describe_groups", "groups.members"),
        ("delete_groups", "results"),
        ("join_group", "members"),
        ("offset_commit", "topics"),
        ("offset_fetch", "topics"),
        ("offset_fetch", "groups.topics"),
    }
)
"""The same, where the elements may have no such field."""


class Names:
    """What one broker has drawn, by the order in which it appeared within one case."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, Any], str] = {}
        self._counts: dict[str, int] = {}

    def fork(self) -> Names:
        """For an exchange that the others are not to be counted with."""
        other = Names()
        other._known = dict(self._known)
        other._counts = dict(self._counts)
        return other

    def give(self, kind: str, value: Any, name: str) -> None:
        self._known[kind, value] = f"<{name}>"

    def of(self, kind: str, value: Any) -> str:
        if (kind, value) not in self._known:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._known[kind, value] = f"<{kind} {self._counts[kind]}>"
        return self._known[kind, value]


class Normaliser:
    """``token``, which every name of a case begins with, is told as ``@``."""

    def __init__(self, names: Names, token: str) -> None:
        self._names = names
        self._token = token

    def answer(self, api: str, body: dict[str, Any]) -> Any:
        said = self._walk(api, "", "", body)
        if api in ("fetch", "produce"):
            said["responses"] = _by_partition(said["responses"])
        return said

    def _walk(self, api: str, path: str, name: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: self._walk(api, f"{path}.{key}" if path else key, key, inner)
                for key, inner in value.items()
            }
        if isinstance(value, list):
            return self._list(api, path, name, value)
        if (api, name) in _MOVING and value >= 0:
            return "<moving>"
        return self._leaf(name, value)

    def _list(self, api: str, path: str, name: str, value: list[Any]) -> Any:
        value = [item for item in value if not self._is_of_another_case(item)]
        key = KEYED.get((api, path))
        told = [self._walk(api, path, name, item) for item in value]
        if (api, path) in UNORDERED:
            return sorted(told, key=str)
        if key is None or len({item[key] for item in value}) < len(value):
            return told
        return {self._key(api, item[key]): one for item, one in zip(value, told, strict=True)}

    def _is_of_another_case(self, item: Any) -> bool:
        """What lists everything there is lists what other cases have made, too."""
        if not isinstance(item, dict):
            return False
        texts = [value for value in item.values() if isinstance(value, str)]
        return any(_OF_A_CASE.search(t) and f"{self._token}." not in t for t in texts)

    def _key(self, api: str, key: Any) -> str:
        if api == "api_versions" and isinstance(key, int):
            return api_key_map.get(key, str(key))
        return self._text("", str(key))

    def _leaf(self, name: str, value: Any) -> Any:
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, uuid.UUID):
            return "<no id>" if value == ZERO_UUID else self._names.of("id", value)
        if isinstance(value, bytes):
            return self._bytes(name, value)
        if isinstance(value, str):
            return self._text(name, value)
        return self._number(name, value)

    def _bytes(self, name: str, value: bytes) -> Any:
        if name == "records":
            return self._walk("", "", "", read_batches(value)) if value else "<empty>"
        return value.hex()

    def _text(self, name: str, value: str) -> str:
        if name in _TEXTS and value:
            return "<text>"
        if name in _WORDS and value:
            return _WORDS[name]
        value = value.replace(self._token, "@")
        return _UUID.sub(lambda found: self._names.of("uuid", found[0]), value)

    def _number(self, name: str, value: Any) -> Any:
        if name in _ERRORS:
            return error_name(value)
        if name == "throttle_time_ms":
            return "<throttled>" if value else 0
        if name in _WORDS and value >= 0:
            return _WORDS[name]
        if name in _SIZES and value > 0:
            return "<size>"
        if name in _DRAWN and value >= (name == "session_id"):
            return self._names.of(_DRAWN[name], value)
        if "timestamp" in name or ("time" in name and name.endswith("_ms")):
            return self._time(value)
        return value

    @staticmethod
    def _time(value: Any) -> Any:
        """To the minute, where it is near."""
        minutes = round((value - time.time() * 1000) / _MINUTE_MS)
        if abs(minutes) > _NEAR_MINUTES:
            return value
        return f"<now {minutes:+d} min>" if minutes else "<now>"


def _by_partition(topics: list[dict[str, Any]]) -> Any:
    """Fetch and Produce answer what failed apart, in a place of its own: the order of partitions,
    and in how many pieces a topic comes, is not promised. As it is where one comes twice."""
    parts: dict[str, Any] = {}
    for topic in topics:
        name = topic.get("topic", topic.get("name", topic.get("topic_id")))
        for key in ("partitions", "partition_responses"):
            for part in topic.get(key, ()):
                place = f"{name}-{part.get('partition_index', part.get('index'))}"
                if place in parts:
                    return topics
                parts[place] = part
    if any(not topic.get("partitions", topic.get("partition_responses")) for topic in topics):
        return topics
    return parts
