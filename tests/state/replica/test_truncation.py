"""Where a follower's log and its leader's part, found by leader epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykbroker.state.errors import KafkaError
from pykbroker.state.log.epochs import EpochEnd, EpochEntry, LeaderEpochCache
from pykbroker.state.replica import diverging_epoch
from pykbroker.state.truncation import (
    OutOfRange,
    Truncation,
    follower_high_watermark,
    out_of_range,
    truncation,
)
from wire.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Sequence


def cache(*entries: tuple[int, int]) -> LeaderEpochCache:
    return LeaderEpochCache([EpochEntry(*entry) for entry in entries])


LEADER = cache((1, 0), (3, 10), (5, 20))
"""Ends at 30, starts at 2."""


@pytest.mark.parametrize(
    ("last_epoch", "offset", "expected"),
    [
        (5, 30, None),
        (5, 25, None),
        (3, 15, None),
        (3, 20, None),
        (3, 21, EpochEnd(3, 20)),
        (4, 15, EpochEnd(3, 20)),
        (2, 8, EpochEnd(1, 10)),
        (1, 12, EpochEnd(1, 10)),
        (5, 31, EpochEnd(5, 30)),
    ],
)
def test_a_leader_tells_where_the_followers_epoch_ended(
    last_epoch: int, offset: int, expected: EpochEnd | None
) -> None:
    assert diverging_epoch(LEADER, last_epoch, offset, 2, 30) == expected


@pytest.mark.parametrize(("last_epoch", "offset"), [(6, 30), (1, 1)])
def test_what_the_leader_cannot_place_is_out_of_range(last_epoch: int, offset: int) -> None:
    with pytest.raises(KafkaError) as refusal:
        diverging_epoch(LEADER, last_epoch, offset, 2, 30)
    assert refusal.value.code is ErrorCode.OFFSET_OUT_OF_RANGE


def test_an_epoch_before_all_that_is_known_ends_where_the_first_begins() -> None:
    assert diverging_epoch(cache((4, 10)), 2, 15, 0, 30) == EpochEnd(2, 10)


@pytest.mark.parametrize(
    ("leaders_end", "expected"),
    [
        (EpochEnd(4, 18), Truncation(18, True)),
        (EpochEnd(4, 40), Truncation(25, True)),
        (EpochEnd(2, 12), Truncation(10, True)),
        (EpochEnd(3, 18), Truncation(10, False)),
        (EpochEnd(7, 22), Truncation(22, True)),
    ],
    ids=["same epoch, shorter", "same epoch, longer", "older epoch", "unknown here", "ahead"],
)
def test_a_follower_cuts_by_epoch(leaders_end: EpochEnd, expected: Truncation) -> None:
    # Epoch 2 from 0, epoch 4 from 10; the log ends at 25.
    assert truncation(cache((2, 0), (4, 10)), 25, leaders_end) == expected


def test_a_follower_without_epochs_believes_the_leader() -> None:
    assert truncation(cache(), 25, EpochEnd(3, 18)) == Truncation(18, True)


def test_out_of_range() -> None:
    assert out_of_range(50, 0, 40) == OutOfRange(40, False)
    assert out_of_range(5, 10, 40) == OutOfRange(10, True)


def test_a_followers_high_watermark_is_within_its_log() -> None:
    assert follower_high_watermark(10, 7) == 7
    assert follower_high_watermark(5, 7) == 5


Log = list[int]
"""The epoch of each record."""


def epochs_of(log: Sequence[int]) -> LeaderEpochCache:
    made = LeaderEpochCache()
    for offset, epoch in enumerate(log):
        made.assign(epoch, offset)
    return made


@st.composite
def histories(draw: st.DrawFn) -> tuple[Log, Log]:
    """Two logs that share a beginning; what follows was written by different leaders: no epoch
    behind the fork is in both, but for the one in which they forked."""
    shared = draw(st.lists(st.integers(0, 3), max_size=8).map(sorted))
    last = shared[-1] if shared else 0
    more = st.lists(st.integers(0, 5), max_size=8).map(sorted)
    leader = [last + 1 + 2 * step for step in draw(more)]
    follower = [last + 2 + 2 * step for step in draw(more)]
    longer = [last] * draw(st.integers(0, 3))
    if draw(st.booleans()):
        return shared + longer + leader, shared + follower
    return shared + leader, shared + longer + follower


@given(histories())
def test_truncating_as_told_ends_at_exactly_the_common_beginning(logs: tuple[Log, Log]) -> None:
    leader, follower = logs
    common = 0
    while common < min(len(leader), len(follower)) and leader[common] == follower[common]:
        common += 1
    theirs = epochs_of(leader)
    # The leader has begun an epoch of its own, above all.
    theirs.assign(max([*leader, *follower, 0]) + 1, len(leader))
    for _ in range(len(follower) + 1):
        own = epochs_of(follower)
        if not follower:
            break
        end = diverging_epoch(theirs, follower[-1], len(follower), 0, len(leader))
        if end is None:
            break
        del follower[truncation(own, len(follower), end).offset :]
    assert follower == leader[: len(follower)]
    assert len(follower) == common
