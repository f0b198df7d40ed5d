from __future__ import annotations

import copy
import inspect
import pickle
import typing

import pytest

from wire.tuples import NamedTuple, Protocol

if typing.TYPE_CHECKING:
    from collections.abc import Callable


class Point(NamedTuple):
    """Where something is."""

    x: int
    y: int
    label: str = "none"
    """What it is called."""

    @property
    def total(self) -> int:
        return self.x + self.y

    def moved(self, by: int) -> Point:
        return self._replace(x=self.x + by)

    @classmethod
    def origin(cls) -> Point:
        return cls(0, 0)


class Original(typing.NamedTuple):
    x: int
    y: int
    label: str = "none"


class Nothing(NamedTuple):
    pass


class Tight(NamedTuple):
    make: int
    _1: int = 2


def test_fields_are_given_by_place_or_by_name_and_may_have_defaults() -> None:
    assert Point(1, 2) == Point(y=2, x=1) == Point(1, 2, "none") == (1, 2, "none")
    point = Point(1, label="a", y=3)
    assert (point.x, point.y, point.label) == (1, 3, "a")
    assert Nothing() == ()
    assert Tight(make=1).make == 1


def test_it_is_a_tuple() -> None:
    x, y, label = Point(1, 2)
    assert (x, y, label) == (1, 2, "none")
    assert isinstance(Point(1, 2), tuple)
    assert hash(Point(1, 2)) == hash((1, 2, "none"))
    assert {Point(1, 2): 1}[Point(1, 2)] == 1
    assert sorted([Point(2, 1), Point(1, 2)])[0].x == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda cls: cls(1),
        lambda cls: cls(),
        lambda cls: cls(1, 2, "a", "b"),
        lambda cls: cls(1, 2, z=3),
        lambda cls: cls(1, 2, x=3),
        lambda cls: cls._make([1]),
        lambda cls: cls._make([1, 2, 3, 4]),
    ],
)
def test_what_the_original_refuses_is_refused(call: Callable[[typing.Any], object]) -> None:
    with pytest.raises(TypeError) as of_original:
        call(Original)
    with pytest.raises(TypeError) as of_point:
        call(Point)
    told = str(of_original.value).replace("Original", "Point")
    assert str(of_point.value).removeprefix("Point.") == told.removeprefix("Point.")


def test_a_field_of_an_unknown_name_cannot_be_replaced() -> None:
    with pytest.raises(ValueError, match=r"\['z'\]"):
        Point(1, 2)._replace(z=3)  # type: ignore[call-arg]


def test_a_field_without_default_may_not_follow_one_with_a_default() -> None:
    with pytest.raises(TypeError, match="Wrong"):

        class Wrong(NamedTuple):
            a: int = 1
            b: int  # type: ignore[misc]


def test_methods_and_properties_are_those_of_the_body() -> None:
    assert Point(1, 2).total == 3
    assert Point(1, 2).moved(2) == Point(3, 2)
    assert type(Point(1, 2).moved(2)) is Point
    assert Point.origin() == Point(0, 0)
    assert Point.__doc__ == "Where something is."


def test_fields_cannot_be_assigned_and_there_are_no_others() -> None:
    point = Point(1, 2)
    with pytest.raises(AttributeError):
        point.x = 3  # type: ignore[misc]
    with pytest.raises(AttributeError):
        point.z = 3  # type: ignore[attr-defined]
    assert not hasattr(point, "__dict__")


def test_what_is_told_of_a_class_is_what_the_original_tells() -> None:
    for name in ("_fields", "_field_defaults", "__match_args__"):
        assert getattr(Point, name) == getattr(Original, name)
    assert Point(1, 2)._asdict() == Original(1, 2)._asdict()
    assert repr(Point(1, 2)) == repr(Original(1, 2)).replace("Original", "Point")
    assert list(inspect.signature(Point).parameters) == ["x", "y", "label"]
    assert type(Point) is type
    assert (Point.__module__, Point.__qualname__) == (__name__, "Point")


def test_it_can_be_matched_copied_and_pickled() -> None:
    match Point(1, 2):
        case Point(x, label="none"):
            assert x == 1
        case _:
            pytest.fail("did not match")
    assert copy.deepcopy(Point(1, 2)) == copy.copy(Point(1, 2)) == Point(1, 2)
    taken = Point.__reduce_ex__(Point(1, 2), pickle.HIGHEST_PROTOCOL)
    assert taken[1] == (Point, 1, 2, "none")


def test_a_class_can_carry_the_names_of_a_protocol() -> None:
    class Named(Protocol):
        def name(self) -> str: ...

    class Thing(Named):
        def name(self) -> str:
            return "thing"

    named: Named = Thing()
    assert named.name() == "thing"
