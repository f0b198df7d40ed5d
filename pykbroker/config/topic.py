"""One topic's settings, resolved: its own, else the broker's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pykbroker.config.definitions import ConfigError, parse
from pykbroker.config.resource_tables import TOPIC
from pykbroker.config.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pykbroker.config.definitions import Value

CREATE_TIME, LOG_APPEND_TIME = 0, 1
USE_RETENTION = -2
"""local.retention.*: the same as retention.*."""


class ThrottledReplicas:
    """Which of a topic's replicas are throttled: pairs of partition and broker, or all of them."""

    __slots__ = ("_all", "_pairs")

    def __init__(self, value: Sequence[str]) -> None:
        self._all = "*" in value
        named = () if self._all else [item.split(":") for item in value if item]
        self._pairs = frozenset((_number(partition), _number(node)) for partition, node in named)

    def __bool__(self) -> bool:
        return self._all or bool(self._pairs)

    def covers(self, partition: int, node_id: int) -> bool:
        return self._all or (partition, node_id) in self._pairs


def _number(digits: str) -> int:
    """-1 for one that is too large to name anything: the setting takes digits without end."""
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) <= 10 else -1


class LogConfig:
    """A topic's settings as the log uses them. Immutable; changes make a new one."""

    __slots__ = (
        "cleanup_compact",
        "cleanup_delete",
        "compression_gzip_level",
        "compression_lz4_level",
        "compression_type",
        "compression_zstd_level",
        "delete_retention_ms",
        "file_delete_delay_ms",
        "flush_messages",
        "flush_ms",
        "follower_replication_throttled_replicas",
        "index_interval_bytes",
        "leader_replication_throttled_replicas",
        "local_retention_bytes",
        "local_retention_ms",
        "max_compaction_lag_ms",
        "max_decompressed_message_bytes",
        "max_message_bytes",
        "message_timestamp_after_max_ms",
        "message_timestamp_before_max_ms",
        "message_timestamp_type",
        "min_cleanable_dirty_ratio",
        "min_compaction_lag_ms",
        "min_insync_replicas",
        "preallocate",
        "retention_bytes",
        "retention_ms",
        "segment_bytes",
        "segment_index_bytes",
        "segment_jitter_ms",
        "segment_ms",
        "unclean_leader_election_enable",
    )

    cleanup_compact: bool
    cleanup_delete: bool
    compression_gzip_level: int
    compression_lz4_level: int
    compression_type: str
    """uncompressed, zstd, lz4, snappy, gzip; producer keeps what was sent."""
    compression_zstd_level: int
    delete_retention_ms: int
    file_delete_delay_ms: int
    flush_messages: int
    flush_ms: int
    follower_replication_throttled_replicas: ThrottledReplicas
    index_interval_bytes: int
    leader_replication_throttled_replicas: ThrottledReplicas
    local_retention_bytes: int
    local_retention_ms: int
    max_compaction_lag_ms: int
    max_decompressed_message_bytes: int
    max_message_bytes: int
    message_timestamp_after_max_ms: int
    message_timestamp_before_max_ms: int
    message_timestamp_type: int
    min_cleanable_dirty_ratio: float
    min_compaction_lag_ms: int
    min_insync_replicas: int
    preallocate: bool
    retention_bytes: int
    """Negative is without limit, as is ``retention_ms``."""
    retention_ms: int
    segment_bytes: int
    segment_index_bytes: int
    segment_jitter_ms: int
    segment_ms: int
    unclean_leader_election_enable: bool

    def __init__(self, values: Mapping[str, Any]) -> None:
        for name in _PLAIN:
            setattr(self, name.replace(".", "_"), values[name])
        policy = values["cleanup.policy"]
        self.cleanup_compact, self.cleanup_delete = "compact" in policy, "delete" in policy
        stamped = values["message.timestamp.type"] == "LogAppendTime"
        self.message_timestamp_type = LOG_APPEND_TIME if stamped else CREATE_TIME
        for name in _THROTTLED:
            setattr(self, name.replace(".", "_"), ThrottledReplicas(values[name]))
        if values["internal.segment.bytes"] is not None:
            self.segment_bytes = values["internal.segment.bytes"]
        if self.local_retention_ms == USE_RETENTION:
            self.local_retention_ms = self.retention_ms
        if self.local_retention_bytes == USE_RETENTION:
            self.local_retention_bytes = self.retention_bytes

    @property
    def roll_ms(self) -> int:
        """A compacted log rolls early enough for its maximum compaction lag."""
        if self.cleanup_compact and self.max_compaction_lag_ms > 0:
            return min(self.max_compaction_lag_ms, self.segment_ms)
        return self.segment_ms


_THROTTLED = ("follower.replication.throttled.replicas", "leader.replication.throttled.replicas")
_SPECIAL = {"cleanup.policy", "message.timestamp.type", "internal.segment.bytes", *_THROTTLED}
_WITHOUT_STORAGE = {
    "errors.deadletterqueue.group.enable",
    "remote.copy.lag.bytes",
    "remote.copy.lag.ms",
    "remote.log.copy.disable",
    "remote.log.delete.on.disable",
    "remote.storage.enable",
}
_PLAIN = tuple(name for name in TOPIC.names() if name not in _SPECIAL | _WITHOUT_STORAGE)


def topic_value(settings: Settings, overrides: Mapping[str, str], name: str) -> Value | None:
    """One setting of a topic: its own, else the broker's, else Kafka's default."""
    definition = TOPIC[name]
    text = overrides.get(name)
    if text is None and definition.extras:
        value = settings.value(definition.extras[0])
        return max(value, -1) if name == "retention.ms" and isinstance(value, int) else value
    text = definition.default if text is None else text
    return None if text is None else parse(definition, text)


def log_config(settings: Settings, overrides: Mapping[str, str]) -> LogConfig:
    """``overrides`` are the topic's own settings, as stored.

    Topics without any share one object.
    """
    shared: LogConfig | None = settings.derived.get("log_config") if not overrides else None
    if shared is None:
        names = (*_PLAIN, *_SPECIAL)
        shared = LogConfig({n: topic_value(settings, overrides, n) for n in names})
        if not overrides:
            settings.derived["log_config"] = shared
    return shared


def validate_topic_configs(overrides: Mapping[str, str], settings: Settings | None = None) -> None:
    """Raise ConfigError (the answer is INVALID_CONFIG) as Kafka's controller would.

    ``overrides`` is everything the topic shall have; ``settings`` the broker's, which they are
    checked together with.
    """
    for name in overrides:
        if name not in TOPIC:
            raise ConfigError(f"Unknown topic config name: {name}")
    settings = Settings({}) if settings is None else settings
    values: dict[str, Any] = {n: topic_value(settings, overrides, n) for n in TOPIC.names()}
    low, high = values["min.compaction.lag.ms"], values["max.compaction.lag.ms"]
    if low > high:
        raise ConfigError(
            f"conflict topic config setting min.compaction.lag.ms ({low}) > "
            f"max.compaction.lag.ms ({high})"
        )
    if values["remote.storage.enable"]:
        raise ConfigError(
            "Tiered Storage functionality is disabled in the broker. "
            "Topic cannot be configured with remote log storage."
        )
