"""Makes a function that encodes one message at one version: the mirror of ``wire.decoding``.

Pieces are appended to a list and joined at the end. A run of fixed-size fields is one ``pack``,
together with the length that follows it. The made function may raise what Python raises for a
value of the wrong type or size; ``wire.codec`` turns that into EncodeError.
"""

from __future__ import annotations

from struct import Struct as Format
from typing import TYPE_CHECKING, Any, NoReturn

from wire import primitives
from wire.errors import EncodeError
from wire.layout import Layout, is_flexible, layout_of
from wire.primitives import FORMATS
from wire.schema import Struct, is_shareable, shared_default

if TYPE_CHECKING:
    from collections.abc import Callable

    from wire.schema import Buffer, Field, Message

    Encoder = Callable[[Any, list[Buffer], list[Buffer]], None]
    """(message, finished buffers, pieces of the next one)."""

MERGE_LIMIT_BYTES = 512
"""Batches up to this size are copied: a buffer of their own costs the transport more."""


def compile_encoder(cls: type[Message], version: int) -> Encoder:
    maker = _Maker(cls, version)
    maker.function("encode", cls, is_flexible(cls, version))
    scope = maker.scope
    exec(compile("\n".join(maker.done), f"<encode {cls.__name__} {version}>", "exec"), scope)
    made: Encoder = scope["encode"]
    return made


def _put_batches(value: Buffer | list[Buffer], done: list[Buffer], parts: list[Buffer]) -> None:
    for piece in value if isinstance(value, list) else (value,):
        if len(piece) <= MERGE_LIMIT_BYTES:
            parts.append(piece)
            continue
        if parts:
            done.append(b"".join(parts))
            parts.clear()
        done.append(piece)


def _size_of_batches(value: Buffer | list[Buffer]) -> int:
    return sum(map(len, value)) if isinstance(value, list) else len(value)


def _refuse_null(name: str) -> NoReturn:
    raise EncodeError(f"{name} cannot be null")


def _refuse_field(name: str, value: Any) -> NoReturn:
    raise EncodeError(f"{name} = {value!r:.100} has no place in this version")


def _refuse_uuid(name: str) -> NoReturn:
    raise EncodeError(f"{name} is not 16 bytes")


_SCOPE: dict[str, Any] = {
    "uvarint": primitives.uvarint,
    "section": primitives.tagged_section,
    "put_batches": _put_batches,
    "size_of_batches": _size_of_batches,
    "refuse_null": _refuse_null,
    "refuse_field": _refuse_field,
    "refuse_uuid": _refuse_uuid,
} | {f"WRITE_{kind}": run for kind, run in primitives.WRITE_RUNS.items()}


class _Maker:
    """Writes source. ``w`` appends a piece; ``n`` is a length, ``s`` a value to be written."""

    def __init__(self, cls: type[Message], version: int) -> None:
        self.version = version
        self.scope = dict(_SCOPE)
        self.done: list[str] = []
        self._message = cls.__name__
        self._lines: list[str] = []
        self._depth = 1
        self._run: list[tuple[str, str]] = []
        """Fixed-size pieces not written yet: (format, expression)."""
        self._names = 0

    def function(self, name: str, cls: type[Struct], flexible: bool) -> None:
        self._add("w = parts.append")
        self._add_struct("o", cls, flexible)
        self._flush()
        self._finish(f"def {name}(o, done, parts):")

    # Lines.

    def _add(self, *lines: str) -> None:
        indent = " " * self._depth
        self._lines += [indent + line for line in lines]

    def _finish(self, head: str) -> None:
        self.done += [head, *self._lines]
        self._lines = []

    def _name(self, prefix: str) -> str:
        self._names += 1
        return f"{prefix}{self._names}"

    def _pack(self, run: list[tuple[str, str]]) -> str:
        """An expression for these pieces as bytes."""
        code = "".join(code for code, _ in run)
        name = "pack_" + code.replace("?", "t")
        if name not in self.scope:
            self.scope[name] = Format(">" + code).pack
        return f"{name}({', '.join(value for _, value in run)})"

    def _flush(self) -> None:
        if self._run:
            self._add(f"w({self._pack(self._run)})")
            self._run = []

    # Structures.

    def _add_struct(self, var: str, cls: type[Struct], flexible: bool) -> None:
        layout = layout_of(cls, self.version)
        for field in layout.absent:
            if not field.ignorable:
                place = f"{var}.{field.name}"
                differs = self._is_default(place, field, negate=True)
                self._add(f"if {differs}: refuse_field({self._label(field)}, {place})")
        for field in layout.body:
            self._add_field(f"{var}.{field.name}", field, flexible and not field.never_flexible)
        if flexible:
            self._add_tags(var, layout)
        else:
            self._add(f'if {var}.unknown_tags: refuse_field("unknown_tags", {var}.unknown_tags)')

    def _label(self, field: Field) -> str:
        return repr(field.name)

    def _add_field(self, place: str, field: Field, flexible: bool) -> None:
        nullable = self.version in field.nullable
        if field.is_array:
            self._add_array(place, field, nullable, flexible)
        elif not isinstance(field.type, str):
            self._add_nested(place, field.type, nullable, flexible)
        elif field.type in FORMATS:
            if field.type == "uuid":
                self._add(f"if len({place}) != 16: refuse_uuid({self._label(field)})")
            self._run.append((FORMATS[field.type], place))
        else:
            self._add_sized(place, field, nullable, flexible)

    def _add_nested(self, place: str, cls: type[Struct], nullable: bool, flexible: bool) -> None:
        var = self._name("o")
        self._add(f"{var} = {place}")
        if not nullable:
            self._add_struct(var, cls, flexible)
            return
        self._flush()
        self._add(f'if {var} is None: w(b"\\xff")', "else:")
        self._depth += 1
        self._run.append(("b", "1"))
        self._add_struct(var, cls, flexible)
        self._flush()
        self._depth -= 1

    # Lengths, strings, arrays. A compact length is one higher on the wire.

    def _add_length(self, wide: str, flexible: bool) -> None:
        """Write the run and the length n (of a compact form: n as it stands)."""
        run, self._run = self._run, []
        if not flexible:
            self._add(f"w({self._pack([*run, (wide, 'n')])})")
            return
        self._add(f"if n < 128: w({self._pack([*run, ('B', 'n')])})")
        before = f"w({self._pack(run)}); " if run else ""
        self._add(f"else: {before}w(uvarint(n))")

    def _add_sized(self, place: str, field: Field, nullable: bool, flexible: bool) -> None:
        assert isinstance(field.type, str)
        size = "size_of_batches(s)" if field.type == "batches" else "len(s)"
        more = " + 1" if flexible else ""
        null = "0" if flexible else "-1"
        self._add(f"s = {place}")
        present = [f"n = {size}{more}"]
        if field.type == "string":
            present.insert(0, "s = s.encode()")
        if nullable:
            empty = "None" if field.type == "batches" else 'b""'
            self._add(f"if s is None: n = {null}; s = {empty}", f"else: {'; '.join(present)}")
        else:
            self._add(f"if s is None: refuse_null({self._label(field)})", *present)
        self._add_length("h" if field.type == "string" else "i", flexible)
        self._add("if s: put_batches(s, done, parts)" if field.type == "batches" else "w(s)")

    def _add_array(self, place: str, field: Field, nullable: bool, flexible: bool) -> None:
        items = self._name("a")
        more = " + 1" if flexible else ""
        null = "0" if flexible else "-1"
        self._add(f"{items} = {place}")
        if nullable:
            self._add(
                f"if {items} is None: n = {null}; {items} = ()", f"else: n = len({items}){more}"
            )
        else:
            self._add(f"if {items} is None: refuse_null({self._label(field)})")
            self._add(f"n = len({items}){more}")
        self._add_length("i", flexible)
        if field.type == "uuid":
            self._add(f"for s in {items}:")
            self._add(f" if len(s) != 16: refuse_uuid({self._label(field)})", " w(s)")
        elif isinstance(field.type, str) and field.type in FORMATS:
            self._add(f"if {items}: w(WRITE_{field.type}[len({items})](*{items}))")
        else:
            self._add_elements(items, field, flexible)

    def _add_elements(self, items: str, field: Field, flexible: bool) -> None:
        item = self._name("o")
        self._add(f"for {item} in {items}:")
        self._depth += 1
        if isinstance(field.type, str):
            self._add_sized(item, field, False, flexible)
        else:
            self._add_struct(item, field.type, flexible)
        self._flush()
        self._depth -= 1

    # Tagged sections: empty nearly always, else a function of their own.

    def _add_tags(self, var: str, layout: Layout) -> None:
        conditions = [f"{var}.unknown_tags is None"]
        conditions += [self._is_default(f"{var}.{field.name}", field) for field in layout.tagged]
        run, self._run = self._run, []
        self._add(f"if {' and '.join(conditions)}: w({self._pack([*run, ('B', '0')])})")
        before = f"w({self._pack(run)}); " if run else ""
        self._add(f"else: {before}w({self._tag_writer(layout.tagged)}({var}))")

    def _is_default(self, place: str, field: Field, negate: bool = False) -> str:
        default = field.default
        if isinstance(default, Struct):
            test = f"({self._equals_struct(place, default)})"
            return f"not {test}" if negate else test
        if default is None:
            return f"{place} is not None" if negate else f"{place} is None"
        return f"{place} {'!=' if negate else '=='} {default!r}"

    def _equals_struct(self, place: str, default: Struct) -> str:
        name = "D_" + type(default).__name__
        if not is_shareable(default):
            self.scope[name] = default
            return f"{place} == {name}"
        self.scope[name] = shared_default(default)
        members = [f"{place}.{name} == {getattr(default, name)!r}" for name in default.definitions]
        return f"{place} is {name} or {place}.unknown_tags is None and {' and '.join(members)}"

    def _tag_writer(self, tagged: list[Field]) -> str:
        name = self._name("tags")
        outer = self._lines, self._depth
        self._lines, self._depth = [], 1
        self._add("tags = list(o.unknown_tags or ())")
        for field in tagged:
            self._add(f"if {self._is_default(f'o.{field.name}', field, negate=True)}:")
            self._depth = 2
            self._add("parts = []", "w = parts.append")
            self._add_field(f"o.{field.name}", field, True)
            self._flush()
            self._add(f'tags.append(({field.tag}, b"".join(parts)))')
            self._depth = 1
        self._add("return section(tags)")
        self._finish(f"def {name}(o):")
        self._lines, self._depth = outer
        return name
