"""The Hugging Face cache of this machine: what is in it, and a verdict on each content."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from picklegate import quarantine
from picklegate.batch import Found, scan_found
from picklegate.cache_files import delete_from_cache
from picklegate.containers.detect import claims
from picklegate.policy import PolicyOption, chosen
from picklegate.report import FileReport
from picklegate.store import Store, default

_KINDS = {"models": "model", "datasets": "dataset", "spaces": "space"}
_OWN = frozenset((".locks", ".picklegate"))
"""Directories in the cache that hold no content."""
_SHARED = "blobs"
"""The store, beside the repositories, of contents that several of them share."""
_NOTES = (".refs", ".lock")
"""What that store keeps beside its contents."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Something in the cache that is no content, or that could not be looked at; ``path`` says where."""

    path: str
    message: str

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"path": self.path, "message": self.message}


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
    """What is in a cache directory, by names and links alone; raises NotADirectoryError."""
    if cache_dir is None:
        from huggingface_hub.constants import HF_HUB_CACHE

        cache_dir = HF_HUB_CACHE
    folder = os.path.realpath(os.path.expanduser(cache_dir))
    if not os.path.isdir(folder):
        raise NotADirectoryError(f"{folder} is no directory: name the Hugging Face cache with --cache-dir")
    reader = _Reader()
    for entry in reader.entries(folder):
        kind, dashes, name = entry.name.partition("--")
        if kind in _KINDS and dashes and entry.is_dir():
            reader.repository(entry.path, _KINDS[kind], name.replace("--", "/"))
        elif entry.name == _SHARED and entry.is_dir():
            reader.shared(entry.path)
        elif entry.is_dir() and entry.name not in _OWN:
            reader.problem(entry.path, "no repository of the cache, so it was not scanned")
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

    def __init__(self) -> None:
        self.repositories: list[Repository] = []
        self.problems: list[Problem] = []
        self._paths: dict[tuple[int, int], list[str]] = {}
        self._owners: dict[tuple[int, int], dict[int, None]] = {}
        self._blobs: dict[tuple[int, int], tuple[str, os.stat_result]] = {}

    def problem(self, path: str, message: str) -> None:
        self.problems.append(Problem(path=path, message=message))

    def entries(self, folder: str) -> Iterable[os.DirEntry[str]]:
        """The entries of a directory by name."""
        try:
            with os.scandir(folder) as found:
                return sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            self.problem(folder, error.strerror or str(error))
            return ()

    def repository(self, path: str, kind: str, name: str) -> None:
        index, before = len(self.repositories), len(self.problems)
        sizes: dict[tuple[int, int], int] = {}
        snapshots = os.path.join(path, "snapshots")
        revisions = [entry for entry in self.entries(snapshots) if entry.is_dir()] if os.path.isdir(snapshots) else []
        for revision in revisions:
            for pointer in self._tree(revision.path):
                self._file(pointer, index, sizes)
        for blob in self.entries(os.path.join(path, "blobs")) if os.path.isdir(os.path.join(path, "blobs")) else ():
            if blob.name.endswith(".incomplete"):
                self.problem(blob.path, "an incomplete download, which nothing loads")
            else:
                self._file(blob, index, sizes)
        if not revisions and len(self.problems) == before:
            self.problem(path, "a repository without snapshots")
        commits = tuple(revision.name for revision in revisions)
        self.repositories.append(Repository(kind=kind, name=name, revisions=commits, size=sum(sizes.values())))

    def shared(self, path: str) -> None:
        """The contents that repositories share, some of which none may refer to any more."""
        for part in self.entries(path):
            for blob in self.entries(part.path) if part.is_dir(follow_symlinks=False) else ():
                if blob.name.endswith(".incomplete"):
                    self.problem(blob.path, "an incomplete download, which nothing loads")
                elif not blob.name.endswith(_NOTES):
                    self._file(blob, None, {})

    def contents(self) -> Iterator[tuple[str, Content]]:
        """Each content with the path that sorts it."""
        for key, (blob, entry) in self._blobs.items():
            paths = sorted(self._paths[key], key=lambda path: not claims(path))
            yield paths[0], Content(blob=blob, paths=tuple(paths), repositories=tuple(self._owners[key]), entry=entry)

    def _tree(self, folder: str) -> Iterator[os.DirEntry[str]]:
        for entry in self.entries(folder):
            if entry.is_dir(follow_symlinks=False):
                yield from self._tree(entry.path)
            else:
                yield entry

    def _file(self, found: os.DirEntry[str], owner: int | None, sizes: dict[tuple[int, int], int]) -> None:
        try:
            entry = found.stat()
        except OSError as error:
            missing = isinstance(error, FileNotFoundError) and found.is_symlink()
            self.problem(found.path, "a link to nothing" if missing else error.strerror or str(error))
            return
        if os.path.isdir(found.path):
            self.problem(found.path, "a link to a directory, which was not entered")
            return
        key = (entry.st_dev, entry.st_ino)
        sizes[key] = entry.st_size
        known = self._paths.setdefault(key, [])
        owners = self._owners.setdefault(key, {})
        if owner is not None:
            owners[owner] = None
        if key not in self._blobs:
            self._blobs[key] = (_behind(found), entry)
        # A blob is a path of its own only where no snapshot leads to it.
        if not known or os.sep + "snapshots" + os.sep in found.path:
            known.append(found.path)


def _behind(found: os.DirEntry[str]) -> str:
    """The file that an entry of the cache is or leads to."""
    if not found.is_symlink():
        return found.path
    # The client's links lead one step to a file, which spares looking at each directory on the way.
    step = os.path.normpath(os.path.join(os.path.dirname(found.path), os.readlink(found.path)))
    return os.path.realpath(step) if os.path.islink(step) else step
