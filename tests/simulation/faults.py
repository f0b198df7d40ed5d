"""What strikes the cluster, when, and for how long: all of it from one seed.

Without flush.messages a record is held by a replica as soon as the kernel has it. A cluster is
then safe only while not every machine that holds it loses its power; so one machine at a time
does, and nobody else stops until that one is in sync again. With flush.messages=1 anything goes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from tests.simulation.admin import SCRATCH
from tests.simulation.loop import Life
from tests.simulation.store import HOST as STORE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pykbroker.state.controller.image import PartitionImage
    from tests.simulation.cluster import Cluster, Node
    from tests.simulation.observer import Observer


class Faults:
    """``run`` strikes until it is told to end; ``heal`` undoes everything."""

    def __init__(
        self, cluster: Cluster, observer: Observer, *, flushes: bool, hosts: list[str]
    ) -> None:
        self.cluster = cluster
        self.observer = observer
        self.flushes = flushes
        self.hosts = hosts
        """Of clients."""
        self.rng = cluster.new_rng()
        self.life = Life("faults")
        self.struck: dict[str, int] = {}
        self._healing = False
        self._victim: Node | None = None
        """Whose tail may be gone."""
        self._doomed: dict[Node, None] = {}
        """Who will die in the middle of a write."""
        everything: list[tuple[int, Callable[[], bool]]] = [
            (10, self._kill),
            (10, self._lose_power),
            (8, self._die_writing),
            (6, self._stop),
            (10, self._freeze),
            (14, self._cut),
            (6, self._isolate),
            (4, self._slow),
            (3, self._jump_clock),
            (5, self._stop_store),
            (4, self._break_watches),
        ]
        # Not every run has everything: what is rare together shall be seen alone.
        chosen = [entry for entry in everything if self.rng.random() < 0.6] or everything
        self._kinds = [kind for _, kind in chosen]
        self._weights = [weight for weight, _ in chosen]
        self._pause_s = self.rng.choice((0.3, 1.0, 2.5))

    def start(self) -> None:
        self.cluster.loop.spawn(self.life, self._run())

    async def _run(self) -> None:
        while not self._healing:
            await anyio.sleep(self.rng.expovariate(1 / self._pause_s))
            if self._healing:
                return
            (strike,) = self.rng.choices(self._kinds, self._weights)
            if strike():
                name = strike.__name__.lstrip("_")
                self.struck[name] = self.struck.get(name, 0) + 1

    def heal(self) -> None:
        self._healing = True
        cluster = self.cluster
        cluster.trace.note("heal")
        for node in self._doomed:
            if node.disk_of_life is not None:
                node.disk_of_life.die_after(-1, lambda: None)
        for node in cluster.nodes:
            node.thaw()
        cluster.network.heal_all()
        if cluster.store.is_down:
            cluster.store.start(forgets_leases=False)
        self._restart_all()

    def _restart_all(self) -> None:
        """Who was about to stop may do so after the healing."""
        for node in self.cluster.nodes:
            self._restart(node)
        self.cluster.loop.at(self.life, 1.0, self._restart_all)

    def _restart(self, node: Node) -> None:
        if not node.is_running:
            node.start()

    def _later(self, low_s: float, high_s: float, undo: Callable[[], None]) -> None:
        def unless_healed() -> None:
            if not self._healing:
                undo()

        self.cluster.loop.at(self.life, self.rng.uniform(low_s, high_s), unless_healed)

    def _duration(self, undo: Callable[[], None]) -> None:
        """Blinks, and what outlasts leases and lag times."""
        low_s, high_s = self.rng.choice(((0.05, 0.8), (0.5, 4.0), (3.0, 9.0)))
        self._later(low_s, high_s, undo)

    # Processes and machines

    def _running(self) -> list[Node]:
        return [n for n in self.cluster.nodes if n.is_running and n not in self._doomed]

    def _may_stop_uncleanly(self) -> bool:
        if self.flushes:
            return True
        victim = self._victim
        if victim is not None and self._is_in_sync(victim):
            self._victim = None
        return self._victim is None and not self._doomed

    def _is_in_sync(self, node: Node) -> bool:
        """In every ISR again, in its present life."""
        if not node.is_running or not self.observer.is_registered(node):
            return False
        return all(
            node.number in partition.isr or node.number not in partition.replicas
            for partition in self._partitions()
        )

    def _partitions(self) -> Iterator[PartitionImage]:
        """That hold what somebody was told is safe."""
        for topic in self.observer.truth.image.topics.values():
            if not topic.name.startswith(SCRATCH):
                yield from topic.partitions

    def _may_lose_power(self, node: Node) -> bool:
        """Somebody else holds everything, and will not stop."""
        if self.flushes:
            return True
        safe = {
            other.number
            for other in self.cluster.nodes
            if other is not node and other.is_running and self.observer.is_registered(other)
        }
        return all(safe.intersection(partition.isr) for partition in self._partitions())

    def _pick(self) -> Node | None:
        running = self._running()
        return self.rng.choice(running) if running else None

    def _kill(self) -> bool:
        node = self._pick()
        if node is None or not self._may_stop_uncleanly():
            return False
        node.kill()
        self._duration(lambda: self._restart(node))
        return True

    def _lose_power(self) -> bool:
        node = self._pick()
        if node is None or not self._may_stop_uncleanly() or not self._may_lose_power(node):
            return False
        self._power_off(node)
        return True

    def _power_off(self, node: Node) -> None:
        self._victim = node
        node.lose_power()
        self._duration(lambda: self._restart(node))

    def _die_writing(self) -> bool:
        """In the middle of whatever it is that changes the disk."""
        node = self._pick()
        if node is None or node.disk_of_life is None or not self._may_stop_uncleanly():
            return False
        life = node.life
        with_power = self.rng.random() < 0.5

        def die() -> None:
            self._doomed.pop(node, None)
            if with_power and self._may_lose_power(node):
                self._power_off(node)
            else:
                node.kill()
                self._duration(lambda: self._restart(node))

        def survived() -> None:
            self._doomed.pop(node, None)
            if node.life is life and node.disk_of_life is not None:
                node.disk_of_life.die_after(-1, lambda: None)

        self._doomed[node] = None
        node.disk_of_life.die_after(self.rng.randrange(40), die)
        self._later(2.0, 4.0, survived)
        return True

    def _stop(self) -> bool:
        node = self._pick()
        if node is None or not node.is_ready or not self._may_stop_uncleanly():
            return False
        node.stop()

        def up_again() -> None:
            if node.is_running and node.is_stopping:
                self._later(0.5, 2.0, up_again)
            else:
                self._restart(node)

        self._later(0.5, 6.0, up_again)
        return True

    def _freeze(self) -> bool:
        node = self._pick()
        if node is None or node.is_frozen:
            return False
        node.freeze()
        self._duration(node.thaw)
        return True

    def _jump_clock(self) -> bool:
        node = self.rng.choice(self.cluster.nodes)
        jump_ms = self.rng.choice((-3_600_000, -10_000, -500, 500, 10_000, 3_600_000))
        node.clock.wall_offset_ms += jump_ms
        self.cluster.trace.note("clock", node.host, jump_ms)
        return True

    # Links

    def _ends(self) -> list[str]:
        return [*(node.host for node in self.cluster.nodes), STORE]

    def _cut(self) -> bool:
        """One way or both, between brokers, to the store, or to a client."""
        source, target = self.rng.sample(self._ends(), 2)
        if self.hosts and self.rng.random() < 0.15:
            target = self.rng.choice(self.hosts)
        pairs = [(source, target)]
        if self.rng.random() < 0.5:
            pairs.append((target, source))
        self._cut_pairs(pairs)
        return True

    def _isolate(self) -> bool:
        """One broker from everybody; or from everybody but the clients, or the store."""
        node = self.rng.choice(self.cluster.nodes)
        others = [end for end in self._ends() if end != node.host]
        kind = self.rng.randrange(3)
        if kind == 0:
            others += self.hosts
        elif kind == 1:
            others.remove(STORE)
        directions = self.rng.choice(("in", "out", "both", "both"))
        pairs = []
        if directions != "out":
            pairs += [(other, node.host) for other in others]
        if directions != "in":
            pairs += [(node.host, other) for other in others]
        self._cut_pairs(pairs)
        return True

    def _cut_pairs(self, pairs: list[tuple[str, str]]) -> None:
        network = self.cluster.network
        self.cluster.trace.note("cut", pairs)
        for source, target in pairs:
            network.cut(source, target)

        def heal() -> None:
            self.cluster.trace.note("healed", pairs)
            for source, target in pairs:
                network.heal(source, target)

        self._duration(heal)

    def _slow(self) -> bool:
        source, target = self.rng.sample(self._ends(), 2)
        self.cluster.network.slow[source, target] = self.rng.choice((0.02, 0.2, 1.2))
        self.cluster.trace.note("slow", source, target)
        self._duration(lambda: self.cluster.network.slow.pop((source, target), None) and None)
        return True

    # The store

    def _stop_store(self) -> bool:
        store = self.cluster.store
        if store.is_down:
            return False
        forgets = self.rng.random() < 0.5
        self.cluster.trace.note("store stops", forgets)
        store.stop()

        def start() -> None:
            self.cluster.trace.note("store starts")
            store.start(forgets_leases=forgets)

        self._duration(start)
        return True

    def _break_watches(self) -> bool:
        self.cluster.trace.note("watches break")
        if self.rng.random() < 0.5:
            self.cluster.store.compact()
        self.cluster.store.interrupt_watches()
        return True
