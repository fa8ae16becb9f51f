"""The figures that the README takes over from the pages that benchmarks write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COLUMNS = {
    "hostile files blocked": "hostile files blocked",
    "honest files blocked": "honest files blocked",
    "honest files without a verdict": "honest without verdict",
    "gadgets blocked": "gadgets of unseen packages blocked",
    "overwritten blocked": "overwritten callables blocked",
}
"""Columns of the README's table -> those of docs/results.md."""


def table(page: Path, column: str) -> dict[str, dict[str, str]]:
    """Scanner -> column -> cell, of the table that has such a column."""
    lines = [re.split(r"\s*\|\s*", line.strip())[1:-1] for line in page.read_text("utf-8").splitlines() if "|" in line]
    start = next(place for place, cells in enumerate(lines) if column in cells)
    found: dict[str, dict[str, str]] = {}
    for cells in lines[start + 2 :]:
        if len(cells) != len(lines[start]) or cells[1] == lines[start][1]:
            break
        found[re.split(r"[, ]", cells[0].strip("*"))[0]] = dict(zip(lines[start], cells, strict=True))
    return found


@pytest.mark.parametrize("column", COLUMNS)
def test_the_readme_has_the_figures_of_the_results(column: str) -> None:
    """Each cell says what the cell of the measured table says, counts or share."""
    shown, measured = (
        table(ROOT / "README.md", column),
        table(ROOT / "docs" / "results.md", COLUMNS[column]),
    )
    assert len(shown) == 6
    for scanner, cells in shown.items():
        counts, _, share = measured[scanner][COLUMNS[column]].partition(":")
        cell = cells[column]
        assert cell in (counts, share.partition("(")[0].strip()) or (cell == "0" and counts.startswith("0 of")), scanner
