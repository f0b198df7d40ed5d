"""Creating and deleting topics.

A topic becomes visible by its topic record, so that record is the last to be written when it is
created and the first to go when it is deleted.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pykbroker.config.definitions import ConfigError
from pykbroker.state.controller.decision import (
    MAX_PARTITIONS_PER_REQUEST,
    Decision,
    Note,
    View,
    excessive,
)
from pykbroker.state.controller.facts import Change
from pykbroker.state.controller.image import ConfigResource, TopicImage
from pykbroker.state.controller.keys import config_key, partition_key, topic_key
from pykbroker.state.controller.partitions import new_partitions, repeated
from pykbroker.state.controller.replay import partition_record
from pykbroker.state.errors import KafkaError
from pykbroker.state.topic_names import check_topic_name
from pykbroker.state.types import NO_TOPIC_ID, TopicId
from wire.errors import ErrorCode
from wire.messages.create_topics import CreatableTopicResult, CreateTopicsResponse
from wire.messages.delete_topics import DeletableTopicResult, DeleteTopicsResponse
from wire.messages.metadata_records import ConfigRecord, TopicRecord

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from pykbroker.state.controller.image import MetadataImage
    from pykbroker.state.seams import Random
    from wire.messages.create_topics import CreatableTopic, CreateTopicsRequest
    from wire.messages.delete_topics import DeleteTopicsRequest

TOPIC_RESOURCE = 2
CLUSTER_METADATA_TOPIC = "__cluster_metadata"
INTERNAL_TOPICS = frozenset(("__consumer_offsets", "__transaction_state", "__share_group_state"))
_RESERVED_IDS = frozenset((NO_TOPIC_ID, bytes(15) + b"\x01"))
"""No topic, and the metadata topic."""


def create_topics(request: CreateTopicsRequest, view: View) -> Decision[CreateTopicsResponse]:
    """``view`` is not moved on: names that appear twice in one request are refused anyway."""
    default = view.settings.int("num.partitions")
    if sum(_wanted_partitions(topic, default) for topic in request.topics) > (
        MAX_PARTITIONS_PER_REQUEST
    ):
        raise excessive()
    decision = Decision(CreateTopicsResponse())
    twice = repeated(topic.name for topic in request.topics)
    taken = _Collisions(view.image)
    for topic in request.topics:
        if topic.name in twice:
            continue
        try:
            taken.check(topic.name)
            result, changes = _create_topic(topic, view)
        except (KafkaError, ConfigError) as error:
            result = _refused(topic.name, error)
        else:
            taken.add(topic.name)
            if not request.validate_only:
                decision.changes += changes
                decision.notes.append(_created(result))
        decision.response.topics.append(result)
    duplicate = KafkaError(ErrorCode.INVALID_REQUEST, "Duplicate topic name.")
    decision.response.topics += [_refused(name, duplicate) for name in sorted(twice)]
    return decision


def _wanted_partitions(topic: CreatableTopic, default: int) -> int:
    if topic.assignments:
        return len(topic.assignments)
    return default if topic.num_partitions == -1 else max(topic.num_partitions, 0)


class _Collisions:
    """Names that would share their metrics: '.' and '_' are the same there."""

    def __init__(self, image: MetadataImage) -> None:
        self._image = image
        self._by_metric: dict[str, str] | None = None

    def check(self, name: str) -> None:
        if name == CLUSTER_METADATA_TOPIC:
            raise KafkaError(
                ErrorCode.INVALID_REQUEST,
                f"Creation of internal topic {CLUSTER_METADATA_TOPIC} is prohibited.",
            )
        check_topic_name(name)
        if name in self._image.topics:
            raise KafkaError(ErrorCode.TOPIC_ALREADY_EXISTS, f"Topic '{name}' already exists.")
        if "." in name or "_" in name:
            other = self._names().get(name.replace(".", "_"))
            if other is not None:
                raise KafkaError(
                    ErrorCode.INVALID_TOPIC_EXCEPTION,
                    f"Topic '{name}' collides with existing topic: {other}",
                )

    def add(self, name: str) -> None:
        self._names().setdefault(name.replace(".", "_"), name)

    def _names(self) -> dict[str, str]:
        if self._by_metric is None:
            self._by_metric = {
                name.replace(".", "_"): name
                for name in self._image.topics
                if "." in name or "_" in name
            }
        return self._by_metric


def _refused(name: str, error: KafkaError | ConfigError) -> CreatableTopicResult:
    code, message = _outcome(error)
    return CreatableTopicResult(name=name, error_code=code, error_message=message)


def _outcome(error: KafkaError | ConfigError) -> tuple[ErrorCode, str | None]:
    if isinstance(error, KafkaError):
        return error.code, error.message
    return ErrorCode.INVALID_CONFIG, str(error)


def _created(result: CreatableTopicResult) -> Note:
    return Note("topic created", {"topic": result.name, "partitions": result.num_partitions})


def _create_topic(topic: CreatableTopic, view: View) -> tuple[CreatableTopicResult, list[Change]]:
    from pykbroker.config.topic import validate_topic_configs

    configs = _creation_configs(topic)
    if configs:
        validate_topic_configs(configs, view.settings)
    partitions = new_partitions(topic, view)
    view.charge(len(partitions))
    topic_id = random_topic_id(view.rng, view.image.topic_names)
    changes = [
        Change(partition_key(topic_id, index), partition_record(topic_id, index, partition))
        for index, partition in enumerate(partitions)
    ]
    changes += _config_changes(view.image, topic.name, configs)
    record = TopicRecord(name=topic.name, topic_id=topic_id)
    changes.append(Change(topic_key(topic.name), record))
    result = CreatableTopicResult(
        name=topic.name,
        topic_id=topic_id,
        error_message=None,
        num_partitions=len(partitions),
        replication_factor=len(partitions[0].replicas),
    )
    return result, changes


def random_topic_id(rng: Random, taken: Collection[TopicId]) -> TopicId:
    """A version 4 UUID whose text does not begin with '-', which tools would read as an option."""
    while True:
        raw = bytearray(rng.randbytes(16))
        raw[6] = raw[6] & 0x0F | 0x40
        raw[8] = raw[8] & 0x3F | 0x80
        topic_id = TopicId(bytes(raw))
        if raw[0] >> 2 != 62 and topic_id not in taken and topic_id not in _RESERVED_IDS:
            return topic_id


def _creation_configs(topic: CreatableTopic) -> dict[str, str]:
    absent = [config.name for config in topic.configs if config.value is None]
    if absent:
        raise KafkaError(
            ErrorCode.INVALID_CONFIG,
            f"Null value not supported for topic configs: {','.join(absent)}",
        )
    return {config.name: config.value for config in topic.configs if config.value is not None}


def _config_changes(
    image: MetadataImage, name: str, configs: Mapping[str, str]
) -> Iterator[Change]:
    """Also what an interrupted deletion of the name left behind goes."""
    resource = ConfigResource(TOPIC_RESOURCE, name)
    for stale in image.config_of(*resource):
        if stale not in configs:
            yield Change(config_key(resource, stale), None)
    for config, value in configs.items():
        record = ConfigRecord(
            resource_type=TOPIC_RESOURCE, resource_name=name, name=config, value=value
        )
        yield Change(config_key(resource, config), record)


def delete_topics(request: DeleteTopicsRequest, view: View) -> Decision[DeleteTopicsResponse]:
    """Topics asked for by name or by id, in whichever list the version has for them."""
    if not view.settings.bool("delete.topic.enable"):
        raise KafkaError(ErrorCode.TOPIC_DELETION_DISABLED, "Topic deletion is disabled.")
    decision = Decision(DeleteTopicsResponse())
    results = decision.response.responses
    asked = [(t.name, TopicId(t.topic_id)) for t in request.topics]
    asked += [(name, NO_TOPIC_ID) for name in request.topic_names]
    found: dict[TopicId, int] = {}
    for (name, topic_id), count in Counter(asked).items():
        try:
            topic = _topic_to_delete(view.image, name, topic_id, count)
        except KafkaError as error:
            results.append(_not_deleted(name, topic_id, error))
        else:
            found[topic.topic_id] = found.get(topic.topic_id, 0) + 1
    for topic_id, count in found.items():
        topic = view.image.topics[view.image.topic_names[topic_id]]
        if count > 1:
            message = "The provided topic name maps to an ID that was already supplied."
            twice = KafkaError(ErrorCode.INVALID_REQUEST, message)
            results.append(_not_deleted(topic.name, topic_id, twice))
            continue
        try:
            view.charge(len(topic.partitions))
        except KafkaError as error:
            results.append(_not_deleted(topic.name, topic_id, error))
            continue
        results.append(DeletableTopicResult(name=topic.name, topic_id=topic_id))
        decision.changes += deletion(view.image, topic)
        decision.notes.append(Note("topic deleted", {"topic": topic.name}))
    return decision


def _not_deleted(name: str | None, topic_id: TopicId, error: KafkaError) -> DeletableTopicResult:
    return DeletableTopicResult(
        name=name, topic_id=topic_id, error_code=error.code, error_message=error.message
    )


def _topic_to_delete(
    image: MetadataImage, name: str | None, topic_id: TopicId, count: int
) -> TopicImage:
    if name is None and topic_id == NO_TOPIC_ID:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "Neither topic name nor id were specified.")
    if name is not None and topic_id != NO_TOPIC_ID:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, "You may not specify both topic name and topic id."
        )
    if count > 1:
        what = "id" if name is None else "name"
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"Duplicate topic {what}.")
    if name is None:
        topic = image.topic_by_id(topic_id)
        if topic is None:
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_ID, "This server does not host this topic ID.")
        return topic
    topic = image.topics.get(name)
    if topic is None:
        raise KafkaError(
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            "This server does not host this topic-partition.",
        )
    return topic


def deletion(image: MetadataImage, topic: TopicImage) -> Iterator[Change]:
    """The topic record first: from then on the topic is gone, and the rest is cleaning up."""
    yield Change(topic_key(topic.name), None)
    resource = ConfigResource(TOPIC_RESOURCE, topic.name)
    for name in image.config_of(*resource):
        yield Change(config_key(resource, name), None)
    for index in range(len(topic.partitions)):
        yield Change(partition_key(topic.topic_id, index), None)
