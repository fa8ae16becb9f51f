"""Reports in a notebook."""

from __future__ import annotations

import subprocess
import sys

import picklegate
from picklegate import FileReport, RepoReport, Verdict, scan_bytes
from picklegate.report import Finding

NAME = "<script>alert(1)</script>\x1b[2J.pkl"
HOSTILE = b"cos\nsystem\n(S'<img src=x onerror=alert(1)>'\ntR."


def test_a_card_tells_what_was_found() -> None:
    """Verdict, name, reasons and advice; what comes from the file is text."""
    card = scan_bytes(HOSTILE, name=NAME)._repr_html_()
    assert card is not None
    for words in ("MALICIOUS", "call.execution", "os.system(", "What to do: Do not load the file."):
        assert words in card
    assert "<script" not in card
    assert "<img" not in card
    assert card.isprintable()


def test_a_repository_has_a_card() -> None:
    """The counts, and the files that are blocked."""
    finding = Finding(code="zip.overlap", verdict=Verdict.SUSPICIOUS, message="members share bytes")
    bad = [FileReport(name=f"{n}{NAME}", container="zip", size=1, findings=(finding,)) for n in range(12)]
    report = RepoReport(
        name="hf://org/name", commit="c" * 40, files=(*bad, scan_bytes(b"N.")), bytes_read=0, requests=0
    )
    card = report._repr_html_()
    assert card is not None
    for words in ("13 files: 12 suspicious, 1 clean", "... and 2 more", "hf://org/name"):
        assert words in card
    assert "<script" not in card


def test_representations_are_one_short_line() -> None:
    """As a shell shows them."""
    shown = repr(scan_bytes(HOSTILE, name=NAME))
    assert shown.startswith("<FileReport '<script>alert(1)</script>\\x1b[2J.pkl': MALICIOUS, call.execution, raw, ")
    assert shown.isprintable()
    assert picklegate.FileReport is FileReport


def test_a_report_alone_knows_no_renderer() -> None:
    """The lowest layer gives no card where nothing has given it a renderer."""
    code = (
        "from picklegate.report import FileReport; print(FileReport(name='a', container='raw', size=0)._repr_html_())"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert shown == "None\n"
