"""The drivers of the Python clients do what PROTOCOL.md says, against a broker of ours."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import psutil
import pytest

from compat.drivers import FAMILIES, Missing, build
from tests.compat.driver_contract import CONTRACT, Bench
from tests.support.process import ROOT, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from compat.client import Consumer
    from tests.support.process import BrokerProcess


@pytest.fixture(scope="module", params=FAMILIES["python"])
def bench(request: pytest.FixtureRequest, memory_broker: BrokerProcess) -> Iterator[Bench]:
    command = build("python", ROOT)[request.param]
    if isinstance(command, Missing):
        pytest.skip(str(command))
    with closing(Bench(request.param, command, memory_broker.bootstrap)) as one:
        yield one


@pytest.mark.parametrize("check", CONTRACT, ids=lambda check: check.__name__)
def test_the_driver(check: Callable[[Bench], None], bench: Bench) -> None:
    check(bench)


def test_what_a_second_member_takes_over(bench: Bench) -> None:
    topic, group = bench.topic(2), bench.fresh("g")
    timing = {"session_timeout_ms": 10_000, "heartbeat_interval_ms": 500}
    first = bench.member(topic, group, **timing)
    everything = {(topic, 0), (topic, 1)}
    eventually(lambda: first.assignment() == everything, what="the first assignment")
    first.events()
    second = bench.member(topic, group, bench.another(), **timing)

    def is_shared() -> bool:
        one, other = first.assignment(), second.assignment()
        return len(one) == len(other) == 1 and one | other == everything

    eventually(is_shared, what="one for each")
    kinds = [event["event"] for event in first.events()]
    assert "revoked" in kinds
    second.close()
    eventually(lambda: first.assignment() == everything, what="both again")
    first.close()


def processes_of(consumer: Consumer) -> list[psutil.Process]:
    return psutil.Process(consumer.driver.pid).children()


def test_the_processes_of_a_driver_end_with_it(bench: Bench) -> None:
    driver = bench.another()
    member = bench.member(bench.topic(), bench.fresh("g"), driver)
    eventually(lambda: len(member.assignment()) == 2, what="the assignment")
    children = processes_of(member)
    assert len(children) == (1 if bench.name == "kcat" else 0)
    for child in children:
        child.suspend()  # nothing ends by itself
    assert driver._process.stdin is not None
    driver._process.stdin.close()
    assert driver._process.wait(60) == 0
    eventually(lambda: not any(child.is_running() for child in children), what="their end")
