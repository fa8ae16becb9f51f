"""Code that a stream brings by value: what the functions and methods that loading runs refer to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from picklegate.capabilities import HARMS
from picklegate.judging import callables
from picklegate.judging.callee_facts import NEAR, class_named, find
from picklegate.pickles import Dict, Event, Global, Trace, Unresolved
from picklegate.pickles.code import MAKERS, CodeFacts, facts_of_arguments, facts_of_marshal
from picklegate.pickles.values import CONTAINERS

RUN_ON_LOAD = frozenset(
    (
        *("__new__", "__init__", "__post_init__", "__setstate__", "__hash__", "__eq__", "__set_name__"),
        *("__init_subclass__", "__del__", "__setitem__", "__call__", "append", "extend", "add", "update"),
        *("__getattr__", "__getattribute__", "__setattr__", "__reduce_ex__", "__reduce__", "__prepare__"),
        *("__class_getitem__", "__getitem__", "__mro_entries__", "__instancecheck__", "__subclasscheck__"),
    )
)
"""Methods of a class, or of its metaclass, that making, filling and keeping an instance runs."""
ON_CALL = frozenset(("__init__", "__post_init__", "__call__", "__reduce__", "__reduce_ex__"))
"""Those of them that run where loading calls a class, not where it makes an instance by NEWOBJ; all but ``__call__``,
which is also the first use of an instance."""
_CLASS_NAMES = frozenset(("type", "__class__", "cls"))
_SHOWING = frozenset(("__getstate__", "__reduce__", "__reduce_ex__", "__repr__", "__str__", "__dir__", "__sizeof__"))
CLASS_BODIES = frozenset(("builtins.type", "types.new_class", "dill._create_type", "cloudpickle._class_setstate",
                          "cloudpickle._rehydrate_skeleton_class", "cloudpickle._make_skeleton_class"))  # fmt: skip
"""Callables that make a class of its attributes, or give a class its attributes."""
_MOST = 20_000
"""Values that are looked at for one function."""


@dataclass(frozen=True, slots=True)
class Harm:
    """What a function does in words, and whether that is beyond doubt: a callee may be called in a harmless way."""

    words: str
    certain: bool = False


class BroughtCode:
    """The functions and classes that one stream brings."""

    def __init__(self, trace: Trace) -> None:
        """Find what writes into what the stream makes."""
        self._bodies = [event for event in trace.events if event.known in CLASS_BODIES and event.kind != "state"]
        self._written: dict[int, list[Event]] = {}
        setters = callables.role("setter")
        for event in trace.events:
            if event.kind == "state" and type(event.callee) is Event:
                self._written.setdefault(id(event.callee), []).append(event)
            elif event.known in setters and event.args and type(event.args[0]) is Event:
                self._written.setdefault(id(event.args[0]), []).append(event)

    def methods(self, called: Sequence[Any] = (), *, made: bool) -> list[tuple[str, Any]]:
        """(name, function) of the methods of brought classes that loading runs, or that those that it runs may run.

        ``called`` are brought functions that loading calls; ``made``: whether it calls a class, which runs ON_CALL.
        """
        parts = [part for body in self._bodies for part in (body, *self._written.get(id(body), ()))]
        left = [pair for part in parts for pair in _methods_in((part.args, part.kwargs))]
        roots = RUN_ON_LOAD if made else RUN_ON_LOAD - ON_CALL | {"__call__"}
        run = [pair for pair in left if pair[0] in roots]
        if not run and not called:
            return []
        classes = {item for body in self._bodies for item in body.args[:2] if isinstance(item, str)}
        names = self._names(called)
        pending, implicit = run, any(name != "__call__" for name, _ in run)
        while True:
            names |= self._names([function for _, function in pending])
            implied = {*names, *(ON_CALL if names & (classes | _CLASS_NAMES) else ())}
            left = [pair for pair in left if pair not in pending]
            pending = [pair for pair in left if pair[0] in implied or (implicit and _is_implicit(pair[0]))]
            if not pending:
                return run
            run = [*run, *pending]

    def hands_on_classes(self, trace: Trace) -> bool:
        """Whether a brought class is a metaclass, or is handed to something that may call it."""
        made = {id(body) for body in self._bodies if body.known != "cloudpickle._class_setstate"}
        for event in trace.events:
            keeping = callables.serialises(event.known) or event.known in callables.role("setter")
            if event.known in CLASS_BODIES and event.known != "cloudpickle._class_setstate":
                given: Iterable[Any] = (*event.args[:1], *(part for part in event.args[1:] if type(part) is Dict))
            else:
                given = () if keeping or event.kind != "call" else (event.args, event.kwargs)
            if any(_holds(value, made) for value in given):
                return True
        return False

    def _names(self, functions: Iterable[Any]) -> set[str]:
        codes = [code for function in functions for code in self._reached(function)[0]]
        return {name for code in codes for one in _facts(code) if one is not None for name in one.names}

    def harm(self, function: Any, method: str = "__init__") -> Harm | None:
        """What a brought function reaches that does harm, or of which nothing is known; None where nothing.

        As a ``method`` that runs while loading, ``__getattr__`` asks another object, and no honest one but
        ``__init__`` imports from within a package.
        """
        codes, globals_ = self._reached(function)
        for item in globals_:
            if item.name and (why := _harm(item.known or item.dotted, item)):
                return why
        modules = {item.dotted.removesuffix(".__dict__") for item in globals_ if _is_module(item)}
        if not codes and type(function) is not Global:
            return Harm("its code is not known", certain=True)
        for code in codes:
            found = _facts(code)
            if not any(found):
                return Harm("its code cannot be read", certain=True)
            for one in found:
                if one is None:
                    continue
                usual = _USUAL.get(method, frozenset()) | (_METHODS & one.attributes)
                if why := _reaching(one.names, modules, usual):
                    return why
                if method != "__init__" and (inner := next((name for name in one.names if "." in name), "")):
                    return Harm(f"its code imports {inner}")
        return None

    def _reached(self, function: Any) -> tuple[list[Event], list[Global]]:
        """The code and the imported objects that a function refers to, through what the stream writes into it."""
        codes: list[Event] = []
        globals_: list[Global] = []
        pending, seen, left = [function], set[int](), _MOST
        while pending and left:
            item = pending.pop()
            left -= 1
            if type(item) is Global:
                globals_.append(item)
            elif type(item) in CONTAINERS and id(item) not in seen:
                seen.add(id(item))
                pending.extend(item)
            elif type(item) is Event and id(item) not in seen:
                seen.add(id(item))
                if item.known in CLASS_BODIES:
                    # The methods of a class that a function knows run only where it calls them.
                    continue
                if item.known in MAKERS or item.known == "marshal.loads":
                    codes.append(item)
                parts = (
                    item.args,
                    item.kwargs,
                    *((event.args, event.kwargs) for event in self._written.get(id(item), ())),
                )
                pending.extend(parts)
        return codes, globals_


def _holds(value: Any, made: set[int], depth: int = 0) -> bool:
    if type(value) is Event:
        return id(value) in made
    return type(value) in CONTAINERS and depth < 4 and any(_holds(item, made, depth + 1) for item in value)


def _facts(code: Event) -> list[CodeFacts | None]:
    facts = facts_of_arguments(code.args) if code.known in MAKERS else None
    return [facts] if facts is not None else [facts_of_marshal(raw) for raw in _bytes_in(code.args)]


def _is_implicit(name: str) -> bool:
    """Whether an operator or a function of Python's own runs a method without naming it."""
    return name[:2] == name[-2:] == "__" and name not in ON_CALL - {"__call__"} and name not in _SHOWING


def _methods_in(value: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    if type(value) is Dict:
        for key, item in zip(value[::2], value[1::2], strict=False):
            if isinstance(key, str) and (key in RUN_ON_LOAD or _is_code(item)) and type(item) in _METHOD_TYPES:
                yield key, item
    if type(value) in CONTAINERS and depth < 4:
        for item in value:
            yield from _methods_in(item, depth + 1)
    elif type(value) is Event and value.known in ("types.PartialType", "functools.partial") and depth < 4:
        yield from _methods_in((value.args, value.kwargs), depth + 1)


_METHOD_TYPES = (Event, Global, Unresolved)
_FUNCTIONS = ("cloudpickle._make_function", "dill._create_function", "types.FunctionType")
_WRAPPERS = ("builtins.staticmethod", "builtins.classmethod", "builtins.property", "functools.cached_property")


def _is_code(value: Any) -> bool:
    """Whether an attribute of a class is a method that the stream brings, or wraps one."""
    if type(value) is Event and value.known in _WRAPPERS:
        return any(map(_is_code, value.args))
    return type(value) is Event and value.known in _FUNCTIONS


def _is_module(item: Global) -> bool:
    return not item.name or item.name == "__dict__" or find(item.known or item.dotted, item).kind == "module"


def _bytes_in(values: Iterable[Any]) -> Iterator[bytes]:
    yield from (value for value in values if isinstance(value, bytes))


_USUAL = {
    **dict.fromkeys(("__getattr__", "__getattribute__"), frozenset(("getattr", "__getattribute__"))),
    **dict.fromkeys(("__get__", "__set__"), frozenset(("getattr", "setattr"))),
    **dict.fromkeys(("__lt__", "__le__", "__gt__", "__ge__", "__ne__"), frozenset(("getattr",))),
}
"""Names of REACHING that such methods are made for."""
_METHODS = frozenset(("eval", "compile"))
"""Names of REACHING that tell only as names of Python's own: ``model.eval()`` and ``re.compile(...)`` are ordinary."""


def _reaching(names: Sequence[str], modules: Iterable[str], usual: frozenset[str] = frozenset()) -> Harm | None:
    """What the names in a code object reach, with the modules that they import and those that its globals hold."""
    parts = {part for name in names for part in name.split(".")} - usual
    if telling := sorted(callables.names("code_names") & parts):
        return Harm(f"its code names {telling[0]}", certain=True)
    imported = [name for name in names if "." in name or find(name).kind == "module" or callables.is_standard(name)]
    for module in (*imported, *modules):
        for name in names:
            if name not in imported and (why := _harm(f"{module}.{name}")):
                return why
    for module in imported:
        if find(module).known == "no" and not callables.is_standard(module):
            return Harm(f"its code imports {module}, of which nothing is known")
    return None


def _harm(known: str, item: Global | None = None) -> Harm | None:
    """The harm that a call of a function may do, in words."""
    if callables.executes(known) and not callables.is_kept(known):
        return Harm(f"it reaches {known}", certain=True)
    if callables.constructs_data(known) or callables.serialises(known):
        return None
    callee = find(known, item)
    if class_named(known) and not callables.is_standard(known):
        return None
    if callables.reaches_outside(known) and callee.kind != "class":
        return Harm(f"it reaches {known}", certain=True)
    for effect in callee.run_by("REDUCE"):
        if effect.kind in HARMS and effect.parameters and effect.chain <= NEAR and effect.sink != "registry":
            return Harm(f"it reaches {callee.canonical}, which reaches {effect.sink}")
    return None
