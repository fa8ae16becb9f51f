"""The figures that the README takes over from the pages that benchmarks write."""

from __future__ import annotations

import json
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


def test_each_count_of_the_readme_is_measured() -> None:
    """Whatever the README counts stands in the results."""
    results = (ROOT / "docs" / "results.md").read_text("utf-8")
    counts = re.findall(r"\d+ of \d+(?:: [\d.]+ %)?", (ROOT / "README.md").read_text("utf-8"))
    assert counts
    assert [count for count in counts if not re.search(rf"\b{re.escape(count)}(?!\d)", results)] == []


def test_the_model_card_describes_the_model_and_the_index_that_ship() -> None:
    """Trees, features, callables and packages are those of the cards beside the data."""
    package = ROOT / "src" / "picklegate"
    model = json.loads((package / "data" / "card.json").read_text("utf-8"))
    index = json.loads((package / "capabilities" / "data" / "index.json").read_text("utf-8"))
    training = model["training"]
    signs = training["parameters"]["monotone_constraints"].strip("()").split(",")
    page = " ".join((ROOT / "docs" / "model-card.md").read_text("utf-8").split())
    for said in (
        f"{training['rounds']} boosted trees (XGBoost, depth {training['parameters']['max_depth']})",
        f"{len(signs) - signs.count('0')} of the {len(signs)} features",
        f"made on {index['made']} and covers {index['names']:,} names and {index['aliases']:,} other names",
        f"of {index['packages']} top-level packages",
        f"{len(index['distributions']) - 1} distributions",
        f"For {index['decided']:,} of them",
    ):
        assert said in page
