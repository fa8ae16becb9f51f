"""What a refusal says, and the command that it gives."""

from __future__ import annotations

import pytest

from picklegate import Call, FileReport, Finding, StreamReport, Verdict, scan_bytes
from picklegate.refusal import REASON, advice, allowing, sentences

DIGEST = "ab" * 32


def report(
    verdict: Verdict, *, code: str = "call.score", callee: str = "ours.Net", name: str = "a b.pkl", digest: str = DIGEST
) -> FileReport:
    """A file with one finding, about one call."""
    call = Call(callee=callee, arguments=(), opcode="REDUCE", offset=7, score=0.7)
    finding = Finding(code=code, verdict=verdict, message=f"loading calls {callee}()", stream="stream 1", offset=7)
    stream = StreamReport(
        name="stream 1", verdict=verdict, score=0.7, decided_by="model", calls=(call,), findings=(finding,)
    )
    return FileReport(name=name, container="raw", size=9, sha256=digest, streams=(stream,))


def test_it_says_what_and_where() -> None:
    """Two sentences: what loading would do, and the place."""
    assert sentences(report(Verdict.SUSPICIOUS)) == (
        "loading calls ours.Net().",
        "Found in stream 1, byte 7 (call.score).",
    )


@pytest.mark.parametrize("verdict", [Verdict.SUSPICIOUS, Verdict.UNSCANNABLE])
def test_a_refusal_gives_the_command_that_allows_the_file(verdict: Verdict) -> None:
    """By digest where it is known, by path where not, and by name where the findings are about callables alone."""
    name = f"picklegate allow ours.Net {REASON}"
    assert [*allowing(report(verdict))] == [f"picklegate allow {DIGEST} {REASON}", name]
    assert [*allowing(report(verdict, digest=""))] == [f"picklegate allow 'a b.pkl' {REASON}", name]
    assert name in advice(report(verdict))


@pytest.mark.parametrize(
    "changes",
    [
        {"code": "state.on-global"},
        {"code": "import.execution"},
        {"callee": "unresolved"},
        {"callee": "collections.OrderedDict"},
        {"code": "call.contract"},
        {"code": "call.capability"},
        {"callee": "a.b\u202e"},
        {"callee": "a.b; rm -rf"},
    ],
    ids=str,
)
def test_a_name_is_offered_only_where_trusting_it_is_enough(changes: dict[str, str]) -> None:
    """Other findings, and names that a file has made up, leave the digest alone."""
    assert [*allowing(report(Verdict.SUSPICIOUS, **changes))] == [f"picklegate allow {DIGEST} {REASON}"]


@pytest.mark.parametrize("name", ["-", "hf://org/name/a.pkl", "\x1b[2J.pkl", "a\nb.pkl"])
def test_no_path_is_offered_that_a_shell_would_not_take(name: str) -> None:
    """Standard input, an address and a name with control characters are no paths to paste."""
    assert [*allowing(report(Verdict.SUSPICIOUS, name=name, digest="", callee="unresolved"))] == []


def test_a_malicious_file_has_no_command() -> None:
    """It says not to load the file, and how to report a false alarm."""
    told = advice(scan_bytes(b"cos\nsystem\n(S'true'\ntR."))
    assert told.startswith("What to do: Do not load the file")
    assert "false alarm" in told
    assert "picklegate allow" not in told
    assert "Do not load the file" in advice(report(Verdict.MALICIOUS))
