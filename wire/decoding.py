"""Makes a function that decodes one message at one version.

What is made is straight-line Python, nested structures included: a run of fixed-size fields is
one ``unpack_from`` into the slots of the new object, together with the length that follows it; a
compact length is read as the one or two bytes that it nearly always is. The made function may raise
``struct.error`` or ``IndexError`` where the data ends; ``wire.codec`` turns these into DecodeError.

As in Kafka every negative length is null, and bytes that are no UTF-8 are read as U+FFFD.
"""

from __future__ import annotations

from itertools import repeat
from struct import Struct as Format
from struct import calcsize
from typing import TYPE_CHECKING, Any

from wire import primitives
from wire.layout import is_fixed, is_flexible, layout_of, minimum_element_size
from wire.primitives import FORMATS
from wire.schema import Struct, is_shared

if TYPE_CHECKING:
    from collections.abc import Callable

    from wire.schema import Field, Message

    Decoder = Callable[[memoryview, int, int], tuple[Any, int]]
    """(data, position, end) -> value, next position."""

_SCOPE: dict[str, Any] = {
    "new": object.__new__,
    "repeat": repeat,
    "more": primitives.read_uvarint_rest,
    "compact_length": primitives.read_compact_length_rest,
    "uvarint": primitives.read_uvarint,
    "room": primitives.check_room,
    "refuse": primitives.refuse_length,
    "refuse_tag": primitives.refuse_tag,
    "keep_tag": primitives.keep_tag,
    "unknown_tags": primitives.read_unknown_tags,
} | {f"READ_{kind}": run for kind, run in primitives.READ_RUNS.items()}


def compile_decoder(cls: type[Message], version: int) -> Decoder:
    maker = _Maker(version, {**_SCOPE, "__name__": f"{cls.__name__} {version}"})
    maker.add_struct("o", cls, is_flexible(cls, version))
    made: Decoder = maker.build("decode", "data, p, end", "o, p")
    return made


class _Maker:
    """Writes source. ``data``, ``p`` (position) and ``end`` are its three standing variables."""

    def __init__(self, version: int, scope: dict[str, Any]) -> None:
        self._version = version
        self._scope = scope
        """What the made code sees as its globals."""
        self._lines: list[str] = []
        self._depth = 1
        self._run: list[tuple[str, str]] = []
        """Fixed-size pieces not read yet: (format, target)."""
        self._names = 0

    def build(self, name: str, parameters: str, result: str) -> Any:
        self._flush()
        self._add(f"return {result}")
        source = "\n".join([f"def {name}({parameters}):", *self._lines])
        exec(compile(source, f"<{name} {self._scope['__name__']}>", "exec"), self._scope)
        return self._scope[name]

    def _add(self, *lines: str) -> None:
        indent = " " * self._depth
        self._lines += [indent + line for line in lines]

    def _name(self, prefix: str) -> str:
        self._names += 1
        return f"{prefix}{self._names}"

    def _class(self, cls: type[Struct]) -> str:
        """A name for a class: unique, for the classes of a message are of one module."""
        name = f"C_{cls.__name__}"
        self._scope[name] = cls
        return name

    def _flush(self) -> None:
        """Read the run, one unpack for all of it."""
        if not self._run:
            return
        targets = ", ".join(target for _, target in self._run)
        code = "".join(code for code, _ in self._run)
        self._run = []
        if code == "B":
            self._add(f"{targets} = data[p]", "p += 1")
            return
        name = "unpack_" + code.replace("?", "t")
        if name not in self._scope:
            self._scope[name] = Format(">" + code).unpack_from
        comma = "" if ", " in targets else ","
        self._add(f"{targets}{comma} = {name}(data, p)", f"p += {calcsize('>' + code)}")

    # Structures.

    def add_struct(self, var: str, cls: type[Struct], flexible: bool) -> None:
        self._add(f"{var} = new({self._class(cls)})")
        self._fill_struct(var, cls, flexible)

    def _fill_struct(self, var: str, cls: type[Struct], flexible: bool) -> None:
        layout = layout_of(cls, self._version)
        plain: dict[str, list[str]] = {"None": [f"{var}.unknown_tags"]}
        for field in layout.absent + layout.tagged:
            plain.setdefault(self._default(field), []).append(f"{var}.{field.name}")
        for value, targets in plain.items():
            if value.endswith(("[]", "()")):
                self._add(*(f"{target} = {value}" for target in targets))
            else:
                self._add(f"{' = '.join(targets)} = {value}")
        for field in layout.body:
            self._add_field(var, field, flexible and not field.never_flexible)
        if flexible:
            self._run.append(("B", "t"))
            self._flush()
            reader = self._tag_reader(layout.tagged)
            self._add(f"if t: p = {reader}({var}, data, p, end, t)")

    def _default(self, field: Field) -> str:
        default = field.default
        if not isinstance(default, Struct):
            return repr(default)
        if not is_shared(default):
            return f"{self._class(type(default))}()"
        name = f"D_{len(self._scope)}"
        self._scope[name] = default
        return name

    def _add_field(self, var: str, field: Field, flexible: bool) -> None:
        target = f"{var}.{field.name}"
        nullable = self._version in field.nullable
        if field.is_array:
            self._add_array(target, field, nullable, flexible)
        elif not isinstance(field.type, str):
            self._add_nested(target, field.type, nullable, flexible)
        elif field.type in FORMATS:
            self._run.append((FORMATS[field.type], target))
        else:
            self._add_sized(target, field.type, nullable, flexible)

    def _add_nested(self, target: str, cls: type[Struct], nullable: bool, flexible: bool) -> None:
        var = self._name("o")
        if not nullable:
            self.add_struct(var, cls, flexible)
            self._add(f"{target} = {var}")
            return
        self._run.append(("b", "t"))
        self._flush()
        self._add(f"if t < 0: {target} = None", "else:")
        self._depth += 1
        self.add_struct(var, cls, flexible)
        self._flush()
        self._add(f"{target} = {var}")
        self._depth -= 1

    # Lengths, strings, arrays.

    def _add_length(self, wide: str, nullable: bool, flexible: bool) -> str:
        """Read a length into n; gives the condition under which it is null.

        A compact length is left one too high.
        """
        self._run.append(("B" if flexible else wide, "n"))
        self._flush()
        if flexible:
            self._add(
                "if n > 127:",
                " t = data[p]",
                " if t < 128: n += (t << 7) - 128; p += 1",
                " else: n, p = compact_length(data, p, n)",
            )
        return "n == 0" if flexible else "n < 0"

    def _add_sized(self, target: str, kind: str, nullable: bool, flexible: bool) -> None:
        is_null = self._add_length("h" if kind == "string" else "i", nullable, flexible)
        if nullable:
            self._add(f"if {is_null}: {target} = None", "else:")
            self._depth += 1
        less = " - 1" if flexible else ""
        value = {
            "string": 'str(data[p:e], "utf-8", "replace")',
            "bytes": "bytes(data[p:e])",
            "batches": "data[p:e]",
        }[kind]
        self._add(
            f"e = p + n{less}",
            f"if not p <= e <= end: refuse(n{less}, 1, end - p)",
            f"{target} = {value}",
            "p = e",
        )
        if nullable:
            self._depth -= 1

    def _add_array(self, target: str, field: Field, nullable: bool, flexible: bool) -> None:
        is_null = self._add_length("i", nullable, flexible)
        if nullable:
            self._add(f"if {is_null}: {target} = None", "else:")
            self._depth += 1
        if flexible:
            self._add("n -= 1")
        least = max(1, minimum_element_size(field.type, self._version, flexible))
        self._add(f"if not 0 <= n * {least} <= end - p: refuse(n, {least}, end - p)")
        if isinstance(field.type, str) and field.type in FORMATS:
            self._add(f"{target} = list(READ_{field.type}[n](data, p))", f"p += n * {least}")
        else:
            self._add_elements(target, field.type, flexible)
        if nullable:
            self._depth -= 1

    def _add_elements(self, target: str, kind: str | type[Struct], flexible: bool) -> None:
        items, item = self._name("a"), self._name("o")
        if not isinstance(kind, str) and is_fixed(kind, self._version):
            # Such structures often come in numbers. There is room for them, so make all at once.
            self._add(f"{target} = {items} = list(map(new, repeat({self._class(kind)}, n)))")
            self._add(f"for {item} in {items}:")
            self._depth += 1
            self._fill_struct(item, kind, flexible)
        else:
            self._add(f"{target} = {items} = []", "for _ in range(n):")
            self._depth += 1
            if isinstance(kind, str):
                self._add_sized(item, kind, False, flexible)
            else:
                self.add_struct(item, kind, flexible)
            self._add(f"{items}.append({item})")
        self._flush()
        self._depth -= 1

    # Tagged sections, each a function of its own: they are rare.

    def _tag_reader(self, tagged: list[Field]) -> str:
        """The name of a function. It is compiled when a peer first sends a tagged field here."""
        if not tagged:
            return "unknown_tags"
        name = f"tags_{len(self._scope)}"
        scope, version = self._scope, self._version

        def first_call(*arguments: Any) -> Any:
            maker = _Maker(version, scope)
            maker.add_tagged(tagged)
            return maker.build(name, "o, data, p, end, n", "p")(*arguments)

        scope[name] = first_call
        return name

    def add_tagged(self, tagged: list[Field]) -> None:
        self._add("if n > 127: n, p = more(data, p, n)", "room(n, 2, end - p)")
        self._add("for _ in range(n):")
        self._depth = 2
        self._add("tag, p = uvarint(data, p)", "size, p = uvarint(data, p)")
        self._add("room(size, 1, end - p)", "stop = p + size")
        for index, field in enumerate(tagged):
            self._add(f"{'elif' if index else 'if'} tag == {field.tag}:")
            self._depth = 3
            self._add_field("o", field, True)
            self._flush()
            self._depth = 2
        self._add("else:", " keep_tag(o, tag, data[p:stop])", " p = stop")
        self._add("if p != stop: refuse_tag(tag)")
        self._depth = 1
