"""The effects of a load: what the interpreter's audit events tell of what is about to happen, and whether it may.

``data/audit_events.tsv`` has each event of CPython 3.10 to 3.14 with a decision: refuse, allow, or look, for which
there is a function here. ``data/exceptions.tsv`` has what loads of honest files do all the same.
"""

from __future__ import annotations

import ast
import linecache
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType, FunctionType, ModuleType
from typing import Any, Final, cast

from picklegate.guard.module_origin import is_installed
from picklegate.guard.tables import rows
from picklegate.policy import Effect

ALLOWED: Final = frozenset(row[0] for row in rows("audit_events") if row[1] == "allow")
"""Events at which nothing is to be done."""

_KINDS: Final = {row[0]: cast("Effect", row[2]) for row in rows("audit_events") if row[1] != "allow"}
_LOOKED_AT: Final = frozenset(row[0] for row in rows("audit_events") if row[1] == "look")
_EXCEPTIONS: Final = frozenset(row[:3] for row in rows("exceptions"))

WORDS: Final[dict[Effect, str]] = {
    "read": "read a file that is neither installed nor beside the model",
    "write": "write to a file, or make, move or remove one",
    "process": "start or steer a process",
    "network": "use the network",
    "code": "run code that the scan did not read",
    "native": "call native code by its address or name",
    "thread": "start a thread",
    "import": "import a module that is not installed",
    "state": "change the running program",
}
"""What is refused, as the end of a sentence that begins with "loading it would"."""

_SYSTEM = ("/proc/self/", "/proc/cpuinfo", "/proc/meminfo", "/sys/", "/etc/localtime", "/usr/share/zoneinfo/")
"""Where the system tells of itself: libraries ask for processors, memory and time zones."""
_SYSTEM_FILES = frozenset({os.devnull, "/dev/urandom", "/dev/random"})
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """What one load may touch.

    ``beside`` are the directories in which the artifact lies, ``mapped`` is the path of an artifact that the caller
    wants mapped for writing; ``was_scanned`` tells whether a text or bytes lie in what the scan read.
    """

    beside: frozenset[str]
    mapped: str | None
    was_scanned: Callable[[str | bytes], bool]


def refused(event: str, args: tuple[Any, ...], frame: FrameType, scope: Scope) -> Effect | None:
    """The kind of effect that an event announces and that no rule lets happen; None where it may happen.

    ``frame`` is the Python frame that brings it about.
    """
    kind = _KINDS.get(event)
    if kind is None:
        # A library's own events say what the interpreter's do not; one of a later CPython is refused.
        return "state" if event.partition(".")[0] in sys.stdlib_module_names else None
    look = _LOOKS.get(event)
    if look is not None and look(args, frame, scope):
        return None
    if event == "open" and not _opens_for_writing(args):
        kind = "read"
    elif event == "import":
        kind = "native"
    return None if is_exception(event, kind, frame) else kind


def acts(event: str, args: tuple[Any, ...]) -> bool:
    """Whether an event is more than reading, whoever brings it about."""
    return event in _KINDS and (event not in _LOOKED_AT or (event == "open" and _opens_for_writing(args)))


def shown(event: str, args: tuple[Any, ...]) -> str:
    """An event with its plain arguments, for a message; not yet escaped."""
    plain = [repr(value)[:80] for value in args[:3] if isinstance(value, (str, bytes, int))]
    return f"{event}({', '.join(plain)})"


def is_exception(event: str, kind: Effect, frame: FrameType) -> bool:
    """Whether a row has the function that brings an event about, or the one that called that."""
    if kind in ("read", "write", "state") and _is_tar_of_torch(frame):
        return True
    return any(
        (event, file, near.f_code.co_name) in _EXCEPTIONS
        for near in (frame, frame.f_back)
        if near is not None
        for file in _ends_of(near.f_code.co_filename)
        if is_installed(near.f_code.co_filename)
    )


def _is_tar_of_torch(frame: FrameType) -> bool:
    """Whether torch itself unpacks a file of its oldest format, a tar, into a folder of its own for a while.

    The function that does also unpickles; what happens on those lines is the stream's doing.
    """
    near: FrameType | None = frame
    while near is not None and str(near.f_globals.get("__name__")).partition(".")[0] in sys.stdlib_module_names:
        near = near.f_back
    if near is None or near.f_code.co_name not in ("legacy_load", "mkdtemp"):
        return False
    file = near.f_code.co_filename
    ours = file.replace(os.sep, "/").endswith("/torch/serialization.py") and is_installed(file)
    return ours and ".load(" not in linecache.getline(file, near.f_lineno)


def _ends_of(file: str) -> tuple[str, ...]:
    """The name of a file, alone and with those of the folders above it."""
    steps = file.replace(os.sep, "/").split("/")
    return tuple("/".join(steps[-count:]) for count in range(1, 4))


def _opens_for_writing(args: tuple[Any, ...]) -> bool:
    _, mode, flags = (*args, None, None, None)[:3]
    by_mode = isinstance(mode, str) and not set("wax+").isdisjoint(mode)
    return by_mode or (isinstance(flags, int) and bool(flags & _WRITES))


def _may_open(args: tuple[Any, ...], _: FrameType, scope: Scope) -> bool:
    if not _opens_for_writing(args):
        return _may_read(args, _, scope)
    path = _path(args[0])
    return path == os.devnull or (scope.mapped is not None and path == os.path.realpath(scope.mapped))


def _may_read(args: tuple[Any, ...], _: FrameType, scope: Scope) -> bool:
    """Whether a path is of an installation, the system's, or beside the model; a number is open already."""
    if args and isinstance(args[0], int):
        return True
    path = _path(args[0] if args else None)
    if path in _SYSTEM_FILES or path.startswith(_SYSTEM):
        return True
    return is_installed(path) or any(path.startswith(home.rstrip(os.sep) + os.sep) for home in scope.beside)


def _path(value: Any) -> str:
    if isinstance(value, (str, bytes)):
        return os.path.realpath(os.fsdecode(value))
    return os.getcwd()


def _was_scanned(args: tuple[Any, ...], frame: FrameType, scope: Scope) -> bool:
    source = args[0] if args else None
    if isinstance(source, (bytearray, memoryview)):
        source = bytes(source)
    if isinstance(source, (str, bytes)) and scope.was_scanned(source):
        return True
    return isinstance(source, (str, bytes)) and (_is_template(source, frame) or _is_name(source))


def _is_name(source: str | bytes) -> bool:
    """Whether a text does no more than name an object: dill finds methods by such."""
    if len(source) > 1000:
        return False
    try:
        tree = ast.parse(source, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    parts = (ast.Expression, ast.Name, ast.Attribute, ast.Subscript, ast.Constant, ast.Load)
    return all(isinstance(node, parts) for node in ast.walk(tree))


_TEMPLATE = "scipy/stats/_distn_infrastructure.py"
_FUNCTIONS = {"_parse_args", "_parse_args_rvs", "_parse_args_stats"}


def _is_template(source: str | bytes, frame: FrameType) -> bool:
    """Whether a text is what scipy makes of the names of a distribution's shapes, and it is scipy that runs it."""
    file = frame.f_code.co_filename.replace(os.sep, "/")
    if not file.endswith(_TEMPLATE) or not is_installed(file):
        return False
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return {getattr(each, "name", "") for each in body} == _FUNCTIONS and all(map(_hands_on, body))


def _hands_on(function: ast.stmt) -> bool:
    """Whether a function does no more than return what it was given, by way of ``self._argcheck_rvs`` or as it is."""
    if not isinstance(function, ast.FunctionDef) or function.decorator_list or len(function.body) != 1:
        return False
    if not all(isinstance(default, ast.Constant) for default in function.args.defaults):
        return False
    returned = function.body[0].value if isinstance(function.body[0], ast.Return) else None
    if isinstance(returned, ast.Call) and ast.unparse(returned.func) == "self._argcheck_rvs":
        parts: list[Any] = [*returned.args, *(word.value for word in returned.keywords)]
    else:
        parts = [returned]
    flat = [each for part in parts for each in (part.elts if isinstance(part, ast.Tuple) else [part])]
    flat = [each for part in flat for each in (part.elts if isinstance(part, ast.Tuple) else [part])]
    return all(isinstance(each, (ast.Name, ast.Constant)) for each in flat)


def _may_load_library(args: tuple[Any, ...], _: FrameType, __: Scope) -> bool:
    """Whether a library is an installed file, or one that the system looks up by its bare name."""
    name = args[0] if args else None
    if not isinstance(name, (str, bytes)):
        return False
    name = os.fsdecode(name)
    return is_installed(os.path.realpath(name)) if os.path.basename(name) != name else os.name == "posix"


def _names_it_itself(args: tuple[Any, ...], frame: FrameType, _: Scope) -> bool:
    """Whether installed code takes a function of a library by a name that it spells."""
    name = args[1] if len(args) > 1 else None
    near = _outside_of(frame, "ctypes")
    for _step in range(2):
        if near is None or not _is_installed_package(near):
            return False
        if name in near.f_code.co_names or name in near.f_code.co_consts:
            return True
        near = near.f_back
    return False


def _is_installed_code(_: tuple[Any, ...], frame: FrameType, __: Scope) -> bool:
    near = _outside_of(frame, "ctypes")
    return near is not None and _is_installed_package(near)


_OWN_MODULES = ("picklegate", "pickle", "torch.serialization", "joblib.numpy_pickle", "numpy.lib.format")
"""Modules whose code calls whatever a stream says."""


def is_loader(frame: FrameType) -> bool:
    """Whether a frame is of code that loads: what it calls is what the stream says."""
    name = f"{frame.f_globals.get('__name__', '')}."
    return name.startswith(tuple(f"{module}." for module in _OWN_MODULES))


def _outside_of(frame: FrameType, package: str) -> FrameType | None:
    found: FrameType | None = frame
    while found is not None and f"{found.f_globals.get('__name__', '')}.".startswith(f"{package}."):
        found = found.f_back
    return found


def _is_installed_package(frame: FrameType) -> bool:
    top = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    return top not in sys.stdlib_module_names and not is_loader(frame) and is_installed(frame.f_code.co_filename)


def _keeps_what_was_there(args: tuple[Any, ...], frame: FrameType, _: Scope) -> bool:
    """Whether an attribute may be set: not the code or the defaults of a module's function, nor what a class is.

    A package may do so to its own: networkx compiles its functions when they are first called.
    """
    owner, name = (*args, None, None)[:2]
    own = str(getattr(owner, "__module__", None)).partition(".")[0]
    if _is_installed_package(frame) and own == str(frame.f_globals.get("__name__")).partition(".")[0]:
        return True
    if name == "__code__":
        return False
    if isinstance(owner, FunctionType) and name in ("__defaults__", "__kwdefaults__", "__closure__", "__globals__"):
        return not _is_of_a_module(owner)
    if isinstance(owner, type):
        return not _is_of_a_module(owner)
    return not isinstance(owner, ModuleType)


def _is_of_a_module(value: Any) -> bool:
    """Whether the module that a function or class says it is of has it."""
    module: Any = sys.modules.get(getattr(value, "__module__", None) or "")
    for step in value.__qualname__.split("."):
        module = getattr(module, "__dict__", {}).get(step)
    return module is value


def _always(*_: Any) -> bool:
    return True


def _is_no_library(args: tuple[Any, ...], _: FrameType, __: Scope) -> bool:
    """Whether it is a module that is imported, by its name alone, and no file of native code."""
    return len(args) < 2 or args[1] is None


_LOOKS: Final[dict[str, Callable[[tuple[Any, ...], FrameType, Scope], bool]]] = {
    **dict.fromkeys((event for event, kind in _KINDS.items() if kind == "read"), _may_read),
    "open": _may_open,
    "compile": _was_scanned,
    "code.__new__": _was_scanned,
    "marshal.loads": _was_scanned,
    # Code was looked at when it was made.
    "exec": _always,
    "import": _is_no_library,
    "ctypes.dlopen": _may_load_library,
    "ctypes.dlsym": _names_it_itself,
    "ctypes.cdata": _is_installed_code,
    "ctypes.string_at": _is_installed_code,
    "ctypes.wstring_at": _is_installed_code,
    "object.__setattr__": _keeps_what_was_there,
    "object.__delattr__": _keeps_what_was_there,
}
