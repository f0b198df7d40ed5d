"""The drivers of the Java client do what PROTOCOL.md says, against a broker of ours."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from compat.client import Record
from compat.drivers import FAMILIES, Missing, build
from tests.compat.driver_contract import CONTRACT, Bench, code_of
from tests.compat.members_contract import MEMBERS
from tests.support.process import ROOT, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.process import BrokerProcess

pytestmark = [pytest.mark.compat, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def commands() -> dict[str, list[str] | Missing]:
    return build("java", ROOT)


def holds_some_ten_thousand(bench: Bench) -> None:
    topic, group = bench.topic(1), bench.fresh("g")
    producer = bench.producer()
    producer.fill(topic, 30_000, size=10, keys=1)
    consumer = bench.member(topic, group, auto_commit=True, auto_commit_interval_ms=50)
    at = (topic, 0)
    eventually(lambda: (consumer.committed(at)[at] or 0) >= 10_000, what="a full driver")
    consumer.pause(at)
    consumer.resume(at)
    consumer.events("revoked", timeout_ms=1000)
    fetched = consumer.committed(at)[at]
    assert fetched is not None
    assert 10_000 <= fetched < 10_500
    drained = consumer.drain(30_000)
    assert (drained["count"], drained["in_order"]) == (30_000, True)


def commands_do_not_disturb_each_other(bench: Bench) -> None:
    """Each wakes the poll, and only the poll: not the call that comes after it."""
    topic, group = bench.topic(1), bench.fresh("g")
    filling = bench.producer(linger_ms=0, batch_bytes=1).begin_fill(topic, 5000, size=10, keys=1)
    consumer = bench.member(topic, group)
    for offset in range(1000):
        assert [r.offset for r in consumer.take(1)] == [offset]
        consumer.commit()
        assert consumer.committed((topic, 0)) == {(topic, 0): offset + 1}
    assert filling.result(60)["result"]["acked"] == 5000


def errors_have_kafkas_names(bench: Bench) -> None:
    topic = bench.fresh()
    bench.admin().create_topic(topic, configs={"cleanup.policy": "compact"})
    producer = bench.producer(retries=0, acks=1, idempotent=False)
    far = Record(topic=topic, key=b"k", timestamp=10**13)
    keyless = Record(topic=topic, value=b"v")
    errors = [sent.error for sent in producer.send(far, keyless, each=True)]
    assert [error and (error.code, error.retriable) for error in errors] == [
        ("INVALID_TIMESTAMP", False),
        ("INVALID_RECORD", False),
    ]
    assert code_of(lambda: bench.member(topic, "g", rebalance_timeout_ms=1)) == "UNSUPPORTED"
    assert code_of(lambda: bench.producer(acks=1, idempotent=True)) == "CLIENT"


def what_only_the_newest_can(bench: Bench) -> None:
    topic = bench.topic(1)
    producer = bench.producer()
    producer.put(topic, b"", partition=0, timestamp=1_500_000_000_000)
    producer.put(topic, b"", partition=0, timestamp=1_000_000_000_000)
    admin = bench.admin()
    asked = {"type": "group", "name": "g"}
    if bench.name == "java":
        assert admin.end_offset(topic, 0, "max_timestamp") == 0
        assert admin.do("describe_configs", **asked)["configs"]
    else:
        assert code_of(lambda: admin.end_offset(topic, 0, "max_timestamp")) == "UNSUPPORTED"
        assert code_of(lambda: admin.do("describe_configs", **asked)) == "UNSUPPORTED"


OWN = (
    holds_some_ten_thousand,
    commands_do_not_disturb_each_other,
    errors_have_kafkas_names,
    what_only_the_newest_can,
)


@pytest.mark.parametrize("name", FAMILIES["java"])
@pytest.mark.parametrize("check", [*CONTRACT, *MEMBERS, *OWN], ids=lambda check: check.__name__)
def test_the_driver(
    name: str,
    check: Callable[[Bench], None],
    commands: dict[str, list[str] | Missing],
    memory_broker: BrokerProcess,
) -> None:
    command = commands[name]
    if isinstance(command, Missing):
        pytest.skip(str(command))
    with closing(Bench(name, command, memory_broker.bootstrap)) as bench:
        check(bench)
