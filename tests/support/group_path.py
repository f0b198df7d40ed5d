"""A broker's data path with its group coordinator; requests and answers cross the wire.

The topic of group state is made by a controller that is asked for it, as in a cluster. With
``replicas=(1, 2)`` its partitions have a second replica, and nothing is committed before ``commit``
says that it has fetched.
"""

from __future__ import annotations

import inspect
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pykbroker.handlers.coordinators
import pykbroker.handlers.groups
import pykbroker.handlers.offsets  # noqa: F401
from pykbroker.runtime.group_coordinator import CONSUMER_OFFSETS, GroupCoordinator
from pykbroker.runtime.waiters import Deferral
from tests.support.data_path import DataPath, broker_image, partition_image
from tests.support.group_scenario import subscription
from wire.codec import decode_exact, encode_response
from wire.errors import ErrorCode
from wire.messages.create_topics import (
    CreatableTopicResult,
    CreateTopicsRequest,
    CreateTopicsResponse,
)
from wire.messages.fetch import FetchPartition
from wire.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol
from wire.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment
from wire.persisted import decode_record
from wire.records.batch import iter_headers
from wire.records.record import iter_records

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from wire.schema import Request

GROUP = "g"


class Controller:
    """Creates topics at once, or says why it does not."""

    def __init__(self, path: GroupPath, replicas: tuple[int, ...]) -> None:
        self.path = path
        self.replicas = replicas
        self.requests: list[CreateTopicsRequest] = []
        self.refusal = ErrorCode.NONE

    async def call(self, request: CreateTopicsRequest, **_: Any) -> CreateTopicsResponse:
        self.requests.append(request)
        topic = request.topics[0]
        if self.refusal is ErrorCode.NONE:
            partitions = [
                partition_image(replicas=self.replicas) for _ in range(topic.num_partitions)
            ]
            configs = {config.name: config.value for config in topic.configs}
            self.path.create(topic.name, partitions, **configs)
        return CreateTopicsResponse(
            topics=[CreatableTopicResult(name=topic.name, error_code=self.refusal)]
        )


class Answer:
    """What a request came to; ``response`` is there once it has been answered."""

    def __init__(self) -> None:
        self.responses: list[Any] = []
        self.deferral: Deferral[Any] | None = None

    @property
    def response(self) -> Any:
        (only,) = self.responses
        return only

    @property
    def waits(self) -> bool:
        return not self.responses


class GroupPath(DataPath):
    def __init__(self, *, replicas: tuple[int, ...] = (1,), **settings: Any) -> None:
        defaults = {
            "offsets_topic_num_partitions": 4,
            "offsets_topic_replication_factor": len(replicas),
            "group_initial_rebalance_delay_ms": 0,
            "group_min_session_timeout_ms": 100,
        }
        brokers = [broker_image(node) for node in replicas]
        disk = settings.pop("disk", None)
        super().__init__(disk=disk, brokers=brokers, **{**defaults, **settings})
        self.controller = Controller(self, replicas)
        self.groups = GroupCoordinator(
            clock=self.clock,
            rng=Random(5),
            settings=self.settings,
            images=self.images,  # type: ignore[arg-type]
            replicas=self.replicas,
            controller=self.controller,  # type: ignore[arg-type]
        )
        self.services = SimpleNamespace(**vars(self.services), groups=self.groups)

    # Requests

    def ask(self, request: Request, version: int, **options: Any) -> Answer:
        """Encoded and decoded at its version on the way in, and the answer on the way out."""
        answer = Answer()

        def told(response: Any) -> None:
            encoded = b"".join(encode_response(response, version))
            answer.responses.append(decode_exact(type(response), version, encoded))

        outcome = self.call(request, version, **options)
        if inspect.iscoroutine(outcome):
            outcome = run(outcome)
        if isinstance(outcome, Deferral):
            answer.deferral = outcome
            outcome.when_done(told)
        else:
            told(outcome)
        return answer

    def now(self, request: Request, version: int, **options: Any) -> Any:
        """The response, which must come at once."""
        return self.ask(request, version, **options).response

    def ready(self) -> GroupPath:
        """With the topic of group state."""
        run(self.groups.topic.create())
        return self

    # The topic of group state

    def commit(self) -> None:
        """The other replica has fetched everything."""
        for index in range(len(self.images.current.topics[CONSUMER_OFFSETS].partitions)):
            partition = self.partition(CONSUMER_OFFSETS, index)
            end = partition.log_end_offset
            request = FetchPartition(
                partition=index, current_leader_epoch=partition.leader_epoch, fetch_offset=end
            )
            partition.follower_fetched(self.replicas.brokers[2].node_id, 12, request, end)
        self.replicas.wakeups.run()

    def move(self, index: int, *, to: int, epoch: int) -> None:
        """Another broker leads the partition, or this one again."""
        old = self.images.current.topics[CONSUMER_OFFSETS].partitions
        moved = partition_image(to, epoch=epoch, version=epoch, replicas=(1, 2))
        self.elect(CONSUMER_OFFSETS, *(moved if i == index else p for i, p in enumerate(old)))

    def logged(self) -> list[tuple[Any, Any, int]]:
        """Every record of the topic: key, value, version of the value."""
        return [decoded for i in range(4) for decoded in self._logged(i)]

    def _logged(self, index: int) -> Iterable[tuple[Any, Any, int]]:
        log = self.partition(CONSUMER_OFFSETS, index).log
        data = log.read(log.log_start_offset, 1 << 30).records
        for position, _ in iter_headers(data):
            for record in iter_records(data, position):
                assert record.key is not None
                decoded = decode_record(record.key, record.value)
                assert decoded is not None
                yield tuple(decoded)


def run(coroutine: Awaitable[Any]) -> Any:
    """To its end, which needs no event loop here."""
    try:
        coroutine.send(None)  # type: ignore[attr-defined]
    except StopIteration as stop:
        return stop.value
    raise AssertionError("the coroutine waits for something")


# Members


def join_request(version: int, member_id: str = "", **fields: Any) -> JoinGroupRequest:
    request = JoinGroupRequest(
        group_id=GROUP,
        session_timeout_ms=10_000,
        member_id=member_id,
        protocol_type="consumer",
        protocols=[JoinGroupRequestProtocol(name="range", metadata=subscription("t"))],
    )
    if version >= 1:
        request.rebalance_timeout_ms = 30_000
    for name, value in fields.items():
        setattr(request, name, value)
    return request


def join(p: GroupPath, version: int, **fields: Any) -> Any:
    """The answer of a first member, which need not wait."""
    answer = p.ask(join_request(version, **fields), version)
    if not answer.waits and answer.response.error_code == ErrorCode.MEMBER_ID_REQUIRED:
        fields["member_id"] = answer.response.member_id
        answer = p.ask(join_request(version, **fields), version)
    p.clock.advance(0)
    return answer.response


def sync_request(version: int, member_id: str, generation: int, **fields: Any) -> SyncGroupRequest:
    request = SyncGroupRequest(
        group_id=GROUP,
        generation_id=generation,
        member_id=member_id,
        assignments=[SyncGroupRequestAssignment(member_id=member_id, assignment=b"mine")],
    )
    if version >= 5:
        request.protocol_type, request.protocol_name = "consumer", "range"
    for name, value in fields.items():
        setattr(request, name, value)
    return request


def stable(p: GroupPath) -> str:
    """A group of one; its member id."""
    joined = join(p, 9)
    assert joined.error_code == ErrorCode.NONE
    synced = p.now(sync_request(5, joined.member_id, joined.generation_id), 5)
    assert synced.error_code == ErrorCode.NONE
    return str(joined.member_id)
