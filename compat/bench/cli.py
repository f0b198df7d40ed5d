"""``python -m compat bench``: which brokers, which loads, how often, and where the page goes."""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from compat.bench.launchers import MANAGED, CommandLauncher, StartFailed, known_launcher
from compat.bench.loads import all_cases
from compat.bench.report import as_json, table
from compat.bench.rounds import progress, run_all
from compat.bench.subjects import BadTarget, parse_target, started

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compat.bench.case import Case
    from compat.bench.launchers import Launcher
    from compat.bench.rounds import Results
    from compat.bench.subjects import Subject


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m compat bench", description=__doc__)
    parser.add_argument(
        "--target",
        action="append",
        default=[],
        metavar="NAME=HOST:PORT[,pid=N]",
        help="a broker that runs already; with its process id, its CPU and memory are measured",
    )
    parser.add_argument(
        "--managed",
        action="append",
        default=[],
        choices=MANAGED,
        help="a broker that the benchmark starts itself (without any target: all that can be had)",
    )
    parser.add_argument(
        "--start",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="a broker started by COMMAND, in which {port} and {directory} are filled in",
    )
    parser.add_argument(
        "--start-cluster",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="how the same one starts {brokers} brokers on ports from {port} up",
    )
    parser.add_argument("--reference", metavar="NAME", help="what the others are compared with")
    parser.add_argument("--rounds", type=int, help="(default: 5; 2 with --quick)")
    parser.add_argument("--quick", action="store_true", help="a few small loads, in two minutes")
    parser.add_argument(
        "--only", metavar="PATTERN", action="append", help="loads whose family/name match; often"
    )
    parser.add_argument("--list", action="store_true", help="print the loads and end")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every round there")
    parser.add_argument("--out", metavar="DIR", type=Path, help="results.json and index.html there")
    return parser


def chosen(patterns: Sequence[str] | None, *, quick: bool) -> list[Case]:
    cases = all_cases(quick=quick)
    if not patterns:
        return cases
    return [c for c in cases if any(fnmatch.fnmatch(c.title, f"*{p}*") for p in patterns)]


def named(text: str) -> tuple[str, str]:
    name, equals, command = text.partition("=")
    if not (name and equals and command):
        raise BadTarget(f"{text!r} is not NAME=COMMAND")
    return name, command


def launchers(options: argparse.Namespace) -> list[Launcher]:
    found: list[Launcher] = [known_launcher(name) for name in options.managed]
    if not (options.managed or options.target or options.start):
        for name in MANAGED:
            try:
                found.append(known_launcher(name))
            except StartFailed as missing:
                progress(f"without {name}: {missing}")
    clusters = dict(named(text) for text in options.start_cluster)
    for name, command in map(named, options.start):
        found.append(CommandLauncher(name, command, clusters.pop(name, "")))
    if clusters:
        raise BadTarget(f"--start-cluster {next(iter(clusters))}: no --start of that name")
    return found


def _what_is_wrong(cases: Sequence[Case], names: Sequence[str], reference: str) -> str:
    """Empty if nothing is."""
    if not cases:
        return "no load matches; --list names them"
    if not names:
        return "there is no broker to measure: give --target, --managed or --start"
    if len(set(names)) < len(names):
        return f"two brokers have the same name: {', '.join(names)}"
    if reference not in names:
        return f"--reference {reference}: it is none of {', '.join(names)}"
    return ""


def main(argv: Sequence[str]) -> int:
    """The exit code: 0 measured, 1 a load failed or a broker could not be started, 2 misused."""
    parser = build_parser()
    options = parser.parse_args(argv)
    cases = chosen(options.only, quick=options.quick)
    if options.list:
        print("\n".join(case.title for case in cases))
        return 0
    try:
        targets = [parse_target(text) for text in options.target]
        managed = launchers(options)
    except (BadTarget, StartFailed) as error:
        parser.error(str(error))
    names = [one.name for one in managed] + [one.name for one in targets]
    reference = options.reference or ("kafka" if "kafka" in names else next(iter(names), ""))
    wrong = _what_is_wrong(cases, names, reference)
    if wrong:
        parser.error(wrong)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return measure(options, cases, managed, targets, reference)
    except StartFailed as error:
        progress(str(error))
        return 1
    finally:
        signal.signal(signal.SIGTERM, before)


def measure(
    options: argparse.Namespace,
    cases: list[Case],
    managed: list[Launcher],
    targets: list[Subject],
    reference: str,
) -> int:
    with contextlib.ExitStack() as running:
        subjects = [running.enter_context(started(launcher)) for launcher in managed] + targets
        results = run_all(
            cases,
            subjects,
            options.rounds or (2 if options.quick else 5),
            warm_up=not options.quick,
        )
    print(table(results, reference))
    if options.json is not None:
        write_json(options.json, results, reference)
    if options.out is not None:
        write(options.out, results, reference)
    return 1 if results.failures else 0


def write_json(file: Path, results: Results, reference: str) -> None:
    file.write_text(json.dumps(as_json(results, reference), indent=1) + "\n")


def write(directory: Path, results: Results, reference: str) -> None:
    """results.json, and index.html, which needs matplotlib."""
    from compat.bench.page import page
    from compat.bench.plots import figures

    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / "results.json", results, reference)
    (directory / "index.html").write_text(page(results, reference, figures(results, reference)))
    progress(f"written: {directory / 'index.html'}")
