"""Markdown and GitHub's annotations, and what the policy allows in every format."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module

import pytest

from picklegate import Policy
from picklegate.policy_file import Allowed, Settings
from picklegate.render import as_json, github, markdown, sarif, text
from picklegate.report import FileReport, Finding, Verdict

NAME = "a|`b`\n::error::%\x1b[2J,x:y.pkl"
DIGEST = "cd" * 32
ALLOWED = {DIGEST: "ours, until 2999-01-01"}


def report(verdict: Verdict, name: str = "a.pkl", digest: str = "ab" * 32) -> FileReport:
    """A file with one finding about the whole of it."""
    finding = Finding(code="zip.overlap", verdict=verdict, message="members | share `bytes`")
    return FileReport(name=name, container="zip", size=5, sha256=digest, findings=(finding,))


def test_github_gets_a_line_for_each_file_that_is_not_clean() -> None:
    """Errors and warnings, the worst first, with GitHub's own escapes."""
    lines = github.render([report(Verdict.SUSPICIOUS), report(Verdict.CLEAN), report(Verdict.MALICIOUS, NAME)])
    worst, other = lines.splitlines()
    assert worst.startswith(
        "::error file=a|`b`\\n%3A%3Aerror%3A%3A%25\\x1b[2J%2Cx%3Ay.pkl,title=picklegate%3A MALICIOUS::"
    )
    assert other.startswith("::warning file=a.pkl,title=picklegate%3A SUSPICIOUS::members | share")


def test_markdown_is_a_table_in_which_nothing_is_markup() -> None:
    """A row for each file, its name in a code span that it cannot leave, and the command that would allow it."""
    shown = markdown.render([report(Verdict.SUSPICIOUS), report(Verdict.MALICIOUS, NAME)])
    rows = [line for line in shown.splitlines() if line.startswith("| ")][2:]
    assert rows[0].startswith(
        "| MALICIOUS | ``a\\|`b`\\n::error::%\\x1b[2J,x:y.pkl`` | ``members \\| share `bytes`.`` (zip"
    )
    assert rows[1].startswith("| SUSPICIOUS | `a.pkl` |")
    assert f"picklegate allow {'ab' * 32} --reason" in shown


@pytest.mark.parametrize("form", ["text", "as_json", "sarif", "html", "markdown", "github"])
def test_each_format_marks_an_interrupted_scan(form: str) -> None:
    """A reader of any format sees that files are missing."""
    render: Callable[..., str] = import_module(f"picklegate.render.{form}").render
    whole, cut = render([], complete=True), render([], complete=False)
    marks = {"as_json": '"complete": false', "sarif": '"executionSuccessful": false'}
    assert marks.get(form, "The scan was interrupted") in cut
    assert marks.get(form, "The scan was interrupted") not in whole


def test_an_allowed_file_is_told_as_allowed() -> None:
    """With the reason and the last day, and not as what it would be otherwise."""
    reports = [report(Verdict.SUSPICIOUS, digest=DIGEST), report(Verdict.CLEAN)]
    shown = text.render(reports, allowed=ALLOWED)
    assert shown.splitlines() == [
        "ALLOWED     a.pkl  (ours, until 2999-01-01)", "CLEAN       a.pkl  (zip, 5 B, nothing judged)",
        "2 files: 1 allowed, 1 with nothing to judge",
    ]  # fmt: skip
    assert "| ALLOWED | `a.pkl` | `ours, until 2999-01-01` |" in markdown.render(reports, allowed=ALLOWED)
    assert github.render(reports, allowed=ALLOWED) == ""
    (result,) = json.loads(sarif.render(reports, allowed=ALLOWED))["runs"][0]["results"]
    assert result["suppressions"][0]["justification"] == ALLOWED[DIGEST]
    settings = Settings(digests=(Allowed(what=DIGEST, reason="ours"),), policy=Policy(allow_digests=[DIGEST]))
    document = json.loads(as_json.render(reports, settings=settings))
    assert [file["allowed"] for file in document["files"]] == ["ours", None]
    assert document["context"]["made_by"]["laxer"] == ["the policy allows 1 digest"]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_text_fits_the_terminal(width: int) -> None:
    """Long reasons are wrapped, and go on further to the right; a command to paste is not cut."""
    long = Finding(code="zip.overlap", verdict=Verdict.SUSPICIOUS, message="word " * 60)
    shown = text.render([FileReport(name="a", container="zip", size=5, sha256=DIGEST, findings=(long,))], width=width)
    lines = shown.splitlines()
    assert all(len(line) <= width for line in lines if "picklegate allow" not in line)
    assert [line for line in lines if DIGEST in line] == [
        f'  To allow it: picklegate allow {DIGEST} --reason "WHY YOU TRUST IT"'
    ]
    assert lines[2].startswith("    word")


def test_the_scores_that_count_stand_beside_the_score() -> None:
    """Those of the policy, where it has its own."""
    from picklegate import scan_bytes

    policy = Policy(suspicious_score=0.001, malicious_score=0.999)
    data = b"\x80\x04cnothing.known\nto_anybody\n(S'touch me'\ntR."
    shown = text.render([scan_bytes(data, policy=policy)], policy=policy)
    assert "suspicious from 0.001, malicious from 0.999)" in shown
