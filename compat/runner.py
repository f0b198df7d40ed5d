"""Runs behaviours with clients and says how each went.

Several behaviours run at a time, each with processes of its own; those that strike brokers run
alone, at the end. One that hangs is given up when its time is over.
"""

from __future__ import annotations

import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from compat.case import Case, Peers
from compat.driver import DriverError, DriverGone
from compat.said import what_is_wrong
from compat.suite import Unavailable
from compat.traits import TRAITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from compat.client import Admin
    from compat.control import Control
    from compat.drivers import Missing
    from compat.suite import Behaviour
    from compat.target import Target


class Outcome(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    NOT_OFFERED = "not offered"  # the client cannot do that
    NOT_YET = "not yet supported"  # the broker does not advertise what it takes
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Result:
    client: str
    behaviour: str
    outcome: Outcome
    seconds: float = 0.0
    detail: str = ""


@dataclass(frozen=True)
class ClientInfo:
    """What a driver said of itself, or why there is none."""

    name: str
    version: str = ""
    language: str = ""
    capabilities: frozenset[str] = frozenset()
    missing: str = ""


class Runner:
    """Over one target. ``report`` is called with each result, from the caller's thread."""

    def __init__(
        self,
        target: Target,
        commands: Mapping[str, list[str] | Missing],
        setup: Admin,
        *,
        control: Control | None = None,
        workers: int = 3,
    ) -> None:
        self.target = target
        self._commands = {name: c for name, c in commands.items() if isinstance(c, list)}
        self._missing = {name: str(c) for name, c in commands.items() if not isinstance(c, list)}
        self._setup = setup
        self._control = control
        self._workers = workers
        self._peers = Peers(self._commands)
        self._under_way: set[Case] = set()
        self.clients: dict[str, ClientInfo] = {}

    def look_at_clients(self) -> None:
        """Starts each driver once and lets it say what it can do."""
        for name, reason in self._missing.items():
            self.clients[name] = ClientInfo(name, missing=reason)
        with ThreadPoolExecutor(self._workers) as pool:
            for info in pool.map(self._look_at, self._commands):
                self.clients[info.name] = info

    def _look_at(self, name: str) -> ClientInfo:
        case = self._case(name)
        try:
            hello = case.driver.hello()
        except DriverGone as gone:
            return ClientInfo(name, missing=what_is_wrong(str(gone)))
        finally:
            case.close()
        offered = frozenset(hello["capabilities"])
        if offered & {"consume", "groups"}:
            offered |= {"read"}
        return ClientInfo(name, hello["version"], hello.get("language", ""), offered)

    def close(self) -> None:
        self._peers.close()

    def _case(self, client: str) -> Case:
        return Case(self.target, client, self._commands, self._setup, self._control, self._peers)

    def run(
        self,
        behaviours: Sequence[Behaviour],
        clients: Iterable[str],
        report: Callable[[Result], None],
    ) -> None:
        chosen = list(clients)
        shared: list[tuple[Behaviour, str]] = []
        alone: list[tuple[Behaviour, str]] = []
        for one in behaviours:
            for client in chosen:
                known = self._known_before(one, client)
                if known is not None:
                    report(known)
                else:
                    (alone if one.is_exclusive else shared).append((one, client))
        with ThreadPoolExecutor(self._workers) as pool:
            running = [pool.submit(self._run_one, one, client) for one, client in shared]
            try:
                for done in as_completed(running):
                    report(done.result())
            except BaseException:
                # Told to stop: nobody waits for what is under way.
                pool.shutdown(wait=False, cancel_futures=True)
                for case in list(self._under_way):
                    case.give_up()
                raise
        for one, client in alone:
            report(self._run_one(one, client))
            if self._control is not None:
                self._control.heal()

    def _known_before(self, one: Behaviour, client: str) -> Result | None:
        """What need not be tried."""
        info = self.clients[client]
        if info.missing:
            return Result(client, one.full_name, Outcome.SKIPPED, detail=info.missing)
        if one.clients is not None and client not in one.clients:
            return Result(client, one.full_name, Outcome.NOT_OFFERED, detail="of other clients")
        trait = TRAITS.get((client, one.full_name))
        if trait is not None:
            return Result(client, one.full_name, Outcome.NOT_OFFERED, detail=f"the client {trait}")
        lacking = one.needs - info.capabilities
        if lacking:
            detail = "the client has no " + ", ".join(sorted(lacking))
            return Result(client, one.full_name, Outcome.NOT_OFFERED, detail=detail)
        absent = self.target.lacks(one.apis)
        if absent:
            detail = "the broker does not advertise " + ", ".join(absent)
            return Result(client, one.full_name, Outcome.NOT_YET, detail=detail)
        if self.target.brokers < one.brokers:
            detail = f"needs {one.brokers} brokers, there is {self.target.brokers}"
            return Result(client, one.full_name, Outcome.SKIPPED, detail=detail)
        if one.control and self._control is None:
            detail = "needs control of the brokers (--control)"
            return Result(client, one.full_name, Outcome.SKIPPED, detail=detail)
        return None

    def _run_one(self, one: Behaviour, client: str) -> Result:
        case = self._case(client)
        self._under_way.add(case)
        began = time.monotonic()
        given_up = threading.Event()

        def give_up() -> None:
            given_up.set()
            case.give_up()

        timer = threading.Timer(one.seconds, give_up)
        timer.daemon = True
        timer.start()
        outcome, detail = Outcome.PASSED, ""
        try:
            one.check(case)
        except Unavailable as reason:
            outcome, detail = Outcome.SKIPPED, str(reason)
        except Exception as error:
            outcome, detail = Outcome.FAILED, _explain(error)
            if isinstance(error, DriverError) and error.code == "UNSUPPORTED":
                outcome, detail = Outcome.NOT_OFFERED, f"the client has no {error.text}"
            if given_up.is_set():
                detail = f"not done after {one.seconds:g} s\n{detail}"
        finally:
            timer.cancel()
            case.close()
            self._under_way.discard(case)
        return Result(client, one.full_name, outcome, time.monotonic() - began, detail)


def _explain(error: Exception) -> str:
    """What went wrong, and where in the behaviour."""
    frames = [f for f in _frames(error) if "behaviours" in f.filename]
    where = f" (line {frames[-1].lineno}: {frames[-1].line})" if frames else ""
    kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
    return f"{kind}{error}{where}"


def _frames(error: Exception) -> Iterator[traceback.FrameSummary]:
    yield from traceback.extract_tb(error.__traceback__)
