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
from wire.schema import Struct

if TYPE_CHECKING:
    from collections.abc import Callable

    from wire.schema import Buffer, Field, Message

    Encoder = Callable[[Any, list[Buffer], list[Buffer]], None]
    """(message, finished buffers, pieces of the next one)."""

MERGE_LIMIT_BYTES = 512
"""Batches up to this size are copied: a buffer of their own costs the transport more."""


def compile_encoder(cls: type[Message], version: int) -> Encoder:
    maker = _Maker(version, {**_SCOPE, "__name__": f"{cls.__name__} {version}"})
    maker.add_struct("o", cls, is_flexible(cls, version))
    made: Encoder = maker.build("encode", "o, done, parts")
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


def _widen(parts: list[Buffer], length: int) -> None:
    """The last byte of the last piece stands for a length of more than one byte."""
    parts[-1] = bytes(parts[-1][:-1]) + primitives.uvarint(length)


def _add_section(parts: list[Buffer], section: bytes) -> None:
    """The last byte of the last piece stands for this tagged section."""
    parts[-1] = bytes(parts[-1][:-1]) + section


def _unknown_section(o: Any) -> bytes:
    return primitives.tagged_section(o.unknown_tags)


def _refuse_field(name: str, value: Any) -> NoReturn:
    raise EncodeError(f"{name} = {value!r:.100} has no place in this version")


def _refuse_uuid(name: str) -> NoReturn:
    raise EncodeError(f"{name} is not 16 bytes")


_SCOPE: dict[str, Any] = {
    "widen": _widen,
    "ONE": tuple(bytes((value,)) for value in range(128)),
    "add_section": _add_section,
    "unknown_section": _unknown_section,
    "tagged_section": primitives.tagged_section,
    "put_batches": _put_batches,
    "refuse_field": _refuse_field,
    "refuse_uuid": _refuse_uuid,
} | {f"WRITE_{kind}": run for kind, run in primitives.WRITE_RUNS.items()}


class _Maker:
    """Writes source. ``w`` appends a piece; ``n`` is a length, ``s`` a value to be written."""

    def __init__(self, version: int, scope: dict[str, Any]) -> None:
        self._version = version
        self._scope = scope
        """What the made code sees as its globals."""
        self._lines: list[str] = []
        self._depth = 1
        self._run: list[tuple[str, str]] = []
        """Fixed-size pieces not written yet: (format, expression)."""
        self._names = 0

    def build(self, name: str, parameters: str, first: str = "w = parts.append") -> Any:
        self._flush()
        source = "\n".join([f"def {name}({parameters}):", " " + first, *self._lines])
        exec(compile(source, f"<{name} {self._scope['__name__']}>", "exec"), self._scope)
        return self._scope[name]

    def _add(self, *lines: str) -> None:
        indent = " " * self._depth
        self._lines += [indent + line for line in lines]

    def _name(self, prefix: str) -> str:
        self._names += 1
        return f"{prefix}{self._names}"

    def _flush(self) -> None:
        """Write the run, one pack for all of it."""
        if not self._run:
            return
        if self._run == [("B", "0")]:
            self._add(r'w(b"\0")')
            self._run = []
            return
        if self._run == [("B", "n & 127")]:
            self._add("w(ONE[n & 127])")
            self._run = []
            return
        code = "".join(code for code, _ in self._run)
        name = "pack_" + code.replace("?", "t")
        if name not in self._scope:
            self._scope[name] = Format(">" + code).pack
        self._add(f"w({name}({', '.join(value for _, value in self._run)}))")
        self._run = []

    # Structures.

    def add_struct(self, var: str, cls: type[Struct], flexible: bool) -> None:
        layout = layout_of(cls, self._version)
        for field in layout.absent:
            if not field.ignorable:
                place = f"{var}.{field.name}"
                self._add(
                    f"if {self._differs(place, field)}: refuse_field({field.name!r}, {place})"
                )
        for field in layout.body:
            self._add_field(f"{var}.{field.name}", field, flexible and not field.never_flexible)
        if flexible:
            self._add_tags(var, layout)
        else:
            self._add(f'if {var}.unknown_tags: refuse_field("unknown_tags", {var}.unknown_tags)')

    def _add_field(self, place: str, field: Field, flexible: bool) -> None:
        nullable = self._version in field.nullable
        if field.is_array:
            self._add_array(place, field, nullable, flexible)
        elif not isinstance(field.type, str):
            self._add_nested(place, field.type, nullable, flexible)
        elif field.type in FORMATS:
            if field.type == "uuid":
                self._add(f"if len({place}) != 16: refuse_uuid({field.name!r})")
            self._run.append((FORMATS[field.type], place))
        else:
            self._add_sized(place, field, nullable, flexible)

    def _add_nested(self, place: str, cls: type[Struct], nullable: bool, flexible: bool) -> None:
        var = self._name("o")
        self._add(f"{var} = {place}")
        if not nullable:
            self.add_struct(var, cls, flexible)
            return
        self._flush()
        self._add(f'if {var} is None: w(b"\\xff")', "else:")
        self._depth += 1
        self._run.append(("b", "1"))
        self.add_struct(var, cls, flexible)
        self._flush()
        self._depth -= 1

    # Lengths, strings, arrays. A compact length is one higher on the wire.

    def _add_length(self, wide: str, flexible: bool) -> None:
        """Write the length n; of a compact form it is one higher already."""
        self._run.append(("B", "n & 127") if flexible else (wide, "n"))
        self._flush()
        if flexible:
            self._add("if n > 127: widen(parts, n)")

    def _add_sized(self, place: str, field: Field, nullable: bool, flexible: bool) -> None:
        size = "len(s)"
        if field.type == "batches":
            size = "(sum(map(len, s)) if type(s) is list else len(s))"
        text = "s = s.encode(); " if field.type == "string" else ""
        present = f"{text}n = {size}{' + 1' if flexible else ''}"
        self._add(f"s = {place}")
        if nullable:
            empty = "" if field.type == "batches" else '; s = b""'
            self._add(f"if s is None: n = {0 if flexible else -1}{empty}", f"else: {present}")
        else:
            self._add(present)
        self._add_length("h" if field.type == "string" else "i", flexible)
        self._add("if s: put_batches(s, done, parts)" if field.type == "batches" else "w(s)")

    def _add_array(self, place: str, field: Field, nullable: bool, flexible: bool) -> None:
        items = self._name("a")
        present = f"n = len({items}){' + 1' if flexible else ''}"
        self._add(f"{items} = {place}")
        if nullable:
            null = f"n = {0 if flexible else -1}; {items} = ()"
            self._add(f"if {items} is None: {null}", f"else: {present}")
        else:
            self._add(present)
        self._add_length("i", flexible)
        if field.type == "uuid":
            self._add(f"for s in {items}:")
            self._add(f" if len(s) != 16: refuse_uuid({field.name!r})", " w(s)")
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
            self._add_kept(item, field.type, flexible)
            self.add_struct(item, field.type, flexible)
        self._flush()
        self._depth -= 1

    def _add_kept(self, item: str, cls: type[Struct], flexible: bool) -> None:
        """An element may have its bytes from before. The function that makes them is compiled when
        the first is met that has not."""
        form = cls.kept_form
        if form is None:
            return
        name, scope, version = f"keep_{cls.__name__}", self._scope, self._version
        scope[f"K_{cls.__name__}"] = form

        def first_call(o: Any) -> bytes:
            maker = _Maker(version, scope)
            maker.add_struct("o", cls, flexible)
            encode = maker.build(f"encode_{cls.__name__}", "o, done, parts")

            def keep(o: Any) -> bytes:
                done: list[Buffer] = []
                parts: list[Buffer] = []
                encode(o, done, parts)
                o.encoded, o.encoded_at = b"".join((*done, *parts)), version
                return o.encoded  # type: ignore[no-any-return]

            scope[name] = keep
            return keep(o)

        scope[name] = first_call
        self._add(f"if type({item}) is K_{cls.__name__}:")
        self._add(f" w({item}.encoded if {item}.encoded_at == {version} else {name}({item}))")
        self._add(" continue")

    # Tagged sections are empty nearly always: that is tested here, the rest is for a function of
    # its own. A structure that equals its default without being it takes the longer way.

    def _add_tags(self, var: str, layout: Layout) -> None:
        self._run.append(("B", "0"))
        self._flush()
        name = self._tag_writer(layout.tagged)
        full = [f"{var}.unknown_tags is not None"]
        for field in layout.tagged:
            place, default = f"{var}.{field.name}", field.default
            if isinstance(default, Struct):
                full.append(f"{place} is not {self._default_name(default)}")
            else:
                full.append(self._differs(place, field))
        self._add(f"if {' or '.join(full)}: add_section(parts, {name}({var}))")

    def _default_name(self, default: Struct) -> str:
        name = f"D_{len(self._scope)}"
        self._scope[name] = default
        return name

    def _differs(self, place: str, field: Field) -> str:
        default = field.default
        if isinstance(default, Struct):
            name = self._default_name(default)
            return f"{place} is not {name} and {place} != {name}"
        return f"{place} is not None" if default is None else f"{place} != {default!r}"

    def _tag_writer(self, tagged: list[Field]) -> str:
        """The name of a function, compiled when it is first needed."""
        if not tagged:
            return "unknown_section"
        name = f"tags_{len(self._scope)}"
        scope, version = self._scope, self._version

        def first_call(o: Any) -> Any:
            maker = _Maker(version, scope)
            maker.add_tagged(tagged)
            return maker.build(name, "o", "tags = list(o.unknown_tags or ())")(o)

        scope[name] = first_call
        return name

    def add_tagged(self, tagged: list[Field]) -> None:
        for field in tagged:
            self._add(f"if {self._differs(f'o.{field.name}', field)}:")
            self._depth = 2
            self._add("parts = []", "w = parts.append")
            self._add_field(f"o.{field.name}", field, True)
            self._flush()
            self._add(f'tags.append(({field.tag}, b"".join(parts)))')
            self._depth = 1
        self._add("return tagged_section(tags)")
