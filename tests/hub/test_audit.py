"""The audit of a Hugging Face cache: what is found in it, read once, told, and moved out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import hf_hub_download, snapshot_download

from picklegate import Verdict, batch, quarantine
from picklegate.demo.hub_server import Hub
from picklegate.hub.audit import Audit, audit_cache, read_cache
from picklegate.report import FileReport

HOSTILE = b"cos\nsystem\n(S'true'\ntR."
CLEAN = b"\x80\x04}."
OTHER = b"\x80\x04]."

Run = Callable[..., int]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps store and quarantine in a directory of the test's own."""
    monkeypatch.setenv("PICKLEGATE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("picklegate.store._SETTLED_NS", 0)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """What the real client caches of three repositories, one of them in two revisions that share a file."""
    folder = tmp_path / "cache"
    with Hub({"org/good": {"model.pt": CLEAN, "config.json": b"{}"}, "org/evil": {"a/model.pkl": HOSTILE}}) as hub:
        snapshot_download("org/evil", endpoint=hub.endpoint, cache_dir=folder)
        snapshot_download("org/good", endpoint=hub.endpoint, cache_dir=folder)
        hub.push("org/good", {"model.pt": CLEAN, "config.json": b"[]"})
        hf_hub_download("org/good", "model.pt", endpoint=hub.endpoint, cache_dir=folder)
    return folder


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that are scanned and not merely looked up."""
    paths: list[str] = []
    scan = batch.scan_batch

    def watched(names: tuple[str, ...], **options: object) -> tuple[FileReport, ...]:
        paths.extend(names)
        return scan(names, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(batch, "scan_batch", watched)
    return paths


def verdicts(audit: Audit) -> dict[str, Verdict]:
    """File name -> verdict."""
    return {os.path.basename(report.name): report.verdict for report in audit.reports}


def test_each_content_is_scanned_once(cache: Path, read: list[str]) -> None:
    """A blob that two revisions share is read once, and reports stand under a name that a user knows."""
    audit = audit_cache(cache)
    assert verdicts(audit) == {"model.pt": Verdict.CLEAN, "model.pkl": Verdict.MALICIOUS, "config.json": Verdict.CLEAN}
    assert len(read) == 3
    assert {(one.kind, one.name, len(one.revisions)) for one in audit.cache.repositories} == {
        ("model", "org/good", 2), ("model", "org/evil", 1)
    }  # fmt: skip
    shared = next(content for content in audit.cache.contents if len(content.paths) == 2)
    assert {os.path.basename(path) for path in shared.paths} == {"model.pt"}
    assert audit.cache.problems == ()
    assert audit.complete


def test_the_second_run_reads_nothing(cache: Path, read: list[str]) -> None:
    """Verdicts come from the store while nothing changes, and a blob that changes is read again."""
    first = audit_cache(cache)
    read.clear()
    assert [report.to_dict() for report in audit_cache(cache).reports] == [one.to_dict() for one in first.reports]
    assert not read
    blob = next(content.blob for content in first.cache.contents if content.paths[0].endswith("model.pt"))
    Path(blob).write_bytes(HOSTILE)
    assert verdicts(audit_cache(cache))["model.pt"] == Verdict.MALICIOUS
    assert len(read) == 1


def test_a_blob_is_judged_by_its_bytes(cache: Path) -> None:
    """The name of a blob says which digest it should have; the report has the one that it has."""
    audit = audit_cache(cache)
    (evil,) = [content for content, report in audit.pairs if report.verdict == Verdict.MALICIOUS]
    target = next(content for content in audit.cache.contents if content.paths[0].endswith("model.pt"))
    Path(target.blob).write_bytes(Path(evil.blob).read_bytes())
    again = audit_cache(cache)
    digests = {report.sha256 for report in again.reports if report.verdict == Verdict.MALICIOUS}
    assert os.path.basename(target.blob) not in digests
    assert verdicts(again)["model.pt"] == Verdict.MALICIOUS


def test_what_is_wrong_with_a_cache_is_told(cache: Path) -> None:
    """Incomplete downloads, dangling links, strays and empty repositories are problems, and stop nothing."""
    good = cache / "models--org--good"
    revision = next((good / "snapshots").iterdir())
    (good / "blobs" / "abc.incomplete").touch()
    (revision / "gone.bin").symlink_to("../../blobs/gone")
    (revision / "loop").symlink_to("loop")
    (revision / "up").symlink_to("..")
    (cache / "datasets--org--empty").mkdir()
    (cache / "stray").mkdir()
    (cache / "version.txt").touch()
    (cache / ".locks").mkdir(exist_ok=True)
    audit = audit_cache(cache)
    assert {os.path.basename(problem.path): problem.message for problem in audit.cache.problems} == {
        "abc.incomplete": "an incomplete download, which nothing loads",
        "gone.bin": "a link to nothing",
        "loop": "Too many levels of symbolic links",
        "datasets--org--empty": "a repository without snapshots",
    }
    assert len(audit.reports) == 3
    assert not audit.cache.unread


PLACES = (
    "stray.pkl",
    "refs.bin",
    "stray/deep/model.bin",
    "models--org--good/model.pt",
    "models--org--good/refs/main.pkl",
    "models--org--good/refs/v1",
    "models--org--good/trees/0.json",
    "models--org--good/.no_exist/0/model.bin",
    "models--org--good/other/model.bin",
    "models--org--good/snapshots/model.bin",
    ".locks/model.bin",
    ".picklegate/0/model.bin",
    "blobs/model.bin",
    "blobs/ab/cd/ef/model.bin",
    "blobs/ab/abcd.refs",
    "models--odd",
    "spaces--org--app/model.bin",
)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("way", ["file", "link", "linked-directory"])
def test_a_hostile_file_is_found_wherever_it_lies(cache: Path, tmp_path: Path, place: str, way: str) -> None:
    """Beside repositories, beside snapshots, among references and locks, and behind links out of the cache."""
    path = cache / place
    path.parent.mkdir(parents=True, exist_ok=True)
    elsewhere = tmp_path / "elsewhere" / "payload"
    elsewhere.parent.mkdir()
    (path if way == "file" else elsewhere).write_bytes(HOSTILE + b"1")
    if way == "link":
        path.symlink_to(elsewhere)
    elif way == "linked-directory":
        path.symlink_to(elsewhere.parent)
    blamed = [report for report in audit_cache(cache).reports if report.verdict == Verdict.MALICIOUS]
    assert len(blamed) == 2


@pytest.mark.parametrize(
    "place", ["loop", "models--org--loop", "models--org--good/loop", "models--org--good/refs/loop"]
)
@pytest.mark.parametrize("target", ["itself", "up", "root"])
def test_loops_of_links_end(run: Run, cache: Path, place: str, target: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever goes round is entered once; a link to what holds the cache is told of, and fails."""
    link = cache / place
    link.symlink_to({"itself": link.name, "up": "..", "root": "/"}[target])
    held = target == "root" or (target == "up" and "/" not in place)
    assert run("audit", "--cache-dir", cache, "--format", "json") == 1
    document = json.loads(capsys.readouterr().out)
    assert document["summary"]["files"] == 3
    unread = [problem["path"] for problem in document["cache"]["problems"] if problem["unread"]]
    assert unread == ([str(link)] if held else [])


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_what_was_not_looked_at_is_listed_and_fails(
    run: Run, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A directory that cannot be listed may hold anything: exit code 2, unless only worse verdicts are to fail."""
    run("audit", "--cache-dir", cache, "--quarantine")
    closed = cache / "models--org--good" / "closed"
    closed.mkdir()
    scandir = os.scandir

    def refused(path: str) -> object:
        if os.fspath(path) == str(closed):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    capsys.readouterr()
    assert run("audit", "--cache-dir", cache) == 2
    shown = capsys.readouterr().out
    assert "UNREAD      models--org--good/closed: Permission denied" in shown
    assert "1 place not looked at" in shown
    assert run("audit", "--cache-dir", cache, "--fail-on", "malicious") == 0
    assert run("audit", "--cache-dir", cache, "--format", "html") == 2


def test_links_out_of_the_cache_lead_to_so_many_files(cache: Path, tmp_path: Path) -> None:
    """A link to a whole disk ends, and is told of."""
    (tmp_path / "disk").mkdir()
    for number in range(20):
        (tmp_path / "disk" / f"{number}.pkl").write_bytes(CLEAN + b"%d" % number)
    (cache / "models--org--good" / "disk").symlink_to(tmp_path / "disk")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("picklegate.hub.audit._MOST_ELSEWHERE", 10)
        found = read_cache(cache)
    assert len(found.contents) == 3 + 10
    assert [problem.unread for problem in found.problems] == [True]


def test_contents_that_no_snapshot_names_are_scanned(cache: Path) -> None:
    """Blobs left behind, spaces, datasets, files that are no links, and the store that repositories share."""
    (cache / "models--org--good" / "blobs" / "left").write_bytes(HOSTILE + b"1")
    plain = cache / "spaces--org--app" / "snapshots" / "abc" / "deep"
    plain.mkdir(parents=True)
    (plain / "plain.pkl").write_bytes(HOSTILE + b"2")
    shared = cache / "blobs" / "ab" / "abcdef"
    shared.parent.mkdir(parents=True)
    shared.write_bytes(HOSTILE + b"3")
    shared.with_name("abcdef.refs").write_text("datasets--org--data/blobs/x")
    pointed = cache / "datasets--org--data"
    (pointed / "blobs").mkdir(parents=True)
    (pointed / "snapshots" / "def").mkdir(parents=True)
    (pointed / "blobs" / "x").symlink_to("../../blobs/ab/abcdef")
    (pointed / "snapshots" / "def" / "data.pkl").symlink_to("../../blobs/x")
    audit = audit_cache(cache)
    found = {os.path.basename(report.name) for report in audit.reports if report.verdict == Verdict.MALICIOUS}
    assert found == {"model.pkl", "left", "plain.pkl", "data.pkl"}
    assert {repository.kind for repository in audit.cache.repositories} == {"model", "dataset", "space"}


def test_a_file_that_cannot_be_read_is_unscannable(cache: Path) -> None:
    """A pipe in a snapshot is told and does not block."""
    revision = next((cache / "models--org--evil" / "snapshots").iterdir())
    os.mkfifo(revision / "pipe.pkl")
    assert verdicts(audit_cache(cache))["pipe.pkl"] == Verdict.UNSCANNABLE


def test_no_cache_is_said_to_be_none(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A directory that is not there is one sentence and exit code 2."""
    assert run("audit", "--cache-dir", tmp_path / "no") == 2
    assert capsys.readouterr().err == (
        f"picklegate: {tmp_path}/no is not a directory: name the Hugging Face cache with --cache-dir\n"
    )


def test_the_report_names_repositories_and_the_reason(
    run: Run, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The worst repository comes first, then what would run, then what is wrong, then the sums."""
    (cache / "gone").symlink_to("nothing")
    assert run("audit", "--cache-dir", cache) == 1
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == f"Cache {cache}"
    assert shown[2].startswith("model org/evil")
    assert shown[2].endswith("1 revision  1 file: 1 malicious")
    assert any("os.system('true')" in line for line in shown)
    assert "PROBLEM     gone: a link to nothing" in shown
    assert shown[-2] == "3 files: 1 malicious, 1 clean, 1 with nothing to judge"
    assert " in 2 repositories, " in shown[-1]


def test_json_has_the_cache_beside_the_files(run: Run, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Contents are in the order of the files, with all paths that lead to them."""
    assert run("audit", "--cache-dir", cache, "--format", "json") == 1
    document = json.loads(capsys.readouterr().out)
    assert [content["paths"][0] for content in document["cache"]["contents"]] == [
        file["path"] for file in document["files"]
    ]
    assert {repository["name"] for repository in document["cache"]["repositories"]} == {"org/good", "org/evil"}


def test_quarantine_leaves_nothing_behind(run: Run, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A blocked content is moved out with every link to it; the rest of the cache stays, and the next run is clean."""
    assert run("audit", "--cache-dir", cache, "--quarantine") == 1
    (entry,) = quarantine.entries()
    assert entry.content is not None
    assert entry.content.read_bytes() == HOSTILE
    assert f"is in quarantine as {entry.short}" in capsys.readouterr().err
    assert not [path for path in cache.rglob("*") if path.is_file() and path.read_bytes() == HOSTILE]
    assert not [path for path in cache.rglob("*") if path.is_symlink() and not path.exists()]
    assert run("audit", "--cache-dir", cache) == 0


def test_ctrl_c_leaves_a_report_on_what_was_done(
    run: Run, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 130, a report that says it is partial, and verdicts that the next run need not make again."""
    scan = batch.scan_batch
    left = [1]

    def interrupted(names: tuple[str, ...], **options: object) -> tuple[FileReport, ...]:
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return scan(names, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(batch, "scan_batch", interrupted)
    assert run("audit", "--cache-dir", cache, "--format", "json") == 130
    output = capsys.readouterr()
    summary = json.loads(output.out)["summary"]
    assert (summary["files"], summary["complete"]) == (1, False)
    assert "interrupted, after 1 file" in output.err
    left.extend([1, 1])
    assert run("audit", "--cache-dir", cache) == 1


def test_reading_a_cache_opens_nothing(cache: Path) -> None:
    """What is there shows in names and links; contents wait for the scan."""
    found = read_cache(cache)
    assert len(found.contents) == 3
    assert all(os.path.samefile(content.blob, content.paths[0]) for content in found.contents)
