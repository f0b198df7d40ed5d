"""DescribeConfigs: values, sources and synonyms in Kafka's order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pykbroker.config.broker_table import BROKER
from pykbroker.config.effective import is_shown
from pykbroker.config.resource_tables import CLIENT_METRICS, GROUP, TOPIC
from pykbroker.config.settings import Settings
from pykbroker.state.described_configs import Describer, synonym_names

if TYPE_CHECKING:
    from wire.messages.describe_configs import DescribeConfigsResourceResult

SETTINGS = Settings(
    {"log.retention.minutes": "77", "log.roll.hours": "5", "node.id": "1"},
    {"group.initial.rebalance.delay.ms": "0"},
    dynamic_broker={"log.retention.ms": "6000"},
    dynamic_default={"log.retention.ms": "5000", "my.thing": "x"},
)


def describer(settings: Settings = SETTINGS) -> Describer:
    return Describer(settings, include_synonyms=True)


def only(found: list[DescribeConfigsResourceResult]) -> DescribeConfigsResourceResult:
    assert len(found) == 1
    return found[0]


def synonyms(entry: DescribeConfigsResourceResult) -> list[tuple[str, str | None, int]]:
    return [(s.name, s.value, s.source) for s in entry.synonyms]


RETENTION = [
    ("log.retention.ms", "6000", 2),
    ("log.retention.ms", "5000", 3),
    ("log.retention.minutes", "77", 4),
    ("log.retention.hours", "168", 5),
]


def test_a_broker_setting_with_every_source() -> None:
    entry = only(describer().broker(["log.retention.ms"]))
    assert (entry.value, entry.config_source, entry.read_only) == ("6000", 2, False)
    assert entry.config_type == 5
    assert synonyms(entry) == RETENTION


def test_synonyms_begin_at_the_setting_asked_for() -> None:
    entry = only(describer().broker(["log.retention.minutes"]))
    assert (entry.value, entry.config_source, entry.read_only) == ("77", 4, True)
    assert synonyms(entry) == RETENTION[2:]
    hours = only(describer().broker(["log.retention.hours"]))
    assert synonyms(hours) == RETENTION[3:]


def test_a_setting_that_is_null_has_no_synonyms_at_all() -> None:
    """Kafka shows none although log.roll.hours is set, and the topic's value is the hours'."""
    entry = only(describer().broker(["log.roll.ms"]))
    assert (entry.value, entry.config_source, synonyms(entry)) == (None, 5, [])
    topic = only(describer().topic({}, ["segment.ms"]))
    assert (topic.value, topic.config_source, synonyms(topic)) == ("18000000", 5, [])


def test_the_local_profile_is_a_default() -> None:
    entry = only(describer().broker(["group.initial.rebalance.delay.ms"]))
    assert (entry.value, entry.config_source) == ("0", 5)
    assert synonyms(entry) == [("group.initial.rebalance.delay.ms", "0", 5)]


def test_a_topic_falls_back_to_the_broker_and_then_overrides_it() -> None:
    inherited = only(describer().topic({}, ["retention.ms"]))
    assert (inherited.value, inherited.config_source) == ("6000", 2)
    assert synonyms(inherited) == RETENTION
    own = only(describer().topic({"retention.ms": " 9000 "}, ["retention.ms"]))
    assert (own.value, own.config_source, own.read_only) == ("9000", 1, False)
    assert synonyms(own) == [("retention.ms", "9000", 1), *RETENTION]


def test_a_topic_setting_without_a_broker_setting() -> None:
    entry = only(describer().topic({}, ["leader.replication.throttled.replicas"]))
    assert (entry.value, entry.config_source, synonyms(entry)) == ("", 5, [])
    assert entry.config_type == 7


def test_internal_topic_settings_show_only_where_set() -> None:
    assert "internal.segment.bytes" not in {e.name for e in describer().topic({}, None)}
    entry = only(describer().topic({"internal.segment.bytes": "100"}, ["internal.segment.bytes"]))
    assert (entry.value, entry.config_source) == ("100", 1)
    names = {e.name for e in describer().topic({}, None)}
    assert names == {n for n in TOPIC.names() if not TOPIC[n].internal and is_shown(n)}


def test_a_group() -> None:
    overrides = {"consumer.session.timeout.ms": "50000"}
    own = only(describer().group(overrides, ["consumer.session.timeout.ms"]))
    assert (own.value, own.config_source) == ("50000", 8)
    assert synonyms(own) == [
        ("consumer.session.timeout.ms", "50000", 8),
        ("group.consumer.session.timeout.ms", "45000", 5),
    ]
    plain = only(describer().group({}, ["share.isolation.level"]))
    assert synonyms(plain) == [("share.isolation.level", "read_uncommitted", 5)]
    names = {e.name for e in describer().group({}, None)}
    assert names == {n for n in GROUP.names() if is_shown(n)}


def test_what_belongs_to_a_feature_that_is_not_there_shows_where_it_is_set() -> None:
    hidden = "remote.log.copy.disable"
    assert hidden not in {e.name for e in describer().topic({}, None)}
    assert hidden in {e.name for e in describer().topic({hidden: "true"}, None)}


def test_a_client_metrics_subscription() -> None:
    found = {e.name: e for e in describer().client_metrics({"metrics": "a,b"}, None)}
    assert set(found) == set(CLIENT_METRICS.names())
    assert (found["metrics"].value, found["metrics"].config_source) == ("a,b", 7)
    assert synonyms(found["metrics"]) == [("metrics", "a,b", 7)]
    assert (found["interval.ms"].value, found["interval.ms"].config_source) == ("300000", 5)
    assert synonyms(found["interval.ms"]) == []


def test_the_cluster_wide_default_shows_only_what_is_set() -> None:
    found = {e.name: e for e in describer().cluster_default(None)}
    assert set(found) == {"log.retention.ms", "my.thing"}
    retention = found["log.retention.ms"]
    assert (retention.value, retention.config_source) == ("5000", 3)
    assert synonyms(retention) == [("log.retention.ms", "5000", 3)]


def test_unknown_names_are_shown_without_their_value() -> None:
    entry = only(describer().broker(["my.thing"]))
    assert (entry.value, entry.is_sensitive, entry.config_type) == (None, True, 0)
    assert synonyms(entry) == [("my.thing", None, 3)]


def test_passwords_are_never_shown() -> None:
    settings = Settings(
        {"ssl.key.password": "hunter2", "listener.name.a.ssl.keystore.password": "hunter3"}
    )
    found = describer(settings).broker(
        ["ssl.key.password", "listener.name.a.ssl.keystore.password"]
    )
    assert len(found) == 2
    for entry in found:
        assert entry.is_sensitive
        assert "hunter" not in repr(entry)
        assert entry.config_type == 9


def test_a_listeners_own_setting_is_shown_with_the_one_it_overrides() -> None:
    settings = Settings({"listener.name.inside.max.connections": "5", "max.connections": "7"})
    entry = only(describer(settings).broker(["listener.name.inside.max.connections"]))
    assert entry.value == "5"
    assert synonyms(entry) == [
        ("listener.name.inside.max.connections", "5", 4),
        ("max.connections", "7", 4),
        ("max.connections", "2147483647", 5),
    ]


@pytest.mark.parametrize("keys", [None, []])
def test_no_names_asked_for_is_all_of_them(keys: list[str] | None) -> None:
    names = {e.name for e in describer().broker(keys)}
    assert {"log.retention.ms", "num.partitions", "my.thing"} <= names
    assert "leader.replication.throttled.rate" not in names
    assert "log.initial.task.delay.ms" not in names
    assert not any(name.startswith("ssl.") for name in names)


def test_what_is_hidden_can_be_asked_for() -> None:
    assert only(describer().broker(["ssl.protocol"])).value == "TLSv1.3"
    assert describer().broker(["no.such.name"]) == []


def test_without_the_wish_there_are_no_synonyms_and_no_documentation() -> None:
    entry = only(Describer(SETTINGS).broker(["log.retention.ms"]))
    assert entry.synonyms == []
    assert entry.documentation is None
    assert entry.config_source == 2
    told = only(Describer(SETTINGS, include_documentation=True).topic({}, ["retention.ms"]))
    assert told.documentation
    assert told.synonyms == []


def test_read_only_is_what_is_not_dynamic() -> None:
    for entry in describer().broker(None):
        if entry.name in BROKER:
            assert entry.read_only == (BROKER[entry.name].mode == "read-only"), entry.name


def test_synonyms_of_a_name() -> None:
    assert synonym_names("num.partitions") == ("num.partitions",)
    assert synonym_names("log.roll.hours") == ("log.roll.ms", "log.roll.hours")
    assert synonym_names("log.flush.scheduler.interval.ms") == ("log.flush.scheduler.interval.ms",)
