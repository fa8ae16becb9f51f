"""Write the figures of docs/results.md into the model's card: python -m benchmarks.detection.model_card.

Takes the rows that the card quotes out of the tables that left_out.py wrote, so that none is written by hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click

from benchmarks.common.tables import table
from benchmarks.detection.__main__ import put
from picklegate.judging.model_files import CARD, digest_of

ROWS = (
    ("Honest files", "model alone", "blocked by"),
    ("Honest files", "whole gate", "blocked by"),
    ("Hostile files of public repositories", "model alone", "blocked by"),
    ("Hostile files of public repositories", "whole gate", "blocked by"),
    ("Gadgets of packages that the index has and training has not", "all with arguments", "family"),
    ("Gadgets of packages that neither has", "all with arguments", "family"),
    ("Well-known callables, overwritten", "all", "given"),
)
"""Heading, first cell of the row, and first cell of the table's head."""


def rows(page: str) -> Iterator[tuple[str, str, list[str], list[str]]]:
    """(heading, first cell of the head, the head's other cells, the row) of each row of each table of a page."""
    heading, head = "", list[str]()
    for line in page.splitlines():
        if line.startswith(("## ", "### ")):
            heading = line.lstrip("# ")
        if not line.startswith("| "):
            head = []
        elif not head:
            head = _cells(line)
        elif not line.startswith("| ---"):
            yield heading, head[0], head[1:], _cells(line)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def figures(page: str) -> dict[str, dict[str, str]]:
    """What the card quotes: title of the row -> column -> figure; raises KeyError where the page lacks a row."""
    found = {
        (heading, row[0], first): dict(zip(head, row[1:], strict=True)) for heading, first, head, row in rows(page)
    }
    return {f"{heading}: {first}, {name}": found[heading, name, first] for heading, name, first in ROWS}


@click.command()
@click.option("--results", type=click.Path(path_type=Path, exists=True), default=Path("docs/results.md"))
@click.option("--page", type=click.Path(path_type=Path), default=Path("docs/model-card.md"))
@click.option("--card", type=click.Path(path_type=Path, exists=True), default=Path("src/picklegate/data/card.json"))
def main(results: Path, page: Path, card: Path) -> None:
    """Write the marked part of docs/model-card.md, and ``figures`` of data/card.json."""
    quoted = figures(results.read_text("utf-8"))
    lines = [(title, "; ".join(f"{column}: {value}" for column, value in row.items())) for title, row in quoted.items()]
    put(page, table(("figure", "out of fold"), lines))
    content = {**json.loads(card.read_text("utf-8")), "figures": quoted}
    content["sha256"] = {**content["sha256"], CARD: digest_of(content)}
    card.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
