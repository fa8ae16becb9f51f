"""The table of named tricks, through the whole gate."""

from __future__ import annotations

import pytest

from picklegate import FileReport, Verdict, scan_bytes
from samples.hostile import HONEST, HOSTILE
from support.builders import Honest, Hostile


def _imports(report: FileReport) -> set[tuple[str, str]]:
    return {pair for stream in report.streams for pair in stream.imports}


@pytest.mark.parametrize("sample", HOSTILE, ids=lambda sample: sample.id)
def test_hostile_samples_are_blocked_and_named(sample: Hostile) -> None:
    """Each trick is blocked, and the report names what it imports."""
    report = scan_bytes(sample.data)
    assert sample.seen is None or sample.seen in _imports(report)
    assert report.verdict >= sample.verdict
    assert report.reasons, "a block without a reason"


@pytest.mark.parametrize("sample", HONEST, ids=lambda sample: sample.id)
def test_honest_look_alikes_are_clean(sample: Honest) -> None:
    """What only looks like a trick passes."""
    report = scan_bytes(sample.data)
    assert report.verdict == Verdict.CLEAN, report.reasons
