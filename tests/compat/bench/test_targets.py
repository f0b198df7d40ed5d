"""What the command line says about brokers and loads."""

from __future__ import annotations

import os

import pytest

from compat.bench.cli import main
from compat.bench.loads import all_cases
from compat.bench.subjects import BadTarget, parse_target


def test_a_target_is_a_name_and_addresses() -> None:
    subject = parse_target("kafka=localhost:9092,[::1]:9093")
    assert (subject.name, subject.bootstrap) == ("kafka", "localhost:9092,[::1]:9093")
    assert subject.processes is None


def test_with_its_process_what_it_uses_is_known() -> None:
    subject = parse_target(f"me=localhost:1,pid={os.getpid()}")
    assert subject.processes is not None
    assert subject.processes.resident_mb() > 1


@pytest.mark.parametrize(
    "text",
    [
        "localhost:9092",
        "a=",
        "=localhost:9092",
        "a=localhost",
        "a=localhost:x",
        "a=:9092",
        "a=localhost:1,pid=x",
        "a=localhost:1,pod=1",
        "a=pid=1",
        "a=localhost:1,pid=999999999",
    ],
)
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(BadTarget):
        parse_target(text)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--target", "a=b"], "'a=b': 'b' is neither HOST:PORT nor pid=N"),
        (["--target", "localhost:1"], "'localhost:1' is not NAME=HOST:PORT"),
        (["--target", "a=localhost:1", "--target", "a=localhost:2"], "the same name: a, a"),
        (["--target", "a=localhost:1", "--reference", "b"], "--reference b: it is none of a"),
        (["--target", "a=localhost:1", "--only", "nothing such"], "no load matches"),
        (["--start", "a"], "'a' is not NAME=COMMAND"),
        (["--target", "a=localhost:1", "--start-cluster", "b=c"], "no --start of that name"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        main(arguments)
    assert refused.value.code == 2
    assert says in capsys.readouterr().err.splitlines()[-1]


def test_loads_are_listed_and_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", "--only", "consume/1 KB*", "--only", "produce/100 B"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert len(listed) == 12
    assert all(line.startswith(("consume/1 KB", "produce/100 B")) for line in listed)


def test_the_quick_form_is_a_part_of_every_family() -> None:
    whole, quick = all_cases(quick=False), all_cases(quick=True)
    assert {case.family for case in quick} == {case.family for case in whole}
    assert len(quick) < len(whole) / 2
    assert len({case.title for case in whole}) == len(whole)
