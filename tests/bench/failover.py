"""What a client notices of a leader that dies: python tests/bench/failover.py [KILLS [LEASE_MS]]

An idempotent producer and a group consumer of each library, with that library's own settings, go
on through kill -9 of the leader of their partition: the time from the kill to the acknowledgement
of a record that was sent after it, and until the group has a record that was sent after it. Then
the longest pause between two acknowledgements while the leader is stopped cleanly, what three
replicas cost against one, and how long no broker takes records while a leader stops. Once with the
supervisor, which sees the end of a process at once, and once without, where a lease has to run out.

Nothing is restarted but brokers, and the history must be green by the checker of ``tests.faults``.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.clean_stop import clean_stops
from tests.bench.clusters import STARTED, Supervised, Unsupervised
from tests.bench.outages import Outages
from tests.bench.replication_cost import cost
from tests.faults.brokers import wait_until
from tests.faults.checker.verdict import check, render
from tests.faults.history import OK, Recorder, now
from tests.faults.load import Load, Watcher, ends_of, patiently, read_everything
from tests.faults.store_watch import StoreWatcher
from tests.faults.workload import Options, Topic

if TYPE_CHECKING:
    from tests.faults.bare import Bare
    from tests.faults.brokers import Brokers

TOPIC = Topic("failover", 1)
KINDS = ("kafka-python", "confluent", "aiokafka")
RATE = 50
STOPS = 5
SETTLED_S = 3.0
SETTINGS = {
    "offsets.topic.replication.factor": "3",
    "min.insync.replicas": "2",
    "auto.create.topics.enable": "false",
}


def ride_through(cluster: Brokers, store_address: str, kills: int, out: Path) -> Outages:
    """The load goes on all the time; the history is checked."""
    out.mkdir()
    recorder = Recorder(out / "runner.jsonl", "runner")
    recorder.write("config", now(), unclean=False, seed=0, bounds={"producer": 60})
    client = cluster.client(20)
    patiently(lambda: client.create_topic(TOPIC.name, 1, 3), "the topic")
    cluster.wait_in_sync(TOPIC.name)
    shared = {"rate": RATE, "producers": ("idempotent",), "members": 1, "impatient": False}
    load = Load({kind: Options(cluster.bootstrap, (TOPIC,), str(out), **shared) for kind in KINDS})
    watchers = (
        Watcher(out, cluster.bootstraps, [TOPIC.name], load.groups),
        StoreWatcher(out, store_address, [TOPIC.name]),
    )
    try:
        load.produce()
        wait_until(lambda: all_read(client, load.groups), "the first commits")
        for _ in range(kills):
            strike(cluster, recorder, load.groups, "kill leader")
        for _ in range(STOPS):
            strike(cluster, recorder, load.groups, "SIGTERM leader")
        recorder.write("fault", now(), kind="healed", target="", res=OK)
        time.sleep(SETTLED_S)
        load.stop_producing()
        ends = ends_of(client, TOPIC)
        for group in load.drain(ends):
            recorder.write("drained", now(), group=group, ends=ends, res=OK)
        load.stop()
        for watcher in watchers:
            watcher.stop()
        read_everything(out, cluster.bootstrap, [TOPIC])
    finally:
        load.end()
    recorder.close()
    files = sorted(out.glob("*.jsonl"))
    verdict = check(files)
    assert verdict.is_green, render(verdict, files)
    print(f"  {render(verdict).splitlines()[0]}")
    return Outages(files, TOPIC.tps[0], KINDS)


def all_read(client: Bare, groups: list[str]) -> bool:
    return all(
        patiently(lambda g=group: client.committed(g, {TOPIC.name: [0]}), "commits")[TOPIC.tps[0]]
        > RATE
        for group in groups
    )


def strike(cluster: Brokers, recorder: Recorder, groups: list[str], kind: str) -> None:
    """Of what is struck it is written down whether it coordinates a group as well."""
    leader = wait_until(lambda: max(cluster.leader(TOPIC.name), 0), "a leader")
    client = cluster.client(10)
    coordinators = {g: patiently(lambda g=g: client.coordinator(g), "coordinators") for g in groups}
    client.close()
    recorder.write("fault", now(), kind=kind, target=leader, on=True, groups=coordinators, res=OK)
    if kind.startswith("kill"):
        cluster.brokers[leader].kill()
    else:
        cluster.brokers[leader].terminate()
    wait_until(lambda: cluster.leader(TOPIC.name) not in (-1, leader), "the next leader")
    cluster.restart(leader)
    cluster.brokers[leader].wait_for(STARTED)
    cluster.wait_in_sync(TOPIC.name, "__consumer_offsets")
    recorder.write("fault", now(), kind=kind, target=leader, on=False, res=OK)
    time.sleep(SETTLED_S)


def show(name: str, times: list[float]) -> None:
    if times:
        median, worst = statistics.median(times), max(times)
        print(f"  {name:42} median {median:6.2f} s, worst {worst:6.2f} s of {len(times)}")


def report(outages: Outages) -> None:
    show("no leader after kill -9", outages.without_leader())
    for kind in KINDS:
        show(f"{kind} producer", outages.of_producer(kind))
    for kind in KINDS:
        group = f"{TOPIC.name}-{kind}"
        show(f"{kind} group consumer", outages.of_consumer(kind))
        show("  when its coordinator died too", outages.of_consumer(kind, coordinator_of=group))
    for kind in KINDS:
        show(f"{kind} producer, longest pause on SIGTERM", outages.pauses(kind))


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    lease_ms = sys.argv[2] if len(sys.argv) > 2 else "9000"
    settings = SETTINGS | {"broker.session.timeout.ms": lease_ms}
    with tempfile.TemporaryDirectory(prefix="failover-") as text:
        for number, kind in enumerate((Supervised, Unsupervised)):
            directory = Path(text) / str(number)
            directory.mkdir()
            cluster = kind(directory, settings)
            try:
                if kind is Supervised:
                    cost(cluster)
                    print("with the supervisor:")
                else:
                    print(f"without the supervisor, lease of {lease_ms} ms:")
                clean_stops(cluster)
                report(ride_through(cluster, cluster.store_address, kills, directory / "history"))
            finally:
                cluster.end()


if __name__ == "__main__":
    main()
