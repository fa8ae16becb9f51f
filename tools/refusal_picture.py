"""Draws docs/refusal.svg, the README's picture of a refusal, from what the command really prints.

``python -m tools.refusal_picture`` scans the hostile model of the demo, of which nothing is loaded.
"""

from __future__ import annotations

from html import escape as markup
from pathlib import Path

from picklegate import Policy, scan_bytes
from picklegate.demo import models
from picklegate.refusal import advice
from picklegate.render import text

PICTURE = Path(__file__).parents[1] / "docs" / "refusal.svg"
_COLUMNS = 92
_LINE, _CHARACTER, _MARGIN = 20, 8.4, 18


def lines() -> list[str]:
    """The command, and what it prints."""
    data = models.repositories()[models.HOSTILE][models.WEIGHTS]
    report = scan_bytes(data, name=models.WEIGHTS)
    shown = text.render([report], width=_COLUMNS, policy=Policy()).splitlines()
    told = list(text.wrapped(advice(report).splitlines(), _COLUMNS))
    return [f"$ picklegate scan {models.WEIGHTS}", *shown, "", *told]


def picture() -> str:
    """The SVG; the first word of the report is in the colour of its verdict."""
    rows = lines()
    width, height = int(_COLUMNS * _CHARACTER + 2 * _MARGIN), _LINE * len(rows) + 2 * _MARGIN
    body = "".join(_row(place, row) for place, row in enumerate(rows))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="picklegate refuses a hostile model: what would run, and where">'
        f'<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>'
        '<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="14" fill="#e6edf3" '
        f'xml:space="preserve">{body}</g></svg>\n'
    )


def _row(place: int, row: str) -> str:
    baseline = _MARGIN + _LINE * place + 14
    word = "MALICIOUS"
    inner = markup(row)
    if row.startswith(word):
        inner = f'<tspan fill="#ff7b72" font-weight="bold">{word}</tspan>{markup(row[len(word) :])}'
    elif row.startswith("$"):
        inner = f'<tspan fill="#7ee787">{markup(row)}</tspan>'
    return f'<text x="{_MARGIN}" y="{baseline}">{inner}</text>' if row else ""


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
