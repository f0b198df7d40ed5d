"""A stream of admin operations, from the seed, and what must be true of the answers.

- What is answered as done was so at some moment since it was asked for.
- A name that was never used before is never refused as taken.
- What has been done for certain, and nobody has touched since, is so in the end.
- Once everything is healed every reassignment ends; as long as it lasts it is listed.

An operation without a certain answer may still come to pass, early or late: what it was about is in
doubt from then on, and only the first two hold of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pykbroker.state.controller.image import ConfigResource
from tests.simulation.clients import Client
from wire.errors import ErrorCode
from wire.messages.alter_partition_reassignments import (
    AlterPartitionReassignmentsRequest,
    ReassignablePartition,
    ReassignableTopic,
)
from wire.messages.create_partitions import CreatePartitionsRequest, CreatePartitionsTopic
from wire.messages.create_topics import CreatableTopic, CreateTopicsRequest
from wire.messages.delete_topics import DeleteTopicsRequest
from wire.messages.elect_leaders import ElectLeadersRequest, TopicPartitions
from wire.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from wire.messages.list_partition_reassignments import ListPartitionReassignmentsRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykbroker.state.controller.image import MetadataImage, PartitionImage
    from wire.schema import Request

    Holds = Callable[[MetadataImage], bool]

SCRATCH = "x"
"""Topics that begin so are this stream's own; nobody writes to them."""
SCRATCH_LIMIT = 3
TOPIC, BROKER = 2, 4
SET, DELETE = 0, 1
PREFERRED, UNCLEAN = 0, 1
TIMEOUT_MS = 2_000
REFUSALS = frozenset(
    (
        ErrorCode.ELECTION_NOT_NEEDED,
        ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE,
        ErrorCode.INVALID_REPLICATION_FACTOR,
        ErrorCode.INVALID_REPLICA_ASSIGNMENT,
        ErrorCode.NO_REASSIGNMENT_IN_PROGRESS,
        ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE,
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    )
)
"""Nothing was done, for certain."""
TOPIC_CONFIGS = {
    "max.message.bytes": ("100000", "200000"),
    "min.insync.replicas": ("1", "2"),
    "unclean.leader.election.enable": ("true", "false"),
}
THROTTLED = ("leader.replication.throttled.replicas", "follower.replication.throttled.replicas")
RATES = ("leader.replication.throttled.rate", "follower.replication.throttled.rate")

Doubt = tuple[str, object]
"""A topic, and what of it."""


def _has_partitions(name: str, count: int) -> Callable[[MetadataImage], bool]:
    def holds(image: MetadataImage) -> bool:
        topic = image.topics.get(name)
        return topic is not None and len(topic.partitions) >= count

    return holds


class Admin(Client):
    """``shared``: topics of others, whose partitions it moves about, and how many they have."""

    def __init__(self, *args: Any, shared: dict[str, int]) -> None:
        super().__init__(*args)
        self._shared = shared
        self._made = 0
        self._live: dict[str, int] = {}
        """Scratch topics that exist for certain, and their partitions."""
        self._wanted: dict[Doubt, Holds] = {}
        """What must be so in the end."""
        self._in_doubt: set[Doubt] = set()
        self.done = 0

    async def run(self) -> None:
        slowest_ms = self.rng.choice((600, 2_000))
        operations = (
            (4, self._create),
            (2, self._delete),
            (2, self._grow),
            (6, self._reassign),
            (1, self._cancel),
            (3, self._elect),
            (3, self._configure),
            (1, self._throttle),
        )
        kinds = [kind for _, kind in operations]
        weights = [weight for weight, _ in operations]
        while not self.stopping:
            await self.pause(100, slowest_ms)
            (operation,) = self.rng.choices(kinds, weights)
            await operation()

    # One attempt

    async def _attempt(
        self, request: Request, code_of: Callable[[Any], int], about: Doubt, holds: Holds
    ) -> ErrorCode | None:
        """How it was answered, as far as that is certain; None puts ``about`` in doubt."""
        seen = [holds(self.observer.truth.image)]

        def look(image: MetadataImage) -> None:
            if not seen[0]:
                seen[0] = holds(image)

        self.observer.watchers.append(look)
        response = await self.ask(self.any_node(), request)
        self.observer.watchers.remove(look)
        code = None if response is None else ErrorCode(code_of(response))
        self.cluster.trace.note("admin", type(request).__name__, about, code)
        if code is ErrorCode.NONE:
            self.done += 1
            if not seen[0]:
                self.cluster.fail(f"{self.name}: {_text(request)} of {about} was never true")
            if about not in self._in_doubt:
                self._wanted[about] = holds
        elif code not in REFUSALS:
            code = None
            self._in_doubt.add(about)
            self._wanted.pop(about, None)
        return code

    def _all_topics(self) -> dict[str, int]:
        return {**self._shared, **self._live}

    def _any_partition(self) -> tuple[str, int]:
        topics = self._all_topics()
        name = self.rng.choice(list(topics))
        return name, self.rng.randrange(topics[name])

    # Topics

    async def _create(self) -> None:
        if len(self._live) >= SCRATCH_LIMIT:
            return
        self._made += 1
        name = f"{SCRATCH}{self._made}"
        count = self.rng.randint(1, 2)
        factor = self.rng.randint(1, self.cluster.size)

        made = CreatableTopic(name=name, num_partitions=count, replication_factor=factor)
        request = CreateTopicsRequest(topics=[made], timeout_ms=TIMEOUT_MS)
        about, holds = (name, "exists"), _has_partitions(name, count)
        code = await self._attempt(request, lambda r: r.topics[0].error_code, about, holds)
        if code is ErrorCode.NONE:
            self._live[name] = count

    async def _delete(self) -> None:
        if not self._live:
            return
        name = self.rng.choice(list(self._live))
        # Whatever comes of it, nothing else is asked of this topic.
        del self._live[name]
        for about in [about for about in self._wanted if about[0] == name]:
            del self._wanted[about]
        request = DeleteTopicsRequest(topic_names=[name], timeout_ms=TIMEOUT_MS)
        await self._attempt(
            request,
            lambda r: r.responses[0].error_code,
            (name, "exists"),
            lambda image: name not in image.topics,
        )

    async def _grow(self) -> None:
        if not self._live:
            return
        name = self.rng.choice(list(self._live))
        count = self._live[name] + 1
        if count > 3:
            return

        wanted = CreatePartitionsTopic(name=name, count=count, assignments=None)
        request = CreatePartitionsRequest(topics=[wanted], timeout_ms=TIMEOUT_MS)
        about, holds = (name, "partitions"), _has_partitions(name, count)
        code = await self._attempt(request, lambda r: r.results[0].error_code, about, holds)
        if code is ErrorCode.NONE:
            self._live[name] = count

    # Replicas

    async def _reassign(self) -> None:
        name, index = self._any_partition()
        size = self.cluster.size
        # With fewer than two what is acknowledged would hang on a single disk.
        fewest = 2 if name in self._shared else 1
        count = self.rng.choice((size, self.rng.randint(fewest, size)))
        target = tuple(self.rng.sample(range(1, size + 1), count))
        await self._alter_reassignment(name, index, target, lambda p: _target_of(p) == target)

    async def _cancel(self) -> None:
        name, index = self._any_partition()
        await self._alter_reassignment(name, index, None, lambda p: not p.adding and not p.removing)

    async def _alter_reassignment(
        self,
        name: str,
        index: int,
        target: tuple[int, ...] | None,
        holds: Callable[[PartitionImage], bool],
    ) -> None:
        replicas = None if target is None else list(target)
        wanted = ReassignablePartition(partition_index=index, replicas=replicas)
        topics = [ReassignableTopic(name=name, partitions=[wanted])]
        request = AlterPartitionReassignmentsRequest(topics=topics, timeout_ms=TIMEOUT_MS)
        await self._attempt(
            request,
            lambda r: r.error_code or r.responses[0].partitions[0].error_code,
            (name, index),
            _of_partition(name, index, holds),
        )

    async def _elect(self) -> None:
        name, index = self._any_partition()
        kind = PREFERRED
        if name in self._live and self.rng.random() < 0.5:
            kind = UNCLEAN
            self.observer.unclean_topics.add(name)
        topics = [TopicPartitions(topic=name, partitions=[index])]
        request = ElectLeadersRequest(
            election_type=kind, topic_partitions=topics, timeout_ms=TIMEOUT_MS
        )

        def holds(partition: PartitionImage) -> bool:
            wanted = partition.replicas[0] if kind == PREFERRED else partition.leader
            return partition.leader == wanted >= 0

        # Leaders come and go by themselves: nothing is to be expected of the end.
        about = (name, f"leader of {index}")
        await self._attempt(
            request,
            lambda r: r.error_code or r.replica_election_results[0].partition_result[0].error_code,
            about,
            _of_partition(name, index, holds),
        )
        self._wanted.pop(about, None)

    # Settings

    async def _configure(self) -> None:
        if not self._live:
            return
        name = self.rng.choice(list(self._live))
        key = self.rng.choice(list(TOPIC_CONFIGS))
        value = self.rng.choice((*TOPIC_CONFIGS[key], None))
        self.observer.unclean_topics.add(name)
        await self._alter_config(TOPIC, name, key, value)

    async def _throttle(self) -> None:
        if self.rng.random() < 0.5:
            name = self.rng.choice(list(self._all_topics()))
            value = self.rng.choice(("*", None))
            await self._alter_config(TOPIC, name, self.rng.choice(THROTTLED), value)
        else:
            rate = self.rng.choice(("1000", "10000", None))
            await self._alter_config(BROKER, "", self.rng.choice(RATES), rate)

    async def _alter_config(self, kind: int, name: str, key: str, value: str | None) -> None:
        operation = DELETE if value is None else SET
        config = AlterableConfig(name=key, value=value, config_operation=operation)
        resource = AlterConfigsResource(resource_type=kind, resource_name=name, configs=[config])
        place = ConfigResource(kind, name)
        await self._attempt(
            IncrementalAlterConfigsRequest(resources=[resource]),
            lambda r: r.responses[0].error_code,
            (name, key),
            lambda image: image.config_of(*place).get(key) == value,
        )

    # In the end

    async def is_listed(self) -> bool:
        """Whether the reassignments that are listed are those that there are. False as well when
        that cannot be said."""
        before = self.reassignments()
        request = ListPartitionReassignmentsRequest(timeout_ms=TIMEOUT_MS)
        response = await self.ask(self.any_node(), request)
        if response is None or response.error_code != ErrorCode.NONE:
            return False
        listed = {
            (topic.name, p.partition_index): (
                tuple(p.replicas),
                tuple(p.adding_replicas),
                tuple(p.removing_replicas),
            )
            for topic in response.topics
            for p in topic.partitions
        }
        return before == listed == self.reassignments()

    def reassignments(self) -> dict[tuple[str, int], tuple[tuple[int, ...], ...]]:
        """(topic, partition) -> its replicas, those that join, those that leave."""
        return {
            (topic.name, index): (p.replicas, p.adding, p.removing)
            for topic in self.observer.truth.image.topics.values()
            for index, p in enumerate(topic.partitions)
            if p.adding or p.removing
        }

    def compare(self) -> None:
        image = self.observer.truth.image
        for about, holds in self._wanted.items():
            if not holds(image):
                self.cluster.fail(f"{self.name}: {about} was done and is not so: {image.topics}")


def _of_partition(name: str, index: int, holds: Callable[[PartitionImage], bool]) -> Holds:
    def of_image(image: MetadataImage) -> bool:
        topic = image.topics.get(name)
        return (
            topic is not None and index < len(topic.partitions) and holds(topic.partitions[index])
        )

    return of_image


def _target_of(partition: PartitionImage) -> tuple[int, ...]:
    """Where its replicas are, or are to be."""
    return tuple(node for node in partition.replicas if node not in partition.removing)


def _text(request: Request) -> str:
    return type(request).__name__.removesuffix("Request")
