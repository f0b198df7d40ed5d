"""The admin that sets up goes on where its client has lost its way."""

from __future__ import annotations

from typing import Any

import pytest

from compat.driver import DriverError
from compat.setup_admin import SetupAdmin


class Scripted:
    """A driver whose answers are given; what was asked is kept."""

    def __init__(self, *answers: str | dict[str, Any]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str]] = []

    def call(self, op: str, *, patience: float, handle: str, **fields: Any) -> dict[str, Any]:
        self.asked.append((op, handle))
        answer = self.answers.pop(0)
        if isinstance(answer, str):
            raise DriverError({"code": answer}, op)
        return answer


def opened(*answers: str | dict[str, Any]) -> tuple[Scripted, SetupAdmin]:
    driver = Scripted({}, *answers)
    return driver, SetupAdmin(driver, config={"bootstrap": "b"})  # type: ignore[arg-type]


def test_what_the_client_refused_by_itself_is_asked_again_of_a_new_one() -> None:
    driver, admin = opened("CLIENT", {}, {"topics": ["t"]})
    assert admin.do("list_topics") == {"topics": ["t"]}
    first, new = driver.asked[0][1], driver.asked[2][1]
    assert first != new
    assert driver.asked == [
        ("admin.open", first),
        ("admin.list_topics", first),
        ("admin.open", new),
        ("admin.list_topics", new),
    ]


def test_what_may_have_arrived_is_not_asked_again() -> None:
    driver, admin = opened("DISCONNECTED", {}, {"topics": []})
    with pytest.raises(DriverError, match="DISCONNECTED"):
        admin.do("list_topics")
    assert admin.do("list_topics") == {"topics": []}
    assert driver.asked[-1][1] != driver.asked[0][1]


def test_what_a_broker_refused_is_the_answer() -> None:
    driver, admin = opened("INVALID_CONFIG")
    with pytest.raises(DriverError, match="INVALID_CONFIG"):
        admin.do("alter_configs")
    assert len(driver.asked) == 2


def test_a_new_one_that_cannot_be_had_leaves_the_old() -> None:
    driver, admin = opened("CLIENT", "DISCONNECTED", {"topics": []})
    with pytest.raises(DriverError, match="DISCONNECTED"):
        admin.do("list_topics")
    admin.do("list_topics")
    assert driver.asked[-1][1] == driver.asked[0][1]
