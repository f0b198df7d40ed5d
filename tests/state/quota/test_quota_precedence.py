"""Which quota decides for a client, and which clients share its bucket."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykbroker.state.quota import PRODUCER_BYTE_RATE, Limits
from tests.support.images import entity

KEY = PRODUCER_BYTE_RATE
ORDER = (
    entity(user="u", client_id="c"),
    entity(user="u", client_id=None),
    entity(user="u"),
    entity(user=None, client_id="c"),
    entity(user=None, client_id=None),
    entity(user=None),
    entity(client_id="c"),
    entity(client_id=None),
)
BUCKETS = (
    ("u", "c"),
    ("u", "c"),
    ("u", None),
    ("u", "c"),
    ("u", "c"),
    ("u", None),
    (None, "c"),
    (None, "c"),
)


@pytest.mark.parametrize("present", list(product([False, True], repeat=len(ORDER))))
def test_the_most_specific_quota_decides(present: tuple[bool, ...]) -> None:
    limits = {e: {KEY: float(i + 1)} for i, e in enumerate(ORDER) if present[i]}
    applied = Limits(limits, KEY).find("u", "c")
    if not any(present):
        assert applied is None
        return
    first = present.index(True)
    assert applied == (float(first + 1), BUCKETS[first])


def test_other_clients_get_what_is_left_for_them() -> None:
    limits = Limits({e: {KEY: float(i + 1)} for i, e in enumerate(ORDER)}, KEY)
    assert limits.find("u", "other") == (2.0, ("u", "other"))
    assert limits.find("other", "c") == (4.0, ("other", "c"))
    assert limits.find("other", "other") == (5.0, ("other", "other"))


def test_clients_without_an_id_have_no_client_quota() -> None:
    limits = Limits({e: {KEY: float(i + 1)} for i, e in enumerate(ORDER)}, KEY)
    assert limits.find("u", "") == (3.0, ("u", None))
    assert Limits({entity(client_id=None): {KEY: 1.0}}, KEY).find("u", "") is None


def test_each_user_has_a_bucket_of_the_default_users_quota() -> None:
    limits = Limits({entity(user=None): {KEY: 5.0}}, KEY)
    assert limits.find("a", "x") == (5.0, ("a", None))
    assert limits.find("b", "x") == (5.0, ("b", None))


def test_quotas_of_other_kinds_and_of_addresses_do_not_count() -> None:
    quotas = {
        entity(user="u"): {"consumer_byte_rate": 1.0},
        entity(ip=None): {KEY: 1.0, "connection_creation_rate": 1.0},
    }
    assert not Limits(quotas, KEY)
    assert Limits(quotas, KEY).find("u", "c") is None


@given(st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3)), max_size=20))
def test_asking_again_gives_the_same(clients: list[tuple[str, str]]) -> None:
    quotas = {entity(user="a"): {KEY: 1.0}, entity(client_id=None): {KEY: 2.0}}
    limits = Limits(quotas, KEY)
    for user, client_id in clients + clients:
        assert limits.find(user, client_id) == Limits(quotas, KEY).find(user, client_id)


def test_what_is_remembered_of_clients_is_bounded() -> None:
    limits = Limits({entity(client_id=None): {KEY: 2.0}}, KEY)
    for number in range(25_000):
        assert limits.find("u", f"c{number}") is not None
    assert len(limits._known) <= 10_000
