"""The suite about itself: drivers' processes, outcomes, reports. No broker, no client."""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from compat.cli import chosen_behaviours, chosen_clients
from compat.client import Admin, Producer, Record
from compat.driver import Driver, DriverError, DriverGone
from compat.drivers import FAMILIES, NAMES, Missing, build
from compat.report.files import write_reports
from compat.report.matrix import as_text, make_matrix
from compat.report.progress import Progress
from compat.runner import Outcome, Runner
from compat.suite import Behaviour, all_behaviours, same
from compat.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from compat.case import Case

FAKE = Path(__file__).with_name("fake_driver.py")
BASIC = "produce,consume"


def command(capabilities: str = BASIC) -> list[str]:
    return [sys.executable, str(FAKE), capabilities]


@pytest.fixture
def driver() -> Iterator[Driver]:
    with closing(Driver("fake", command())) as one:
        yield one


def a_behaviour(
    check: Callable[[Case], None], name: str, needs: str = "produce", **more: object
) -> Behaviour:
    wanted = frozenset(needs.split())
    return Behaviour("made", name, f"promise of {name}", check, wanted, **more)  # type: ignore


def run(
    *behaviours: Behaviour, clients: dict[str, list[str] | Missing]
) -> tuple[Runner, dict[tuple[str, str], tuple[Outcome, str]]]:
    target = Target("127.0.0.1:1", brokers=1, apis=frozenset({18}))
    with closing(Driver("setup", command())) as setup_driver:
        setup = Admin(setup_driver, config={"bootstrap": target.bootstrap})
        runner = Runner(target, clients, setup, workers=2)
        runner.look_at_clients()
        progress = Progress(len(behaviours) * len(clients))
        runner.run(behaviours, list(clients), progress)
    return runner, {(r.behaviour, r.client): (r.outcome, r.detail) for r in progress.results}


def test_a_driver_says_hello_and_what_else_it_says_is_kept(driver: Driver) -> None:
    assert driver.capabilities == {"produce", "consume"}
    driver.call("producer.open", handle="p")
    assert "not JSON: not JSON at all" in driver.said()
    assert "a line for a person" in driver.said()


def test_an_error_has_its_code_and_an_end_of_the_driver_is_told(driver: Driver) -> None:
    producer = Producer(driver, config={})
    with pytest.raises(DriverError, match="too few") as refused:
        producer.close()
    assert (refused.value.code, refused.value.retriable) == ("NOT_ENOUGH_REPLICAS", True)
    with pytest.raises(DriverGone, match="a line for a person"):
        producer.flush()


def test_what_does_not_come_is_not_waited_for_longer_than_asked(driver: Driver) -> None:
    with pytest.raises(DriverGone, match=r"no result of consumer\.take"):
        driver.call("consumer.take", handle="c", patience=0.2)


def test_records_survive_their_lines() -> None:
    record = Record(topic="t", key=b"\xff", value=None, headers=(("h", None), ("h", b"")))
    line = record.to_json() | {"partition": 3, "offset": 4}
    assert Record.from_json(line).contents == record.contents


def test_every_outcome() -> None:
    def passes(case: Case) -> None:
        offsets = case.producer().put("t", b"a", b"b")
        same("offsets", offsets, [0, 1])

    def fails(case: Case) -> None:
        same("two", 1 + 1, 3)

    def breaks(case: Case) -> None:
        case.producer().flush()

    def hangs(case: Case) -> None:
        case.reader("t").take(1)

    def cannot(case: Case) -> None:
        case.unavailable("not here")

    runner, results = run(
        a_behaviour(passes, "passes"),
        a_behaviour(fails, "fails"),
        a_behaviour(breaks, "breaks"),
        a_behaviour(hangs, "hangs", seconds=2.0),
        a_behaviour(cannot, "cannot"),
        a_behaviour(passes, "offered by none", needs="gzip"),
        a_behaviour(passes, "later", apis=("EndTxn",)),
        a_behaviour(passes, "three", brokers=3),
        a_behaviour(passes, "struck", control=True),
        clients={"fake": command(), "absent": Missing("no toolchain")},
    )
    outcomes = {
        name.partition("/")[2]: outcome
        for (name, who), (outcome, _) in results.items()
        if who == "fake"
    }
    assert outcomes == {
        "passes": Outcome.PASSED,
        "fails": Outcome.FAILED,
        "breaks": Outcome.FAILED,
        "hangs": Outcome.FAILED,
        "cannot": Outcome.SKIPPED,
        "offered by none": Outcome.NOT_OFFERED,
        "later": Outcome.NOT_YET,
        "three": Outcome.SKIPPED,
        "struck": Outcome.SKIPPED,
    }
    assert "two: 2, expected 3" in results["made/fails", "fake"][1]
    assert "not done after 2 s" in results["made/hangs", "fake"][1]
    assert {detail for (_, who), (_, detail) in results.items() if who == "absent"} == {
        "no toolchain"
    }
    assert runner.clients["fake"].version == "1"


def test_a_driver_that_does_not_start_is_a_missing_client() -> None:
    ends = [sys.executable, "-c", "import sys; sys.exit('Error: cannot load it\\n\\nNode.js v20')"]
    behaviour = a_behaviour(lambda case: None, "any")
    _, results = run(behaviour, clients={"broken": ends})
    assert results["made/any", "broken"] == (Outcome.SKIPPED, "Error: cannot load it")


def test_reports(tmp_path: Path) -> None:
    def fails(case: Case) -> None:
        raise AssertionError("<&> \x00 is not what was expected")

    behaviours = [a_behaviour(fails, "fails"), a_behaviour(lambda case: None, "passes")]
    clients: dict[str, list[str] | Missing] = {"fake": command(), "gone": Missing("no node")}
    runner, _ = run(*behaviours, clients=clients)
    progress = Progress(4)
    runner.run(behaviours, list(clients), progress)
    infos = [runner.clients[name] for name in clients]
    matrix = make_matrix("made", runner.target, infos, behaviours, progress.results)
    assert matrix.counts[Outcome.FAILED] == 1
    text = as_text(matrix)
    assert "FAIL" in text
    assert "gone: skipped: no node" in text
    write_reports(matrix, tmp_path)
    told = json.loads((tmp_path / "results.json").read_text())
    assert told["counts"] == {"failed": 1, "passed": 1, "skipped": 2}
    suites = {s.get("name"): s for s in ET.parse(tmp_path / "junit.xml").getroot()}
    assert suites["fake"].get("failures") == "1"
    assert suites["gone"].get("skipped") == "2"
    page = (tmp_path / "index.html").read_text()
    assert "&lt;&amp;&gt;" in page
    assert "no node" in page


def test_behaviours_have_promises_and_names_of_their_own() -> None:
    every = all_behaviours()
    assert len(every) > 50
    assert len({one.full_name for one in every}) == len(every)
    for one in every:
        assert one.promise, one.full_name
        assert one.needs or one.apis, one.full_name


def test_what_is_chosen() -> None:
    assert {one.family for one in chosen_behaviours(["groups/*"])} == {"groups"}
    assert [one.name for one in chosen_behaviours(["static"])] == ["static membership"]
    assert chosen_clients(["go", "kcat"]) == [*FAMILIES["go"], "kcat"]
    assert chosen_clients(["java", "java"]) == ["java"]
    assert chosen_clients(None) == list(NAMES)
    with pytest.raises(SystemExit):
        chosen_clients(["kafka-perl"])


def test_a_family_without_its_toolchain_is_missing_as_a_whole(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        module = type(sys)("compat.drivers.java.build")

        def cannot(root: Path) -> dict[str, list[str]]:
            raise Missing("no java here")

        module.build = cannot  # type: ignore[attr-defined]
        patch.setitem(sys.modules, "compat.drivers.java.build", module)
        patch.setitem(sys.modules, "compat.drivers.java", type(sys)("compat.drivers.java"))
        found = build("java", tmp_path)
    assert {name: str(reason) for name, reason in found.items()} == dict.fromkeys(
        FAMILIES["java"], "no java here"
    )
