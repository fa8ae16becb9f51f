"""How much is said, what is left out, and the answers to what was mistyped."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from picklegate.cli.addresses import Address, hint, parse
from picklegate.cli.progress import Progress

Run = Callable[..., int]
HOSTILE = b"cos\nsystem\n(S'true'\ntR."
SUSPICIOUS = b"cbuiltins\neval\n."
CLEAN = b"\x80\x04}."


@pytest.fixture(name="tree", autouse=True)
def _tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a clean file, a hostile one, and a hostile one in an environment's folder."""
    monkeypatch.setenv("PICKLEGATE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    work = tmp_path / "work"
    (work / "sub" / "__pycache__").mkdir(parents=True)
    (work / "good.pkl").write_bytes(CLEAN)
    (work / "evil.pkl").write_bytes(HOSTILE)
    (work / "sub" / "__pycache__" / "evil.pkl").write_bytes(HOSTILE)
    monkeypatch.chdir(work)
    return work


def test_quiet_shows_what_is_blocked_and_nothing_else(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """No notes, no clean files; the next command speaks again."""
    assert run("scan", ".", "-q") == 1
    output = capsys.readouterr()
    assert "good.pkl" not in output.out
    assert "evil.pkl" in output.out
    assert not output.err
    assert run("scan", ".") == 1
    output = capsys.readouterr()
    assert "good.pkl" in output.out
    assert "left out 1 folder (__pycache__)" in output.err


def test_verbose_lists_every_clean_file_and_the_policy(
    run: Run, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """However many there are."""
    for number in range(30):
        (tree / f"{number}.pkl").write_bytes(CLEAN)
    (tree / "picklegate.toml").touch()
    run("scan", ".", "-v")
    output = capsys.readouterr()
    assert output.out.count("CLEAN") == 32
    assert "policy: " in output.err


def test_debug_shows_where_an_error_comes_from(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """The traceback stands before the sentence, and only then."""
    assert run("explain", "missing", "--debug") == 2
    assert "Traceback" in capsys.readouterr().err
    assert run("explain", "missing") == 2
    assert "Traceback" not in capsys.readouterr().err


def test_folders_of_tools_are_left_out(run: Run, tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Unless they are asked for, by an option or by name; a file of such a name is no such folder."""
    (tree / "node_modules").write_bytes(HOSTILE)
    for arguments, expected in (
        ([".", "--exclude", "evil.pkl"], ["./good.pkl", "./node_modules"]),
        (["."], ["./evil.pkl", "./good.pkl", "./node_modules"]),
        ([".", "--no-default-excludes", "--include", "evil.pkl"], ["./evil.pkl", "./sub/__pycache__/evil.pkl"]),
        (["sub/__pycache__"], ["sub/__pycache__/evil.pkl"]),
    ):
        run("scan", *arguments, "--format", "json")
        assert [file["path"] for file in json.loads(capsys.readouterr().out)["files"]] == expected


def test_a_baseline_leaves_what_is_new(run: Run, tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is known is neither shown nor counted as a failure."""
    run("scan", ".", "--format", "json", "-o", "base.json")
    (tree / "new.pkl").write_bytes(SUSPICIOUS)
    capsys.readouterr()
    assert run("scan", ".", "--baseline", "base.json", "--exclude", "base.json") == 1
    output = capsys.readouterr()
    assert "evil.pkl" not in output.out
    assert "new.pkl" in output.out
    assert "1 blocked file is known from the baseline" in output.err


def test_an_allowed_file_passes_as_allowed(run: Run, tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The text says so, and the exit code is 0."""
    (tree / "evil.pkl").write_bytes(SUSPICIOUS)
    assert run("allow", "evil.pkl", "--reason", "ours") == 0
    assert run("scan", ".") == 0
    assert "ALLOWED     ./evil.pkl  (ours)" in capsys.readouterr().out


def test_github_actions_get_annotations(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where GitHub runs it and no format is asked for; a format that is asked for comes alone."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    run("scan", "evil.pkl")
    assert "\n::error file=evil.pkl," in capsys.readouterr().out
    run("scan", "evil.pkl", "--format", "text")
    assert "::error" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["scann", "x"], "Did you mean scan?"),
        (["good.pkl"], "write `picklegate scan good.pkl`"),
        (["scan", "x", "--scheduler", "foo"], "write the address as tcp://HOST:PORT"),
        (["scan", "https://example.org/a.pkl"], "is not a page of the Hub"),
        (["explain", "hf://org/name"], "name a file in it"),
        (["scan", "hf://buckets/org/name"], "buckets are not read"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_misuse_is_answered_with_what_to_write(
    run: Run, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line, exit code 2."""
    monkeypatch.setitem(sys.modules, "distributed", type(sys)("distributed"))
    sys.modules["distributed"].Client = object  # type: ignore[attr-defined]
    assert run(*arguments) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://huggingface.co/org/name", ("org/name", None, None, "")),
        ("https://huggingface.co/org/name/tree/main", ("org/name", None, "main", "")),
        ("https://huggingface.co/org/name/blob/main/a/b%20c.bin", ("org/name", None, "main", "a/b c.bin")),
        ("https://hf.co/org/name/resolve/refs%2Fpr%2F1/a.bin?download=true", ("org/name", None, "refs/pr/1", "a.bin")),
        ("https://huggingface.co/datasets/org/rows/blob/v1/x", ("org/rows", "dataset", "v1", "x")),
        ("https://huggingface.co/spaces/org/app/", ("org/app", "space", None, "")),
        ("https://huggingface.co/gpt2/blob/main/x.bin", ("gpt2", None, "main", "x.bin")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_page_of_the_hub_is_an_address(text: str, expected: tuple[str, str | None, str | None, str]) -> None:
    """What a browser shows can be pasted."""
    assert parse(text) == Address(**dict(zip(("repo_id", "repo_type", "revision", "path"), expected, strict=True)))  # type: ignore[arg-type]


def test_a_missing_path_that_looks_like_a_repository_gets_a_hint(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Scan and explain say how to write it; a path in a folder that is there is a mistyped path."""
    for command in ("scan", "explain"):
        assert run(command, "org/name") == 2
        assert "write hf://org/name" in capsys.readouterr().err
    assert hint("sub/missing") == ""


def test_entries_that_nothing_needs_are_named(run: Run, tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``policy check --scan`` holds the entries against files."""
    (tree / "evil.pkl").write_bytes(SUSPICIOUS)
    run("allow", "evil.pkl", "ours.models.Net", "ab" * 32, "--reason", "ours")
    capsys.readouterr()
    assert run("policy", "check", "--scan", ".") == 0
    warned = capsys.readouterr().err.splitlines()
    assert len(warned) == 2
    assert all("ours.models.Net" in line or "ab" * 32 in line for line in warned)


def test_long_work_has_a_line_on_a_terminal() -> None:
    """It comes after a moment, says how far the work is, and is gone at the end."""
    code = (
        "import time; from picklegate.cli.progress import Progress\n"
        "with Progress('scanning', 3) as shown:\n"
        "    shown.step()\n"
        "    end = time.monotonic() + 1.2\n"
        "    while time.monotonic() < end: time.sleep(0.05)\n"
    )
    master, slave = pty.openpty()
    subprocess.run([sys.executable, "-c", code], stderr=slave, check=True, timeout=60)
    shown = os.read(master, 1 << 16).decode()
    os.close(slave)
    os.close(master)
    assert "scanning 1 of 3" in shown
    assert shown.endswith("\r\x1b[K")


def test_short_work_has_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is written where stderr is no terminal, or the work is done at once."""
    with Progress("scanning", 2) as shown:
        shown.step()
    assert capsys.readouterr().err == ""


def test_what_nobody_judged_is_told_apart(run: Run, tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A format that is not analysed, and a file without a pickle; --require-judged fails on the first."""
    (tree / "weights.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    (tree / "notes.txt").write_text("hello")
    files = ["good.pkl", "weights.h5", "notes.txt"]
    assert run("scan", *files) == 0
    shown = capsys.readouterr().out
    assert "nothing judged: HDF5)" in shown
    assert shown.endswith("3 files: 1 clean, 2 with nothing to judge\n")
    assert run("scan", *files, "--require-judged") == 2
    assert "UNJUDGED    weights.h5  (blocked: nothing judged: HDF5" in capsys.readouterr().out
    (tree / "picklegate.toml").write_text("block_unjudged = true\n")
    assert run("scan", *files, "--format", "json") == 2
    assert json.loads(capsys.readouterr().out)["summary"]["nothing_judged"] == 2


def test_one_scan_writes_several_reports(run: Run, tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--also, beside the report that is asked for."""
    assert run("scan", "evil.pkl", "--also", "sarif", "a.sarif", "--also", "json", "a.json") == 1
    assert capsys.readouterr().out.startswith("MALICIOUS")
    assert json.loads((tree / "a.sarif").read_text())["runs"][0]["results"]
    assert json.loads((tree / "a.json").read_text())["files"][0]["sha256"]
