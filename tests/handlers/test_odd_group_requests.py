"""Whatever group requests say, they are answered, or wait, and the coordinator goes on."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.group_path import GROUP, GroupPath, join, stable
from wire.layout import is_defined
from wire.messages.delete_groups import DeleteGroupsRequest
from wire.messages.describe_groups import DescribeGroupsRequest
from wire.messages.find_coordinator import FindCoordinatorRequest
from wire.messages.heartbeat import HeartbeatRequest
from wire.messages.join_group import JoinGroupRequest
from wire.messages.leave_group import LeaveGroupRequest
from wire.messages.list_groups import ListGroupsRequest
from wire.messages.offset_commit import OffsetCommitRequest
from wire.messages.offset_delete import OffsetDeleteRequest
from wire.messages.offset_fetch import OffsetFetchRequest
from wire.messages.sync_group import SyncGroupRequest
from wire.schema import Struct, fields_of, parse_versions

REQUESTS = [
    DeleteGroupsRequest,
    DescribeGroupsRequest,
    FindCoordinatorRequest,
    HeartbeatRequest,
    JoinGroupRequest,
    LeaveGroupRequest,
    ListGroupsRequest,
    OffsetCommitRequest,
    OffsetDeleteRequest,
    OffsetFetchRequest,
    SyncGroupRequest,
]
TEXTS = st.sampled_from(["", GROUP, "h", "t", "range", "consumer", "i1", "member"])
LONG_TEXT = "x" * 33_000
"""Fits flexible versions alone."""
BITS = {"int8": 7, "int16": 15, "int32": 31, "int64": 63}


def primitives(kind: str, flexible: bool) -> st.SearchStrategy[Any]:
    if kind in BITS:
        limit = 1 << BITS[kind]
        common = st.sampled_from([-1, 0, 1, 2, min(10_000, limit - 1)])
        return common | st.integers(-limit, limit - 1)
    simple = {
        "bool": st.booleans(),
        "string": TEXTS | st.just(LONG_TEXT if flexible else ""),
        "bytes": st.binary(max_size=20),
        "uuid": st.sampled_from([bytes(16), bytes(15) + b"\1", b"\7" * 16]),
    }
    return simple[kind]


@cache
def structs(cls: type[Struct], version: int, flexible: bool) -> st.SearchStrategy[Any]:
    fields = {}
    for field in fields_of(cls):
        if version not in field.versions:
            continue
        if isinstance(field.type, str):
            value = primitives(field.type, flexible)
        else:
            value = structs(field.type, version, flexible)
        if field.is_array:
            value = st.lists(value, max_size=3)
        if version in field.nullable:
            value = st.none() | value
        fields[field.name] = value
    return st.builds(cls, **fields)


def requests() -> st.SearchStrategy[tuple[Any, int]]:
    versions = [(cls, v) for cls in REQUESTS for v in range(12) if is_defined(cls, v)]
    return st.sampled_from(versions).flatmap(
        lambda pair: st.tuples(
            structs(*pair, pair[1] in parse_versions(pair[0].flexible)), st.just(pair[1])
        )
    )


@pytest.mark.parametrize("first", [None, stable, lambda p: join(p, 9)])
@settings(suppress_health_check=list(HealthCheck), max_examples=60)
@given(asked=st.lists(requests(), max_size=12), passing=st.lists(st.integers(0, 40_000)))
def test_every_request_is_answered_or_waits(
    first: Any, asked: list[tuple[Any, int]], passing: list[int]
) -> None:
    p = GroupPath().ready()
    p.create("t", 2)
    if first is not None:
        first(p)
    waiting = []
    for index, (request, version) in enumerate(asked):
        answer = p.ask(request, version)
        if answer.waits:
            waiting.append(answer)
        p.clock.advance(passing[index] if index < len(passing) else 0)
    assert len(p.clock._timers) < 5_000
    p.clock.advance(3_000_000)
    p.groups.stop()
    for answer in waiting:
        assert len(answer.responses) == 1
