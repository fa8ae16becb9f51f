"""Writes the tree in docs/architecture.md from the docstrings of the modules: ``python -m tools.architecture_tree``."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
PACKAGE = ROOT / "src" / "picklegate"
BLOCK = re.compile(r"(?<=```\n)src/picklegate/\n.*?(?=```)", re.DOTALL)
_WIDTH = 132


def tree() -> str:
    """The block: a line for each module and package, with the first sentence of its docstring."""
    return "\n".join(("src/picklegate/", *_lines(PACKAGE, "  "))) + "\n"


def named(block: str) -> set[str]:
    """The paths of modules that a block names, relative to the package."""
    found = set()
    folders: list[tuple[int, str]] = []
    for line in block.splitlines()[1:]:
        word = line.split()[0]
        indent = len(line) - len(line.lstrip())
        folders = [one for one in folders if one[0] < indent]
        if word.endswith("/"):
            folders.append((indent, word))
        else:
            found.add("".join(name for _, name in folders) + word)
    return found


def real() -> set[str]:
    """The paths of the modules, without the files that make a folder a package."""
    paths = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}
    return {path for path in paths if not path.endswith("/__init__.py")}


def _lines(folder: Path, indent: str) -> Iterator[str]:
    modules = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py" or folder == PACKAGE)
    yield from (_line(f"{indent}{path.name}", path) for path in modules)
    for inner in sorted(path for path in folder.iterdir() if (path / "__init__.py").exists()):
        yield _line(f"{indent}{inner.name}/", inner / "__init__.py")
        yield from _lines(inner, f"{indent}  ")


def _line(name: str, path: Path) -> str:
    told = (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").partition("\n")[0].rstrip(".")
    line = f"{name:<26} {told}"
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 3].rpartition(' ')[0]} ..."


if __name__ == "__main__":
    text = PAGE.read_text("utf-8")
    PAGE.write_text(BLOCK.sub(lambda _: tree(), text), "utf-8")
