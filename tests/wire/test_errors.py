"""Error codes: the table's numbers and names, in a class that behaves like an IntEnum."""

from __future__ import annotations

import copy
import pickle

import pytest

from tests.support.fact_tables import rows
from wire.errors import DecodeError, EncodeError, ErrorCode, WireError


def test_codes_names_and_retriability_are_those_of_the_table() -> None:
    expected = [(int(r["code"]), r["name"], r["retriable"] == "yes") for r in rows("errors.tsv")]
    assert [(int(c), c.name, c.retriable) for c in ErrorCode] == expected


def test_there_is_one_member_per_code() -> None:
    assert len(ErrorCode) == 135
    assert [int(code) for code in ErrorCode] == list(range(-1, 134))
    for code in ErrorCode:
        assert ErrorCode(int(code)) is code
        assert ErrorCode[code.name] is code
        assert getattr(ErrorCode, code.name) is code


def test_a_code_is_an_int_and_a_member() -> None:
    code = ErrorCode.NOT_COORDINATOR
    assert code == 16
    assert {16: "x"}[code] == "x"
    assert code.value == 16
    assert isinstance(code, ErrorCode)
    assert repr(code) == "<ErrorCode.NOT_COORDINATOR: 16>"
    assert f"{code}" == "16"
    assert code in ErrorCode
    assert not ErrorCode.NONE
    assert pickle.loads(pickle.dumps(code)) is code
    assert copy.deepcopy(code) is code


@pytest.mark.parametrize("wrong", [-2, 134, 10**6])
def test_a_number_that_is_no_code_is_refused(wrong: int) -> None:
    with pytest.raises(ValueError, match="not a valid ErrorCode"):
        ErrorCode(wrong)
    assert wrong not in list(ErrorCode)


@pytest.mark.parametrize("wrong", ["", "NO_SUCH_CODE", "retriable", "__init__"])
def test_a_name_that_is_no_code_is_refused(wrong: str) -> None:
    with pytest.raises(KeyError):
        ErrorCode[wrong]


@pytest.mark.parametrize("code", list(ErrorCode), ids=lambda code: code.name)
def test_every_code_has_a_text_of_one_sentence(code: ErrorCode) -> None:
    assert code.text.endswith(".")
    assert 8 < len(code.text) < 90


def test_texts_differ() -> None:
    assert len({code.text for code in ErrorCode}) == len(ErrorCode)


def test_the_two_ways_to_fail_are_told_apart() -> None:
    assert issubclass(DecodeError, WireError)
    assert issubclass(EncodeError, WireError)
    assert not issubclass(DecodeError, EncodeError)
