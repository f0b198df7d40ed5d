"""Replication by Kafka's own protocol: this broker's followers fetch from their leaders.

One fetcher runs for each leading broker and each of num.replica.fetchers. A turn: look at the
logs, ask, put what came into the logs in one step, sync where a sync counts, ask again. While the
leader has nothing new it holds the fetch back; partitions that come meanwhile end that wait.

What a fetch says is held is held: the next one leaves only when everything that the last one
brought is as durable as the topic's settings ask for.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from pykbroker.log import get_logger
from pykbroker.runtime import following
from pykbroker.runtime.broker_link import LinkLost
from pykbroker.runtime.following import Outcome
from pykbroker.state.errors import KafkaError
from pykbroker.state.follower import Ask, FetchPlan, Followed, Key, fetcher_number, pause_ms
from pykbroker.state.types import NO_LEADER, NodeId, TopicId
from wire.errors import ErrorCode
from wire.messages.fetch import (
    FetchPartition,
    FetchRequest,
    FetchTopic,
    ForgottenTopic,
    ReplicaState,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Protocol

    from anyio.abc import TaskGroup

    from pykbroker.config.settings import DynamicSettings
    from pykbroker.ports import Clock
    from pykbroker.runtime.partition import Partition
    from pykbroker.runtime.purgatory import Wakeups
    from pykbroker.runtime.throttles import Throttles
    from pykbroker.runtime.traffic import Traffic
    from pykbroker.state.types import TopicPartition
    from wire.messages.fetch import FetchResponse, PartitionData
    from wire.schema import Request

    class Link(Protocol):
        async def call(self, request: Request, *, timeout_ms: int) -> Any: ...

        def close(self) -> None: ...

    class Links(Protocol):
        def open(self, node_id: NodeId, purpose: str) -> Link: ...


logger = get_logger("pykbroker.runtime.follower")

PLACED_PER_TURN = 64
"""Logs that are opened before the others of the fetcher are asked for again."""
INTERRUPTION_MS = 50
"""At least, between two: where topics are made by the hundred, some of them share one."""


class Followers:
    """Everything that this broker follows."""

    def __init__(
        self,
        *,
        node_id: NodeId,
        clock: Clock,
        settings: DynamicSettings,
        throttles: Throttles,
        wakeups: Wakeups,
        traffic: Traffic,
        links: Links,
        broker_epoch: Callable[[], int],
    ) -> None:
        self.node_id = node_id
        self.clock = clock
        self.settings = settings
        self.throttles = throttles
        self.wakeups = wakeups
        self.traffic = traffic
        self.links = links
        self.broker_epoch = broker_epoch
        """This broker's own; fetches say it (KIP-903)."""
        self._fetchers: dict[tuple[NodeId, int], Fetcher] = {}
        self._fetcher_of: dict[Key, Fetcher] = {}
        self._tasks: TaskGroup | None = None
        self._count = settings.current.int("num.replica.fetchers")
        settings.on_change(self._settings_changed)

    async def run(self) -> None:
        """Until cancelled."""
        async with anyio.create_task_group() as self._tasks:
            for fetcher in self._fetchers.values():
                self._tasks.start_soon(fetcher.run)
            await anyio.sleep_forever()

    def follow(self, partition: Partition) -> None:
        """As its replica state says now, whatever it was before; it leads, or nobody does: not."""
        state = partition.state
        if state.is_leader or state.leader == NO_LEADER:
            self.unfollow(partition)
            return
        fetcher = self._fetcher(state.leader, partition)
        key = _key(partition)
        before = self._fetcher_of.get(key)
        if before is not None and before is not fetcher:
            self.unfollow(partition)
        self._fetcher_of[key] = fetcher
        fetcher.follow(partition)

    def unfollow(self, partition: Partition) -> None:
        """No answer that is still to come goes into its log."""
        fetcher = self._fetcher_of.pop(_key(partition), None)
        if fetcher is not None:
            fetcher.unfollow(partition)

    def _fetcher(self, leader: NodeId, partition: Partition) -> Fetcher:
        name, index = partition.topic_partition
        place = (leader, fetcher_number(name, index, self._count))
        fetcher = self._fetchers.get(place)
        if fetcher is None:
            ended = partial(self._ended, place)
            fetcher = self._fetchers[place] = Fetcher(self, leader, place[1], ended)
            if self._tasks is not None:
                self._tasks.start_soon(fetcher.run)
        return fetcher

    def _ended(self, place: tuple[NodeId, int]) -> None:
        del self._fetchers[place]

    def _settings_changed(self, names: frozenset[str]) -> None:
        count = self.settings.current.int("num.replica.fetchers")
        if count != self._count:
            self._count = count
            for fetcher in list(self._fetchers.values()):
                for partition in fetcher.partitions():
                    self.follow(partition)

    def received(self, partition: Partition, size: int) -> None:
        if not size:
            return
        traffic, state = self.traffic, partition.state
        traffic.replicated_in += size
        if self.node_id in state.adding:
            traffic.reassigned_in += size
        if self.throttles.is_throttled_follower(partition):
            self.throttles.received(size)

    @property
    def fetchers(self) -> Iterable[Fetcher]:
        return self._fetchers.values()


def _key(partition: Partition) -> Key:
    return partition.topic_id, partition.topic_partition.partition


class Fetcher:
    """From one leading broker; ``run`` ends when nothing is left to follow."""

    def __init__(
        self, followers: Followers, leader: NodeId, number: int, ended: Callable[[], None]
    ) -> None:
        self.leader = leader
        self.number = number
        self._followers = followers
        self._clock = followers.clock
        self._ended = ended
        self._plan = FetchPlan()
        self._partitions: dict[Key, Partition] = {}
        self._unsynced: dict[Partition, None] = {}
        self._link = self._open_link()
        self._news = anyio.Event()
        self._is_asking = False
        self._was_interrupted = self._is_interruption_due = False
        self._not_again_before_ms = 0
        self._failures = 0
        self.fetches = 0
        """Answered ones."""

    @property
    def client_id(self) -> str:
        """As Kafka names its fetchers."""
        return f"ReplicaFetcherThread-{self.number}-{self.leader}"

    def lags(self) -> list[tuple[TopicPartition, int]]:
        """How many records each replica is behind, of which that is known."""
        return [
            (self._partitions[followed.key].topic_partition, followed.lag)
            for followed in self._plan.followed()
            if followed.lag is not None
        ]

    @property
    def failed_count(self) -> int:
        """Replicas that are fetched no more until they are followed anew."""
        return self._plan.failed_count

    def _open_link(self) -> Link:
        return self._followers.links.open(self.leader, f"fetcher-{self.number}")

    def partitions(self) -> list[Partition]:
        return list(self._partitions.values())

    def follow(self, partition: Partition) -> None:
        key = _key(partition)
        known = self._plan.get(key)
        if known is not None and known.leader_epoch == partition.leader_epoch:
            return
        self._partitions[key] = partition
        self._plan.follow(key, partition.leader_epoch)
        partition.on_synced = self._wake
        self._interrupt()
        self._wake()

    def unfollow(self, partition: Partition) -> None:
        key = _key(partition)
        self._plan.unfollow(key)
        self._partitions.pop(key, None)
        self._unsynced.pop(partition, None)
        partition.on_synced = None
        self._wake()

    def _wake(self) -> None:
        self._news.set()

    def _interrupt(self) -> None:
        """The leader may hold a fetch back for long; a partition that has just come does not wait
        for that."""
        if not self._is_asking or self._was_interrupted:
            return
        now_ms = self._clock.monotonic_ms()
        if now_ms < self._not_again_before_ms:
            if not self._is_interruption_due:
                self._is_interruption_due = True
                self._clock.call_at(self._not_again_before_ms, self._interrupt_now)
            return
        self._not_again_before_ms = now_ms + INTERRUPTION_MS
        self._was_interrupted = True
        self._link.close()
        self._link = self._open_link()

    def _interrupt_now(self) -> None:
        self._is_interruption_due = False
        if self._plan.unplaced:
            self._interrupt()

    async def run(self) -> None:
        try:
            while self._partitions:
                try:
                    await self._turn()
                except Exception as error:
                    logger.error("fetcher failed", leader=self.leader, error=error)
                    self._plan.lost()
                    await self._pause()
        finally:
            self._link.close()
            self._ended()

    async def _turn(self) -> None:
        self._news = anyio.Event()
        plan = self._plan
        plan.wake(self._clock.monotonic_ms())
        self._place()
        if self._is_unsynced():
            await self._news.wait()
            return
        self._leave_out_throttled()
        ask = plan.ask()
        if ask is None:
            if not plan.unplaced:
                await self._wait(plan.next_due_ms())
            return
        response = await self._fetch(ask)
        if response is None:
            return
        self._failures = 0
        out_of_range = self._take(response)
        self._followers.wakeups.run()
        if out_of_range:
            await self._settle_ranges(out_of_range)

    # Looking at the logs

    def _place(self) -> None:
        unplaced = list(self._plan.unplaced.values())[:PLACED_PER_TURN]
        for followed in unplaced:
            self._stands(followed)

    def _stands(self, followed: Followed) -> None:
        partition = self._partitions[followed.key]
        try:
            log = partition.log
            self._plan.stands(followed, following.position(log))
        except KafkaError as error:
            self._failed(followed, error)
            return
        if log.durable_end_offset < log.log_end_offset:
            self._unsynced[partition] = None

    def _is_unsynced(self) -> bool:
        """Is a sync to come before the leader may be told what is held?"""
        for partition in list(self._unsynced):
            log = partition.log
            if log.is_failed or log.durable_end_offset == log.log_end_offset:
                del self._unsynced[partition]
                followed = self._plan.get(_key(partition))
                if followed is not None and followed.position is not None:
                    self._stands(followed)
        return bool(self._unsynced)

    # Asking

    def _leave_out_throttled(self) -> None:
        """KIP-73: over the quota, what is throttled and not in sync is asked for later."""
        throttles = self._followers.throttles
        if not throttles.leaves_out():
            return
        until_ms = self._clock.monotonic_ms() + self._longest_pause_ms()
        for followed in self._plan.ready():
            if not followed.is_in_sync and throttles.is_throttled_follower(
                self._partitions[followed.key]
            ):
                self._plan.pause(followed, until_ms)

    async def _fetch(self, ask: Ask) -> FetchResponse | None:
        """None: no answer; the plan knows."""
        timeout_ms = self._followers.settings.current.int("replica.socket.timeout.ms")
        self._is_asking = True
        try:
            response: FetchResponse = await self._link.call(
                self._request(ask), timeout_ms=timeout_ms
            )
        except (LinkLost, KafkaError) as error:
            self._plan.lost()
            if not self._was_interrupted:
                if self._partitions:  # else we are stopping
                    logger.info("no answer from leader", leader=self.leader, reason=str(error))
                await self._pause()
            return None
        finally:
            self._is_asking = self._was_interrupted = False
        self.fetches += 1
        code = ErrorCode(response.error_code)
        if self._plan.answered(response.session_id, code):
            return response
        logger.info("fetch session ended", leader=self.leader, reason=code.name)
        if code not in (
            ErrorCode.FETCH_SESSION_ID_NOT_FOUND,
            ErrorCode.INVALID_FETCH_SESSION_EPOCH,
        ):
            await self._pause()
        return None

    def _request(self, ask: Ask) -> FetchRequest:
        settings = self._followers.settings.current
        max_bytes = settings.int("replica.fetch.max.bytes")
        topics: dict[TopicId, FetchTopic] = {}
        for followed in ask.followed:
            topic_id, index = followed.key
            topic = topics.get(topic_id)
            if topic is None:
                topic = topics[topic_id] = FetchTopic(topic_id=topic_id)
            position = followed.asked
            assert position is not None
            topic.partitions.append(
                FetchPartition(
                    partition=index,
                    current_leader_epoch=followed.leader_epoch,
                    fetch_offset=position.fetch_offset,
                    last_fetched_epoch=position.last_fetched_epoch,
                    log_start_offset=position.log_start_offset,
                    partition_max_bytes=max_bytes,
                )
            )
        return FetchRequest(
            replica_state=ReplicaState(
                replica_id=self._followers.node_id, replica_epoch=self._followers.broker_epoch()
            ),
            max_wait_ms=self._longest_wait_ms(settings.int("replica.fetch.wait.max.ms")),
            min_bytes=settings.int("replica.fetch.min.bytes"),
            max_bytes=settings.int("replica.fetch.response.max.bytes"),
            session_id=ask.session_id,
            session_epoch=ask.session_epoch,
            topics=list(topics.values()),
            forgotten_topics_data=_forgotten(ask.forgotten),
        )

    def _longest_wait_ms(self, wait_ms: int) -> int:
        """Not beyond the moment from which a partition that pauses may be asked for again."""
        if self._plan.unplaced:
            return 0
        due_ms = self._plan.next_due_ms()
        if due_ms is None:
            return wait_ms
        return min(wait_ms, max(due_ms - self._clock.monotonic_ms(), 0))

    # Answers

    def _take(self, response: FetchResponse) -> list[Followed]:
        """Who is not within its leader's log."""
        found: list[Followed] = []
        for topic in response.responses:
            for data in topic.partitions:
                key = (TopicId(topic.topic_id), data.partition_index)
                followed = self._plan.answer_for(key)
                if followed is not None and self._take_one(followed, data) is Outcome.OUT_OF_RANGE:
                    found.append(followed)
        return found

    def _take_one(self, followed: Followed, data: PartitionData) -> Outcome:
        assert followed.asked is not None
        act = partial(
            following.take,
            self._partitions[followed.key],
            followed.leader_epoch,
            followed.asked,
            data,
        )
        outcome = self._act(followed, act)
        if outcome is Outcome.DONE:
            self._count(followed, data)
        return outcome

    def _count(self, followed: Followed, data: PartitionData) -> None:
        partition = self._partitions.get(followed.key)
        size = following.size_of(data)
        if partition is None or data.diverging_epoch.epoch >= 0:
            return
        self._followers.received(partition, size)
        followed.took(size, max(data.high_watermark - partition.log_end_offset, 0))

    def _act(self, followed: Followed, act: Callable[[], Outcome]) -> Outcome:
        """Do it, and know where the log stands then. One partition's failure is its own."""
        try:
            outcome = act()
        except Exception as error:
            self._failed(followed, error)
            return Outcome.RETRY
        if not self._plan.is_current(followed):
            return Outcome.DONE
        if outcome is Outcome.RETRY:
            self._retry_later(followed)
        elif outcome is Outcome.DONE:
            self._plan.succeeded(followed)
            self._stands(followed)
        return outcome

    def _retry_later(self, followed: Followed) -> None:
        now_ms = self._clock.monotonic_ms()
        self._plan.retry_later(followed, now_ms, self._longest_pause_ms())

    def _failed(self, followed: Followed, error: Exception) -> None:
        """What is wrong with the data may pass; what is wrong here does not by itself."""
        if not self._plan.is_current(followed):
            return
        place = str(self._partitions[followed.key].topic_partition)
        if isinstance(error, KafkaError) and not following.is_fatal(error):
            logger.warning("not replicated", partition=place, reason=str(error))
            self._retry_later(followed)
        else:
            logger.error("replica failed", partition=place, error=error)
            self._plan.give_up(followed)

    async def _settle_ranges(self, asked: list[Followed]) -> None:
        """Ask the leader where the logs begin and end, and agree with that."""
        from pykbroker.runtime.leader_offsets import leader_ranges

        timeout_ms = self._followers.settings.current.int("replica.socket.timeout.ms")
        partitions = [(self._partitions[one.key], one.leader_epoch) for one in asked]
        try:
            ranges = await leader_ranges(
                self._link, self._followers.node_id, partitions, timeout_ms
            )
        except (LinkLost, KafkaError) as error:
            logger.info("leader does not say its offsets", leader=self.leader, reason=str(error))
            ranges = {}
        for one, (partition, epoch) in zip(asked, partitions, strict=True):
            if not self._plan.is_current(one) or one.asked is None:
                continue
            found = ranges.get(partition.topic_partition)
            if found is None or partition.leader_epoch != epoch:
                self._retry_later(one)
            else:
                self._act(one, partial(following.settle_range, partition, one.asked, *found))

    # Time

    def _longest_pause_ms(self) -> int:
        return self._followers.settings.current.int("replica.fetch.backoff.ms")

    async def _pause(self) -> None:
        self._failures += 1
        await self._clock.sleep(pause_ms(self._failures, self._longest_pause_ms()))

    async def _wait(self, until_ms: int | None) -> None:
        """For news, or for the time to come."""
        news = self._news
        timer = None if until_ms is None else self._clock.call_at(until_ms, news.set)
        try:
            await news.wait()
        finally:
            if timer is not None:
                timer.cancel()


def _forgotten(keys: list[Key]) -> list[ForgottenTopic]:
    topics: dict[TopicId, ForgottenTopic] = {}
    for topic_id, index in keys:
        topic = topics.get(topic_id)
        if topic is None:
            topic = topics[topic_id] = ForgottenTopic(topic_id=topic_id)
        topic.partitions.append(index)
    return list(topics.values())
