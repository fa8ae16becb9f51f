"""What is kept of one module's source: small values, written as JSON, that linking needs and nothing else.

A *reference* is a text ``module:path``: where a value comes from, as far as its source tells. In the path, ``.x``
takes an attribute, ``()`` the result of a call, ``[]`` an item. ``@self`` and ``@super`` stand for the object whose
method it is.

A *mask* is a set of places, as the bits of a number: bit ``i`` is ``places[i]`` of the function. A place is the
position of a parameter (``"0"``), what that parameter holds under a key (``"0[key]"``), or an attribute of the object
(``".name"``).
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import Any

MOST = 6
"""References that are kept of one value."""


@dataclass(slots=True)
class Value:
    """What an expression may be: which places it is made of, where it comes from, and its text if it is constant.

    The text of a constant beginning (an f-string) ends with an ellipsis. ``bare`` are the places of the mask that it
    may be as they are, not as something that was made of them.
    """

    mask: int = 0
    refs: tuple[str, ...] = ()
    const: str = ""
    bare: int = 0

    def joined(self, other: Value) -> Value:
        """What may be either."""
        if not (other.mask or other.refs):
            return self
        refs = self.refs
        if other.refs and other.refs != refs:
            refs = tuple(dict.fromkeys((*refs, *other.refs)))[:MOST]
        return Value(self.mask | other.mask, refs, "", self.bare | other.bare)


NOTHING = Value()


@dataclass(slots=True)
class Call:
    """One call: what is called, with what.

    ``method`` is set where it is looked up on a value (``callee`` is that value's attribute).

    ``rest`` are the places of ``*args``, ``**kwargs`` and of what a partial holds: they may be any argument.
    """

    callee: Value
    method: str
    args: tuple[Value, ...]
    keywords: tuple[tuple[str, Value], ...]
    rest: int
    line: int


@dataclass(slots=True)
class Function:
    """A function or method: its parameters, its calls, what it writes into its object and what it returns.

    ``parameters`` end with ``*name`` and ``**name`` where it takes them; ``sets`` says which places each attribute of
    the object is made of (``"*"``: any attribute).
    """

    name: str
    line: int
    parameters: tuple[str, ...] = ()
    binding: str = ""
    """``""`` outside of classes, else ``method``, ``class``, ``static`` or ``property``."""
    places: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    sets: tuple[tuple[str, Value], ...] = ()
    returns: Value = field(default_factory=Value)
    decorators: tuple[str, ...] = ()
    keyword_only: int = 0
    """How many of the parameters at the end (before ``*``) can be given by name only."""
    lazy: bool = False
    """Whether calling it runs nothing yet: a generator or a coroutine."""
    marks: tuple[str, ...] = ()


@dataclass(slots=True)
class Class:
    """A class: its bases, its methods by name, and where its attributes come from."""

    name: str
    line: int
    bases: tuple[str, ...] = ()
    metaclass: str = ""
    methods: tuple[str, ...] = ()
    setters: tuple[str, ...] = ()
    """Names of properties that can be set; their setters are the methods ``name.setter``."""
    attributes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    fields: tuple[str, ...] = ()
    """The annotated names of a dataclass, in order; empty for any other class."""
    decorators: tuple[str, ...] = ()


@dataclass(slots=True)
class Module:
    """A module: what its names are bound to, its functions and its classes, by qualified name."""

    name: str
    location: str
    package: bool = False
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    stars: tuple[str, ...] = ()
    functions: dict[str, Function] = field(default_factory=dict)
    classes: dict[str, Class] = field(default_factory=dict)


def encode(module: Module) -> str:
    """The module as JSON."""
    return json.dumps(_plain(module), separators=(",", ":"))


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind in (Module, Function, Class, Call, Value):
        return [_plain(getattr(value, name)) for name in kind.__slots__]
    if kind is tuple:
        return [_plain(item) for item in value]
    if kind is dict:
        return {key: _plain(item) for key, item in value.items()}
    return value


def decode(text: str) -> Module:
    """The module of ``encode``; raises ValueError for any other text."""
    try:
        name, location, package, names, stars, functions, classes = json.loads(text)
        return Module(
            name,
            location,
            package,
            {key: tuple(refs) for key, refs in names.items()},
            tuple(stars),
            {key: _function(item) for key, item in functions.items()},
            {key: _class(item) for key, item in classes.items()},
        )
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError("no module in this text") from error


_values: dict[tuple[int, tuple[str, ...], str, int], Value] = {}
_MOST_VALUES = 2_000_000


def _value(item: Any) -> Value:
    mask, refs, const, bare = item
    if not (mask or refs or const):
        return NOTHING
    key = (mask, tuple(map(sys.intern, refs)), const, bare)
    known = _values.get(key)
    if known is None:
        known = Value(*key)
        if len(_values) < _MOST_VALUES:
            _values[key] = known
    return known


def _function(item: Any) -> Function:
    name, line, parameters, binding, places, calls, sets, returns, decorators, keyword_only, lazy, marks = item
    return Function(
        name,
        line,
        tuple(parameters),
        binding,
        tuple(places),
        tuple(
            Call(
                _value(callee),
                method,
                tuple(map(_value, args)),
                tuple((word, _value(given)) for word, given in keywords),
                rest,
                at,
            )
            for callee, method, args, keywords, rest, at in calls
        ),
        tuple((attribute, _value(given)) for attribute, given in sets),
        _value(returns),
        tuple(decorators),
        keyword_only,
        lazy,
        tuple(marks),
    )


def _class(item: Any) -> Class:
    name, line, bases, metaclass, methods, setters, attributes, fields, decorators = item
    return Class(
        name,
        line,
        tuple(bases),
        metaclass,
        tuple(methods),
        tuple(setters),
        tuple((attribute, tuple(refs)) for attribute, refs in attributes),
        tuple(fields),
        tuple(decorators),
    )
