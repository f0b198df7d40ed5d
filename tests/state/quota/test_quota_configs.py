"""DescribeClientQuotas and AlterClientQuotas, in Kafka's words."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pykbroker.state.quota_configs import (
    QuotaChange,
    decide_alter_client_quotas,
    describe_client_quotas,
    normal_address,
)
from tests.support.images import entity, image_with
from wire.errors import ErrorCode
from wire.messages import alter_client_quotas as alter
from wire.messages import describe_client_quotas as describe

PRODUCER = "producer_byte_rate"
QUOTAS = {
    entity(user="u", client_id="c"): {PRODUCER: 200.0, "consumer_byte_rate": 1.0},
    entity(user="u"): {PRODUCER: 100.0, "request_percentage": 0.5},
    entity(user="v"): {PRODUCER: 1.0},
    entity(user=None): {PRODUCER: 5.0},
    entity(client_id="c"): {PRODUCER: 7.0},
    entity(client_id=None): {PRODUCER: 8.0},
    entity(ip="1.2.3.4"): {"connection_creation_rate": 1.0},
}
IMAGE = image_with(quotas=QUOTAS)
Parts = dict[str, str | None]


def entry(parts: Parts, *operations: tuple[str, float | None]) -> alter.EntryData:
    return alter.EntryData(
        entity=[alter.EntityData(entity_type=t, entity_name=n) for t, n in parts.items()],
        ops=[
            alter.OpData(key=key, value=value or 0.0, remove=value is None)
            for key, value in operations
        ],
    )


def decide(
    *entries: alter.EntryData, validate_only: bool = False
) -> tuple[list[QuotaChange], list[tuple[ErrorCode, str | None]]]:
    request = alter.AlterClientQuotasRequest(entries=list(entries), validate_only=validate_only)
    changes, response = decide_alter_client_quotas(IMAGE, request)
    return changes, [(ErrorCode(e.error_code), e.error_message) for e in response.entries]


def test_quotas_are_set_changed_and_removed() -> None:
    changes, answers = decide(
        entry({"user": "u"}, (PRODUCER, 9.0), ("request_percentage", None)),
        entry({"client-id": None, "user": "new"}, ("controller_mutation_rate", 1.5)),
    )
    assert answers == [(ErrorCode.NONE, None)] * 2
    assert changes == [
        QuotaChange(entity(user="u"), PRODUCER, 9.0),
        QuotaChange(entity(user="u"), "request_percentage", None),
        QuotaChange(entity(user="new", client_id=None), "controller_mutation_rate", 1.5),
    ]


def test_what_changes_nothing_is_not_stored() -> None:
    changes, answers = decide(
        entry({"user": "u"}, (PRODUCER, 100.0), ("bogus", None), ("consumer_byte_rate", None))
    )
    assert (changes, answers) == ([], [(ErrorCode.NONE, None)])
    assert decide(entry({"user": "u"}, (PRODUCER, 9.0)), validate_only=True)[0] == []


@pytest.mark.parametrize(
    ("parts", "key", "value", "message"),
    [
        ({"user": "u"}, PRODUCER, 0.0, f"Quota {PRODUCER} must be greater than 0"),
        ({"user": "u"}, PRODUCER, -1.0, f"Quota {PRODUCER} must be greater than 0"),
        ({"user": "u"}, PRODUCER, 1.5, f"{PRODUCER} cannot be a fractional value."),
        ({"user": "u"}, PRODUCER, 1.99999999, f"{PRODUCER} cannot be a fractional value."),
        ({"user": "u"}, PRODUCER, math.nan, f"Quota {PRODUCER} must be a finite number"),
        ({"user": "u"}, PRODUCER, math.inf, f"Quota {PRODUCER} must be a finite number"),
        (
            {"user": "u"},
            PRODUCER,
            1e20,
            f"Proposed value for {PRODUCER} is too large for a LONG.",
        ),
        (
            {"ip": "1.2.3.4"},
            "connection_creation_rate",
            3e9,
            "Proposed value for connection_creation_rate is too large for an INT.",
        ),
        ({"user": "u"}, "bogus", 1.0, "Invalid configuration key bogus"),
        (
            {"user": "u"},
            "connection_creation_rate",
            1.0,
            "Invalid configuration key connection_creation_rate",
        ),
        ({"ip": "1.2.3.4"}, PRODUCER, 1.0, f"Invalid configuration key {PRODUCER}"),
        (
            {"ip": "bad host!"},
            "connection_creation_rate",
            1.0,
            "bad host! is not a valid IP or resolvable host.",
        ),
        (
            {"ip": "1.2.3.4", "user": "u"},
            "connection_creation_rate",
            1.0,
            "Invalid quota entity combination, IP entity should not be combined with User or "
            "ClientId",
        ),
        ({"foo": "x"}, PRODUCER, 1.0, "Unhandled client quota entity type: foo"),
        ({}, PRODUCER, 1.0, "Invalid empty client quota entity"),
        ({"user": ""}, PRODUCER, 1.0, "Empty user not supported"),
    ],
)
def test_refusals(parts: Parts, key: str, value: float, message: str) -> None:
    changes, answers = decide(entry(parts, (PRODUCER + "x", None), (key, value)))
    assert changes == []
    assert answers == [(ErrorCode.INVALID_REQUEST, message)]


@pytest.mark.parametrize("address", ["1.2.3.4", "::1", "localhost", None])
def test_addresses_can_have_a_connection_rate(address: str | None) -> None:
    changes, _ = decide(entry({"ip": address}, ("connection_creation_rate", 7.0)))
    assert changes == [QuotaChange(entity(ip=address), "connection_creation_rate", 7.0)]


def test_an_entity_named_twice_is_answered_once_and_not_changed() -> None:
    changes, answers = decide(
        entry({"client-id": "x"}, (PRODUCER, 7.0)),
        entry({"client-id": "y"}, (PRODUCER, 7.0)),
        entry({"client-id": "x"}, (PRODUCER, 8.0)),
    )
    assert changes == [QuotaChange(entity(client_id="y"), PRODUCER, 7.0)]
    assert answers == [
        (
            ErrorCode.INVALID_REQUEST,
            "Ignoring duplicate entity ClientQuotaEntity(entries={client-id=x})",
        ),
        (ErrorCode.NONE, None),
    ]
    twice = entry({"client-id": "x"}, (PRODUCER, 7.0), (PRODUCER, 8.0))
    assert decide(twice)[1][0][0] == ErrorCode.INVALID_REQUEST


Component = tuple[str, int, str | None]


def asked(*components: Component, strict: bool = False) -> Any:
    request = describe.DescribeClientQuotasRequest(
        components=[
            describe.ComponentData(entity_type=t, match_type=m, match=match)
            for t, m, match in components
        ],
        strict=strict,
    )
    return describe_client_quotas(IMAGE, request)


def found(*components: Component, strict: bool = False) -> set[tuple[Any, ...]]:
    response = asked(*components, strict=strict)
    assert response.error_code == ErrorCode.NONE
    return {
        tuple((part.entity_type, part.entity_name) for part in e.entity) for e in response.entries
    }


def parts_of(*entities: Any) -> set[tuple[Any, ...]]:
    return {e.parts for e in entities}


def test_no_component_matches_everything_or_strictly_nothing() -> None:
    assert found() == parts_of(*QUOTAS)
    assert found(strict=True) == set()


def test_matching() -> None:
    both, u, v = entity(user="u", client_id="c"), entity(user="u"), entity(user="v")
    default = entity(user=None)
    assert found(("user", 0, "u")) == parts_of(both, u)
    assert found(("user", 0, "u"), strict=True) == parts_of(u)
    assert found(("user", 1, None)) == parts_of(default)
    assert found(("user", 2, None)) == parts_of(both, u, v, default)
    assert found(("user", 2, None), strict=True) == parts_of(u, v, default)
    assert found(("user", 2, None), ("client-id", 2, None)) == parts_of(both)
    assert found(("client-id", 1, None)) == parts_of(entity(client_id=None))
    assert found(("ip", 2, None)) == parts_of(entity(ip="1.2.3.4"))
    assert found(("ip", 1, None)) == set()
    assert found(("user", 0, "")) == set()


def test_values_come_with_their_entity() -> None:
    response = asked(("user", 0, "u"), strict=True)
    assert [(v.key, v.value) for v in response.entries[0].values] == [
        (PRODUCER, 100.0),
        ("request_percentage", 0.5),
    ]


@pytest.mark.parametrize(
    ("components", "code", "message"),
    [
        (
            [("user", 0, None)],
            ErrorCode.INVALID_REQUEST,
            "Request specified MATCH_TYPE_EXACT, but set match string to null.",
        ),
        (
            [("user", 1, "x")],
            ErrorCode.INVALID_REQUEST,
            "Request specified MATCH_TYPE_DEFAULT, but also specified a match string.",
        ),
        (
            [("user", 2, "x")],
            ErrorCode.INVALID_REQUEST,
            "Request specified MATCH_TYPE_SPECIFIED, but also specified a match string.",
        ),
        ([("user", 3, None)], ErrorCode.INVALID_REQUEST, "Unknown match type 3"),
        ([("foo", 2, None)], ErrorCode.UNSUPPORTED_VERSION, "Unsupported entity type foo"),
        ([("", 2, None)], ErrorCode.INVALID_REQUEST, "Invalid empty entity type."),
        (
            [("user", 0, "u"), ("user", 1, None)],
            ErrorCode.INVALID_REQUEST,
            "Entity type user cannot appear more than once in the filter.",
        ),
        (
            [("ip", 2, None), ("user", 2, None)],
            ErrorCode.INVALID_REQUEST,
            "Invalid entity filter component combination. IP filter component should not be "
            "used with user or clientId filter component.",
        ),
    ],
)
def test_bad_filters(components: list[Component], code: ErrorCode, message: str) -> None:
    response = asked(*components)
    assert (response.error_code, response.error_message) == (code, message)
    assert response.entries is None


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("localhost", "127.0.0.1"),
        ("example.org", None),
        ("", None),
    ],
)
def test_addresses_are_compared_in_one_form(text: str, address: str | None) -> None:
    assert normal_address(text) == address
