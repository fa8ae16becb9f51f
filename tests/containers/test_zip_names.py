"""Archives that libraries write to any file name have no finding: what stands before the end record is counted."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from picklegate.containers import read
from picklegate.scan import scan_file
from samples.containers import HONEST, Member, scan, torch_zip, zipped

STEMS = tuple("model_best_checkpoint_of_epoch_0012"[:length].ljust(length, "x") for length in range(1, 81))
_PT2 = (
    "data/weights/weight_0",
    "data/weights/model_weights_config.json",
    "models/model.json",
    "archive_format",
    "archive_version",
)
"""The order in which torch.export.save writes what it writes first."""


@pytest.fixture(scope="module")
def torch() -> Any:
    """The library."""
    return pytest.importorskip("torch")


def _save(torch: Any, path: Path) -> None:
    torch.save({"weight": torch.zeros(3), "epoch": 12}, path)


def _script(torch: Any, path: Path) -> None:
    torch.jit.save(torch.jit.trace(torch.nn.Linear(1, 1), torch.zeros(1, 1)), str(path))


def _package(torch: Any, path: Path) -> None:
    for first in range(len(_PT2)):  # any of these may come first
        writer = torch._C.PyTorchFileWriter(str(path))
        for name in _PT2[first:] + _PT2[:first]:
            writer.write_record(name, b"1", 1)
        writer.write_end_of_file()
        assert scan_file(path).findings == ()


def _npz(torch: Any, path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    with path.open("wb") as file:
        numpy.savez(file, **{path.stem: numpy.zeros(3)})
    del torch


@pytest.mark.parametrize(("write", "suffix"), [(_save, ".pt"), (_script, ".pt"), (_package, ".pt2"), (_npz, ".npz")])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_archive_of_any_name_has_no_finding(write: Any, suffix: str, torch: Any, tmp_path: Path) -> None:
    """Torch puts the file's stem into each member's name, and with it moves what a reader counts."""
    for stem in STEMS:
        path = tmp_path / f"{stem}{suffix}"
        write(torch, path)
        report = scan_file(path)
        assert report.reasons == report.findings == (), stem
        assert report.verdict == 0
        path.unlink()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_exported_program_has_no_finding(torch: Any, tmp_path: Path) -> None:
    """What torch.export.save itself writes, under the name of eight characters that was blocked."""
    program = torch.export.export(torch.nn.Linear(1, 1), (torch.zeros(1, 1),))
    path = tmp_path / "resnet18.pt2"
    torch.export.save(program, path)
    assert scan_file(path).findings == ()


@pytest.mark.parametrize("prefix", [b"", b"#!/bin/sh\nexit 0\n"], ids=["alone", "behind-a-script"])
def test_zip64_records_of_any_length_are_counted(prefix: bytes) -> None:
    """Whatever the entries' lengths are, and whatever data the zip64 record has, one directory is found."""
    for length in range(1, 200):
        for extra in (0,) if prefix else (0, 1, 24, length, length + 46):
            for narrow in (False, True):
                members = [Member(b"n" * length, HONEST), Member(b"m" * (length + 7), HONEST), Member(b"o", HONEST)]
                data = zipped(*members, prefix=prefix, zip64=True, extensible=bytes(extra), narrow=narrow)
                contents = scan(data)
                assert len(contents.streams) == 3
                assert {finding.code for finding in contents.findings} <= {"zip.prefixed"}, (length, extra, narrow)


def test_an_empty_archive_has_one_directory() -> None:
    """No members and zip64 records: there is one directory all the same."""
    for narrow in (False, True):
        contents = scan(zipped(zip64=True, narrow=narrow))
        assert {finding.code for finding in contents.findings} == {"zip.prefixed"}  # it begins with its end record


def test_an_archive_in_an_archive_is_counted_too() -> None:
    """Stored last in another archive, whose directory lies in the same tail."""
    for length in range(1, 81):
        inner = zipped(Member(b"n" * length, HONEST), Member(b"o", HONEST), zip64=True, narrow=True)
        outer = zipped(Member(b"inner.zip", inner), zip64=True, narrow=True)
        assert read(io.BytesIO(outer), name="outer.zip").findings == ()
    assert scan(torch_zip(HONEST)).findings == ()
