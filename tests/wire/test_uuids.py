"""Ids as text."""

from __future__ import annotations

from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.uuids import parse_uuid, uuid_text


@given(st.binary(min_size=16, max_size=16))
def test_an_id_survives_as_text(value: bytes) -> None:
    text = uuid_text(value)
    assert len(text) == 22
    assert text == urlsafe_b64encode(value).decode().rstrip("=")
    assert parse_uuid(text) == value


def test_ids_as_kafka_prints_them() -> None:
    assert uuid_text(bytes(16)) == "AAAAAAAAAAAAAAAAAAAAAA"
    assert uuid_text(bytes(15) + b"\x01") == "AAAAAAAAAAAAAAAAAAAAAQ"
    assert uuid_text(b"\xff" * 16) == "_____________________w"
    assert uuid_text(b"\xfb" * 16) == "-_v7-_v7-_v7-_v7-_v7-w"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "AAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAA==",
        "/////////////////////w",
        "AAAAAAAAAAAAAAAAAAAAAB",
        "AAAAAAAAAAA AAAAAAAAAA",
        "\N{SNOWMAN}" * 22,
        "\0" * 22,
        "\ud800" * 22,
    ],
)
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an id of 22 characters"):
        parse_uuid(text)
