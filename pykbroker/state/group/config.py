"""The settings that group decisions depend on, resolved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from pykbroker.config.settings import Settings

NEW_MEMBER_JOIN_TIMEOUT_MS = 300_000
"""A new member cannot send heartbeats while its first JoinGroup waits; if its client gave up, it
must not hold up its group for ever."""


class GroupConfig(NamedTuple):
    min_session_timeout_ms: int = 6_000
    max_session_timeout_ms: int = 1_800_000
    max_size: int = 2**31 - 1
    initial_rebalance_delay_ms: int = 3_000
    offset_metadata_max_bytes: int = 4_096
    offsets_retention_ms: int = 7 * 24 * 3_600_000
    offsets_retention_check_interval_ms: int = 600_000


def group_config(settings: Settings) -> GroupConfig:
    return GroupConfig(
        min_session_timeout_ms=settings.int("group.min.session.timeout.ms"),
        max_session_timeout_ms=settings.int("group.max.session.timeout.ms"),
        max_size=settings.int("group.max.size"),
        initial_rebalance_delay_ms=settings.int("group.initial.rebalance.delay.ms"),
        offset_metadata_max_bytes=settings.int("offset.metadata.max.bytes"),
        offsets_retention_ms=settings.int("offsets.retention.minutes") * 60_000,
        offsets_retention_check_interval_ms=settings.int("offsets.retention.check.interval.ms"),
    )
