"""Calls that import what they are told by name."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

from picklegate.pickles.values import Event, Unresolved

if TYPE_CHECKING:
    from picklegate.pickles.rules.protocol import Effects


_BUILTIN = frozenset(dir(builtins))
"""Names that ``pydoc.locate`` finds without a module."""


def _import(effects: Effects, event: Event) -> Any:
    name = event.args[0] if event.args else None
    if not isinstance(name, str):
        effects.note("import.unresolved", event.offset, "an import's name is computed while loading")
        return Unresolved("import", event.offset)
    package = event.args[1] if len(event.args) > 1 else ""
    if name.startswith(".") and isinstance(package, str):
        level = len(name) - len(name.lstrip("."))
        name = ".".join((*package.split(".")[: 1 - level or None], name.lstrip(".")))
    whole = event.known != "builtins.__import__" or any(event.args[3:4])
    return effects.global_(event.offset, name if whole else name.partition(".")[0], "", event.known)


def _dotted(effects: Effects, event: Event) -> Any:
    """``"os.system"`` or ``"os:system"`` -> the object of that name."""
    path = event.args[0] if event.args else None
    if not isinstance(path, str):
        return None
    module, _, name = path.partition(":") if ":" in path else path.rpartition(".")
    if event.known == "pydoc.locate" and path.partition(".")[0] in _BUILTIN:
        return effects.global_(event.offset, "builtins", path, event.known)
    return effects.global_(event.offset, module or name, name if module else "", event.known)


def _named(effects: Effects, event: Event) -> Any:
    """A module and a name in it: the object of that name."""
    names = event.args[:2]
    if len(names) < 2 or not all(isinstance(name, str) for name in names):
        return None
    return effects.global_(event.offset, names[0], names[1], event.known)


def type_(effects: Effects, event: Event) -> Any:
    """The serialisers' own names for types: ``CodeType`` is of ``types``, ``slice`` of ``builtins``."""
    if not event.args or not isinstance(event.args[0], str):
        return None
    name = event.args[0]
    return effects.global_(event.offset, "types" if name.endswith("Type") else "builtins", name, event.known)


RULES: dict[str, Any] = {
    "builtins.__import__": _import,
    "importlib.import_module": _import,
    "importlib.__import__": _import,
    "importlib._bootstrap._gcd_import": _import,
    "importlib._bootstrap.__import__": _import,
    "cloudpickle.subimport": _import,
    "dill._import_module": _import,
    "pydoc.locate": _dotted,
    "pkgutil.resolve_name": _dotted,
    "torch._utils._import_dotted_name": _dotted,
    "numpy.core._ufunc_reconstruct": _named,
    "numpy._core._ufunc_reconstruct": _named,
    "numpy.core._internal._ufunc_reconstruct": _named,
    "fsspec.registry._import_class": _dotted,
    "jinja2.utils.import_string": _dotted,
    "werkzeug.utils.import_string": _dotted,
    "django.utils.module_loading.import_string": _dotted,
    "cloudpickle._builtin_type": type_,
    "dill._load_type": type_,
}
"""Canonical names of callables that import -> the rule, as reflection.py defines them."""
