"""What picklegate does not analyse is named, told apart from what was judged, and blocks where a policy says so."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from picklegate.policy import Policy
from picklegate.report import FileReport, Verdict
from picklegate.scan import scan_bytes, scan_file
from samples.containers import HONEST, Member, torch_zip, zipped

STRICT = Policy(block_unjudged=True)

UNANALYSED: dict[str, tuple[bytes, str, str]] = {
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(64), "model.h5", "HDF5"),
    "keras": (
        zipped(
            Member(b"metadata.json", b'{"keras_version": "3.0"}'), Member(b"model.weights.h5", b"\x89HDF\r\n\x1a\n")
        ),
        "model.keras",
        "Keras",
    ),
    "onnx": (b"\x08\x07\x12\x07pytorch\x1a\x052.0.0", "model.onnx", "ONNX"),
    "compress": (b"\x1f\x9d\x90" + bytes(30), "model.pkl.Z", ".Z"),
    "lzip": (b"LZIP\x01\x0c" + bytes(30), "model.pkl.lz", "lzip"),
    "snappy": (b"\xff\x06\x00\x00sNaPpY" + bytes(30), "model.pkl.sz", "snappy"),
    "program": (b"MZ\x90\0" + bytes(60), "setup.exe", "program"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "model.pkl", "Git LFS pointer"),
    "hydra": (b"model:\n  _target_: os.system\n  _args_: ['true']\n", "config.yaml", "Hydra"),
    "hydra-json": (b'{"model": {"_target_": "os.system"}}', "config.json", "Hydra"),
    "text": (b"<html>404 Not Found</html>\n", "model.pkl", "text"),
    "dbm": (b"\xcf\x9a\x57\x13" + bytes(60), "shelf", "dbm"),
    "nothing-known": (b"\xfe\xed\x01" + bytes(range(200)), "weights.dat", "does not know"),
}
DATA: dict[str, bytes] = {
    "safetensors": b"\x02\0\0\0\0\0\0\0{}",
    "png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "text": b"# A model card\n",
    "json": b'{"model_type": "bert"}',
    "zip": zipped(Member(b"a.txt", b"text")),
}


@pytest.mark.parametrize("case", UNANALYSED)
def test_a_format_that_is_not_analysed_is_named(case: str) -> None:
    """The verdict stays CLEAN; the report names the format, and a strict policy blocks."""
    data, name, word = UNANALYSED[case]
    report = scan_bytes(data, name=name)
    assert report.streams == ()
    assert word in report.nothing_judged
    assert report.nothing_judged.startswith("nothing judged: ")
    assert "which picklegate does not analyse" in report.nothing_judged
    assert not Policy().blocks(report) or report.verdict == Verdict.UNSCANNABLE
    assert STRICT.blocks(report)
    assert FileReport.from_dict(report.to_dict()) == report


@pytest.mark.parametrize("kind", DATA)
def test_plain_data_is_no_alarm_for_a_strict_policy(kind: str) -> None:
    """Where no loader finds code there is nothing to judge, and the report says that."""
    report = scan_bytes(DATA[kind], name="file")
    assert report.nothing_judged == f"nothing judged: {kind}, in which no pickle loader finds anything"
    assert not STRICT.blocks(report)


def test_what_was_judged_is_told_apart() -> None:
    """A file with a pickle was judged; what else it holds is named beside that."""
    report = scan_bytes(torch_zip(HONEST), name="model.pt")
    assert (report.nothing_judged, report.unjudged) == ("", ())
    assert not STRICT.blocks(report)
    mixed = scan_bytes(zipped(Member(b"a.pkl", HONEST), Member(b"b.h5", b"\x89HDF\r\n\x1a\n")), name="both.zip")
    assert (mixed.nothing_judged, mixed.unjudged) == ("", ("HDF5",))
    assert STRICT.blocks(mixed)
    assert not Policy().blocks(mixed)


def test_a_database_is_named(tmp_path: Path) -> None:
    """A shelf of Python 3.13 is an SQLite database."""
    connection = sqlite3.connect(tmp_path / "shelf.db")
    connection.execute("CREATE TABLE Dict (key BLOB, value BLOB)")
    connection.close()
    assert "SQLite" in scan_file(tmp_path / "shelf.db").nothing_judged


def test_a_digest_that_is_allowed_passes_a_strict_policy() -> None:
    """What the user has examined is let through, judged or not."""
    report = scan_bytes(UNANALYSED["hdf5"][0], name="model.h5")
    assert not Policy(block_unjudged=True, allow_digests=(report.sha256,)).blocks(report)
