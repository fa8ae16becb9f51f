"""Bytes in a stream are read as a loader would read them, whoever is given them."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from picklegate import Verdict, scan_bytes
from picklegate.pickles import trace
from picklegate.training.tree import Build, Name, New
from support.builders import COMMAND, call, written

PAYLOADS = {
    "protocol-0": f"cposix\nsystem\n(S'{COMMAND}'\ntR.".encode(),
    "protocol-4": written(call("posix", "system", COMMAND)),
    "no-header": b"N0" + written(call("posix", "system", COMMAND))[11:],
    "name-after-it": b"cposix\nsystem\n(S'x'\ntR0cno\nsuch \xff\x01\n.",
    "fault-after-it": b"cposix\nsystem\n(S'x'\ntRRRRR",
    "dull-before-it": b"N0" * 1000 + b"cposix\nsystem\n(S'x'\ntR.",
}
WRAPPED: dict[str, Callable[[bytes], Any]] = {
    "bytes": lambda data: data,
    "bytearray": lambda data: call("builtins", "bytearray", data),
    "view": lambda data: call("builtins", "memoryview", data),
    "bytes-of-a-view": lambda data: call("builtins", "bytes", call("builtins", "memoryview", data)),
    "file": lambda data: call("io", "BytesIO", data),
    "file-of-a-view": lambda data: call("io", "BytesIO", call("builtins", "memoryview", data)),
    "in-containers": lambda data: {"a": [(data,)]},
}


@pytest.mark.parametrize("wrapped", WRAPPED)
@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_pickle_in_bytes_is_judged_whoever_is_given_it(payload: str, wrapped: str) -> None:
    """An unknown function may be a loader, and so may the class whose state it is."""
    data: Any = WRAPPED[wrapped](PAYLOADS[payload])
    assert scan_bytes(written(call("anylib.tools", "restore", 1, data, 2))).verdict == Verdict.MALICIOUS
    assert scan_bytes(written(Build(New(Name("anylib.models", "Model")), {"raw": data}))).verdict == Verdict.MALICIOUS


def _archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", written({"weights": [1.0, 2.0], "name": "linear"}))
        archive.writestr("archive/version", "3\n")
    return buffer.getvalue()


HONEST = {
    "archive": _archive(),
    "words": b"cat\ndog\nitem\nclass\n(more)\nRun.\n" * 20,
    "source": b"class Model:\n    def run(self):\n        return (1, 2)\n",
    "marks": b"(" * 200_000,
    "nones": b"N" * 300_000,
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_bytes_are_no_pickle(name: str) -> None:
    """Archives are read as archives; text, masks and constant images stop nobody."""
    stream = written(Build(New(Name("anylib.models", "Model")), {"raw": HONEST[name]}))
    assert scan_bytes(stream).verdict == Verdict.CLEAN


def test_random_bytes_are_no_pickle() -> None:
    """Of 2,000 blobs of random bytes none is taken for a stream."""
    rng = random.Random(7)
    items = [
        Build(New(Name("anylib.models", "Model")), {"raw": rng.randbytes(rng.randrange(16, 600))}) for _ in range(2_000)
    ]
    found = trace(written(items))
    assert found.nested == ()
    assert not found.notes


def test_an_archive_in_bytes_is_opened() -> None:
    """What an archive in a state holds is a stream of the file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", written(call("posix", "system", COMMAND)))
    stream = written(Build(New(Name("anylib.models", "Model")), {"raw": buffer.getvalue()}))
    assert scan_bytes(stream).verdict == Verdict.MALICIOUS


def test_what_no_limit_reaches_is_not_clean() -> None:
    """A pickle behind more marks than are followed is not passed over."""
    stream = written(call("anylib.tools", "restore", b"(" * 200_000 + PAYLOADS["protocol-0"]))
    assert scan_bytes(stream).verdict > Verdict.CLEAN
