"""``typing.NamedTuple`` for modules that every program imports: typing takes longer to import than all of smarm."""

from __future__ import annotations

from operator import itemgetter


class NamedTuple(tuple):  # type: ignore[type-arg]
    """Base of tuples with named fields, which are the annotations of the subclass; no defaults."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        if not cls.__annotations__:  # another class of the same fields
            return
        cls._fields = tuple(cls.__annotations__)
        cls.__match_args__ = cls._fields  # type: ignore[attr-defined, misc]
        for index, name in enumerate(cls._fields):
            setattr(cls, name, property(itemgetter(index)))

    def __new__(cls, *values: object, **named: object) -> NamedTuple:
        given = len(values)
        try:
            values += tuple(named.pop(name) for name in cls._fields[given:])
        except KeyError as error:
            raise TypeError(f"{cls.__name__}() needs {error}") from None
        if named or given > len(cls._fields):
            raise TypeError(f"{cls.__name__}() takes {', '.join(cls._fields)}")
        return super().__new__(cls, values)

    def __getnewargs__(self) -> tuple[object, ...]:
        return tuple(self)

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{n}={v!r}' for n, v in zip(self._fields, self, strict=True))})"
