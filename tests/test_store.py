"""The verdict store: what it finds again, what it does not, and how work goes on without it."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import sqlite3
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from picklegate import store as stores
from picklegate.judging import model_files
from picklegate.limits import Limits
from picklegate.policy import Policy
from picklegate.report import FileReport, Verdict
from picklegate.scan import scan_bytes
from picklegate.store import Store
from samples import hostile
from support.builders import Hostile

HOSTILE = scan_bytes(b"cos\nsystem\n(S'echo'\ntR.", name="model.pkl")
PLAIN = Policy()


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store(tmp_path / "new" / "store.sqlite3")


def found(store: Store, *, name: str = "model.pkl", policy: Policy = PLAIN) -> FileReport | None:
    """The hostile report as the store has it."""
    return store.get_by_digest(HOSTILE.sha256, name=name, policy=policy)


def known(store: Store, path: Path) -> FileReport | None:
    """The report on the file at ``path``, if there is one and the file has not changed."""
    return store.get_by_file([(str(path), path.stat(), "model.pkl")], policy=PLAIN).get(str(path))


def keep(store: Store, path: Path, *, before: os.stat_result | None = None, later_ns: int = 10**9) -> None:
    """Keeps the hostile report on a file whose reading began so long after its last change."""
    before = before or path.stat()
    store.put_by_file(str(path), HOSTILE, policy=PLAIN, before=before, started_ns=before.st_ctime_ns + later_ns)


def test_a_report_comes_back_as_it_was(store: Store) -> None:
    """Verdict, findings, calls and streams survive, and the name is the one asked for."""
    store.put_by_digest(HOSTILE, policy=PLAIN)
    again = found(store, name="other.pkl")
    assert again is not None
    assert again.verdict == Verdict.MALICIOUS
    assert again.to_dict() == {**HOSTILE.to_dict(), "path": "other.pkl"}


@pytest.mark.parametrize("sample", hostile.HOSTILE[::7], ids=lambda sample: sample.id)
def test_every_report_has_one_json_form(sample: Hostile) -> None:
    """What from_dict makes of a report's JSON form has that form again."""
    report = scan_bytes(sample.data, name="x")
    assert FileReport.from_dict(report.to_dict()).to_dict() == report.to_dict()


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        ("model.txt", PLAIN),
        ("model.pkl", Policy(allow_imports=("os.system",))),
        ("model.pkl", Policy(limits=Limits(max_opcodes=5))),
    ],
    ids=["name-that-claims-nothing", "allowed-import", "limits"],
)
def test_another_judgement_is_not_found(store: Store, name: str, policy: Policy) -> None:
    """What can change a report is part of its key."""
    store.put_by_digest(HOSTILE, policy=PLAIN)
    assert found(store, name=name, policy=policy) is None
    assert found(store, policy=Policy(block_from=Verdict.MALICIOUS, on_block="skip")) is not None


def test_another_engine_is_not_found(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report of an older engine is none."""
    store.put_by_digest(HOSTILE, policy=PLAIN)
    stores._judge.cache_clear()
    monkeypatch.setattr(stores, "engine", lambda: "another")
    try:
        assert found(store) is None
    finally:
        stores._judge.cache_clear()


def test_a_report_without_a_digest_is_refused(store: Store) -> None:
    """It would be kept for bytes that nobody has hashed."""
    with pytest.raises(ValueError, match="digest"):
        store.put_by_digest(replace(HOSTILE, sha256=""), policy=PLAIN)


@pytest.mark.parametrize("damage", ["[]", "{", '{"path": 1}'], ids=["no-object", "no-json", "no-report"])
def test_a_damaged_row_is_no_report(store: Store, tmp_path: Path, damage: str) -> None:
    """What is no report was never kept."""
    store.put_by_digest(HOSTILE, policy=PLAIN)
    with sqlite3.connect(tmp_path / "new" / "store.sqlite3") as tables:
        tables.execute("UPDATE reports SET report = ?", (damage,))
    assert found(store) is None


def test_a_report_under_another_digest_is_none(store: Store, tmp_path: Path) -> None:
    """A row that was moved does not speak for other bytes."""
    store.put_by_digest(HOSTILE, policy=PLAIN)
    with sqlite3.connect(tmp_path / "new" / "store.sqlite3") as tables:
        tables.execute("UPDATE reports SET content = ?", ("0" * 64,))
    assert store.get_by_digest("0" * 64, name="model.pkl", policy=PLAIN) is None


def corrupt(path: Path) -> None:
    """Puts something else in the store's place."""
    path.write_bytes(b"no database at all" * 100)


def directory(path: Path) -> None:
    """Puts a directory there."""
    path.mkdir()


def blocked(path: Path) -> None:
    """Makes its parent a file."""
    path.parent.rmdir()
    path.parent.write_bytes(b"")


@pytest.mark.parametrize("harm", [corrupt, directory, blocked], ids=lambda harm: harm.__name__)
def test_without_a_store_work_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: object) -> None:
    """One warning names the file and what to do; then everything is simply unknown."""
    path = tmp_path / "kept" / "store.sqlite3"
    path.parent.mkdir()
    harm(path)  # type: ignore[operator]
    store = Store(path)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            store.put_by_digest(HOSTILE, policy=PLAIN)
            assert found(store) is None
            assert known(store, Path(__file__)) is None
    assert [str(path) in record.getMessage() for record in caplog.records] == [True]


def test_a_full_disk_costs_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """When nothing more can be written the file at hand is judged all the same."""
    path = tmp_path / "store.sqlite3"
    store = Store(path)
    store.put_by_digest(HOSTILE, policy=PLAIN)
    pages = store._tables().execute("PRAGMA page_count").fetchone()[0]
    store._tables().execute(f"PRAGMA max_page_count = {pages}")
    with caplog.at_level(logging.WARNING):
        for count in range(200):
            store.put_by_digest(replace(HOSTILE, sha256=f"{count:064x}"), policy=PLAIN)
    assert [record.getMessage().count("disk is full") for record in caplog.records] == [1]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_read_only_store_costs_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """So where the directory cannot be written."""
    tmp_path.chmod(0o500)
    Store(tmp_path / "store.sqlite3").put_by_digest(HOSTILE, policy=PLAIN)
    assert len(caplog.records) == 1


@pytest.mark.parametrize("digest", [HOSTILE.sha256, ""], ids=["hashed", "not-hashed"])
def test_a_report_on_a_file_holds_until_the_file_changes(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digest: str
) -> None:
    """The same size is not the same file, and the same time of change is not if the file was written since."""
    monkeypatch.setattr(sys.modules[__name__], "HOSTILE", replace(HOSTILE, sha256=digest))
    path = tmp_path / "file"
    path.write_bytes(b"one")
    keep(store, path)
    report = known(store, path)
    assert report is not None
    assert report.verdict == Verdict.MALICIOUS
    time.sleep(0.02)
    before = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert known(store, path) is None


def test_a_file_written_during_its_scan_is_not_kept(store: Store, tmp_path: Path) -> None:
    """What was judged is not what is there: the verdict on it belongs to no file."""
    path = tmp_path / "file"
    path.write_bytes(b"honest")
    before = path.stat()
    time.sleep(0.02)
    path.write_bytes(b"others")
    keep(store, path, before=before)
    assert known(store, path) is None


def test_a_file_that_just_changed_is_not_kept(store: Store, tmp_path: Path) -> None:
    """It may change again within the clock's resolution, while it is read or after."""
    path = tmp_path / "file"
    path.write_bytes(b"one")
    keep(store, path, later_ns=1_000_000)
    assert known(store, path) is None


def test_many_files_are_found_at_once(store: Store, tmp_path: Path) -> None:
    """More than one query takes; names that claim a pickle and others are told apart."""
    path = tmp_path / "file"
    path.write_bytes(b"one")
    keep(store, path)
    entry = path.stat()
    files = [(f"/none/{number}", entry, "model.pkl") for number in range(1200)]
    assert [*store.get_by_file([*files, (str(path), entry, "model.pkl")], policy=PLAIN)] == [str(path)]
    assert store.get_by_file([(str(path), entry, "model.txt")], policy=PLAIN) == {}


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("mode", [0o666, 0o620])
@pytest.mark.parametrize("place", ["file", "folder"])
def test_a_store_that_others_can_write_is_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int, place: str
) -> None:
    """They could have written any verdict into it: one warning, and everything is judged."""
    path = tmp_path / "kept" / "store.sqlite3"
    Store(path).put_by_digest(HOSTILE, policy=PLAIN)
    (path if place == "file" else path.parent).chmod(mode | (0 if place == "file" else 0o100))
    with caplog.at_level(logging.WARNING):
        assert found(Store(path)) is None
    assert ["can be written by others" in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.skipif(os.name != "posix", reason="links need a privilege elsewhere")
def test_a_store_that_is_a_link_is_not_used(tmp_path: Path) -> None:
    """Nor is what it leads to changed."""
    (tmp_path / "precious").write_bytes(b"")
    (tmp_path / "kept").mkdir(mode=0o700)
    path = tmp_path / "kept" / "store.sqlite3"
    path.symlink_to(tmp_path / "precious")
    Store(path).put_by_digest(HOSTILE, policy=PLAIN)
    assert (tmp_path / "precious").read_bytes() == b""


@pytest.mark.parametrize("part", ["model", "index"])
def test_another_model_or_index_is_not_found(store: Store, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """Thresholds stand in the card of the model; the index is a data file of the package."""
    store.put_by_digest(HOSTILE, policy=PLAIN)
    target = (model_files, "digest") if part == "model" else (stores, "engine")
    with monkeypatch.context() as patch:
        patch.setattr(*target, lambda: "another")
        stores._judge.cache_clear()
        assert found(store) is None
    stores._judge.cache_clear()
    assert found(store) is not None


def test_a_claim_is_no_digest(store: Store) -> None:
    """What a server calls its content is found for that server alone, and never as the bytes of that digest."""
    store.put_by_claim("https://hub", HOSTILE.sha256, HOSTILE, policy=PLAIN)
    assert found(store) is None
    assert store.get_by_claim("https://other", HOSTILE.sha256, name="model.pkl", policy=PLAIN) is None
    again = store.get_by_claim("https://hub", HOSTILE.sha256, name="model.pkl", policy=PLAIN)
    assert again is not None
    assert again.verdict == Verdict.MALICIOUS


def test_a_missing_file_is_the_callers_matter(store: Store, tmp_path: Path) -> None:
    """OSError passes through and breaks nothing."""
    with pytest.raises(FileNotFoundError):
        keep(store, tmp_path / "none", before=tmp_path.stat())
    store.put_by_digest(HOSTILE, policy=PLAIN)
    assert found(store) is not None


def _write(path: Path, first: int) -> int:
    """Keeps fifty reports and reads them again, in a process of its own."""
    store = Store(path)
    kept = [replace(HOSTILE, sha256=f"{first + count:064x}") for count in range(50)]
    for report in kept:
        store.put_by_digest(report, policy=PLAIN)
    return sum(store.get_by_digest(report.sha256, name="model.pkl", policy=PLAIN) is not None for report in kept)


def test_processes_and_threads_share_a_store(tmp_path: Path) -> None:
    """Nothing is lost when eight threads and two processes write at once."""
    path = tmp_path / "store.sqlite3"
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        others = pool.starmap_async(_write, [(path, 10_000), (path, 20_000)])
        with ThreadPoolExecutor(8) as threads:
            mine = list(threads.map(lambda first: _write(path, first), range(0, 800, 100)))
        assert mine == [50] * 8
        assert others.get(30) == [50, 50]


def test_old_reports_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store does not grow for ever."""
    path = tmp_path / "store.sqlite3"
    with monkeypatch.context() as patch:
        patch.setattr(stores, "_today", lambda: 1)
        Store(path).put_by_digest(HOSTILE, policy=PLAIN)
    assert found(Store(path)) is None


def test_a_store_of_another_form_is_made_anew(tmp_path: Path) -> None:
    """Tables that an earlier version left stand in nobody's way."""
    path = tmp_path / stores.NAME
    with contextlib.closing(sqlite3.connect(path)) as old:
        old.executescript("CREATE TABLE reports (sha256 TEXT); CREATE TABLE digests (place TEXT);")
    store = Store(path)
    store.put_by_digest(HOSTILE, policy=PLAIN)
    assert found(store) is not None
