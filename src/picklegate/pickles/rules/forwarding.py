"""Functions that a stream makes of code that it brings, where that code does nothing of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from picklegate.pickles.values import Dict, Event, Global

if TYPE_CHECKING:
    from picklegate.pickles.rules.protocol import Effects

_SETTER = "cloudpickle._function_setstate"
_PLAIN_FLAGS = (3, 67)
"""Of a function with neither ``*args`` nor ``**kwargs``; up to 3.10 one more says that it has no free variables."""
_OLD, _NEW = 16, 18
"""Arguments of ``types.CodeType`` in 3.8 to 3.10 and since 3.11."""
_FORWARDING: dict[int, dict[int, tuple[str, ...]]] = {
    _OLD: {2: ("7c007c0183015300",), 3: ("7c007c017c0283025300",)},
    _NEW: {
        2: (
            "970002007c007c01a6010000ab0100000000000000005300",  # 3.11
            "970002007c007c01ab010000000000005300",  # 3.12
            "950055002200550135010000000000002400",  # 3.13
        ),
        3: (
            "970002007c007c017c02a6020000ab0200000000000000005300",
            "970002007c007c017c02ab020000000000005300",
            "950055002200581235020000000000002400",
        ),
    },
}
"""The whole byte code of ``def f(a, b): return a(b)`` by the arguments of its code object and by its own."""


def arguments(made: Any) -> int:
    """With how many arguments the function is to be called that calls the first of them with the others; 0: it is none.

    numba ships such functions, ``_CustomPickled._rebuild``, by value. Only the code that compilers write counts.
    """
    if type(made) is not Event or made.known != "cloudpickle._make_function" or made.written or made.kwargs:
        return 0
    code = made.args[0] if made.args else None
    if type(code) is not Event or code.known != "types.CodeType" or code.kwargs or code.written:
        return 0
    fields, size = code.args, len(code.args)
    known = _FORWARDING.get(size, {}).get(fields[0] if fields and type(fields[0]) is int else 0, ())
    if not known or type(fields[6]) is not bytes or fields[6].hex() not in known or fields[5] not in _PLAIN_FLAGS:
        return 0
    count: int = fields[0]
    plain = fields[1:5] == (0, 0, count, count + (size == _NEW)) and fields[7:9] == ((None,), ())
    bare = fields[-2:] == ((), ()) and (size == _OLD or fields[15] == b"") and type(fields[9]) is tuple
    return count if plain and bare and not any(made.args[3:]) else 0


def forward(effects: Effects, event: Event) -> Any:
    """The rule for calling such a function: what it calls is named."""
    made = event.callee
    if event.kwargs or len(event.args) != arguments(made):
        return brought(effects, event)
    event.known, made.called = made.known, False
    return effects.apply("call", event.opcode, event.offset, event.args[0], event.args[1:], None, event.known)


def brought(effects: Effects, event: Event) -> Any:
    """The rule for calling any other function that the stream makes: it may call whatever it is given with the rest."""
    event.via = event.via or f"result of {event.name}"
    event.name, event.unresolved = "unresolved", True
    event.callee.called = False  # what its code does is judged
    for at, callee in enumerate(event.args[:_MOST]):
        if type(callee) is Global and callee.name:
            rest = (*event.args[:at], *event.args[at + 1 :])
            effects.apply("call", event.opcode, event.offset, callee, rest, None, event.via)
    return None


_MOST = 16
"""Arguments of such a function that are taken for what it calls."""


def handed(effects: Effects, callee: Global, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """What a call is given that it may change; cloudpickle's helper changes no code where its state has none."""
    if keeps(callee.known):
        return ()
    if callee.known == _CLASS_SETTER and len(args) == 2 and type(args[0]) is Event:
        return _attributes(effects, args)
    if callee.known != _SETTER or len(args) != 2:
        return args
    state = effects.resolve(args[1], whole=False)
    slots = state[1] if type(state) is tuple and len(state) == 2 else None
    harmless = type(slots) is Dict and all(isinstance(key, str) and key != "__code__" for key in slots[::2])
    return _kept(effects, (slots, state[0])) if harmless else args


def _attributes(effects: Effects, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """What a class that the stream makes is given, but for its methods: to become one changes no function."""
    state = effects.resolve(args[1], whole=False)
    if type(state) is not tuple or not all(type(part) is Dict for part in state):
        return args
    return (args[0], *_kept(effects, state))


def _kept(effects: Effects, parts: tuple[Any, ...], depth: int = 0) -> tuple[Any, ...]:
    """The values in these dicts, and in dicts among them, but for functions that the stream makes."""
    found: list[Any] = []
    for part in parts:
        if type(part) is not Dict or depth > 1:
            found.append(part)
            continue
        values = [effects.resolve(value, whole=False) for value in part[1::2]]
        inner = tuple(value for value in values if type(value) is Dict)
        found += [value for value in values if type(value) is not Dict and not _is_method(value)]
        found += _kept(effects, inner, depth + 1)
    return tuple(found)


def _is_method(value: Any) -> bool:
    if type(value) is not Event:
        return False
    inner = value.args[0] if value.known in _WRAPPERS and len(value.args) == 1 and not value.kwargs else value
    return type(inner) is Event and inner.known == "cloudpickle._make_function"


_CLASS_SETTER = "cloudpickle._class_setstate"
_WRAPPERS = ("builtins.staticmethod", "builtins.classmethod", "builtins.property")


def keeps(known: str) -> bool:
    """Whether a callable keeps what it is given as it is, until what it makes is called."""
    return known in _KEEPING


_KEEPING = frozenset((
    "collections.defaultdict", "functools.cache", "functools.lru_cache", "functools.partial", "operator.attrgetter",
    "operator.itemgetter", "operator.methodcaller", "types.GenericAlias", "types.MethodType", "types.PartialType",
    "weakref.ref",
))  # fmt: skip
