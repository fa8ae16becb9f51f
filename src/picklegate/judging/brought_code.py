"""Code that a stream brings by value: what the functions and methods that loading runs refer to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from picklegate.capabilities import HARMS
from picklegate.judging import callables
from picklegate.judging.callee_facts import NEAR, class_named, find
from picklegate.pickles import Dict, Event, Global, Trace, Unresolved
from picklegate.pickles.code import MAKERS, facts_of_arguments, facts_of_marshal
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
CLASS_BODIES = frozenset(("builtins.type", "types.new_class", "dill._create_type", "cloudpickle._class_setstate",
                          "cloudpickle._rehydrate_skeleton_class", "cloudpickle._make_skeleton_class"))  # fmt: skip
"""Callables that make a class of its attributes, or give a class its attributes."""
_MOST = 20_000
"""Values that are looked at for one function."""


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

    def methods(self) -> Iterator[tuple[str, Any]]:
        """(name, function) of the methods of brought classes that loading runs."""
        for body in self._bodies:
            for part in (body, *self._written.get(id(body), ())):
                yield from _methods_in((part.args, part.kwargs))

    def harm(self, function: Any, method: str = "__init__") -> str:
        """What a brought function reaches that does harm, or of which nothing is known; empty where nothing.

        As a ``method`` that runs while loading, ``__getattr__`` asks another object, and no honest one but
        ``__init__`` imports from within a package.
        """
        codes, globals_ = self._reached(function)
        for item in globals_:
            if item.name and (why := _harm(item.known or item.dotted, item)):
                return why
        modules = {item.dotted.removesuffix(".__dict__") for item in globals_ if _is_module(item)}
        if not codes and type(function) is not Global:
            return "its code is not known"
        for code in codes:
            facts = facts_of_arguments(code.args) if code.known in MAKERS else None
            found = [facts] if facts is not None else [facts_of_marshal(raw) for raw in _bytes_in(code.args)]
            if not any(found):
                return "its code cannot be read"
            for one in found:
                if one is None:
                    continue
                usual = _USUAL.get(method, frozenset()) | (_METHODS & one.attributes)
                if why := _reaching(one.names, modules, usual):
                    return why
                if method != "__init__" and (inner := next((name for name in one.names if "." in name), "")):
                    return f"its code imports {inner}"
        return ""

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


def _methods_in(value: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    if type(value) is Dict:
        for key, item in zip(value[::2], value[1::2], strict=False):
            if isinstance(key, str) and key in RUN_ON_LOAD and type(item) in (Event, Global, Unresolved):
                yield key, item
    if type(value) in CONTAINERS and depth < 4:
        for item in value:
            yield from _methods_in(item, depth + 1)
    elif type(value) is Event and value.known in ("types.PartialType", "functools.partial") and depth < 4:
        yield from _methods_in((value.args, value.kwargs), depth + 1)


def _is_module(item: Global) -> bool:
    return not item.name or item.name == "__dict__" or find(item.known or item.dotted, item).kind == "module"


def _bytes_in(values: Iterable[Any]) -> Iterator[bytes]:
    yield from (value for value in values if isinstance(value, bytes))


_USUAL = dict.fromkeys(("__getattr__", "__getattribute__"), frozenset(("getattr", "__getattribute__")))
"""Names of REACHING that such methods are made for."""
_METHODS = frozenset(("eval", "compile"))
"""Names of REACHING that tell only as names of Python's own: ``model.eval()`` and ``re.compile(...)`` are ordinary."""


def _reaching(names: Sequence[str], modules: Iterable[str], usual: frozenset[str] = frozenset()) -> str:
    """What the names in a code object reach, with the modules that they import and those that its globals hold."""
    parts = {part for name in names for part in name.split(".")} - usual
    if telling := sorted(callables.names("code_names") & parts):
        return f"its code names {telling[0]}"
    imported = [name for name in names if "." in name or find(name).kind == "module" or callables.is_standard(name)]
    for module in (*imported, *modules):
        for name in names:
            if name not in imported and (why := _harm(f"{module}.{name}")):
                return why
    for module in imported:
        if find(module).known == "no" and not callables.is_standard(module):
            return f"its code imports {module}, of which nothing is known"
    return ""


def _harm(known: str, item: Global | None = None) -> str:
    """The harm that a call of a function may do, in words."""
    if callables.executes(known) and not callables.is_kept(known):
        return f"it reaches {known}"
    if callables.constructs_data(known) or callables.serialises(known) or class_named(known):
        return ""
    callee = find(known, item)
    if callables.reaches_outside(known) and callee.kind != "class":
        return f"it reaches {known}"
    for effect in callee.run_by("REDUCE"):
        if effect.kind in HARMS and effect.parameters and effect.chain <= NEAR and effect.sink != "registry":
            return f"it reaches {callee.canonical}, which reaches {effect.sink}"
    return ""
