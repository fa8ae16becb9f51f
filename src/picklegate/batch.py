"""Many files: found in folders, scanned by as many processes as there are, or on any executor."""

from __future__ import annotations

import gc
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from picklegate.errors import GateError
from picklegate.judging.classifier import classifier
from picklegate.policy import Policy, PolicyOption, chosen
from picklegate.report import FileReport, Finding, Verdict

if TYPE_CHECKING:
    from picklegate.store import Store

_BATCH_FILES = 64
_BATCH_BYTES = 16 << 20
"""What one task holds: enough for its handing over not to count, little enough for all workers to end together."""
_AHEAD = 64
"""Tasks that an executor of unknown size is given before the result of the first is there."""
_FEW_FILES = 100
_FEW_BYTES = 32 << 20
"""What this process has scanned before others would have started."""

_Batch: TypeAlias = tuple[str, ...]
_Pending: TypeAlias = "deque[tuple[_Batch, Future[tuple[FileReport, ...]]]]"
_Scanner: TypeAlias = Callable[[_Batch], tuple[FileReport, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A file to scan, as it was when it was found; or the report on what cannot be opened.

    ``blob`` is the file itself, without links, where the ``path`` that names it may lead through some.
    """

    path: str
    blob: str = ""
    entry: os.stat_result | None = None
    report: FileReport | None = None


def find(
    paths: Iterable[str],
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    left_out: Callable[[str], bool] = lambda _: False,
) -> Iterator[Found]:
    """The files at and below ``paths``, the entries of a folder in the order of their names.

    Links are followed, and a folder is entered once, so that a loop of links ends. Patterns are those of fnmatch, held
    against a name and against the path below the folder given: in folders, a file is found that matches a pattern of
    ``include``, if there is one; what matches one of ``exclude`` is not entered. A path that is a file is always found.
    A folder below ``paths`` of which ``left_out`` says so is not entered either.
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
            elif (entry.st_dev, entry.st_ino) not in entered and not (below and left_out(path)):
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
    started_ns = time.time_ns()
    found = list(found)
    stored = _stored(found, store, policy) if store else {}
    known = [one.report or stored.get(_file(one)) for one in found]
    pairs = zip(found, known, strict=True)
    sized = [(one.path, one.entry.st_size if one.entry else 0) for one, report in pairs if report is None]
    if len(sized) > 1:
        classifier()  # a broken installation is told before any work is handed out
    hashing = digest or store is not None or bool(policy.allow_digests)
    made = scan_all(sized, policy=policy, executor=executor, jobs=jobs, digest=hashing)
    for one, report in zip(found, known, strict=True):
        if report is not None:
            yield report
            continue
        fresh = next(made)
        if store and one.entry and fresh.sha256:
            with suppress(OSError):
                store.put_by_file(_file(one), fresh, policy=policy, before=one.entry, started_ns=started_ns)
        yield fresh


def _stored(found: Iterable[Found], store: Store, policy: Policy) -> dict[str, FileReport]:
    """The reports that the store has on files which have not changed."""
    files = ((_file(one), one.entry, one.path) for one in found if one.entry is not None and one.report is None)
    return store.get_by_file(files, policy=policy)


def _file(found: Found) -> str:
    return found.blob or os.path.realpath(found.path)


def scan_all(
    sized: Sequence[tuple[str, int]],
    *,
    policy: Policy,
    executor: Executor | None = None,
    jobs: int | None = None,
    digest: bool = True,
) -> Iterator[FileReport]:
    """A report on each (path, size in bytes), in their order; raises ModelDataError.

    A file that kills its worker is UNSCANNABLE; what other files were found to be, or will be, stays.
    """
    scanner = partial(scan_batch, policy=policy, digest=digest)
    jobs = jobs or processors()
    few = len(sized) < 2 or (len(sized) <= _FEW_FILES and sum(size for _, size in sized) <= _FEW_BYTES)
    if executor is None and (jobs == 1 or few):
        for path, _ in sized:
            yield from scanner((path,))
        return
    waiting = deque(_batches(sized, jobs))
    if executor is not None:
        pending: _Pending = deque()
        try:
            yield from _through(executor, waiting, scanner, pending, _AHEAD)
        finally:
            for _, future in pending:
                future.cancel()
    while waiting:  # a pool that broke is of no more use: the next one goes on
        with _pool(min(jobs, len(waiting))) as pool:
            yield from _through(pool, waiting, scanner, deque(), 2 * jobs + 2)


def scan_batch(paths: _Batch, *, policy: Policy, digest: bool = True) -> tuple[FileReport, ...]:
    """A report on each file; raises GateError alone."""
    return tuple(_collected(_scan(path, policy, digest=digest)) for path in paths)


def _collected(report: FileReport) -> FileReport:
    """The report, once the cycles of its file are gone where nobody else looks for them."""
    if not gc.isenabled():
        gc.collect(0)  # what is younger than the last file
    return report


def _scan(path: str, policy: Policy, *, digest: bool) -> FileReport:
    from picklegate.scan import scan_file

    try:
        return scan_file(path, policy=policy, digest=digest)
    except GateError:
        raise
    except OSError as error:
        return unreadable(path, error)
    except Exception as error:  # noqa: BLE001 - a defect that one file brings out must not cost the others their verdicts
        return _unscannable(path, "file.crashed", f"picklegate failed on it, please report this ({error!r})")


def unreadable(path: str, error: OSError) -> FileReport:
    """The report on what cannot be opened."""
    return unread(path, error.strerror or str(error))


def unread(path: str, message: str) -> FileReport:
    """The report on what was not looked at, and why."""
    return _unscannable(path, "file.unreadable", message)


def _unscannable(path: str, code: str, message: str) -> FileReport:
    finding = Finding(code=code, verdict=Verdict.UNSCANNABLE, message=message)
    return FileReport(name=path, container="unknown", size=0, findings=(finding,))


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _batches(sized: Iterable[tuple[str, int]], jobs: int) -> Iterator[_Batch]:
    sized = list(sized)
    most = max(1, min(_BATCH_FILES, len(sized) // (4 * jobs)))
    batch: list[str] = []
    held = 0
    for path, size in sized:
        if batch and (len(batch) >= most or held + size > _BATCH_BYTES):
            yield tuple(batch)
            batch, held = [], 0
        batch.append(path)
        held += size
    if batch:
        yield tuple(batch)


@contextmanager
def _pool(jobs: int) -> Iterator[Executor]:
    """Processes that come up with the model loaded, and that Ctrl-C ends without a word."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    context = multiprocessing.get_context(_start_method(multiprocessing.get_all_start_methods()))
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin)
    try:
        yield pool
    finally:
        # Cancelled one by one, tasks make a pool that breaks at the same time print a traceback (InvalidStateError).
        pool.shutdown(wait=True, cancel_futures=True)


def _start_method(known: Sequence[str]) -> str:
    """A fork is ready at once, but where a thread of any library holds a lock it never is."""
    try:
        alone = len(os.listdir("/proc/self/task")) == 1
    except OSError:
        alone = False
    return next(method for method in ("fork" if alone else "forkserver", "forkserver", "spawn") if method in known)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.disable()  # as the command line does: each file's cycles are looked for once, at its end
    classifier()


def _through(
    executor: Executor, waiting: deque[_Batch], scanner: _Scanner, pending: _Pending, ahead: int
) -> Iterator[FileReport]:
    """The reports on what it moves from ``waiting`` over ``pending``, which is not all where the executor breaks."""
    broken = False
    while pending or (waiting and not broken):
        while waiting and not broken and len(pending) < ahead:
            try:
                pending.append((waiting[0], executor.submit(scanner, waiting[0])))
            except BrokenExecutor:
                broken = True
            else:
                waiting.popleft()
        if not pending:
            return
        batch, future = pending.popleft()
        try:
            yield from future.result()
        except GateError:
            raise
        except BrokenExecutor:
            broken = True
            yield from _alone(batch, scanner)
        except Exception:  # noqa: BLE001 - whatever an executor says of a task that it gives up
            yield from _one_by_one(executor, batch, scanner)


def _alone(batch: _Batch, scanner: _Scanner) -> Iterator[FileReport]:
    """Scan file after file in a process that each of them may kill."""
    waiting = deque(batch)
    while waiting:
        with _pool(1) as pool:
            while waiting:
                path = waiting.popleft()
                try:
                    yield from pool.submit(scanner, (path,)).result()
                except BrokenExecutor:
                    yield _killed(path)
                    break


def _one_by_one(executor: Executor, batch: _Batch, scanner: _Scanner) -> Iterator[FileReport]:
    """Hand a batch that the executor gave up over again, file by file."""
    if len(batch) == 1:
        yield _killed(*batch)
        return
    for path, future in [(path, executor.submit(scanner, (path,))) for path in batch]:
        try:
            yield from future.result()
        except GateError:
            raise
        except Exception:  # noqa: BLE001 - see _through
            yield _killed(path)


def _killed(path: str) -> FileReport:
    return _unscannable(path, "file.killed", "the process that scanned it was ended, perhaps for want of memory")
