"""A topic's and a group's settings: their own, else the broker's, checked together."""

from __future__ import annotations

import pytest

from pykbroker.config.definitions import ConfigError
from pykbroker.config.groups import group_limits, group_value, validate_group_configs
from pykbroker.config.settings import Settings
from pykbroker.config.topic import (
    CREATE_TIME,
    LOG_APPEND_TIME,
    log_config,
    topic_value,
    validate_topic_configs,
)

PLAIN = Settings({})


def test_defaults_are_kafkas() -> None:
    config = log_config(PLAIN, {})
    assert config.segment_bytes == 1 << 30
    assert config.retention_ms == 7 * 24 * 3_600_000
    assert config.retention_bytes == -1
    assert config.max_message_bytes == 1048588
    assert config.cleanup_delete
    assert not config.cleanup_compact
    assert config.message_timestamp_type == CREATE_TIME
    assert config.compression_type == "producer"
    assert config.min_insync_replicas == 1
    assert config.flush_ms == (1 << 63) - 1


def test_a_topic_takes_the_brokers_value_until_it_has_its_own() -> None:
    settings = Settings(
        {
            "log.retention.hours": "1",
            "log.message.timestamp.type": "LogAppendTime",
            "log.cleanup.policy": "compact",
            "message.max.bytes": "77",
        }
    )
    config = log_config(settings, {})
    assert config.retention_ms == 3_600_000
    assert config.message_timestamp_type == LOG_APPEND_TIME
    assert (config.cleanup_compact, config.cleanup_delete) == (True, False)
    own = log_config(settings, {"max.message.bytes": "5", "cleanup.policy": "compact,delete"})
    assert own.max_message_bytes == 5
    assert (own.cleanup_compact, own.cleanup_delete) == (True, True)
    assert own.retention_ms == 3_600_000


def test_an_empty_policy_keeps_everything() -> None:
    config = log_config(PLAIN, {"cleanup.policy": ""})
    assert (config.cleanup_compact, config.cleanup_delete) == (False, False)


def test_small_segments_for_tests_go_past_the_minimum() -> None:
    assert log_config(PLAIN, {"internal.segment.bytes": "100"}).segment_bytes == 100
    with pytest.raises(ConfigError, match="Value must be at least 1048576"):
        validate_topic_configs({"segment.bytes": "100"})
    validate_topic_configs({"internal.segment.bytes": "100"})


def test_negative_retention_of_the_broker_is_unlimited() -> None:
    assert log_config(Settings({"log.retention.ms": "-7"}), {}).retention_ms == -1


def test_local_retention_is_the_whole_retention_unless_set() -> None:
    config = log_config(PLAIN, {"retention.ms": "9", "retention.bytes": "8"})
    assert (config.local_retention_ms, config.local_retention_bytes) == (9, 8)
    own = log_config(PLAIN, {"retention.ms": "9", "local.retention.ms": "5"})
    assert own.local_retention_ms == 5


def test_a_compacted_log_rolls_for_its_compaction_lag() -> None:
    overrides = {"max.compaction.lag.ms": "100", "segment.ms": "500"}
    assert log_config(PLAIN, overrides).roll_ms == 500
    assert log_config(PLAIN, {**overrides, "cleanup.policy": "compact"}).roll_ms == 100


def test_topics_without_settings_share_one_object_and_others_do_not() -> None:
    assert log_config(PLAIN, {}) is log_config(PLAIN, {})
    assert log_config(PLAIN, {"retention.ms": "1"}) is not log_config(PLAIN, {})
    changed = PLAIN.with_dynamic({"message.max.bytes": "9"}, {})
    assert log_config(changed, {}).max_message_bytes == 9
    assert log_config(PLAIN, {}).max_message_bytes == 1048588


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"no.such": "1"}, "Unknown topic config name: no.such"),
        ({"retention.ms": "x"}, "Invalid value x for configuration retention.ms"),
        ({"cleanup.policy": "shred"}, "String must be one of: compact, delete"),
        ({"cleanup.policy": "delete,delete"}, "must not be duplicated"),
        (
            {"min.compaction.lag.ms": "10", "max.compaction.lag.ms": "5"},
            "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)",
        ),
        ({"remote.storage.enable": "true"}, "Tiered Storage functionality is disabled"),
        ({"leader.replication.throttled.replicas": "0:x"}, "must be the literal '*'"),
    ],
)
def test_bad_topic_settings_are_refused(overrides: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate_topic_configs(overrides)
    assert message in str(caught.value)


def test_a_topic_is_checked_together_with_the_brokers_values() -> None:
    settings = Settings({"log.cleaner.min.compaction.lag.ms": "10"})
    validate_topic_configs({"max.compaction.lag.ms": "5"})
    with pytest.raises(ConfigError, match="conflict"):
        validate_topic_configs({"max.compaction.lag.ms": "5"}, settings)


def test_topic_values_keep_their_type() -> None:
    assert topic_value(PLAIN, {"preallocate": "TRUE"}, "preallocate") is True
    assert topic_value(PLAIN, {}, "internal.segment.bytes") is None
    assert topic_value(PLAIN, {}, "remote.storage.enable") is False


def test_a_group_takes_the_brokers_value_until_it_has_its_own() -> None:
    settings = Settings({"group.consumer.session.timeout.ms": "50000"})
    assert group_value(settings, {}, "consumer.session.timeout.ms") == 50000
    own = {"consumer.session.timeout.ms": "46000"}
    assert group_value(settings, own, "consumer.session.timeout.ms") == 46000
    assert group_value(settings, {}, "share.auto.offset.reset") == "latest"
    assert group_value(settings, {}, "streams.assignor.name") == "sticky"


def test_a_group_stays_within_the_brokers_limits() -> None:
    assert group_limits(PLAIN, "consumer.session.timeout.ms") == (45000, 60000)
    assert group_limits(PLAIN, "share.isolation.level") == (None, None)
    validate_group_configs({"consumer.session.timeout.ms": "60000"}, PLAIN)
    with pytest.raises(
        ConfigError,
        match=r"^consumer\.session\.timeout\.ms must be in the range 45000 to 60000 inclusive\.$",
    ):
        validate_group_configs({"consumer.session.timeout.ms": "60001"}, PLAIN)
    wider = Settings({"group.consumer.max.session.timeout.ms": "70000"})
    validate_group_configs({"consumer.session.timeout.ms": "60001"}, wider)
    with pytest.raises(ConfigError, match="less than or equal to 2"):
        validate_group_configs({"streams.num.standby.replicas": "3"}, PLAIN)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"nope": "1"}, "Unknown group config name: nope"),
        ({"consumer.session.timeout.ms": "x"}, "Not a number of type INT"),
        ({"share.auto.offset.reset": "sometimes"}, "must be latest, earliest"),
    ],
)
def test_bad_group_settings_are_refused(overrides: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate_group_configs(overrides, PLAIN)
    assert message in str(caught.value)


def test_a_session_must_outlast_a_heartbeat() -> None:
    settings = Settings(
        {
            "group.consumer.min.session.timeout.ms": "1",
            "group.consumer.min.heartbeat.interval.ms": "1",
        }
    )
    with pytest.raises(ConfigError, match="must be greater than consumer"):
        validate_group_configs(
            {"consumer.session.timeout.ms": "5000", "consumer.heartbeat.interval.ms": "5000"},
            settings,
        )
