"""A harmless canary for the real unpicklers: which calls of it a stream makes when it is loaded.

Run as a program it reads streams from standard input (4-byte big-endian length, bytes) and prints one JSON line a
stream: the calls that the C and the Python unpickler make. It limits its own memory, time and files, and lends a
few modules only.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import resource
import struct
import subprocess
import sys
import types
from collections.abc import Iterable
from typing import Any

MAX_BYTES, MAX_SECONDS = 2 << 30, 300
CANARY, DECOY = "Circle", "Square"
MODULE, HOLDER = "shapes", "figures"
"""The module of the two classes, and one that holds it as an attribute."""
LOADER = "restore"
"""A function of that module which unpickles what it is given, and whose name says nothing of that."""
LENT = frozenset((
    "_pickle", "argparse", "base64", "builtins", "collections", "copy", "copyreg", "functools", "io", "itertools",
    "operator", "pickle", "sys", "types", "typing", "weakref", "zlib", MODULE, HOLDER,
))  # fmt: skip
KEPT = frozenset(("breakpoint", "compile", "eval", "exec", "exit", "input", "open", "quit"))
"""Builtins that are not lent."""


def _world(calls: list[tuple[str, list[Any]]]) -> None:
    """Fresh modules with the canary and the decoy."""

    def kind(name: str) -> type:
        def new(cls: type, *args: Any) -> Any:
            calls.append((name, list(args)))
            return object.__new__(cls)

        made = type(name, (), {"__new__": new, "__init__": lambda self, *args: None, "__module__": MODULE})
        made.make = classmethod(lambda cls, *args: cls(*args))  # type: ignore[attr-defined]
        return made

    shapes, holder = types.ModuleType(MODULE), types.ModuleType(HOLDER)
    shapes.__dict__.update({CANARY: kind(CANARY), DECOY: kind(DECOY), LOADER: _restore})
    holder.__dict__[MODULE] = shapes
    sys.modules.update({MODULE: shapes, HOLDER: holder})


def _restore(data: Any) -> Any:
    return _lending(pickle.Unpickler)(io.BytesIO(data)).load()


def _lending(base: Any) -> Any:
    class Lending(base):  # type: ignore[misc]
        def find_class(self, module: str, name: str) -> Any:
            if module not in LENT or name.partition(".")[0] in KEPT:
                raise pickle.UnpicklingError(f"{module} is not lent")
            return super().find_class(module, name)

    return Lending


def main() -> None:
    """Answer for each stream on standard input: the calls that the C and the Python unpickler make."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_SECONDS, MAX_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    kinds = (_lending(pickle.Unpickler), _lending(pickle._Unpickler))
    out = os.fdopen(os.dup(1), "w")
    while head := sys.stdin.buffer.read(4):
        data = sys.stdin.buffer.read(struct.unpack(">I", head)[0])
        made = []
        for kind in kinds:
            calls: list[tuple[str, list[Any]]] = []
            _world(calls)
            with contextlib.suppress(BaseException):
                kind(io.BytesIO(data)).load()
            made.append([[name, [arg if isinstance(arg, str) else None for arg in args]] for name, args in calls])
        out.write(json.dumps(made) + "\n")
    out.close()


Calls = list[tuple[str, tuple[Any, ...]]]


def run(streams: Iterable[bytes], python: str = sys.executable) -> list[tuple[Calls, Calls]]:
    """The calls of the two classes, with their texts, that the C and the Python unpickler make of each stream."""
    packed = b"".join(struct.pack(">I", len(data)) + data for data in streams)
    done = subprocess.run([python, __file__], input=packed, capture_output=True, timeout=2 * MAX_SECONDS, check=True)
    answers = []
    for line in done.stdout.decode().splitlines():
        c, pure = ([(name, tuple(args)) for name, args in calls] for calls in json.loads(line))
        answers.append((c, pure))
    return answers


if __name__ == "__main__":
    main()
