"""Limits of connections, changed while clients come and go."""

from __future__ import annotations

import pytest

from tests.support.dynamic_settings import Member, Setting, changes, one_broker
from tests.support.in_process import Wire

pytestmark = pytest.mark.anyio


def is_served(wire: Wire) -> bool:
    return not wire.is_closed and not wire.is_paused


def connect(box: Member, count: int) -> list[Wire]:
    return [Wire(box.broker) for _ in range(count)]


@changes(broker="max.connections", listener="listener.name.plaintext.max.connections")
async def test_the_next_one_waits_until_another_goes(setting: Setting) -> None:
    async with one_broker() as box:
        before = connect(box, 3)
        assert all(map(is_served, before))
        await box.alter(setting, 4)
        [late] = connect(box, 1)
        assert not is_served(late)
        assert not late.is_closed
        before[0].hang_up()
        assert is_served(late)
        [later] = connect(box, 1)
        assert not is_served(later)
        await box.alter(setting, 10)
        assert is_served(later)


@changes(broker="max.connections.per.ip")
async def test_one_too_many_from_an_address_is_closed(setting: Setting) -> None:
    async with one_broker() as box:
        assert all(map(is_served, connect(box, 3)))
        await box.alter(setting, 5)
        assert [wire.is_closed for wire in connect(box, 2)] == [False, True]


@changes(broker="max.connections.per.ip.overrides")
async def test_an_address_may_have_a_limit_of_its_own(setting: Setting) -> None:
    async with one_broker() as box:
        assert all(map(is_served, connect(box, 3)))
        await box.alter(setting, "127.0.0.1:5,10.0.0.1:1")
        assert [wire.is_closed for wire in connect(box, 2)] == [False, True]


@changes(
    broker="max.connection.creation.rate",
    listener="listener.name.plaintext.max.connection.creation.rate",
)
async def test_connections_that_come_too_fast_are_not_heard_at_once(setting: Setting) -> None:
    async with one_broker() as box:
        assert all(map(is_served, connect(box, 50)))
        await box.alter(setting, 1)
        late = connect(box, 50)
        assert not is_served(late[-1])
        assert not late[-1].is_closed
        await box.alter(setting, 1_000_000)
        assert is_served(connect(box, 1)[0])
