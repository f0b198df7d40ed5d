"""The fixtures, in runs of pytest of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

pytest_plugins = ["pytester"]

TESTS = """
from confluent_kafka import Producer
from pykbroker.pytest_plugin import broker_fixture, cluster_fixture

pair = cluster_fixture(brokers=2, scope="module")
own = broker_fixture(scope="function", settings={"num.partitions": 7})

def send(broker, topic):
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
    producer.produce(topic, b"v")
    assert producer.flush(60) == 0

def test_topic(kafka_broker, kafka_topic):
    assert kafka_broker.topics() == [kafka_topic]
    send(kafka_broker, kafka_topic)
    assert [r.value for r in kafka_broker.records(kafka_topic)] == [b"v"]

def test_clean_again(kafka_broker):
    assert kafka_broker.topics() == []

def test_cluster(kafka_cluster):
    assert len(kafka_cluster.bootstrap_servers.split(",")) == 3
    kafka_cluster.create_topic("t", configs={"min.insync.replicas": "3"})
    send(kafka_cluster, "t")

def test_pair(pair):
    assert len(pair.bootstrap_servers.split(",")) == 2
    pair.create_topic("stays")

def test_pair_keeps_its_state(pair):
    assert pair.topics() == ["stays"]

def test_own(own):
    assert own.topics() == []
"""
SCOPED = """
def test_first(kafka_broker):
    kafka_broker.create_topic("stays")

def test_second(kafka_broker):
    assert kafka_broker.topics() == ["stays"]
"""
PER_CLASS = """
class TestOne:
    def test_first(self, kafka_broker):
        kafka_broker.create_topic("stays")
    def test_second(self, kafka_broker):
        assert kafka_broker.topics() == ["stays"]
class TestOther:
    def test_first(self, kafka_broker):
        assert kafka_broker.topics() == []
"""


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments, timeout=240)


def test_fixtures(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    run(pytester).assert_outcomes(passed=6)


def test_fixtures_in_several_workers_at_once(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    run(pytester, "-n", "3", "--dist", "loadfile").assert_outcomes(passed=6)


def test_a_module_shares_a_state(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SCOPED)
    run(pytester, "--kafka-scope=module").assert_outcomes(passed=2)


def test_a_class_shares_a_state(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nkafka_scope = class\nkafka_process = true\n")
    pytester.makepyfile(PER_CLASS)
    run(pytester).assert_outcomes(passed=3)


def test_settings_of_the_session(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nkafka_settings =\n    auto.create.topics.enable=false\n")
    pytester.makepyfile(
        """
        from confluent_kafka.admin import AdminClient

        def test_it(kafka_broker):
            admin = AdminClient({"bootstrap.servers": kafka_broker.bootstrap_servers})
            admin.list_topics("absent", timeout=30)
            assert kafka_broker.topics() == []
        """
    )
    run(pytester).assert_outcomes(passed=1)


def test_a_scope_that_is_none_is_refused(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nkafka_scope = galaxy\n")
    pytester.makepyfile(SCOPED)
    result = run(pytester)
    assert result.ret != 0
    result.stderr.fnmatch_lines_random(["*kafka_scope is one of*galaxy*"])


def test_a_run_without_the_fixtures_loads_no_broker(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_it():
            assert "pykbroker.pytest_plugin" in sys.modules
            assert not [name for name in sys.modules if name.startswith("pykbroker.testing")]
            assert "pykbroker.broker" not in sys.modules
        """
    )
    run(pytester).assert_outcomes(passed=1)
