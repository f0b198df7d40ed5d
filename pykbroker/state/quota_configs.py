"""DescribeClientQuotas, AlterClientQuotas: which quotas there are, which may be set (KIP-546)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pykbroker.state.controller.image import QuotaEntity
from pykbroker.state.errors import KafkaError
from pykbroker.state.quota import (
    CLIENT_ID,
    CONNECTION_CREATION_RATE,
    CONSUMER_BYTE_RATE,
    CONTROLLER_MUTATION_RATE,
    IP,
    PRODUCER_BYTE_RATE,
    REQUEST_PERCENTAGE,
    USER,
    normal_address,
)
from wire.errors import ErrorCode
from wire.messages import alter_client_quotas as alter
from wire.messages import describe_client_quotas as describe
from wire.tuples import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pykbroker.state.controller.image import MetadataImage

EXACT, DEFAULT, SPECIFIED = 0, 1, 2
_LARGEST = {"INT": (1 << 31) - 1, "LONG": (1 << 63) - 1}
_USER_KEYS: Mapping[str, str] = {
    PRODUCER_BYTE_RATE: "LONG",
    CONSUMER_BYTE_RATE: "LONG",
    REQUEST_PERCENTAGE: "DOUBLE",
    CONTROLLER_MUTATION_RATE: "DOUBLE",
}
_IP_KEYS: Mapping[str, str] = {CONNECTION_CREATION_RATE: "INT"}


class QuotaChange(NamedTuple):
    """One quota to store; a value of None removes it."""

    entity: QuotaEntity
    key: str
    value: float | None


def decide_alter_client_quotas(
    image: MetadataImage, request: alter.AlterClientQuotasRequest
) -> tuple[list[QuotaChange], alter.AlterClientQuotasResponse]:
    """The changes to store and the answer; all or nothing for each entity."""
    changes: list[QuotaChange] = []
    results: dict[QuotaEntity, tuple[alter.EntryData, KafkaError | None]] = {}
    for entry in request.entries:
        parts = {part.entity_type: part.entity_name for part in entry.entity}
        entity = QuotaEntity(tuple(sorted(parts.items())))
        keys = [op.key for op in entry.ops]
        error: KafkaError | None = None
        if entity in results or len(set(keys)) != len(keys):
            shown = ", ".join(f"{type_}={name}" for type_, name in parts.items())
            error = _refuse(f"Ignoring duplicate entity ClientQuotaEntity(entries={{{shown}}})")
            changes = [change for change in changes if change.entity != entity]
        else:
            try:
                changes += _changes(image, entity, entry.ops)
            except KafkaError as raised:
                error = raised
        results[entity] = (entry, error)
    response = alter.AlterClientQuotasResponse(
        entries=[
            alter.AlterClientQuotasResponseEntryData(
                error_code=ErrorCode.NONE if error is None else error.code,
                error_message=None if error is None else error.message,
                entity=[
                    alter.EntityData(entity_type=type_, entity_name=name)
                    for type_, name in entity.parts
                ],
            )
            for entity, (_, error) in results.items()
        ]
    )
    return ([] if request.validate_only else changes), response


def _changes(
    image: MetadataImage, entity: QuotaEntity, operations: Iterable[alter.OpData]
) -> list[QuotaChange]:
    kinds = _kinds_of(entity)
    current = image.quotas.get(entity, {})
    changes = []
    for operation in operations:
        key = operation.key
        if operation.remove:
            if key in current:
                changes.append(QuotaChange(entity, key, None))
            continue
        _check_value(kinds, key, operation.value)
        if current.get(key) != operation.value:
            changes.append(QuotaChange(entity, key, operation.value))
    return changes


def _kinds_of(entity: QuotaEntity) -> Mapping[str, str]:
    """The keys an entity may have, each with its type."""
    parts = dict(entity.parts)
    if not parts:
        raise _refuse("Invalid empty client quota entity")
    for type_, name in parts.items():
        if type_ not in (USER, CLIENT_ID, IP):
            raise _refuse(f"Unhandled client quota entity type: {type_}")
        if name == "":
            raise _refuse(f"Empty {type_} not supported")
    if IP not in parts:
        return _USER_KEYS
    if len(parts) > 1:
        raise _refuse(
            "Invalid quota entity combination, IP entity should not be combined with User or "
            "ClientId"
        )
    address = parts[IP]
    if address is not None and normal_address(address) is None:
        raise _refuse(f"{address} is not a valid IP or resolvable host.")
    return _IP_KEYS


def _check_value(kinds: Mapping[str, str], key: str, value: float) -> None:
    kind = kinds.get(key)
    if kind is None:
        raise _refuse(f"Invalid configuration key {key}")
    if not math.isfinite(value):
        raise _refuse(f"Quota {key} must be a finite number")
    if value <= 0:
        raise _refuse(f"Quota {key} must be greater than 0")
    if kind == "DOUBLE":
        return
    if value > _LARGEST[kind]:
        article = "an" if kind == "INT" else "a"
        raise _refuse(f"Proposed value for {key} is too large for {article} {kind}.")
    if value % 1.0 > 1e-6:
        raise _refuse(f"{key} cannot be a fractional value.")


def describe_client_quotas(
    image: MetadataImage, request: describe.DescribeClientQuotasRequest
) -> describe.DescribeClientQuotasResponse:
    """Entities that match every component; with ``strict`` they have no other part."""
    try:
        _check_filter(request.components)
    except KafkaError as error:
        return describe.DescribeClientQuotasResponse(
            error_code=error.code, error_message=error.message, entries=None
        )
    entries = [
        describe.EntryData(
            entity=[
                describe.EntityData(entity_type=type_, entity_name=name)
                for type_, name in entity.parts
            ],
            values=[describe.ValueData(key=key, value=values[key]) for key in sorted(values)],
        )
        for entity, values in image.quotas.items()
        if values and _matches(entity, request)
    ]
    return describe.DescribeClientQuotasResponse(entries=entries)


def _matches(entity: QuotaEntity, request: describe.DescribeClientQuotasRequest) -> bool:
    parts = dict(entity.parts)
    if request.strict and len(parts) != len(request.components):
        return False
    for component in request.components:
        if component.entity_type not in parts:
            return False
        name = parts[component.entity_type]
        if component.match_type == EXACT and name != component.match:
            return False
        if component.match_type == DEFAULT and name is not None:
            return False
    return True


def _check_filter(components: Iterable[describe.ComponentData]) -> None:
    seen: set[str] = set()
    for component in components:
        type_ = component.entity_type
        if not type_:
            raise _refuse("Invalid empty entity type.")
        if type_ in seen:
            raise _refuse(f"Entity type {type_} cannot appear more than once in the filter.")
        if type_ not in (USER, CLIENT_ID, IP):
            raise KafkaError(ErrorCode.UNSUPPORTED_VERSION, f"Unsupported entity type {type_}")
        seen.add(type_)
        _check_match(component)
    if IP in seen and len(seen) > 1:
        raise _refuse(
            "Invalid entity filter component combination. IP filter component should not be used "
            "with user or clientId filter component."
        )


def _check_match(component: describe.ComponentData) -> None:
    if component.match_type == EXACT:
        if component.match is None:
            raise _refuse("Request specified MATCH_TYPE_EXACT, but set match string to null.")
    elif component.match_type in (DEFAULT, SPECIFIED):
        if component.match is not None:
            name = "DEFAULT" if component.match_type == DEFAULT else "SPECIFIED"
            raise _refuse(
                f"Request specified MATCH_TYPE_{name}, but also specified a match string."
            )
    else:
        raise _refuse(f"Unknown match type {component.match_type}")


def _refuse(message: str) -> KafkaError:
    return KafkaError(ErrorCode.INVALID_REQUEST, message)
