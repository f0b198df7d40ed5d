"""What the metadata know of the partitions that an unclean start has to judge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykbroker.config.topic import log_config
from pykbroker.runtime.storage.results import KnownPartition
from pykbroker.state.types import NO_TOPIC_ID

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykbroker.config.settings import Settings
    from pykbroker.state.controller.image import MetadataImage
    from pykbroker.state.types import TopicId, TopicPartition

TOPIC_RESOURCE = 2


def known_partitions(
    image: MetadataImage, settings: Settings
) -> Callable[[TopicPartition, TopicId], KnownPartition | None]:
    """For ``LogManager.start``. A partition of another topic of the same name is not known."""

    def known(topic_partition: TopicPartition, topic_id: TopicId) -> KnownPartition | None:
        name, partition = topic_partition
        topic = image.topics.get(name)
        if topic is None or partition >= len(topic.partitions):
            return None
        if topic_id not in (topic.topic_id, NO_TOPIC_ID):
            return None
        config = log_config(settings, image.config_of(TOPIC_RESOURCE, name))
        return KnownPartition(config, topic.partitions[partition].leader_epoch)

    return known
