"""What the gate decides, for those who watch it: the logger ``picklegate``, and JSON lines in a file.

The file is the one that PICKLEGATE_LOG names, or ``log`` in the policy file. Each line is one object: when, what
happened, to which file, by which verdict and reason, for whom, and by which engine, model and policy.
"""

from __future__ import annotations

import getpass
import json
import logging
import os
import sys
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any, Literal

from picklegate import paths
from picklegate.errors import BlockedError
from picklegate.escape import escape
from picklegate.files import open_private
from picklegate.policy import Policy
from picklegate.provenance import laxer, made_by
from picklegate.report import FileReport

Event = Literal["block", "allow", "leave-out", "quarantine", "release", "purge", "looser"]

_LEVELS: dict[Event, int] = {
    "block": logging.ERROR,
    "leave-out": logging.WARNING,
    "release": logging.WARNING,
    "looser": logging.WARNING,
    "allow": logging.INFO,
    "quarantine": logging.INFO,
    "purge": logging.INFO,
}
_WIDTH = 500
_log = logging.getLogger("picklegate")
_failed: set[str] = set()
"""Log files that could not be written, of which a warning has been given."""


def refused(error: BlockedError, policy: Policy) -> BlockedError:
    """The error, once it is logged: libraries that replace exceptions leave its reason on the screen."""
    note("block", error.report, policy=policy, message=str(error))
    return error


def allowed(report: FileReport, policy: Policy) -> None:
    """Log that a file above the policy's threshold passes because the policy lists its digest."""
    if report.verdict >= policy.block_from and not policy.blocks(report):
        note("allow", report, policy=policy, message=f"{escape(report.name)} ({report.verdict}) passes by its digest")


def loosened(policy: Policy) -> None:
    """Log, once in a process, each thing that lets more pass than the defaults of the release."""
    for words in laxer(policy):
        if words not in _told():
            _told().add(words)
            note("looser", None, policy=policy, message=words)


def note(
    event: Event,
    report: FileReport | None,
    *,
    message: str,
    policy: Policy | None = None,
    name: str = "",
    digest: str = "",
) -> None:
    """Log one event; never raises for a log that cannot be written."""
    _log.log(_LEVELS[event], "%s", message)
    path = paths.log(policy.log if policy else "")
    if path is None:
        return
    reason = report.reasons[0] if report and report.reasons else None
    line: dict[str, Any] = {
        "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        "event": event,
        "name": escape(report.name if report else name, _WIDTH),
        "sha256": report.sha256 if report else digest,
        "size": report.size if report else None,
        "verdict": report.verdict.name if report else None,
        "score": round(report.score, 6) if report else None,
        "code": reason.code if reason else None,
        "reason": escape(reason.message if reason else message, _WIDTH),
        "user": _user(),
        "pid": os.getpid(),
        "program": escape(sys.argv[0] if sys.argv else "", _WIDTH),
        "made_by": made_by(policy) if policy else None,
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = open_private(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(descriptor, json.dumps(line).encode("ascii") + b"\n")  # one write, so that lines stay whole
        finally:
            os.close(descriptor)
    except OSError as error:
        if str(path) not in _failed:
            _failed.add(str(path))
            logging.getLogger(__name__).warning(
                "the log %s cannot be written (%s): decisions are made without it", path, error
            )


@lru_cache(maxsize=1)
def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return str(os.getuid()) if hasattr(os, "getuid") else ""


@lru_cache(maxsize=1)
def _told() -> set[str]:
    """What was said of loosening in this process."""
    return set()
