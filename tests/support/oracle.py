"""The differential oracle: what the real unpicklers ask ``find_class`` for, without anything being imported.

Run as a program it reads streams from standard input (4-byte big-endian length, bytes) and prints one
JSON line a stream: for the C and for the Python unpickler, each (module, name, bytes read so far) asked for.
It limits its own memory and time; ``find_class`` returns an inert stub class.
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
from collections.abc import Iterable
from typing import Any

MAX_BYTES = 2 << 30
MAX_SECONDS = 120

Asked = list[tuple[str, str, int]]


class Stub:
    """Takes every call and every write, and does nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take any arguments."""

    def __call__(self, *args: Any, **kwargs: Any) -> Stub:
        """Return another stub."""
        return Stub()

    def __setstate__(self, state: Any) -> None:
        """Take any state."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """Take any item."""

    def append(self, item: Any) -> None:
        """Take any item."""

    extend = update = add = append


def _recording(base: Any) -> Any:
    class Recording(base):  # type: ignore[misc]
        def __init__(self, data: bytes) -> None:
            self.source = io.BytesIO(data)
            self.asked: Asked = []
            super().__init__(self.source, encoding="latin-1")

        def find_class(self, module: str, name: str) -> type:
            self.asked.append((module, name, self.source.tell()))
            return Stub

        def persistent_load(self, pid: Any) -> Stub:
            return Stub()

    return Recording


def _ask(unpickler: Any, data: bytes) -> Asked:
    reader = unpickler(data)
    with contextlib.suppress(BaseException):  # whatever it raises: what it asked for before counts
        reader.load()
    return reader.asked  # type: ignore[no-any-return]


def main() -> None:
    """Answer for each stream on standard input."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_SECONDS, MAX_SECONDS))
    sys.setrecursionlimit(500)
    kinds = (_recording(pickle.Unpickler), _recording(pickle._Unpickler))
    out = os.fdopen(os.dup(1), "w")
    while head := sys.stdin.buffer.read(4):
        data = sys.stdin.buffer.read(struct.unpack(">I", head)[0])
        out.write(json.dumps([_ask(kind, data) for kind in kinds]) + "\n")
    out.close()


def ask(streams: Iterable[bytes], python: str = sys.executable) -> list[tuple[Asked, Asked]]:
    """What the C and the Python unpickler of ``python`` ask for, for each stream, in a subprocess with limits."""
    packed = b"".join(struct.pack(">I", len(data)) + data for data in streams)
    run = subprocess.run([python, __file__], input=packed, capture_output=True, timeout=2 * MAX_SECONDS, check=True)
    answers = []
    for line in run.stdout.decode().splitlines():
        c, pure = ([(m, n, at) for m, n, at in asked] for asked in json.loads(line))
        answers.append((c, pure))
    return answers


if __name__ == "__main__":
    main()
