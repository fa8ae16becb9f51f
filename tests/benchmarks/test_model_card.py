"""The card quotes what the page of results says, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.detection import model_card

HOME = Path(__file__).parents[2]
PAGE = """## Real files

| hostile files blocked | files | F1 |
| --- | --- | --- |
| model alone | 9 of 10: 90.0 % | 0.9 |
"""


def test_rows_are_found_by_heading_and_head() -> None:
    """Each row comes with its heading and the cells of its table's head."""
    assert list(model_card.rows(PAGE)) == [
        ("Real files", "hostile files blocked", ["files", "F1"], ["model alone", "9 of 10: 90.0 %", "0.9"])
    ]


def test_a_missing_row_is_an_error() -> None:
    """A page without the tables gives no card."""
    with pytest.raises(KeyError):
        model_card.figures(PAGE)


def test_the_card_and_the_page_agree() -> None:
    """The figures that ship are those of docs/results.md."""
    quoted = model_card.figures((HOME / "docs" / "results.md").read_text("utf-8"))
    card = json.loads((HOME / "src" / "picklegate" / "data" / "card.json").read_text("utf-8"))
    assert card["figures"] == quoted
    page = (HOME / "docs" / "model-card.md").read_text("utf-8")
    assert all(value in page for row in quoted.values() for value in row.values())
