"""What is a pickle and what is not: text and foreign formats are no alarm, and a payload in them is a stream."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

import pytest

from picklegate.report import Verdict
from samples.containers import CALL, HONEST, PAYLOAD, imports, scan, zipped

INNOCENT: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty"),
    "one-byte": (b"x", "text"),
    "one-zero-byte": (b"\0", "unknown"),
    "stop-alone": (b".", "text"),
    "source": (b"class Foo:\n    bar = 1\n\n\ndef run(): ...\n", "text"),
    "word-list": (b"cat\ncattle\ncode\ndog\n", "text"),
    "module-names": (b"collections\nOrderedDict\nos\nsystem\n", "text"),
    "git-ignore": (b"coverage\nnode_modules\n.env\n*.log\n", "text"),
    "parenthesis-and-i": (b"(in memory of)\nsomebody\n", "text"),
    "numbered": (b"I1\nI2\n", "text"),
    "preface": (b"Preface\nThis book\n", "text"),
    "latin-1": ("caf\u00e9\nna\u00efve\n".encode("latin-1"), "text"),
    "utf-8": ("caf\u00e9\nna\u00efve\n".encode(), "text"),
    "csv": (b"id,name\n1,a\n2,b\n", "text"),
    "json": (b'{"model_type": "bert"}', "json"),
    "json-list": (b'[{"a": 1}]', "json"),
    "xml": (b"<?xml version='1.0'?><a/>", "text"),
    "lfs-pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "lfs-pointer"),
    "safetensors": (b"\x02\0\0\0\0\0\0\0{}", "safetensors"),
    "gguf": (b"GGUF\x03\0\0\0" + bytes(16), "gguf"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(64), "hdf5"),
    "png": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "png"),
    "jpeg": (b"\xff\xd8\xff\xe0\0\x10JFIF", "jpeg"),
    "onnx": (b"\x08\x07\x12\x07pytorch\x1a\x052.0.0", "onnx"),
    "extension-code-alone": (b"\x82\x10\xfe\xfd" + bytes(16), "unknown"),
    "type-1-font": (b"\x80\x01\x8b\x10\0\0%!PS-AdobeFont-1.0: CMR10", "unknown"),
    "protocol-header-alone": (b"\x80\x04\0\0\0\0\0\0", "unknown"),
    "plain-zip": (zipped(), "zip"),
}


@pytest.mark.parametrize("case", INNOCENT)
def test_what_is_no_pickle_is_clean(case: str) -> None:
    """Ordinary files have a container's name, no stream and no finding."""
    data, container = INNOCENT[case]
    contents = scan(data, "file.bin")
    assert (contents.container, contents.streams, contents.findings) == (container, (), ())


@pytest.mark.parametrize(
    "data",
    [
        PAYLOAD + b"and then a story",
        CALL + b"\nhello",
        b"N." + CALL,
        b"cos\nsystem\n." + PAYLOAD,
        b"\x8c\x02os\x8c\x06system\x93 garbage",
        b"\x80\x02cos\nsystem\n garbage",
        b"GGUF\x03\0\0\0\0" + PAYLOAD,
        b"\x82\x10cos\nsystem\n(S'true'\ntR garbage",
        b"XXX\0\0\0" + bytes(10),
        b"\x40" + PAYLOAD + bytes(700),
    ],
    ids=[
        "text-behind",
        "broken",
        "after-a-literal",
        "after-a-lone-import",
        "binary-import-alone",
        "protocol-2-import-alone",
        "behind-a-gguf-magic",
        "behind-an-extension-code",
        "no-pickle",
        "no-opcode-first",
    ],
)
def test_a_payload_under_an_innocent_name_is_a_stream(data: bytes, request: pytest.FixtureRequest) -> None:
    """A headerless payload in a text file is found if the loader would get to it, and only then."""
    found = imports(scan(data, "notes.txt"))
    reached = "no-" not in request.node.callspec.id
    assert (("os", "system") in found) == reached


@pytest.mark.parametrize("name", ["m.pkl", "M.PT", "m.pth", "m.joblib", "m.pickle"])
@pytest.mark.parametrize(
    ("data", "kind"),
    [(b"", "empty"), (b"\0\1\2\3", "unknown"), (zipped(), "zip")],
    ids=["empty", "binary", "empty-zip"],
)
def test_a_name_that_promises_a_pickle_must_keep_it(name: str, data: bytes, kind: str) -> None:
    """A file named like a pickle that holds none is UNSCANNABLE, and under another name it is clean."""
    contents = scan(data, name)
    assert contents.container == kind
    assert [(finding.code, finding.verdict) for finding in contents.findings] == [
        ("container.no-stream", Verdict.UNSCANNABLE)
    ]
    assert scan(data, "weights.bin").findings == ()


@pytest.mark.parametrize("data", [b"\x80\x02}q\0X\x01\0", HONEST[:-1], b"(dp0\nS'a'\np1\n"], ids=["2", "stop", "0"])
def test_a_cut_off_pickle_is_a_stream_with_a_fault(data: bytes) -> None:
    """What is cut off before STOP does not pass for a file without a pickle."""
    contents = scan(data, "model.pkl")
    assert [stream.trace.stopped for stream in contents.streams] == [False]


def test_text_named_like_a_pickle_is_told_from_a_broken_one() -> None:
    """A page of text under a model's name holds nothing that a loader would run."""
    contents = scan(b"<html>404 Not Found</html>\n", "model.pt")
    assert (contents.container, contents.streams, contents.findings) == ("text", (), ())


def test_thousands_of_ordinary_files_raise_no_alarm() -> None:
    """The standard library's own files have no stream that ends in a fault and no finding that blocks."""
    root = Path(sysconfig.get_paths()["stdlib"])
    alarms, count = [], 0
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(set(folders) - {"test", "tests", "site-packages", "__pycache__"})
        for file in files:
            path = Path(folder, file)
            if not path.is_file() or path.stat().st_size > 1 << 22:
                continue
            contents = scan(path.read_bytes(), file)
            count += 1
            if any(finding.verdict > Verdict.CLEAN for finding in contents.findings) or not all(
                stream.trace.stopped for stream in contents.streams
            ):
                alarms.append(path)
    assert alarms == []
    assert count > 500
