"""InitProducerId: every producer its own id, and a plain end to transactions."""

from __future__ import annotations

import anyio
import pytest

from pykbroker.handlers import inter_broker as _inter_broker  # noqa: F401
from pykbroker.handlers import producer_ids as _registered  # noqa: F401
from pykbroker.state.errors import KafkaError
from tests.support.cluster_broker import ClusterBroker
from tests.support.cluster_images import Cluster
from wire.errors import ErrorCode
from wire.messages.allocate_producer_ids import AllocateProducerIdsRequest
from wire.messages.init_producer_id import InitProducerIdRequest

pytestmark = pytest.mark.anyio
E = ErrorCode


def init(**fields: object) -> InitProducerIdRequest:
    return InitProducerIdRequest(**{"transactional_id": None} | fields)  # type: ignore[arg-type]


async def test_ids_are_handed_out_one_by_one_from_blocks() -> None:
    broker = ClusterBroker(Cluster(1))
    answers = [await broker.ask(init()) for _ in range(2_001)]
    assert [a.producer_id for a in answers] == list(range(2_001))
    assert {(a.error_code, a.producer_epoch) for a in answers} == {(E.NONE, 0)}
    assert len(broker.asked) == 3, "one request to the controller for a thousand ids"


async def test_of_many_who_need_a_block_one_asks_for_it() -> None:
    broker = ClusterBroker(Cluster(1))
    taken: list[int] = []

    async def one() -> None:
        taken.append((await broker.ask(init())).producer_id)

    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(one)
    assert sorted(taken) == list(range(50))
    assert len(broker.asked) == 1


async def test_a_producer_that_gives_its_id_gets_a_new_one() -> None:
    broker = ClusterBroker(Cluster(1))
    first = await broker.ask(init())
    again = await broker.ask(init(producer_id=first.producer_id, producer_epoch=3))
    assert (again.producer_id, again.producer_epoch) == (1, 0)


@pytest.mark.parametrize("fields", [{"producer_id": 5}, {"producer_epoch": 0}])
async def test_an_id_and_an_epoch_come_together(fields: dict[str, int]) -> None:
    assert (await ClusterBroker(Cluster(1)).ask(init(**fields))).error_code == E.INVALID_REQUEST


@pytest.mark.parametrize(
    ("transactional_id", "code"),
    [("", E.INVALID_REQUEST), ("tx", E.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)],
)
async def test_a_transactional_id_is_refused_for_good(
    transactional_id: str, code: ErrorCode
) -> None:
    answer = await ClusterBroker(Cluster(1)).ask(init(transactional_id=transactional_id))
    assert (answer.error_code, answer.producer_id, answer.producer_epoch) == (code, -1, -1)


async def test_without_a_controller_there_are_no_ids_for_now() -> None:
    broker = ClusterBroker(Cluster(1))
    broker.fails_with = KafkaError(E.NOT_CONTROLLER)
    answer = await broker.ask(init())
    assert (answer.error_code, answer.producer_epoch) == (E.COORDINATOR_LOAD_IN_PROGRESS, -1)
    broker.fails_with = None
    assert (await broker.ask(init())).producer_id == 0


async def test_a_controller_that_does_not_answer_is_not_waited_for_long() -> None:
    broker = ClusterBroker(Cluster(1))
    answers: list[int] = []
    answering = broker.call

    async def silent(*_: object, **__: object) -> None:
        await anyio.sleep_forever()

    async def one() -> None:
        answers.append((await broker.ask(init())).error_code)

    broker.call = silent  # type: ignore[method-assign,assignment]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(one)
        tasks.start_soon(one)
        await anyio.wait_all_tasks_blocked()
        assert not answers
        broker.clock.advance(3_000)
    assert answers == [E.COORDINATOR_LOAD_IN_PROGRESS] * 2
    broker.call = answering  # type: ignore[method-assign]
    assert (await broker.ask(init())).producer_id == 0


async def test_a_broker_that_is_not_registered_yet_says_try_again() -> None:
    answer = await ClusterBroker(Cluster(2)).ask(init())
    assert answer.error_code == E.COORDINATOR_LOAD_IN_PROGRESS


async def test_blocks_are_allocated_for_other_brokers_too() -> None:
    broker = ClusterBroker(Cluster(1, 2))
    answer = await broker.ask(AllocateProducerIdsRequest(broker_id=2, broker_epoch=102))
    assert (answer.producer_id_start, answer.producer_id_len) == (0, 1000)
