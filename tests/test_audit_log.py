"""The log of decisions: each is there once, as one line that nothing in it can break."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from picklegate import audit_log
from picklegate.cli import main
from picklegate.demo import models
from picklegate.demo.hub_server import Hub
from picklegate.errors import BlockedError, PolicyError
from picklegate.guard import safe_pickle_loads
from picklegate.hub.download import safe_hf_hub_download, safe_snapshot_download
from picklegate.policy import Policy
from picklegate.policy_file import load
from picklegate.protection import protect
from picklegate.scan import scan_bytes

HOSTILE = scan_bytes(b"cos\nsystem\n(S'true'\ntR.", name="\x1b[31mx\n{}.pkl")


@pytest.fixture(name="log")
def _log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PICKLEGATE_LOG", str(tmp_path / "log" / "picklegate.jsonl"))
    monkeypatch.setenv("PICKLEGATE_HOME", str(tmp_path / "home"))
    audit_log._told.cache_clear()
    return tmp_path / "log" / "picklegate.jsonl"


@pytest.fixture(name="hub")
def _hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    with Hub(models.repositories()) as hub:
        yield hub


def lines(log: Path) -> list[dict[str, Any]]:
    """What was logged since the last look."""
    found = [json.loads(line) for line in log.read_text("ascii").splitlines()] if log.exists() else []
    log.unlink(missing_ok=True)
    return found


def events(log: Path) -> list[str]:
    """What happened, in order."""
    return [line["event"] for line in lines(log)]


def test_a_block_is_logged_with_who_what_and_why(
    log: Path, hub: Hub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In the file, and with the whole message at ERROR for those who replace exceptions."""
    options: dict[str, Any] = {"endpoint": hub.endpoint, "token": False, "cache_dir": tmp_path / "cache"}
    with pytest.raises(BlockedError) as caught:
        safe_hf_hub_download(models.HOSTILE, models.WEIGHTS, **options)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert (record.name, record.getMessage()) == ("picklegate", str(caught.value))
    (line,) = lines(log)
    report = caught.value.report
    assert line["event"] == "block"
    assert (line["name"], line["sha256"], line["verdict"]) == (report.name, report.sha256, "MALICIOUS")
    assert line["reason"] == report.reasons[0].message
    assert line["pid"] == os.getpid()
    assert line["user"]
    assert line["made_by"]["model"]["digest"]


def test_each_kind_of_decision_is_logged(
    log: Path, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is allowed, left out, kept, given out and removed; what is clean is no event."""
    options: dict[str, Any] = {"endpoint": hub.endpoint, "token": False}
    safe_hf_hub_download(models.ORDINARY, models.WEIGHTS, cache_dir=tmp_path / "a", **options)
    assert events(log) == []
    keep = Policy(on_block="quarantine")
    with pytest.raises(BlockedError) as caught:
        safe_hf_hub_download(models.HOSTILE, models.WEIGHTS, cache_dir=tmp_path / "b", policy=keep, **options)
    assert events(log) == ["quarantine", "block"]
    trusting = Policy(allow_digests=(caught.value.report.sha256,))
    safe_hf_hub_download(models.HOSTILE, models.WEIGHTS, cache_dir=tmp_path / "c", policy=trusting, **options)
    assert sorted(events(log)) == ["allow", "looser"]
    skipping = Policy(on_block="skip")
    safe_snapshot_download(models.HOSTILE, cache_dir=tmp_path / "d", policy=skipping, **options)
    assert events(log) == ["looser", "leave-out", "leave-out"]
    path = tmp_path / "x.pkl"
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    for arguments, expected in (
        (("add", str(path)), ["quarantine"]),
        (("release", HOSTILE.sha256, "-o", str(tmp_path / "out")), ["release"]),
        (("purge", HOSTILE.sha256), ["purge"]),
    ):
        monkeypatch.setattr("sys.argv", ["picklegate", "quarantine", *arguments])
        with pytest.raises(SystemExit) as exit_:
            main()
        assert exit_.value.code == 0
        found = lines(log)
        assert [line["event"] for line in found] == expected
        assert found[0]["sha256"] == HOSTILE.sha256
    capsys.readouterr()


def test_what_a_library_hides_is_still_logged(log: Path, hub: Hub, tmp_path: Path) -> None:
    """An exception that is replaced on its way leaves the event."""
    from huggingface_hub import hf_hub_download

    def from_pretrained() -> None:
        try:
            hf_hub_download(
                models.HOSTILE, models.WEIGHTS, endpoint=hub.endpoint, token=False, cache_dir=tmp_path / "cache"
            )
        except Exception as error:
            raise OSError("can't load the model") from error

    with protect(), pytest.raises(OSError, match="can't load"):
        from_pretrained()
    assert events(log) == ["block"]


def test_what_a_load_is_refused_for_is_logged(log: Path) -> None:
    """Although no file may be written while it lasts."""
    data = b"cos\nsystem\n(S'true'\ntR."
    policy = Policy(allow_digests=(scan_bytes(data).sha256,))
    with pytest.raises(BlockedError):
        safe_pickle_loads(data, policy=policy)
    assert events(log) == ["allow", "block"]


def test_hostile_text_breaks_no_line(log: Path) -> None:
    """Names and reasons are escaped, and cut."""
    report = replace(HOSTILE, name="\x1b[2J\n" * 10_000)
    audit_log.note("block", report, message="x")
    (line,) = log.read_text("ascii").splitlines()
    assert len(line) < 4_000
    assert "\x1b" not in json.loads(line)["name"]


def test_lines_of_threads_stay_whole(log: Path) -> None:
    """Each is one write to the end of the file."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: audit_log.note("block", HOSTILE, message="x"), range(200)))
    assert len(lines(log)) == 200


@pytest.mark.skipif(os.name != "posix", reason="links and modes are POSIX's")
@pytest.mark.parametrize("harm", ["link", "directory", "others"])
def test_a_log_that_cannot_be_written_stops_nothing(log: Path, caplog: pytest.LogCaptureFixture, harm: str) -> None:
    """One warning; what a link leads to is not written to, and others cannot have written the log."""
    log.parent.mkdir()
    if harm == "link":
        (log.parent / "precious").touch()
        log.symlink_to("precious")
    elif harm == "directory":
        log.mkdir()
    else:
        log.touch()
        log.chmod(0o666)
    for _ in range(2):
        audit_log.note("allow", HOSTILE, message="x")
    assert sum("cannot be written" in record.getMessage() for record in caplog.records) == 1
    assert not (log.parent / "precious").exists() or not (log.parent / "precious").stat().st_size


def test_a_policy_names_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own file and one that is named may; a project's file may not, which may be a stranger's."""
    monkeypatch.setenv("PICKLEGATE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PICKLEGATE_LOG", raising=False)
    project = tmp_path / "project"
    project.mkdir()
    (project / "picklegate.toml").write_text('log = "own.jsonl"\n')
    policy = load(project / "picklegate.toml").policy
    assert policy.log == str(project / "own.jsonl")
    audit_log.note("block", HOSTILE, policy=policy, message="x")
    assert events(project / "own.jsonl") == ["block"]
    monkeypatch.chdir(project)
    with pytest.raises(PolicyError, match="log: a project's file cannot name it"):
        load()
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home" / "picklegate.toml").write_text('log = "~/decisions.jsonl"\n')
    (project / "picklegate.toml").unlink()
    assert load().policy.log == str(Path("~/decisions.jsonl").expanduser())
