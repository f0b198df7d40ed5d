"""Clean and named states: what topics, settings, quotas and committed offsets there are.

A state is put back without a restart. Nothing that clients may remember comes twice: topics that
come back have new ids, producer ids go on from where they were, and whoever was in a group is not
known any more. Connections stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pykbroker.state.controller.image import ConfigResource
from pykbroker.testing.engine import Wrong
from wire.errors import ErrorCode
from wire.messages.alter_client_quotas import (
    AlterClientQuotasRequest,
    EntityData,
    EntryData,
    OpData,
)
from wire.messages.create_topics import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
)
from wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from wire.messages.incremental_alter_configs import (
    AlterableConfig,
    AlterConfigsResource,
    IncrementalAlterConfigsRequest,
)
from wire.records.batch import INT16, iter_headers, patch
from wire.records.record import Record, build_batch, iter_records

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pykbroker.state.controller.image import QuotaEntity
    from pykbroker.testing.engine import Engine

CONSUMER_OFFSETS = "__consumer_offsets"
OFFSET_KEYS = (0, 1)
"""Versions of the keys under which offsets are committed; others belong to members."""
TOPIC = 2
SET, DELETE = 0, 1
CHUNK = 1 << 20


class SavedPartition(NamedTuple):
    replicas: tuple[int, ...]
    log_start_offset: int
    batches: bytes


class State(NamedTuple):
    """Everything that ``restore`` brings back."""

    topics: Mapping[str, tuple[SavedPartition, ...]]
    configs: Mapping[ConfigResource, Mapping[str, str]]
    quotas: Mapping[QuotaEntity, Mapping[str, float]]


def clean(engine: Engine) -> State:
    """What a start leaves: no topics, and the settings that are there from the beginning."""
    image = engine.image
    configs = {r: c for r, c in image.configs.items() if r.type != TOPIC}
    return State({}, configs, image.quotas)


async def save(engine: Engine) -> State:
    """What is committed by now. Committed offsets are among it: they are records of a topic."""
    image = engine.image
    topics = {}
    for name, topic in image.topics.items():
        saved = []
        for index, partition in enumerate(topic.partitions):
            log = (await engine.leader_of(name, index)).log
            start, end = log.log_start_offset, log.high_watermark
            parts = bytearray()
            while start < end:
                parts += log.read(start, CHUNK, upper_bound=end, min_one_batch=True).records
                start = _next_offset(parts)
            if name == CONSUMER_OFFSETS:
                parts = _offsets_alone(parts)
                saved.append(SavedPartition(partition.replicas, 0, bytes(parts)))
                continue
            saved.append(SavedPartition(partition.replicas, log.log_start_offset, bytes(parts)))
        topics[name] = tuple(saved)
    return State(topics, image.configs, image.quotas)


def _offsets_alone(batches: bytearray) -> bytearray:
    """Committed offsets as one batch, without the groups' members: nobody would be behind them."""
    last: dict[bytes, Record] = {}
    for position, _ in iter_headers(batches):
        for record in iter_records(batches, position):
            if record.key is not None and INT16.unpack_from(record.key)[0] in OFFSET_KEYS:
                last[record.key] = record
    if not last:
        return bytearray()
    records = sorted(last.values(), key=lambda record: record.offset)
    for index, record in enumerate(records):
        record.offset = index
    return build_batch(records)


def _next_offset(batches: bytearray) -> int:
    return max((header.next_offset for _, header in iter_headers(batches)), default=0)


async def restore(engine: Engine, state: State) -> None:
    """Everything that is there now goes, everything of the state comes back."""
    await _delete_topics(engine)
    await _set_configs(engine, state)
    await _set_quotas(engine, state)
    await _create_topics(engine, state)


async def _delete_topics(engine: Engine) -> None:
    names = list(engine.image.topics)
    if not names:
        return
    request = DeleteTopicsRequest(
        topics=[DeleteTopicState(name=name) for name in names], timeout_ms=30_000
    )
    response = await engine.ask_controller(request)
    gone = (ErrorCode.NONE, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    for one in response.responses:
        if one.error_code not in gone:
            raise Wrong(f"topic {one.name} cannot be deleted: {ErrorCode(one.error_code).name}")


async def _set_configs(engine: Engine, state: State) -> None:
    now = {r: c for r, c in engine.image.configs.items() if r.type != TOPIC}
    wanted = {r: c for r, c in state.configs.items() if r.type != TOPIC}
    resources = []
    for resource in now.keys() | wanted.keys():
        before, after = now.get(resource, {}), wanted.get(resource, {})
        changes = [
            AlterableConfig(name=name, config_operation=SET, value=value)
            for name, value in after.items()
            if before.get(name) != value
        ]
        changes += [
            AlterableConfig(name=name, config_operation=DELETE)
            for name in before.keys() - after.keys()
        ]
        if changes:
            resources.append(
                AlterConfigsResource(
                    resource_type=resource.type, resource_name=resource.name, configs=changes
                )
            )
    if resources:
        response = await engine.ask_controller(IncrementalAlterConfigsRequest(resources=resources))
        for one in response.responses:
            if one.error_code != ErrorCode.NONE:
                raise Wrong(f"configs of {one.resource_name!r}: {one.error_message}")


async def _set_quotas(engine: Engine, state: State) -> None:
    now = engine.image.quotas
    entries = []
    for entity in now.keys() | state.quotas.keys():
        before, after = now.get(entity, {}), state.quotas.get(entity, {})
        operations = [
            OpData(key=key, value=value) for key, value in after.items() if before.get(key) != value
        ]
        operations += [OpData(key=key, remove=True) for key in before.keys() - after.keys()]
        if operations:
            parts = [EntityData(entity_type=kind, entity_name=name) for kind, name in entity.parts]
            entries.append(EntryData(entity=parts, ops=operations))
    if entries:
        response = await engine.ask_controller(AlterClientQuotasRequest(entries=entries))
        for one in response.entries:
            if one.error_code != ErrorCode.NONE:
                raise Wrong(f"quotas: {one.error_message}")


async def _create_topics(engine: Engine, state: State) -> None:
    topics = [
        CreatableTopic(
            name=name,
            num_partitions=-1,
            replication_factor=-1,
            assignments=[
                CreatableReplicaAssignment(
                    partition_index=index, broker_ids=list(partition.replicas)
                )
                for index, partition in enumerate(partitions)
            ],
            configs=[
                CreatableTopicConfig(name=key, value=value)
                for key, value in state.configs.get(ConfigResource(TOPIC, name), {}).items()
            ],
        )
        for name, partitions in state.topics.items()
    ]
    if not topics:
        return
    response = await engine.ask_controller(CreateTopicsRequest(topics=topics, timeout_ms=30_000))
    for one in response.topics:
        if one.error_code != ErrorCode.NONE:
            raise Wrong(f"topic {one.name} cannot be made again: {one.error_message}")
    for name, partitions in state.topics.items():
        for index, saved in enumerate(partitions):
            await _fill(engine, name, index, saved)


async def _fill(engine: Engine, topic: str, index: int, saved: SavedPartition) -> None:
    partition = await engine.leader_of(topic, index)
    batches = bytearray(saved.batches)
    base_offset = None
    for position, header in iter_headers(batches):
        patch(batches, position, leader_epoch=partition.leader_epoch)
        if base_offset is None:
            base_offset = header.base_offset
    partition.restore(saved.log_start_offset if base_offset is None else base_offset, batches)
    end = partition.log_end_offset
    if topic == CONSUMER_OFFSETS:
        groups = engine.services(partition.state.node_id).groups
        groups.on_resigned(index)
        groups.on_elected(index, partition, partition.leader_epoch)
    await engine.until(lambda: partition.high_watermark >= end, f"{topic}-{index} committed")
    partition.log.advance_log_start_offset(saved.log_start_offset)
