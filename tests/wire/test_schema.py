"""Messages as objects: defaults, equality, what is shared and what is not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.messages import all_structs
from wire.messages.consumer_group_describe import Assignment, Member
from wire.messages.fetch import EpochEndOffset, FetchPartition, FetchRequest, PartitionData
from wire.messages.produce import ProduceRequest
from wire.schema import Struct, fields_of, is_shared, maker


@pytest.mark.parametrize("cls", all_structs(), ids=lambda cls: cls.__name__)
def test_what_is_left_out_has_its_default(cls: type[Struct]) -> None:
    value = cls()
    for field in fields_of(cls):
        assert getattr(value, field.name) == field.default
    assert value.unknown_tags is None
    assert value == cls()


def test_lists_are_not_shared() -> None:
    one, other = FetchRequest(), FetchRequest()
    one.topics.append(1)  # type: ignore[arg-type]
    assert other.topics == []
    assert FetchRequest().topics == []


def test_what_holds_lists_is_not_shared() -> None:
    Member().assignment.topic_partitions.append(1)  # type: ignore[arg-type]
    assert Member().assignment == Assignment()
    assert Member().assignment.topic_partitions == []


def test_a_flat_default_is_shared_and_cannot_be_changed() -> None:
    one, other = PartitionData(), PartitionData()
    assert one.diverging_epoch is other.diverging_epoch
    with pytest.raises(TypeError, match="assign a new one"):
        one.diverging_epoch.epoch = 3
    one.diverging_epoch = EpochEndOffset(epoch=3)
    one.diverging_epoch.epoch = 4
    assert other.diverging_epoch == EpochEndOffset()


def test_a_shared_default_is_equal_to_its_like_and_reads_like_it() -> None:
    shared = PartitionData().diverging_epoch
    assert shared == EpochEndOffset()
    assert EpochEndOffset() == shared
    assert shared != EpochEndOffset(epoch=3)
    assert isinstance(shared, EpochEndOffset)
    assert is_shared(shared)
    assert not is_shared(EpochEndOffset())
    assert not is_shared(Assignment())
    assert repr(shared) == repr(EpochEndOffset()) == "EpochEndOffset(epoch=-1, end_offset=-1)"


def test_equality_is_of_one_class_and_all_fields() -> None:
    one = FetchPartition(partition=3)
    assert one == FetchPartition(partition=3)
    assert one != FetchPartition(partition=4)
    assert one != 3
    one.unknown_tags = []
    assert one == FetchPartition(partition=3)
    one.unknown_tags = [(9, b"x")]
    assert one != FetchPartition(partition=3)
    assert FetchRequest() != ProduceRequest()
    with pytest.raises(TypeError):
        hash(one)


def test_fields_are_keywords_and_slots() -> None:
    cls: Any = FetchPartition
    with pytest.raises(TypeError):
        cls(3)
    with pytest.raises(TypeError):
        cls(no_such_field=3)
    with pytest.raises(AttributeError):
        cls().no_such_field = 3


def test_fields_are_told_apart_in_messages_of_failures() -> None:
    assert repr(fields_of(FetchPartition)[0]) == "<Field partition>"


@pytest.mark.parametrize("cls", all_structs(), ids=lambda cls: cls.__name__)
def test_a_maker_makes_what_the_class_does(cls: type[Struct]) -> None:
    make = maker(cls)
    made = make()
    assert type(made) is cls
    assert made == cls()
    for name in cls.definitions:
        mark = object()
        assert getattr(make(**{name: mark}), name) is mark
