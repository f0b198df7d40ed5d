"""Compiles straight-line encode and decode functions from a definition, for one version.

A decoder is ``(data, position, end) -> (structure, position)``, an encoder
``(structure, out, splices) -> None``. Runs of fixed-size fields are one struct call; arrays of
structures that are fixed-size throughout are one ``iter_unpack``. Functions of nested structures
are compiled once for each version and shared.

Compiled code lets struct.error, IndexError and UnicodeDecodeError escape; ``wire.codec`` turns
them into DecodeError in one place.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from wire import primitives
from wire.errors import DecodeError, EncodeError
from wire.primitives import FORMATS
from wire.schema import Field, Struct, fields_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Decoder = Callable[[memoryview, int, int], tuple[Any, int]]
    Splice = tuple[int, list[Any]]
    Encoder = Callable[[Any, bytearray, list[Splice]], None]

_decoders: dict[tuple[type[Struct], int, bool], Decoder] = {}
_encoders: dict[tuple[type[Struct], int, bool], Encoder] = {}

SPLICE_FROM_BYTES = 1024
"""Smaller record batches are copied into the message: one piece costs more than the copy."""


def decoder(cls: type[Struct], version: int, flexible: bool) -> Decoder:
    key = (cls, version, flexible)
    found = _decoders.get(key)
    if found is None:
        found = _decoders[key] = _DecoderSource(cls, version, flexible).compile()
    return found


def encoder(cls: type[Struct], version: int, flexible: bool) -> Encoder:
    key = (cls, version, flexible)
    found = _encoders.get(key)
    if found is None:
        found = _encoders[key] = _EncoderSource(cls, version, flexible).compile()
    return found


def body_fields(cls: type[Struct], version: int) -> list[Field]:
    """The fields that stand in the body, in order; tagged ones do not."""
    return [f for f in fields_of(cls) if version in f.versions and version not in f.tagged]


def tagged_fields(cls: type[Struct], version: int) -> list[Field]:
    found = [f for f in fields_of(cls) if version in f.tagged]
    return sorted(found, key=lambda f: f.tag or 0)


def fixed_format(cls: type[Struct], version: int) -> str | None:
    """The struct codes of a structure whose body is fixed-size throughout; else None."""
    codes = []
    for field in body_fields(cls, version):
        if field.is_array or not isinstance(field.type, str) or field.type not in FORMATS:
            return None
        codes.append(FORMATS[field.type])
    return "".join(codes) or None


def minimum_size(cls: type[Struct], version: int, flexible: bool) -> int:
    """The fewest bytes that the structure can take; what a claimed count is checked with."""
    total = 1 if flexible else 0
    for field in body_fields(cls, version):
        if field.is_array:
            total += 1 if flexible else 4
        elif isinstance(field.type, str):
            total += _minimum(field.type, flexible)
        elif version in field.nullable:
            total += 1
        else:
            total += minimum_size(field.type, version, flexible)
    return total


def _minimum(kind: str, flexible: bool) -> int:
    if kind in FORMATS:
        return struct.calcsize(">" + FORMATS[kind])
    if flexible:
        return 1
    return 2 if kind == "string" else 4


def element_size(field: Field, version: int, flexible: bool) -> int:
    if isinstance(field.type, str):
        return _minimum(field.type, flexible)
    return max(1, minimum_size(field.type, version, flexible))


class _Source:
    """Lines of a function, and the objects that they name."""

    def __init__(self, cls: type[Struct], version: int, flexible: bool) -> None:
        self.cls = cls
        self.version = version
        self.flexible = flexible
        self.lines: list[str] = []
        self.scope: dict[str, Any] = {}

    def name(self, value: Any, hint: str) -> str:
        name = f"{hint}{len(self.scope)}"
        self.scope[name] = value
        return name

    def line(self, text: str, depth: int = 1) -> None:
        self.lines.append("    " * depth + text)

    def build(self, head: str) -> Any:
        source = head + "\n" + "\n".join(self.lines)
        code = compile(source, f"<{self.cls.__name__} v{self.version}>", "exec")
        exec(code, self.scope)
        return self.scope["function"]


class _DecoderSource(_Source):
    def compile(self) -> Decoder:
        self.scope["new"] = self.cls.__new__
        self.scope["cls"] = self.cls
        self.line("o = new(cls)")
        self.line("o.unknown_tags = None")
        present = body_fields(self.cls, self.version)
        tagged = tagged_fields(self.cls, self.version)
        for field in fields_of(self.cls):
            if field not in present:
                self._default(field)
        run: list[Field] = []
        for field in present:
            if not field.is_array and isinstance(field.type, str) and field.type in FORMATS:
                run.append(field)
                continue
            self._fixed(run)
            run = []
            self._variable(field)
        self._fixed(run)
        if self.flexible:
            self._tags(tagged)
        self.line("return o, p")
        function: Decoder = self.build("def function(data, p, end):")
        return function

    def _default(self, field: Field) -> None:
        default = field.default
        if isinstance(default, list):
            value = "[]"
        elif isinstance(default, Struct):
            value = self.name(type(default), "make") + "()"
        else:
            value = self.name(default, "default")
        self.line(f"o.{field.name} = {value}")

    def _fixed(self, run: list[Field]) -> None:
        if not run:
            return
        layout = struct.Struct(">" + "".join(FORMATS[str(f.type)] for f in run))
        unpack = self.name(layout.unpack_from, "unpack")
        targets = ", ".join(f"o.{f.name}" for f in run)
        self.line(f"{targets}, = {unpack}(data, p)")
        self.line(f"p += {layout.size}")

    def _variable(self, field: Field, target: str = "o", depth: int = 1) -> None:
        nullable = self.version in field.nullable
        where = f"{target}.{field.name}"
        if field.is_array:
            self._array(field, where, nullable, depth)
        elif isinstance(field.type, str):
            self.line(f"{where}, p = {self._reader(field, nullable)}", depth)
        else:
            nested = self.name(decoder(field.type, self.version, self.flexible), "decode")
            if nullable:
                self.scope.setdefault("null_mark", primitives.read_null_mark)
                self.line("present, p = null_mark(data, p)", depth)
                self.line("if present:", depth)
                self.line(f"{where}, p = {nested}(data, p, end)", depth + 1)
                self.line("else:", depth)
                self.line(f"{where} = None", depth + 1)
            else:
                self.line(f"{where}, p = {nested}(data, p, end)", depth)

    def _reader(self, field: Field, nullable: bool) -> str:
        kind = str(field.type)
        flexible = self.flexible and not field.never_flexible
        if kind in FORMATS:
            layout = struct.Struct(">" + FORMATS[kind])
            return f"{self.name(layout.unpack_from, 'unpack')}(data, p)[0], p + {layout.size}"
        if kind == "string":
            name = "read_" + "compact_" * flexible + "nullable_" * nullable + "string"
            self.scope[name] = getattr(primitives, name)
            return f"{name}(data, p, end)"
        name = "read_view" if kind == "batches" else "read_bytes"
        self.scope[name] = getattr(primitives, name)
        return f"{name}(data, p, end, flexible={flexible}, nullable={nullable})"

    def _array(self, field: Field, where: str, nullable: bool, depth: int) -> None:
        self.scope["read_count"] = primitives.read_count
        size = element_size(field, self.version, self.flexible)
        options = f"flexible={self.flexible}, nullable={nullable}"
        self.line(f"n, p = read_count(data, p, end, {size}, {options})", depth)
        if nullable:
            self.line("if n < 0:", depth)
            self.line(f"{where} = None", depth + 1)
            self.line("else:", depth)
            depth += 1
        if isinstance(field.type, str):
            self._primitive_array(field, where, size, depth)
        else:
            self._struct_array(field.type, where, depth)

    def _primitive_array(self, field: Field, where: str, size: int, depth: int) -> None:
        kind = str(field.type)
        if kind in FORMATS and kind != "uuid":
            self.scope["unpack_from"] = struct.unpack_from
            code = FORMATS[kind]
            self.line(f'{where} = list(unpack_from(f">{{n}}{code}", data, p))', depth)
            self.line(f"p += n * {size}", depth)
            return
        self.line("items = []", depth)
        self.line("for _ in range(n):", depth)
        self.line(f"item, p = {self._reader(field, False)}", depth + 1)
        self.line("items.append(item)", depth + 1)
        self.line(f"{where} = items", depth)

    def _struct_array(self, cls: type[Struct], where: str, depth: int) -> None:
        one = self.name(decoder(cls, self.version, self.flexible), "decode")
        codes = fixed_format(cls, self.version)
        if codes is not None:
            many = self.name(_fixed_array_decoder(cls, self.version, self.flexible, codes), "many")
            self.line(f"items, q = {many}(data, p, n)", depth)
            self.line("if items is not None:", depth)
            self.line(f"{where} = items", depth + 1)
            self.line("p = q", depth + 1)
            self.line("else:", depth)
            depth += 1
        self.line("items = []", depth)
        self.line("for _ in range(n):", depth)
        self.line(f"item, p = {one}(data, p, end)", depth + 1)
        self.line("items.append(item)", depth + 1)
        self.line(f"{where} = items", depth)

    def _tags(self, tagged: list[Field]) -> None:
        self.scope["read_tags"] = read_tags
        known = {f.tag: self._tag_reader(f) for f in tagged}
        name = self.name(known, "known")
        self.line("if data[p]:")
        self.line(f"p = read_tags(o, data, p, end, {name})", 2)
        self.line("else:")
        self.line("p += 1", 2)

    def _tag_reader(self, field: Field) -> Decoder:
        """Reads one tagged field into its structure, which is passed as ``o``."""
        source = _DecoderSource(self.cls, self.version, self.flexible)
        source._variable(field)
        source.line("return p")
        function: Decoder = source.build("def function(o, data, p, end):")
        return function


def read_tags(
    o: Struct, data: memoryview, p: int, end: int, known: dict[int, Callable[..., int]]
) -> int:
    """The tagged fields of one structure, ascending; what is not known is kept as it is."""
    count, p = primitives.read_uvarint(data, p)
    primitives.claim(count, 2, p, end)
    last = -1
    for _ in range(count):
        tag, p = primitives.read_uvarint(data, p)
        size, p = primitives.read_uvarint(data, p)
        stop = p + primitives.claim(size, 1, p, end)
        if tag <= last:
            raise DecodeError(f"tag {tag} after tag {last}")
        last = tag
        reader = known.get(tag)
        if reader is None:
            if o.unknown_tags is None:
                o.unknown_tags = []
            o.unknown_tags.append((tag, bytes(data[p:stop])))
        elif reader(o, data[:stop], p, stop) != stop:
            raise DecodeError(f"tagged field {tag} is not {size} bytes long")
        p = stop
    return p


def _fixed_array_decoder(
    cls: type[Struct], version: int, flexible: bool, codes: str
) -> Callable[[memoryview, int, int], tuple[list[Any] | None, int]]:
    """All elements by one iter_unpack; (None, position) when one of them has tagged fields."""
    source = _DecoderSource(cls, version, flexible)
    present = body_fields(cls, version)
    layout = struct.Struct(">" + codes + ("B" if flexible else ""))
    source.scope |= {"new": cls.__new__, "cls": cls, "iter_unpack": layout.iter_unpack}
    names = [f"f{index}" for index in range(len(present))] + ["tags"] * flexible
    source.line("items = []")
    source.line(f"q = p + n * {layout.size}")
    source.line("if q > len(data): return None, p")
    source.line(f"for {', '.join(names)}, in iter_unpack(data[p:q]):")
    if flexible:
        source.line("if tags: return None, p", 2)
    source.line("o = new(cls)", 2)
    source.line("o.unknown_tags = None", 2)
    for field in fields_of(cls):
        if field not in present:
            source._default(field)
            source.lines[-1] = "    " + source.lines[-1]
    for index, field in enumerate(present):
        source.line(f"o.{field.name} = f{index}", 2)
    source.line("items.append(o)", 2)
    source.line("return items, q")
    function: Callable[..., Any] = source.build("def function(data, p, n):")
    return function


class _EncoderSource(_Source):
    def compile(self) -> Encoder:
        self.scope["EncodeError"] = EncodeError
        present = body_fields(self.cls, self.version)
        for field in fields_of(self.cls):
            if self.version not in field.versions and not field.ignorable:
                self._refuse(field)
        run: list[Field] = []
        for field in present:
            if not field.is_array and isinstance(field.type, str) and field.type in FORMATS:
                run.append(field)
                continue
            self._fixed(run)
            run = []
            self._variable(field)
        self._fixed(run)
        if self.flexible:
            self._tags()
        if not self.lines:
            self.line("pass")
        function: Encoder = self.build("def function(o, out, splices):")
        return function

    def _is_set(self, field: Field) -> str:
        if isinstance(field.default, list):
            return f"o.{field.name} != []"
        if field.default is None:
            return f"o.{field.name} is not None"
        return f"o.{field.name} != {self.name(field.default, 'default')}"

    def _refuse(self, field: Field) -> None:
        text = f"{self.cls.__name__} version {self.version} has no {field.name}"
        self.line(f"if {self._is_set(field)}: raise EncodeError({text!r})")

    def _fixed(self, run: list[Field]) -> None:
        if not run:
            return
        layout = struct.Struct(">" + "".join(FORMATS[str(f.type)] for f in run))
        values = ", ".join(f"o.{f.name}" for f in run)
        self.line(f"out += {self.name(layout.pack, 'pack')}({values})")

    def _variable(self, field: Field) -> None:
        nullable = self.version in field.nullable
        value = f"o.{field.name}"
        if field.is_array:
            self._array(field, value, nullable)
        elif isinstance(field.type, str):
            self.line(self._writer(field, value, nullable))
        else:
            nested = self.name(encoder(field.type, self.version, self.flexible), "encode")
            if nullable:
                self.line(f"if {value} is None: out.append(255)")
                self.line("else:")
                self.line("out.append(1)", 2)
                self.line(f"{nested}({value}, out, splices)", 2)
            else:
                self.line(f"{nested}({value}, out, splices)")

    def _writer(self, field: Field, value: str, nullable: bool) -> str:
        kind = str(field.type)
        flexible = self.flexible and not field.never_flexible
        if kind in FORMATS:
            return f"out += {self.name(struct.Struct('>' + FORMATS[kind]).pack, 'pack')}({value})"
        options = f"flexible={flexible}, nullable={nullable}"
        if kind == "batches":
            self.scope["write_batches"] = write_batches
            return f"write_batches(out, {value}, splices, {options})"
        name = "write_string" if kind == "string" else "write_bytes"
        self.scope[name] = getattr(primitives, name)
        return f"{name}(out, {value}, {options})"

    def _array(self, field: Field, value: str, nullable: bool) -> None:
        self.scope["write_length"] = primitives.write_length
        flexible = f"flexible={self.flexible}"
        depth = 1
        if nullable:
            self.line(f"if {value} is None: write_length(out, -1, {flexible})")
            self.line("else:")
            depth = 2
        self.line(f"items = {value}", depth)
        self.line(f"write_length(out, len(items), {flexible})", depth)
        kind = field.type
        if isinstance(kind, str) and kind in FORMATS and kind != "uuid":
            self.scope["pack"] = struct.pack
            self.line(f'out += pack(f">{{len(items)}}{FORMATS[kind]}", *items)', depth)
            return
        self.line("for item in items:", depth)
        if isinstance(kind, str):
            self.line(self._writer(field, "item", False), depth + 1)
        else:
            nested = self.name(encoder(kind, self.version, self.flexible), "encode")
            self.line(f"{nested}(item, out, splices)", depth + 1)

    def _tags(self) -> None:
        tagged = tagged_fields(self.cls, self.version)
        if not tagged:
            self.scope["write_tags"] = write_tags
            self.line("if o.unknown_tags: write_tags(out, o.unknown_tags)")
            self.line("else: out.append(0)")
            return
        self.scope["write_tags"] = write_tags
        self.line("tags = list(o.unknown_tags or ())")
        for field in tagged:
            writer = self.name(self._tag_writer(field), "tag")
            self.line(f"if {self._is_set(field)}: tags.append(({field.tag}, {writer}(o)))")
        self.line("write_tags(out, tags)")

    def _tag_writer(self, field: Field) -> Callable[[Any], bytes]:
        source = _EncoderSource(self.cls, self.version, self.flexible)
        source.line("out = bytearray()")
        source.line("splices = []")
        source._variable(field)
        source.line("return bytes(out)")
        function: Callable[[Any], bytes] = source.build("def function(o):")
        return function


def write_tags(out: bytearray, tags: list[tuple[int, bytes]]) -> None:
    primitives.write_uvarint(out, len(tags))
    for tag, data in sorted(tags):
        primitives.write_uvarint(out, tag)
        primitives.write_uvarint(out, len(data))
        out += data


def write_batches(
    out: bytearray, value: Any, splices: list[Splice], *, flexible: bool, nullable: bool
) -> None:
    """Record batches are not copied: their place in the message is noted instead."""
    if value is None:
        if not nullable:
            raise EncodeError("records that cannot be null are None")
        primitives.write_length(out, -1, flexible=flexible)
        return
    pieces = value if isinstance(value, list) else [value]
    size = sum(map(len, pieces))
    primitives.write_length(out, size, flexible=flexible)
    if size < SPLICE_FROM_BYTES:
        for piece in pieces:
            out += piece
    else:
        splices.append((len(out), pieces))
