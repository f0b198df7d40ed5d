"""``python -m compat run``: the suite against a cluster that is there, or that it starts."""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack, closing
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from compat.control import CommandControl, ControlError
from compat.driver import Driver, DriverError, DriverGone
from compat.drivers import FAMILIES, NAMES, Missing, build, family_of
from compat.report.files import write_reports
from compat.report.matrix import as_text, make_matrix
from compat.report.progress import Progress
from compat.runner import Runner
from compat.setup_admin import SetupAdmin
from compat.suite import all_behaviours
from compat.target import NotKafka, look_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compat.control import BrokerStates
    from compat.suite import Behaviour

ROOT = Path(__file__).resolve().parent.parent
SETUP_CLIENT = "kafka-python"
"""Makes topics for clients that cannot."""
MANAGED = ("pykbroker", "kafka")


def parser() -> argparse.ArgumentParser:
    parsed = argparse.ArgumentParser(
        prog="python -m compat run",
        description="Runs every behaviour with every client, and says what held.",
    )
    parsed.add_argument("--bootstrap", metavar="HOST:PORT[,...]", help="the cluster under test")
    parsed.add_argument(
        "--control",
        metavar="WHAT",
        help="strike brokers: pykbroker or kafka start a cluster of their own (without "
        "--bootstrap); anything else is a command, called as WHAT kill|pause|resume|stop|start ID",
    )
    parsed.add_argument("--brokers", type=int, default=3, help="of a cluster that is started")
    parsed.add_argument("--name", help="what the report calls the broker")
    parsed.add_argument(
        "--only",
        metavar="PATTERN",
        action="append",
        help="behaviours whose family/name matches (* and ?); may be given often",
    )
    parsed.add_argument(
        "--client",
        metavar="NAME",
        action="append",
        help=f"one of {', '.join((*NAMES, *FAMILIES))}; may be given often (default: all)",
    )
    parsed.add_argument("--workers", type=int, default=3, help="behaviours at a time (default: 3)")
    parsed.add_argument("--report", metavar="DIR", type=Path, help="write reports there")
    parsed.add_argument("--list", action="store_true", help="name the behaviours, and end")
    return parsed


def chosen_behaviours(patterns: Sequence[str] | None) -> list[Behaviour]:
    every = all_behaviours()
    if not patterns:
        return every
    spread = [
        pattern if any(c in pattern for c in "*?") else f"*{pattern}*" for pattern in patterns
    ]
    return [one for one in every if any(fnmatch(one.full_name, pattern) for pattern in spread)]


def chosen_clients(names: Sequence[str] | None) -> list[str]:
    """Raises SystemExit for a name that is none."""
    if not names:
        return list(NAMES)
    found: list[str] = []
    for name in names:
        if name in NAMES:
            found.append(name)
        elif name in FAMILIES:
            found.extend(FAMILIES[name])
        else:
            fail(f"no client {name!r}: there are {', '.join(NAMES)}")
    return list(dict.fromkeys(found))


def fail(message: str) -> NoReturn:
    print(f"compat: {message}", file=sys.stderr)
    raise SystemExit(2)


def build_drivers(clients: Sequence[str]) -> dict[str, list[str] | Missing]:
    commands: dict[str, list[str] | Missing] = {}
    for family in FAMILIES:
        if any(family_of(name) == family for name in clients):
            print(f"building the drivers of {family}", file=sys.stderr, flush=True)
            commands |= build(family, ROOT)
    return {name: command for name, command in commands.items() if name in clients}


SETTINGS = {"log.retention.check.interval.ms": "2000"}
"""Of a cluster that is started for the run: by default retention looks every five minutes."""


def start_cluster(what: str, brokers: int, work: Path) -> BrokerStates:
    if what == "kafka":
        from compat.kafka.cluster import KafkaCluster
        from compat.kafka.libraries import NoKafka, find_libraries

        try:
            libraries = find_libraries(ROOT)
        except NoKafka as error:
            fail(str(error))
        return KafkaCluster(work, brokers=brokers, libs=libraries, settings=SETTINGS)
    from compat.serving import PykbrokerCluster

    return PykbrokerCluster(work, brokers=brokers, settings=SETTINGS)


def main(arguments: Sequence[str]) -> int:
    """0 if nothing failed, 1 if something did, 2 if it could not be run."""
    options = parser().parse_args(arguments)
    behaviours = chosen_behaviours(options.only)
    if options.list:
        for one in behaviours:
            print(f"{one.full_name}: {one.promise}")
        return 0
    if not behaviours:
        fail("no behaviour matches")
    if (options.bootstrap is None) != (options.control in MANAGED):
        fail("give --bootstrap, or --control pykbroker or --control kafka to start a cluster")
    clients = chosen_clients(options.client)
    commands = build_drivers(clients)
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="compat-")))
        try:
            control = _control(options, work)
        except ControlError as error:
            fail(str(error))
        if control is not None:
            stack.enter_context(closing(control))
        bootstrap = options.bootstrap or control.bootstrap  # type: ignore[union-attr]
        setup_command = build("python", ROOT)[SETUP_CLIENT]
        if isinstance(setup_command, Missing):
            fail(f"topics are made with {SETUP_CLIENT}: {setup_command}")
        driver = stack.enter_context(closing(Driver(SETUP_CLIENT, setup_command)))
        try:
            setup = SetupAdmin(driver, config={"bootstrap": bootstrap})
            target = look_at(bootstrap, setup)
        except (DriverError, DriverGone, NotKafka) as error:
            fail(f"no cluster at {bootstrap}: {error}")
        runner = Runner(target, commands, setup, control=control, workers=options.workers)
        stack.enter_context(closing(runner))
        runner.look_at_clients()
        progress = Progress(len(behaviours) * len(clients))
        runner.run(behaviours, clients, progress)
        name = options.name or (options.control if options.control in MANAGED else bootstrap)
        infos = [runner.clients[client] for client in clients]
        matrix = make_matrix(name, target, infos, behaviours, progress.results)
        print(as_text(matrix))
        if options.report:
            write_reports(matrix, options.report)
            print(f"reports are in {options.report}/ (index.html, results.json, junit.xml)")
        return 1 if matrix.failures else 0


def _control(options: argparse.Namespace, work: Path) -> BrokerStates | None:
    if options.control is None:
        return None
    if options.control in MANAGED:
        return start_cluster(options.control, options.brokers, work)
    return CommandControl(options.control, options.bootstrap)
