"""How many connections there may be, and how fast they may come."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pykbroker.config.settings import Settings
from pykbroker.state.connection_quota import Admission, ConnectionQuotas
from tests.support.images import entity

OPEN = Admission(True)


def quotas(*listeners: str, **settings: str) -> ConnectionQuotas:
    values = {name.replace("_", "."): value for name, value in settings.items()}
    return ConnectionQuotas(Settings(values), listeners or ("A",), "INTERNAL")


def test_without_limits_everything_is_admitted() -> None:
    limited = quotas()
    for _ in range(1000):
        assert limited.has_slot("A")
        assert limited.admit("A", "h", 0) == OPEN
    assert limited.total == 1000


def test_too_many_from_one_address_are_closed_at_once() -> None:
    limited = quotas(max_connections_per_ip="2")
    assert [limited.admit("A", "h", 0).admitted for _ in range(3)] == [True, True, False]
    assert limited.admit("A", "other", 0) == OPEN
    limited.release("A", "h")
    assert limited.admit("A", "h", 0) == OPEN
    assert limited.admit("A", "h", 0) == Admission(False, 0)


def test_addresses_can_have_limits_of_their_own() -> None:
    limited = quotas(
        max_connections_per_ip="0",
        max_connections_per_ip_overrides="localhost:1,10.0.0.1:2,0:0:0:0:0:0:0:1:1",
    )
    assert limited.admit("A", "127.0.0.1", 0).admitted
    assert not limited.admit("A", "127.0.0.1", 0).admitted
    assert limited.admit("A", "10.0.0.1", 0).admitted
    assert limited.admit("A", "::1", 0).admitted
    assert not limited.admit("A", "10.0.0.9", 0).admitted


def test_beyond_the_brokers_number_one_waits_for_another_to_go() -> None:
    limited = quotas(max_connections="2")
    limited.admit("A", "h", 0)
    assert limited.has_slot("A")
    limited.admit("A", "h", 0)
    assert not limited.has_slot("A")
    limited.release("A", "h")
    assert limited.has_slot("A")


def test_a_listener_can_have_a_number_of_its_own() -> None:
    settings = {"listener.name.b.max.connections": "1", "max.connections": "3"}
    limited = ConnectionQuotas(Settings(settings), ("A", "B"), "A")
    limited.admit("B", "h", 0)
    assert not limited.has_slot("B")
    assert limited.has_slot("A")


def test_the_inter_broker_listener_is_protected_among_several() -> None:
    limited = ConnectionQuotas(Settings({"max.connections": "1"}), ("A", "INTERNAL"), "INTERNAL")
    limited.admit("A", "h", 0)
    assert not limited.has_slot("A")
    assert limited.has_slot("INTERNAL")
    assert not limited.must_evict("INTERNAL")
    limited.admit("INTERNAL", "h", 0)
    assert limited.must_evict("INTERNAL")
    assert not limited.must_evict("A")
    assert limited.is_protected("INTERNAL")
    alone = ConnectionQuotas(Settings({"max.connections": "1"}), ("INTERNAL",), "INTERNAL")
    alone.admit("INTERNAL", "h", 0)
    assert not alone.has_slot("INTERNAL")


def test_limits_change_while_connections_stay() -> None:
    limited = quotas()
    for _ in range(5):
        limited.admit("A", "h", 0)
    limited.configure(Settings({"max.connections": "3", "max.connections.per.ip": "4"}))
    assert not limited.has_slot("A")
    assert not limited.admit("A", "h", 0).admitted
    for _ in range(3):
        limited.release("A", "h")
    assert limited.has_slot("A")
    assert limited.admit("A", "h", 0).admitted


def test_new_connections_of_the_broker_are_delayed_to_its_rate() -> None:
    limited = quotas(max_connection_creation_rate="10")
    now, opened = 0, 0
    while now < 30_000:
        admission = limited.admit("A", "h", now)
        assert admission.admitted
        assert admission.delay_ms <= 1000
        now += admission.delay_ms + 1
        opened += now >= 20_000
    assert opened / 10 == pytest.approx(10, rel=0.15)


def test_a_listeners_rate_delays_only_its_own() -> None:
    settings = {"listener.name.b.max.connection.creation.rate": "1"}
    limited = ConnectionQuotas(Settings(settings), ("A", "B"), "A")
    delays = [limited.admit("B", "h", 0).delay_ms for _ in range(12)]
    assert delays[0] == 0
    assert delays[-1] > 0
    assert limited.admit("A", "h", 0).delay_ms == 0


def test_an_address_that_comes_too_fast_is_closed_after_a_delay() -> None:
    limited = quotas()
    limited.update({entity(ip="10.0.0.1"): {"connection_creation_rate": 1.0}})
    first = [limited.admit("A", "10.0.0.1", 0) for _ in range(11)]
    assert [a.admitted for a in first] == [True] * 10 + [False]
    assert 0 < first[-1].delay_ms <= 1000
    assert limited.total == 10
    assert limited.admit("A", "10.0.0.2", 0) == OPEN
    limited.update({})
    assert limited.admit("A", "10.0.0.1", 0) == OPEN


def test_every_other_address_has_the_default_rate() -> None:
    limited = quotas()
    limited.update(
        {
            entity(ip=None): {"connection_creation_rate": 1.0},
            entity(ip="localhost"): {"connection_creation_rate": 100.0},
            entity(user="u"): {"producer_byte_rate": 1.0},
        }
    )
    assert not all(limited.admit("A", "10.0.0.1", 0).admitted for _ in range(11))
    assert all(limited.admit("A", "127.0.0.1", 0).admitted for _ in range(11))


def test_an_address_keeps_its_rate_over_ten_seconds() -> None:
    limited = quotas()
    limited.update({entity(ip=None): {"connection_creation_rate": 20.0}})
    now = opened = 0
    while now < 30_000:
        admission = limited.admit("A", "h", now)
        if admission.admitted and now >= 20_000:
            opened += 1
        now += admission.delay_ms + 1
    assert opened / 10 == pytest.approx(20, rel=0.15)


def test_what_is_remembered_of_addresses_is_bounded() -> None:
    limited = quotas()
    limited.update({entity(ip=None): {"connection_creation_rate": 20.0}})
    for number in range(20_001):
        limited.admit("A", f"h{number}", number * 20)
    assert len(limited._address_rates) <= 10_001


class ConnectionsModel(RuleBasedStateMachine):
    """Whatever happens, nothing admitted breaks a limit, and every count returns to zero."""

    def __init__(self) -> None:
        super().__init__()
        settings = {
            "max.connections": "4",
            "max.connections.per.ip": "3",
            "listener.name.b.max.connections": "2",
        }
        self.limited = ConnectionQuotas(Settings(settings), ("A", "B", "INTERNAL"), "INTERNAL")
        self.open: list[tuple[str, str]] = []

    @rule(listener=st.sampled_from(["A", "B", "INTERNAL"]), host=st.sampled_from("xyz"))
    def connect(self, listener: str, host: str) -> None:
        if self.limited.has_slot(listener) and self.limited.admit(listener, host, 0).admitted:
            self.open.append((listener, host))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def disconnect(self, data: st.DataObject) -> None:
        member = data.draw(st.sampled_from(self.open))
        self.open.remove(member)
        self.limited.release(*member)

    @invariant()
    def limits_hold(self) -> None:
        assert self.limited.total == len(self.open)
        assert sum(listener == "B" for listener, _ in self.open) <= 2
        outside = [m for m in self.open if m[0] != "INTERNAL"]
        assert len(outside) <= 4
        for host in "xyz":
            assert sum(h == host for _, h in self.open) <= 3

    def teardown(self) -> None:
        for member in self.open:
            self.limited.release(*member)
        assert self.limited.total == 0
        assert self.limited._counts == {}


TestConnectionsModel = ConnectionsModel.TestCase
