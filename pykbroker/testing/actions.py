"""What tests ask of running brokers, as coroutines over an ``Engine``; arguments and results are
plain, so that they cross to another process as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio

from pykbroker.testing import states
from pykbroker.testing.engine import PATIENCE_S, Wrong
from pykbroker.testing.records import Record
from wire.errors import ErrorCode
from wire.messages.create_topics import CreatableTopic, CreatableTopicConfig, CreateTopicsRequest
from wire.messages.delete_topics import DeleteTopicsRequest, DeleteTopicState
from wire.records.batch import iter_headers
from wire.records.record import iter_records

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from pykbroker.runtime.waiters import Deferral
    from pykbroker.testing.engine import Engine

CLEAN = ""
"""The state that every start leaves."""
INTERNAL = "__"
REBALANCING = ("PreparingRebalance", "CompletingRebalance")


async def create_topic(
    engine: Engine,
    name: str,
    partitions: int = 1,
    replication_factor: int | None = None,
    configs: Mapping[str, str] | None = None,
) -> None:
    factor = min(3, engine.count) if replication_factor is None else replication_factor
    topic = CreatableTopic(
        name=name,
        num_partitions=partitions,
        replication_factor=factor,
        configs=[CreatableTopicConfig(name=k, value=v) for k, v in (configs or {}).items()],
    )
    response = await engine.ask_controller(CreateTopicsRequest(topics=[topic], timeout_ms=30_000))
    _check(response.topics[0])
    for index in range(partitions):
        await engine.leader_of(name, index)


async def delete_topic(engine: Engine, name: str) -> None:
    request = DeleteTopicsRequest(topics=[DeleteTopicState(name=name)], timeout_ms=30_000)
    _check((await engine.ask_controller(request)).responses[0])


def _check(answer: Any) -> None:
    if answer.error_code != ErrorCode.NONE:
        text = f": {answer.error_message}" if answer.error_message else ""
        raise Wrong(f"{answer.name}: {ErrorCode(answer.error_code).name}{text}")


async def topics(engine: Engine) -> list[str]:
    return sorted(name for name in engine.image.topics if not name.startswith(INTERNAL))


async def records(
    engine: Engine, topic: str, partition: int | None = None, at_least: int = 0
) -> list[Record]:
    """What is committed, by partition and offset; markers of transactions left out."""
    found: list[Record] = []
    with anyio.move_on_after(PATIENCE_S):
        while True:
            count = len(engine.topic(topic).partitions)
            chosen = range(count) if partition is None else [partition]
            found = [r for index in chosen for r in await _records_of(engine, topic, index)]
            if len(found) >= at_least:
                return found
            await anyio.sleep(0.005)
    raise Wrong(f"{len(found)} of {at_least} records came to {topic}")


async def _records_of(engine: Engine, topic: str, index: int) -> list[Record]:
    if index >= len(engine.topic(topic).partitions):
        raise Wrong(f"there is no partition {index} of {topic!r}")
    log = (await engine.leader_of(topic, index)).log
    found: list[Record] = []
    offset, end = log.log_start_offset, log.high_watermark
    while offset < end:
        batches = log.read(offset, states.CHUNK, upper_bound=end, min_one_batch=True).records
        for position, header in iter_headers(batches):
            offset = header.next_offset
            if not header.is_control:
                found.extend(
                    Record(topic, index, r.offset, r.timestamp, r.key, r.value, tuple(r.headers))
                    for r in iter_records(batches, position)
                    if r.offset >= log.log_start_offset
                )
    return found


async def groups(engine: Engine) -> list[str]:
    found: set[str] = set()
    for node_id in range(1, engine.count + 1):
        try:
            services = engine.services(node_id)
        except Wrong:
            continue  # it was killed
        listed = await _answer(services.groups.list_groups((), ()))
        found |= {group.group_id for group in listed.groups}
    return sorted(found)


async def wait_for_group(
    engine: Engine, group: str, members: int = 1, state: str = "Stable"
) -> list[dict[str, Any]]:
    """Until the group has so many members and is in that state; the members."""
    described: Any = None
    with anyio.move_on_after(PATIENCE_S):
        while True:
            described = await _describe(engine, group)
            if described and (len(described.members), described.group_state) == (members, state):
                return [
                    {
                        "member_id": member.member_id,
                        "client_id": member.client_id,
                        "group_instance_id": member.group_instance_id,
                    }
                    for member in described.members
                ]
            await anyio.sleep(0.01)
    now = "unknown"
    if described:
        now = f"{described.group_state} with {len(described.members)} members"
    raise Wrong(f"group {group!r} is {now}, not {state} with {members}")


async def _describe(engine: Engine, group: str) -> Any:
    """None while there is no coordinator that knows."""
    services = engine.services()
    topic = engine.image.topics.get(states.CONSUMER_OFFSETS)
    if topic is None:
        return None
    leader = topic.partitions[services.groups.topic.partition_for(group)].leader
    try:
        services = engine.services(leader)
    except Wrong:
        return None
    (described,) = await _answer(services.groups.describe_groups([group]))
    return described if described.error_code == ErrorCode.NONE else None


async def _answer(deferral: Deferral[Any]) -> Any:
    done = anyio.Event()
    answers: list[Any] = []

    def completed(answer: Any) -> None:
        answers.append(answer)
        done.set()

    deferral.when_done(completed)
    await done.wait()
    return answers[0]


async def committed(engine: Engine, group: str) -> dict[tuple[str, int], int]:
    """The group's committed offsets."""
    from wire.messages.offset_fetch import OffsetFetchRequestGroup

    topic = engine.image.topics.get(states.CONSUMER_OFFSETS)
    if topic is None:
        return {}
    index = engine.services().groups.topic.partition_for(group)
    partition = await engine.leader_of(states.CONSUMER_OFFSETS, index)
    coordinator = engine.services(partition.state.node_id).groups
    request = OffsetFetchRequestGroup(group_id=group, topics=None)
    answer = await _answer(coordinator.fetch_offsets(request, False, lambda code: code))
    if isinstance(answer, ErrorCode):
        raise Wrong(f"offsets of {group!r}: {answer.name}")
    return {
        (topic.name, one.partition_index): one.committed_offset
        for topic in answer.topics
        for one in topic.partitions
        if one.committed_offset >= 0
    }


def save_clean(engine: Engine) -> None:
    engine.saved[CLEAN] = states.clean(engine)


async def save(engine: Engine, name: str) -> None:
    engine.saved[name] = await states.save(engine)


async def reset(engine: Engine, name: str = CLEAN) -> None:
    if name not in engine.saved:
        known = ", ".join(sorted(filter(None, engine.saved))) or "none"
        raise Wrong(f"no state was saved as {name!r}; there are: {known}")
    await states.restore(engine, engine.saved[name])


async def settled(engine: Engine) -> list[str]:
    """The addresses of the running brokers, once they agree on what there is."""
    await engine.settle()
    return engine.bootstrap()


async def kill(engine: Engine, node_id: int) -> None:
    await engine.kill(node_id)


async def shut_down(engine: Engine, node_id: int) -> None:
    await engine.shut_down(node_id)


async def start(engine: Engine, node_id: int) -> None:
    await engine.start(node_id)


ACTIONS: dict[str, Callable[..., Coroutine[Any, Any, Any]]] = {
    action.__name__: action
    for action in (
        create_topic,
        delete_topic,
        topics,
        records,
        groups,
        wait_for_group,
        committed,
        save,
        reset,
        settled,
        kill,
        shut_down,
        start,
    )
}
