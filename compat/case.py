"""What a behaviour is given: a client, a cluster, names of its own, an admin to set things up."""

from __future__ import annotations

import secrets
import threading
import time
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from compat.client import PATIENCE_MS, Admin, Consumer, Producer
from compat.driver import PATIENCE_SECONDS, Driver, DriverError, DriverGone, Json
from compat.suite import Unavailable
from compat.target import NotKafka, partitions_known

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from compat.client import Record
    from compat.control import Control
    from compat.target import Target

FRESH_METADATA: Json = {"metadata_max_age_ms": 5000}
"""Clients that miss a new topic look again soon, not after five minutes."""
Opened = TypeVar("Opened")


class Peers:
    """One process of each client, started when it is first asked for and shared from then on."""

    def __init__(self, commands: Mapping[str, list[str]]) -> None:
        self._commands = commands
        self._running: dict[str, Driver] = {}
        self._locks = {name: threading.Lock() for name in commands}

    def driver(self, client: str) -> Driver:
        """Raises Unavailable, DriverGone."""
        if client not in self._commands:
            raise Unavailable(f"needs the client {client}")
        with self._locks[client]:
            running = self._running.get(client)
            if running is None or running.has_ended:
                running = self._running[client] = Driver(client, self._commands[client])
                running.hello()
            return running

    def close(self) -> None:
        for driver in self._running.values():
            driver.close()


class Case:
    """One behaviour with one client. Everything it opens is closed at its end."""

    def __init__(
        self,
        target: Target,
        client: str,
        commands: Mapping[str, list[str]],
        setup: Admin,
        control: Control | None,
        peers: Peers,
    ) -> None:
        self.bootstrap = target.bootstrap
        self.brokers = target.brokers
        self.client = client
        self.setup = setup
        """An admin that works, whatever the client under test can do."""
        self._commands = commands
        self._control = control
        self._peers = peers
        self._drivers: list[Driver] = []
        self._main: Driver | None = None
        self._topics: list[str] = []
        self._groups: list[str] = []
        self._token = secrets.token_hex(4)
        self._names = 0

    @property
    def control(self) -> Control:
        if self._control is None:
            raise Unavailable("needs control of the brokers (--control)")
        return self._control

    def unavailable(self, reason: str) -> NoReturn:
        """Ends the behaviour: this combination cannot be run, and nobody is to blame."""
        raise Unavailable(reason)

    @property
    def replication(self) -> int:
        return min(3, self.brokers)

    # Names

    def name(self, kind: str) -> str:
        self._names += 1
        return f"compat-{kind}-{self._token}-{self._names}"

    def topic(
        self, partitions: int = 1, *, replication: int | None = None, **configs: object
    ) -> str:
        """A new topic, on up to three brokers; configs have ``_`` for ``.``."""
        name = self.name("topic")
        named = {key.replace("_", "."): str(value) for key, value in configs.items()}
        self._topics.append(name)
        self.wait_for(
            lambda: self._made(name, partitions, replication or self.replication, named),
            f"the topic {name}",
        )
        self.wait_until_known(name, partitions)
        return name

    def _made(self, name: str, partitions: int, replication: int, configs: dict[str, str]) -> bool:
        """Where brokers were struck before, the admin may have to look for the controller."""
        try:
            self.setup.create_topic(name, partitions, replication, configs)
        except DriverError as error:
            if error.code != "TOPIC_ALREADY_EXISTS":
                raise
        return True

    def wait_until_known(self, topic: str, partitions: int = 1) -> None:
        self.wait_for(lambda: self._is_known(topic, partitions), f"leaders of {topic} everywhere")

    def group(self) -> str:
        name = self.name("group")
        self._groups.append(name)
        return name

    def _is_known(self, topic: str, partitions: int) -> bool:
        """To every broker that runs: whichever a client asks."""
        known = []
        for address in self.bootstrap.split(","):
            try:
                known.append(partitions_known(address, topic))
            except NotKafka:
                continue  # struck by the behaviour
        return bool(known) and all(count == partitions for count in known)

    # Clients

    @property
    def driver(self) -> Driver:
        """The client's first process."""
        if self._main is None:
            self._main = self.process()
        return self._main

    def process(self, client: str | None = None) -> Driver:
        """A new process of the client, or of another one. Raises Unavailable without that one."""
        name = client or self.client
        command = self._commands.get(name)
        if command is None:
            raise Unavailable(f"needs the client {name}")
        driver = Driver(name, command)
        self._drivers.append(driver)
        driver.hello()
        return driver

    def peer(self, client: str) -> Driver:
        """A process of any client that all behaviours share: what is opened in it must be closed.
        Raises Unavailable where there is no such client."""
        return self._peers.driver(client)

    def offers(self, *capabilities: str) -> bool:
        return self.driver.capabilities >= set(capabilities)

    def producer(
        self, driver: Driver | None = None, *, prefer: Json | None = None, **config: Any
    ) -> Producer:
        """``prefer`` are settings that a client without them does without."""

        def opened(settings: Json) -> Producer:
            return Producer(driver or self.driver, config=settings)

        return _open(opened, {"bootstrap": self.bootstrap} | config, prefer)

    def consumer(
        self,
        *topics: str,
        driver: Driver | None = None,
        pattern: str | None = None,
        prefer: Json | None = None,
        **config: Any,
    ) -> Consumer:
        """In a group, by subscription to topics or to a pattern."""
        where: Json = {"topics": list(topics)} if pattern is None else {"pattern": pattern}

        def opened(settings: Json) -> Consumer:
            return Consumer(driver or self.driver, **where, config=settings)

        config = {"bootstrap": self.bootstrap, "reset": "earliest"} | config
        return _open(opened, config, FRESH_METADATA | (prefer or {}))

    def read_all(self, driver: Driver, topics: Sequence[str], count: int) -> list[Record]:
        """What the first partitions of several topics hold, as one client reads it."""
        config: Json = {"bootstrap": self.bootstrap, "reset": "earliest"}

        def opened(settings: Json) -> Consumer:
            if "consume" not in driver.capabilities:
                group = {"group": self.group()}
                return Consumer(driver, topics=list(topics), config=settings | group)
            assign = [{"topic": topic, "partition": 0, "offset": "earliest"} for topic in topics]
            return Consumer(driver, assign=assign, config=settings)

        reader = _open(opened, config, FRESH_METADATA)
        try:
            return reader.upto(count, PATIENCE_MS)
        finally:
            reader.close()

    def reader(
        self,
        topic: str,
        *partitions: int,
        offset: int | str = "earliest",
        driver: Driver | None = None,
        prefer: Json | None = None,
        **config: Any,
    ) -> Consumer:
        """Partitions (0, if none is named) from an offset, without membership. A client that only
        has groups reads the whole topic from its beginning, in a group of its own."""
        reading = driver or self.driver
        if "consume" not in reading.capabilities and offset == "earliest":
            group = self.group()
            return self.consumer(topic, driver=driver, prefer=prefer, group=group, **config)
        assign = [
            {"topic": topic, "partition": partition, "offset": offset}
            for partition in partitions or (0,)
        ]

        def opened(settings: Json) -> Consumer:
            return Consumer(reading, assign=assign, config=settings)

        config = {"bootstrap": self.bootstrap} | config
        return _open(opened, config, FRESH_METADATA | (prefer or {}))

    def admin(self, driver: Driver | None = None, **config: Any) -> Admin:
        return Admin(driver or self.driver, config={"bootstrap": self.bootstrap} | config)

    # Waiting

    def wait_for(
        self, condition: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS
    ) -> None:
        """Until it is so. What the admin is refused meanwhile counts as not yet."""
        deadline = time.monotonic() + seconds
        last: Exception | None = None
        while True:
            try:
                if condition():
                    return
            except DriverError as error:
                last = error
            if time.monotonic() > deadline:
                raise AssertionError(f"did not come: {what}" + (f" ({last})" if last else ""))
            time.sleep(0.05)

    # The end

    def give_up(self) -> None:
        """From another thread: whatever waits for a driver ends."""
        for driver in list(self._drivers):
            driver.close()

    def close(self) -> None:
        for driver in self._drivers:
            driver.close()
        for topic in self._topics:
            try:
                self.setup.delete_topic(topic)
            except (DriverError, DriverGone):
                continue  # a behaviour may delete its own, or have lost the cluster


def _open(opened: Callable[[Json], Opened], config: Json, prefer: Json | None) -> Opened:
    """With as many of the preferred settings as the client has."""
    wished = dict(prefer or {})
    while True:
        try:
            return opened(config | wished)
        except DriverError as error:
            if error.code != "UNSUPPORTED" or not wished:
                raise
            named = [name for name in wished if name in error.text]
            wished.pop(named[0] if named else next(iter(wished)))
