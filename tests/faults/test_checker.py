"""The checker is green on what is right, and names what is wrong."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.checker.verdict import check, judge, render
from tests.faults.history import Recorder, outcome
from tests.faults.model import Model
from tests.faults.mutations import MUTATIONS, acknowledged, everywhere, find, lose_a_write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Op = dict[str, Any]
STEPS = 250
SEED = 4


def history(seed: int = SEED) -> list[Op]:
    return Model(random.Random(seed), partitions=2).run(STEPS)


@given(seed=st.integers(0, 2**32), partitions=st.integers(1, 4), steps=st.integers(5, 300))
def test_a_valid_history_is_green(seed: int, partitions: int, steps: int) -> None:
    ops = Model(random.Random(seed), partitions).run(steps)
    for op in ops:
        if op["f"] == "config":
            op["floors"] = {}
    verdict = judge(ops)
    assert verdict.is_green, render(verdict)


@pytest.mark.parametrize(
    ("name", "mutate", "also"), MUTATIONS, ids=[f"{n}-{m.__name__}" for n, m, _ in MUTATIONS]
)
def test_one_wrong_thing_is_named(
    name: str, mutate: Callable[[list[Op]], None], also: set[str]
) -> None:
    ops = history()
    assert judge(ops).is_green
    mutate(ops)
    verdict = judge(ops)
    assert name in verdict.names, render(verdict)
    assert verdict.names <= {name} | also, render(verdict)


def test_what_unclean_elections_lose_is_counted_and_not_blamed() -> None:
    ops = history()
    find(ops, "config")["unclean"] = True
    lose_a_write(ops)
    verdict = judge(ops)
    assert verdict.is_green
    assert verdict.counts["lost acks=all"] == 1


def test_what_acks_1_loses_is_counted_and_not_blamed() -> None:
    ops = history()
    lost = acknowledged(ops, acks=1, tp="t-0")[-1]
    before = judge(ops).counts["lost acks=1"]
    everywhere(
        ops, lambda _, recs: recs.__setitem__(slice(None), [r for r in recs if r[2] != lost["val"]])
    )
    verdict = judge(ops)
    assert verdict.is_green, render(verdict)
    assert verdict.counts["lost acks=1"] == before + 1


def test_a_verdict_shows_the_lines_the_seed_and_what_struck(tmp_path: Path) -> None:
    ops = history()
    lose_a_write(ops)
    path = tmp_path / "history.jsonl"
    path.write_text("".join(json.dumps(op) + "\n" for op in ops))
    text = render(check([path]), [path])
    assert text.startswith("RED seed=1 ")
    assert "lost-write: " in text
    assert "fault at " in text
    assert '"f": "send"' in text


def test_what_was_recorded_is_read_back_whichever_file_comes_first(tmp_path: Path) -> None:
    ops = history()
    paths = [tmp_path / "sends.jsonl", tmp_path / "rest.jsonl"]
    sends, rest = (Recorder(path, "unused") for path in paths)
    for op in ops:
        fields = {k: v for k, v in op.items() if k not in ("f", "t0", "t1")}
        (sends if op["f"] == "send" else rest).write(op["f"], op["t0"], op["t1"], **fields)
    sends.close()
    rest.close()
    for order in (paths, paths[::-1]):
        verdict = check(order)
        assert verdict.is_green, render(verdict, order)
        assert verdict.counts == judge(ops).counts


@pytest.mark.parametrize(
    ("error", "acks", "expected"),
    [
        (None, -1, "ok"),
        (None, 0, "info"),
        ("NOT_ENOUGH_REPLICAS", -1, "fail"),
        ("NOT_ENOUGH_REPLICAS_AFTER_APPEND", -1, "info"),
        ("REQUEST_TIMED_OUT", -1, "info"),
        ("NOT_LEADER_OR_FOLLOWER", -1, "info"),
        ("NOT_LEADER_OR_FOLLOWER", 1, "fail"),
        ("KAFKA_STORAGE_ERROR", 1, "info"),
        ("DISCONNECTED", 1, "info"),
        ("NOT_CONNECTED", -1, "fail"),
    ],
)
def test_what_an_error_proves(error: str | None, acks: int, expected: str) -> None:
    assert outcome(error, acks) == expected
