"""Scanning on a Dask cluster, where Dask is installed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from picklegate import FileReport, scan_paths
from picklegate.cli import main

distributed = pytest.importorskip("distributed")

HOSTILE = b"cos\nsystem\n(S'true'\ntR."


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A scheduler and two workers, each a process."""
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with distributed.LocalCluster(host="127.0.0.1", **options) as made:
        yield made


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two hundred files, each tenth hostile."""
    for number in range(200):
        path = tmp_path / f"{number:03}.pkl"
        path.write_bytes(HOSTILE if number % 10 == 0 else b"\x80\x04}.")
    return tmp_path


def told(reports: Iterator[FileReport]) -> list[dict[str, Any]]:
    """The reports in full."""
    return [report.to_dict() for report in reports]


def test_a_cluster_gives_the_same_reports(cluster: Any, tree: Path) -> None:
    """Reports are those of this process, in the same order."""
    with distributed.Client(cluster) as client:
        assert told(scan_paths([tree], executor=client.get_executor(pure=False))) == told(scan_paths([tree], jobs=1))


def test_a_worker_killed_half_way_changes_nothing(cluster: Any, tree: Path) -> None:
    """Its tasks go to the others, and to the one that takes its place."""
    with distributed.Client(cluster) as client:
        reports = scan_paths([tree], executor=client.get_executor(pure=False))
        first = [next(reports)]
        os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
        assert told(iter([*first, *reports])) == told(scan_paths([tree], jobs=1))


def test_the_command_takes_a_scheduler(
    cluster: Any, tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--scheduler`` is all that it needs."""
    monkeypatch.setattr(sys, "argv", ["picklegate", "scan", str(tree), "--scheduler", cluster.scheduler_address])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 1
    assert capsys.readouterr().out.endswith("200 files: 20 malicious, 180 clean\n")


def test_a_scheduler_that_does_not_answer_is_told(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and one sentence."""
    monkeypatch.setattr(sys, "argv", ["picklegate", "scan", str(tree), "--scheduler", "no address"])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 2
    assert "no Dask scheduler answers at no address" in capsys.readouterr().err
