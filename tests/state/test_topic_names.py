"""What a topic may be called, and how a refusal reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykbroker.state.errors import KafkaError
from pykbroker.state.topic_names import check_topic_name
from wire.errors import ErrorCode


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "...", "_", "x" * 249])
def test_legal_names(name: str) -> None:
    check_topic_name(name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "the empty string is not allowed"),
        (".", "'.' is not allowed"),
        ("..", "'..' is not allowed"),
        (
            "x" * 250,
            f"the length of '{'x' * 250}' is longer than the max allowed length 249",
        ),
        (
            "a/b",
            "'a/b' contains one or more characters other than ASCII alphanumerics, "
            "'.', '_' and '-'",
        ),
    ],
)
def test_refusals(name: str, reason: str) -> None:
    with pytest.raises(KafkaError) as caught:
        check_topic_name(name)
    assert caught.value.code == ErrorCode.INVALID_TOPIC_EXCEPTION
    assert caught.value.message == f"Topic name is invalid: {reason}"


@given(st.text(st.characters(min_codepoint=128), min_size=1))
def test_only_ascii_is_legal(name: str) -> None:
    with pytest.raises(KafkaError):
        check_topic_name(name)
