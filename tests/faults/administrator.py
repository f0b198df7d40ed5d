"""Topics come and go, grow, are moved and configured, and leaders elected, while faults strike.

One operation after another, each asked of some broker; what was answered with success is looked at
right away, at the broker that answered. In the end everything is put in order again, which must
succeed, and looked at again. ``tests.faults.checker.admin`` judges.
"""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Any

from tests.faults.bare import Lost, Refused
from tests.faults.bare_admin import BareAdmin
from tests.faults.brokers import wait_until
from tests.faults.history import FAIL, INFO, OK, Recorder, now
from tests.support.process import PATIENCE_SECONDS
from wire.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.faults.workload import Topic

RETENTION = "retention.ms"
RETENTION_MS = 10**9
"""And above: each value is set once."""
MOST_TOPICS = 4
WITHOUT_EFFECT = frozenset(
    {
        "NOT_CONNECTED",
        "TOPIC_ALREADY_EXISTS",
        "UNKNOWN_TOPIC_OR_PARTITION",
        "INVALID_PARTITIONS",
        "INVALID_REPLICATION_FACTOR",
        "INVALID_REPLICA_ASSIGNMENT",
        "PREFERRED_LEADER_NOT_AVAILABLE",
        "NOT_CONTROLLER",
        "REASSIGNMENT_IN_PROGRESS",
    }
)


class Administrator:
    """``topics`` are those under load: they stay, and their partitions are moved too."""

    def __init__(
        self, out: Path, bootstraps: dict[int, str], topics: Sequence[Topic], seed: int
    ) -> None:
        self._recorder = Recorder(out / "administrator.jsonl", "administrator")
        self._addresses = {node: _address(text) for node, text in bootstraps.items()}
        self._loaded = list(topics)
        self._counts = {topic.name: topic.partitions for topic in topics}
        """Partitions, of every topic that should be there."""
        self._asked = {topic.name for topic in topics}
        self._random = random.Random(f"{seed} administrator")
        self._bare = BareAdmin(",".join(bootstraps.values()), timeout_s=10)
        self._made = 0
        self._values = RETENTION_MS
        self._stop = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stop.wait(self._random.uniform(0.2, 1.0)):
                self._one()
        except BaseException as error:
            self._failed = error

    def _one(self) -> None:
        actions: list[tuple[Callable[[], bool], int]] = [
            (self._create, 3),
            (self._delete, 2),
            (self._grow, 2),
            (self._configure, 4),
            (self._move, 4),
            (self._elect, 3),
        ]
        kinds, weights = zip(*actions, strict=True)
        self._random.choices(kinds, weights)[0]()

    def _do(
        self, do: str, topic: str, ask: Callable[[tuple[str, int]], None], **fields: Any
    ) -> bool:
        """Whether it is known to have succeeded."""
        node = self._random.choice(list(self._addresses))
        address = self._addresses[node]
        t0 = now()
        error: str | None = None
        try:
            ask(address)
        except Lost as lost:
            error = lost.error
        except Refused as refused:
            error = refused.code.name
        res = OK if error is None else FAIL if error in WITHOUT_EFFECT else INFO
        if error is not None:
            fields["err"] = error
        self._recorder.write("admin", t0, do=do, topic=topic, broker=node, res=res, **fields)
        if error == ErrorCode.UNKNOWN_SERVER_ERROR.name:
            text = f"{do} of {topic} was answered with {error}"
            self._recorder.write("trouble", t0, broker=node, text=text)
        if res == OK and not self._stop.is_set():
            self._look(node, topic)
        return res == OK

    # What is asked for

    def _create(self) -> bool:
        if len(self._counts) - len(self._loaded) >= MOST_TOPICS:
            return self._delete()
        self._made += 1
        name = f"admin-{self._made}"
        count, factor = self._random.randint(1, 3), self._random.choice((2, 3))
        configs = {RETENTION: self._value()}
        self._asked.add(name)
        self._counts[name] = count  # it may be there even if that is not what is answered
        return self._do(
            "create",
            name,
            lambda address: self._bare.create(address, name, count, factor, configs),
            count=count,
            configs=configs,
        )

    def _own(self) -> list[str]:
        return [name for name in self._counts if name.startswith("admin-")]

    def _delete(self) -> bool:
        if not (names := self._own()):
            return self._create()
        name = self._random.choice(names)
        if done := self._do("delete", name, lambda address: self._bare.delete(address, name)):
            del self._counts[name]
        return done

    def _grow(self) -> bool:
        if not (names := self._own()):
            return self._create()
        name = self._random.choice(names)
        count = self._counts[name] = self._counts[name] + 1  # done or not: the next asks for more
        return self._do(
            "partitions",
            name,
            lambda address: self._bare.create_partitions(address, name, count),
            count=count,
        )

    def _configure(self) -> bool:
        name, value = self._random.choice(list(self._counts)), self._value()
        return self._do(
            "config",
            name,
            lambda address: self._bare.set_config(address, name, RETENTION, value),
            configs={RETENTION: value},
        )

    def _move(self) -> bool:
        """Most often not what is under load: that has two replicas at times then."""
        names = self._own()
        if not names or self._random.random() < 0.3:
            names = [topic.name for topic in self._loaded]
        name = self._random.choice(names)
        partition = self._random.randrange(self._counts[name])
        count = self._random.choice((2, 3))
        replicas = self._random.sample(list(self._addresses), count)
        return self._reassign(name, partition, replicas)

    def _reassign(self, name: str, partition: int, replicas: list[int]) -> bool:
        return self._do(
            "reassign",
            name,
            lambda address: self._bare.reassign(address, name, partition, replicas),
            partition=partition,
            replicas=replicas,
        )

    def _elect(self) -> bool:
        name = self._random.choice(list(self._counts))
        partition = self._random.randrange(self._counts[name])
        return self._elect_one(name, partition, final=False)

    def _elect_one(self, name: str, partition: int, *, final: bool) -> bool:
        return self._do(
            "elect",
            name,
            lambda address: self._bare.elect(address, name, partition),
            partition=partition,
            final=final,
        )

    def _value(self) -> str:
        self._values += 1
        return str(self._values)

    # What is there

    def _look(self, node: int, name: str, *, final: bool = False) -> bool:
        address = self._addresses[node]
        t0 = now()
        fields: dict[str, Any] = {"topic": name, "broker": node, "final": final, "res": OK}
        try:
            state = self._bare.metadata([name], address)
            fields["there"] = not state.errors.get(name)
            if fields["there"]:
                fields["count"] = len(state.parts)
                fields["configs"] = self._bare.configs(address, name, [RETENTION])
                fields["moving"] = [p for topic, p in self._bare.moving(address) if topic == name]
                fields["parts"] = {str(p): part.replicas for (_, p), part in state.parts.items()}
        except (Lost, Refused):
            return False
        self._recorder.write("admin_seen", t0, **fields)
        return True

    # The end

    def stop(self) -> None:
        """Nothing more is asked from now on."""
        self._stop.set()
        self._thread.join(PATIENCE_SECONDS)
        if self._failed is not None:
            raise self._failed

    def put_in_order(self) -> None:
        """Every partition under load on all brokers again, nothing on the move, and the preferred
        leaders lead; a topic can be made, changed and removed. All that succeeds in time."""
        nodes = sorted(self._addresses)
        for topic in self._loaded:
            for p in range(topic.partitions):
                replicas = nodes[p % len(nodes) :] + nodes[: p % len(nodes)]
                wait_until(lambda n=topic.name, p=p, r=replicas: self._reassign(n, p, r), "a move")
        wait_until(self._is_settled, "the end of every reassignment")
        for topic in self._loaded:
            for p in range(topic.partitions):
                wait_until(
                    lambda n=topic.name, p=p: self._elect_one(n, p, final=True),
                    "the election of the preferred leader",
                )
        for name in self._own():
            del self._counts[name]  # whatever became of it: see the last look
        for do in (self._create, self._grow, self._configure, self._delete):
            wait_until(do, f"success of {do.__name__}")
        loaded = [topic.name for topic in self._loaded]
        for name in sorted(self._asked):
            asked = nodes if name in loaded else [self._random.choice(nodes)]
            for node in asked:
                wait_until(lambda n=node, t=name: self._look(n, t, final=True), "a last look")
        self._bare.close()
        self._recorder.close()

    def _is_settled(self) -> bool:
        try:
            return not self._bare.moving(self._random.choice(list(self._addresses.values())))
        except (Lost, Refused):
            return False


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)
