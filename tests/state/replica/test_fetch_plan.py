"""What a follower asks: sessions in which only changes are said, pauses, answers that count."""

from __future__ import annotations

import pytest

from pykbroker.state.follower import (
    FIRST_PAUSE_MS,
    Ask,
    FetchPlan,
    Followed,
    Position,
    fetcher_number,
    pause_ms,
)
from pykbroker.state.types import TopicId
from wire.errors import ErrorCode

TOPIC = TopicId(b"t" * 16)
A, B, C = (TOPIC, 0), (TOPIC, 1), (TOPIC, 2)
START = Position(0, -1, 0)


def at(offset: int, epoch: int = 0, start: int = 0) -> Position:
    return Position(offset, epoch, start)


class Talk:
    """A plan and a leader that answers."""

    def __init__(self, *keys: tuple[TopicId, int]) -> None:
        self.plan = FetchPlan()
        self.followed: dict[tuple[TopicId, int], Followed] = {}
        for key in keys:
            self.follow(key)

    def follow(self, key: tuple[TopicId, int], epoch: int = 0, position: Position = START) -> None:
        self.followed[key] = self.plan.follow(key, epoch)
        self.plan.stands(self.followed[key], position)

    def stands(self, key: tuple[TopicId, int], position: Position) -> None:
        self.plan.stands(self.followed[key], position)

    def ask(self) -> Ask:
        found = self.plan.ask()
        assert found is not None
        return found

    def exchange(self, session_id: int = 7) -> Ask:
        found = self.ask()
        assert self.plan.answered(session_id, ErrorCode.NONE)
        return found

    def keys(self, ask: Ask) -> list[tuple[TopicId, int]]:
        return [followed.key for followed in ask.followed]


def test_the_first_fetch_says_everything_and_the_next_ones_only_what_changed() -> None:
    talk = Talk(A, B)
    first = talk.exchange()
    assert (first.session_id, first.session_epoch, talk.keys(first)) == (0, 0, [A, B])
    second = talk.exchange()
    assert (second.session_id, second.session_epoch, second.followed) == (7, 1, [])
    talk.stands(B, at(5))
    third = talk.exchange()
    assert (third.session_epoch, talk.keys(third), third.forgotten) == (2, [B], [])


def test_the_same_position_is_no_news() -> None:
    talk = Talk(A)
    talk.exchange()
    talk.stands(A, START)
    assert talk.ask().followed == []


def test_a_new_partition_joins_the_session_and_one_that_went_is_forgotten() -> None:
    talk = Talk(A, B)
    talk.exchange()
    talk.follow(C)
    talk.plan.unfollow(A)
    ask = talk.ask()
    assert (talk.keys(ask), ask.forgotten) == ([C], [A])
    talk.plan.answered(7, ErrorCode.NONE)
    assert talk.ask().forgotten == []


def test_what_came_back_in_another_epoch_is_said_anew_and_not_forgotten() -> None:
    talk = Talk(A, B)
    talk.exchange()
    talk.follow(A, epoch=1)
    ask = talk.ask()
    assert (talk.keys(ask), ask.forgotten) == ([A], [])
    assert ask.followed[0].leader_epoch == 1


def test_nothing_to_follow_is_nothing_to_ask() -> None:
    talk = Talk(A)
    talk.exchange()
    talk.plan.unfollow(A)
    assert talk.plan.ask() is None
    assert len(talk.plan) == 0


def test_a_leader_without_room_for_a_session_is_told_everything_each_time() -> None:
    talk = Talk(A, B)
    talk.exchange(session_id=0)
    assert talk.keys(talk.exchange(session_id=0)) == [A, B]
    assert talk.ask().session_epoch == 0


@pytest.mark.parametrize(
    ("code", "session_id"),
    [
        (ErrorCode.FETCH_SESSION_ID_NOT_FOUND, 0),
        (ErrorCode.INVALID_FETCH_SESSION_EPOCH, 7),
        (ErrorCode.UNKNOWN_SERVER_ERROR, 7),
    ],
)
def test_a_session_that_ended_is_begun_anew_and_the_old_one_closed(
    code: ErrorCode, session_id: int
) -> None:
    talk = Talk(A, B)
    talk.exchange()
    talk.ask()
    assert not talk.plan.answered(0, code)
    ask = talk.ask()
    assert (ask.session_id, ask.session_epoch, talk.keys(ask)) == (session_id, 0, [A, B])


def test_an_answer_of_another_session_does_not_count() -> None:
    talk = Talk(A)
    talk.exchange()
    talk.ask()
    assert not talk.plan.answered(8, ErrorCode.NONE)
    assert talk.ask().session_epoch == 0


def test_after_a_lost_answer_everything_is_said_and_the_session_closed() -> None:
    talk = Talk(A)
    talk.exchange()
    talk.ask()
    talk.plan.lost()
    ask = talk.ask()
    assert (ask.session_id, ask.session_epoch, talk.keys(ask)) == (7, 0, [A])


def test_an_answer_counts_for_who_was_asked_for_and_still_stands_there() -> None:
    talk = Talk(A, B, C)
    plan = talk.plan
    assert plan.answer_for(A) is None
    talk.ask()
    talk.follow(B, epoch=1)
    talk.stands(C, at(3))
    assert plan.answer_for(A) is talk.followed[A]
    assert plan.answer_for(B) is None
    assert plan.answer_for(C) is None
    plan.unfollow(A)
    assert plan.answer_for(A) is None


def test_a_partition_that_failed_pauses_outside_the_session_and_is_looked_at_again() -> None:
    talk = Talk(A, B)
    talk.exchange()
    plan, failed = talk.plan, talk.followed[A]
    plan.retry_later(failed, 1_000, 10_000)
    assert plan.next_due_ms() == 1_000 + FIRST_PAUSE_MS
    ask = talk.exchange()
    assert (ask.followed, ask.forgotten) == ([], [A])
    plan.wake(1_000 + FIRST_PAUSE_MS - 1)
    assert not plan.unplaced
    plan.wake(1_000 + FIRST_PAUSE_MS)
    assert list(plan.unplaced) == [A]
    assert plan.next_due_ms() is None
    talk.stands(A, at(2))
    assert talk.keys(talk.ask()) == [A]


def test_a_pause_ends_with_what_was_followed() -> None:
    talk = Talk(A, B)
    talk.plan.retry_later(talk.followed[A], 0, 1_000)
    talk.follow(A, epoch=1)
    assert talk.plan.next_due_ms() is None
    talk.plan.wake(5_000)
    assert not talk.plan.unplaced
    assert talk.keys(talk.ask()) == [B, A]


def test_pauses_grow_up_to_the_setting_and_begin_small_after_a_success() -> None:
    assert [pause_ms(n, 1_000) for n in (1, 2, 3, 7, 90)] == [20, 40, 80, 1_000, 1_000]
    assert pause_ms(1, 0) == 0
    talk = Talk(A)
    failed = talk.followed[A]
    for expected in (20, 40, 80):
        talk.plan.retry_later(failed, 0, 1_000)
        assert failed.due_ms == expected
    talk.plan.succeeded(failed)
    talk.plan.retry_later(failed, 0, 1_000)
    assert failed.due_ms == 20


def test_who_was_given_up_is_not_asked_for_before_another_epoch() -> None:
    talk = Talk(A, B)
    talk.exchange()
    talk.plan.give_up(talk.followed[A])
    ask = talk.exchange()
    assert (talk.keys(ask), ask.forgotten) == ([], [A])
    talk.plan.wake(10**9)
    assert not talk.plan.unplaced
    talk.follow(A, epoch=1)
    assert talk.keys(talk.ask()) == [A]


def test_partitions_are_spread_over_fetchers_as_kafka_does() -> None:
    numbers = {fetcher_number("orders", p, 4) for p in range(4)}
    assert numbers == {0, 1, 2, 3}
    assert all(fetcher_number("orders", p, 1) == 0 for p in range(9))
