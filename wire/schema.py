"""The notation in which every Kafka message is defined, once.

A message is a class; a field is an annotated attribute. The annotation is the wire type, the
value its default in every version that lacks the field::

    class FindCoordinatorRequest(Request, api_key=10, versions="0-6", flexible="3+"):
        key: string = at("0-3", default="")
        key_type: int8 = at("1+", default=0)
        coordinator_keys: list[string] = at("4+", default=[])

``X | None`` means nullable wherever the field exists, unless ``nullable=`` narrows it. A range is
``"3"``, ``"3-7"`` or ``"3+"``. One class is the union of a message's fields over all versions:
readers leave absent fields at their default, writers refuse to drop a value that is neither
default nor ``ignorable``.

Nothing here is parsed before a codec asks for it: importing a definition costs its class alone.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar, dataclass_transform

Buffer: TypeAlias = bytes | bytearray | memoryview

int8: TypeAlias = int
int16: TypeAlias = int
uint16: TypeAlias = int
int32: TypeAlias = int
uint32: TypeAlias = int
int64: TypeAlias = int
float64: TypeAlias = float
string: TypeAlias = str
uuid: TypeAlias = bytes
"""Sixteen bytes, big-endian; see ``wire.uuids`` for the text form."""
batches: TypeAlias = Buffer | list[Buffer]
"""Record batches, opaque to the codec. Decoding gives one memoryview into the frame; encoding
takes a list as well, which is handed to the transport piece by piece."""

PRIMITIVES = frozenset(
    (
        "bool",
        "int8",
        "int16",
        "uint16",
        "int32",
        "uint32",
        "int64",
        "float64",
        "string",
        "bytes",
        "batches",
        "uuid",
    )
)

ZERO_UUID = bytes(16)
NEWEST = 32767


class VersionRange(tuple[int, int]):
    """Low and high, both inclusive; ``low > high`` is empty."""

    # Not a NamedTuple, nor is Field below: making such a class takes a millisecond of every start.

    __slots__ = ()

    def __new__(cls, low: int, high: int) -> VersionRange:
        return super().__new__(cls, (low, high))

    @property
    def low(self) -> int:
        return self[0]

    @property
    def high(self) -> int:
        return self[1]

    def __contains__(self, version: object) -> bool:
        return isinstance(version, int) and self[0] <= version <= self[1]


NONE = VersionRange(0, -1)
ALL = VersionRange(0, NEWEST)


def parse_versions(text: str | None) -> VersionRange:
    """``"3"``, ``"3-7"``, ``"3+"``; None and ``""`` are the empty range."""
    if not text:
        return NONE
    if text.endswith("+"):
        return VersionRange(int(text[:-1]), NEWEST)
    low, dash, high = text.partition("-")
    return VersionRange(int(low), int(high if dash else low))


class At:
    """Where a field exists and how; made by :func:`at`."""

    __slots__ = ("default", "ignorable", "never_flexible", "nullable", "tag", "tagged", "versions")

    def __init__(self, versions: str, **options: Any) -> None:
        self.versions = versions
        self.default: Any = options["default"]
        self.nullable: str | None = options["nullable"]
        self.tag: int | None = options["tag"]
        self.tagged: str | None = options["tagged"]
        self.ignorable: bool = options["ignorable"]
        self.never_flexible: bool = options["never_flexible"]


def at(
    versions: str,
    *,
    default: Any,
    nullable: str | None = None,
    tag: int | None = None,
    tagged: str | None = None,
    ignorable: bool = False,
    never_flexible: bool = False,
) -> Any:
    """A field that is not simply in every version. ``tagged`` defaults to ``versions``."""
    return At(
        versions,
        default=default,
        nullable=nullable,
        tag=tag,
        tagged=tagged,
        ignorable=ignorable,
        never_flexible=never_flexible,
    )


class Field:
    """One field, resolved. ``type`` is a name of PRIMITIVES or a Struct class."""

    __slots__ = (
        "default",
        "ignorable",
        "is_array",
        "name",
        "never_flexible",
        "nullable",
        "tag",
        "tagged",
        "type",
        "versions",
    )

    def __init__(
        self,
        name: str,
        type: str | type[Struct],
        is_array: bool,
        versions: VersionRange,
        nullable: VersionRange,
        default: Any,
        tag: int | None,
        tagged: VersionRange,
        ignorable: bool,
        never_flexible: bool,
    ) -> None:
        self.name = name
        self.type = type
        self.is_array = is_array
        self.versions = versions
        self.nullable = nullable
        self.default = default
        self.tag = tag
        self.tagged = tagged
        self.ignorable = ignorable
        self.never_flexible = never_flexible

    def __repr__(self) -> str:
        return f"<Field {self.name}>"


class StructMeta(type):
    """Turns annotated defaults into slots, keeping the definitions aside for the codec."""

    def __new__(
        mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any
    ) -> StructMeta:
        if bases:
            own = namespace.get("__annotations__", {}) if "__slots__" not in namespace else {}
            namespace["definitions"] = {f: (kind, namespace.pop(f)) for f, kind in own.items()}
            namespace.setdefault("__slots__", tuple(own))
        cls = super().__new__(mcs, name, bases, namespace)
        for option, value in options.items():
            setattr(cls, option, value)
        return cls

    def __init__(cls, *args: Any, **_options: Any) -> None:
        super().__init__(*args)


@dataclass_transform(kw_only_default=True, field_specifiers=(at,))
class Struct(metaclass=StructMeta):
    """A structure of the protocol. Construct with keywords; what is left out has its default.

    ``unknown_tags`` keeps tagged fields that this definition does not know, as (tag, bytes).
    """

    __slots__ = ("unknown_tags",)
    if TYPE_CHECKING:
        unknown_tags: list[tuple[int, bytes]] | None
    definitions: ClassVar[dict[str, tuple[str, Any]]] = {}
    """Field name -> (annotation, default or At), as written."""
    kept_form: ClassVar[type[Struct] | None] = None
    """See :func:`kept`."""

    if not TYPE_CHECKING:

        def __init__(self, **values: Any) -> None:
            cls = type(self)
            cls.__init__ = compile_init(cls)
            cls.__init__(self, **values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Struct) or other.definitions is not self.definitions:
            return NotImplemented
        if (self.unknown_tags or None) != (other.unknown_tags or None):
            return False
        return all(getattr(self, name) == getattr(other, name) for name in self.definitions)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        parts = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.definitions)
        return f"{type(self).__name__}({parts})"


S = TypeVar("S", bound=Struct)


def kept(cls: type[S]) -> type[S]:
    """A form of a structure for what is answered again and again: as an element of an array it
    keeps the bytes that it was last encoded to, and the version. It may not be changed."""
    namespace = {"__slots__": KEPT, "__module__": cls.__module__, "__init__": Struct.__init__}
    made: Any = StructMeta(cls.__name__, (cls,), namespace)
    made.definitions = cls.definitions
    cls.kept_form = made
    return made  # type: ignore[no-any-return]


KEPT = ("encoded", "encoded_at")


class Message(Struct):
    """A structure that stands alone on the wire or on disk, with versions of its own."""

    __slots__ = ()
    api_key: ClassVar[int] = -1
    versions: ClassVar[str] = "0"
    flexible: ClassVar[str | None] = None


class Request(Message):
    __slots__ = ()


class Response(Message):
    __slots__ = ()


class Record(Message):
    """Persisted: a coordinator's key or value, a control record, a metadata record."""

    __slots__ = ()


_fields_cache: dict[type[Struct], tuple[Field, ...]] = {}


def fields_of(cls: type[Struct]) -> tuple[Field, ...]:
    """The fields of a structure in wire order, parsed on first use."""
    known = _fields_cache.get(cls)
    if known is None:
        known = tuple(
            _parse(cls, name, *definition) for name, definition in cls.definitions.items()
        )
        _fields_cache[cls] = known
    return known


def _parse(cls: type[Struct], name: str, annotation: str, value: Any) -> Field:
    spec = value if isinstance(value, At) else None
    kind = annotation.removesuffix(" | None")
    is_array = kind.startswith("list[")
    if is_array:
        kind = kind[5:-1]
    versions = parse_versions(spec.versions) if spec else ALL
    nullable = NONE
    if annotation.endswith(" | None"):
        narrowed = spec.nullable if spec else None
        nullable = versions if narrowed is None else parse_versions(narrowed)
    tag = spec.tag if spec else None
    tagged = NONE
    if spec and tag is not None:
        tagged = parse_versions(spec.tagged) if spec.tagged else versions
    struct: str | type[Struct] = kind
    if kind not in PRIMITIVES:
        struct = vars(sys.modules[cls.__module__])[kind]
    default = spec.default if spec else value
    if isinstance(default, Struct) and not is_shared(default) and _can_be_shared(default):
        _freeze(default)
    return Field(
        name,
        struct,
        is_array,
        versions,
        nullable,
        default,
        tag,
        tagged,
        spec.ignorable if spec else False,
        spec.never_flexible if spec else False,
    )


_frozen_classes: dict[type[Struct], type[Struct]] = {}


def _freeze(default: Struct) -> None:
    """Make the default of a field one object for all who leave the field out.

    Making it anew would cost more than the rest of many a partition. It cannot be changed: whoever
    has another value gives the field a structure of its own.
    """
    cls = type(default)
    frozen: Any = _frozen_classes.get(cls)
    if frozen is None:
        namespace = {"__slots__": (), "__setattr__": _refuse_change, "__module__": cls.__module__}
        frozen = StructMeta(cls.__name__, (cls,), namespace)
        frozen.definitions = cls.definitions
        _frozen_classes[cls] = frozen
    default.__class__ = frozen


def _refuse_change(self: Struct, name: str, value: Any) -> None:
    raise TypeError(f"this {type(self).__name__} is a default that is shared: assign a new one")


def is_shared(value: object) -> bool:
    """Whether this is a default that all instances have in common."""
    return type(value).__setattr__ is _refuse_change


def _can_be_shared(default: Struct) -> bool:
    """A list or another structure inside could be changed all the same."""
    return not any(isinstance(getattr(default, n), list | Struct) for n in default.definitions)


def maker(cls: type[S]) -> type[S]:
    """The constructor as a plain function, for what is made with every request: to call a class
    with keywords takes more than twice as long."""
    scope, parameters, body = _construction(cls)
    body = ["self = new(cls)", *body, "return self"]
    scope.update(new=object.__new__, cls=cls)
    exec(_function("make", parameters, body), scope)
    return scope["make"]  # type: ignore[no-any-return]


def compile_init(cls: type[Struct]) -> Any:
    """A keyword-only constructor; what can be changed is made anew for each instance."""
    scope, parameters, body = _construction(cls)
    exec(_function("__init__", ["self", *parameters], body), scope)
    return scope["__init__"]


def _function(name: str, parameters: list[str], body: list[str]) -> str:
    return f"def {name}({', '.join(parameters)}):\n    " + "\n    ".join(body)


def _construction(cls: type[Struct]) -> tuple[dict[str, Any], list[str], list[str]]:
    """What a constructor refers to, its parameters, and what it does to ``self``."""
    scope: dict[str, Any] = {"UNSET": _UNSET}
    parameters, body = [], ["self.unknown_tags = None"]
    if cls.__dict__.get("__slots__") == KEPT:
        body.append("self.encoded_at = -1")
    for index, field in enumerate(fields_of(cls)):
        name, default = field.name, field.default
        made = None
        if isinstance(default, list):
            made = "[]"
        elif isinstance(default, Struct) and not is_shared(default):
            scope[f"make{index}"] = type(default)
            made = f"make{index}()"
        if made:
            parameters.append(f"{name}=UNSET")
            body.append(f"self.{name} = {made} if {name} is UNSET else {name}")
        else:
            scope[f"default{index}"] = default
            parameters.append(f"{name}=default{index}")
            body.append(f"self.{name} = {name}")
    return scope, ["*", *parameters] if parameters else [], body


_UNSET: Any = object()
