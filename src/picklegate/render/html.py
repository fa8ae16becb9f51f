"""Reports as one HTML page that needs no network: the reasons first, then a chart, then every file.

All text is escaped twice, once to be visible and once as markup, and a Content-Security-Policy lets nothing run or load
but the page's own style and script, known by their digests.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape as markup
from importlib import resources
from string import Template

from picklegate import __version__
from picklegate.escape import escape
from picklegate.findings import KINDS
from picklegate.judging.classifier import version
from picklegate.provenance import replaced_model
from picklegate.render import text
from picklegate.render.chart import bar, chart
from picklegate.render.summary import Allowances, counts, sentence, split
from picklegate.report import FileReport, Finding, StreamReport, Verdict

MAX_ROWS = 5_000
"""Files in the table; of more, clean ones are only counted."""
MAX_CARDS = 200
"""Blocked files that are told in full."""
MAX_ITEMS = 60
"""Imports and findings shown of a stream, and streams of a file."""
_OPEN_CARDS = 3
_WIDTH = 300

Notice = tuple[str, Sequence[str]]
"""A sentence, and the items below it."""


def render(
    reports: Sequence[FileReport],
    *,
    complete: bool = True,
    allowed: Allowances | None = None,
    subject: str = "",
    groups: Mapping[str, Sequence[FileReport]] | None = None,
    notices: Sequence[Notice] = (),
) -> str:
    """The page; ``groups`` are what the chart has a line for, by default the folders of the files."""
    blocked, trusted, clean = split(reports, allowed)
    rows = [*blocked, *(report for report, _ in trusted), *clean]
    number = counts(reports)
    style, script, page = (
        resources.files(__package__).joinpath(f"report.{end}").read_text("utf-8") for end in ("css", "js", "html")
    )
    if trusted:
        items = [f"{report.name}: {report.verdict}, {why}" for report, why in trusted]
        notices = (("The policy allows these files.", items), *notices)
    notices = (*((f"{words}.", ()) for words in replaced_model()), *notices)
    if not complete:
        notices = (("The scan was interrupted: files are missing from this report.", ()), *notices)
    return Template(page).substitute(
        title=f"picklegate: {sentence(reports, allowed)}",
        style=style,
        style_hash=_digest(style),
        script=script,
        script_hash=_digest(script),
        version=__version__,
        model=_text(version()),
        headline=_headline(number, len(blocked) + len(trusted)),
        subject=_text(subject),
        tiles="".join(_tile(name, count) for name, count in number.items()),
        notices="".join(map(_notice, notices)),
        blocked=_cards(blocked),
        chart=chart(_folders(reports) if groups is None else groups),
        choices="".join(map(_choice, sorted(Verdict, reverse=True))),
        rows="\n".join(map(_row, rows[:MAX_ROWS])),
        more=f"<p>... and {len(rows) - MAX_ROWS:,} more files.</p>" if len(rows) > MAX_ROWS else "",
    )


def _digest(source: str) -> str:
    return base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


def _text(raw: str, width: int = _WIDTH) -> str:
    return markup(escape(raw, width))


def _headline(number: Mapping[str, int], blocked: int) -> str:
    if not number["files"]:
        return "No files were found"
    if not blocked:
        return f"All {number['files']:,} files are clean" if number["files"] > 1 else "The file is clean"
    parts = [f"{number[name]:,} {name}" for name in ("malicious", "suspicious", "unscannable") if number[name]]
    return f"{' and '.join(parts)} of {number['files']:,} file{'' if number['files'] == 1 else 's'}"


def _tile(name: str, count: int) -> str:
    return f'<li class="{name}"><b>{count:,}</b>{name}</li>'


def _notice(notice: Notice) -> str:
    sentence_, items = notice
    shown = "".join(f"<li>{_text(item)}</li>" for item in items[:MAX_ITEMS])
    return f'<div class="notice"><p>{_text(sentence_)}</p>{f"<ul>{shown}</ul>" if shown else ""}</div>'


def _choice(verdict: Verdict) -> str:
    return f'<label><input type="checkbox" value="{verdict}" checked> {verdict.name.lower()}</label>'


def _row(report: FileReport) -> str:
    word = report.verdict.name.lower()
    score = text.score(report.score).removeprefix("score ") if report.streams else ""
    return (
        f'<tr data-verdict="{report.verdict}" data-digest="{_text(report.sha256)}">'
        f'<td><span class="word {word}">{report.verdict}</span></td><td class="name mono">{_text(report.name)}</td>'
        f'<td>{_text(report.container)}</td><td class="number">{text.size(report.size)}</td>'
        f'<td class="number">{score}</td></tr>'
    )


def _folders(reports: Iterable[FileReport]) -> dict[str, list[FileReport]]:
    found: dict[str, list[FileReport]] = {}
    for report in reports:
        found.setdefault(os.path.dirname(report.name) or ".", []).append(report)
    return found


def _cards(blocked: Sequence[FileReport]) -> str:
    if not blocked:
        return ""
    cards = "\n".join(_card(report, opened=place < _OPEN_CARDS) for place, report in enumerate(blocked[:MAX_CARDS]))
    more = f"<p>... and {len(blocked) - MAX_CARDS:,} more, in the table below.</p>" if len(blocked) > MAX_CARDS else ""
    return f'<section aria-labelledby="blocked"><h2 id="blocked">What is blocked, and why</h2>{cards}{more}</section>'


def _card(report: FileReport, *, opened: bool) -> str:
    word = report.verdict.name.lower()
    worst = report.reasons[0]
    streams = sorted((s for s in report.streams if s.verdict > Verdict.CLEAN), key=lambda s: (-s.verdict, -s.score))
    facts = [report.container, text.size(report.size), *([text.score(report.score)] if report.streams else [])]
    place = ", ".join(filter(None, (worst.stream, "" if worst.offset is None else f"byte {worst.offset:,}")))
    kind = KINDS.get(worst.code)
    advice = f"<p>{_text(kind.advice, 1000)}</p>" if kind else ""
    digest = f' &middot; <span class="mono">sha256 {_text(report.sha256)}</span>' if report.sha256 else ""
    body = "".join(map(_stream, streams[:MAX_ITEMS])) or _reasons(report.findings)
    return (
        f'<article class="{word}"><header><span class="word {word}">{report.verdict}</span>'
        f'<h3 class="mono">{_text(report.name)}</h3></header>'
        f'<p class="reason">{_text(_sentence(worst.message), 600)}</p>{advice}'
        f'<p class="quiet">{_text(", ".join(facts))}{f" &middot; {_text(place)}" if place else ""}{digest}</p>'
        f"<details{' open' if opened else ''}><summary>What loading would do</summary>{body}</details></article>"
    )


def _sentence(message: str) -> str:
    return message[:1].upper() + message[1:]


def _stream(stream: StreamReport) -> str:
    worst = max((f for f in stream.findings if f.verdict > Verdict.CLEAN), key=lambda finding: finding.verdict)
    blamed = {call.callee for call in stream.calls for f in stream.findings if f.offset == call.offset}
    names = [".".join(filter(None, pair)) for pair in stream.imports]
    imports = "".join(
        f'<li class="mono{" bad" if name in blamed else ""}">{_text(name)}</li>' for name in names[:MAX_ITEMS]
    )
    more = f"<li>... and {len(names) - MAX_ITEMS:,} more</li>" if len(names) > MAX_ITEMS else ""
    scored = next((finding for finding in stream.findings if finding.contributions), None)
    return "".join(
        (
            f"<h4><b>{_text(stream.name)}</b> decided by {_text(stream.decided_by)}, {_numbers(stream)}</h4>",
            _reasons(stream.findings),
            f"<h4>Opcodes around byte {worst.offset:,}</h4>{_listing(stream, worst)}" if stream.disassembly else "",
            f'<h4>Imports</h4><ul class="imports">{imports}{more}</ul>' if imports else "",
            f"<h4>What raised the score</h4>{_contributions(scored)}" if scored else "",
        )
    )


def _numbers(stream: StreamReport) -> str:
    rank = "" if stream.novelty is None else f", novelty {stream.novelty:.3f}"
    return f"{text.score(stream.score)}{rank}"


def _reasons(findings: Sequence[Finding]) -> str:
    told = sorted((f for f in findings if f.verdict > Verdict.CLEAN), key=lambda finding: -finding.verdict)
    items = "".join(
        f'<li><span class="word {f.verdict.name.lower()}">{f.verdict}</span> <code>{_text(f.code)}</code> '
        f"{_text(f.message, 600)}</li>"
        for f in told[:MAX_ITEMS]
    )
    more = f"<li>... and {len(told) - MAX_ITEMS:,} more</li>" if len(told) > MAX_ITEMS else ""
    return f'<ul class="reasons">{items}{more}</ul>'


def _listing(stream: StreamReport, worst: Finding) -> str:
    lines = "".join(
        f"<span{' class=at' if step.offset == worst.offset else ''}>"
        f"{step.offset:>8}  {_text(step.opcode) or '':<18}{_text(step.argument)}</span>"
        for step in stream.disassembly
    )
    return f'<pre class="listing">{lines}</pre>'


def _contributions(finding: Finding) -> str:
    most = max(weight for _, weight in finding.contributions)
    return '<dl class="parts">' + "".join(_parts(finding, most)) + "</dl>"


def _parts(finding: Finding, most: float) -> Iterator[str]:
    for place, (feature, weight) in enumerate(finding.contributions):
        name = finding.words[place] if place < len(finding.words) else feature
        yield (
            f"<dt>{_text(name)}</dt><dd>{bar(weight / most if most > 0 else 0)}</dd>"
            f'<dd class="number">+{weight:.2f}</dd>'
        )
