"""What the gate decided lately: for the page, and line by line for a log."""

from __future__ import annotations

import json
import logging
from collections import deque
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from html import escape as html

from picklegate import __version__
from picklegate.escape import escape
from picklegate.refusal import sentences
from picklegate.report import FileReport

_KEPT = 200
_log = logging.getLogger("picklegate.serve")
_CELLS = ("time", "client", "action", "verdict", "file", "reason")
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>picklegate serve</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem }}
div {{ overflow-x: auto }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ border-bottom: 1px solid #8886; padding: .3rem .6rem; text-align: left; vertical-align: top }}
td:nth-child(-n+4) {{ white-space: nowrap }}
td:nth-child(n+5) {{ min-width: 16rem; overflow-wrap: anywhere }}
tr.refused td {{ background: #d3302f22 }}
</style>
<h1>picklegate serve</h1>
<p>Version {version}. This gate stands before {upstream}. Set <code>HF_ENDPOINT</code> to this address, and every client
that heeds it is behind the gate.</p>
<h2>Last decisions</h2>
<div><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>
</html>
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """One file, given out or refused, to whom and why."""

    time: str
    client: str
    action: str
    verdict: str
    file: str
    reason: str


class Decisions:
    """The last decisions, newest first; each is logged as one line of JSON."""

    def __init__(self) -> None:
        """Nothing was decided yet."""
        self._last: deque[Decision] = deque(maxlen=_KEPT)

    def add(self, client: str, action: str, report: FileReport) -> Decision:
        """Note and log that a file was ``given`` or ``refused``."""
        reason = " ".join(sentences(report)) if action == "refused" else ""
        decision = Decision(
            time=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            client=client,
            action=action,
            verdict=str(report.verdict),
            file=escape(report.name, 300),
            reason=reason,
        )
        self._last.appendleft(decision)
        _log.log(logging.WARNING if action == "refused" else logging.INFO, "%s", json.dumps(asdict(decision)))
        return decision

    def page(self, upstream: str) -> str:
        """The decisions as a plain page; everything in it is escaped."""
        head = "".join(f"<th>{name}</th>" for name in _CELLS)
        rows = "".join(
            f'<tr class="{html(decision.action)}">'
            + "".join(f"<td>{html(getattr(decision, name))}</td>" for name in _CELLS)
            + "</tr>"
            for decision in self._last
        )
        empty = f'<tr><td colspan="{len(_CELLS)}">No file was asked for yet.</td></tr>'
        return _PAGE.format(version=__version__, upstream=html(upstream), head=head, rows=rows or empty)
