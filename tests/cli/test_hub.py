"""The Hub on the command line: scanning without a download, and downloads through the gate."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from picklegate import scan_repo
from picklegate.cli.addresses import Address, parse
from picklegate.demo import faults, models, repositories
from picklegate.demo.hub_server import Hub
from picklegate.report import Verdict

ORDINARY = models.repositories()[models.ORDINARY]
HOSTILE = models.repositories()[models.HOSTILE]
WEIGHTS = models.WEIGHTS
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(name="hub")
def _hub(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A Hub with a model that has a hostile branch, and with a data set."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("PICKLEGATE_HOME", str(tmp_path_factory.mktemp("home")))
    with Hub({"org/model": ORDINARY, "datasets/org/rows": {"sub/rows.txt": b"one\n", "top.txt": b"two\n"}}) as hub:
        hub.push("org/model", HOSTILE, branch="refs/pr/1")
        yield hub


@pytest.fixture(name="run")
def _run(hub: Hub, tmp_path: Path) -> Run:
    """Runs the command line against the Hub."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": ""}
        command = [sys.executable, "-m", "picklegate", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    return run


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hf://org/name", ("org/name", None, None, "")),
        ("org/name", ("org/name", None, None, "")),
        ("hf://gpt2", ("gpt2", None, None, "")),
        ("hf://org/name@main", ("org/name", None, "main", "")),
        ("hf://org/name@refs/pr/1/a/b.bin", ("org/name", None, "refs/pr/1", "a/b.bin")),
        ("hf://org/name@refs%2Fpr%2F1/a.bin", ("org/name", None, "refs/pr/1", "a.bin")),
        ("hf://org/name/sub/", ("org/name", None, None, "sub")),
        ("hf://datasets/org/name@v1/x", ("org/name", "dataset", "v1", "x")),
        ("hf://spaces/org/name", ("org/name", "space", None, "")),
        ("hf://models/org/name", ("org/name", "model", None, "")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_address_has_parts(text: str, expected: tuple[str, str | None, str | None, str]) -> None:
    """The forms are those of HfFileSystem."""
    assert parse(text) == Address(**dict(zip(("repo_id", "repo_type", "revision", "path"), expected, strict=True)))  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["hf://", "hf:///x", "hf://@main"])
def test_what_is_no_address_is_told(text: str) -> None:
    """Misuse says how to write it."""
    with pytest.raises(click.UsageError, match="write hf://"):
        parse(text)


def test_a_repository_is_judged_without_a_download(hub: Hub) -> None:
    """Every file has a report, beside what that took and what the Hub's own scanners say."""
    options = {"endpoint": hub.endpoint, "token": False}
    report = scan_repo("org/model", revision="refs/pr/1", **options)  # type: ignore[arg-type]
    assert {file.name.rpartition("/")[2] for file in report.files} == set(HOSTILE)
    assert report.verdict == Verdict.MALICIOUS
    assert report.commit[:12] in report.name
    assert dict(report.statuses) == dict.fromkeys(HOSTILE, "unscanned")
    assert report.requests == sum(bool(request.range) for request in hub.requests)
    assert 0 < report.bytes_read <= sum(map(len, HOSTILE.values()))
    assert not [request for request in hub.requests if request.status == 200 and "/api/" not in request.path]
    assert json.loads(json.dumps(report.to_dict()))["requests"] == report.requests
    again = scan_repo("org/model", revision="refs/pr/1", **options)  # type: ignore[arg-type]
    assert (again.requests, again.bytes_read) == (0, 0)
    assert [file.to_dict() for file in again.files] == [file.to_dict() for file in report.files]


def test_what_the_hubs_scanners_object_to_is_noted(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands in the report as a note, which changes no verdict."""
    plain = repositories.expanded

    def objecting(entry: dict[str, Any], commit: str) -> dict[str, Any]:
        found = plain(entry, commit)
        found["securityFileStatus"]["status"] = "unsafe" if entry["path"] == WEIGHTS else "safe"
        return found

    monkeypatch.setattr("picklegate.demo.hub_server.expanded", objecting)
    report = scan_repo("org/model", endpoint=hub.endpoint, token=False)
    assert dict(report.statuses)[WEIGHTS] == "unsafe"
    noted = [file.name.rpartition("/")[2] for file in report.files if file.findings]
    assert (noted, report.verdict) == ([WEIGHTS], Verdict.CLEAN)


def test_what_cannot_be_read_in_parts_is_no_clean_file(hub: Hub) -> None:
    """Without ranges there is no verdict, and that is said."""
    hub.faults.append(faults.on(".", faults.unranged, ranged=True))
    report = scan_repo("org/model", endpoint=hub.endpoint, token=False)
    assert {file.verdict for file in report.files} == {Verdict.UNSCANNABLE}
    assert {finding.code for file in report.files for finding in file.findings} == {"hub.no-parts"}


def test_an_address_is_scanned(run: Run, tmp_path: Path) -> None:
    """The report is that of files, and stderr says what reading them took."""
    found = run("scan", "hf://org/model@refs/pr/1", "--format", "json")
    assert found.returncode == 1
    paths = [file["path"] for file in json.loads(found.stdout)["files"]]
    assert len(paths) == len(HOSTILE)
    assert all(path.startswith("hf://org/model@") for path in paths)
    assert "judged on " in found.stderr
    assert not (tmp_path / "hf" / "hub").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("scan", "hf://datasets/org/rows/sub"), 0, "1 file of 4 bytes"),
        (("scan", "hf://datasets/org/rows/missing.txt"), 2, "no such file or folder"),
        (("scan", "hf://org/missing"), 2, "hf://org/missing: Repository Not Found"),
        (("download", "org/model", "missing.bin"), 2, "org/model: Entry Not Found"),
        (("download", "org/model", "config.json", "--include", "*"), 2, "leave out the names"),
    ],
    ids=["folder", "missing-path", "missing-repository", "no-file", "misuse"],
)
def test_one_sentence_says_what_is_wrong(run: Run, arguments: tuple[str, ...], code: int, words: str) -> None:
    """The exit code is the documented one, and there is no traceback."""
    found = run(*arguments)
    assert (found.returncode, words in found.stderr, "Traceback" in found.stderr) == (code, True, False), found.stderr


def test_the_clients_hints_are_kept(run: Run) -> None:
    """What the client says to do stands behind what it says is wrong."""
    said = run("scan", "hf://org/missing").stderr
    assert "Repository Not Found" in said
    assert "authenticated" in said
    assert len(said.splitlines()) == 1


def test_a_download_prints_the_path(run: Run, tmp_path: Path) -> None:
    """One file's path, or the folder of several, is all that stdout has."""
    one = run("download", "org/model", WEIGHTS)
    assert Path(one.stdout.strip()).read_bytes() == ORDINARY[WEIGHTS]
    folder = run("download", "hf://org/model", "--include", "*.json", "--local-dir", str(tmp_path / "local"))
    assert Path(folder.stdout.strip()) == tmp_path / "local"
    assert [path.name for path in (tmp_path / "local").iterdir() if path.is_file()] == ["config.json"]


def test_a_refused_download_says_why(run: Run, hub: Hub) -> None:
    """Exit code 1, nothing on stdout, the reason on stderr; the policy can skip instead."""
    refused = run("download", "org/model", "--revision", "refs/pr/1")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "is refused (MALICIOUS)" in refused.stderr
    skipped = run("download", "org/model@refs/pr/1", "--on-block", "skip")
    assert skipped.returncode == 0
    assert {path.name for path in Path(skipped.stdout.strip()).iterdir()} == set(HOSTILE) - set(models.PAYLOADS)


def test_a_dry_run_judges_and_fetches_nothing(run: Run, tmp_path: Path) -> None:
    """Each file is listed with what would become of it; the exit code is that of the verdicts."""
    clean = run("download", "org/model", "--dry-run")
    assert clean.returncode == 0
    assert len(clean.stdout.splitlines()) == len(ORDINARY)
    assert "would be fetched" in clean.stdout
    hostile = run("download", "org/model", "--revision", "refs/pr/1", "--dry-run", "--format", "json")
    assert hostile.returncode == 1
    assert json.loads(hostile.stdout)["verdict"] == "MALICIOUS"
    assert run("download", "org/model", "missing.bin", "--dry-run").returncode == 2
    assert not (tmp_path / "hf" / "hub").exists()


def test_programs_get_the_path_or_the_report(run: Run) -> None:
    """As JSON, and with -q nothing else."""
    fetched = run("download", "org/model", WEIGHTS, "--format", "json", "-q")
    assert Path(json.loads(fetched.stdout)["path"]).read_bytes() == ORDINARY[WEIGHTS]
    assert fetched.stderr == ""
    refused = run("download", "org/model", "--revision", "refs/pr/1", "--format", "json")
    assert json.loads(refused.stdout)["refused"]["verdict"] == "MALICIOUS"


def test_a_page_and_a_file_of_the_hub_are_explained(run: Run, hub: Hub) -> None:
    """By parts, without a download."""
    name = next(iter(models.PAYLOADS))
    shown = run("explain", f"hf://org/model@refs/pr/1/{name}")
    assert shown.returncode == 1, shown.stderr
    assert f"hf://org/model@{hub.repository('org/model').branches['refs/pr/1'][:12]}/{name}" in shown.stdout  # type: ignore[union-attr]
    assert "  Loading it would" in shown.stdout
    page = run("scan", f"{hub.endpoint}/org/model/blob/main/{WEIGHTS}")
    assert page.returncode == 0, page.stderr
    assert "1 file" in page.stderr
