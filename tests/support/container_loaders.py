"""The loader oracle: which of the real loaders runs the payload that a file holds.

Run as a program it reads files from standard input (4-byte big-endian length, bytes) and prints one JSON line a file:
the names of the loaders by which its payload ran. The payload is inert: ``exec`` of ``MARK``, which sets a flag of
this process. Files are loaded as programs do it: as such, and member by member, some containers deep.
"""

from __future__ import annotations

import base64
import bz2
import contextlib
import gzip
import importlib
import io
import json
import lzma
import os
import pickle
import resource
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType
from typing import Any

MARK = "import sys; sys.payload_ran = True"
_DEEP = 3
_MOST_MEMBERS = 24
_SECONDS = 4
_ROOM = 1 << 28
"""Bytes of memory that a file's loaders may take beside the libraries: joblib doubles what follows a zlib stream."""


def _library(name: str) -> Any:
    with contextlib.suppress(ImportError):
        return importlib.import_module(name)
    return None


def _openers(data: bytes) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Each way to get at other bytes: its name, and what gives a file of decompressed data."""
    yield "gzip", lambda: gzip.GzipFile(fileobj=io.BytesIO(data))
    yield "bz2", lambda: bz2.BZ2File(io.BytesIO(data))
    yield "lzma", lambda: lzma.LZMAFile(io.BytesIO(data))  # noqa: SIM115  closed with the process
    yield "zlib", lambda: io.BytesIO(zlib.decompressobj().decompress(data))
    zstandard, lz4 = _library("zstandard"), _library("lz4.frame")
    if zstandard:
        engine = zstandard.ZstdDecompressor()
        yield "zstd", lambda: engine.stream_reader(io.BytesIO(data), read_across_frames=True)
    if lz4:
        yield "lz4", lambda: lz4.open(io.BytesIO(data))


def _loaders(data: bytes) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Each loader of whole files."""
    torch, joblib, numpy, pandas = map(_library, ("torch", "joblib", "numpy", "pandas"))
    yield "pickle", lambda: _all_pickles(io.BytesIO(data))
    if torch:
        yield "torch", lambda: torch.load(io.BytesIO(data), weights_only=False)
    if joblib:
        yield "joblib", lambda: joblib.load(_written(data) if data.startswith(b"ZF") else io.BytesIO(data))
    if numpy:
        yield "numpy", lambda: _all_arrays(numpy, io.BytesIO(data))
    if pandas:
        yield "pandas", lambda: pandas.read_pickle(io.BytesIO(data), compression=None)
    yield "stable-baselines", lambda: _stable_baselines(data)


def _written(data: bytes) -> str:
    """The path of a file with these bytes: joblib takes its oldest format from a path only."""
    with open("file", "wb") as file:
        file.write(data)
    return "file"


def _pickles_of(opened: Callable[[], Any]) -> None:
    _all_pickles(opened())


def _all_pickles(file: Any) -> None:
    while True:
        pickle.load(file)


def _all_arrays(numpy: Any, file: Any) -> None:
    """Load one array after another, as the documentation of ``numpy.load`` shows."""
    for _ in range(_MOST_MEMBERS):
        loaded = numpy.load(file, allow_pickle=True)
        if isinstance(loaded, numpy.lib.npyio.NpzFile):
            for name in loaded.files:
                with contextlib.suppress(Exception):
                    loaded[name]
            return


def _stable_baselines(data: bytes) -> None:
    """As ``stable_baselines3.common.save_util`` does it."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for value in json.loads(archive.read("data").decode()).values():
            if isinstance(value, dict) and ":serialized:" in value:
                with contextlib.suppress(Exception):
                    pickle.loads(base64.b64decode(value[":serialized:"].encode()))


def _members(data: bytes) -> Iterator[tuple[str, bytes]]:
    """What archivers give of each member; of torch's numbered records, only what is no number."""
    for zeros in (False, True):
        with contextlib.suppress(Exception), tarfile.open(None, "r:", io.BytesIO(data), ignore_zeros=zeros) as tar:
            for _, member in zip(range(_MOST_MEMBERS), tar, strict=False):
                with contextlib.suppress(Exception):
                    file = tar.extractfile(member)
                    yield "tar", file.read() if file else b""
    with contextlib.suppress(Exception), zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist()[:_MOST_MEMBERS]:
            with contextlib.suppress(Exception), archive.open(info) as opened:
                yield "zip", opened.read()


def ran(data: bytes) -> list[str]:
    """The loaders by which the payload runs."""
    return sorted(set(_ran(data, _DEEP, "")))


def _ran(data: bytes, depth: int, way: str) -> Iterator[str]:
    for name, load in _loaders(data):
        if _marks(load):
            yield way + name
    if not depth:
        return
    for name, opened in _openers(data):
        if _marks(partial(_pickles_of, opened)):
            yield f"{way}{name}/pickle"
        with contextlib.suppress(Exception):
            inner = opened().read(1 << 22)
            if inner and inner != data:
                yield from _ran(inner, depth - 1, f"{way}{name}/")
    for name, inner in _members(data):
        if inner:
            yield from _ran(inner, depth - 1, f"{way}{name}/")


def _marks(load: Callable[[], Any]) -> bool:
    sys.payload_ran = False  # type: ignore[attr-defined]
    with contextlib.suppress(Exception):
        load()
    return bool(sys.payload_ran)  # type: ignore[attr-defined]


class _TooLongError(BaseException):
    """A file keeps its loaders busy: what they did until then counts."""


def _alarm(number: int, frame: FrameType | None) -> None:
    raise _TooLongError


def main() -> None:
    """Load each file of standard input, in a folder that is thrown away, with bounds on memory, files and time."""
    warnings.simplefilter("ignore")
    for name in ("torch", "joblib", "numpy", "pandas", "zstandard", "lz4.frame"):
        _library(name)
    with open("/proc/self/statm", encoding="ascii") as file:
        most = int(file.read().split()[0]) * resource.getpagesize() + _ROOM
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    signal.signal(signal.SIGALRM, _alarm)
    out = os.fdopen(os.dup(1), "w")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    while head := sys.stdin.buffer.read(4):
        data = sys.stdin.buffer.read(struct.unpack(">L", head)[0])
        names: list[str] = []
        signal.alarm(_SECONDS)
        try:
            names.extend(_ran(data, _DEEP, ""))
        except _TooLongError:
            pass
        finally:
            signal.alarm(0)
        print(json.dumps(sorted(set(names))), file=out, flush=True)


def run(files: list[bytes]) -> list[list[str]]:
    """What ``ran`` says of each file, in a process of its own; a file that ends the process has run nothing."""
    answers: list[list[str]] = []
    while len(answers) < len(files):
        given = b"".join(struct.pack(">L", len(data)) + data for data in files[len(answers) :])
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [sys.executable, __file__], input=given, stdout=subprocess.PIPE, cwd=folder, timeout=3600, check=False
            )
        answers += [json.loads(line) for line in done.stdout.splitlines()]
        if len(answers) < len(files):
            answers.append([])
    return answers


if __name__ == "__main__":
    main()
