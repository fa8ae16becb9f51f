"""The standard library of Python 2.7 to 3.14, frozen: the same on whatever Python scans (data/standard.tsv)."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple


class Standard(NamedTuple):
    """What is known of the standard library; all names are dotted."""

    modules: frozenset[str]
    """Modules and packages; of ``test``, ``idlelib`` and ``lib2to3`` only the packages."""
    roots: frozenset[str]
    """The first steps of those."""
    native: frozenset[str]
    """Modules without Python source: a function of theirs has the module as its ``__self__``."""
    held: dict[str, str]
    """Attributes of modules -> the module that they are, where it has another name."""
    objects: frozenset[str]
    """Attributes of modules that have the name of a standard module and are none."""
    renamed: dict[str, str]
    """Modules and objects of Python 2 -> what Python 3 loads for them."""


@lru_cache(maxsize=1)
def standard() -> Standard:
    """The table, read once."""
    rows: dict[str, list[list[str]]] = {}
    text = files("picklegate.pickles").joinpath("data/standard.tsv").read_text(encoding="utf-8")
    for line in text.splitlines():
        kind, *cells = line.split("\t")
        rows.setdefault(kind, []).append(cells)
    native = frozenset(name for (name,) in rows["native"])
    modules = native.union(name for (name,) in rows["module"])
    return Standard(
        modules=modules,
        roots=frozenset(name.partition(".")[0] for name in modules),
        native=native | {"os"},  # its functions are those of posix or nt
        held=dict((path, target) for path, target in rows["held"]),  # noqa: C402  a comprehension cannot unpack a row
        objects=frozenset(path for (path,) in rows["object"]),
        renamed=dict((old, new) for old, new in rows["renamed"]),  # noqa: C402
    )
