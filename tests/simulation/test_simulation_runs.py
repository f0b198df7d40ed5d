"""The simulation as everybody runs it: seeds, replays, planted bugs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulation.mutants import ROOT, found, names
from tests.simulation.scenario import simulate

SEEDS = os.environ.get("SIMULATION_SEEDS", "1-1000")


def simulation(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(3600)
def test_no_seed_finds_a_promise_broken() -> None:
    done = simulation("run", "--seeds", SEEDS)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("seed", [3, 17])
def test_a_seed_replays_exactly(seed: int) -> None:
    first, second = (simulation("run", "--seed", str(seed), "--trace") for _ in range(2))
    assert "trace " in first.stdout
    assert first.stdout == second.stdout


def test_a_seed_does_not_depend_on_those_before_it() -> None:
    seeds = (47, 55, 60)
    first = [simulate(seed).digest for seed in seeds]
    assert [simulate(seed).digest for seed in reversed(seeds)] == first[::-1]


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", names())
def test_a_planted_bug_is_found(name: str) -> None:
    assert found(name, range(1, 201), 2) is not None
