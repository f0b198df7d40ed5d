"""The client processes of a run, seen from the runner; and what it watches and reads itself."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tests.faults.bare import EARLIEST, LATEST, Bare, Lost, Refused
from tests.faults.history import OK, Recorder, now
from tests.faults.workload import name_of
from tests.support.process import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.faults.workload import Options, Topic

PATIENCE_S = 90.0
DUMP_S = 3.0
"""So long a process may take to write down where it is, of which nothing hangs."""


class ClientProcess:
    """One ``tests.faults.workload``."""

    def __init__(self, kind: str, options: Options) -> None:
        self.kind = kind
        self.options = options
        self.said: set[str] = set()
        self._news = threading.Condition()
        self.errors = open(f"{options.out}/{kind}.err", "ab")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.workload", kind, json.dumps(asdict(options))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            cwd=ROOT,
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.said.add(line.strip())
                self._news.notify_all()
        with self._news:
            self.said.add("gone")
            self._news.notify_all()

    def tell(self, command: str) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise AssertionError(f"{self.kind} is gone\n{self.tail()}") from None

    def wait(self, is_there: Callable[[set[str]], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        with self._news:
            while not is_there(self.said):
                left = deadline - time.monotonic()
                if "gone" in self.said or left <= 0:
                    missed = f"{self.kind}: no {what}, it said {sorted(self.said)}"
                    raise AssertionError(f"{missed}\n{self.where()}")
                self._news.wait(left)

    def where(self) -> str:
        """What it complained of, and where its threads are."""
        complaints = self.tail()
        if self.process.poll() is not None:
            return complaints
        self.process.send_signal(signal.SIGUSR1)
        time.sleep(DUMP_S)
        return f"{complaints}\n{self.tail()}"

    def tail(self) -> str:
        with open(self.errors.name, errors="replace") as file:
            return file.read()[-3000:]

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_S)
        self._listener.join(PATIENCE_S)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):  # what was not sent is of no use now
                pipe.close()
        self.errors.close()


class Load:
    """All client processes of a run."""

    def __init__(self, options: dict[str, Options]) -> None:
        self.clients = [ClientProcess(kind, one) for kind, one in options.items()]
        for client in self.clients:
            client.wait(lambda said: "ready" in said, "ready")

    def produce(self) -> None:
        for client in self.clients:
            client.tell("produce")

    def stop_producing(self) -> None:
        """Until every producer has been told of all that it sent."""
        for client in self.clients:
            client.tell("stop-producing")
        for client in self.clients:
            count = len(client.options.producers)
            client.wait(lambda said, n=count: _count(said, "produced ") == n, "end of producing")

    def drain(self, ends: dict[str, int]) -> list[str]:
        """Until members and readers have read so far; the groups that have."""
        for client in self.clients:
            client.tell(f"drain {json.dumps(ends)}")
        for client in self.clients:
            count = client.options.members + client.options.readers
            client.wait(lambda said, n=count: _count(said, "drained ") >= n, "end of reading")
        return self.groups

    @property
    def groups(self) -> list[str]:
        return [f"{c.options.group}-{c.kind}" for c in self.clients if c.options.members]

    def stop(self) -> None:
        for client in self.clients:
            client.tell("stop")
        for client in self.clients:
            client.wait(lambda said: "stopped" in said, "stop")
            if client.process.wait(PATIENCE_S):
                raise AssertionError(f"{client.kind} failed\n{client.tail()}")

    def end(self) -> None:
        for client in self.clients:
            client.end()


def _count(said: set[str], start: str) -> int:
    return sum(1 for line in said if line.startswith(start))


class Watcher:
    """Asks every broker for its view, and leaders and coordinators for offsets, all the time."""

    def __init__(
        self, out: Path, bootstraps: dict[int, str], topics: list[str], groups: list[str]
    ) -> None:
        self._recorder = Recorder(out / "watcher.jsonl", "watcher")
        self._bootstraps = bootstraps
        self._topics = topics
        self._groups = groups
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._failed: BaseException | None = None
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(PATIENCE_S)
        self._recorder.close()
        if self._failed is not None:
            raise self._failed

    def _run(self) -> None:
        views = {node: Bare(address, timeout_s=2) for node, address in self._bootstraps.items()}
        asker = Bare(",".join(self._bootstraps.values()), timeout_s=3)
        try:
            while not self._stop.wait(0.3):
                for node, view in views.items():
                    self._look(node, view)
                self._ask(asker)
        except BaseException as error:
            self._failed = error
        for view in views.values():
            view.close()
        asker.close()

    def _look(self, node: int, view: Bare) -> None:
        t0 = now()
        try:
            address = self._bootstraps[node].rpartition(":")
            state = view.metadata(self._topics, (address[0], int(address[2])))
        except Lost:
            return
        parts = {
            f"{t}-{p}": [s.leader, s.leader_epoch, s.replicas, s.isr]
            for (t, p), s in state.parts.items()
        }
        if parts:
            self._recorder.write("metadata", t0, broker=node, parts=parts, res=OK)

    def _ask(self, asker: Bare) -> None:
        try:
            state = asker.metadata(self._topics)
        except Lost:
            return
        for (topic, p), part in state.parts.items():
            t0 = now()
            try:
                latest, epoch = asker.offset(part.leader, topic, p, LATEST)
            except (Lost, Refused):
                continue
            fields = {"tp": f"{topic}-{p}", "latest": latest, "epoch": epoch, "res": OK}
            self._recorder.write("list_offsets", t0, **fields)
        every: dict[str, list[int]] = {}
        for topic, p in sorted(state.parts):
            every.setdefault(topic, []).append(p)
        for group in self._groups:
            t0 = now()
            try:
                offsets = asker.committed(group, every)
            except (Lost, Refused):
                continue
            self._recorder.write("committed", t0, group=group, offsets=offsets, res=OK)


def patiently(function: Callable[[], Any], what: str) -> Any:
    """Until it neither fails nor is refused."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return function()
        except (Lost, Refused) as error:
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}: {error!r}") from error
            time.sleep(0.1)


def ends_of(bare: Bare, topic: Topic, at: int = LATEST) -> dict[str, int]:
    def one(partition: int) -> int:
        leader = bare.metadata([topic.name]).parts[topic.name, partition].leader
        return bare.offset(leader, topic.name, partition, at)[0]

    return {tp: patiently(lambda p=p: one(p), f"offset of {tp}") for p, tp in enumerate(topic.tps)}


def read_everything(out: Path, bootstrap: str, topics: Sequence[Topic]) -> None:
    """The last reading: each partition from its start to its end, as the leader has it."""
    recorder = Recorder(out / "final.jsonl", "final")
    bare = Bare(bootstrap, timeout_s=20)
    for topic in topics:
        starts = ends_of(bare, topic, EARLIEST)
        ends = ends_of(bare, topic)
        for p, tp in enumerate(topic.tps):
            _read_one(bare, recorder, topic.name, p, range(starts[tp], ends[tp]))
    bare.close()
    recorder.close()


def _read_one(bare: Bare, recorder: Recorder, topic: str, p: int, offsets: range) -> None:
    tp = f"{topic}-{p}"
    offset = offsets.start
    while offset < offsets.stop:

        def step(offset: int = offset) -> Any:
            leader = bare.metadata([topic]).parts[topic, p].leader
            return bare.fetch(leader, topic, p, offset)

        t0 = now()
        records, epochs, offset = patiently(step, f"records of {tp} at {offset}")
        recs = [
            [r.offset, epoch, name_of(r.value, r.headers)]
            for r, epoch in zip(records, epochs, strict=True)
        ]
        recorder.write("poll", t0, recs={tp: recs}, final=True, res=OK)
    t0 = now()
    recorder.write("end_of_log", t0, tp=tp, start=offsets.start, end=offsets.stop, res=OK)
