"""Many seeds, in several processes. What comes out depends on the seeds alone."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.simulation.scenario import Outcome

PROCESSES = 2
HASH_SEED = "0"
"""Sets of strings are iterated in the order of their hashes."""


class Summary(NamedTuple):
    outcomes: list[Outcome]

    @property
    def failed(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.failure is not None]

    def text(self) -> str:
        done = self.outcomes
        faults = sum(sum(outcome.faults.values()) for outcome in done)
        return (
            f"{len(done)} seeds, {len(self.failed)} failed; "
            f"{sum(o.at_s - 1000 for o in done) / 60:.0f} virtual minutes in "
            f"{sum(o.cpu_s for o in done):.0f} s of CPU; {faults} faults, "
            f"{sum(o.elections for o in done)} elections, {sum(o.admin for o in done)} admin "
            f"operations, {sum(o.acks for o in done)} acknowledged batches, "
            f"{sum(o.checks for o in done)} batches of replicas compared"
        )


def has_fixed_hashes() -> bool:
    return os.environ.get("PYTHONHASHSEED") == HASH_SEED


def fix_hashes() -> None:
    """Start this program again, so that strings have the same hashes in every run."""
    if not has_fixed_hashes():
        environment = {**os.environ, "PYTHONHASHSEED": HASH_SEED}
        os.execve(
            sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]], environment
        )


def run_one(seed: int) -> Outcome:
    from tests.simulation.scenario import simulate

    outcome = simulate(seed)
    if seed % 8 == 0:
        gc.collect()
    return outcome


def outcomes(seeds: Iterable[int], processes: int = PROCESSES) -> Iterator[Outcome]:
    """In the order of the seeds."""
    if processes <= 1:
        yield from map(run_one, seeds)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        yield from pool.imap(run_one, seeds, chunksize=4)


def run(
    seeds: Iterable[int], *, processes: int = PROCESSES, stop_at_first: bool = False
) -> Summary:
    begun_s = time.monotonic()
    done: list[Outcome] = []
    for outcome in outcomes(seeds, processes):
        done.append(outcome)
        if outcome.failure is not None:
            print(f"seed {outcome.seed}: {outcome.failure}", flush=True)
            if stop_at_first:
                break
        if len(done) % 100 == 0:
            print(f"{len(done)} seeds, {time.monotonic() - begun_s:.0f} s", flush=True)
    return Summary(done)
