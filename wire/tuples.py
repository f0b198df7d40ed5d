"""``NamedTuple`` and ``Protocol`` as ``typing`` has them, for less than a third of the price.

``typing.NamedTuple`` compiles every annotation and a constructor for each class, and a broker
makes dozens of such classes before it serves its first request. Here annotations are not looked
at, and all classes with as many fields share one constructor under other names. A protocol is
nothing at run time. Type-checkers see the originals. A module that uses this begins with
``from __future__ import annotations``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
    from typing import Protocol as Protocol
else:
    from types import CodeType, FunctionType

    try:
        from _collections import _tuplegetter as field_getter  # as collections.namedtuple does
    except ImportError:
        from operator import itemgetter

        def field_getter(index, doc):
            return property(itemgetter(index), doc=doc)

    constructors: dict[int, CodeType] = {}
    """By the number of fields."""
    scope = {"make": tuple.__new__, "__builtins__": {}}

    def constructor(owner, fields, defaults):
        code = constructors.get(len(fields))
        if code is None:
            names = "".join(f"a{index}, " for index in range(len(fields)))
            code = eval(f"lambda _cls, {names}: make(_cls, ({names}))").__code__
            constructors[len(fields)] = code
        code = code.replace(
            co_varnames=("_cls", *fields), co_name="__new__", co_qualname=f"{owner}.__new__"
        )
        return FunctionType(code, scope, "__new__", defaults)

    class Fields(tuple):
        """What all of them can do; each brings ``_fields`` and its constructor."""

        __slots__ = ()
        _fields = ()
        _field_defaults = {}

        @classmethod
        def _make(cls, values):
            made = tuple.__new__(cls, values)
            if len(made) != len(cls._fields):
                raise TypeError(f"Expected {len(cls._fields)} arguments, got {len(made)}")
            return made

        def _replace(self, /, **changes):
            made = tuple.__new__(type(self), map(changes.pop, self._fields, self))
            if changes:
                raise ValueError(f"Got unexpected field names: {list(changes)!r}")
            return made

        __replace__ = _replace

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def __repr__(self):
            values = zip(self._fields, self, strict=True)
            return f"{type(self).__name__}({', '.join(f'{n}={v!r}' for n, v in values)})"

        def __getnewargs__(self):
            return tuple(self)

    class Maker(type):
        def __new__(cls, name, bases, body):
            fields = tuple(body.get("__annotations__", ()))
            with_default = tuple(field for field in fields if field in body)
            if fields[len(fields) - len(with_default) :] != with_default:
                raise TypeError(f"{name}: a field without a default follows one with a default")
            defaults = {field: body[field] for field in with_default}
            for index, field in enumerate(fields):
                body[field] = field_getter(index, None)
            body["__slots__"] = ()
            body["__new__"] = constructor(name, fields, tuple(defaults.values()))
            body["_fields"] = body["__match_args__"] = fields
            body["_field_defaults"] = defaults
            return type(name, (Fields,), body)

    class NamedTuple:
        """Stands in the place of a base class; the class itself derives from ``Fields``."""

        def __mro_entries__(self, bases):
            return (base,)

    base = type.__new__(Maker, "NamedTuple", (), {})
    NamedTuple = NamedTuple()
    Protocol = object
