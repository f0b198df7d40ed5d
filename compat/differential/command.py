"""``differential --bootstrap A --reference B``: is A what B is, to the byte?

Two clusters of one broker each, or two of three: these are asked other things.
"""

from __future__ import annotations

import argparse
import fnmatch
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from compat.differential.compare import WORKERS, Outcome, run
from compat.differential.connection import ConnectionEnded, NoAnswer
from compat.differential.known import read_known
from compat.differential.registry import all_cases, instances
from compat.differential.report import group, summary, write_report
from compat.differential.talk import Side

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compat.differential.compare import Difference
    from compat.differential.known import Known
    from compat.differential.registry import Instance


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser("differential", description=__doc__)
    made.add_argument("--bootstrap", required=True, metavar="HOST:PORT", help="what is judged")
    made.add_argument("--reference", required=True, metavar="HOST:PORT", help="Apache Kafka")
    made.add_argument(
        "--only",
        metavar="PATTERN",
        action="append",
        help="cases whose name matches, as of files; may be given often",
    )
    made.add_argument("--report", metavar="DIR", help="write report.md and what was said here")
    made.add_argument("--workers", type=int, default=WORKERS, metavar="N", help="cases at a time")
    made.add_argument("--list", action="store_true", help="name the cases and end")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """0 when every difference is a known one and every known one was met; 2 when nothing ran."""
    options = parser().parse_args(argv)
    code = judged(options)
    if code is None:
        print(f"no case is called {' or '.join(options.only or ())}", file=sys.stderr)
    return 2 if code is None else code


def _side(name: str, bootstrap: str) -> Side:
    """Raises SystemExit where there is no broker."""
    try:
        return Side(name, bootstrap)
    except (OSError, ValueError, ConnectionEnded, NoAnswer) as error:
        why = getattr(error, "strerror", None) or error
        print(f"compat: no broker at {bootstrap}: {why}", file=sys.stderr)
        raise SystemExit(2) from error


def judged(options: argparse.Namespace) -> int | None:
    """As ``main``; None when no case is called so, or none is for clusters of this size."""
    sides = [_side("ours", options.bootstrap), _side("reference", options.reference)]
    chosen = [i for i in instances(all_cases(), sides) if _is_wanted(i, options.only)]
    if options.list:
        for instance in chosen:
            print(instance.name)
        return 0
    if not chosen:
        return None
    for side in sides:
        side.warm_up()
    outcomes = run(chosen, sides[0], sides[1], _progress, workers=options.workers)
    known = read_known()
    unlisted = judge(outcomes, known)
    ran = [outcome.instance.name for outcome in outcomes]
    stale = [] if options.only else [entry for entry in known if entry.is_stale(ran)]
    for difference in group(unlisted):
        print(difference)
    for entry in stale:
        print(f"no longer met: {entry.case} {entry.path} ({entry.reason})")
    print(summary(outcomes, unlisted, known))
    if options.report:
        write_report(Path(options.report), outcomes, unlisted, known)
    return 1 if unlisted or stale else 0


def _is_wanted(instance: Instance, only: Sequence[str] | None) -> bool:
    return only is None or any(
        fnmatch.fnmatchcase(name, pattern)
        for name in (instance.name, instance.case.name)
        for pattern in only
    )


def _progress(outcome: Outcome) -> None:
    mark = "." if not outcome.differences else "x"
    print(mark, end="", file=sys.stderr, flush=True)


def judge(outcomes: list[Outcome], known: list[Known]) -> list[Difference]:
    """The differences that no entry covers; counts those of each entry."""
    unlisted: list[Difference] = []
    for outcome in outcomes:
        for difference in outcome.differences:
            entry = next((one for one in known if one.covers(difference)), None)
            if entry is None:
                unlisted.append(difference)
            else:
                entry.count += 1
    return unlisted
