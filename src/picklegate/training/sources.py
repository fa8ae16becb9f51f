"""The modules of wheels and folders as text, for the shapes of honest pickles."""

from __future__ import annotations

import ast
import functools
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SKIPPED = {"tests", "test", "testing", "_tests", "conftest", "benchmarks", "examples", "idlelib", "site-packages"}
_MAX_SOURCE = 1_500_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One module's text, and the distribution that it is of."""

    package: str
    module: str
    text: str


def read_sources(path: Path, package: str = "") -> Iterator[Source]:
    """The modules of a wheel, or of a folder that stands on the import path; ``package`` names them all."""
    if path.is_dir():
        for file in sorted(path.rglob("*.py")):
            if file.stat().st_size <= _MAX_SOURCE:
                text = file.read_text(encoding="utf-8", errors="replace")
                yield from _source(package, file.relative_to(path).as_posix(), text)
        return
    with zipfile.ZipFile(path) as wheel:
        for info in wheel.infolist():
            if info.filename.endswith(".py") and info.file_size <= _MAX_SOURCE:
                text = wheel.read(info).decode("utf-8", "replace")
                yield from _source(package, info.filename, text)


def _source(package: str, name: str, text: str) -> Iterator[Source]:
    parts = name.removesuffix(".py").split("/")
    if parts[-1] == "__init__":
        parts.pop()
    skipped = _SKIPPED.intersection(parts) or any(part.startswith("test_") for part in parts)
    if parts and not skipped and all(part.isidentifier() for part in parts):
        # The root of the import path names the package: distributions share code under other names.
        yield Source(package=package or parts[0].lstrip("_"), module=".".join(parts), text=text)


@functools.lru_cache(maxsize=4)
def parse(text: str) -> ast.Module | None:
    """The tree of a module, or None where this Python cannot parse it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError):
            return None


def write_table(path: Path, header: str, table: list[tuple[str, ...]]) -> None:
    """Write sorted rows, without repeats, under a header."""
    lines = [header, *("\t".join(row) for row in sorted(set(table)))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
