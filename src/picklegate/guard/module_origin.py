"""Where a module comes from: the place where it was installed, or one where only a model could have put it."""

from __future__ import annotations

import functools
import importlib
import os
import site
import sys
import sysconfig
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from types import FunctionType, MethodType, ModuleType
from typing import Any

from picklegate.guard.tables import rows

_SITES = ("site-packages", "dist-packages")
_ZIPPED = f"python{sys.version_info[0]}{sys.version_info[1]}.zip"
"""The standard library of an embedded interpreter."""
_INSIDE = ("built-in", "frozen")
"""Origins of modules that are part of the interpreter's own file."""


def homes(path: str | None) -> frozenset[str]:
    """The directories in which an artifact lies: as its path says, and as links resolve."""
    if path is None:
        return frozenset()
    lexical = os.path.dirname(os.path.abspath(path))
    return frozenset((os.path.dirname(_real(path)), _real(lexical)))


def fault(module: str, name: str, beside: frozenset[str]) -> str:
    """What is wrong with the origin of ``name`` of ``module``, as the end of a sentence; empty where nothing is.

    A module of the standard library must come from the interpreter's installation; another one, unless the program
    imported it before, neither from the repository or download that has the directories ``beside`` the model, nor from
    a place that hides an installed package of its name. A module that acts when it is imported is at fault, and so is
    the gate itself. Imports the module where its origin is right.
    """
    module, name = today(module, name)
    top = module.partition(".")[0]
    found = _origin_fault(module, beside) or _acts(module)
    if found:
        return found
    if top == "picklegate":
        return _OURS
    try:
        value = resolve(module, name)
    except Exception:  # noqa: BLE001  the loader meets the same error, and says it in its own words
        return ""
    if _is_of_the_gate(module, name, value):
        return _OURS
    if top in sys.stdlib_module_names and (patched := _patched(module, value)):
        return patched
    _resolved[module, name] = value
    return ""


_OURS = "which belongs to the gate"


def lazy_fault(module: str, beside: frozenset[str]) -> str:
    """What is wrong with a module that code imports while it loads; it must be installed, or the program's own."""
    top = module.partition(".")[0]
    found = _origin_fault(module, beside) or _acts(module)
    if not found and top not in sys.modules and (strange := _strange(top)):
        return f"which is not installed: it comes from {strange[0]}"
    return found


def _origin_fault(module: str, beside: frozenset[str]) -> str:
    top = module.partition(".")[0]
    if top == "__main__":
        return ""
    known = top in sys.modules
    strange = _strange(top)
    if not strange:
        return ""
    if top in sys.stdlib_module_names:
        return f"and {top} is not the standard library's: it comes from {strange[0]}"
    near = any(_is_near(place, beside) for place in strange)
    if (near or not known) and _has_installed(top):
        return f"and {top} hides the installed package of that name: it comes from {strange[0]}"
    if near and not known:
        return f"whose module lies beside the model: {strange[0]}"
    return ""


_MARKS = (".git", ".gitattributes", ".huggingface", os.path.join(".cache", "huggingface"))
"""What a repository or a download has at its top."""


def _is_near(place: str, beside: frozenset[str]) -> bool:
    """Whether a module lies in the same repository or download as the model: beside it, above it, or below its top.

    What lies beside the script that runs is the program's own.
    """
    folder = os.path.dirname(place)
    if folder in beside:
        return True
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if isinstance(script, str) and folder == os.path.dirname(_real(script)):
        return False
    return any(_is_in(home, folder) or any(_is_in(folder, top) for top in _tops(home)) for home in beside)


def _is_in(place: str, folder: str) -> bool:
    # Everything lies below the root of the system.
    return folder != os.path.dirname(folder) and (place == folder or place.startswith(folder + os.sep))


def _tops(folder: str) -> Iterator[str]:
    """The top of the repository or download that a folder lies in, where there are signs of one."""
    steps = folder.split(os.sep)
    for count in range(len(steps), 1, -1):
        top = os.sep.join(steps[:count])
        # The client's cache has a folder for each commit.
        if steps[count - 2] == "snapshots" or any(os.path.exists(os.path.join(top, mark)) for mark in _MARKS):
            yield top
            return


_ACTING = frozenset(row[0] for row in rows("acting_modules"))


def _acts(module: str) -> str:
    """Why a module must not be imported by a load, whoever made it; empty where it may."""
    steps = module.split(".")
    acts = steps[0] in _ACTING or (steps[-1] == "__main__" and len(steps) > 1)
    if (acts and module not in sys.modules) or steps[0] in _BREAKING:
        return "which acts when it is imported"
    return ""


_BREAKING = frozenset(row[0] for row in rows("acting_modules") if row[0].startswith("_test"))


def _is_of_the_gate(module: str, name: str, value: Any) -> bool:
    """Whether a name leads to the gate or through it; the loaders that it has put in place bear others' names."""
    found: Any = sys.modules.get(module)
    for step in ("", *name.split(".")):
        found = getattr(found, step, None) if step else found
        if isinstance(found, ModuleType) and f"{found.__name__}.".startswith("picklegate."):
            return True
    home = getattr(value, "__module__", None)
    return isinstance(home, str) and f"{home}.".startswith("picklegate.")


_resolved: dict[tuple[str, str], Any] = {}
"""What names stood for when nothing was wrong with them."""


def is_as_before(module: str, name: str) -> bool:
    """Whether a name stands for the object that was looked at before."""
    before = _resolved.get((module, name))
    return before is not None and getattr(sys.modules.get(module), name, None) is before


def is_imported(module: str) -> bool:
    """Whether a module is there, under its name or under that of today."""
    return module in sys.modules or IMPORT_MAPPING.get(module) in sys.modules


def imported(module: str, name: str) -> Any:
    """The object that an unpickler gets, or None where there is none."""
    try:
        return resolve(*today(module, name))
    except Exception:  # noqa: BLE001  the loader meets the same error
        return None


def resolve(module: str, name: str) -> Any:
    """The object that an unpickler gets; raises what importing it raises."""
    importlib.import_module(module)
    found: Any = sys.modules[module]
    for step in name.split("."):
        found = getattr(found, step)
    return found


def today(module: str, name: str) -> tuple[str, str]:
    """The name that unpicklers turn one of Python 2 into, where no module has it as it is."""
    old = (module, name) in NAME_MAPPING or module in IMPORT_MAPPING
    if not old or module in sys.modules or _spec(module.partition(".")[0]) is not None:
        return module, name
    found: tuple[str, str] = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
    return found


_checked: dict[str, tuple[ModuleType, tuple[str, ...]]] = {}
"""Modules that were looked at, which pickles name again and again, with their places outside installations."""


def _strange(top: str) -> tuple[str, ...]:
    """The places outside installations that ``top`` is or would be imported from."""
    module = sys.modules.get(top)
    known = _checked.get(top)
    if known is not None and known[0] is module:
        return known[1]
    found = tuple(place for place in map(_real, _places(top)) if not is_installed(place))
    if module is not None:
        _checked[top] = (module, found)
    return found


def _places(top: str) -> Iterator[str]:
    """The file, or for a package its directories, that ``top`` is or would be imported from."""
    module = sys.modules.get(top)
    spec = getattr(module, "__spec__", None) or (None if module else _spec(top))
    origin = getattr(module, "__file__", None) or getattr(spec, "origin", None)
    if origin in _INSIDE or (origin is None and module is not None and top in sys.builtin_module_names):
        return
    if spec is not None and spec.submodule_search_locations:
        yield from spec.submodule_search_locations
    elif isinstance(origin, str):
        yield origin
    elif module is not None and top in sys.stdlib_module_names:
        yield "nowhere"


def _spec(top: str) -> ModuleSpec | None:
    try:
        return find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return None


def _patched(module: str, found: Any) -> str:
    """What is wrong with an object of the standard library that was put there by somebody else."""
    if isinstance(found, MethodType):
        found = found.__func__
    strange: tuple[str, ...]
    if isinstance(found, FunctionType):
        code = found.__code__.co_filename
        strange = () if code.startswith("<") or is_installed(_real(code)) else (_real(code),)
    elif isinstance(found, type) and isinstance(found.__module__, str):
        home = found.__module__.partition(".")[0]
        strange = ("the program itself",) if home == "__main__" else _strange(home)
    else:
        return ""
    return f"which is no longer {module}'s own: it was replaced from {strange[0]}" if strange else ""


def _real(place: str) -> str:
    return os.path.realpath(place)


def is_installed(place: str) -> bool:
    """Whether a path lies where the standard library or distributions are installed."""
    return any(place == root or place.startswith(root + os.sep) for root in _roots(tuple(sys.path)))


@functools.lru_cache(maxsize=8)
def _roots(path: tuple[str, ...]) -> tuple[str, ...]:
    """The directories of the standard library and of installed distributions."""
    paths = sysconfig.get_paths()
    found = [paths[kind] for kind in ("stdlib", "platstdlib", "purelib", "platlib")]
    found += [*site.getsitepackages(), site.getusersitepackages(), os.path.dirname(os.__file__)]
    # Where a program that was frozen into one file keeps its libraries.
    found += filter(None, [getattr(sys, "_MEIPASS", None)])
    found += [entry for entry in path if os.path.basename(entry.rstrip(os.sep)) in (*_SITES, _ZIPPED)]
    # The guard's own functions stand in the place of pickle's while a process is guarded.
    found.append(os.path.dirname(__file__))
    return tuple(dict.fromkeys(_real(root) for root in found))


def _has_installed(top: str) -> bool:
    """Whether a distribution installed a module or package of that name."""
    entries = [entry for entry in sys.path if os.path.basename(entry.rstrip(os.sep)) in _SITES]
    return PathFinder.find_spec(top, entries) is not None
