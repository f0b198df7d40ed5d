"""The composition root: builds everything of one broker and owns its task groups.

Start: directories and store, controller, registration, recovery, listeners; then the broker is
unfenced and says that it is ready. Stop, in reverse: no new connections, coordinators and
listeners down, everything written, the marker last.

Nothing here is process-wide: several brokers live in one interpreter.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NoReturn

import anyio

from pykbroker import __version__
from pykbroker.config.listeners import (
    BROKER_ROLE,
    CONTROLLER_ROLE,
    SECURITY_PROTOCOLS,
    format_address,
)
from pykbroker.config.settings import DynamicSettings
from pykbroker.handlers.connections import Connections
from pykbroker.log import get_logger
from pykbroker.ports import Compare, Put, StoreUnavailable, UnusableStore
from pykbroker.runtime.controller import Controller
from pykbroker.runtime.controller_client import ControllerClient
from pykbroker.runtime.dynamic_config import ConfigFollower
from pykbroker.runtime.group_coordinator import GroupCoordinator
from pykbroker.runtime.membership import Announcement, Membership
from pykbroker.runtime.metadata import Images, MetadataFollower
from pykbroker.runtime.producer_ids import ProducerIds
from pykbroker.runtime.quotas import Quotas
from pykbroker.runtime.replica_manager import ReplicaManager
from pykbroker.runtime.services import Services
from pykbroker.runtime.storage.directory import DirectoryRefused, LogDirectoriesFailed
from pykbroker.runtime.storage.manager import LogManager
from pykbroker.runtime.telemetry import Telemetry
from pykbroker.state.controller import keys
from pykbroker.state.controller.facts import encode_value
from pykbroker.state.controller.image import Endpoint
from pykbroker.state.errors import KafkaError
from pykbroker.state.fetch_session import FetchSessionCache
from pykbroker.state.types import NO_TOPIC_ID, NodeId
from wire.errors import DecodeError
from wire.tuples import NamedTuple
from wire.uuids import uuid_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager
    from socket import socket

    from anyio.abc import TaskGroup

    from pykbroker.config.listeners import Listener as ListenerAddress
    from pykbroker.config.load import Loaded
    from pykbroker.ports import (
        Bound,
        Clock,
        ConnectionFactory,
        Disk,
        MetadataStore,
        Network,
        Random,
        Server,
        Workers,
    )
    from pykbroker.runtime.broker_link import BrokerLinks
    from pykbroker.runtime.replication import Replication
    from pykbroker.state.types import TopicId, TopicPartition

logger = get_logger("pykbroker.broker")

RETRY_MS = 250


def _end_with(problem: Exception) -> NoReturn:
    raise problem


class World(NamedTuple):
    """The edges one broker is given."""

    clock: Clock
    rng: Random
    disk: Disk
    workers: Workers
    network: Network
    open_store: Callable[[], AbstractAsyncContextManager[MetadataStore]]
    """Called once the log directories are ours."""
    beside: Callable[[ConnectionFactory], ConnectionFactory] = lambda factory: factory
    """What else is served on controller listeners: the metadata store, where it is this process
    that has it."""
    hostname: str = "localhost"
    """What a listener on every interface advertises."""
    halt: Callable[[Exception], None] = _end_with
    """Ends the broker where it stands, as a crash does: nothing is written, nobody is told."""
    max_open_files: int = 256
    """Of logs: the least recently used is closed first."""


class Ready(NamedTuple):
    """Where clients reach the broker, once it serves."""

    node_id: int
    bootstrap: tuple[str, ...]
    http: str | None


class Broker:
    """One broker. ``run`` serves until ``stop`` is called, then stops cleanly and returns."""

    def __init__(
        self,
        loaded: Loaded,
        world: World,
        *,
        log_dirs: Sequence[str],
        http_port: int | None = None,
        ignored_names: Sequence[str] = (),
    ) -> None:
        self.settings = DynamicSettings(loaded.settings)
        self.node_id = NodeId(loaded.settings.int("node.id"))
        self._configured = loaded.listeners
        self._world = world
        self._http_port = http_port
        self._http_sockets: list[socket] = []
        self._stop = anyio.Event()
        self._all_failed = anyio.Event()
        self.logs = LogManager(
            world.disk,
            world.clock,
            world.workers,
            world.rng,
            self.settings,
            log_dirs,
            max_open_files=world.max_open_files,
            ignored_names=ignored_names,
        )
        self.logs.on_all_failed = self._all_failed.set
        self.listeners: list[Server] = []
        self.services: Services
        """Once it has begun to run."""
        self._links: BrokerLinks | None = None
        self._starting: anyio.CancelScope | None = None
        """Until this broker has something to leave: a stop breaks that off."""
        self._is_recovered = False

    def stop(self) -> None:
        self._stop.set()
        if self._starting is not None:
            self._starting.cancel()

    async def run(self, on_ready: Callable[[Ready], None]) -> None:
        """Raises DirectoryRefused, ListenError, RegistrationRefused before it is ready, and
        LogDirectoriesFailed, unless ``World.halt`` ends it otherwise."""
        stored_cluster_id = self.logs.acquire()
        try:
            with anyio.CancelScope() as starting:
                self._starting = starting
                if self._stop.is_set():
                    return
                async with self._world.open_store() as store:
                    await self._run(on_ready, stored_cluster_id, store)
            if starting.cancelled_caught:
                await self._stopped_early()
        finally:
            self.logs.release()

    async def _stopped_early(self) -> None:
        """The store did not answer yet. What is known of the last stop is as true as before."""
        if self._is_recovered:
            await self.logs.close(self.logs.clean_epoch)
        logger.info("stopped before it was ready", node_id=self.node_id)

    async def _run(
        self, on_ready: Callable[[Ready], None], stored_cluster_id: str | None, store: MetadataStore
    ) -> None:
        sockets = self._bind()
        logger.info("starting", version=__version__, node_id=self.node_id)
        try:
            images = Images()
            follower = MetadataFollower(store, images, self._world.clock)
            cluster_id = await self._cluster_id(stored_cluster_id, store)
            await self._recover(cluster_id, store)
            self._is_recovered = True
            async with anyio.create_task_group() as tasks:
                services, controller = self._build(images, follower, store, tasks, sockets)
                await self._load(follower)
                self._starting = None
                announcement = self._announcement(cluster_id, sockets)
                membership = Membership(
                    announcement,
                    store,
                    follower,
                    controller,
                    services.controller,
                    self.settings,
                    self._world.clock,
                )
                services.groups.holds_lease = lambda: membership.holds_lease
                tasks.start_soon(membership.run)
                tasks.start_soon(self._watch_directories)
                tasks.start_soon(self.logs.run)
                tasks.start_soon(services.replicas.run)
                if await self._is_wanted(membership):
                    services.replicas.replicate(
                        partial(self._replication, services, membership, tasks)
                    )
                    await self._listen(sockets, services)
                    http = self._serve_http(services, tasks)
                    on_ready(self._ready(sockets, http))
                    self._put_strays_aside(images)
                    await self._stop.wait()
                await self._shut_down(membership, services)
                tasks.cancel_scope.cancel()
        finally:
            self._unbind(sockets)

    async def _watch_directories(self) -> None:
        """A task of its own: the last one may fail in the middle of an append."""
        await self._all_failed.wait()
        paths = ", ".join(directory.path for directory in self.logs.directories)
        self._world.halt(
            LogDirectoriesFailed(f"Shutdown broker because all log dirs in {paths} have failed")
        )

    async def _is_wanted(self, membership: Membership) -> bool:
        """Once the cluster counts on this broker; False when it is told to stop before that."""

        async def told_to_stop() -> None:
            await self._stop.wait()
            waiting.cancel_scope.cancel()

        async with anyio.create_task_group() as waiting:
            waiting.start_soon(told_to_stop)
            await membership.unfenced.wait()
            waiting.cancel_scope.cancel()
        return not self._stop.is_set()

    async def _recover(self, cluster_id: str, store: MetadataStore) -> None:
        """After an unclean stop the metadata say what the logs cannot: which may have gaps."""
        if self.logs.was_clean:
            await self.logs.start(cluster_id, self.node_id)
            return
        from pykbroker.runtime.storage.known import known_partitions

        images = Images()
        await self._load(MetadataFollower(store, images, self._world.clock))
        known = known_partitions(images.current, self.settings.current)
        await self.logs.start(cluster_id, self.node_id, known)

    async def _load(self, follower: MetadataFollower) -> None:
        try:
            await follower.load_when_available()
        except DecodeError as error:
            raise UnusableStore(f"the metadata is not of this version: {error}") from error

    async def _cluster_id(self, stored: str | None, store: MetadataStore) -> str:
        """The data's, else the store's, else a new one; that they agree is checked later.

        Of several brokers that start a cluster together one names it. Partitions are never taken
        into a store that does not know of their cluster: to it, all of them are strays.
        """
        holding = [d for d in self.logs.live_directories() if d.partitions or d.futures]
        if stored is not None and not holding:
            return stored
        proposed = uuid_text(self._world.rng.randbytes(16))
        while True:
            try:
                found = await store.read(keys.CLUSTER_ID)
                for item in found.items:
                    if item.key == keys.CLUSTER_ID:
                        return stored or item.value.decode()
                if stored is not None:
                    raise DirectoryRefused(
                        f"{holding[0].path} holds partitions of cluster {stored}, and the metadata "
                        "store is empty: name the store that they belong to (--data-dir, "
                        "metadata.log.dir or --metadata), or an empty directory"
                    )
                put = Put(keys.CLUSTER_ID, encode_value(proposed))
                await store.transact([Compare(keys.CLUSTER_ID, 0)], [put])
            except StoreUnavailable as error:
                logger.warning("metadata store unavailable", reason=str(error))
                await self._world.clock.sleep(RETRY_MS)

    def _build(
        self,
        images: Images,
        follower: MetadataFollower,
        store: MetadataStore,
        tasks: TaskGroup,
        sockets: dict[str, Bound],
    ) -> tuple[Services, Controller]:
        """In the order in which they hear of changes: settings first, then who uses them."""
        world, settings = self._world, self.settings
        images.subscribe(ConfigFollower(settings, self.node_id).apply)
        quotas = Quotas(settings.current, world.clock)
        images.subscribe(quotas.apply)
        telemetry = Telemetry(settings, world.clock, world.rng)
        images.subscribe(telemetry.apply)
        replicas = ReplicaManager(
            node_id=self.node_id,
            clock=world.clock,
            settings=settings,
            images=images,
            logs=self.logs,
        )
        images.subscribe(replicas.apply)
        controller = Controller(
            self.node_id,
            store,
            follower,
            settings,
            world.clock,
            world.rng,
            self._controller_endpoints(sockets),
        )
        links = partial(self._open_links, images, tasks)
        client = ControllerClient(controller, world.clock, follower=follower, links=links)
        groups = GroupCoordinator(
            clock=world.clock,
            rng=world.rng,
            settings=settings,
            images=images,
            replicas=replicas,
            controller=client,
        )
        slots = "max.incremental.fetch.session.cache.slots"
        services = Services(
            node_id=self.node_id,
            clock=world.clock,
            rng=world.rng,
            settings=settings,
            images=images,
            replicas=replicas,
            controller=client,
            groups=groups,
            quotas=quotas,
            fetch_sessions=FetchSessionCache(
                world.rng,
                lambda: settings.current.int(slots),
                lambda topic, partitions: replicas.traffic.count_fetches(topic, partitions),
            ),
            telemetry=telemetry,
            producer_ids=ProducerIds(self.node_id, images, client, world.clock),
            spawn=tasks.start_soon,
            links=links,
        )
        self.services = services
        self.connections = Connections(services)
        return services, controller

    def _open_links(self, images: Images, tasks: TaskGroup) -> BrokerLinks:
        if self._links is None:
            from pykbroker.runtime.broker_link import BrokerLinks

            self._links = BrokerLinks(
                self.node_id,
                self._world.network,
                self._world.clock,
                self.settings,
                images,
                tasks.start_soon,
            )
        return self._links

    def _replication(
        self, services: Services, membership: Membership, tasks: TaskGroup
    ) -> Replication:
        from pykbroker.runtime.replication import Replication

        replication = Replication(
            clock=self._world.clock,
            settings=self.settings,
            replicas=services.replicas,
            controller=services.controller,
            links=services.links,
            broker_epoch=lambda: membership.broker_epoch,
        )
        tasks.start_soon(replication.run)
        return replication

    def _announcement(self, cluster_id: str, sockets: dict[str, Bound]) -> Announcement:
        return Announcement(
            node_id=self.node_id,
            cluster_id=cluster_id,
            incarnation_id=self._world.rng.randbytes(16),
            endpoints=tuple(_endpoint(listener) for listener in self._advertised(sockets)),
            rack=self.settings.current.str("broker.rack"),
            is_controller=CONTROLLER_ROLE in self.settings.current.list("process.roles"),
            is_broker=BROKER_ROLE in self.settings.current.list("process.roles"),
            log_dirs=tuple(d.directory_id for d in self.logs.live_directories()),
            clean_epoch=self.logs.clean_epoch,
        )

    def _controller_endpoints(self, sockets: dict[str, Bound]) -> list[Endpoint]:
        """Where brokers reach this process; a controller that is no broker has no other place
        than its controller listeners."""
        own = self._configured
        offered = [a for a in self._advertised(sockets) if a.name == own.inter_broker]
        if not offered:
            ports = {name: bound.port for name, bound in sockets.items()}
            bound = own.with_ports(ports, self._world.hostname).bound
            offered = [
                a._replace(host=a.host or self._world.hostname)
                for a in bound
                if own.is_controller(a.name)
            ]
        return [_endpoint(listener) for listener in offered]

    def _advertised(self, sockets: dict[str, Bound]) -> tuple[ListenerAddress, ...]:
        ports = {name: bound.port for name, bound in sockets.items()}
        return self._configured.with_ports(ports, self._world.hostname).advertised

    async def _listen(self, sockets: dict[str, Bound], services: Services) -> None:
        for configured in self._configured.bound:
            factory: ConnectionFactory = self.connections.connect
            if self._configured.is_controller(configured.name):
                factory = self._world.beside(factory)
            self.listeners.append(
                await self._world.network.serve(
                    sockets[configured.name],
                    configured.name,
                    configured.security_protocol,
                    factory,
                )
            )

    def _serve_http(self, services: Services, tasks: TaskGroup) -> str | None:
        if not self._http_sockets:
            return None
        from pykbroker.edges.http import HttpServer
        from pykbroker.runtime.figures.broker import watch
        from pykbroker.runtime.pages import pages

        watching = watch(services, self.connections)
        routes = pages(services, self.connections, watching, self._world.workers)
        server = HttpServer(self._http_sockets, routes)
        tasks.start_soon(watching.run)
        tasks.start_soon(server.run)
        return format_address(self._configured.bound[0].host or "localhost", server.port)

    def _ready(self, sockets: dict[str, Bound], http: str | None) -> Ready:
        addresses = tuple(a.address for a in self._advertised(sockets))
        if not addresses:
            endpoints = self._controller_endpoints(sockets)
            addresses = tuple(format_address(e.host, e.port) for e in endpoints)
        logger.info("ready", node_id=self.node_id, listeners=",".join(addresses))
        return Ready(self.node_id, addresses, http)

    def _put_strays_aside(self, images: Images) -> None:
        def is_ours(topic_partition: TopicPartition, topic_id: TopicId) -> bool:
            topic = images.current.topics.get(topic_partition.topic)
            if topic is None or topic_id not in (topic.topic_id, NO_TOPIC_ID):
                return False
            index = topic_partition.partition
            return (
                index < len(topic.partitions) and self.node_id in topic.partitions[index].replicas
            )

        self.logs.put_strays_aside(is_ours)

    async def _leave_leaderships(self, membership: Membership) -> int:
        """The epoch that proves a clean stop; -1 when the controller did not hear of it."""
        try:
            return await membership.controlled_shutdown()
        except KafkaError as error:
            logger.warning("no controlled shutdown", node_id=self.node_id, reason=str(error))
            return -1

    async def _shut_down(self, membership: Membership, services: Services) -> None:
        """Leaderships go first, then the clients, then everything is written."""
        with anyio.CancelScope(shield=True):
            for listener in self.listeners:
                listener.stop_accepting()
            broker_epoch = await self._leave_leaderships(membership)
            services.groups.stop()
            services.replicas.stop_replicating()
            for listener in self.listeners:
                listener.close_connections()
            self.connections.close()
            self.logs.on_all_failed = None
            await self.logs.close(broker_epoch)
            await membership.leave()
            if self._links is not None:
                self._links.close()
            for listener in self.listeners:
                listener.abort_connections()
            logger.info("stopped", node_id=self.node_id)

    def _bind(self) -> dict[str, Bound]:
        """Sockets that listen already: clients wait in the backlog until the broker serves."""
        bound: dict[str, Bound] = {}
        try:
            for listener in self._configured.bound:
                bound[listener.name] = self._world.network.bind(listener.host, listener.port)
            if self._http_port is not None:
                from pykbroker.edges.listener import bind

                self._http_sockets = bind(self._configured.bound[0].host or "", self._http_port)
        except BaseException:
            self._unbind(bound)
            raise
        return bound

    def _unbind(self, bound: dict[str, Bound]) -> None:
        for address in bound.values():
            address.close()
        for sock in self._http_sockets:
            sock.close()


def _endpoint(listener: ListenerAddress) -> Endpoint:
    protocol = SECURITY_PROTOCOLS[listener.security_protocol]
    return Endpoint(listener.name, listener.host, listener.port, protocol)
