"""What the differential suite's own parts promise: its codec, its mutations, how it judges."""

from __future__ import annotations

import io
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from kio.serial import entity_reader, entity_writer

from compat.differential.codec import (
    API_KEYS,
    Counted,
    Raw,
    Undecodable,
    decode_response,
    encode_request,
    fields_of,
    is_flexible,
    request_schema,
    response_schema,
    versions_of,
)
from compat.differential.command import judge, main
from compat.differential.compare import ABSENT, BROKEN, compare, differing
from compat.differential.known import Known, read_known
from compat.differential.mutations import mutations
from compat.differential.normalise import Names, Normaliser
from compat.differential.registry import Case, Instance, all_cases
from compat.differential.report import group, versions_in_words
from compat.differential.talk import Step
from tests.support.process import BrokerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

PAIRS = [(api, version) for api in API_KEYS for version in versions_of(api)]
SAMPLES: dict[str, Any] = {
    "string": "text",
    "bytes": b"bytes",
    "records": b"records",
    "uuid": uuid.UUID(int=7),
    "float64": 1.5,
    "bool": True,
    "error_code": 3,
    "datetime_i64": 1_600_000_000_000,
}


def sample(schema: Any) -> dict[str, Any]:
    """Something in every field, tagged ones included."""
    values: dict[str, Any] = {}
    for field in fields_of(schema):
        one = sample(field.struct) if field.struct else SAMPLES.get(field.kind, 5)
        values[field.name] = [one, one] if field.is_array else one
    return values


def as_kio_writes_it(schema: Any, data: bytes) -> bytes:
    message, _ = entity_reader(schema)(data, 0)
    out = io.BytesIO()
    entity_writer(schema)(out, message)
    return out.getvalue()


@pytest.mark.parametrize(("api", "version"), PAIRS)
def test_what_is_written_is_what_kio_reads_and_writes(api: str, version: int) -> None:
    schema = request_schema(api, version)
    body = encode_request(api, version, sample(schema)).body
    assert as_kio_writes_it(schema, body) == body


@pytest.mark.parametrize(("api", "version"), PAIRS)
def test_what_kio_writes_is_read_to_the_last_byte(api: str, version: int) -> None:
    from compat.differential.codec import Writer

    schema = response_schema(api, version)
    writer = Writer(is_flexible(schema))
    writer.struct(schema, sample(schema))
    body = as_kio_writes_it(schema, bytes(writer.out))
    head = b"\0\0\0\x09" + (b"\0" if is_flexible(schema) and api != "api_versions" else b"")
    assert decode_response(api, version, head + body) == (9, sample(schema))
    assert decode_response(api, version, head + body + b"x")[1]["_trailing"] == b"x"
    with pytest.raises(Undecodable):
        decode_response(api, version, head + body[:-1])


def test_a_request_can_be_wrong_in_any_place() -> None:
    def body(**fields: Any) -> bytes:
        return encode_request("heartbeat", 0, {"group_id": "g", "member_id": "m"} | fields).body

    assert body() == b"\0\x01g\0\0\0\0\0\x01m"
    assert body(group_id=None) == b"\xff\xff\0\0\0\0\0\x01m"
    assert body(generation_id=Raw(b"!")) == b"\0\x01g!\0\x01m"
    groups = encode_request("describe_groups", 0, {"groups": Counted(9, ["a"])}).body
    assert groups == b"\0\0\0\x09\0\x01a"
    tagged = encode_request("heartbeat", 4, {"_tags": {1000: b"xy"}}).body
    assert tagged.endswith(b"\x01\xe8\x07\x02xy")
    with pytest.raises(KeyError, match="group_name"):
        body(group_name="g")


def test_every_place_with_a_length_is_made_wrong() -> None:
    encoded = encode_request("offset_delete", 0, {"group_id": "g", "topics": [{"name": "t"}]})
    made = list(mutations(encoded, flexible=False))
    labels = [label for label, _ in made]
    assert len(set(labels)) == len(labels)
    assert made[0] == ("as it should be", encoded.payload)
    for place in ("group_id", "topics", "topics[0].name", "topics[0].partitions"):
        assert {f"null {place}", f"length -2 of {place}", f"huge length of {place}"} <= {*labels}
    wrong = dict(made)
    assert wrong["null topics"] == encoded.header + b"\0\x01g\xff\xff\xff\xff"


def test_differences_are_told_as_high_up_as_can_be() -> None:
    ours = {"a": 1, "b": [{"c": 1}], "d": 0}
    theirs = {"a": 1, "b": [{"c": 2}, {"c": 3}], "d": False}
    assert list(differing(ours, theirs, "x")) == [
        ("x.b[0].c", 1, 2),
        ("x.b[1]", ABSENT, {"c": 3}),
        ("x.d", 0, False),
    ]


def steps(*answers: Any) -> list[Step]:
    return [Step(f"step {i}", "api", answer) for i, answer in enumerate(answers)]


CASE = Instance(Case("a/case", lambda talk, version: None, "api", False, 1, None), 3)


def test_an_end_of_the_connection_is_one_difference() -> None:
    answer = {"error_code": "NONE", "topics": [{"error_code": "INVALID_TOPIC_EXCEPTION"}]}
    [found] = compare(CASE, steps("closed"), steps(answer)).differences
    assert found == (
        "a/case v3",
        "step 0",
        "api",
        "closed",
        "answered NONE, INVALID_TOPIC_EXCEPTION",
    )
    assert compare(CASE, steps("closed"), steps("closed")).differences == []


def test_one_who_says_less_is_found_out() -> None:
    [found] = compare(CASE, steps({"a": 1}), steps({"a": 1}, {"b": 2})).differences
    assert (found.path, found.ours) == ("steps", ABSENT)


def test_a_broken_case_is_never_equal() -> None:
    broken = [Step(BROKEN, "case", "a trace")]
    assert compare(CASE, broken, broken).differences


def test_what_brokers_draw_is_told_by_its_first_appearance() -> None:
    normaliser = Normaliser(Names(), "d123456-0")
    drawn = [uuid.uuid4() for _ in range(2)]
    said = normaliser.answer("x", {"ids": [drawn[0], drawn[1], drawn[0], uuid.UUID(int=0)]})
    assert said == {"ids": ["<id 1>", "<id 2>", "<id 1>", "<no id>"]}
    said = normaliser.answer(
        "x", {"error_message": "why", "name": "d123456-0.t1", "error_code": 3, "port": 9}
    )
    assert said == {
        "error_message": "<text>",
        "name": "@.t1",
        "error_code": "UNKNOWN_TOPIC_OR_PARTITION",
        "port": "<port>",
    }
    others = {"groups": [{"group_id": "d123456-0.g1"}, {"group_id": "d123456-7.g1"}]}
    assert normaliser.answer("x", others) == {"groups": [{"group_id": "@.g1"}]}


def test_an_entry_covers_what_it_says_and_nothing_else() -> None:
    [difference] = compare(CASE, steps({"a": [1]}), steps({"a": [2]})).differences
    assert Known("a/*", "api.a[]", "why").covers(difference)
    assert Known("b/*|a/case v3", "*", "why", ours="1").covers(difference)
    assert not Known("a/case", "*", "why").covers(difference)
    assert not Known("a/*", "api.b*", "why").covers(difference)
    assert not Known("a/*", "*", "why", reference="1").covers(difference)
    assert Known("a/*", "*", "why").is_stale(["a/case v3"])
    assert not Known("b/*", "*", "why").is_stale(["a/case v3"])
    entries = [Known("z", "*", "why"), Known("a/*", "*", "why")]
    outcome = compare(CASE, steps({"a": [1]}), steps({"a": [2]}))
    assert judge([outcome], entries) == []
    assert [entry.count for entry in entries] == [0, 1]
    assert judge([outcome], entries[:1]) == outcome.differences


def test_the_same_difference_is_told_once() -> None:
    differences = [
        compare(Instance(CASE.case, version), steps(1), steps(2)).differences[0]
        for version in (3, 4, 5, 9)
    ]
    assert group(differences) == ["a/case v3-5,9 | step 0 | api: ours 1, reference 2"]
    assert versions_in_words([""]) == ""


def test_known_differences_are_written_down_for_people() -> None:
    root = Path(__file__).parents[2]
    text = re.sub(r"\s+", " ", (root / "docs" / "differences.md").read_text())
    for entry in read_known():
        assert entry.reason in text, f"{entry.case} {entry.path}"


def test_cases_have_names_of_their_own_and_run_somewhere() -> None:
    cases = all_cases()
    assert len(cases) > 150
    assert {case.api for case in cases} <= {*API_KEYS, ""}


@pytest.fixture(scope="module")
def two_brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    brokers = [
        BrokerProcess("--memory", log_dir=tmp_path_factory.mktemp("broker")) for _ in range(2)
    ]
    try:
        yield [broker.wait_ready().bootstrap for broker in brokers]
    finally:
        for broker in brokers:
            broker.kill()


@pytest.mark.parametrize("only", ["fetch/*", "malformed/join_group*", "idempotence/*"])
def test_a_broker_differs_in_nothing_from_its_like(
    two_brokers: list[str], only: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, reference = two_brokers
    options = ["--bootstrap", ours, "--reference", reference, "--only", only]
    assert main([*options, "--report", str(tmp_path)]) == 0, capsys.readouterr().out
    assert "None." in (tmp_path / "report.md").read_text()


def test_a_pattern_that_nobody_matches_is_refused(two_brokers: list[str]) -> None:
    ours, reference = two_brokers
    assert main(["--bootstrap", ours, "--reference", reference, "--only", "nothing/*"]) == 2
