"""The pre-commit hook: what follows its entry is a file, whatever its name, and is looked at, whatever its type."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import shlex
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from picklegate.cli.commands import cli
from picklegate.cli.scan import scan
from picklegate.report import Verdict
from picklegate.scan import scan_stream

MANIFEST = Path(__file__).parent.parent / ".pre-commit-hooks.yaml"
HOSTILE = b"cos\nsystem\n(S'true'\ntR."
"""Protocol 0: pre-commit takes it for text."""
OPTIONS = tuple(option for parameter in scan.params for option in parameter.opts if option.startswith("-"))
NAMES = tuple(
    name
    for option in ("--", "-h", "--help", "--version", *OPTIONS)
    for name in (option, f"{option}=p.pkl", f"{option}p.pkl", f"{option} p.pkl")
)
_SIZE = 40 << 20
_PIXELS = b"\x89PNG\r\n\x1a\n" + struct.pack(">L4s2L5BL", 13, b"IHDR", 1, 1, 8, 0, 0, 0, 0, 0)
PASSED = {
    "text": b"The quick brown fox jumps over the lazy dog.\n",
    "source": b'"""A module."""\n\nimport os\n\n\nclass A:\n    x = 1\n',
    "json": json.dumps({"hidden_size": 8}).encode(),
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg">\n<path d="M 0 0 L 1 1"/>\n',
    "csv": b"name,length,width\n1,2,3\n",
    "latin-1": "Stra\xdfe und Gr\xf6\xdfe,\nund noch mehr davon\n".encode("latin-1"),
    "png": _PIXELS + zlib.compress(bytes(1000)),
    "jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(range(256)),
    "gif": b"GIF89a" + bytes(range(256)),
    "webp": b"RIFF\x00\x00\x00\x01WEBPVP8 " + bytes(range(256)),
}
"""What pre-commit takes for text or an image, repeated to any length."""


def hook(*names: str) -> Result:
    """What pre-commit runs: the entry, and behind it the names of files."""
    entry = re.search(r"^  entry: (.*)$", MANIFEST.read_text(encoding="utf-8"), re.MULTILINE)
    assert entry
    program, *arguments = shlex.split(entry[1])
    assert program == "picklegate"
    return CliRunner().invoke(cli, [*arguments, *names], standalone_mode=False)


@pytest.fixture(name="place", autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_no_name_is_an_option(place: Path, name: str) -> None:
    """A hostile file of that name is found, and one beside it too; alone as well."""
    (place / name).write_bytes(HOSTILE)
    (place / "p.pkl").write_bytes(HOSTILE)
    for names, count in ((sorted(os.listdir(place)), 2), ([name], 1)):
        answer = hook(*names)
        assert answer.return_value == 1, answer.output
        assert answer.stdout.count("MALICIOUS ") == count
        assert f"MALICIOUS   {name} " in answer.stdout


def test_standard_input_is_no_way_around(place: Path) -> None:
    """A file of the name ``-`` is not taken for clean."""
    (place / "-").write_bytes(HOSTILE)
    assert hook("-").return_value == 2


@pytest.mark.parametrize("name", ["notes.txt", "model.py", "logo.png", "data.json", "README", "x.pkl", "art.svg"])
def test_no_type_is_left_out(place: Path, name: str) -> None:
    """Types go by names and by the first bytes, of which a pickle can have any."""
    manifest = MANIFEST.read_text(encoding="utf-8")
    assert set(re.findall(r"^  (\w*types\w*|files|exclude): (.*)$", manifest, re.MULTILINE)) == {("types", "[file]")}
    (place / name).write_bytes(HOSTILE)
    assert hook(name).return_value == 1
    (place / name).write_bytes(pickle.dumps({"epoch": 12, "loss": [0.5, 0.25]}, protocol=0))
    assert hook(name).return_value == 0


class _Counting(io.RawIOBase):
    """A file that counts the bytes asked of it."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)
        self.count = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.count += len(data)
        return data


@pytest.mark.parametrize("kind", PASSED)
def test_text_and_images_are_passed_over_cheaply(place: Path, kind: str) -> None:
    """Their beginning and their end show that no loader reads them: 40 MB cost a few requests."""
    content = PASSED[kind]
    (place / f"file.{kind}").write_bytes(content)
    assert hook(f"file.{kind}").return_value == 0
    file: Any = _Counting(content * (_SIZE // len(content)))
    report = scan_stream(file, name=f"file.{kind}", digest=False)
    assert report.verdict == Verdict.CLEAN
    assert report.streams == ()
    assert 0 < file.count < 1 << 19
