"""joblib's arrays between opcodes: what stands behind, in and instead of an array is seen."""

from __future__ import annotations

import io

import joblib
import numpy as np
import pytest

import picklegate
from picklegate.pickles import tracer
from picklegate.report import Verdict
from samples.containers import CALL, HONEST, PAYLOAD, dtype, imports, joblib_array, joblib_file, npy, number, scan, text


def blocking(data: bytes) -> set[str]:
    """The codes of the findings that block."""
    return {finding.code for finding in scan(data).findings if finding.verdict > Verdict.CLEAN}


def test_a_call_behind_an_array_is_seen() -> None:
    """Opcodes go on behind the raw bytes of an array."""
    contents = scan(joblib_file(after=CALL))
    assert ("os", "system") in imports(contents)
    assert all(stream.trace.stopped for stream in contents.streams)


def test_a_call_in_an_object_array_is_seen_and_so_is_what_follows() -> None:
    """An array of objects is a stream of its own, and the outer stream is read to its end."""
    contents = scan(joblib_file(code="O", raw=PAYLOAD))
    assert [stream.name for stream in contents.streams][:2] == ["stream 1", "stream 1: array at 190"]
    assert all(stream.trace.stopped for stream in contents.streams)
    assert ("os", "system") in imports(scan(joblib_file(after=CALL, code="O", raw=HONEST)))


def test_an_array_in_a_stream_that_is_read_again_is_one_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that takes a long list has the stream read twice; its arrays count once."""
    monkeypatch.setattr(tracer, "_SMALL", 0)
    array = joblib_array("O", HONEST, count=1)
    contents = scan(b"\x80\x02](" + array + b"cm_x\nrun\n](" + b"K\x01" * 300 + b"e\x85Re.")
    assert [stream.name for stream in contents.streams].count("stream 1: array at 190") == 1, contents.streams


@pytest.mark.parametrize("module", ["joblib", "sklearn.externals.joblib"])
def test_vendored_copies_are_read_alike(module: str) -> None:
    """Older scikit-learn brought its own joblib."""
    array = joblib_array("<f8", bytes(range(200, 224)), count=3, module=module)
    contents = scan(b"\x80\x02](" + array + CALL + b"e.")
    assert ("os", "system") in imports(contents)
    assert contents.container == "joblib"


def test_opcodes_in_the_place_of_an_array_are_what_pickle_load_runs() -> None:
    """An array that is raw bytes for joblib is the payload for pickle.load: both readings are streams."""
    payload = CALL.ljust(24, b"0") + b"."
    contents = scan(joblib_file(raw=payload.ljust(32, b"\0"), count=4))
    assert contents.streams[0].trace.stopped
    assert ("os", "system") not in {(one.module, one.name) for one in contents.streams[0].trace.imports}
    assert ("os", "system") in imports(contents)


@pytest.mark.parametrize(
    "kind",
    [
        dtype("<f8", flags=1),
        dtype("S5", size=50),
        dtype("V8", size=8, flags=63),
        dtype("O", flags=0),
    ],
    ids=["number-that-is-an-object", "longer-text", "record-with-objects", "object-that-is-none"],
)
def test_a_type_that_changes_after_it_is_named_is_a_finding(kind: bytes) -> None:
    """Numpy believes the state of a type, so a state that contradicts the name keeps the file from passing."""
    raw = HONEST if b"O" in kind else bytes(range(200, 224))
    data = b"\x80\x02](" + joblib_array("", raw, count=3, kind=kind) + b"Ne."
    assert "joblib.ambiguous-type" in blocking(data)


@pytest.mark.parametrize("code", ["Z9", "", "i4,O"])
def test_a_type_that_is_not_known_is_a_finding(code: str) -> None:
    """Where the length of an array cannot be told nothing behind it can be found."""
    assert "joblib.unknown-array" in blocking(joblib_file(code=code))


def test_an_array_longer_than_the_file_is_a_fault() -> None:
    """A count past the end of the file leaves the stream unfinished."""
    assert not scan(joblib_file(count=1 << 30)).streams[0].trace.stopped


def test_alignment_is_skipped_by_its_own_length() -> None:
    """The padding is as long as the byte before it says."""
    wrapper = joblib_array("<f8", b"", count=1).removesuffix(b"ub")
    padded = text("numpy_array_alignment_bytes") + number(16) + b"ub\x03\xff\xff\xff" + bytes(range(200, 208))
    contents = scan(b"\x80\x02](" + wrapper + padded + CALL + b"e.")
    assert ("os", "system") in imports(contents)
    assert contents.streams[0].trace.stopped


@pytest.mark.parametrize(
    ("filename", "code"),
    [("model.pkl_01.npy", None), ("/tmp/x.npy", "joblib.sibling-elsewhere"), ("../x.npy", "joblib.sibling-elsewhere")],
    ids=["beside", "absolute", "above"],
)
def test_arrays_in_other_files_are_named(filename: str, code: str | None) -> None:
    """Files that the oldest format loads too are named, and those outside the directory block."""
    wrapper = b"cjoblib.numpy_pickle\nNDArrayWrapper\n)\x81}(" + text("filename") + text(filename)
    data = b"\x80\x02" + wrapper + text("subclass") + b"cnumpy\nndarray\nub."
    contents = scan(data)
    assert "joblib.sibling-files" in {finding.code for finding in contents.findings}
    assert blocking(data) == ({code} if code else set())


def test_an_object_array_without_a_pickle_is_unscannable() -> None:
    """A type of objects promises a pickle behind the header."""
    assert "container.no-stream" in blocking(npy(b"\xff\xff\xff"))


@pytest.mark.parametrize(
    "value",
    [
        np.array([np.int64(1), np.int64(2), 1.5], dtype=object),
        {"a": np.array([np.float32(1), np.str_("x")], dtype=object), "b": np.array([1, None])},
        np.array([{"a": np.int64(1)}, {"b": [1]}], dtype=object),
        np.array([np.zeros(3), np.ones((2, 2))], dtype=object),
    ],
    ids=["numbers", "texts", "dicts", "ragged"],
)
def test_an_object_array_of_numpys_own_is_clean(value: object) -> None:
    """To pickle.load the memo of such an array goes on where it should begin again: it raises, and does nothing."""
    file = io.BytesIO()
    joblib.dump(value, file)
    assert picklegate.scan_bytes(file.getvalue(), name="a.joblib").verdict == Verdict.CLEAN


@pytest.mark.parametrize(
    "end", [b"))R", b"]]\x93", b"}\x8c\x01x\x93"], ids=["call-of-a-tuple", "lists-for-a-name", "dict-for-a-module"]
)
def test_what_raises_does_not_hide_what_ran_before(end: bytes) -> None:
    """Where pickle.load would end with an error, the calls before it count."""
    contents = scan(joblib_file(raw=(CALL + end + b".").ljust(40, b"\0"), count=5))
    assert ("os", "system") in imports(contents)
    assert "os.system" in {event.known for stream in contents.streams for event in stream.trace.events}
