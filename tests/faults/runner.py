"""One run: a cluster under load, faults from a seed, healing, and the verdict on what was seen."""

from __future__ import annotations

import os
import random
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psutil

from tests.faults.administrator import Administrator
from tests.faults.brokers import wait_until
from tests.faults.checker.verdict import Verdict, check, render
from tests.faults.cluster import Cluster
from tests.faults.dump import dump_replicas
from tests.faults.history import Recorder, now
from tests.faults.load import Load, Watcher, ends_of, patiently, read_everything
from tests.faults.store_watch import StoreWatcher
from tests.faults.strikes import Scene, plan, strike
from tests.faults.workload import Options, Topic

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PLAIN = Topic("faults", 6)
COMPACTED = Topic("compacted", 2, keys=50)
TOPICS = (PLAIN, COMPACTED)
OFFSETS = Topic("__consumer_offsets", 6, keys=1)
"""Not under load itself; its replicas are compared too."""
NAMES = tuple(topic.name for topic in TOPICS)
OFTEN_COMPACTED = {
    "cleanup.policy": "compact",
    "segment.ms": "3000",
    "min.cleanable.dirty.ratio": "0.1",
}
TROUBLE = re.compile(r"Traceback|unhandled|never retrieved|was never awaited|Error in sys\.")


@dataclass
class RunOptions:
    seed: int
    seconds: float
    """From the first record to the last fault's end, about."""
    directory: Path
    rate: int = 300
    metadata: str | None = None
    synced: bool = False
    """With ``log.flush.interval.messages=1``."""
    administered: bool = True
    """Topics and partitions are changed meanwhile."""
    impatient: bool = True
    """Clients give a silent broker up soon; else when they do by themselves."""
    strikes: list[str] = field(default_factory=list)
    """These, in this order; without, by the seed."""
    floors: dict[str, int] = field(default_factory=dict)


@dataclass
class Outcome:
    verdict: Verdict
    report: str
    history: list[Path]
    struck: list[str]


def workloads(options: RunOptions, bootstrap: str, out: Path) -> dict[str, Options]:
    def of(**more: Any) -> Options:
        return Options(
            bootstrap,
            TOPICS,
            str(out),
            seed=options.seed,
            rate=options.rate,
            impatient=options.impatient,
            **more,
        )

    return {
        "kafka-python": of(producers=("idempotent", "plain-1"), members=2),
        "confluent": of(producers=("idempotent", "plain-all", "plain-0"), members=2, readers=1),
        "aiokafka": of(producers=("idempotent", "plain-all"), members=2, readers=1),
        "bare": of(producers=("idempotent", "plain-all", "plain-1")),
    }


def run(options: RunOptions) -> Outcome:
    out = options.directory / "history"
    out.mkdir(parents=True)
    recorder = Recorder(out / "runner.jsonl", "runner")
    config = {"unclean": False, "seed": options.seed, "floors": options.floors}
    recorder.write("config", now(), **config)
    dice = random.Random(options.seed)
    struck: list[str] = []
    settings = {"log.flush.interval.messages": "1"} if options.synced else {}
    cluster = Cluster(
        options.directory, metadata=options.metadata, settings=settings, journaled=True
    )
    load: Load | None = None
    try:
        with cluster:
            load = _begin(cluster, options, out, recorder)
            watchers = (
                Watcher(out, cluster.bootstraps, list(NAMES), load.groups),
                StoreWatcher(out, cluster.store_address, list(NAMES)),
            )
            administrator: Administrator | None = None
            if options.administered:
                administrator = Administrator(out, cluster.bootstraps, TOPICS, options.seed)
            _strike(Scene(cluster, TOPICS, recorder, dice), options, struck)
            _heal(cluster, recorder, administrator)
            _end(cluster, load, watchers, out, recorder)
    finally:
        if load is not None:
            load.end()
        recorder.close()
    files = sorted(out.glob("*.jsonl"))
    verdict = check(files)
    return Outcome(verdict, render(verdict, files), files, struck)


def _begin(cluster: Cluster, options: RunOptions, out: Path, recorder: Recorder) -> Load:
    cluster.start()
    client = cluster.client(10)
    for topic in TOPICS:
        configs = OFTEN_COMPACTED if topic.keys else None
        patiently(
            lambda t=topic, c=configs: client.create_topic(t.name, t.partitions, 3, c), "a topic"
        )
    cluster.wait_in_sync(*NAMES)
    load = Load(workloads(options, cluster.bootstrap, out))
    load.produce()
    wait_until(
        lambda: sum(ends_of(client, PLAIN).values()) > options.rate,
        "the first records",
    )
    client.close()
    _sample(cluster, recorder, "start")
    return load


def _strike(scene: Scene, options: RunOptions, struck: list[str]) -> None:
    """One fault after another, with a short peace between them, until the time is over."""
    deadline = time.monotonic() + options.seconds
    names = options.strikes or plan(scene.random, int(options.seconds), synced=options.synced)
    for name in names:
        if time.monotonic() > deadline and not options.strikes:
            break
        struck.append(name)
        strike(scene, name)
        scene.linger(0.5, 3)


def _heal(cluster: Cluster, recorder: Recorder, administrator: Administrator | None) -> None:
    if administrator is not None:
        administrator.stop()
    cluster.heal()
    recorder.write("fault", now(), kind="healed", target="", res="ok")
    if administrator is not None:
        administrator.put_in_order()
    cluster.wait_in_sync(*NAMES, when="after the last fault")
    time.sleep(2)  # the load goes on for a moment without any fault


def _end(
    cluster: Cluster,
    load: Load,
    watchers: Sequence[Watcher | StoreWatcher],
    out: Path,
    recorder: Recorder,
) -> None:
    load.stop_producing()
    client = cluster.client(20)
    ends = {tp: end for topic in TOPICS for tp, end in ends_of(client, topic).items()}
    for group in load.drain(ends):
        recorder.write("drained", now(), group=group, ends=ends, res="ok")
    load.stop()
    for watcher in watchers:
        watcher.stop()
    cluster.wait_in_sync(*NAMES, when="at the end")
    read_everything(out, cluster.bootstrap, TOPICS)
    client.close()
    _sample(cluster, recorder, "end")
    codes = cluster.stop()
    for node in cluster.nodes:
        if codes[node]:
            _trouble(recorder, node, f"exit code {codes[node]} after SIGTERM")
        for topic in (*TOPICS, OFFSETS):
            dump_replicas(recorder, node, cluster.log_dir(node), topic, rest=True)
        for line in complaints(cluster.brokers[node].log):
            _trouble(recorder, node, line)


def _sample(cluster: Cluster, recorder: Recorder, when: str) -> None:
    for node, broker in cluster.brokers.items():
        process = psutil.Process(broker.pid)
        fields = {"rss": process.memory_info().rss, "fds": descriptors(process), "when": when}
        recorder.write("sample", now(), broker=node, **fields, res="ok")


def descriptors(process: psutil.Process) -> int:
    """Without those of files that are there: a log grows, and has ever more segments."""
    files = sum(1 for file in process.open_files() if os.path.exists(file.path))
    return int(process.num_fds()) - files


def _trouble(recorder: Recorder, node: int, text: str) -> None:
    recorder.write("trouble", now(), broker=node, text=text[:500])


def complaints(log: Path) -> list[str]:
    """Lines that no broker may write, whatever happens to it."""
    text = log.read_text(errors="replace")
    return [line for line in text.splitlines() if TROUBLE.search(line)]


def summary(outcomes: Sequence[Outcome]) -> str:
    good = sum(outcome.verdict.is_green for outcome in outcomes)
    acked = sum(outcome.verdict.counts.get("ok sends", 0) for outcome in outcomes)
    struck = sum(len(outcome.struck) for outcome in outcomes)
    return f"{good} of {len(outcomes)} runs green, {acked} acknowledged, {struck} faults"
