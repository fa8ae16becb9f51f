"""Calls that no opcode spells: of what an instance holds, by methods that loading and helpers look up on it."""

from __future__ import annotations

import builtins
import re
import sys
from collections.abc import Iterable
from itertools import chain
from typing import Any

from picklegate.pickles.values import CONTAINERS, Event, Global, Unresolved

_TYPES = frozenset(f"builtins.{name}" for name, value in vars(builtins).items() if isinstance(value, type))
_PLAIN = ("numpy", "torch")
"""Packages whose own lower-case names are types and flags."""
_MAKERS = (
    "collections", "copyreg", "datetime", "decimal", "fractions", "re",
    "torch._utils", "torch._tensor", "torch.storage", "numpy.random._pickle",
    "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric",
)  # fmt: skip
"""Modules whose functions make plain data."""
_FUNCTIONS = frozenset((
    "types.FunctionType", "types.LambdaType", "types.MethodType", "types.PartialType", "functools.partial",
    "cloudpickle._make_function", "cloudpickle._make_skel_func", "dill._create_function",
))  # fmt: skip
_TELLING = CONTAINERS | {Global, Event, Unresolved}
_DEEP = 3

_HELPERS = re.compile(
    r"(builtins|collections|copyreg|codecs|uuid|datetime|decimal|fractions|ipaddress|string|pathlib|re|array|random"
    r"|itertools|torch\._utils|torch\._tensor|torch\.storage|torch\.nn\.parameter|numpy(\._?core\.\w+)?)\.\w+"
    r"|pandas\.\w.*\._new_\w+"
)
"""Constructors and serialisers' helpers: the methods that they look up on their arguments are those of plain data."""

_PLAIN_RESULTS = re.compile(
    r"pandas\.\w.*\.(_new|_unpickle|__pyx_unpickle)_\w+|zoneinfo\.ZoneInfo\._unpickle|pytz\._\w+|dateutil\.tz\.\w.*"
)
"""Helpers that make indexes, arrays and time zones, which types of columns hold."""

SHARING = frozenset(("logging.getLogger", "builtins.vars", "builtins.globals", "builtins.locals"))
"""Callables whose result is an object that the whole process uses."""
FEEDING = frozenset(("APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS"))
"""Opcodes that call a method of an instance with items; pickle writes them before the instance's state."""


def callable_in(values: Iterable[Any]) -> bool:
    """Whether something in these values, as they lie on the stack or resolved, could be called as a function."""
    level, seen = [values], set[int]()
    for _ in range(_DEEP + 1):
        below: list[Any] = []
        if not level:
            break
        for value in chain.from_iterable(level):
            kind = type(value)
            if kind is Global:
                if _is_function(value):
                    return True
            elif kind is Event:
                if value.holds or value.known in _FUNCTIONS or _is_result(value):
                    return True
            elif kind is Unresolved:
                return True
            elif kind in CONTAINERS and id(value) not in seen and not _TELLING.isdisjoint(map(type, value)):
                seen.add(id(value))
                below.append(value)
        level = below
    return False


def _is_result(made: Event) -> bool:
    """Whether a value is what a function returned that is neither a type nor of numpy or torch: it may be another."""
    found = made.callee
    plain = (
        type(found) is not Global or found.rule is not None or not made.args or _PLAIN_RESULTS.fullmatch(found.known)
    )
    return made.kind == "call" and not plain and _is_function(found)


def _is_function(found: Global) -> bool:
    owner, _, last = found.known.rpartition(".")
    plain = owner in _PLAIN or owner in _MAKERS
    return not (plain or last.lstrip("_")[:1].isupper() or found.known in _TYPES)


def holds(value: Any) -> bool:
    """Whether a value is an instance that holds, in its state or from its construction, what could be called."""
    if type(value) is not Event or value.known in _FUNCTIONS:
        return False
    if value.holds or value.kind != "construct":
        return value.holds or callable_in(value.kwargs)
    return type(value.callee) is Event or callable_in((*value.args, *value.kwargs))


def shared(target: Any) -> Any:
    """What a write into ``target`` changes: the result of a callable of SHARING stands for that."""
    return target.callee if type(target) is Event and target.kind == "call" and target.known in SHARING else target


def holds_shared(target: Event) -> bool:
    """Whether items that are fed to ``target`` may land in what it holds: by keywords, or of the standard library."""
    if callable_in(target.kwargs):
        return True
    if target.known == "collections.ChainMap":
        return target.holds or callable_in(target.args)
    return target.holds and target.known.partition(".")[0] in sys.stdlib_module_names


def reaches(callee: Global, args: Iterable[Any]) -> bool:
    """Whether a call reaches what it is given as a function: it is one itself, or stands in the place of a method."""
    given = [arg for arg in args if type(arg) is Event]
    if not given:
        return False
    if any(event.known in _FUNCTIONS for event in given) and _calls(callee.known):
        return True
    last = callee.known.rpartition(".")[2]
    if _HELPERS.fullmatch(callee.known) is not None or (_calls(callee.known) and last[:1] != "_"):
        return any(map(holds, given))
    return "." in callee.name and last[:1] != "_" and holds(given[0]) and not _is_of(given[0], callee)


def _is_of(instance: Event, method: Global) -> bool:
    """Whether an instance is of the very class that a method is named by."""
    return type(instance.callee) is Global and f"{instance.callee.known}." == method.known.rpartition(".")[0] + "."


def copies(event: Event) -> bool:
    """Whether a call copies an instance that holds what could be called: ``__deepcopy__`` is looked up on it."""
    return event.known in _COPYING and any(map(holds, event.args))


_COPYING = frozenset(("copy.copy", "copy.deepcopy", "copy.replace"))


def unpacks(state: Any) -> bool:
    """Whether BUILD asks a state for its ``items``, as Python's own unpickler does of whatever it is given."""
    parts = state if type(state) is tuple and len(state) == 2 else (state,)
    return any(type(part) is Event and holds(part) for part in parts)


def plants(key: Any, value: Any) -> bool:
    """Whether an attribute of an instance is a method that loading or a helper looks up on it."""
    if type(value) not in (Global, Event, Unresolved) or not isinstance(key, str):
        return False
    return key in _LOOKED_UP or (key[:2] == key[-2:] == "__" and key not in _ATTRIBUTES and "pydantic" not in key)


_LOOKED_UP = frozenset(("append", "extend", "add", "update"))
"""Methods that unpicklers look up on whatever lies on the stack; the others of these are special ones."""
_ATTRIBUTES = frozenset((
    "__annotations__", "__class__", "__dict__", "__doc__", "__func__", "__module__", "__name__", "__objclass__",
    "__orig_bases__", "__orig_class__", "__origin__", "__qualname__", "__self__", "__signature__", "__wrapped__",
))  # fmt: skip
"""Special attributes that are no methods, and that honest instances have."""


def _calls(known: str) -> bool:
    """Whether a function of a large library is no serialiser's own: given a function, it calls that."""
    root, last = known.partition(".")[0], known.rpartition(".")[2]
    own = root == "types" or known in _TYPES or known in _KEEPING
    return (root in sys.stdlib_module_names or root in _LIBRARIES) and not own and not last.lstrip("_")[:1].isupper()


_LIBRARIES = frozenset(("numpy", "torch", "scipy", "sklearn", "pandas", "joblib"))
_KEEPING = frozenset(("functools.partial", "collections.defaultdict"))
"""Functions and classes that keep a function and do not call it."""


def evaluates(event: Event) -> bool:
    """Whether sympy is given a text that it evaluates as Python (``sympify``): most of its classes do, not symbols."""
    return (
        event.known.startswith("sympy.")
        and event.known.rpartition(".")[2] not in _LABELLED
        and any(isinstance(arg, str) and "(" in arg for arg in event.args)
    )


_LABELLED = frozenset((
    "Symbol", "Dummy", "Wild", "Str", "symbols", "MatrixSymbol", "Function", "UndefinedFunction", "IndexedBase", "Idx",
    "Quantity", "Dimension",
))  # fmt: skip
"""Classes of sympy whose text is a name."""
