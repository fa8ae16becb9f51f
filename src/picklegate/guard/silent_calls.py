"""Calls that act and raise no audit event: while a load lasts, other functions stand in their place.

``data/silent_calls.tsv`` lists them. Those of modules that are imported are replaced in their module or class, and
under every name that a module of the standard library has for them, and put back when the last load ends.
"""

from __future__ import annotations

import functools
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any, cast

from picklegate.guard.tables import rows
from picklegate.policy import Effect

Meet = Callable[[str, Effect], None]
"""Told the function and its kind of effect where a loading thread calls it; raises to refuse."""

_lock = threading.RLock()
_places: list[tuple[Any, str, Any, Any]] = []
"""The owner of each name, the name, what it stands for, and what stands in its place."""
_listed: dict[int, tuple[Any, tuple[str, Effect]]] = {}
"""What is listed, by identity, and what stands in its place, with its name and kind."""
_methods: dict[str, tuple[type[Any] | None, tuple[str, Effect] | None]] = {}
"""Listed methods of classes in native code, by name: the class, with the listed name and the kind."""
_counts = {"loads": 0, "modules": -1}
"""Loads under way, and modules that there were when names were last looked for."""


def raise_wall(meet: Meet) -> None:
    """Put the other functions in place, for one more load."""
    with _lock:
        _counts["loads"] += 1
        if _counts["loads"] == 1:
            _find(meet)
            for owner, name, _, other in _places:
                setattr(owner, name, other)


def lower_wall() -> None:
    """End one load; after the last one each name is what it was, unless somebody else has changed it."""
    with _lock:
        _counts["loads"] -= 1
        if _counts["loads"] == 0:
            for owner, name, original, other in _places:
                if vars(owner).get(name) is other:
                    setattr(owner, name, original)


def loads() -> int:
    """How many loads are under way."""
    return _counts["loads"]


def is_silent(value: Any) -> tuple[str, Effect] | None:
    """The name and the kind of effect of a function or class that is listed, whoever stands in its place."""
    value = getattr(value, "__func__", value)
    with _lock:
        known = _listed.get(id(value))
    if known is not None and known[0] is value:
        return known[1]
    # A method of a class in native code is another object each time that it is asked for.
    owner, told = _methods.get(getattr(value, "__name__", ""), (None, None))
    bound = getattr(value, "__self__", None)
    return told if owner is not None and isinstance(bound, type) and issubclass(bound, owner) else None


def _find(meet: Meet) -> None:
    """Look for the listed names, where modules came since."""
    if _counts["modules"] == len(sys.modules):
        return
    _counts["modules"] = len(sys.modules)
    others = {id(original): (original, other) for _, _, original, other in _places}
    _places.clear()
    _listed.clear()
    for dotted, kind, _reason in (*rows("silent_calls"), *rows("library_calls")):
        owner, name = _resolved(dotted)
        held = vars(owner).get(name) if owner is not None else None
        original = getattr(held, "__func__", held)
        if original is None:
            continue
        told = (dotted, cast("Effect", kind))
        _listed[id(original)] = (original, told)
        if isinstance(original, types.ClassMethodDescriptorType) and isinstance(owner, type):
            _methods[name] = (owner, told)
        # A class stays where it is, for objects are asked if they are of it.
        if not callable(original) or isinstance(original, type) or original is not held:
            continue
        if id(original) not in others:
            others[id(original)] = (original, _other(original, *told, meet))
        other = others[id(original)][1]
        _listed[id(other)] = (other, told)
        if isinstance(owner, type) or dotted.partition(".")[0] not in sys.stdlib_module_names:
            _places.append((owner, name, original, other))
    for module in _modules_with_names():
        for name, value in tuple(vars(module).items()):
            if id(value) in others:
                _places.append((module, name, *others[id(value)]))


def _resolved(dotted: str) -> tuple[Any, str]:
    """The module or class that has a listed function, and its name there; None where the module is not imported."""
    owner_name, _, name = dotted.rpartition(".")
    if owner_name in sys.modules:
        return sys.modules[owner_name], name
    module, _, cls = owner_name.rpartition(".")
    owner = vars(sys.modules[module]).get(cls) if module in sys.modules else None
    return (owner, name) if isinstance(owner, type) else (None, name)


def _modules_with_names() -> Iterator[Any]:
    """The modules of the standard library and of libraries that are listed, but for torch's many."""
    packages = {row[0].partition(".")[0] for row in rows("library_calls")} - {"torch"} | sys.stdlib_module_names
    for name, module in tuple(sys.modules.items()):
        if name.partition(".")[0] in packages and hasattr(module, "__dict__"):
            yield module


def _other(original: Any, dotted: str, kind: Effect, meet: Meet) -> Any:
    @functools.wraps(original)
    def stand_in(*args: Any, **options: Any) -> Any:
        meet(dotted, kind)
        return original(*args, **options)

    return stand_in
