"""The chart of the HTML report: a line for each repository, its files by verdict and its size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape as markup

from picklegate.escape import escape
from picklegate.render import text
from picklegate.render.summary import counts, sentence
from picklegate.report import FileReport, Verdict

MAX_LINES = 40
_LINE = 26
_NAMES, _FILES, _SIZES, _END = 0, 330, 760, 1080
"""Where the columns begin, and the width, in units of the drawing."""


def bar(share: float) -> str:
    """A bar of ``share`` in [0, 1] of its place."""
    width = max(1.0, 100 * share)
    return (
        '<svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="malicious" width="{width:.1f}" height="10"/></svg>'
    )


def chart(groups: Mapping[str, Sequence[FileReport]]) -> str:
    """The section of the page; empty where there is nothing to compare."""
    if len(groups) < 2:
        return ""
    worst = {name: max((report.verdict for report in held), default=Verdict.CLEAN) for name, held in groups.items()}
    sizes = {name: sum(report.size for report in held) for name, held in groups.items()}
    order = sorted(groups, key=lambda name: (-worst[name], -sizes[name], name))[:MAX_LINES]
    most = max((len(groups[name]) for name in order), default=1) or 1
    largest = max(sizes[name] for name in order) or 1
    lines = [_line(place, name, groups[name], sizes[name], most, largest) for place, name in enumerate(order)]
    height = _LINE * (len(order) + 1)
    more = f'<p class="quiet">... and {len(groups) - len(order):,} more.</p>' if len(groups) > len(order) else ""
    return (
        '<section aria-labelledby="chart"><h2 id="chart">Verdicts and sizes by place</h2><div class="scroll">'
        f'<svg viewBox="0 0 {_END} {height}" width="{_END}" height="{height}" role="img" aria-labelledby="chart">'
        f'<text class="quiet" x="{_FILES}" y="14">files</text><text class="quiet" x="{_SIZES}" y="14">size</text>'
        f"{''.join(lines)}</svg></div>{more}</section>"
    )


def _line(place: int, name: str, held: Sequence[FileReport], size: int, most: int, largest: int) -> str:
    top = _LINE * (place + 1)
    room = _SIZES - _FILES - 70
    left = float(_FILES)
    parts = []
    number = counts(held)
    for verdict in sorted(Verdict, reverse=True):
        share = number[verdict.name.lower()]
        if share:
            # One file in thousands must not be too thin to be seen.
            width = max(4.0, room * share / most)
            parts.append(
                f'<rect class="{verdict.name.lower()}" x="{left:.1f}" y="{top}" width="{width:.1f}" height="16"/>'
            )
            left += width
    wide = max(1.0, (_END - _SIZES - 80) * size / largest)
    return (
        f"<g><title>{markup(escape(name, 200))}: {sentence(held)}, {text.size(size)}</title>"
        f'<text x="{_NAMES}" y="{top + 13}">{markup(_shortened(name))}</text>{"".join(parts)}'
        f'<text class="quiet" x="{left + 6:.1f}" y="{top + 13}">{number["files"]:,}</text>'
        f'<rect class="size" x="{_SIZES}" y="{top}" width="{wide:.1f}" height="16"/>'
        f'<text class="quiet" x="{_SIZES + wide + 6:.1f}" y="{top + 13}">{text.size(size)}</text></g>'
    )


def _shortened(name: str) -> str:
    """The end of a long name, which tells more of a path than its beginning."""
    shown = escape(name)
    return shown if len(shown) <= 44 else f"…{shown[-43:]}"
