"""Many files: which are found, who scans them, and what a worker's death costs."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from picklegate import Verdict, batch, scan_paths
from picklegate.batch import find, scan_batch, scan_found
from picklegate.errors import ModelDataError
from picklegate.policy import Policy
from picklegate.report import FileReport
from picklegate.store import Store

HOSTILE = b"cos\nsystem\n(S'true'\ntR."
CLEAN = b"\x80\x04}."


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Forty files in four folders, each tenth hostile."""
    for number in range(40):
        folder = tmp_path / f"{number % 4}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number:02}.pkl").write_bytes(HOSTILE if number % 10 == 0 else CLEAN)
    return tmp_path


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a pool start for few files, in small batches."""
    monkeypatch.setattr(batch, "_FEW_FILES", 0)
    monkeypatch.setattr(batch, "_BATCH_FILES", 5)


def names(found: Iterator[FileReport]) -> list[tuple[str, Verdict]]:
    """What the reports are about, and their verdicts, in order."""
    return [(os.path.basename(report.name), report.verdict) for report in found]


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        pytest.param([], [], ["a.bin", "deep/b.pkl", "deep/c.txt", "z.pkl"], id="everything"),
        pytest.param(["*.pkl"], [], ["deep/b.pkl", "z.pkl"], id="by-name"),
        pytest.param(["deep/*"], [], ["deep/b.pkl", "deep/c.txt"], id="by-path"),
        pytest.param([], ["*.pkl"], ["a.bin", "deep/c.txt"], id="left-out"),
        pytest.param([], ["deep"], ["a.bin", "z.pkl"], id="folder-left-out"),
        pytest.param(["*.pkl"], ["deep/*"], ["z.pkl"], id="both"),
    ],
)
def test_patterns(tmp_path: Path, include: list[str], exclude: list[str], expected: list[str]) -> None:
    """Patterns are held against names and paths below the folder given."""
    (tmp_path / "deep").mkdir()
    for name in ("a.bin", "deep/b.pkl", "deep/c.txt", "z.pkl"):
        (tmp_path / name).touch()
    (tmp_path / "nothing.tmp").symlink_to("nowhere")
    exclude = exclude if include else [*exclude, "*.tmp"]
    found = find([str(tmp_path)], include=include, exclude=exclude)
    assert [os.path.relpath(one.path, tmp_path) for one in found] == expected


def test_a_file_that_is_named_needs_no_pattern(tmp_path: Path) -> None:
    """Patterns are for folders."""
    path = tmp_path / "model.bin"
    path.touch()
    assert [one.path for one in find([str(path)], include=["*.pkl"], exclude=["*"])] == [str(path)]


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("jobs", [1, 2])
def test_the_reports_are_the_same_whoever_scans(tree: Path, jobs: int) -> None:
    """A pool gives the reports of a single process, in the same order."""
    alone = [report.to_dict() for report in scan_paths([tree], jobs=1)]
    assert [report.to_dict() for report in scan_paths([tree], jobs=jobs)] == alone
    assert sum(report["verdict"] == "MALICIOUS" for report in alone) == 4


def test_any_executor_serves(tree: Path) -> None:
    """Threads do as well as processes, and the executor stays the caller's."""
    with ThreadPoolExecutor(2) as executor:
        assert names(scan_paths([tree], executor=executor)) == names(scan_paths([tree], jobs=1))
        assert executor.submit(len, "ab").result() == 2


def deadly_scan(paths: tuple[str, ...], *, policy: Policy, digest: bool) -> tuple[FileReport, ...]:
    """A scan that ends the process at ``10.pkl``."""
    if any(path.endswith("10.pkl") for path in paths):
        os.kill(os.getpid(), signal.SIGKILL)
    return batch.scan_batch(paths, policy=policy, digest=digest)


@pytest.mark.usefixtures("eager")
def test_a_killed_worker_costs_only_the_file_that_killed_it(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others keep their verdicts, in their order, and the culprit is UNSCANNABLE."""
    expected = dict(names(scan_paths([tree], jobs=1))) | {"10.pkl": Verdict.UNSCANNABLE}
    monkeypatch.setattr(batch, "partial", lambda _, **options: partial(deadly_scan, **options))
    reports = list(scan_paths([tree], jobs=2))
    assert names(iter(reports)) == list(expected.items())
    assert [f.code for report in reports for f in report.findings] == ["file.killed"]


@pytest.mark.usefixtures("eager")
def test_a_broken_executor_of_the_caller_is_made_up_for(tree: Path) -> None:
    """Where the caller's pool is of no more use, processes of our own go on."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        with pytest.raises(Exception, match="terminated"):
            executor.submit(os._exit, 1).result()
        assert names(scan_paths([tree], executor=executor, jobs=2)) == names(scan_paths([tree], jobs=1))


class GivesUp(Executor):
    """An executor that gives up whatever holds one of the files, as a cluster does."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Runs the task at once."""
        future: Future[Any] = Future()
        if any(path.endswith("10.pkl") for path in args[0]):
            future.set_exception(TimeoutError("gave up"))
        else:
            future.set_result(fn(*args, **kwargs))
        return future


def test_a_task_that_is_given_up_is_handed_over_again(tree: Path) -> None:
    """Of a batch that an executor gives up, only the file to blame stays without a verdict."""
    expected = dict(names(scan_paths([tree], jobs=1))) | {"10.pkl": Verdict.UNSCANNABLE}
    assert names(scan_paths([tree], executor=GivesUp())) == list(expected.items())


def test_a_broken_installation_is_told_at_once(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the gate's own is no file's verdict."""

    def broken() -> None:
        raise ModelDataError("the model is altered")

    monkeypatch.setattr("picklegate.batch.classifier", broken)
    with pytest.raises(ModelDataError):
        next(scan_paths([tree]))


def test_a_store_answers_for_what_has_not_changed(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was judged is not read again; what changed is, even with its size and time restored."""
    store = Store(tree / "store.sqlite3")
    found = list(find([str(tree)], exclude=["store*"]))
    monkeypatch.setattr("picklegate.store._SETTLED_NS", 0)
    first = [report.to_dict() for report in scan_found(found, policy=Policy(), store=store)]
    read: list[str] = []
    scan = batch.scan_batch

    def watched(paths: tuple[str, ...], *, policy: Policy, digest: bool) -> tuple[FileReport, ...]:
        read.extend(paths)
        return scan(paths, policy=policy, digest=digest)

    monkeypatch.setattr(batch, "scan_batch", watched)
    assert [report.to_dict() for report in scan_found(found, policy=Policy(), store=store)] == first
    assert not read
    changed, before = tree / "1" / "01.pkl", os.stat(tree / "1" / "01.pkl")
    changed.write_bytes(b"\x80\x04].")
    os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns))
    again = scan_found(find([str(tree)], exclude=["store*"]), policy=Policy(), store=store)
    assert [report.sha256 for report in again] != [report["sha256"] for report in first]
    assert read == [str(changed)]


def test_cycles_do_not_pile_up_without_the_collector(tmp_path: Path) -> None:
    """The command line and its workers switch it off; what a file leaves behind goes with the file."""
    paths = []
    for number in range(3):
        paths.append(str(tmp_path / f"{number}.pkl"))
        Path(paths[-1]).write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    scan_batch(tuple(paths), policy=Policy())
    gc.collect()
    gc.disable()
    try:
        reports = scan_batch(tuple(paths), policy=Policy())
        assert gc.collect() == 0
    finally:
        gc.enable()
    assert len(reports) == 3
