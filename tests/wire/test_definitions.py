"""The definitions: consistent in themselves, and the same as the tables of facts say."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from tests.support.fact_tables import DIRECTORY
from tests.support.messages import RANGES, all_messages, all_structs, named, versions_of
from wire.layout import layout_of, minimum_element_size
from wire.schema import (
    NEWEST,
    NONE,
    ZERO_UUID,
    Field,
    Message,
    Request,
    Response,
    Struct,
    VersionRange,
    fields_of,
    parse_versions,
)

NOT_DEFINED = {
    "QuorumStateData",
    "RemoteLogSegmentMetadataRecord",
    "RemoteLogSegmentMetadataSnapshotRecord",
    "RemoteLogSegmentMetadataUpdateRecord",
    "RemotePartitionDeleteMetadataRecord",
}
"""What only a KRaft quorum or tiered storage would write."""
TYPES = {"records": "batches"}


def test_names_are_unique_within_a_module() -> None:
    seen: dict[tuple[str, str], type[Struct]] = {}
    for cls in all_structs():
        key = (cls.__module__, cls.__name__)
        assert seen.setdefault(key, cls) is cls


@pytest.mark.parametrize("cls", all_structs(), ids=lambda cls: cls.__name__)
def test_a_default_fits_its_field(cls: type[Struct]) -> None:
    for field in fields_of(cls):
        default = field.default
        if default is None:
            assert field.nullable != NONE or field.type == "batches", field
        elif field.is_array:
            assert default == [], field
        elif not isinstance(field.type, str):
            assert isinstance(default, field.type), field
            assert default == field.type(), field
        elif field.type in RANGES:
            low, high = RANGES[field.type]
            assert low <= default <= high, field
        else:
            kinds: dict[str, type] = {"string": str, "bool": bool, "float64": float}
            assert type(default) is kinds.get(field.type, bytes), field


@pytest.mark.parametrize("cls", all_structs(), ids=lambda cls: cls.__name__)
def test_tags_are_numbered_from_zero_and_stand_in_no_body(cls: type[Struct]) -> None:
    tagged = [field for field in fields_of(cls) if field.tag is not None]
    assert {field.tag for field in tagged} == set(range(len(tagged)))
    for field in tagged:
        assert field.tagged.low >= field.versions.low


@pytest.mark.parametrize("cls", all_messages(), ids=lambda cls: cls.__name__)
def test_every_element_of_an_array_takes_room(cls: type[Message]) -> None:
    """Or a peer could have us make as many as it likes out of nothing."""
    flexible = parse_versions(cls.flexible)

    def visit(struct: type[Struct], version: int) -> None:
        for field in layout_of(struct, version).body:
            if field.is_array:
                assert minimum_element_size(field.type, version, version in flexible) >= 1
            if not isinstance(field.type, str):
                visit(field.type, version)

    for version in versions_of(cls):
        visit(cls, version)


# Against the tables.


@cache
def tables() -> dict[str, dict[str, Any]]:
    paths = sorted((DIRECTORY / "messages").glob("*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}


needs_tables = pytest.mark.skipif(not tables(), reason="no tables to compare with")


@needs_tables
def test_every_message_of_the_tables_is_defined_and_no_other() -> None:
    assert {cls.__name__ for cls in all_messages()} == set(tables()) - NOT_DEFINED


@needs_tables
@pytest.mark.parametrize("name", sorted(set(tables()) - NOT_DEFINED))
def test_a_message_is_as_the_tables_say(name: str) -> None:
    table, cls = tables()[name], named(name)
    assert cls is not None
    expected_key = -1 if table["api_key"] is None else table["api_key"]
    assert cls.api_key == expected_key
    assert issubclass(cls, Request) == (table["kind"] == "request")
    assert issubclass(cls, Response) == (table["kind"] == "response")
    ranges = [r for r in (table["valid_versions"], table["legacy_versions"]) if r]
    low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
    assert parse_versions(cls.versions) == (low, high)
    flexible = table["flexible_versions"]
    for version in range(low, high + 1):
        assert (version in parse_versions(cls.flexible)) == within(version, flexible)
    compare_fields(cls, table["fields"], VersionRange(low, high), name)


def within(version: int, limits: list[int] | None) -> bool:
    return limits is not None and limits[0] <= version <= limits[1]


def compare_fields(
    cls: type[Struct], expected: list[dict[str, Any]], versions: VersionRange, path: str
) -> None:
    fields = fields_of(cls)
    assert [f.name for f in fields] == [e["name"] for e in expected], path
    for field, entry in zip(fields, expected, strict=True):
        compare_field(field, entry, versions, f"{path}.{field.name}")


def compare_field(field: Field, entry: dict[str, Any], versions: VersionRange, path: str) -> None:
    assert field.is_array == entry["type"].startswith("[]"), path
    kind = entry["type"].removeprefix("[]")
    assert field.ignorable == entry["ignorable"], path
    assert field.never_flexible == entry.get("never_flexible", False), path
    assert field.tag == entry["tag"], path
    for version in range(versions.low, versions.high + 1):
        present = within(version, entry["versions"])
        assert (version in field.versions) == present, (path, version)
        nullable = within(version, entry["nullable_versions"])
        assert (present and version in field.nullable) == nullable, (path, version)
        tagged = within(version, entry["tagged_versions"])
        assert (version in field.tagged) == tagged, (path, version)
    if isinstance(field.type, str):
        assert field.type == TYPES.get(kind, kind), path
        assert plain(field) == entry["default"], path
        assert "fields" not in entry, path
    else:
        low = max(versions.low, field.versions.low)
        inner = VersionRange(low, min(versions.high, field.versions.high))
        compare_fields(field.type, entry["fields"], inner, path)
        compare_default(field, entry, path)


def plain(field: Field) -> Any:
    """As the tables write it."""
    if field.type == "uuid" and field.default == ZERO_UUID and not field.is_array:
        return "00000000-0000-0000-0000-000000000000"
    if isinstance(field.default, bytes):
        return field.default.decode()
    return field.default


def compare_default(field: Field, entry: dict[str, Any], path: str) -> None:
    if field.is_array or field.default is None:
        assert field.default == entry["default"], path
    else:
        assert entry["default"] == {}, path


# The notation.


@pytest.mark.parametrize(
    ("text", "low", "high"), [("3", 3, 3), ("3-7", 3, 7), ("3+", 3, NEWEST), ("", 0, -1)]
)
def test_a_range_of_versions(text: str, low: int, high: int) -> None:
    assert parse_versions(text) == (low, high)
    assert 3 in parse_versions("3-7")
    assert 8 not in parse_versions("3-7")
    assert 0 not in NONE
