"""``python -m tests.simulation run --seeds 1-1000``, ``run --seed 7 --trace``, ``mutants``.

Exit code 1 when a seed failed, or a planted bug was not found.
"""

from __future__ import annotations

import argparse
import sys

from tests.simulation.runner import PROCESSES, fix_hashes, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="simulate")
    running.add_argument("--seeds", default="1-1000", help="FIRST-LAST")
    running.add_argument("--seed", type=int, help="only this one")
    running.add_argument("--trace", action="store_true", help="print what happens (with --seed)")
    running.add_argument("--processes", type=int, default=PROCESSES)
    running.add_argument("--stop", action="store_true", help="end with the first failure")
    mutants = commands.add_parser("mutants", help="plant each bug and see whether it is found")
    mutants.add_argument("--seeds", default="1-200")
    mutants.add_argument("--processes", type=int, default=PROCESSES)
    mutants.add_argument("names", nargs="*", help="all of tests/mutants if none is named")
    options = parser.parse_args()
    fix_hashes()
    if options.command == "mutants":
        from tests.simulation.mutants import check_mutants

        return check_mutants(options.names, span(options.seeds), options.processes)
    if options.seed is not None:
        return run_seed(options.seed, trace=options.trace)
    summary = run(span(options.seeds), processes=options.processes, stop_at_first=options.stop)
    print(summary.text())
    return 1 if summary.failed else 0


def span(text: str) -> range:
    first, dash, last = text.partition("-")
    return range(int(first), int(last) + 1) if dash else range(1, int(first) + 1)


def run_seed(seed: int, *, trace: bool) -> int:
    from tests.simulation.scenario import simulate

    outcome = simulate(seed, write=print if trace else None)
    print(
        f"seed {seed}: {outcome.failure or 'ok'}\ntrace {outcome.digest:08x} of {outcome.events} "
        f"events, {outcome.at_s - 1000:.1f} virtual seconds, faults {outcome.faults}"
    )
    return 0 if outcome.failure is None else 1


if __name__ == "__main__":
    sys.exit(main())
