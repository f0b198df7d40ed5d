"""Kafka's own command line tools, unmodified: the checks of ``compat.tools``, each a behaviour."""

from __future__ import annotations

import itertools
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compat.driver import PATIENCE_SECONDS
from compat.suite import behaviour
from compat.tools import Tools, checks

if TYPE_CHECKING:
    from compat.case import Case
    from compat.tools import Check
    from compat.tools.runner import Running

SECONDS = 600.0


class DriverTools(Tools):
    """The tools in the driver's process."""

    def __init__(self, case: Case, *, with_data: bool) -> None:
        self._case = case
        self._handles = itertools.count()
        if with_data:
            directory = getattr(case.control, "data_directory", None)
            if directory is None:
                case.unavailable("where the brokers keep their data is not known")
            self.data_directories = [directory(broker) for broker in case.control.brokers]

    def attempt(self, tool: str, *arguments: str, stdin: str = "") -> tuple[int, str]:
        done = self._call("run", tool=tool, arguments=list(arguments), input=stdin)
        return done["code"], done["output"]

    def start(self, tool: str, *arguments: str) -> Running:
        handle = str(next(self._handles))
        self._call("start", tool=tool, arguments=list(arguments), handle=handle)
        return _Running(self, handle)

    def stop(self, handle: str) -> str:
        output: str = self._call("stop", handle=handle)["output"]
        return output

    def _call(self, verb: str, **fields: Any) -> dict[str, Any]:
        done: dict[str, Any] = self._case.driver.call(
            f"tool.{verb}", patience=3 * PATIENCE_SECONDS, **fields
        )
        return done


class _Running:
    def __init__(self, tools: DriverTools, handle: str) -> None:
        self._tools = tools
        self._handle = handle

    def stop(self) -> str:
        return self._tools.stop(self._handle)


def _register(check: Check) -> None:
    def run(case: Case) -> None:
        with tempfile.TemporaryDirectory(prefix="compat-") as work:
            tools = DriverTools(case, with_data=check.needs_data)
            check.run(case.bootstrap, Path(work), tools)

    run.__name__ = re.sub(r"\W+", "_", check.name)
    behaviour(
        f"{check.name}: {check.promise}",
        needs="tools",
        brokers=check.brokers,
        control=check.needs_data,
        seconds=SECONDS,
    )(run)


for _check in checks():
    _register(_check)


@behaviour("kafka-acls.", needs="tools", apis=("DescribeAcls",))
def kafka_acls(case: Case) -> None:
    case.unavailable("not covered by this suite yet")


@behaviour("kafka-transactions.", needs="tools", apis=("EndTxn",))
def kafka_transactions(case: Case) -> None:
    case.unavailable("not covered by this suite yet")
