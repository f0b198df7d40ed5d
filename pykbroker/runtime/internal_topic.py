"""A topic in which coordinators keep their state: where a key lives, and making the topic.

The number of partitions decides where a key lives, so it must not change under the keys: it is
that which the topic had when this broker first saw it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from pykbroker.log import get_logger
from pykbroker.state.errors import KafkaError
from pykbroker.state.java_hash import partition_for
from pykbroker.state.types import NO_LEADER, NO_TOPIC_ID, NodeId, TopicId
from wire.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykbroker.runtime.controller_client import ControllerClient
    from pykbroker.runtime.metadata import Images
    from wire.messages.create_topics import CreatableTopic

logger = get_logger("pykbroker.runtime.internal_topic")

CREATION_TIMEOUT_MS = 10_000


class InternalTopic:
    def __init__(
        self,
        name: str,
        definition: Callable[[], CreatableTopic],
        images: Images,
        controller: ControllerClient,
    ) -> None:
        """``definition``: the topic as it is to be created, by the settings of the moment."""
        self.name = name
        self._definition = definition
        self._images = images
        self._controller = controller
        self._topic_id = NO_TOPIC_ID
        self._partitions = 0
        self._creation: anyio.Event | None = None

    def partition_for(self, key: str) -> int:
        return partition_for(key, self._partition_count())

    def _partition_count(self) -> int:
        topic = self._images.current.topics.get(self.name)
        if topic is None:
            return self._definition().num_partitions
        if topic.topic_id != self._topic_id:
            self._topic_id = TopicId(topic.topic_id)
            self._partitions = len(topic.partitions)
        return self._partitions

    def leader_for(self, key: str) -> NodeId:
        """-1 while the topic, or a leader of the partition, is missing."""
        image = self._images.current
        topic = image.topics.get(self.name)
        if topic is None:
            return NO_LEADER
        leader = topic.partitions[self.partition_for(key)].leader
        broker = image.brokers.get(leader)
        return NO_LEADER if broker is None or broker.fenced else leader

    @property
    def exists(self) -> bool:
        return self.name in self._images.current.topics

    async def create(self) -> None:
        """Once for everybody who asks meanwhile. It may fail: then the topic is still missing."""
        if self._creation is not None:
            await self._creation.wait()
            return
        creation = self._creation = anyio.Event()
        try:
            await self._create()
        finally:
            self._creation = None
            creation.set()

    async def _create(self) -> None:
        from wire.messages.create_topics import CreateTopicsRequest

        topic = self._definition()
        request = CreateTopicsRequest(topics=[topic], timeout_ms=CREATION_TIMEOUT_MS)
        try:
            response = await self._controller.call(request)
        except KafkaError as error:
            logger.warning("internal topic not created", topic=topic.name, reason=str(error))
            return
        for result in response.topics:
            code = ErrorCode(result.error_code)
            if code not in (ErrorCode.NONE, ErrorCode.TOPIC_ALREADY_EXISTS):
                reason = f"{code.name}: {result.error_message}"
                logger.warning("internal topic not created", topic=topic.name, reason=reason)
