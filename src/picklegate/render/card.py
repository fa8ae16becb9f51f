"""A report as a small card in a notebook: no script, no style sheet, nothing to load."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape as markup

from picklegate.escape import escape
from picklegate.refusal import advice
from picklegate.render import text
from picklegate.render.summary import sentence, split
from picklegate.report import FileReport, RepoReport, Verdict

MAX_FILES = 10
MAX_REASONS = 3
_WIDTH = 300
_COLOURS = {
    Verdict.CLEAN: "#1a7f37",
    Verdict.SUSPICIOUS: "#9a6700",
    Verdict.UNSCANNABLE: "#8250df",
    Verdict.MALICIOUS: "#cf222e",
}


def render(report: FileReport | RepoReport) -> str:
    """The card, as HTML in which text from files is text only."""
    body = "".join(_file(report) if isinstance(report, FileReport) else _repository(report))
    colour = _COLOURS[report.verdict]
    return (
        f'<div style="border:1px solid {colour};border-left-width:6px;border-radius:4px;padding:.5em 1em;'
        f'margin:.3em 0;max-width:60em">{body}</div>'
    )


def _file(report: FileReport) -> Iterator[str]:
    facts = [report.container, text.size(report.size), *([text.score(report.score)] if report.streams else [])]
    yield f"<div>{_word(report.verdict)} <code>{_text(report.name)}</code></div>"
    yield f'<div style="opacity:.7">{_text(", ".join(facts))}</div>'
    reasons = [finding for finding in report.reasons if finding.verdict > Verdict.CLEAN]
    if reasons:
        items = "".join(f"<li><code>{_text(f.code)}</code> {_text(f.message)}</li>" for f in reasons[:MAX_REASONS])
        more = f"<li>... and {len(reasons) - MAX_REASONS:,} more</li>" if len(reasons) > MAX_REASONS else ""
        yield f"<ul>{items}{more}</ul>"
        yield "".join(f"<div>{_text(line)}</div>" for line in advice(report).splitlines())


def _repository(report: RepoReport) -> Iterator[str]:
    yield f"<div>{_word(report.verdict)} <code>{_text(report.name)}</code></div>"
    yield f"<div>{sentence(report.files)}</div>"
    blocked = split(report.files)[0]
    yield from (f"<div>{_word(one.verdict)} <code>{_text(one.name)}</code></div>" for one in blocked[:MAX_FILES])
    if len(blocked) > MAX_FILES:
        yield f"<div>... and {len(blocked) - MAX_FILES:,} more</div>"


def _word(verdict: Verdict) -> str:
    return f'<b style="color:{_COLOURS[verdict]}">{verdict}</b>'


def _text(raw: str) -> str:
    return markup(escape(raw, _WIDTH))
