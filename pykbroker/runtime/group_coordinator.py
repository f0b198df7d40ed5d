"""The group coordinator of this broker: groups whose partition of ``__consumer_offsets`` it leads.

Every method returns at once with a Deferral of the answer. ``failure`` makes the answer of the
API at hand out of an error code; whatever goes wrong, the Deferral is completed with it.

What decides about groups is imported with the first of them: a broker starts without it.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from pykbroker.runtime.internal_topic import InternalTopic
from pykbroker.runtime.waiters import Deferral, gather
from wire.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pykbroker.config.settings import DynamicSettings
    from pykbroker.ports import Clock, Random
    from pykbroker.runtime.controller_client import ControllerClient
    from pykbroker.runtime.coordinator import CoordinatorRuntime, LoadTimes, Waiter
    from pykbroker.runtime.coordinator_log import PartitionCoordinatorLog
    from pykbroker.runtime.metadata import Images
    from pykbroker.runtime.partition import Partition
    from pykbroker.runtime.replica_manager import ReplicaManager
    from pykbroker.state.controller.image import MetadataDelta
    from pykbroker.state.coordinator import Decision, Instant
    from pykbroker.state.group.counts import GroupCounts
    from pykbroker.state.group.joining import Joiner
    from pykbroker.state.group.shard import GroupShard
    from wire.messages.create_topics import CreatableTopic
    from wire.messages.delete_groups import DeletableGroupResult
    from wire.messages.describe_groups import DescribedGroup
    from wire.messages.heartbeat import HeartbeatRequest
    from wire.messages.join_group import JoinGroupRequest
    from wire.messages.leave_group import LeaveGroupRequest
    from wire.messages.list_groups import ListedGroup, ListGroupsResponse
    from wire.messages.offset_commit import OffsetCommitRequest
    from wire.messages.offset_delete import OffsetDeleteRequest
    from wire.messages.offset_fetch import OffsetFetchRequestGroup
    from wire.messages.sync_group import SyncGroupRequest

    Failure = Callable[[ErrorCode], Any]

CONSUMER_OFFSETS = "__consumer_offsets"


class GroupCoordinator:
    def __init__(
        self,
        *,
        clock: Clock,
        rng: Random,
        settings: DynamicSettings,
        images: Images,
        replicas: ReplicaManager,
        controller: ControllerClient,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._rng = rng
        self.holds_lease: Callable[[], bool] = _always
        """Whether this broker can still be sure that nobody else has become the coordinator."""
        self.topic = InternalTopic(CONSUMER_OFFSETS, self._definition, images, controller)
        replicas.add_leadership_listener(CONSUMER_OFFSETS, self)
        images.subscribe(self._metadata_changed)

    @cached_property
    def counts(self) -> GroupCounts:
        from pykbroker.state.group.counts import GroupCounts

        return GroupCounts()

    @cached_property
    def _runtime(self) -> CoordinatorRuntime[GroupShard]:
        """From the first request, or the first partition that is led."""
        from pykbroker.runtime.coordinator import CoordinatorRuntime

        return CoordinatorRuntime(
            CONSUMER_OFFSETS,
            self._clock,
            self._make_shard,
            lambda: self._settings.current.int("offsets.commit.timeout.ms"),
        )

    def _make_shard(self) -> GroupShard:
        from pykbroker.state.group.config import group_config
        from pykbroker.state.group.shard import GroupShard

        return GroupShard(group_config(self._settings.current), self._rng, self.counts)

    def _definition(self) -> CreatableTopic:
        from wire.messages.create_topics import CreatableTopic, CreatableTopicConfig

        settings = self._settings.current
        configs = {
            "cleanup.policy": "compact",
            "compression.type": "producer",
            "segment.bytes": str(settings.int("offsets.topic.segment.bytes")),
        }
        return CreatableTopic(
            name=CONSUMER_OFFSETS,
            num_partitions=settings.int("offsets.topic.num.partitions"),
            replication_factor=settings.int("offsets.topic.replication.factor"),
            configs=[CreatableTopicConfig(name=n, value=v) for n, v in configs.items()],
        )

    # The replica manager's leadership listener.

    def on_elected(self, index: int, partition: Partition, leader_epoch: int) -> None:
        def open_log() -> PartitionCoordinatorLog:
            from pykbroker.runtime.coordinator_log import PartitionCoordinatorLog
            from wire.persisted import GROUP_RECORDS

            compression = self._settings.current.int("offsets.topic.compression.codec")
            return PartitionCoordinatorLog(partition, self._clock, GROUP_RECORDS, compression)

        self._runtime.elected(index, open_log)

    def on_resigned(self, index: int) -> None:
        self._runtime.resigned(index)

    def stop(self) -> None:
        self._runtime.stop()

    def _metadata_changed(self, delta: MetadataDelta) -> None:
        if delta.topics_deleted:
            names = frozenset(delta.topics_deleted.values())
            self._runtime.submit_all(lambda shard, _: shard.topics_deleted(names))

    def shards(self) -> Iterable[GroupShard]:
        """Those that serve, for whoever counts groups and offsets."""
        return self._runtime.active()

    @property
    def loads(self) -> LoadTimes:
        return self._runtime.loads

    # Requests.

    def _submit(
        self,
        group_id: str,
        failure: Failure,
        operation: Callable[[GroupShard, Waiter, Instant], Decision],
    ) -> Deferral[Any]:
        from pykbroker.runtime.coordinator import Waiter

        waiter = Waiter(failure)
        index = self.topic.partition_for(group_id)
        return self._runtime.submit(index, waiter, lambda shard, now: operation(shard, waiter, now))

    def join(self, request: JoinGroupRequest, joiner: Joiner, failure: Failure) -> Deferral[Any]:
        return self._submit(
            request.group_id, failure, lambda shard, w, now: shard.join(request, joiner, w, now)
        )

    def sync(self, request: SyncGroupRequest, failure: Failure) -> Deferral[Any]:
        return self._submit(
            request.group_id, failure, lambda shard, w, now: shard.sync(request, w, now)
        )

    def heartbeat(self, request: HeartbeatRequest, failure: Failure) -> Deferral[Any]:
        return self._submit(
            request.group_id, failure, lambda shard, w, now: shard.heartbeat(request, w, now)
        )

    def leave(self, request: LeaveGroupRequest, failure: Failure) -> Deferral[Any]:
        return self._submit(
            request.group_id, failure, lambda shard, w, now: shard.leave(request, w, now)
        )

    def commit_offsets(self, request: OffsetCommitRequest, failure: Failure) -> Deferral[Any]:
        return self._submit(
            request.group_id, failure, lambda shard, w, now: shard.commit_offsets(request, w, now)
        )

    def fetch_offsets(
        self, request: OffsetFetchRequestGroup, require_stable: bool, failure: Failure
    ) -> Deferral[Any]:
        """Committed offsets never seem to go back: a broker whose lease has run out does not answer
        from what it knows, as its successor may have taken newer ones already.

        It does not call itself deposed either, which while the metadata store is away nobody is:
        librdkafka never asks again for what NOT_COORDINATOR has answered.
        """
        if not self.holds_lease():
            refused: Deferral[Any] = Deferral()
            refused.complete(failure(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS))
            return refused
        return self._submit(
            request.group_id,
            failure,
            lambda shard, w, _: _answer(w, shard.fetch_offsets(request, require_stable)),
        )

    def delete_offsets(self, request: OffsetDeleteRequest, failure: Failure) -> Deferral[Any]:
        return self._submit(
            request.group_id, failure, lambda shard, w, _: shard.delete_offsets(request, w)
        )

    # Groups as such. These may concern several shards.

    def describe_groups(self, group_ids: Iterable[str]) -> Deferral[list[DescribedGroup]]:
        return gather([self._describe(group_id) for group_id in group_ids])

    def _describe(self, group_id: str) -> Deferral[Any]:
        from wire.messages.describe_groups import DescribedGroup

        return self._submit(
            group_id,
            lambda code: DescribedGroup(group_id=group_id, error_code=code),
            lambda shard, w, _: _answer(w, shard.describe(group_id)),
        )

    def delete_groups(self, group_ids: Iterable[str]) -> Deferral[list[DeletableGroupResult]]:
        return gather([self._delete(group_id) for group_id in group_ids])

    def _delete(self, group_id: str) -> Deferral[Any]:
        from wire.messages.delete_groups import DeletableGroupResult

        return self._submit(
            group_id,
            lambda code: DeletableGroupResult(group_id=group_id, error_code=code),
            lambda shard, w, _: shard.delete_group(group_id, w),
        )

    def list_groups(
        self, states: Iterable[str], types: Iterable[str]
    ) -> Deferral[ListGroupsResponse]:
        """All groups of this broker's shards; while one of them is being loaded the answer is its
        error, as half a list would pass for a whole one."""
        from pykbroker.runtime.coordinator import Waiter

        states, types = frozenset(states), frozenset(types)

        def listed(shard: GroupShard, waiter: Waiter) -> Decision:
            return _answer(waiter, shard.list_groups(states, types))

        def submit(index: int) -> Deferral[Any]:
            waiter = Waiter(lambda code: code)
            return self._runtime.submit(index, waiter, lambda shard, _: listed(shard, waiter))

        return gather([submit(index) for index in self._runtime.indexes()]).then(_all_groups)


def _always() -> bool:
    return True


def _answer(waiter: Waiter, response: Any) -> Decision:
    from pykbroker.state.coordinator import Decision

    decision = Decision()
    decision.reply(waiter, response)
    return decision


def _all_groups(results: list[list[ListedGroup] | ErrorCode]) -> ListGroupsResponse:
    from wire.messages.list_groups import ListGroupsResponse

    response = ListGroupsResponse()
    for result in results:
        if isinstance(result, list):
            response.groups += result
        elif result is not ErrorCode.NOT_COORDINATOR:  # a shard that has just moved away
            return ListGroupsResponse(error_code=result)
    return response
