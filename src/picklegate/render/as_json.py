"""Reports as JSON, for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from picklegate.policy import PolicyOption, chosen
from picklegate.provenance import made_by
from picklegate.render.summary import counts
from picklegate.report import SCHEMA, FileReport


def render(reports: Sequence[FileReport], *, policy: PolicyOption = None, complete: bool = True) -> str:
    """Returns one JSON object: ``schema``, ``made_by``, ``files`` in the order given, ``summary``.

    The text is ASCII, so that any name survives, also one that is no valid Unicode. ``complete`` is false where the
    scan was interrupted.
    """
    return json.dumps(document(reports, policy=policy, complete=complete), indent=2) + "\n"


def document(reports: Sequence[FileReport], *, policy: PolicyOption = None, complete: bool = True) -> dict[str, Any]:
    """The object that ``render`` writes."""
    return {
        "schema": SCHEMA,
        "made_by": made_by(chosen(policy)),
        "files": [report.to_dict() for report in reports],
        "summary": {**counts(reports), "complete": complete},
    }
