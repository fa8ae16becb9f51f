"""``picklegate scan FILE`` has a short way, which nobody notices but by its speed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from picklegate.cli.quick import scan_one
from samples.hostile import HOSTILE

Run = Callable[..., int]
FILES = {
    "clean.pkl": b"\x80\x04}.",
    "evil.pkl": b"cos\nsystem\n(S'true'\ntR.",
    "suspicious.pkl": b"cbuiltins\neval\n.",
    "cut.pkl": b"\x80\x04}",
    "text": b"hello",
    "archive.zip": HOSTILE[0].data,
}


@pytest.fixture(name="here", autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with these files, and no policy file."""
    monkeypatch.setenv("PICKLEGATE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", FILES)
def test_it_prints_what_the_whole_command_prints(run: Run, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The same text and exit code, byte for byte."""
    assert scan_one(name) is not None
    capsys.readouterr()
    short = run("scan", name), capsys.readouterr()
    whole = run("scan", name, "--format", "text"), capsys.readouterr()
    assert short == whole


@pytest.mark.parametrize("name", ["missing", ".", "-", "hf://org/name", "org/name", "--help"])
def test_it_leaves_the_rest_to_the_whole_command(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Folders, addresses, options, standard input and what cannot be opened."""
    assert scan_one(name) is None
    assert capsys.readouterr() == ("", "")


def test_it_heeds_policy_files(run: Run, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With one, the whole command decides."""
    (here / "picklegate.toml").write_text("block_from = 'malicious'\n")
    assert scan_one("suspicious.pkl") is None
    assert run("scan", "suspicious.pkl") == 0
    assert "laxer" in capsys.readouterr().err


def test_it_imports_little() -> None:
    """What a small file does not need is not imported."""
    code = (
        "import sys; from picklegate.__main__ import main\ntry: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, "scan", "clean.pkl"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stderr.split())
    assert not loaded & {"click", "concurrent.futures", "datetime", "difflib", "logging", "requests", "traceback"}
