"""The controller: one broker at a time decides for the cluster, and writes what it decided.

Office is held through a key under this process's lease. A lease alone proves nothing (its holder
may have been asleep), so EVERY write is fenced in the store's own transaction: by the revision at
which the office was taken, and by the revisions of the keys written.

A write without an answer may still be under way. The office is then taken anew, by rewriting its
key: nothing sent under the old revision can take effect any more, and what did take effect can be
read. Only then is the decision made again, or found done.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import anyio

from pykbroker.log import get_logger
from pykbroker.ports import Compare, Delete, Put, StoreUnavailable
from pykbroker.runtime.controller_batch import (
    Batch,
    ControllerCounts,
    Elected,
    NotController,
    OutcomeUnknown,
    Pending,
)
from pykbroker.runtime.waiters import Bell
from pykbroker.state.controller import keys
from pykbroker.state.controller.brokers import next_to_settle, settle
from pykbroker.state.controller.decide import decide
from pykbroker.state.controller.decision import Decision, Note
from pykbroker.state.controller.facts import Change, encode_value
from pykbroker.state.controller.feature_levels import first_levels
from pykbroker.state.controller.keys import partition_key
from pykbroker.state.controller.leadership import elect_uncleanly, rebalance_leaders
from pykbroker.state.errors import KafkaError
from wire.errors import ErrorCode
from wire.messages.metadata_records import ControllerEndpoint, RegisterControllerRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pykbroker.config.settings import DynamicSettings
    from pykbroker.ports import Clock, MetadataStore, Random, Transacted
    from pykbroker.runtime.lease import Lease
    from pykbroker.runtime.metadata import MetadataFollower
    from pykbroker.state.controller.image import Endpoint, MetadataImage
    from pykbroker.state.types import NodeId
    from wire.schema import Request

logger = get_logger("pykbroker.runtime.controller")

QUEUE_LIMIT = 10_000
BATCH_LIMIT = 200
"""Requests decided for one transaction."""
RETRY_MS = 250
ELECTIONS_PER_TURN = 1_000


class Controller:
    """Runs in every process that may hold the office."""

    def __init__(
        self,
        node_id: NodeId,
        store: MetadataStore,
        follower: MetadataFollower,
        settings: DynamicSettings,
        clock: Clock,
        rng: Random,
        endpoints: Sequence[Endpoint] = (),
    ) -> None:
        """``endpoints`` are where other processes ask this one while it holds the office."""
        self.is_active = False
        """Whether this process holds the office."""
        self.news = Bell(clock)
        """Rung when requests begin to be taken here, and by whoever knows of another controller."""
        self.node_id = node_id
        self.counts = ControllerCounts()
        self._is_open = False
        self._store = store
        self._follower = follower
        self._settings = settings
        self._clock = clock
        self._rng = rng
        self._queue: deque[Pending] = deque()
        self._work = anyio.Event()
        self._fence = 0
        """The revision of ``/controller`` under which we hold the office."""
        self._endpoints = [
            ControllerEndpoint(
                name=e.listener, host=e.host, port=e.port, security_protocol=e.security_protocol
            )
            for e in endpoints
        ]
        self._record = RegisterControllerRecord()
        self._next_rebalance_ms = self._next_unclean_ms = 0
        follower.images.subscribe(lambda _: self._work.set())

    async def call(
        self,
        request: Request,
        deadline_ms: int,
        charge: Callable[[int], None] | None = None,
    ) -> Any:
        """The response is given once this process's image shows the change.

        Raises KafkaError; NotController if the request was not even looked at.
        """
        if not self._is_open:
            raise NotController
        if len(self._queue) >= QUEUE_LIMIT:
            raise KafkaError(ErrorCode.THROTTLING_QUOTA_EXCEEDED, "The controller is overloaded.")
        pending = Pending(request, deadline_ms, charge, self._clock.monotonic_ns())
        self._queue.append(pending)
        self._work.set()
        return await pending.result()

    async def run(self, lease: Lease) -> None:
        """Take the office whenever it is free, and hold it. Ends by cancellation alone."""
        try:
            while True:
                await self._campaign(lease)
                try:
                    await self._lead(lease)
                except NotController:
                    logger.info("no longer the controller", epoch=self._image.controller_epoch)
        finally:
            self._close_queue()

    @property
    def _image(self) -> MetadataImage:
        return self._follower.images.current

    async def _campaign(self, lease: Lease) -> None:
        self._record = RegisterControllerRecord(
            controller_id=self.node_id,
            incarnation_id=self._rng.randbytes(16),
            end_points=self._endpoints,
        )
        while True:
            self._work = anyio.Event()
            replay = self._follower.replay
            if replay.controller_incarnation == self._record.incarnation_id:
                self._fence = replay.mod_revisions[keys.CONTROLLER]
                return
            if keys.CONTROLLER in replay.mod_revisions:
                self._close_queue()
                await self._work.wait()
                continue
            # What is asked meanwhile is decided with the first turn in office.
            self._open_queue()
            epoch = replay.image.controller_epoch + 1
            try:
                result = await self._store.transact(
                    [
                        Compare(keys.CONTROLLER, 0),
                        Compare(
                            keys.CONTROLLER_EPOCH,
                            replay.mod_revisions.get(keys.CONTROLLER_EPOCH, 0),
                        ),
                    ],
                    [
                        Put(keys.CONTROLLER, encode_value(self._record), lease.id),
                        Put(keys.CONTROLLER_EPOCH, encode_value(str(epoch))),
                    ],
                )
            except StoreUnavailable:
                await self._clock.sleep(RETRY_MS)
                continue
            if result.succeeded:
                await self._catch_up(result)
            else:
                await self._follower.wait_for_news(result.revision)

    async def _lead(self, lease: Lease) -> None:
        logger.info("controller", epoch=self._image.controller_epoch)
        now_ms = self._clock.monotonic_ms()
        self._next_rebalance_ms = now_ms + self._rebalance_interval_ms()
        self._next_unclean_ms = now_ms + self._unclean_interval_ms()
        self.is_active = True
        timer = None
        try:
            while True:
                self._work = anyio.Event()
                await self._turn(lease)
                if self._queue:
                    continue
                timer = self._clock.call_at(self._next_wake_ms(), self._wake)
                await self._work.wait()
                timer.cancel()
        finally:
            self.is_active = False
            if timer is not None:
                timer.cancel()

    def _open_queue(self) -> None:
        if not self._is_open:
            self._is_open = True
            self.news.ring()

    def _close_queue(self) -> None:
        self._is_open = False
        for pending in self._queue:
            pending.give_back()
        self._queue.clear()

    def _wake(self) -> None:
        self._work.set()

    def _next_wake_ms(self) -> int:
        due_ms = min(self._next_rebalance_ms, self._next_unclean_ms)
        grace_ends_ms = self._grace_ends_ms()
        if grace_ends_ms > self._clock.monotonic_ms():
            return min(grace_ends_ms, due_ms)
        return due_ms

    async def _turn(self, lease: Lease) -> None:
        """Decide what there is to decide, write it, answer."""
        begun_ns = self._clock.monotonic_ns()
        batch = Batch(self._follower.replay, self._settings, self._rng)
        limit = self._store.max_operations - 1
        self._keep_house(batch)
        taken: list[Pending] = []
        while self._queue and len(taken) < BATCH_LIMIT:
            pending = self._queue[0]
            if not self._decide(batch, pending, limit):
                break
            taken.append(self._queue.popleft())
            self.counts.started += 1
            self.counts.waited.add(begun_ns - pending.since_ns, begun_ns)
        elected = Elected(batch.changes.values(), self._image)
        try:
            await self._write(batch, lease, limit)
        except _DecideAgain:
            self._queue.extendleft(p for p in reversed(taken) if not p.is_done)
            return
        except BaseException as error:
            # Who was refused for want of an office may take it that nothing was done.
            code = ErrorCode.NOT_CONTROLLER
            if not isinstance(error, NotController) or isinstance(error, OutcomeUnknown):
                code = ErrorCode.REQUEST_TIMED_OUT
            for pending in taken:
                if not pending.is_done:
                    pending.refuse(KafkaError(code, None))
            raise
        now_ns = self._clock.monotonic_ns()
        self.counts.written(elected, now_ns - begun_ns, now_ns)
        if taken or batch.changes:
            self.counts.turns.add(now_ns - begun_ns, now_ns)
        for note in batch.notes:
            log = logger.warning if note.is_warning else logger.info
            log(note.event, **note.fields)
        for pending, response in batch.answers:
            pending.answer(response)

    def _decide(self, batch: Batch, pending: Pending, limit: int) -> bool:
        """False when it has to wait for the next transaction."""
        if pending.deadline_ms <= self._clock.monotonic_ms():
            pending.refuse(KafkaError(ErrorCode.REQUEST_TIMED_OUT, None))
            return True
        try:
            decision = decide(pending.request, batch.view(pending))
        except KafkaError as error:
            pending.refuse(error)
            return True
        except Exception as error:
            self.counts.errors += 1
            logger.error("decision failed", api_key=pending.request.api_key, error=error)
            pending.refuse(KafkaError(ErrorCode.UNKNOWN_SERVER_ERROR, None))
            return True
        if not batch.fits(decision, limit):
            return False
        batch.add(decision, pending)
        return True

    def _keep_house(self, batch: Batch) -> None:
        """What is due without being asked for. One decision that is too large goes alone."""
        replay = self._follower.replay
        limit = self._store.max_operations - 1
        for decision in self._chores(batch):
            if not batch.fits(decision, limit):
                self._work.set()
                return
            batch.add(decision)
        if replay.orphans and not batch.changes:
            changes = [
                Change(partition_key(topic_id, index), None)
                for topic_id, partitions in replay.orphans.items()
                for index in partitions
            ]
            batch.add(Decision(None, changes[:limit]))
            if len(changes) > limit:
                self._work.set()

    def _chores(self, batch: Batch) -> Iterable[Decision[Any]]:
        yield Decision(None, first_levels(batch.replay.image, self._settings.current))
        live = self._follower.replay.live
        late = self._may_be_late()
        while True:
            node = next_to_settle(batch.replay.image, live, late)
            if node is None:
                break
            yield settle(node, batch.view(), live, late)
        now_ms = self._clock.monotonic_ms()
        if now_ms >= self._next_unclean_ms:
            self._next_unclean_ms = now_ms + self._unclean_interval_ms()
            elections = elect_uncleanly(batch.view(), ELECTIONS_PER_TURN)
            yield Decision(None, elections.changes, elections.notes)
        if now_ms >= self._next_rebalance_ms:
            self._next_rebalance_ms = now_ms + self._rebalance_interval_ms()
            if self._settings.current.bool("auto.leader.rebalance.enable"):
                elections = rebalance_leaders(batch.view(), ELECTIONS_PER_TURN)
                if elections.moved:
                    fields = {"partitions": elections.moved}
                    elections.notes.append(Note("preferred leaders elected", fields))
                yield Decision(None, elections.changes, elections.notes)

    def _rebalance_interval_ms(self) -> int:
        return self._settings.current.int("leader.imbalance.check.interval.seconds") * 1_000

    def _unclean_interval_ms(self) -> int:
        return self._settings.current.int("unclean.leader.election.interval.ms")

    def _grace_ends_ms(self) -> int:
        """Who was not seen alive since everything was read may come back until then."""
        ttl_ms = self._settings.current.int("broker.session.timeout.ms")
        return self._follower.loaded_ms + ttl_ms

    def _may_be_late(self) -> set[NodeId]:
        if self._clock.monotonic_ms() >= self._grace_ends_ms():
            return set()
        replay = self._follower.replay
        return set(replay.image.brokers) - replay.seen

    async def _write(self, batch: Batch, lease: Lease, limit: int) -> None:
        if not batch.changes:
            return
        for part in batch.parts(limit):
            await self._write_part(part, lease)

    async def _write_part(self, part: list[Change], lease: Lease) -> None:
        if not lease.is_held:
            raise NotController
        known = self._follower.replay.mod_revisions
        before = {change.key: known.get(change.key, 0) for change in part}
        compares = [Compare(keys.CONTROLLER, self._fence)]
        compares += [Compare(key, revision) for key, revision in before.items()]
        operations = [_operation(change) for change in part]
        try:
            result = await self._store.transact(compares, operations)
        except StoreUnavailable as error:
            logger.warning("outcome of a write unknown", reason=str(error))
            await self._take_office_anew(lease)
            self._found_done(part[0], before[part[0].key])
            return
        if result.succeeded:
            await self._catch_up(result)
            return
        self._check_office()
        await self._follower.wait_for_news(result.revision)
        self._check_office()
        raise _DecideAgain

    async def _catch_up(self, result: Transacted) -> None:
        await self._follower.images.wait_for(result.revision)

    def _check_office(self) -> None:
        if self._follower.replay.mod_revisions.get(keys.CONTROLLER) != self._fence:
            raise NotController

    async def _take_office_anew(self, lease: Lease) -> None:
        while lease.is_held:
            try:
                result = await self._store.transact(
                    [Compare(keys.CONTROLLER, self._fence)],
                    [Put(keys.CONTROLLER, encode_value(self._record), lease.id)],
                )
            except StoreUnavailable:
                await self._clock.sleep(RETRY_MS)
                continue
            await self._catch_up(result)
            replay, stale = self._follower.replay, self._fence
            if replay.controller_incarnation != self._record.incarnation_id:
                break
            self._fence = replay.mod_revisions[keys.CONTROLLER]
            if self._fence == stale:
                break
            return
        raise OutcomeUnknown

    def _found_done(self, first: Change, before: int) -> None:
        """A transaction is one: its first key tells whether it took effect."""
        if self._follower.replay.mod_revisions.get(first.key, 0) == before:
            raise _DecideAgain


class _DecideAgain(Exception):
    """Nothing was written: the ground has moved."""


def _operation(change: Change) -> Put | Delete:
    if change.value is None:
        return Delete(change.key)
    return Put(change.key, encode_value(change.value))
