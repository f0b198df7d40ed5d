"""Who strikes the brokers: kill -9, pause, stop and start of single brokers, whatever they are.

A behaviour is given a ``Control`` and knows no more of the cluster. There are three: Apache Kafka
(``compat.kafka``), ``pykbroker serve`` by its command line alone (``compat.serving``), and any
other cluster through a command of its owner's.
"""

from __future__ import annotations

import shlex
import subprocess
from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

COMMAND_SECONDS = 300.0


class ControlError(Exception):
    """What was asked cannot be done: no such broker, not in its state, or it did not work."""


class Control(Protocol):
    """A running cluster whose brokers can be struck one by one. Each call returns once it is so.

    ``bootstrap`` names all brokers, and does not change when they are started again.
    """

    @property
    def bootstrap(self) -> str: ...

    @property
    def brokers(self) -> list[int]:
        """The ids of all brokers, in order, whether they run or not."""
        ...

    def kill(self, broker: int) -> None:
        """kill -9, whether it runs or is paused."""
        ...

    def pause(self, broker: int) -> None:
        """SIGSTOP: its connections stay, and nothing is answered."""
        ...

    def resume(self, broker: int) -> None:
        """SIGCONT after ``pause``."""
        ...

    def stop(self, broker: int) -> None:
        """A clean stop, with all that a controlled shutdown does."""
        ...

    def start(self, broker: int) -> None:
        """After ``kill`` or ``stop``, on the same data and address; returns once it serves."""
        ...

    def heal(self) -> None:
        """Every broker runs again: what was left paused or down is brought back."""
        ...

    def close(self) -> None:
        """The end of every process of the cluster that the control has started."""
        ...


class State(Enum):
    RUNNING = "running"
    PAUSED = "paused"
    DOWN = "down"


class BrokerStates:
    """What each broker is; says of a step that does not fit that it does not (ControlError).

    A control with processes of its own derives from this.
    """

    bootstrap: str

    def __init__(self, brokers: Sequence[int]) -> None:
        self._states = dict.fromkeys(sorted(brokers), State.RUNNING)

    @property
    def brokers(self) -> list[int]:
        return list(self._states)

    def is_running(self, broker: int) -> bool:
        return self._states[broker] is State.RUNNING

    def kill(self, broker: int) -> None:
        self._expect(broker, State.RUNNING, State.PAUSED)
        self._kill(broker)
        self._states[broker] = State.DOWN

    def pause(self, broker: int) -> None:
        self._expect(broker, State.RUNNING)
        self._pause(broker)
        self._states[broker] = State.PAUSED

    def resume(self, broker: int) -> None:
        self._expect(broker, State.PAUSED)
        self._resume(broker)
        self._states[broker] = State.RUNNING

    def stop(self, broker: int) -> None:
        self._expect(broker, State.RUNNING)
        self._stop(broker)
        self._states[broker] = State.DOWN

    def start(self, broker: int) -> None:
        self._expect(broker, State.DOWN)
        self._start(broker)
        self._states[broker] = State.RUNNING

    def heal(self) -> None:
        """Every broker runs again."""
        for broker, state in list(self._states.items()):
            if state is State.PAUSED:
                self.resume(broker)
            elif state is State.DOWN:
                self.start(broker)

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _expect(self, broker: int, *states: State) -> None:
        state = self._states.get(broker)
        if state is None:
            raise ControlError(f"there is no broker {broker}, only {self.brokers}")
        if state not in states:
            raise ControlError(f"broker {broker} is {state.value}")

    def _kill(self, broker: int) -> None:
        raise NotImplementedError

    def _pause(self, broker: int) -> None:
        raise NotImplementedError

    def _resume(self, broker: int) -> None:
        raise NotImplementedError

    def _stop(self, broker: int) -> None:
        raise NotImplementedError

    def _start(self, broker: int) -> None:
        raise NotImplementedError


class CommandControl(BrokerStates):
    """Somebody's cluster, struck through ``COMMAND kill|pause|resume|stop|start ID``.

    The command returns once it is so, and fails with an exit code other than 0. It is split like a
    shell's words, and no shell runs it. ``close`` brings back what was left down or paused.
    """

    def __init__(self, command: str, bootstrap: str, brokers: Sequence[int] | None = None) -> None:
        self._command = shlex.split(command)
        if not self._command:
            raise ControlError("--control: the command is empty")
        self.bootstrap = bootstrap
        super().__init__(brokers_of(bootstrap) if brokers is None else brokers)

    def close(self) -> None:
        self.heal()

    def _run(self, verb: str, broker: int) -> None:
        command = [*self._command, verb, str(broker)]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=COMMAND_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ControlError(f"{shlex.join(command)}: {error}") from error
        if done.returncode != 0:
            said = done.stdout.decode(errors="replace").strip()
            raise ControlError(f"{shlex.join(command)}: exit code {done.returncode}: {said}")

    def _kill(self, broker: int) -> None:
        self._run("kill", broker)

    def _pause(self, broker: int) -> None:
        self._run("pause", broker)

    def _resume(self, broker: int) -> None:
        self._run("resume", broker)

    def _stop(self, broker: int) -> None:
        self._run("stop", broker)

    def _start(self, broker: int) -> None:
        self._run("start", broker)


def brokers_of(bootstrap: str) -> list[int]:
    """The ids of the brokers that a cluster names."""
    from confluent_kafka.admin import AdminClient

    metadata = AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=60)
    return sorted(metadata.brokers)


def start_cluster(
    kind: str,
    work: Path,
    *,
    brokers: int = 3,
    settings: Mapping[str, str] | None = None,
) -> BrokerStates:
    """A new cluster of kind "pykbroker" or "kafka", its files under ``work``, which is made.

    ``settings`` are broker properties by Kafka's names, the same for every broker.
    """
    work.mkdir(parents=True, exist_ok=True)
    if kind == "pykbroker":
        from compat.serving import PykbrokerCluster

        return PykbrokerCluster(work, brokers=brokers, settings=settings)
    if kind == "kafka":
        from compat.kafka.cluster import KafkaCluster

        return KafkaCluster(work, brokers=brokers, settings=settings)
    raise ControlError(f"no kind of cluster: {kind!r}, only pykbroker and kafka")
