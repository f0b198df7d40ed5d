"""The checks of Kafka's tools, and how the tools are run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from compat.suite import all_behaviours
from compat.tools import LocalTools, Tools, checks
from compat.tools.runner import MAIN_CLASSES, expect, expect_none
from tests.support.apache_kafka import java

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.process import BrokerProcess


class Pretended(Tools):
    """Answers each call with what it was given."""

    def attempt(self, tool: str, *arguments: str, stdin: str = "") -> tuple[int, str]:
        return int(arguments[0]), f"{tool} said {stdin}"


def test_a_call_that_fails_is_told_with_what_it_said() -> None:
    tools = Pretended()
    assert tools.run("kafka-topics", "0", stdin="so") == "kafka-topics said so"
    with pytest.raises(AssertionError, match="kafka-topics 1: exit code 1\nkafka-topics said"):
        tools.run("kafka-topics", "1")
    assert tools.refused("kafka-topics", "1") == "kafka-topics said "
    with pytest.raises(AssertionError, match="did not fail"):
        tools.refused("kafka-topics", "0")


def test_what_is_expected_is_a_line_of_the_output() -> None:
    expect("a\nb c\n", "^a$", "^b")
    with pytest.raises(AssertionError, match="no '\\^c'"):
        expect("a\nb c\n", "^c")
    expect_none("a\nb c\n", "^c")
    with pytest.raises(AssertionError, match="'b' is in"):
        expect_none("a\nb c\n", "b")


def test_every_check_is_a_behaviour_with_its_promise() -> None:
    promises = {b.promise for b in all_behaviours() if b.family == "tools"}
    found = checks()
    assert len(found) > 25
    assert {f"{check.name}: {check.promise}" for check in found} <= promises
    named = {name.strip() for check in found for name in check.name.partition(":")[0].split(",")}
    assert named <= set(MAIN_CLASSES)
    [dump] = [check for check in found if check.name == "kafka-dump-log"]
    assert not dump.applies(Pretended(), 3)
    [throttle] = [check for check in found if check.name.endswith("throttle")]
    assert (throttle.applies(Pretended(), 1), throttle.applies(Pretended(), 3)) == (False, True)


@pytest.mark.kafka
@pytest.mark.parametrize("name", ["kafka-cluster", "kafka-get-offsets", "kafka-topics: refusals"])
def test_kafkas_tools_find_a_kafka_here(
    memory_broker: BrokerProcess, tmp_path: Path, name: str
) -> None:
    tools = LocalTools(java(tmp_path).libs, tmp_path / "tools")
    [check] = [check for check in checks() if check.name == name]
    check.run(memory_broker.bootstrap, tmp_path, tools)


@pytest.mark.kafka
def test_one_in_the_background_is_stopped_and_tells_what_it_said(
    memory_broker: BrokerProcess, tmp_path: Path
) -> None:
    tools = LocalTools(java(tmp_path).libs, tmp_path / "tools")
    topic = tools.name("topic")
    to = ("--bootstrap-server", memory_broker.bootstrap)
    tools.run("kafka-topics", *to, "--create", "--topic", topic)
    consumer = tools.start("kafka-console-consumer", *to, "--topic", topic)
    assert "Exception" not in consumer.stop()
