"""Reports as JSON, for programs."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from picklegate import __version__
from picklegate.judging.classifier import version
from picklegate.policy_file import Settings
from picklegate.provenance import made_by
from picklegate.render.summary import counts, split
from picklegate.report import SCHEMA, FileReport, Verdict


def render(
    reports: Sequence[FileReport],
    *,
    complete: bool = True,
    settings: Settings | None = None,
) -> str:
    """Returns one JSON object: ``schema``, ``context``, ``files`` in the order given, ``summary``.

    The text is ASCII, so that any name survives, also one that is no valid Unicode. ``complete`` is false where the
    scan was interrupted.
    """
    return json.dumps(document(reports, complete=complete, settings=settings), indent=2) + "\n"


def document(
    reports: Sequence[FileReport],
    *,
    complete: bool = True,
    settings: Settings | None = None,
) -> dict[str, Any]:
    """The object that ``render`` writes."""
    settings = settings or Settings()
    trusted = {id(report): why for report, why in split(reports, settings.allowances)[1]}
    return {
        "schema": SCHEMA,
        "context": context(settings),
        "files": [{**report.to_dict(), "allowed": trusted.get(id(report))} for report in reports],
        "summary": {
            **counts(reports),
            "allowed": len(trusted),
            "nothing_judged": sum(
                report.verdict == Verdict.CLEAN and bool(report.nothing_judged) for report in reports
            ),
            "complete": complete,
        },
    }


def context(settings: Settings) -> dict[str, Any]:
    """What a verdict rests on besides the file: versions, policy, time and machine."""
    policy = settings.policy
    return {
        "engine": __version__,
        "model": version(),
        "made_by": made_by(policy),
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "environment": {
            "python": platform.python_version(),
            "implementation": platform.python_implementation(),
            "system": platform.system(),
            "machine": platform.machine(),
        },
        "policy": {
            "files": [str(path) for path in settings.files],
            "block_from": policy.block_from.name,
            "suspicious_score": policy.suspicious_score,
            "malicious_score": policy.malicious_score,
            "allow_imports": sorted(policy.allow_imports),
            "allow_digests": sorted(policy.allow_digests),
        },
    }
