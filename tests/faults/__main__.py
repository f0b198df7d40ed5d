"""python -m tests.faults run --seed N --seconds S [--runs N] [--metadata etcd] [--synced]
    [--calm] [--strike NAME ...]

Runs from one seed on, each in a directory of its own, which is kept when the verdict is red.
Exit code 0 when all of them are green. ``check FILES`` judges a history again.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.faults.checker.verdict import check, render
from tests.faults.runner import Outcome, RunOptions, run, summary
from tests.faults.strikes import STRIKES


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    go = commands.add_parser("run")
    go.add_argument("--seed", type=int, default=int(time.time()))
    go.add_argument("--seconds", type=float, default=75)
    go.add_argument("--runs", type=int, default=1)
    go.add_argument("--rate", type=int, default=300, help="records a second of each producer")
    go.add_argument(
        "--metadata", choices=["etcd", "etcd3"], help="in an etcd that is started: one member or 3"
    )
    go.add_argument("--synced", action="store_true", help="acknowledged when it is on the disks")
    go.add_argument("--calm", action="store_true", help="no administrator at work")
    go.add_argument("--strike", action="append", choices=sorted(STRIKES), default=[])
    go.add_argument("--directory", type=Path)
    again = commands.add_parser("check")
    again.add_argument("files", type=Path, nargs="+")
    options = parser.parse_args()
    if options.command == "check":
        verdict = check(options.files)
        print(render(verdict, options.files))
        return 0 if verdict.is_green else 1
    return _run(options)


def _run(options: argparse.Namespace) -> int:
    outcomes: list[Outcome] = []
    failures = 0
    for seed in range(options.seed, options.seed + options.runs):
        directory = options.directory or Path(tempfile.mkdtemp(prefix=f"faults-{seed}-"))
        print(f"seed {seed} in {directory}", flush=True)
        one = RunOptions(
            seed,
            options.seconds,
            directory,
            rate=options.rate,
            metadata=options.metadata,
            synced=options.synced,
            administered=not options.calm,
            strikes=options.strike,
        )
        try:
            outcome = run(one)
        except AssertionError:
            traceback.print_exc()
            failures += 1
            continue
        outcomes.append(outcome)
        print(outcome.report, flush=True)
        if outcome.verdict.is_green and options.directory is None:
            shutil.rmtree(directory, ignore_errors=True)
    print(summary(outcomes) + (f", {failures} came to no end" if failures else ""))
    return 0 if not failures and all(o.verdict.is_green for o in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
