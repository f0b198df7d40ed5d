"""Two minutes of faults under load, in the regular run: nothing that was promised is broken.

One seed in the regular run; FAULT_SEED=N takes another, and `make test-faults` goes on for long.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.faults.runner import RunOptions, run
from tests.support.etcd import an_etcd

if TYPE_CHECKING:
    from pathlib import Path

FLOORS = {
    "admin ok": 20,
    "ok sends": 100_000,
    "records read": 100_000,
    "ok commits": 100,
    "leader changes": 3,
    "dumps": 33,
    "compacted away": 1_000,
}


@pytest.mark.timeout(600)
def test_what_was_promised_holds_while_faults_strike(tmp_path: Path) -> None:
    seed = int(os.environ.get("FAULT_SEED", "1"))
    options = RunOptions(seed, 70, tmp_path, rate=400, floors=FLOORS)
    outcome = run(options)
    assert outcome.verdict.is_green, outcome.report


@pytest.mark.timeout(600)
def test_a_rolling_restart_fails_no_send(tmp_path: Path) -> None:
    options = RunOptions(1, 10, tmp_path, rate=100, strikes=["roll"])
    options.administered = options.impatient = False
    outcome = run(options)
    assert outcome.verdict.is_green, outcome.report
    assert outcome.verdict.counts["failed sends"] == 0, outcome.report


@pytest.mark.timeout(600)
def test_what_is_synced_survives_the_power_of_all_brokers(tmp_path: Path) -> None:
    strikes = ["cut-all-power", "kill-leader", "cut-all-power", "cut-power"]
    outcome = run(RunOptions(1, 20, tmp_path, rate=100, synced=True, strikes=strikes))
    assert outcome.verdict.is_green, outcome.report


@pytest.mark.timeout(600)
def test_the_same_holds_with_the_metadata_in_etcd(tmp_path: Path) -> None:
    an_etcd()  # skips without one
    strikes = ["kill-store", "kill-leader", "cut-from-store"]
    outcome = run(RunOptions(1, 20, tmp_path, rate=100, metadata="etcd", strikes=strikes))
    assert outcome.verdict.is_green, outcome.report
