"""The client's other ways of bringing files: single transfers, buckets, and the file system ``hf://``.

Each function here stands in the place of the client's ``plain`` one, while ``protect`` holds, and gives out what that
one brought once it is judged. What the gate itself has the client fetch goes into a staging, and is judged there.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from picklegate.guard.scan_before_load import View
from picklegate.hub.download import MOST_READ, refuse
from picklegate.hub.remote_file import AT_ONCE, RemoteFile
from picklegate.hub.staging import is_staged, staging
from picklegate.policy import Policy
from picklegate.report import FileReport, Finding, Verdict
from picklegate.scan import scan_stream, with_digest

Function = Callable[..., Any]

_own = threading.local()
"""``files``: the file objects that transfers of this thread go to and that are judged afterwards."""


def http_get(plain: Function, url: str, temp_file: BinaryIO, *, policy: Policy, **options: Any) -> None:
    """Fetch into a file of our own, judge it, and copy it to where it was wanted."""
    name = getattr(temp_file, "name", None)
    own = vars(_own).setdefault("files", [])
    if any(file is temp_file for file in own) or (isinstance(name, str) and is_staged(name)):
        plain(url, temp_file, **options)
        return
    resumed = options.pop("resume_size", 0)
    shown = str(options.get("displayed_filename") or url)
    if any(header.lower() == "range" for header in options.get("headers") or ()):
        _refuse([_unread(shown, "a part of a file cannot be judged: fetch it as a whole")], policy)
    folder = os.path.dirname(os.path.abspath(name)) if isinstance(name, str) and os.path.exists(name) else None
    with tempfile.TemporaryFile(dir=folder) as file:
        own.append(file)
        try:
            plain(url, file, **options)
        finally:
            own.remove(file)
        _refuse([_judged(file, shown, policy)], policy)
        if resumed:
            # The beginning that is there already may be of another content: all of it is written anew.
            temp_file.seek(max(temp_file.tell() - resumed, 0))
            temp_file.truncate()
        file.seek(0)
        shutil.copyfileobj(file, temp_file, 1 << 20)


def xet_get(plain: Function, *, incomplete_path: Path, policy: Policy, **options: Any) -> None:
    """Fetch into a staging, judge, and move to where it was wanted."""
    if is_staged(incomplete_path):
        plain(incomplete_path=incomplete_path, **options)
        return
    shown = str(options.get("displayed_filename") or incomplete_path)
    with _staged(incomplete_path) as place:
        plain(incomplete_path=place, **options)
        _give_out([(place, incomplete_path, shown)], policy)


def download_bucket_files(
    plain: Function, api: Any, bucket_id: str, files: Iterable[tuple[Any, Any]], *, policy: Policy, **options: Any
) -> None:
    """Fetch all files into a staging, judge them, and move them to where they were wanted."""
    wanted = list(files)
    if not wanted or is_staged(wanted[0][1]):
        plain(api, bucket_id, wanted, **options)
        return
    with _staged(wanted[0][1]) as first:
        staged = [(remote, first.with_name(str(number))) for number, (remote, _) in enumerate(wanted)]
        plain(api, bucket_id, staged, **options)
        names = [f"hf://buckets/{bucket_id}/{getattr(remote, 'path', remote)}" for remote, _ in wanted]
        moves = [
            (place, Path(target), name) for (_, place), (_, target), name in zip(staged, wanted, names, strict=True)
        ]
        _give_out([move for move in moves if move[0].exists()], policy)


def get_file(
    plain: Function, fs: Any, rpath: str, lpath: Any = None, *args: Any, policy: Policy, **options: Any
) -> None:
    """As ``xet_get``, so that what was at ``lpath`` is not emptied for a file that is refused."""
    named = isinstance(lpath, (str, os.PathLike)) and options.get("outfile") is None
    if not named or is_staged(lpath) or fs.isdir(rpath):
        plain(fs, rpath, lpath, *args, **options)
    else:
        with _staged(lpath) as place:
            plain(fs, rpath, str(place), *args, **options)
            _give_out([(place, Path(lpath), _address(rpath))], policy)


def open_file(plain: Function, fs: Any, path: str, mode: str = "rb", *args: Any, policy: Policy, **options: Any) -> Any:
    """A file that is judged, from parts of it, before the first byte is given out.

    Bytes that judging has read are given out as they were read; where it takes too many, the whole file is fetched.
    """
    file = plain(fs, path, mode, *args, **options)
    if "r" not in mode:
        return file
    shown = _address(path)
    size = int(fs.info(path, revision=options.get("revision"))["size"])
    headers = fs._api._build_hf_headers()  # noqa: SLF001 (as the file system's own files do)
    remote = RemoteFile(file.url(), size=size, headers=headers, most=MOST_READ)
    view = View(cast("BinaryIO", remote))
    judged = _Judged(view, file)
    report: FileReport | None = None
    with contextlib.suppress(OSError):  # no ranges, or more of them than the whole is worth
        report = scan_stream(judged, name=shown, policy=policy, digest=size <= AT_ONCE, briefly=True)
    if report is None or (policy.allow_digests and policy.blocks(report)):
        whole = plain(fs, path, mode, block_size=0, revision=options.get("revision"))
        return _fetched(whole, file, shown, policy)
    _refuse([report], policy)
    view.keeping = False
    remote.most = None
    judged.seek(0)
    return judged


def _fetched(stream: BinaryIO, file: Any, name: str, policy: Policy) -> BinaryIO:
    """The content of ``stream``, which is ``file`` as a whole, once it is judged."""
    whole = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
    shutil.copyfileobj(stream, whole, 1 << 20)
    whole.seek(0)
    _refuse([_judged(whole, name, policy)], policy)
    whole.seek(0)
    return _Judged(open(os.dup(whole.fileno()), "rb", buffering=0), file)


class _Judged(io.BufferedReader):
    """A file to read that has the other attributes of the client's."""

    def __init__(self, raw: io.RawIOBase, plain: Any) -> None:
        super().__init__(raw)
        self._plain = plain

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_plain"], name)


@contextlib.contextmanager
def _staged(target: str | os.PathLike[str]) -> Iterator[Path]:
    """A path in a staging beside ``target``."""
    with staging(Path(target).absolute().parent, inside="") as stage:
        yield stage / "file"


def _give_out(moves: list[tuple[Path, Path, str]], policy: Policy) -> None:
    """Judge staged files, each with its target and its name; move them where all of them may pass."""
    reports = []
    for place, _, name in moves:
        with place.open("rb") as file:
            reports.append(_judged(file, name, policy))
    _refuse(reports, policy)
    for place, target, _ in moves:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.replace(place, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            shutil.copyfile(place, target)


def _judged(file: Any, name: str, policy: Policy) -> FileReport:
    report = scan_stream(file, name=name, policy=policy, digest=False)
    return with_digest(report, file) if policy.blocks(report) else report


def _refuse(reports: list[FileReport], policy: Policy) -> None:
    """Raise BlockedError where a file may not pass: nothing can be left out of what was asked for by name."""
    blocked = [(report, "Nothing of it was given out.") for report in reports if policy.blocks(report)]
    refuse(blocked, policy, skip=False)


def _unread(name: str, message: str) -> FileReport:
    finding = Finding(code="hub.no-parts", verdict=Verdict.UNSCANNABLE, message=message)
    return FileReport(name=name, container="unknown", size=0, findings=(finding,))


def _address(path: Any) -> str:
    return path if str(path).startswith("hf://") else f"hf://{path}"
