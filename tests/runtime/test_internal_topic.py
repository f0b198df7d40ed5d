"""Where a key lives, and how the topic behind it comes to be."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from pykbroker.runtime.internal_topic import InternalTopic
from pykbroker.state.errors import KafkaError
from pykbroker.state.java_hash import partition_for
from tests.support.data_path import DataPath, broker_image, partition_image
from wire.errors import ErrorCode
from wire.messages.create_topics import (
    CreatableTopic,
    CreatableTopicResult,
    CreateTopicsRequest,
    CreateTopicsResponse,
)

NAME = "__consumer_offsets"


class SlowController:
    """Answers when the test lets it."""

    def __init__(self, path: DataPath) -> None:
        self.path = path
        self.requests: list[CreateTopicsRequest] = []
        self.go = anyio.Event()
        self.code = ErrorCode.NONE

    async def call(self, request: CreateTopicsRequest) -> CreateTopicsResponse:
        self.requests.append(request)
        await self.go.wait()
        if self.code is ErrorCode.NOT_CONTROLLER:
            raise KafkaError(self.code)
        if self.code is ErrorCode.NONE:
            self.path.create(NAME, request.topics[0].num_partitions)
        result = CreatableTopicResult(name=NAME, error_code=self.code, error_message="no")
        return CreateTopicsResponse(topics=[result])


def topic(path: DataPath, controller: Any = None, partitions: int = 4) -> InternalTopic:
    def definition() -> CreatableTopic:
        return CreatableTopic(name=NAME, num_partitions=partitions, replication_factor=1)

    return InternalTopic(NAME, definition, path.images, controller)  # type: ignore[arg-type]


def test_before_it_is_there_the_settings_say_where_a_key_will_live() -> None:
    internal = topic(DataPath())
    assert not internal.exists
    assert internal.partition_for("key") == partition_for("key", 4)
    assert internal.leader_for("key") == -1


def test_partitions_that_are_added_later_move_no_key() -> None:
    path = DataPath()
    internal = topic(path)
    path.create(NAME, 3)
    assert internal.exists
    assert internal.partition_for("key") == partition_for("key", 3)
    path.elect(NAME, *(partition_image() for _ in range(7)))
    assert internal.partition_for("key") == partition_for("key", 3)
    path.delete(NAME)
    path.create(NAME, 7)
    assert internal.partition_for("key") == partition_for("key", 7), "it is another topic"


def test_a_leader_that_is_gone_or_fenced_is_none() -> None:
    path = DataPath()
    internal = topic(path)
    path.create(NAME, 1)
    assert internal.leader_for("key") == 1
    path.brokers(broker_image(1, fenced=True))
    assert internal.leader_for("key") == -1
    path.brokers()
    assert internal.leader_for("key") == -1


@pytest.mark.anyio
async def test_it_is_created_once_for_all_who_ask() -> None:
    path = DataPath()
    controller = SlowController(path)
    internal = topic(path, controller)
    done: list[int] = []

    async def ask(number: int) -> None:
        await internal.create()
        assert internal.exists
        done.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(ask, number)
        await anyio.wait_all_tasks_blocked()
        assert done == []
        controller.go.set()
    assert sorted(done) == [0, 1, 2]
    assert len(controller.requests) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("code", [ErrorCode.INVALID_REPLICATION_FACTOR, ErrorCode.NOT_CONTROLLER])
async def test_when_it_cannot_be_created_the_next_one_tries_again(code: ErrorCode) -> None:
    path = DataPath()
    controller = SlowController(path)
    controller.code = code
    controller.go.set()
    internal = topic(path, controller)
    await internal.create()
    assert not internal.exists
    controller.code = ErrorCode.NONE
    await internal.create()
    assert internal.exists
    assert len(controller.requests) == 2


@pytest.mark.anyio
async def test_whoever_created_it_and_went_away_leaves_the_others_free() -> None:
    path = DataPath()
    internal = topic(path, SlowController(path))
    async with anyio.create_task_group() as first:
        first.start_soon(internal.create)
        await anyio.wait_all_tasks_blocked()
        async with anyio.create_task_group() as second:
            second.start_soon(internal.create)
            await anyio.wait_all_tasks_blocked()
            first.cancel_scope.cancel()
    assert internal._creation is None
    assert not internal.exists
