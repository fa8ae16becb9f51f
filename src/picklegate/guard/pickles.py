"""pickle.load and pickle.loads behind the gate, and the scan of one pickle for whatever loads it."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
from typing import Any

from picklegate.guard.approval import Approval
from picklegate.guard.load_context import Load
from picklegate.guard.scan_before_load import File, held, name_of, opened, path_of, scanned
from picklegate.pickles import Trace, trace
from picklegate.policy import Policy, PolicyOption, chosen
from picklegate.report import FileReport

_PROBE = 1 << 16
_GROWTH = 16
_SMALL = 1 << 14
"""Bytes up to which the report on a pickle is remembered: programs load the same few small ones again and again."""


def safe_pickle_load(file: File, *, policy: PolicyOption = None, **options: Any) -> Any:
    """Load a pickle, after a scan; takes a path, or a file object and what pickle.load takes.

    Of a path the whole file is scanned. Of a file object one pickle is read from where it stands, and only that
    one is scanned and loaded. Raises BlockedError if the policy blocks it, before anything in it runs, and at the
    first import that the scan did not see.
    """
    policy = chosen(policy)
    if isinstance(file, (str, os.PathLike)):
        with opened(file) as whole, held(whole, name_of(file), policy) as (content, load), load:
            return pickle.load(content, **options)
    return _load(one(file), name_of(file), path_of(file), policy, options)


def safe_pickle_loads(data: Any, /, *, policy: PolicyOption = None, **options: Any) -> Any:
    """Load a pickle from bytes, after a scan; takes what pickle.loads takes, and raises as safe_pickle_load does."""
    return _load(bytes(data), "the pickle", None, chosen(policy), options)


def _load(data: bytes, name: str, path: str | None, policy: Policy, options: dict[str, Any]) -> Any:
    with Load(approval(data, name, policy), policy, path=path):
        return pickle.loads(data, **options)


def approval(data: bytes, name: str, policy: Policy) -> Approval:
    """The approval of one pickle that may be loaded; raises BlockedError for any other."""
    if len(data) > _SMALL:
        return _approved(data, name, policy)
    approved = remembered(data, name, policy)
    if approved is None:
        approved = _approved(data, name, policy)
        if len(_known) >= _MOST:
            _known.clear()
        _known[data] = (name, policy, approved)
    return approved


def remembered(data: bytes, name: str, policy: Policy) -> Approval | None:
    """The approval of a small pickle that was met before under that name and policy."""
    known = _known.get(data)
    if known is not None and known[0] == name and (known[1] is policy or known[1] == policy):
        return known[2]
    return None


def _approved(data: bytes, name: str, policy: Policy) -> Approval:
    if not data:  # the end of a file, which is for the loader to say
        return Approval(FileReport(name=name, container="empty", size=0))
    return Approval(scanned(io.BytesIO(data), name, policy), lambda: (data,))


_known: dict[bytes, tuple[str, Policy, Approval]] = {}
_MOST = 256
"""Pickles remembered."""


def one(file: Any) -> bytes:
    """The bytes of the pickle that begins where ``file`` stands, which then stands behind it.

    They are all that is left where that is no whole pickle. Where the file cannot be moved, they are read from it
    opcode by opcode.
    """
    try:
        start = file.tell()
        file.seek(start)
    except (OSError, AttributeError):
        return _gathered(file)
    data = bytes(file.read(_PROBE))
    read = trace(data)
    while _may_go_on(read) and (more := file.read(max(len(data) * (_GROWTH - 1), 1))):
        data += more
        read = trace(data)
    length = read.end if read.stopped else len(data)
    file.seek(start + length)
    return data[:length]


def _may_go_on(read: Trace) -> bool:
    """Whether more bytes could change the reading: it did not come to an end, or a frame reaches beyond it."""
    return not read.stopped or any(note.code.startswith("stream.frame") for note in read.notes)


def _gathered(file: Any) -> bytes:
    """One pickle from a file that cannot be moved; what pickletools cannot read ends it."""
    tee = _Tee(file)
    try:
        for _ in pickletools.genops(tee):  # type: ignore[arg-type]
            pass
    except (ValueError, UnicodeError):
        pass  # the scan of what was read says it
    return b"".join(tee.parts)


class _Tee:
    """A file that keeps what is read from it."""

    def __init__(self, file: Any) -> None:
        self.parts: list[bytes] = []
        self._file = file

    def read(self, size: int) -> bytes:
        self.parts.append(self._file.read(size))
        return self.parts[-1]

    def readline(self) -> bytes:
        self.parts.append(self._file.readline())
        return self.parts[-1]
