"""Texts that the result of another call wraps are texts among the arguments of whoever gets the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from picklegate import Verdict, scan_bytes
from picklegate.judging.encoded_text import readings
from picklegate.training.tree import Build, Call, Name
from support.builders import SOURCE, call, written


def _dtype(kind: str) -> Any:
    return Call(Name("numpy", "dtype"), (kind, False, True))


def _scalar(text: str, order: str = "<") -> Any:
    dtype = Build(_dtype(f"U{len(text)}"), (3, order, None, None, None, -1, -1, 0))
    raw = text.encode("utf-32-le" if order == "<" else "utf-32-be")
    return call("numpy._core.multiarray", "scalar", dtype, raw)


def _array(text: str) -> Any:
    dtype = Build(_dtype(f"U{len(text)}"), (3, "<", None, None, None, -1, -1, 0))
    made = call("numpy._core.multiarray", "_reconstruct", Name("numpy", "ndarray"), (0,), b"b")
    return Build(made, (1, (1,), dtype, False, text.encode("utf-32-le")))


def _objects(text: str) -> Any:
    made = call("numpy._core.multiarray", "_reconstruct", Name("numpy", "ndarray"), (0,), b"b")
    return Build(made, (1, (1,), _dtype("O8"), False, [text]))


_WRAPPINGS: dict[str, Callable[[str], Any]] = {
    "exception": lambda text: call("builtins", "str", call("builtins", "ValueError", text)),
    "utf-16": lambda text: call("builtins", "str", call("builtins", "memoryview", text.encode("utf-16")), "utf-16"),
    "ebcdic": lambda text: call("builtins", "str", call("builtins", "bytearray", text.encode("cp037")), "cp037"),
    "scalar": _scalar,
    "big-endian scalar": lambda text: _scalar(text, ">"),
    "array": _array,
    "objects": _objects,
    "stranger": lambda text: call("package.other", "Same", text),
    "bytes with a bad one": lambda text: text.encode() + b"\xff",
    "bytes with a NUL": lambda text: b"\0" + text.encode(),
    "text with a NUL": lambda text: text + "\0",
    "utf-32 bytes": lambda text: text.encode("utf-32"),
    "tuple of them": lambda text: ("a", [_scalar(text)]),
}


@pytest.mark.parametrize("name", _WRAPPINGS)
def test_a_wrapped_text_is_seen_by_whom_it_is_handed(name: str) -> None:
    """A function of nobody's that is handed source in any wrapping is not CLEAN, and is scored for the source."""
    tree = Call(Name("package.tools", "run_source"), (_WRAPPINGS[name](f"{SOURCE}; import socket"),))
    report = scan_bytes(written(tree))
    assert report.verdict > Verdict.CLEAN
    assert report.score > 0.5


@pytest.mark.parametrize("made", [_scalar(SOURCE), _array(SOURCE), _objects(SOURCE)])
def test_text_that_pandas_keeps_is_data(made: Any) -> None:
    """A column of source code is data where pandas keeps it."""
    tree = call("pandas.core.indexes.base", "_new_Index", Name("pandas.core.indexes.base", "Index"), {"data": made})
    assert scan_bytes(written(tree)).verdict == Verdict.CLEAN


def test_numbers_read_as_no_text() -> None:
    """Bytes of numbers are not taken for text."""
    for data in (bytes(range(256)), b"\x00\x00\x80?" * 40, b"\x01\x00\x00\x00\x02\x00\x00\x00" * 9, b""):
        assert readings(data) == ()
