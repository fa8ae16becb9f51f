"""The small lists in data/ that the material is drawn from."""

from __future__ import annotations

import csv
import functools
from importlib import resources


def text(name: str) -> str:
    """Read one list as it is."""
    return resources.files("picklegate.training").joinpath("data", name).read_text(encoding="utf-8")


@functools.cache
def rows(name: str) -> tuple[dict[str, str], ...]:
    """The rows of a table, by the names in its first line."""
    return tuple(csv.DictReader(text(name).splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))


@functools.cache
def words() -> tuple[str, ...]:
    """The ordinary words that names and texts are made of."""
    return tuple(text("words.txt").split())


@functools.cache
def vocabulary(kind: str) -> tuple[str, ...]:
    """The words of one kind; none where there is no such kind."""
    return tuple(word for row in rows("vocabulary.tsv") if row["kind"] == kind for word in row["words"].split())


@functools.cache
def templates(name: str) -> dict[str, tuple[str, ...]]:
    r"""The templates of a table by kind, where ``\n`` stands for a line's end."""
    found: dict[str, list[str]] = {}
    for row in rows(name):
        found.setdefault(row["kind"], []).append(row["template"].replace("\\n", "\n"))
    return {kind: tuple(texts) for kind, texts in found.items()}
