"""What ties this broker to the cluster: its lease, its registration, the controller within it.

One turn is one lease: registered under it, unfenced by the controller, until the lease is lost or
given up. After a loss everything begins again with a new lease and a higher broker epoch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from pykbroker.log import Trouble, get_logger
from pykbroker.ports import Compare, Put, StoreUnavailable
from pykbroker.runtime.lease import Lease, LeaseLost
from pykbroker.state.controller import keys
from pykbroker.state.controller.facts import encode_value
from pykbroker.state.errors import KafkaError
from pykbroker.state.features import SUPPORTED_FEATURES
from pykbroker.state.types import NO_LEADER
from wire.messages.broker_heartbeat import BrokerHeartbeatRequest
from wire.messages.metadata_records import BrokerEndpoint, BrokerFeature, RegisterBrokerRecord
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pykbroker.config.settings import DynamicSettings
    from pykbroker.ports import Clock, MetadataStore
    from pykbroker.runtime.controller import Controller
    from pykbroker.runtime.controller_client import ControllerClient
    from pykbroker.runtime.metadata import MetadataFollower
    from pykbroker.state.controller.image import Endpoint
    from pykbroker.state.types import NodeId

logger = get_logger("pykbroker.runtime.membership")

RETRY_MS = 250


class RegistrationRefused(Exception):
    """This broker cannot be part of the cluster. The message is one line."""


class WrongCluster(RegistrationRefused):
    """Its data belongs to another cluster."""


class NodeIdInUse(RegistrationRefused):
    """Another broker is registered under its id, and that one's lease lives."""


class Announcement(NamedTuple):
    """What a broker says of itself."""

    node_id: NodeId
    cluster_id: str
    """Its data's; for a new cluster the id that it shall have."""
    incarnation_id: bytes
    endpoints: tuple[Endpoint, ...]
    rack: str | None = None
    log_dirs: tuple[bytes, ...] = ()
    clean_epoch: int = -1
    """The broker epoch under which this broker last stopped cleanly; -1 without proof of it."""
    is_controller: bool = True
    is_broker: bool = True
    features: Mapping[str, tuple[int, int]] = SUPPORTED_FEATURES


class Membership:
    """``run`` in a task; ``unfenced`` is set when the cluster counts on this broker."""

    def __init__(
        self,
        announcement: Announcement,
        store: MetadataStore,
        follower: MetadataFollower,
        controller: Controller,
        client: ControllerClient,
        settings: DynamicSettings,
        clock: Clock,
    ) -> None:
        self.broker_epoch = -1
        self.unfenced = anyio.Event()
        self._announcement = announcement
        self._store = store
        self._follower = follower
        self._controller = controller
        self._client = client
        self._settings = settings
        self._clock = clock
        self._clean_epoch = announcement.clean_epoch
        self._lease: Lease | None = None
        self._scope: anyio.CancelScope | None = None
        self._stopping = False
        self._trouble = Trouble(logger, "no lease to be had", "lease granted again")
        self._changed = anyio.Event()
        follower.images.subscribe(lambda _: self._wake())

    @property
    def holds_lease(self) -> bool:
        """Whether nobody can have this broker's place by now. Ask again after every wait."""
        return self._lease is not None and self._lease.is_held

    async def run(self) -> None:
        """Raises RegistrationRefused. Ends when the lease has been given up."""
        refused: RegistrationRefused | None = None
        try:
            async with anyio.create_task_group() as tasks:
                self._scope = tasks.cancel_scope
                tasks.start_soon(self._follower.run)
                while True:
                    try:
                        await self._one_lease()
                    except* LeaseLost as lost:
                        logger.warning("lease lost", reason=str(lost.exceptions[0]))
        except* RegistrationRefused as group:
            refused = _leaf(group)
        if refused is not None:
            raise refused

    async def controlled_shutdown(self, timeout_ms: int = 5_000) -> int:
        """Leave leaderships and ISRs; the broker epoch to write down once all is flushed.

        A process that is no broker leads nothing, and has no epoch.

        Without a controller that answers in time the broker goes all the same: it stops cleanly,
        and is fenced when its lease is gone.
        """
        self._stopping = True
        if not self._announcement.is_broker or not self.unfenced.is_set():
            # What was there at the start is what there is now.
            return self._clean_epoch
        request = BrokerHeartbeatRequest(
            broker_id=self._announcement.node_id,
            broker_epoch=self.broker_epoch,
            current_metadata_offset=self._follower.images.current.revision,
            want_shut_down=True,
        )
        with anyio.CancelScope() as scope:
            timer = self._clock.call_at(self._clock.monotonic_ms() + timeout_ms, scope.cancel)
            try:
                await self._client.call(request)
            except KafkaError as error:
                logger.warning("controlled shutdown refused", reason=str(error))
            finally:
                timer.cancel()
        if scope.cancelled_caught:
            logger.warning("controlled shutdown not answered", timeout_ms=timeout_ms)
        return self.broker_epoch

    async def leave(self) -> None:
        """Give the lease up: the others see this broker go at once. ``run`` ends."""
        self._stopping = True
        if self._lease is not None:
            try:
                await self._lease.revoke()
            except StoreUnavailable as error:
                logger.warning("lease not given up", reason=str(error))
        if self._scope is not None:
            self._scope.cancel()

    async def _one_lease(self) -> None:
        if self.unfenced.is_set():
            self.unfenced = anyio.Event()
        ttl_ms = self._settings.current.int("broker.session.timeout.ms")
        interval_ms = self._settings.current.int("broker.heartbeat.interval.ms")
        try:
            lease = await Lease.grant(self._store, self._clock, ttl_ms, interval_ms)
        except StoreUnavailable as error:
            self._trouble.failed(reason=str(error))
            await self._clock.sleep(RETRY_MS)
            return
        self._trouble.passed()
        self._lease = lease
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lease.keep)
            if self._announcement.is_controller:
                tasks.start_soon(self._controller.run, lease)
            if self._announcement.is_broker:
                await self._register(lease)
                await self._stay_unfenced()
            else:
                await self._name_cluster()
                await self._know_controller()

    async def _register(self, lease: Lease) -> None:
        """Under the lease, once the id is free: a predecessor's lease may still have to run out."""
        node_id, replay = self._announcement.node_id, self._follower.replay
        announced = self._announcement.incarnation_id
        key = keys.broker_key(node_id)
        patience_ms = self._settings.current.int("initial.broker.registration.timeout.ms")
        deadline_ms = self._clock.monotonic_ms() + patience_ms
        while True:
            self._check_cluster()
            live = replay.live.get(node_id)
            if live is not None and live.record.incarnation_id != announced:
                if self._clock.monotonic_ms() >= deadline_ms:
                    raise NodeIdInUse(f"node.id {node_id} is in use by another broker")
                logger.warning("waiting for the node id to be free", node_id=node_id)
                await self._wait(deadline_ms)
                continue
            operations = [Put(key, encode_value(self._record()), lease.id)]
            compares = [Compare(key, replay.mod_revisions.get(key, 0))]
            if not replay.image.cluster_id:
                compares.append(Compare(keys.CLUSTER_ID, 0))
                cluster_id = encode_value(self._announcement.cluster_id)
                operations.append(Put(keys.CLUSTER_ID, cluster_id))
            try:
                result = await self._store.transact(compares, operations)
            except StoreUnavailable:
                await self._clock.sleep(RETRY_MS)
                continue
            if result.succeeded:
                await self._follower.images.wait_for(result.revision)
                live = replay.live.get(node_id)
                if live is None or live.record.incarnation_id != announced:
                    continue  # the lease is gone already, which its keeper is about to find
                self.broker_epoch = self._clean_epoch = live.epoch
                return
            await self._follower.wait_for_news(result.revision)

    async def _name_cluster(self) -> None:
        """What else the first broker's registration does."""
        while not self._follower.images.current.cluster_id:
            said = encode_value(self._announcement.cluster_id)
            try:
                result = await self._store.transact(
                    [Compare(keys.CLUSTER_ID, 0)], [Put(keys.CLUSTER_ID, said)]
                )
            except StoreUnavailable:
                await self._clock.sleep(RETRY_MS)
                continue
            await self._follower.images.wait_for(result.revision)
        self._check_cluster()

    async def _know_controller(self) -> None:
        """A process that is a controller alone serves as soon as there is one."""
        while True:
            self._changed = anyio.Event()
            if self._follower.images.current.controller_id != NO_LEADER:
                self.unfenced.set()
            await self._changed.wait()

    def _check_cluster(self) -> None:
        known = self._follower.images.current.cluster_id
        if known and known != self._announcement.cluster_id:
            raise WrongCluster(
                f"this broker's data belongs to cluster {self._announcement.cluster_id}, "
                f"the metadata store to cluster {known}"
            )

    def _record(self) -> RegisterBrokerRecord:
        said = self._announcement
        return RegisterBrokerRecord(
            broker_id=said.node_id,
            incarnation_id=said.incarnation_id,
            broker_epoch=self._clean_epoch,
            end_points=[
                BrokerEndpoint(
                    name=e.listener, host=e.host, port=e.port, security_protocol=e.security_protocol
                )
                for e in said.endpoints
            ],
            features=[
                BrokerFeature(name=name, min_supported_version=low, max_supported_version=high)
                for name, (low, high) in said.features.items()
            ],
            rack=said.rack,
            log_dirs=list(said.log_dirs),
        )

    async def _stay_unfenced(self) -> None:
        """Ask for it whenever the image shows this incarnation fenced, or not at all."""
        while True:
            self._changed = anyio.Event()
            image = self._follower.images.current
            known = image.brokers.get(self._announcement.node_id)
            if known is not None and known.epoch == self.broker_epoch and not known.fenced:
                self.unfenced.set()
            elif not self._stopping and await self._ask(image.revision):
                continue
            await self._changed.wait()

    async def _ask(self, revision: int) -> bool:
        request = BrokerHeartbeatRequest(
            broker_id=self._announcement.node_id,
            broker_epoch=self.broker_epoch,
            current_metadata_offset=revision,
        )
        try:
            await self._client.call(request)
        except KafkaError as error:
            # The controller has not seen the registration yet, or is somebody else by now.
            logger.info("not unfenced yet", reason=str(error))
            await self._wait(self._clock.monotonic_ms() + RETRY_MS)
        return True

    async def _wait(self, until_ms: int) -> None:
        """Until the metadata changes, or the time has come."""
        self._changed = changed = anyio.Event()
        timer = self._clock.call_at(until_ms, changed.set)
        await changed.wait()
        timer.cancel()

    def _wake(self) -> None:
        self._changed.set()


def _leaf(group: BaseExceptionGroup[RegistrationRefused]) -> RegistrationRefused:
    found = group.exceptions[0]
    return _leaf(found) if isinstance(found, BaseExceptionGroup) else found
