"""Downloads that are killed leave nothing hostile within reach; benchmarks/robustness/crash.py does so more often."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.robustness import crash

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no SIGKILL")


def test_killed_downloads_leave_nothing_hostile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind of download is killed at one of its operations on files, and some at another one."""
    monkeypatch.setenv("PICKLEGATE_HOME", "unused")
    results = list(crash.trials(12, seed=7, moments=0))
    assert [(str(job), found) for job, _, found in results if found] == []
    assert sum(killed for _, killed, _ in results) >= 10


def test_what_is_within_reach_is_found(tmp_path: Path) -> None:
    """A part of the hostile file counts, under whatever name and behind a link."""
    (tmp_path / "outside").write_bytes(crash.FILES["hostile"][1000:2000])
    (tmp_path / "place" / "deep").mkdir(parents=True)
    (tmp_path / "place" / "deep" / "name").symlink_to(tmp_path / "outside")
    assert crash.hostile(tmp_path / "place") == [tmp_path / "place" / "deep" / "name"]
