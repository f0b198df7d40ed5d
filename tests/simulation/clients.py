"""Clients that speak the protocol over the simulated network, and remember what they were told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from pykbroker.runtime.link_connection import LinkConnection
from tests.simulation.loop import Life
from tests.simulation.network import NetworkOfLife
from wire.apis import ApiKey
from wire.errors import ErrorCode
from wire.messages.create_topics import CreatableTopic, CreatableTopicConfig, CreateTopicsRequest
from wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from wire.messages.find_coordinator import FindCoordinatorRequest
from wire.messages.init_producer_id import InitProducerIdRequest
from wire.messages.metadata import MetadataRequest, MetadataRequestTopic
from wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from wire.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
)
from wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from wire.records.batch import read_header
from wire.records.record import Record, build_batch

if TYPE_CHECKING:
    from random import Random

    from pykbroker.ports import Transport
    from tests.simulation.cluster import Cluster
    from tests.simulation.observer import Observer
    from wire.messages.metadata import MetadataResponsePartition
    from wire.schema import Request

VERSIONS = {
    ApiKey.PRODUCE: 9,
    ApiKey.FETCH: 12,
    ApiKey.METADATA: 9,
    ApiKey.OFFSET_COMMIT: 8,
    ApiKey.OFFSET_FETCH: 8,
    ApiKey.FIND_COORDINATOR: 4,
    ApiKey.CREATE_TOPICS: 7,
    ApiKey.DELETE_TOPICS: 5,
    ApiKey.INIT_PRODUCER_ID: 4,
    ApiKey.CREATE_PARTITIONS: 3,
    ApiKey.ELECT_LEADERS: 2,
    ApiKey.INCREMENTAL_ALTER_CONFIGS: 1,
    ApiKey.ALTER_PARTITION_REASSIGNMENTS: 0,
    ApiKey.LIST_PARTITION_REASSIGNMENTS: 0,
}
PATIENCE_S = 3.0
PORT = 9092


class History:
    """What all clients did and were told."""

    def __init__(self) -> None:
        self.sent: dict[bytes, tuple[str, int]] = {}
        """Value -> (topic, partition)."""
        self.acked: dict[tuple[str, int], dict[int, bytes]] = {}
        """With acks=all: (topic, partition) -> offset -> value."""
        self.once: set[bytes] = set()
        """Values of idempotent producers: in the log at most once."""
        self.committed_offsets: dict[str, int] = {}
        self.acks = self.commits = self.reads = 0


class Client:
    """One process with connections to all brokers; ``stopping`` ends what it does."""

    def __init__(self, cluster: Cluster, observer: Observer, history: History, name: str) -> None:
        self.cluster = cluster
        self.observer = observer
        self.history = history
        self.name = name
        self.life = Life(name)
        self.rng: Random = cluster.new_rng()
        self.is_done = False
        self.stopping = False
        self._network = NetworkOfLife(cluster.network, name, self.life)
        self._connections: dict[int, LinkConnection] = {}
        self._leaders: dict[tuple[str, int], tuple[int, int]] = {}
        """Node and leader epoch."""
        self._epochs: dict[tuple[str, int], int] = {}

    def start(self) -> None:
        self.cluster.loop.spawn(self.life, self._guarded())

    async def _guarded(self) -> None:
        try:
            await self.run()
        except Exception as error:
            self.cluster.fail(f"client {self.name} failed", error)
        self.is_done = True
        for connection in list(self._connections.values()):
            connection.abort("done")

    async def run(self) -> None:
        raise NotImplementedError

    async def pause(self, low_ms: int = 20, high_ms: int = 300) -> None:
        await anyio.sleep(self.rng.randint(low_ms, high_ms) / 1000)

    async def ask(self, node: int, request: Request) -> Any:
        """The response; None when there is none."""
        response = None
        with anyio.move_on_after(PATIENCE_S):
            connection = await self._connected(node)
            if connection is not None:
                done = anyio.Event()
                version = VERSIONS[request.api_key]
                exchange = connection.send(request, version, done.set)
                await done.wait()
                response = exchange.response
        if response is None and node in self._connections:
            self._connections[node].abort("no answer")
        return response

    async def _connected(self, node: int) -> LinkConnection | None:
        known = self._connections.get(node)
        if known is not None and known.is_open:
            return known
        made: list[LinkConnection] = []

        def factory(transport: Transport) -> LinkConnection:
            made.append(LinkConnection(transport, self.name, lambda _: None))
            return made[0]

        try:
            await self._network.connect(f"b{node}", PORT, factory)
        except OSError:
            return None
        self._connections[node] = made[0]
        return made[0] if made[0].is_open else None

    def any_node(self) -> int:
        return self.rng.randint(1, self.cluster.size)

    async def leader(self, topic: str, partition: int) -> tuple[int, int] | None:
        known = self._leaders.get((topic, partition))
        if known is not None:
            return known
        request = MetadataRequest(
            topics=[MetadataRequestTopic(name=topic)], allow_auto_topic_creation=False
        )
        response = await self.ask(self.any_node(), request)
        for found in response.topics if response is not None else ():
            for part in found.partitions:
                if part.leader_id >= 0:
                    self._learn((found.name, part.partition_index), part)
        return self._leaders.get((topic, partition))

    def _learn(self, key: tuple[str, int], part: MetadataResponsePartition) -> None:
        """What is older than what is known already comes from a broker that was away (KIP-320)."""
        if part.leader_epoch >= self._epochs.get(key, 0):
            self._epochs[key] = part.leader_epoch
            self._leaders[key] = (part.leader_id, part.leader_epoch)

    def forget_leader(self, topic: str, partition: int) -> None:
        self._leaders.pop((topic, partition), None)


class Topics(Client):
    """Creates the topics, then is done."""

    def __init__(self, *args: Any, topics: dict[str, dict[str, str]], partitions: int) -> None:
        super().__init__(*args)
        self._topics = topics
        self._partitions = partitions

    async def run(self) -> None:
        left = dict(self._topics)
        while left and not self.stopping:
            await self.pause()
            request = CreateTopicsRequest(
                topics=[
                    CreatableTopic(
                        name=name,
                        num_partitions=self._partitions,
                        replication_factor=self.cluster.size,
                        configs=[CreatableTopicConfig(name=k, value=v) for k, v in configs.items()],
                    )
                    for name, configs in left.items()
                ],
                timeout_ms=2_000,
            )
            response = await self.ask(self.any_node(), request)
            for result in response.topics if response is not None else ():
                if result.error_code in (ErrorCode.NONE, ErrorCode.TOPIC_ALREADY_EXISTS):
                    left.pop(result.name, None)


class Producer(Client):
    """One record or a few at a time, each again until it is acknowledged."""

    def __init__(self, *args: Any, topic: str, partition: int, acks: int = -1, once: bool) -> None:
        super().__init__(*args)
        self.topic = topic
        self.partition = partition
        self.acks = acks
        self.once = once
        self.sent = self.acked = 0
        self._producer_id, self._epoch = -1, -1
        self._sequence = 0

    async def run(self) -> None:
        if self.once:
            await self._init()
        while not self.stopping:
            await self.pause()
            count = self.rng.choice((1, 1, 1, 2, 3))
            values = [f"{self.name}/{self.sent + i}".encode() for i in range(count)]
            self.sent += count
            for value in values:
                self.history.sent[value] = (self.topic, self.partition)
            if self.once:
                self.history.once.update(values)
            await self._produce(values)

    async def _init(self) -> None:
        while not self.stopping:
            response = await self.ask(self.any_node(), InitProducerIdRequest(transactional_id=None))
            if response is not None and response.error_code == ErrorCode.NONE:
                self._producer_id, self._epoch = response.producer_id, response.producer_epoch
                return
            await self.pause()

    def _batch(self, values: list[bytes]) -> bytearray:
        now_ms = 1_700_000_000_000 + int(self.cluster.loop.time() * 1000)
        options: dict[str, Any] = {}
        if self.once:
            options = {
                "producer_id": self._producer_id,
                "producer_epoch": self._epoch,
                "base_sequence": self._sequence,
            }
        return build_batch([Record(i, now_ms, None, v) for i, v in enumerate(values)], **options)

    async def _produce(self, values: list[bytes]) -> None:
        batch = self._batch(values)
        crc = read_header(batch).crc
        while not self.stopping:
            leader = await self.leader(self.topic, self.partition)
            if leader is None:
                await self.pause()
                continue
            data = PartitionProduceData(index=self.partition, records=bytes(batch))
            request = ProduceRequest(
                acks=self.acks,
                timeout_ms=2_000,
                topic_data=[TopicProduceData(name=self.topic, partition_data=[data])],
            )
            response = await self.ask(leader[0], request)
            if response is not None:
                (answer,) = response.responses[0].partition_responses
                if answer.error_code == ErrorCode.NONE:
                    self._acknowledged(values, answer.base_offset, crc)
                    return
                # A leader that has not heard of its successor knows no better.
                out_of_order = answer.error_code == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
                if out_of_order and self.observer.leads(self.topic, self.partition, leader):
                    self.cluster.fail(
                        f"{self.name}: records before sequence {self._sequence} are missing "
                        f"on broker {leader[0]} in epoch {leader[1]}"
                    )
            self.forget_leader(self.topic, self.partition)
            await self.pause()

    def _acknowledged(self, values: list[bytes], base_offset: int, crc: int) -> None:
        self.acked += len(values)
        self._sequence += len(values)
        self.history.acks += 1
        if self.acks != -1:
            return
        self.cluster.trace.note("acked", self.topic, self.partition, base_offset, values[0])
        known = self.history.acked.setdefault((self.topic, self.partition), {})
        for index, value in enumerate(values):
            known[base_offset + index] = value
        key = self.observer.key_of(self.topic, self.partition)
        if key is not None:
            self.observer.acked(key, base_offset, len(values), crc)


class Reader(Client):
    """Reads a partition as a consumer, over and over."""

    def __init__(self, *args: Any, topic: str, partition: int) -> None:
        super().__init__(*args)
        self.topic = topic
        self.partition = partition
        self.offset = 0

    async def run(self) -> None:
        while not self.stopping:
            leader = await self.leader(self.topic, self.partition)
            if leader is None:
                await self.pause()
                continue
            await self._fetch(*leader)

    async def _fetch(self, leader: int, leader_epoch: int) -> None:
        part = FetchPartition(
            partition=self.partition,
            current_leader_epoch=leader_epoch,
            fetch_offset=self.offset,
            partition_max_bytes=65_536,
        )
        request = FetchRequest(
            max_wait_ms=1_000,
            min_bytes=1,
            max_bytes=1 << 20,
            topics=[FetchTopic(topic=self.topic, partitions=[part])],
        )
        response = await self.ask(leader, request)
        answer = None
        if response is not None and response.responses:
            answer = response.responses[0].partitions[0]
        if answer is None or answer.error_code != ErrorCode.NONE:
            out_of_range = answer is not None and answer.error_code == ErrorCode.OFFSET_OUT_OF_RANGE
            known = (leader, leader_epoch)
            if out_of_range and self.observer.leads(self.topic, self.partition, known):
                self.cluster.fail(
                    f"{self.name}: {self.offset} was committed and is out of range on broker "
                    f"{leader} in epoch {leader_epoch}"
                )
            self.forget_leader(self.topic, self.partition)
            await self.pause()
            return
        key = self.observer.key_of(self.topic, self.partition)
        if answer.records and key is not None:
            end = self.observer.consumed(key, answer.records)
            self.offset = max(self.offset, end)
            self.history.reads += 1
        await self.pause()


class Committer(Client):
    """Commits rising offsets of one group, and looks whether they ever go back."""

    def __init__(self, *args: Any, topic: str) -> None:
        super().__init__(*args)
        self.topic = topic
        self.group = f"group-{self.name}"
        self.tried = 0
        self.committed = -1
        self._coordinator: int | None = None

    async def run(self) -> None:
        while not self.stopping:
            await self.pause(50, 400)
            coordinator = self._coordinator or await self._find()
            if coordinator is None:
                continue
            if self.rng.random() < 0.3:
                ok = await self.check(coordinator)
            else:
                ok = await self._commit(coordinator)
            if not ok:
                self._coordinator = None

    async def _find(self) -> int | None:
        request = FindCoordinatorRequest(key_type=0, coordinator_keys=[self.group])
        response = await self.ask(self.any_node(), request)
        if response is None or response.coordinators[0].error_code != ErrorCode.NONE:
            return None
        self._coordinator = response.coordinators[0].node_id
        return self._coordinator

    async def _commit(self, coordinator: int) -> bool:
        self.tried += 1
        part = OffsetCommitRequestPartition(partition_index=0, committed_offset=self.tried)
        request = OffsetCommitRequest(
            group_id=self.group,
            topics=[OffsetCommitRequestTopic(name=self.topic, partitions=[part])],
        )
        response = await self.ask(coordinator, request)
        if response is None or response.topics[0].partitions[0].error_code != ErrorCode.NONE:
            return False
        self.committed = self.tried
        self.history.commits += 1
        self.history.committed_offsets[self.group] = self.committed
        self.cluster.trace.note("offset committed", self.group, self.committed)
        return True

    async def check(self, coordinator: int) -> bool:
        """False when there was no answer to judge."""
        wanted = OffsetFetchRequestTopics(name=self.topic, partition_indexes=[0])
        group = OffsetFetchRequestGroup(group_id=self.group, topics=[wanted])
        response = await self.ask(coordinator, OffsetFetchRequest(groups=[group]))
        if response is None or response.groups[0].error_code != ErrorCode.NONE:
            return False
        part = response.groups[0].topics[0].partitions[0]
        if part.error_code != ErrorCode.NONE:
            return False
        if not self.committed <= part.committed_offset <= self.tried:
            self.cluster.fail(
                f"{self.group}: {part.committed_offset} is committed according to broker "
                f"{coordinator}; {self.committed} was acknowledged, {self.tried} sent last"
            )
        return True
