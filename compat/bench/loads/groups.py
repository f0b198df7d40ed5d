"""How long a group takes: a stock consumer's first assignment, and a rebalance of many members."""

from __future__ import annotations

import contextlib
import selectors
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaException
from kio.schema.errors import ErrorCode
from kio.schema.find_coordinator.v2.request import FindCoordinatorRequest
from kio.schema.find_coordinator.v2.response import FindCoordinatorResponse
from kio.schema.heartbeat.v3.request import HeartbeatRequest
from kio.schema.heartbeat.v3.response import HeartbeatResponse
from kio.schema.join_group.v3.request import JoinGroupRequest, JoinGroupRequestProtocol
from kio.schema.join_group.v3.response import JoinGroupResponse
from kio.schema.sync_group.v3.request import SyncGroupRequest, SyncGroupRequestAssignment
from kio.schema.sync_group.v3.response import SyncGroupResponse
from kio.schema.types import GroupId
from kio.static.primitive import i32

from compat.bench.case import Case
from compat.bench.raw import BrokerError, Connection, decode, frame, milliseconds

if TYPE_CHECKING:
    from compat.bench.subjects import Subject

MEMBERS = (1, 10, 100)
QUICK_MEMBERS = (1, 10)
TIMES = 3
SLOW_SECONDS = 1.0
BEAT_SECONDS = 0.005
PATIENCE_SECONDS = 60.0
AGAIN = {ErrorCode.rebalance_in_progress, ErrorCode.illegal_generation}


def cases(*, quick: bool) -> list[Case]:
    stock = Case("groups", "first member, confluent-kafka", first_member)
    return [
        stock,
        *(
            Case(
                "groups",
                f"rebalance of {count}",
                partial(rebalance, count=count),
                group="rebalance by members",
                x=count,
            )
            for count in (QUICK_MEMBERS if quick else MEMBERS)
        ),
    ]


def first_member(subject: Subject) -> dict[str, float]:
    """From the making of the consumer to its first assignment."""
    with subject.topic() as topic:
        begun = time.perf_counter()
        consumer = Consumer(
            {"bootstrap.servers": subject.bootstrap, "group.id": f"group-of-{topic.name}"}
        )
        assigned: list[float] = []
        try:
            consumer.subscribe(
                [topic.name], on_assign=lambda *_: assigned.append(time.perf_counter())
            )
            while not assigned:
                message = consumer.poll(0.01)
                if message is not None and (error := message.error()) is not None:
                    raise KafkaException(error)
                if time.perf_counter() - begun > PATIENCE_SECONDS:
                    raise BrokerError("no assignment came")
        finally:
            consumer.close()
    return {"join_ms": (assigned[0] - begun) * 1000}


def rebalance(subject: Subject, *, count: int) -> dict[str, float]:
    """All members join anew at once, as after a change of their subscription: the best of a few."""
    group = f"members-{time.time_ns():x}"
    with contextlib.ExitStack() as opened:
        with subject.connect() as connection:
            where = coordinator(connection, group)
        connections = [opened.enter_context(Connection(*where)) for _ in range(count)]
        members = [Member(connection, group) for connection in connections]
        bring_together(members, version=0)
        with subject.cpu() as cpu:
            seconds: list[float] = []
            while len(seconds) < TIMES and sum(seconds) < SLOW_SECONDS:
                seconds.append(bring_together(members, version=len(seconds) + 1))
    values = {"join_ms": min(seconds) * 1000}
    if cpu:
        values["cpu_ms_per_1000"] = cpu[0] * 1e6 / len(seconds) / count / 2
    return values


def coordinator(connection: Connection, group: str) -> tuple[str, int]:
    """Its host and port, once there is one."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = connection.call(FindCoordinatorRequest(key=group), FindCoordinatorResponse)
        if found.error_code is ErrorCode.none:
            return found.host, found.port
        if time.monotonic() > deadline:
            raise BrokerError(f"FindCoordinator: {found.error_code.name}")
        time.sleep(0.05)


class Member:
    """Joins, syncs and beats until ``generation`` is settled; one request at a time."""

    def __init__(self, connection: Connection, group: str) -> None:
        self.connection = connection
        self.generation = -1
        self.settled = False
        self._group = GroupId(group)
        self._id = ""
        self._join_frame = b""
        self._expects: Any = None

    def prepare(self, version: int) -> None:
        protocol = JoinGroupRequestProtocol(name="range", metadata=b"%d" % version)
        self._join_frame = frame(
            JoinGroupRequest(
                group_id=self._group,
                session_timeout=milliseconds(30_000),
                rebalance_timeout=milliseconds(60_000),
                member_id=self._id,
                protocol_type="consumer",
                protocols=(protocol,),
            )
        )
        self._version = version

    def join(self) -> None:
        self.settled = False
        self._send(self._join_frame, JoinGroupResponse)

    def beat(self) -> None:
        request = HeartbeatRequest(
            group_id=self._group,
            generation_id=i32(self.generation),
            member_id=self._id,
            group_instance_id=None,
        )
        self._send(frame(request), HeartbeatResponse)

    @property
    def is_waiting(self) -> bool:
        return self._expects is not None

    def take(self) -> None:
        response = decode(self._expects, bytes(self.connection.take()))
        self._expects = None
        if response.error_code in AGAIN:
            self.join()
        elif response.error_code is ErrorCode.member_id_required:
            self._id = response.member_id
            self.prepare(self._version)
            self.join()
        elif response.error_code is ErrorCode.unknown_member_id and not self.settled:
            self._id = ""
            self.prepare(self._version)
            self.join()
        elif response.error_code is not ErrorCode.none:
            raise BrokerError(f"{type(response).__name__}: {response.error_code.name}")
        elif isinstance(response, JoinGroupResponse):
            self._sync(response)
        elif isinstance(response, SyncGroupResponse):
            self.settled = True

    def _sync(self, joined: JoinGroupResponse) -> None:
        if joined.member_id != self._id:
            self._id = joined.member_id
            self.prepare(self._version)
        self.generation = joined.generation_id
        request = SyncGroupRequest(
            group_id=self._group,
            generation_id=joined.generation_id,
            member_id=self._id,
            group_instance_id=None,
            assignments=tuple(
                SyncGroupRequestAssignment(member_id=member.member_id, assignment=b"some")
                for member in joined.members
            ),
        )
        self._send(frame(request), SyncGroupResponse)

    def _send(self, request: bytes, expects: Any) -> None:
        self._expects = expects
        self.connection.socket.sendall(request)


def bring_together(members: list[Member], version: int) -> float:
    """Until all are settled in one generation; the seconds."""
    for member in members:
        member.prepare(version)
    begun = time.perf_counter()
    with selectors.DefaultSelector() as selector:
        for member in members:
            selector.register(member.connection.socket, selectors.EVENT_READ, member)
            member.join()
        while not are_together(members):
            ready = selector.select(BEAT_SECONDS)
            for key, _ in ready:
                key.data.take()
            if not ready:
                for member in members:
                    if not member.is_waiting:
                        member.beat()
            if time.perf_counter() - begun > PATIENCE_SECONDS:
                raise BrokerError(f"{len(members)} members do not come together")
        seconds = time.perf_counter() - begun
        for member in members:  # a heartbeat may be on its way
            if member.is_waiting:
                member.take()
    return seconds


def are_together(members: list[Member]) -> bool:
    generation = members[0].generation
    return all(member.settled and member.generation == generation for member in members)
