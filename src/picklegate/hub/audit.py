"""The Hugging Face cache of this machine: what is in it, and a verdict on each content."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from picklegate import quarantine
from picklegate.batch import Found, scan_found, unread
from picklegate.cache_files import delete_from_cache
from picklegate.containers.detect import claims
from picklegate.policy import PolicyOption, chosen
from picklegate.report import FileReport, Verdict
from picklegate.scan import scan_file
from picklegate.store import Store, default

_KINDS = {"models": "model", "datasets": "dataset", "spaces": "space"}
_SNAPSHOTS = "snapshots"
_SHARED = "blobs"
"""Where a repository has its contents, and the cache those that several repositories share."""
_KEPT = frozenset((_SNAPSHOTS, _SHARED))
_LONGEST_NOTE = 1 << 20
"""Bytes of a file beside the contents that is looked at on the spot: a lock, a reference to a commit, a listing."""
_MOST_ELSEWHERE = 100_000
"""Files that links out of the cache may lead to: one of them may lead to a whole disk."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Something in the cache that is no content, or that could not be looked at; ``path`` says where.

    ``unread`` is true where a loader might open what was not looked at.
    """

    path: str
    message: str
    unread: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"path": self.path, "message": self.message, "unread": self.unread}


@dataclass(frozen=True, kw_only=True, slots=True)
class Repository:
    """A repository as far as it is in the cache; ``size`` is that of its contents in bytes, each counted once."""

    kind: str
    name: str
    revisions: tuple[str, ...]
    size: int

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"kind": self.kind, "name": self.name, "revisions": list(self.revisions), "size": self.size}


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """One content, which is scanned once, under the first of the ``paths`` that lead to it.

    ``blob`` is the file that holds it; ``repositories`` are indexes into those of the cache.
    """

    blob: str
    paths: tuple[str, ...]
    repositories: tuple[int, ...]
    entry: os.stat_result

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"blob": self.blob, "paths": list(self.paths), "repositories": list(self.repositories)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Cache:
    """What a cache directory holds."""

    folder: str
    repositories: tuple[Repository, ...]
    contents: tuple[Content, ...]
    problems: tuple[Problem, ...]

    @property
    def unread(self) -> tuple[FileReport, ...]:
        """A report on each place that was not looked at and that a loader might open: UNSCANNABLE."""
        return tuple(unread(one.path, one.message) for one in self.problems if one.unread)

    @property
    def found(self) -> list[Found]:
        """The contents as files to scan."""
        return [Found(path=one.paths[0], blob=one.blob, entry=one.entry) for one in self.contents]


@dataclass(frozen=True, kw_only=True, slots=True)
class Audit:
    """A cache and the reports on its contents, in the order of these; fewer where it was interrupted."""

    cache: Cache
    reports: tuple[FileReport, ...]
    seconds: float

    @property
    def complete(self) -> bool:
        """Whether each content has its report."""
        return len(self.reports) == len(self.cache.contents)

    @property
    def pairs(self) -> Iterator[tuple[Content, FileReport]]:
        """Each content that was scanned, and its report."""
        return zip(self.cache.contents, self.reports, strict=False)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form of what stands beside the reports."""
        cache = self.cache
        return {
            "folder": cache.folder,
            "seconds": round(self.seconds, 3),
            "repositories": [repository.to_dict() for repository in cache.repositories],
            "contents": [content.to_dict() for content in cache.contents],
            "problems": [problem.to_dict() for problem in cache.problems],
        }


def audit_cache(
    cache_dir: str | os.PathLike[str] | None = None,
    *,
    policy: PolicyOption = None,
    executor: Executor | None = None,
    jobs: int | None = None,
    store: Store | None = None,
) -> Audit:
    """Scan each content of a Hugging Face cache once; by default that of huggingface_hub, and with the user's store.

    What is incomplete, dangling or unreadable is among the cache's ``problems``. For ``executor`` and ``jobs`` see
    ``scan_paths``. Raises NotADirectoryError where there is no cache, and ModelDataError.
    """
    start = time.monotonic()
    cache = read_cache(cache_dir)
    reports = scan_found(cache.found, policy=chosen(policy), executor=executor, jobs=jobs, store=store or default())
    return Audit(cache=cache, reports=tuple(reports), seconds=time.monotonic() - start)


def read_cache(cache_dir: str | os.PathLike[str] | None = None) -> Cache:
    """What is in a cache directory, by names, links and the shortest notes; raises NotADirectoryError."""
    if cache_dir is None:
        from huggingface_hub.constants import HF_HUB_CACHE

        cache_dir = HF_HUB_CACHE
    folder = os.path.realpath(os.path.expanduser(cache_dir))
    if not os.path.isdir(folder):
        raise NotADirectoryError(f"{folder} is not a directory: name the Hugging Face cache with --cache-dir")
    reader = _Reader(folder)
    reader.cache()
    return Cache(
        folder=folder,
        repositories=tuple(reader.repositories),
        contents=tuple(one for _, one in sorted(reader.contents(), key=lambda pair: pair[0])),
        problems=tuple(reader.problems),
    )


def remove(cache: Cache, content: Content, report: FileReport) -> quarantine.Entry:
    """Move a content out of the cache into quarantine, with all that leads to it; raises OSError.

    It is copied and its record written before the first link goes, so that nothing is lost half-way.
    """
    kept = quarantine.keep(Path(content.blob), report)
    for path in dict.fromkeys((*content.paths, content.blob)):
        if os.path.lexists(path):
            delete_from_cache(Path(path), cache=Path(cache.folder))
    return kept


class _Reader:
    """Collects; whatever cannot be looked at is a problem and no error."""

    def __init__(self, folder: str) -> None:
        self.repositories: list[Repository] = []
        self.problems: list[Problem] = []
        self._folder = folder
        self._inside = folder + os.sep
        self._entered: set[tuple[int, int]] = set()
        self._elsewhere = 0
        self._paths: dict[tuple[int, int], list[str]] = {}
        self._owners: dict[tuple[int, int], dict[int, None]] = {}
        self._blobs: dict[tuple[int, int], tuple[str, os.stat_result]] = {}

    def problem(self, path: str, message: str, *, unread: bool = False) -> None:
        self.problems.append(Problem(path=path, message=message, unread=unread))

    def cache(self) -> None:
        """All that is in the cache."""
        rest = []
        for entry in self._entries(self._folder):
            kind, dashes, name = entry.name.partition("--")
            if kind in _KINDS and dashes and _is_directory(entry):
                self._repository(entry.path, _KINDS[kind], name.replace("--", "/"))
            else:
                rest.append(entry)
        for entry in rest:
            self._all(entry, None, {})

    def _repository(self, path: str, kind: str, name: str) -> None:
        if not self._enter(path, is_link=os.path.islink(path)):
            return
        index, before = len(self.repositories), len(self.problems)
        sizes: dict[tuple[int, int], int] = {}
        parts = {entry.name: entry for entry in self._entries(path)}
        # A blob is named by the snapshots that lead to it, so these come first.
        order = sorted(parts, key=lambda part: (part != _SNAPSHOTS, part))
        commits: list[str] = []
        for part in order:
            if part == _SNAPSHOTS and _is_directory(parts[part]):
                commits = [one.name for one in self._entries(parts[part].path) if _is_directory(one)]
            self._all(parts[part], index, sizes)
        if not commits and len(self.problems) == before:
            self.problem(path, "a repository without snapshots")
        self.repositories.append(Repository(kind=kind, name=name, revisions=tuple(commits), size=sum(sizes.values())))

    def contents(self) -> Iterator[tuple[str, Content]]:
        """Each content with the path that sorts it."""
        for key, (blob, entry) in self._blobs.items():
            paths = sorted(self._paths[key], key=lambda path: not claims(path))
            yield paths[0], Content(blob=blob, paths=tuple(paths), repositories=tuple(self._owners[key]), entry=entry)

    def _entries(self, folder: str) -> Iterable[os.DirEntry[str]]:
        """The entries of a directory by name."""
        try:
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self.problem(folder, error.strerror or str(error), unread=True)
            return ()

    def _all(self, top: os.DirEntry[str], owner: int | None, sizes: dict[tuple[int, int], int]) -> None:
        """An entry, and all that is below it; links are followed as a loader follows them."""
        pending = [(top, False)]
        while pending:
            entry, outside = pending.pop()
            target = _behind(entry) if entry.is_symlink() else entry.path
            outside = outside or not target.startswith(self._inside)
            if not _is_directory(entry):
                self._file(entry, target, top.name, owner, sizes, outside=outside)
            elif self._enter(entry.path, is_link=entry.is_symlink()):
                pending += [(one, outside) for one in self._entries(entry.path)][::-1]

    def _enter(self, folder: str, *, is_link: bool) -> bool:
        """Whether a directory is to be entered: once, so that loops of links end, and none that holds the cache."""
        try:
            entry = os.stat(folder)
        except OSError as error:
            self.problem(folder, error.strerror or str(error), unread=True)
            return False
        key = (entry.st_dev, entry.st_ino)
        if key in self._entered:
            return False
        self._entered.add(key)
        real = os.path.realpath(folder) if is_link else folder
        if is_link and os.path.commonpath([real, self._folder]) == real:
            if real != self._folder:
                self.problem(folder, "a link to a directory that the cache is in, which was not entered", unread=True)
            return False
        return True

    def _file(
        self,
        file: os.DirEntry[str],
        target: str,
        part: str,
        owner: int | None,
        sizes: dict[tuple[int, int], int],
        *,
        outside: bool,
    ) -> None:
        """A file, or a link to ``target``, in a part of a repository or of the cache: ``blobs`` or another."""
        try:
            entry = file.stat()
        except OSError as error:
            missing = isinstance(error, FileNotFoundError) and file.is_symlink()
            # What the system itself cannot follow, no loader can open.
            followed = error.errno not in (errno.ENOENT, errno.ELOOP)
            message = "a link to nothing" if missing else error.strerror or str(error)
            self.problem(file.path, message, unread=followed)
            return
        if file.name.endswith(".incomplete"):
            self.problem(file.path, "an incomplete download, which nothing loads")
            return
        if part not in _KEPT and _is_note(file, entry):
            return
        if outside:
            self._elsewhere += 1
            if self._elsewhere > _MOST_ELSEWHERE:
                if self._elsewhere == _MOST_ELSEWHERE + 1:
                    message = f"the links out of the cache lead to more than {_MOST_ELSEWHERE:,} files"
                    self.problem(file.path, message, unread=True)
                return
        key = (entry.st_dev, entry.st_ino)
        sizes[key] = entry.st_size
        known = self._paths.setdefault(key, [])
        owners = self._owners.setdefault(key, {})
        if owner is not None:
            owners[owner] = None
        if key not in self._blobs:
            self._blobs[key] = (target, entry)
        # A blob is a path of its own only where no snapshot leads to it.
        if not known or part != _SHARED:
            known.append(file.path)


def _is_directory(entry: os.DirEntry[str]) -> bool:
    """Whether it is a directory or leads to one; a loop of links is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_note(file: os.DirEntry[str], entry: os.stat_result) -> bool:
    """Whether a small file beside the contents has nothing in it for a pickle loader; it is read on the spot."""
    if not stat.S_ISREG(entry.st_mode) or entry.st_size > _LONGEST_NOTE:
        return False
    if not entry.st_size:
        return True
    try:
        report = scan_file(file.path, digest=False)
    except OSError:
        return False
    return not report.streams and report.verdict == Verdict.CLEAN


def _behind(link: os.DirEntry[str]) -> str:
    """The file that a link of the cache leads to."""
    # The client's links lead one step to a file, which spares looking at each directory on the way.
    step = os.path.normpath(os.path.join(os.path.dirname(link.path), os.readlink(link.path)))
    return os.path.realpath(step) if os.path.islink(step) else step
