"""Read the sources of packages for the shapes of honest pickles: what classes are made of, what they reduce to."""

from __future__ import annotations

import ast
import re
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from picklegate.training.sources import Source, parse, read_sources, write_table

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLASSES = 24
_MEMBERS = 6
_KINDS = (
    (r"cls|class|type|dtype", "class"),
    (r"path|file|dir|root|folder", "path"),
    (r"url|uri|endpoint", "url"),
    (r"pattern|regex", "regex"),
    (r"args|tuple|shape|size", "tuple"),
    (r"kwargs|dict|state|config|params|options|meta|map|items", "dict"),
    (r"list|names|keys|values|columns|elements", "list"),
    (r"data|buf|buffer|bytes|raw|array", "data"),
    (r"n|num|count|id|index|step|start|stop|level|seed|version", "int"),
    (r"func|function|fn|callable|factory|callback", "function"),
    (r"name|key|label|unit|mode|kind|code|format|msg|message|text|value|string", "text"),
)


def constructors(source: Source) -> Iterator[tuple[str, str, str, str]]:
    """What ``__reduce__``, ``__reduce_ex__``, ``__getnewargs__`` and copyreg name, as rows of constructors.tsv."""
    tree = parse(source.text)
    if tree is None:
        return
    top = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    for cls in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        for method in (item for item in cls.body if isinstance(item, ast.FunctionDef)):
            for returned in (node.value for node in ast.walk(method) if isinstance(node, ast.Return)):
                if not isinstance(returned, ast.Tuple):
                    continue
                if method.name in {"__getnewargs__", "__getnewargs_ex__"}:
                    yield source.module, cls.name, source.package, "new " + _kinds(returned.elts)
                elif method.name in {"__reduce__", "__reduce_ex__"} and len(returned.elts) >= 2:
                    callee = _callee(returned.elts[0], cls.name, top)
                    arguments = returned.elts[1]
                    if callee and isinstance(arguments, ast.Tuple):
                        yield source.module, callee, source.package, "call " + _kinds(arguments.elts)


def _callee(node: ast.expr, cls: str, top: set[str]) -> str:
    if isinstance(node, ast.Name) and node.id in top:
        return node.id
    text = ast.unparse(node)
    if text in {"self.__class__", "type(self)", "cls"}:
        return cls
    if isinstance(node, ast.Attribute) and ast.unparse(node.value) in {"self.__class__", "type(self)", cls}:
        return f"{cls}.{node.attr}"
    return ""


def _kinds(nodes: list[ast.expr]) -> str:
    return " ".join(_kind(node) for node in nodes[:8])


def _kind(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return {str: "text", int: "int", float: "float", bool: "bool", bytes: "data"}.get(type(node.value), "none")
    for shape, kind in ((ast.Tuple, "tuple"), (ast.List, "list"), (ast.Dict, "dict"), (ast.JoinedStr, "text")):
        if isinstance(node, shape):
            return kind
    text = ast.unparse(node)
    if text in {"self.__class__", "type(self)"}:
        return "class"
    words = re.split(r"[^a-z]+", text.lower())
    for pattern, kind in _KINDS:
        if any(re.fullmatch(pattern, word) for word in words):
            return kind
    return "any"


def classes(source: Source) -> Iterator[tuple[str, str, str, str, str]]:
    """Classes, whether they are enums, and the names of their attributes, as rows of classes.tsv."""
    tree = parse(source.text)
    for cls in (node for node in (tree.body if tree else []) if isinstance(node, ast.ClassDef)):
        bases = " ".join(ast.unparse(base) for base in cls.bases)
        kind = "enum" if re.search(r"\bEnum|IntEnum|StrEnum|Flag\b", bases) else "class"
        names: list[str] = []
        for node in ast.walk(cls):
            if kind == "enum" and isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                names.append(node.targets[0].id)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                names.append(node.target.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_self(node.value):
                names.append(node.attr)
        kept = [name for name in dict.fromkeys(names) if name.isascii()][:_MEMBERS]
        if kept:
            yield source.module, cls.name, source.package, kind, " ".join(kept)


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def read_distribution(path: str) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """The rows of one wheel or folder for constructors.tsv and classes.tsv."""
    where, _, package = path.partition("=")
    objects: set[tuple[str, ...]] = set()
    shapes: set[tuple[str, ...]] = set()
    for source in read_sources(Path(where), package):
        objects.update(classes(source))
        shapes.update(constructors(source))
    found = sorted(objects)
    spread = found[:: max(1, len(found) // _CLASSES)][:_CLASSES]
    return sorted(shapes), spread


def main(paths: list[str]) -> None:
    """Read wheels and ``FOLDER=PACKAGE`` arguments, and write the two tables beside this module."""
    shapes: list[tuple[str, ...]] = []
    objects: list[tuple[str, ...]] = []
    with ProcessPoolExecutor(2) as pool:
        for made, spread in pool.map(read_distribution, paths):
            shapes += made
            objects += spread
    data = Path(__file__).parent / "data"
    write_table(data / "constructors.tsv", "module\tname\tpackage\targuments", shapes)
    write_table(data / "classes.tsv", "module\tname\tpackage\tkind\tattributes", objects)
    print(f"{len(shapes)} constructors, {len(objects)} classes of {len(paths)} distributions")


if __name__ == "__main__":
    main(sys.argv[1:])
