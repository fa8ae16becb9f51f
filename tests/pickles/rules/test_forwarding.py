"""Functions that a stream makes: one that only calls what it is given is no more than that call."""

from __future__ import annotations

from typing import Any

import pytest

from picklegate import Verdict, scan_bytes
from picklegate.training.tree import Build, Call, Name, Then
from support.builders import COMMAND, SYSTEM, call, written

_CODES = {
    "3.10": bytes.fromhex("7c007c017c0283025300"),
    "3.11": bytes.fromhex("970002007c007c017c02a6020000ab0200000000000000005300"),
    "3.12": bytes.fromhex("970002007c007c017c02ab020000000000005300"),
    "3.13": bytes.fromhex("950055002200581235020000000000002400"),
}
_CUSTOM = Name("numba.core.serialize", "_CustomPickled")
_STATES = (Name("numba.core.registry", "CPUDispatcher"), {"py_func": None})
_HELPERS = "numba.cloudpickle.cloudpickle"


def _type(name: str) -> Call:
    return call(_HELPERS, "_builtin_type", name)


def _code(version: str = "3.11", **changed: Any) -> Call:
    """``lambda cls, ctor, states: cls(ctor, states)`` as that version of Python compiles it."""
    new = version != "3.10"
    fields = {
        "argcount": 3,
        "positional": 0,
        "keyword": 0,
        "locals": 3,
        "stack": 3 + new,
        "flags": 3 if new else 67,
        "code": _CODES[version],
        "constants": (None,),
        "names": (),
        "variables": ("cls", "ctor", "states"),
        "file": "serialize.py",
        "name": "_rebuild",
        **({"qualified": "_CustomPickled._rebuild"} if new else {}),
        "line": 100,
        "lines": b"\x80\x00",
        **({"exceptions": b""} if new else {}),
        "free": (),
        "cells": (),
    }
    return Call(_type("CodeType"), tuple({**fields, **changed}.values()))


def _function(code: Call) -> Call:
    return call(_HELPERS, "_make_function", code, {"__name__": "numba.core.serialize"}, None, None, None)


def _filled(function: Any, slots: dict[str, Any]) -> Call:
    state = {"__globals__": {}, "__closure__": None, "_cloudpickle_submodules": [], **slots}
    return call(_HELPERS, "_function_setstate", function, ({}, state))


def _rebuilt(function: Any, owner: Any = _CUSTOM, args: tuple[Any, ...] = _STATES) -> Call:
    return Call(Call(_type("MethodType"), (function, owner)), args)


@pytest.mark.parametrize("version", _CODES)
def test_a_function_that_only_calls_what_it_is_given_is_judged_by_that(version: str) -> None:
    """A dispatcher of numba is CLEAN, as each of them brings the function that makes it."""
    function = _function(_code(version))
    stream = written(
        Then(
            (_filled(function, {"__doc__": None}),), call("numba.core.serialize", "custom_rebuild", _rebuilt(function))
        )
    )
    assert scan_bytes(stream).verdict == Verdict.CLEAN


@pytest.mark.parametrize("version", _CODES)
def test_what_such_a_function_is_given_to_call_is_named(version: str) -> None:
    """The command that it is made to run is a proof of execution."""
    report = scan_bytes(written(_rebuilt(_function(_code(version)), SYSTEM, (COMMAND, 0))))
    assert report.verdict == Verdict.MALICIOUS
    assert "call.execution" in {finding.code for stream in report.streams for finding in stream.findings}


_UNKNOWN = (Name("package.tools", "run_command"), COMMAND)
_SHARED = _function(_code())


def _hidden(function: Any) -> Call:
    return _rebuilt(function, args=_UNKNOWN)


_HOSTILE = {
    "another-code": _hidden(_function(_code(code=_CODES["3.11"][:-2] + b"\x53\x01"))),
    "code-of-another-version": _hidden(_function(_code(code=_CODES["3.10"]))),
    "a-handler": _hidden(_function(_code(exceptions=b"\x80\x01\x02\x03"))),
    "constants": _hidden(_function(_code(constants=("import os",)))),
    "names": _hidden(_function(_code(names=("system",)))),
    "little-stack": _hidden(_function(_code(stack=1))),
    "no-tuple": _hidden(_function(_code(variables=7))),
    "generator": _hidden(_function(_code(flags=0x23))),
    "too-few-arguments": Call(_function(_code()), _UNKNOWN),
    "code-set-later": Then((_filled(_SHARED, {"__code__": _code(stack=7)}),), _hidden(_SHARED)),
    "another-stack": Then((_SHARED,), _hidden(_function(_code(stack=1)))),
    "code-written": _hidden(Build(_function(_code()), (None, {"__code__": call("marshal", "loads", b"c")}))),
    "defaults": _hidden(call(_HELPERS, "_make_function", _code(), {}, None, (SYSTEM,), None)),
    "handed-on": Then((call("package.tools", "patch", _SHARED),), _hidden(_SHARED)),
}


@pytest.mark.parametrize("name", _HOSTILE)
def test_any_other_function_stays_blocked(name: str) -> None:
    """A function that differs in anything may call what it is given, though its own code tells nothing."""
    assert scan_bytes(written(_HOSTILE[name])).verdict > Verdict.CLEAN
