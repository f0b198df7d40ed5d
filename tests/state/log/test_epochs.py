from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykbroker.state.log.epochs import UNDEFINED_END, EpochEnd, EpochEntry, LeaderEpochCache


def cache(*entries: tuple[int, int]) -> LeaderEpochCache:
    return LeaderEpochCache([EpochEntry(*entry) for entry in entries])


def test_an_empty_cache_knows_nothing() -> None:
    empty = cache()
    assert empty.latest_epoch == -1
    assert empty.end_offset(0, 10) == UNDEFINED_END
    assert empty.epoch_for_offset(0) == -1


def test_beginning_the_same_epoch_again_changes_nothing() -> None:
    epochs = cache((2, 5))
    assert not epochs.assign(2, 9)
    assert epochs.entries == ((2, 5),)
    assert not epochs.dirty


def test_a_new_epoch_takes_away_what_it_contradicts() -> None:
    epochs = cache((1, 0), (2, 5), (3, 9))
    assert epochs.assign(4, 5)
    assert epochs.entries == ((1, 0), (4, 5))
    assert epochs.assign(2, 7)
    assert epochs.entries == ((1, 0), (2, 7))
    assert epochs.dirty


def test_an_epoch_that_began_earlier_than_thought_begins_there() -> None:
    epochs = cache((1, 0), (2, 5))
    assert epochs.assign(2, 3)
    assert epochs.entries == ((1, 0), (2, 3))


@pytest.mark.parametrize(("epoch", "offset"), [(-1, 0), (0, -1)])
def test_nothing_negative_can_begin(epoch: int, offset: int) -> None:
    with pytest.raises(ValueError):
        cache().assign(epoch, offset)


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (-1, UNDEFINED_END),
        (0, EpochEnd(0, 10)),  # below all: where the first known begins
        (2, EpochEnd(2, 20)),
        (3, EpochEnd(2, 20)),  # unknown: the largest below
        (5, EpochEnd(5, 99)),  # the latest: the log's end
        (6, UNDEFINED_END),  # above all
    ],
)
def test_where_an_epoch_ended(asked: int, answer: EpochEnd) -> None:
    assert cache((2, 10), (5, 20)).end_offset(asked, 99) == answer


def test_truncation_forgets_epochs_from_there_on() -> None:
    epochs = cache((1, 0), (2, 5), (3, 9))
    epochs.truncate_from_end(5)
    assert (epochs.entries, epochs.latest_epoch, epochs.dirty) == (((1, 0),), 1, True)
    epochs.truncate_from_end(0)
    assert epochs.latest_epoch == -1


def test_a_truncation_that_takes_nothing_leaves_the_file_alone() -> None:
    epochs = cache((1, 0), (2, 5))
    epochs.truncate_from_end(6)
    epochs.truncate_from_start(0)
    assert not epochs.dirty


def test_the_epoch_of_the_new_first_offset_begins_there() -> None:
    epochs = cache((1, 0), (2, 5), (3, 9))
    epochs.truncate_from_start(7)
    assert epochs.entries == ((2, 7), (3, 9))
    epochs.truncate_from_start(9)
    assert epochs.entries == ((3, 9),)


def test_clearing() -> None:
    epochs = cache((1, 0))
    epochs.clear()
    assert (epochs.entries, epochs.dirty) == ((), True)
    untouched = cache()
    untouched.clear()
    assert not untouched.dirty


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 30)), max_size=20), st.integers(0, 40))
def test_entries_always_rise_and_answers_agree_with_a_walk(
    assigned: list[tuple[int, int]], probe: int
) -> None:
    epochs = cache()
    for epoch, offset in assigned:
        epochs.assign(epoch, offset)
        entries = epochs.entries
        assert all(a.epoch < b.epoch for a, b in itertools.pairwise(entries))
        assert all(a.start_offset < b.start_offset for a, b in itertools.pairwise(entries))
        assert epochs.latest_epoch == entries[-1].epoch
    expected = -1
    for entry in epochs.entries:
        if entry.start_offset <= probe:
            expected = entry.epoch
    assert epochs.epoch_for_offset(probe) == expected
