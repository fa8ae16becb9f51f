"""Reports as text and JSON, and the escaping of hostile text."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picklegate.escape import escape
from picklegate.render import as_json, text
from picklegate.render.summary import counts, sentence
from picklegate.report import Call, FileReport, Finding, StreamReport, Verdict

HOSTILE_NAME = "\x1b[2J\u202egnp.\u200b\ud800\nCLEAN  all of it"


def report(name: str, verdict: Verdict = Verdict.CLEAN, **fields: object) -> FileReport:
    """A file with one stream of that verdict."""
    stream = StreamReport(name="stream 0", verdict=verdict, score=0.25 * verdict, decided_by="model", **fields)  # type: ignore[arg-type]
    return FileReport(name=name, container="pickle", size=1234, sha256="ab" * 32, streams=(stream,))


def hostile(name: str = "evil.pt") -> FileReport:
    """A file whose only stream runs a command, next to calls that are harmless."""
    ordinary = Call(callee="collections.OrderedDict", arguments=(), opcode="REDUCE", offset=90, score=0.01)
    call = Call(callee="os.system", arguments=("'echo hi'",), opcode="REDUCE", offset=33, score=0.998)
    finding = Finding(
        code="call.execution",
        verdict=Verdict.MALICIOUS,
        message="os.system runs a command",
        stream="a/data.pkl",
        offset=33,
    )
    stream = StreamReport(
        name="a/data.pkl",
        verdict=Verdict.MALICIOUS,
        score=0.998,
        decided_by="execution",
        imports=(("os", "system"),),
        calls=(ordinary, call),
        findings=(finding,),
    )
    return FileReport(name=name, container="torch_zip", size=1234, streams=(stream,))


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        pytest.param("weights/модель.pt", "weights/модель.pt", id="printable-text-stays"),
        pytest.param("a\nb\tc\rd", r"a\nb\tc\rd", id="line-breaks"),
        pytest.param("\x1b[31mred\x07", r"\x1b[31mred\x07", id="ansi"),
        pytest.param("\x9b31m", r"\x9b31m", id="ansi-one-byte"),
        pytest.param("\u202egpj.exe", r"\u202egpj.exe", id="bidi-override"),
        pytest.param("o\u200bs", r"o\u200bs", id="zero-width"),
        pytest.param("\u2066x\u2069", r"\u2066x\u2069", id="bidi-isolate"),
        pytest.param("\ud800\udcff", r"\ud800\udcff", id="lone-surrogates"),
        pytest.param("\u3164\u2800\ufe0f\U000e0101", r"\u3164\u2800\ufe0f\U000e0101", id="invisible-yet-printable"),
        pytest.param("a\u2028b\x85c", r"a\u2028b\x85c", id="unicode-line-ends"),
        pytest.param("a\xa0b\u3000c", r"a\xa0b\u3000c", id="unusual-spaces"),
        pytest.param(r"C:\x41", r"C:\x41", id="backslash-stays"),
    ],
)
def test_escape(raw: str, shown: str) -> None:
    """What could move the cursor, hide or reorder is spelt out; the rest is left alone."""
    assert escape(raw) == shown


@given(st.text(st.characters(codec=None)), st.integers(1, 40))
def test_escape_is_one_visible_line_within_its_width(raw: str, width: int) -> None:
    """Any text becomes printable, keeps its width, and escaping it again changes nothing."""
    shown = escape(raw, width)
    assert shown.isprintable()
    assert len(shown) <= width
    assert escape(shown, width) == shown
    assert escape(escape(raw)) == escape(raw)


def test_escape_marks_a_cut() -> None:
    """An over-long text ends in an ellipsis, one that just fits does not."""
    assert escape("abcdef", 5) == "abcd…"
    assert escape("abcde", 5) == "abcde"
    assert len(escape("x" * 10_000_000, 10)) == 10


def test_text_says_what_would_run_and_where() -> None:
    """A blocked file shows its member, what decided, the offset, the callable with its arguments, and the reason."""
    assert text.render([hostile()]) == (
        "MALICIOUS   evil.pt  (torch_zip, 1.23 kB)\n"
        "  a/data.pkl: decided by execution\n"
        "    call.execution at byte 33: os.system runs a command\n"
        "\n"
        "1 file: 1 malicious\n"
    )


def test_text_shows_the_worst_call_where_no_finding_points_at_one() -> None:
    """A stream that the model blocked shows its calls by score, and says how many more there are."""
    calls = tuple(Call(callee=f"m.f{i}", arguments=(), opcode="REDUCE", offset=i, score=i / 10) for i in range(8))
    shown = text.render([report("a.pkl", Verdict.SUSPICIOUS, calls=calls)])
    assert re.findall(r"m\.f\d", shown) == ["m.f7", "m.f6", "m.f5"]
    assert "... and 5 more calls" in shown


def test_text_puts_the_worst_first() -> None:
    """Files come by verdict, whatever the order of the scan."""
    shown = text.render([report(v.name.lower(), v) for v in Verdict])
    words = [line.split()[0] for line in shown.splitlines() if line[:1].isupper()]
    assert words == ["MALICIOUS", "UNSCANNABLE", "SUSPICIOUS", "CLEAN"]
    assert shown.endswith("\n4 files: 1 malicious, 1 unscannable, 1 suspicious, 1 clean\n")


def test_text_counts_clean_files_where_a_list_would_hide_the_rest() -> None:
    """Many clean files are only counted."""
    few, many = ([report(f"{i}.pkl") for i in range(n)] for n in (text.MAX_CLEAN_LINES, text.MAX_CLEAN_LINES + 1))
    assert text.render(few).count("CLEAN") == text.MAX_CLEAN_LINES
    assert text.render(many) == f"{len(many)} files: {len(many)} clean\n"


@pytest.mark.parametrize("field", ["name", "container", "stream", "callee", "argument", "message"])
def test_text_escapes_whatever_came_from_the_file(field: str) -> None:
    """No field of a report reaches the terminal as it came."""
    said = dict.fromkeys(["name", "container", "stream", "callee", "argument", "message"], "x")
    said[field] = HOSTILE_NAME
    call = Call(callee=said["callee"], arguments=(said["argument"],), opcode="REDUCE", offset=1, score=0.9)
    finding = Finding(code="call.model", verdict=Verdict.MALICIOUS, message=said["message"], offset=1)
    stream = StreamReport(
        name=said["stream"],
        verdict=Verdict.MALICIOUS,
        score=0.9,
        decided_by="model",
        calls=(call,),
        findings=(finding,),
    )
    shown = text.render(
        [
            FileReport(
                name=said["name"],
                container=said["container"],
                size=1,
                streams=(stream, replace(stream, findings=())),
                findings=(finding,),
            )
        ]
    )
    assert all(line.isprintable() for line in shown.splitlines())
    assert r"\x1b[2J\u202egnp.\u200b\ud800\nCLEAN" in shown


def test_text_stays_short_for_an_over_long_report() -> None:
    """A file with thousands of streams, calls, arguments and findings still fits a screen or two."""
    call = Call(callee="m" * 10_000, arguments=("'a'" * 10_000,) * 1000, opcode="REDUCE", offset=1, score=0.9)
    finding = Finding(code="call.model", verdict=Verdict.MALICIOUS, message="b" * 10_000, offset=1)
    stream = StreamReport(
        name="s" * 10_000,
        verdict=Verdict.MALICIOUS,
        score=0.9,
        decided_by="model",
        calls=(call,) * 1000,
        findings=(finding,) * 1000,
    )
    shown = text.render([FileReport(name="n", container="zip", size=10**12, streams=(stream,) * 1000)])
    assert len(shown.splitlines()) < 80
    assert max(map(len, shown.splitlines())) < 500


def test_colours_only_where_asked_for() -> None:
    """Escape sequences are in the text only if the caller wants colours."""
    assert "\x1b" not in text.render([hostile()])
    assert text.render([hostile()], colour=True).startswith("\x1b[1;31mMALICIOUS  \x1b[0m evil.pt")


def test_json_is_the_documented_form() -> None:
    """The document has a schema, the files as they were given, and the counts."""
    document = json.loads(as_json.render([report("b"), hostile("a")]))
    assert document["schema"] == "picklegate.report/1"
    assert [file["path"] for file in document["files"]] == ["b", "a"]
    assert document["files"][1] == {**hostile("a").to_dict(), "allowed": None}
    assert set(document["context"]) == {"engine", "model", "made_by", "time", "environment", "policy"}
    assert document["summary"] == {
        "files": 2, "malicious": 1, "unscannable": 0, "suspicious": 0, "clean": 1, "allowed": 0,
        "nothing_judged": 0, "complete": True
    }  # fmt: skip


def test_json_survives_any_name() -> None:
    """Names that are no valid Unicode give valid ASCII, and come back as they were."""
    rendered = as_json.render([report(HOSTILE_NAME)], complete=False)
    assert rendered.isascii()
    document = json.loads(rendered)
    assert document["files"][0]["path"] == HOSTILE_NAME
    assert document["summary"]["complete"] is False


def test_counts_of_nothing() -> None:
    """No files are no verdicts."""
    assert counts([]) == {"files": 0, "malicious": 0, "unscannable": 0, "suspicious": 0, "clean": 0}
    assert sentence([]) == "0 files"
