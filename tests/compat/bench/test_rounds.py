"""The order of the rounds, and what becomes of a load that fails."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, cast

import pytest

from compat.bench.case import Case
from compat.bench.page import page
from compat.bench.raw import BrokerError
from compat.bench.report import as_json, table
from compat.bench.rounds import run_all
from compat.bench.subjects import Subject

if TYPE_CHECKING:
    from compat.bench.launchers import Launcher

RATES = {"slow": 10.0, "fast": 30.0}


def measured(subject: Subject, *, log: list[str], case: str) -> dict[str, float]:
    log.append(f"{case} {subject.name}")
    return {"mb_per_s": RATES[subject.name], "p50_ms": 1 / RATES[subject.name]}


def cases(log: list[str]) -> list[Case]:
    return [Case("f", name, partial(measured, log=log, case=name)) for name in ("x", "y")]


SUBJECTS = [Subject("slow", "127.0.0.1:1"), Subject("fast", "127.0.0.1:2")]


def test_brokers_take_turns_within_a_round_and_another_one_begins_the_next() -> None:
    log: list[str] = []
    run_all(cases(log), SUBJECTS, 2, warm_up=False)
    assert log == [
        *("x fast", "x slow", "y fast", "y slow"),
        *("x slow", "x fast", "y slow", "y fast"),
    ]


def test_values_of_the_warm_up_are_dropped() -> None:
    log: list[str] = []
    results = run_all(cases(log), SUBJECTS, 3, warm_up=True)
    assert len(log) == 4 * len(SUBJECTS) * 2
    assert results.of(results.cases[0], "fast", "mb_per_s") == {1: 30.0, 2: 30.0, 3: 30.0}


def test_a_failure_is_told_and_not_tried_again_while_others_go_on() -> None:
    log: list[str] = []

    def fails(subject: Subject) -> dict[str, float]:
        if subject.name == "slow":
            raise BrokerError("no such thing")
        return measured(subject, log=log, case="z")

    results = run_all([Case("f", "z", fails)], SUBJECTS, 3, warm_up=True)
    assert results.failures == {("f/z", "slow"): "BrokerError: no such thing"}
    assert log == ["z fast"] * 4
    assert "f/z on slow failed: BrokerError: no such thing" in table(results, "fast")


def test_a_defect_of_a_load_is_no_failure_of_the_broker() -> None:
    def broken(_: Subject) -> dict[str, float]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_all([Case("f", "z", broken)], SUBJECTS, 1, warm_up=False)


def test_an_interruption_ends_it_with_what_there_is() -> None:
    log: list[str] = []

    def interrupted(subject: Subject) -> dict[str, float]:
        if len(log) == 3:
            raise KeyboardInterrupt
        return measured(subject, log=log, case="x")

    results = run_all([Case("f", "x", interrupted)], SUBJECTS, 5, warm_up=False)
    assert len(log) == 3
    assert results.of(results.cases[0], "slow", "mb_per_s") == {1: 10.0, 2: 10.0}
    assert results.rounds == 1


def test_what_must_be_started_is_only_measured_where_it_can_be() -> None:
    class One:
        name, largest = "fast", 1

    log: list[str] = []
    run = partial(measured, log=log, case="s")
    managed = Subject("fast", "127.0.0.1:1", launcher=cast("Launcher", One()))
    loads = [Case("f", "s", run, managed=True), Case("f", "three", run, brokers=3)]
    run_all(loads, [SUBJECTS[0], managed], 2, warm_up=True)
    assert log == ["s fast"] * 2


def test_the_table_has_ratios_to_the_reference() -> None:
    results = run_all(cases([]), SUBJECTS, 2, warm_up=False)
    text = table(results, "slow")
    assert "x 3 [3-3] ahead" in text
    assert "x 0.333 [0.333-0.333] ahead" in text
    assert "x 0.333 [0.333-0.333] behind" in table(results, "fast")


def test_json_has_every_round() -> None:
    results = run_all(cases([]), SUBJECTS, 2, warm_up=False)
    found = json.loads(json.dumps(as_json(results, "slow")))
    assert found["results"][0]["values"] == {"slow": [10.0, 10.0], "fast": [30.0, 30.0]}
    assert found["targets"] == ["slow", "fast"]


def test_the_page_has_every_row_and_escapes_what_brokers_say() -> None:
    def fails(_: Subject) -> dict[str, float]:
        raise BrokerError("<script>")

    loads = [*cases([]), Case("f", "z", fails)]
    html = page(run_all(loads, SUBJECTS, 1, warm_up=False), "slow", ["<svg></svg>"])
    assert html.count('class="ahead">x 3') == 2
    assert "<svg></svg>" in html
    assert "&lt;script&gt;" in html
    assert "<script>" not in html


def test_plots_are_elements_of_a_page() -> None:
    pytest.importorskip("matplotlib", reason="requirements/bench.txt is not installed")
    from compat.bench.plots import figures

    def one(subject: Subject) -> dict[str, float]:
        rate = RATES[subject.name]
        return {"mb_per_s": rate, "cpu_s_per_gb": 1 / rate, "p50_ms": rate, "p99_ms": 2 * rate}

    curve = [Case("requests", f"{x}", one, group="produce by KB", x=x) for x in (1, 10)]
    loads = [Case("produce", "a", one), Case("latency", "b", one), *curve]
    found = list(figures(run_all(loads, SUBJECTS, 2, warm_up=False), "slow"))
    assert len(found) == 4
    assert all(text.startswith("<svg") for text in found)
