"""The faults: what each does to a cluster, and how it ends. Chosen by a seed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.faults.bare import Lost, Refused
from tests.faults.cluster import STORE
from tests.faults.history import now
from tests.faults.proxy import ANSWERS, BLACKHOLE, DROP, REQUESTS, RESET, Rule, delay, rate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from tests.faults.cluster import Cluster
    from tests.faults.history import Recorder
    from tests.faults.workload import Topic

LEASE_S = 3.0
"""broker.session.timeout.ms of the runs."""


class Scene:
    """A cluster, its topics, what is written down and the dice."""

    def __init__(
        self, cluster: Cluster, topics: Sequence[Topic], recorder: Recorder, random: Random
    ) -> None:
        self.cluster = cluster
        self.topics = topics
        self.names = [topic.name for topic in topics]
        self.all_names = [*self.names, "__consumer_offsets"]
        self.is_synced = cluster.settings["log.flush.interval.messages"] == "1"
        """Records are acknowledged when they are on the disks."""
        self.recorder = recorder
        self.random = random

    def note(self, kind: str, target: object, *, begins: bool) -> None:
        self.recorder.write("fault", now(), kind=kind, target=str(target), on=begins, res="ok")
        self.recorder.flush()

    def leader(self) -> int:
        """Of some partition that has one."""
        for _ in range(50):
            topic = self.random.choice(self.topics)
            found = self.cluster.leader(topic.name, self.random.randrange(topic.partitions))
            if found > 0:
                return found
            time.sleep(0.1)
        return self.random.choice(self.cluster.running())

    def follower(self) -> int:
        leader = self.leader()
        others = [n for n in self.cluster.running() if n != leader]
        return self.random.choice(others or [leader])

    def controller(self) -> int:
        try:
            found = self.cluster.state(*self.names).controller
        except (Lost, Refused):
            return self.leader()
        return found if found in self.cluster.running() else self.leader()

    def linger(self, least_s: float, most_s: float) -> None:
        time.sleep(self.random.uniform(least_s, most_s))

    def bring_back(self, node: int) -> None:
        self.cluster.restart(node)
        self.cluster.brokers[node].wait_for("Kafka Server started")


def kill(scene: Scene, node: int, role: str) -> None:
    scene.note(f"kill {role}", node, begins=True)
    scene.cluster.brokers[node].kill()
    scene.linger(0.5, 2 * LEASE_S)
    scene.bring_back(node)
    scene.note(f"kill {role}", node, begins=False)


def kill_leader(scene: Scene) -> None:
    kill(scene, scene.leader(), "leader")


def kill_follower(scene: Scene) -> None:
    kill(scene, scene.follower(), "follower")


def kill_controller(scene: Scene) -> None:
    kill(scene, scene.controller(), "controller")


def stop_cleanly(scene: Scene) -> None:
    role, find = scene.random.choice(
        (("leader", scene.leader), ("follower", scene.follower), ("controller", scene.controller))
    )
    node = find()
    scene.note(f"SIGTERM {role}", node, begins=True)
    code = scene.cluster.brokers[node].terminate()
    assert code == 0, f"broker {node} ended with {code} after SIGTERM"
    scene.linger(0.2, 2)
    scene.bring_back(node)
    scene.note(f"SIGTERM {role}", node, begins=False)


def pause(scene: Scene, node: int, role: str) -> None:
    """Beyond the lease: another leads by the time it wakes, and it does not know."""
    scene.note(f"SIGSTOP {role}", node, begins=True)
    scene.cluster.brokers[node].pause()
    scene.linger(LEASE_S + 1, LEASE_S + 3)
    scene.cluster.brokers[node].resume()
    scene.note(f"SIGSTOP {role}", node, begins=False)


def pause_leader(scene: Scene) -> None:
    pause(scene, scene.leader(), "leader")


def pause_controller(scene: Scene) -> None:
    pause(scene, scene.controller(), "controller")


def kill_all(scene: Scene) -> None:
    scene.note("kill all", "", begins=True)
    nodes = list(scene.cluster.nodes)
    for node in nodes:
        scene.cluster.brokers[node].kill()
    bring_all_back(scene, nodes)
    scene.note("kill all", "", begins=False)


def cut_power(scene: Scene) -> None:
    """Of one broker, when every other has what it has: what was not synced is gone."""
    if not scene.is_synced:
        scene.cluster.wait_in_sync(*scene.all_names, when="before a power cut")
    node = scene.random.choice((scene.leader(), scene.follower()))
    scene.note("power cut", node, begins=True)
    lost = scene.cluster.cut_power(node, dice=scene.random)
    scene.linger(0.2, 2 * LEASE_S)
    scene.bring_back(node)
    if not scene.is_synced:
        scene.cluster.wait_in_sync(*scene.all_names, when="after a power cut")
    scene.note("power cut", f"{node} lost {lost}", begins=False)


def cut_all_power(scene: Scene) -> None:
    """Of all machines: nothing is promised but for what is synced before it is acknowledged."""
    assert scene.is_synced
    scene.note("power cut of all", "", begins=True)
    nodes = list(scene.cluster.nodes)
    scene.cluster.store.kill()
    lost = scene.cluster.cut_power(*nodes, dice=scene.random)
    scene.cluster.start_store()
    bring_all_back(scene, nodes)
    scene.note("power cut of all", lost, begins=False)


def bring_all_back(scene: Scene, nodes: list[int]) -> None:
    """In whatever order."""
    scene.random.shuffle(nodes)
    for node in nodes:
        scene.cluster.restart(node)
        scene.linger(0, 1)
    for node in nodes:
        scene.cluster.brokers[node].wait_for("Kafka Server started")


def kill_store(scene: Scene) -> None:
    store = scene.cluster.store
    scene.note("kill store", STORE, begins=True)
    store.kill()
    scene.linger(0.5, 2 * LEASE_S)
    scene.cluster.start_store()
    scene.note("kill store", STORE, begins=False)


def one_way_or_both(scene: Scene, rule: Rule) -> tuple[str, ...]:
    """A connection that is reset is so for both."""
    if rule == RESET:
        return (REQUESTS, ANSWERS)
    return scene.random.choice(((REQUESTS,), (ANSWERS,), (REQUESTS, ANSWERS)))


def cut_between(scene: Scene) -> None:
    """Two brokers, in one of three manners; the connections of one of them, or of each."""
    one, other = scene.random.sample(scene.cluster.nodes, 2)
    rule = scene.random.choice((BLACKHOLE, RESET, DROP))
    directions = one_way_or_both(scene, rule)
    both = scene.random.random() < 0.5
    target = f"{one} {'<->' if both else '->'} {other} {','.join(directions)}"
    scene.note(f"cut {rule.mode}", target, begins=True)
    scene.cluster.cut(rule, one, other, *directions)
    if both:
        scene.cluster.cut(rule, other, one, *directions)
    scene.linger(2, 3 * LEASE_S)
    scene.cluster.heal()
    scene.note(f"cut {rule.mode}", target, begins=False)


def isolate_leader(scene: Scene) -> None:
    """It sees the store, not its followers."""
    node = scene.leader()
    scene.note("isolate leader", node, begins=True)
    scene.cluster.isolate(BLACKHOLE, node)
    scene.linger(LEASE_S + 2, 3 * LEASE_S)
    scene.cluster.heal()
    scene.note("isolate leader", node, begins=False)


def cut_from_store(scene: Scene) -> None:
    """It sees its followers, not the store, or is not seen by it."""
    node = scene.random.choice((scene.leader(), scene.controller()))
    rule = scene.random.choice((BLACKHOLE, RESET, DROP))
    directions = one_way_or_both(scene, rule)
    target = f"{node} {','.join(directions)}"
    scene.note(f"cut from store {rule.mode}", target, begins=True)
    scene.cluster.cut(rule, node, STORE, *directions)
    scene.linger(LEASE_S + 1, 3 * LEASE_S)
    scene.cluster.heal()
    scene.note(f"cut from store {rule.mode}", target, begins=False)


def slow_links(scene: Scene) -> None:
    rule: Rule = scene.random.choice((delay(100), rate(400_000)))
    scene.note(f"slow {rule.mode}", rule.amount, begins=True)
    for one in scene.cluster.nodes:
        for other in scene.cluster.nodes:
            scene.cluster.cut(rule, one, other)
    scene.linger(2, 6)
    scene.cluster.heal()
    scene.note(f"slow {rule.mode}", rule.amount, begins=False)


def roll(scene: Scene) -> None:
    """Each broker in turn, cleanly, waiting for the ISR in between, as one does an upgrade."""
    scene.note("rolling restart", "", begins=True)
    for node in scene.cluster.nodes:
        code = scene.cluster.brokers[node].terminate()
        assert code == 0, f"broker {node} ended with {code} after SIGTERM"
        scene.bring_back(node)
        scene.cluster.wait_in_sync(*scene.names, when=f"after broker {node} came back")
    scene.note("rolling restart", "", begins=False)


STRIKES: dict[str, tuple[Callable[[Scene], None], int]] = {
    "kill-leader": (kill_leader, 4),
    "kill-follower": (kill_follower, 2),
    "kill-controller": (kill_controller, 2),
    "stop-cleanly": (stop_cleanly, 2),
    "pause-leader": (pause_leader, 3),
    "pause-controller": (pause_controller, 1),
    "kill-all": (kill_all, 1),
    "cut-power": (cut_power, 3),
    "cut-all-power": (cut_all_power, 3),
    "kill-store": (kill_store, 2),
    "cut-between": (cut_between, 4),
    "isolate-leader": (isolate_leader, 2),
    "cut-from-store": (cut_from_store, 3),
    "slow-links": (slow_links, 1),
    "roll": (roll, 1),
}
"""By name, with its weight."""
ONLY_SYNCED = ("cut-all-power",)
IN_TURN = (
    "kill-leader",
    "pause-leader",
    "cut-from-store",
    "kill-store",
    "isolate-leader",
    "cut-power",
    "kill-controller",
    "cut-between",
    "kill-follower",
    "stop-cleanly",
)
"""A short run takes each of these at least once, as far as its time goes, shuffled by the seed."""


def plan(random: Random, count: int, *, synced: bool = False) -> list[str]:
    """Names of faults: each of the common ones, then by weight. ``synced``: also those that only
    what was synced survives."""
    first = [*IN_TURN, *(ONLY_SYNCED if synced else ())]
    random.shuffle(first)
    names = [name for name in STRIKES if synced or name not in ONLY_SYNCED]
    weights = [STRIKES[name][1] for name in names]
    more = max(0, count - len(first))
    return [*first, *random.choices(names, weights, k=more)][:count]


def strike(scene: Scene, name: str) -> None:
    STRIKES[name][0](scene)
