"""The guard's lists, which lie in ``data`` as rows of a name, its columns, and a reason."""

from __future__ import annotations

import functools
from importlib.resources import files


@functools.cache
def rows(name: str) -> tuple[tuple[str, ...], ...]:
    """The rows of ``data/name.tsv``, split into columns; lines that begin with # are comments."""
    text = (files("picklegate.guard") / "data" / f"{name}.tsv").read_text(encoding="utf-8")
    return tuple(tuple(line.split("\t")) for line in text.splitlines() if line and not line.startswith("#"))
