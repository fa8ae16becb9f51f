"""What a loader is given to read, and the scan that it has to pass."""

from __future__ import annotations

import bisect
import contextlib
import io
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, BinaryIO

from picklegate.audit_log import allowed, refused
from picklegate.errors import BlockedError
from picklegate.escape import escape
from picklegate.guard.approval import Approval
from picklegate.guard.load_context import Load, unchanged
from picklegate.policy import Policy
from picklegate.refusal import advice, sentences
from picklegate.report import FileReport
from picklegate.scan import scan_stream, with_digest

File = str | os.PathLike[str] | BinaryIO

HELD = 1 << 26
"""Bytes up to which a file is copied to memory, so that nobody can write to it between scan and load."""


def scanned(file: BinaryIO, name: str, policy: Policy) -> FileReport:
    """The report on a file that may be loaded; raises BlockedError for any other. A View stops keeping."""
    # Hashing a large checkpoint takes longer than loading it, and would have a View keep all of it.
    report = scan_stream(file, name=name, policy=policy, digest=False)
    raw = getattr(file, "raw", None)
    if isinstance(raw, View):
        raw.keeping = False
    if policy.blocks(report):
        report = with_digest(report, file)
    if policy.blocks(report):
        what, where = sentences(report)
        where = f"{where} Nothing in it has run.".lstrip()
        message = f"{escape(name)} is not loaded ({report.verdict}): {what}\n{where}\n{advice(report)}"
        raise refused(BlockedError(report, message), policy)
    allowed(report, policy)
    return report


@contextlib.contextmanager
def opened(f: File) -> Iterator[BinaryIO]:
    """The file object, or the file of that path, open for as long as the context."""
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as file:
            yield file
    else:
        yield f


@contextlib.contextmanager
def held(file: BinaryIO, name: str, policy: Policy) -> Iterator[tuple[BinaryIO, Load]]:
    """What a loader may be given in the place of a scanned file, and the load to do that in.

    Offset 0 is where the file stands; afterwards it stands where the loader left the other. What fits into memory
    is read once, for scan and load. Longer files are the loader's as they are, and watched for changes.
    """
    still: Callable[[], bool] | None = unchanged(file)
    start = file.tell()
    file.seek(0, os.SEEK_END)
    rest = file.tell() - start
    file.seek(start)
    if rest <= HELD:
        data = file.read()
        content: Any = _Memory(data)
        content.name = getattr(file, "name", "")
        still = None
        pieces: Callable[[], Iterable[bytes]] = lambda: (data,)  # noqa: E731
    else:
        content = _from_here(file)
        pieces = partial(_again, file, start)
    approval = Approval(scanned(content, name, policy), pieces)
    try:
        yield content, Load(approval, policy, path=path_of(file), unchanged=still)
    finally:
        if content is not file and not content.closed and not getattr(file, "closed", False):
            file.seek(start + content.tell())


def in_place(file: BinaryIO, name: str, policy: Policy) -> Load:
    """The load for what an unpickler, which has its file already, reads from where that stands on."""
    still = unchanged(file)
    start = file.tell()
    approval = Approval(scanned(_from_here(file), name, policy), partial(_again, file, start))
    file.seek(start)
    return Load(approval, policy, path=path_of(file), unchanged=still)


def _again(file: BinaryIO, start: int) -> Iterator[bytes]:
    """What a file holds from ``start`` on, read again in the midst of a load."""
    place = file.tell()
    file.seek(start)
    try:
        yield file.read()
    finally:
        file.seek(place)


def _from_here(file: BinaryIO) -> BinaryIO:
    return io.BufferedReader(View(file, keeping=False)) if file.tell() else file


class _Memory(io.BytesIO):
    """Bytes with the name of the file that they are of."""

    name: Any


def path_of(f: File) -> str | None:
    """The path that a file was given by or opened by, where it has one."""
    name = f if isinstance(f, (str, os.PathLike)) else getattr(f, "name", None)
    return os.fspath(name) if isinstance(name, (str, os.PathLike)) else None


def name_of(f: File) -> str:
    """What a report calls a file."""
    return path_of(f) or "the file object"


class View(io.RawIOBase):
    """A seekable file from where it stands on, which goes on giving what it gave at first.

    What is read while it is ``keeping`` is kept, and is what later reads get: a loader is given the bytes that the scan
    has read, whatever was written to the file since. Bytes that the scan passed over come from the file.
    """

    def __init__(self, file: BinaryIO, *, keeping: bool = True) -> None:
        """Offset 0 is where ``file`` stands; nobody else may move it meanwhile."""
        super().__init__()
        self.name = getattr(file, "name", "")
        self.keeping = keeping
        self._file = file
        self.start = file.tell()
        # Not what seek returns: in the slices of torch's distributed checkpoints that is a place in the whole file.
        file.seek(0, os.SEEK_END)
        self._size = max(file.tell() - self.start, 0)
        self._place = 0
        self._begins: list[int] = []
        self._kept: list[bytes] = []

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """The descriptor of the file, where offsets are the same in both."""
        if self.start:
            raise io.UnsupportedOperation("fileno")
        return self._file.fileno()

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to an offset, without moving the file."""
        place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        if place < 0:
            raise ValueError(f"negative seek position {place}")
        self._place = place
        return place

    def readinto(self, buffer: Any, /) -> int:
        """Read from the file, and put over it what was read before."""
        into = memoryview(buffer).cast("B")
        into = into[: max(self._size - self._place, 0)]
        self._file.seek(self.start + self._place)
        count = fill(self._file, into)
        begin, end = self._place, self._place + count
        free, gaps = begin, []
        for at in range(max(bisect.bisect_right(self._begins, begin) - 1, 0), bisect.bisect_left(self._begins, end)):
            known, data = self._begins[at], self._kept[at]
            low, high = max(known, begin), min(known + len(data), end)
            if low < high:
                into[low - begin : high - begin] = data[low - known : high - known]
                gaps.append((free, low))
                free = high
        if self.keeping:
            for low, high in (*gaps, (free, end)):
                self._keep(low, bytes(into[low - begin : high - begin]))
        self._place = end
        return count

    def kept(self) -> tuple[bytes, ...]:
        """The pieces that are kept."""
        return tuple(self._kept)

    def has_kept(self, begin: int, length: int) -> bool:
        """Whether all of these bytes were read while it was keeping."""
        end = begin + length
        for known, data in zip(self._begins, self._kept, strict=True):
            if known > begin or begin >= end:
                break
            begin = max(begin, known + len(data))
        return begin >= end

    def _keep(self, begin: int, data: bytes) -> None:
        if data:
            at = bisect.bisect_left(self._begins, begin)
            self._begins.insert(at, begin)
            self._kept.insert(at, data)


def fill(file: Any, into: memoryview) -> int:
    """Read into memory from a file, which may have ``read`` alone; how many bytes."""
    if hasattr(file, "readinto"):
        return int(file.readinto(into) or 0)
    data = file.read(len(into))
    into[: len(data)] = data
    return len(data)
