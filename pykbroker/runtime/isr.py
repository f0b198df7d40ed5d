"""Asking the controller for another ISR, on behalf of the partitions that this broker leads.

What the partitions propose is sent in one AlterPartition at a time: what comes meanwhile goes with
the next. A partition has one proposal at most, and keeps it until an answer says what became of
it; an answer that says nothing sure, or none, has the same proposal sent again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from pykbroker.log import get_logger
from pykbroker.state.errors import KafkaError
from pykbroker.state.types import NodeId, TopicId
from wire.errors import ErrorCode
from wire.messages.alter_partition import (
    AlterPartitionRequest,
    AlterPartitionResponse,
    BrokerState,
    PartitionData,
    TopicData,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Protocol

    from pykbroker.config.settings import DynamicSettings
    from pykbroker.ports import Clock
    from pykbroker.runtime.partition import Partition
    from pykbroker.runtime.replica_manager import ReplicaManager
    from pykbroker.state.replica import IsrChange
    from wire.messages.alter_partition import AlterPartitionResponsePartitionData
    from wire.schema import Request

    class AsksController(Protocol):
        async def call(self, request: Request) -> Any: ...

    Key = tuple[TopicId, int]
    Proposals = dict[Key, tuple[Partition, IsrChange]]

logger = get_logger("pykbroker.runtime.isr")

RETRY_MS = 100
LONGEST_RETRY_MS = 2_000
NAMED = 5
"""Partitions of which a log line says the names."""


class IsrUpdates:
    def __init__(
        self,
        *,
        node_id: NodeId,
        clock: Clock,
        settings: DynamicSettings,
        replicas: ReplicaManager,
        controller: AsksController,
        broker_epoch: Callable[[], int],
    ) -> None:
        self._node_id = node_id
        self._clock = clock
        self._settings = settings
        self._replicas = replicas
        self._controller = controller
        self.broker_epoch = broker_epoch
        """This broker's, or -1 while it is not registered."""
        self._unsent: Proposals = {}
        self._news = anyio.Event()
        self.expansions = self.shrinks = self.failures = 0

    def send(self, partition: Partition, change: IsrChange) -> None:
        self._unsent[partition.topic_id, partition.topic_partition.partition] = (partition, change)
        self._news.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._shrink_from_time_to_time)
            await self._send_for_ever()

    async def _shrink_from_time_to_time(self) -> None:
        while True:
            max_lag_ms = self._settings.current.int("replica.lag.time.max.ms")
            await self._clock.sleep(max(max_lag_ms // 2, 1))
            for partition in list(self._replicas.partitions()):
                if partition.is_leader:
                    self._shrink(partition, max_lag_ms)

    @staticmethod
    def _shrink(partition: Partition, max_lag_ms: int) -> None:
        try:
            partition.shrink_isr(max_lag_ms)
        except KafkaError as error:
            place = str(partition.topic_partition)
            logger.warning("ISR not looked at", partition=place, reason=str(error))

    async def _send_for_ever(self) -> None:
        failures = 0
        while True:
            if not self._unsent:
                self._news = anyio.Event()
                await self._news.wait()
            batch = {k: (p, c) for k, (p, c) in self._unsent.items() if p.state.pending is c}
            self._unsent = {}
            if not batch:
                continue
            again = self._settle(batch, await self._ask(batch))
            self._replicas.wakeups.run()
            for key, proposal in again.items():
                self._unsent.setdefault(key, proposal)
            failures = failures + 1 if again else 0
            if again:
                self.failures += 1
                await self._clock.sleep(min(RETRY_MS << min(failures - 1, 8), LONGEST_RETRY_MS))

    async def _ask(self, batch: Proposals) -> AlterPartitionResponse | None:
        """None: no answer, or one that says nothing of the partitions."""
        try:
            response: AlterPartitionResponse = await self._controller.call(self._request(batch))
        except KafkaError as error:
            logger.info("ISR not changed", partitions=len(batch), reason=str(error))
            return None
        if response.error_code:
            reason = ErrorCode(response.error_code).name
            logger.info("ISR not changed", partitions=len(batch), reason=reason)
            return None
        return response

    def _request(self, batch: Proposals) -> AlterPartitionRequest:
        topics: dict[TopicId, TopicData] = {}
        for (topic_id, index), (partition, change) in batch.items():
            topic = topics.get(topic_id)
            if topic is None:
                name = partition.topic_partition.topic
                topic = topics[topic_id] = TopicData(topic_name=name, topic_id=topic_id)
            topic.partitions.append(
                PartitionData(
                    partition_index=index,
                    leader_epoch=change.leader_epoch,
                    new_isr_with_epochs=[
                        BrokerState(broker_id=node, broker_epoch=epoch)
                        for node, epoch in change.isr.items()
                    ],
                    partition_epoch=change.partition_epoch,
                )
            )
        return AlterPartitionRequest(
            broker_id=self._node_id,
            broker_epoch=self.broker_epoch(),
            topics=list(topics.values()),
        )

    def _settle(self, batch: Proposals, response: AlterPartitionResponse | None) -> Proposals:
        """What must be asked again."""
        answers: dict[Key, AlterPartitionResponsePartitionData] = {}
        for topic in response.topics if response is not None else ():
            for data in topic.partitions:
                answers[TopicId(topic.topic_id), data.partition_index] = data
        again: Proposals = {}
        done: list[tuple[Partition, IsrChange]] = []
        for key, (partition, change) in batch.items():
            if partition.state.pending is not change:
                # The metadata have settled it, and the ISR is theirs.
                if change.nodes == frozenset(partition.state.isr):
                    done.append((partition, change))
                continue
            answer = answers.get(key)
            if answer is None or answer.error_code:
                code = ErrorCode(answer.error_code) if answer else ErrorCode.REQUEST_TIMED_OUT
                if partition.isr_refused(change, code):
                    again[key] = (partition, change)
                else:
                    place = str(partition.topic_partition)
                    logger.info("ISR not changed", partition=place, reason=code.name)
                continue
            isr = frozenset(NodeId(node) for node in answer.isr)
            partition.isr_changed(change, isr, answer.leader_epoch, answer.partition_epoch)
            if change.nodes == isr:
                done.append((partition, change))
        self._tell([entry for entry in done if entry[1].is_expansion], "ISR expanded")
        shrinks = [entry for entry in done if not entry[1].is_expansion]
        self._tell(shrinks, "ISR shrunk")
        self.expansions += len(done) - len(shrinks)
        self.shrinks += len(shrinks)
        return again

    def _tell(self, changes: Sequence[tuple[Partition, IsrChange]], event: str) -> None:
        """A broker that comes or goes changes many at a time: one line, and each at DEBUG."""
        if not changes:
            return
        names = [str(partition.topic_partition) for partition, _ in changes]
        if len(changes) == 1:
            logger.info(event, partition=names[0], isr=sorted(changes[0][1].nodes))
            return
        shown = ",".join(names[:NAMED]) + (",..." if len(names) > NAMED else "")
        logger.info(event, partitions=len(changes), names=shown)
        for name, (_, change) in zip(names, changes, strict=True):
            logger.debug(event, partition=name, isr=sorted(change.nodes))
