"""What a structure looks like at one version: which fields are in it, where, and in which form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wire.primitives import SIZES
from wire.schema import fields_of, parse_versions

if TYPE_CHECKING:
    from wire.schema import Field, Message, Struct


class Layout:
    """The fields of a structure at one version."""

    __slots__ = ("absent", "body", "tagged")

    def __init__(self) -> None:
        self.body: list[Field] = []
        """In wire order."""
        self.tagged: list[Field] = []
        self.absent: list[Field] = []


def layout_of(cls: type[Struct], version: int) -> Layout:
    layout = Layout()
    for field in fields_of(cls):
        if version in field.tagged:
            layout.tagged.append(field)
        elif version in field.versions:
            layout.body.append(field)
        else:
            layout.absent.append(field)
    return layout


def is_flexible(cls: type[Message], version: int) -> bool:
    return version in parse_versions(cls.flexible)


def is_defined(cls: type[Message], version: int) -> bool:
    return version in parse_versions(cls.versions)


def is_fixed(cls: type[Struct], version: int) -> bool:
    """Whether the body always takes the same room."""
    return not any(f.is_array or f.type not in SIZES for f in layout_of(cls, version).body)


def minimum_size(field: Field, version: int, flexible: bool) -> int:
    """The fewest bytes that a field in the body can take."""
    compact = flexible and not field.never_flexible
    if field.is_array:
        return 1 if compact else 4
    if isinstance(field.type, str) or version not in field.nullable:
        return minimum_element_size(field.type, version, compact)
    return 1


def minimum_element_size(kind: str | type[Struct], version: int, flexible: bool) -> int:
    if isinstance(kind, str):
        size = SIZES.get(kind)
        if size is not None:
            return size
        return 1 if flexible else 2 if kind == "string" else 4
    sizes = [minimum_size(field, version, flexible) for field in layout_of(kind, version).body]
    return sum(sizes) + (1 if flexible else 0)
