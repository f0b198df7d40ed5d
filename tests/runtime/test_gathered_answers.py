"""Several answers as one."""

from __future__ import annotations

from pykbroker.runtime.waiters import Deferral, gather


def test_all_answers_in_the_order_of_the_questions() -> None:
    parts: list[Deferral[str]] = [Deferral() for _ in range(3)]
    parts[1].complete("b")
    whole = gather(parts)
    answers: list[list[str]] = []
    whole.when_done(answers.append)
    parts[2].complete("c")
    assert answers == []
    parts[0].complete("a")
    assert answers == [["a", "b", "c"]]


def test_nothing_asked_is_answered_at_once() -> None:
    answers: list[list[str]] = []
    gather([]).when_done(answers.append)
    assert answers == [[]]


def test_abandoning_the_whole_abandons_every_part() -> None:
    gone: list[int] = []
    parts: list[Deferral[int]] = [Deferral(lambda i=i: gone.append(i)) for i in range(3)]
    whole = gather(parts)
    parts[1].complete(1)
    whole.abandon()
    assert gone == [0, 2]
    assert not parts[0].complete(0)
