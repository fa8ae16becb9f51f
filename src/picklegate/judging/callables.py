"""What is known of callables by name, from the tables in data/. Names are canonical (pickles/names.py).

Each row of a table has a pattern or a name, why it stands there, and where it was seen.
"""

from __future__ import annotations

import csv
import pkgutil
import re
from functools import lru_cache

from picklegate.pickles.standard import standard


@lru_cache(maxsize=16)
def table(name: str) -> tuple[dict[str, str], ...]:
    """The rows of ``data/NAME.tsv``, by the names in its first line."""
    data = pkgutil.get_data("picklegate.judging", f"data/{name}.tsv") or b""
    return tuple(csv.DictReader(data.decode("utf-8").splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))


@lru_cache(maxsize=16)
def _pattern(name: str, column: str = "") -> re.Pattern[str]:
    """One pattern of all rows of a table, or of those that have something in ``column``."""
    return re.compile("|".join(f"(?:{row['pattern']})" for row in table(name) if not column or row[column]))


@lru_cache(maxsize=16)
def names(name: str) -> frozenset[str]:
    """The names in a table of names."""
    return frozenset(row["name"] for row in table(name))


@lru_cache(maxsize=16)
def role(name: str) -> frozenset[str]:
    """The callables of one role.

    ``maker`` makes functions or code, calling which is execution; ``reflective`` reaches or builds other callables;
    ``class-maker`` makes classes, of which loading makes instances; ``read`` is given source that its contract reads;
    ``keeper`` keeps a function without calling it; ``setter`` writes into its first argument, a function, class, cell or dict of the stream's own; ``carrier`` is
    given an inner container, a stream of its own; ``column`` is given the memory of a column, in which any text may
    stand and which nothing reads as code; ``holding`` keeps what it is given in containers or by keywords.
    """
    return frozenset(row["name"] for row in table("roles") if row["role"] == name)


COLUMNAR = ("pyarrow.", "builtins.str", "builtins.bytes")
"""How the names of those begin whose result may be the text of a column that they are given."""
KEEPING = ("pyarrow.", "pandas.", "polars.")
"""How the names of those begin that are given columns to keep."""

_TELLING = frozenset(
    (
        *("exec", "execfile", "system", "popen", "Popen", "__import__", "check_output", "check_call"),
        *("getoutput", "getstatusoutput", "spawnv", "spawnl", "execv", "execve", "posix_spawn"),
    )
)
"""Last steps of a dotted name that tell an execution primitive by whatever way it is reached."""


@lru_cache(maxsize=8192)
def executes(known: str) -> bool:
    """Whether a call of the callable is a proof of execution."""
    if known.rpartition(".")[2] in _TELLING:
        return True
    return _pattern("execution").fullmatch(known) is not None


@lru_cache(maxsize=8192)
def is_kept(known: str) -> bool:
    """Whether honest streams keep a reference to an execution primitive without calling it."""
    return _pattern("execution", "kept").fullmatch(known) is not None


@lru_cache(maxsize=8192)
def reaches_outside(known: str) -> bool:
    """Whether the callable reaches files, the network, other programs or the whole process, which no honest file does."""
    return _pattern("outside").fullmatch(known) is not None


def is_standard(known: str) -> bool:
    """Whether the name is of the standard library, of Python 2 or 3, whatever the scanning interpreter has."""
    return known.partition(".")[0] in standard().roots


@lru_cache(maxsize=8192)
def constructs_data(known: str) -> bool:
    """Whether the callable is one of the standard library's constructors of plain data."""
    exception = known.endswith(("Error", "Exception", "Warning")) and is_standard(known)
    return exception or _pattern("constructors").fullmatch(known) is not None


def is_builtin_error(known: str) -> bool:
    """Whether the callable is one of Python's own exceptions, whose text is a message."""
    return known.startswith("builtins.") and known.endswith(("Error", "Exception", "Warning"))


@lru_cache(maxsize=8192)
def serialises(known: str) -> bool:
    """Whether the callable belongs to a serialiser's closed set of helpers."""
    return _pattern("serialisers").fullmatch(known) is not None


def takes_text(known: str) -> bool:
    """Whether a text among its arguments is ordinary, for a serialiser's helper or a constructor of plain data."""
    return constructs_data(known) or makes_code(known) or _pattern("serialisers", "texts").fullmatch(known) is not None


@lru_cache(maxsize=8192)
def makes_code(known: str) -> bool:
    """Whether the callable's strings are names inside code (``co_names``, ``co_filename``), not its input."""
    return _pattern("serialisers", "code").fullmatch(known) is not None
