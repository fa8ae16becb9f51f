"""Many files: found in folders, scanned by as many processes as there are, or on any executor."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TYPE_CHECKING

from picklegate.judging.classifier import classifier
from picklegate.policy import Policy, PolicyOption, chosen
from picklegate.report import FileReport
from picklegate.workers import scan_all, unreadable

if TYPE_CHECKING:
    from picklegate.store import Store


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A file to scan, as it was when it was found; or the report on what cannot be opened.

    ``blob`` is the file itself, without links, where the ``path`` that names it may lead through some.
    """

    path: str
    blob: str = ""
    entry: os.stat_result | None = None
    report: FileReport | None = None


def find(paths: Iterable[str], *, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> Iterator[Found]:
    """The files at and below ``paths``, the entries of a folder in the order of their names.

    Links are followed, and a folder is entered once, so that a loop of links ends. Patterns are those of fnmatch, held
    against a name and against the path below the folder given: in folders, a file is found that matches a pattern of
    ``include``, if there is one; what matches one of ``exclude`` is not entered. A path that is a file is always found.
    """
    entered: set[tuple[int, int]] = set()
    pending = [(path, "") for path in paths][::-1]
    while pending:
        path, below = pending.pop()
        try:
            entry = os.stat(path)
            if not os.path.isdir(path):
                if _included(below, include):
                    yield Found(path=path, entry=entry)
            elif (entry.st_dev, entry.st_ino) not in entered:
                entered.add((entry.st_dev, entry.st_ino))
                inner = [f"{below}/{name}" if below else name for name in sorted(os.listdir(path), reverse=True)]
                pending += [
                    (os.path.join(path, os.path.basename(name)), name) for name in inner if not _matches(name, exclude)
                ]
        except OSError as error:
            # What is not there is no folder either, in which something could match.
            if not isinstance(error, FileNotFoundError) or _included(below, include):
                yield Found(path=path, report=unreadable(path, error))


def _included(below: str, include: Sequence[str]) -> bool:
    return not below or not include or _matches(below, include)


def _matches(path: str, patterns: Sequence[str]) -> bool:
    name = os.path.basename(path)
    return any(fnmatch(path, pattern) or fnmatch(name, pattern) for pattern in patterns)


def scan_paths(
    paths: Iterable[str | os.PathLike[str]],
    *,
    policy: PolicyOption = None,
    executor: Executor | None = None,
    jobs: int | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> Iterator[FileReport]:
    """Scan files and folders; the reports come in the order of ``find``, whoever scans.

    Without an ``executor``, ``jobs`` processes (by default one for each processor) share the work, or this one does
    it alone where starting others would take longer. Such processes import the main module, which must therefore do
    its work under ``if __name__ == "__main__":``. A file that cannot be opened, that the scan fails on or that kills
    its worker is UNSCANNABLE, and costs no other file its verdict. Raises ModelDataError.
    """
    found = find([os.fspath(path) for path in paths], include=include, exclude=exclude)
    return scan_found(found, policy=chosen(policy), executor=executor, jobs=jobs)


def scan_found(
    found: Iterable[Found],
    *,
    policy: Policy,
    executor: Executor | None = None,
    jobs: int | None = None,
    store: Store | None = None,
    digest: bool = True,
) -> Iterator[FileReport]:
    """Scan what was found, in its order; a ``store`` answers for the files it knows, and keeps what is new.

    Without ``digest`` the content is not hashed, which takes longer than the scan of large files, unless the policy
    asks for it.
    """
    found = list(found)
    known = [one.report or (_recall(one, store, policy) if store else None) for one in found]
    pairs = zip(found, known, strict=True)
    sized = ((one.path, one.entry.st_size if one.entry else 0) for one, report in pairs if report is None)
    if known.count(None) > 1:
        classifier()  # a broken installation is told before any work is handed out
    hashing = digest or store is not None or bool(policy.allow_digests)
    made = scan_all(list(sized), policy=policy, executor=executor, jobs=jobs, digest=hashing)
    for one, report in zip(found, known, strict=True):
        if report is not None:
            yield report
            continue
        fresh = next(made)
        if store and one.entry and fresh.sha256:
            store.keep(fresh, policy=policy)
            with suppress(OSError):
                store.remember(one.blob or one.path, fresh.sha256, since=one.entry)
        yield fresh


def _recall(found: Found, store: Store, policy: Policy) -> FileReport | None:
    if found.entry is None:
        return None
    return store.recall(found.blob or os.path.realpath(found.path), found.entry, name=found.path, policy=policy)
