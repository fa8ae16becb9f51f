"""Read the sources of packages for callables whose arguments reach a dangerous primitive.

A simple taint analysis over ``ast``, nothing is imported: inside one function, an expression is tainted by the
parameters it mentions; calls of functions whose own parameters reach a primitive count too, ``ROUNDS`` deep.
"""

from __future__ import annotations

import ast
import functools
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from picklegate.training.lists import rows

ROUNDS = 3
_SKIPPED = {"tests", "test", "testing", "_tests", "conftest", "benchmarks", "examples", "idlelib", "site-packages"}
_WRITERS = {"write_text": "file", "write_bytes": "file", "unlink": "file", "rmdir": "file", "extractall": "file"}
_HARMLESS = {"len", "isinstance", "type", "bool", "int", "float", "id", "hash", "callable", "hasattr", "range"}
_MAX_SOURCE = 1_500_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One module's text, and the distribution that it is of."""

    package: str
    module: str
    text: str


@dataclass(kw_only=True, slots=True)
class Function:
    """A function in some module, and which of its parameters (by place) reach what."""

    package: str
    module: str
    name: str
    parameters: tuple[str, ...]
    required: int
    kind: str
    node: ast.FunctionDef | ast.AsyncFunctionDef
    names: dict[str, str]
    called: frozenset[str]
    """The last parts of the names that it calls."""
    reaches: dict[int, tuple[str, str, str]] = field(default_factory=dict)
    """Place -> (effect, argument kind, primitive)."""

    @property
    def dotted(self) -> str:
        """``module.name``."""
        return f"{self.module}.{self.name}"


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


def functions(source: Source) -> Iterator[Function]:
    """The functions and methods that a module defines at its top and in its classes."""
    tree = parse(source.text)
    if tree is None:
        return
    names = _imported(tree, source.module)
    defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    names |= {node.name: f"{source.module}.{node.name}" for node in tree.body if isinstance(node, defined)}
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield _function(source, node, node.name, "function", names)
        elif isinstance(node, ast.ClassDef):
            own = {
                f"self.{item.name}": f"{source.module}.{node.name}.{item.name}"
                for item in node.body
                if isinstance(item, defined)
            }
            within = names | own | {f"cls.{name[5:]}": target for name, target in own.items()}
            for item in node.body:
                if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    kind = _method_kind(item)
                    name = node.name if item.name == "__init__" else f"{node.name}.{item.name}"
                    yield _function(source, item, name, kind, within)


def _method_kind(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    decorators = {ast.unparse(item) for item in node.decorator_list}
    if "staticmethod" in decorators:
        return "function"
    if "classmethod" in decorators:
        return "classmethod"
    return "class" if node.name == "__init__" else "method"


def _function(
    source: Source, node: ast.FunctionDef | ast.AsyncFunctionDef, name: str, kind: str, names: dict[str, str]
) -> Function:
    found = [item.arg for item in (*node.args.posonlyargs, *node.args.args)]
    if kind != "function":
        found = found[1:]
    local = _imported(node, source.module)
    known = names | local if local else names
    return Function(
        package=source.package,
        module=source.module,
        name=name,
        parameters=tuple(found),
        required=max(0, len(found) - len(node.args.defaults)),
        kind=kind,
        node=node,
        names=known,
        called=frozenset(_last(item.func, known) for item in ast.walk(node) if isinstance(item, ast.Call)),
    )


def _last(node: ast.expr, names: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id).rpartition(".")[2]
    return node.attr if isinstance(node, ast.Attribute) else ""


def _imported(tree: ast.AST, module: str) -> dict[str, str]:
    names: dict[str, str] = {}
    for node in ast.walk(tree) if not isinstance(tree, ast.Module) else _top_level(tree):
        if isinstance(node, ast.Import):
            for item in node.names:
                root = item.name if item.asname else item.name.split(".")[0]
                names[item.asname or root] = root
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = module.split(".")[: -node.level] or [module.split(".", maxsplit=1)[0]]
                base = ".".join((*parent, base)).rstrip(".")
            for item in node.names:
                names[item.asname or item.name] = f"{base}.{item.name}"
    return names


def _top_level(tree: ast.Module) -> Iterator[ast.AST]:
    for node in tree.body:
        yield node
        if isinstance(node, (ast.Try, ast.If)):
            yield from ast.walk(node)


class _Taint(ast.NodeVisitor):
    """Which parameters reach which primitives, within one function."""

    def __init__(self, function: Function, known: dict[str, Function], primitives: dict[str, tuple[str, str]]) -> None:
        self.function = function
        self.known = known
        self.primitives = primitives
        self.tainted: dict[str, set[int]] = {name: {place} for place, name in enumerate(function.parameters)}
        self.found: dict[int, tuple[str, str, str]] = {}

    def sources(self, node: ast.AST) -> set[int]:
        """The places of the parameters that an expression mentions."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _HARMLESS:
            return set()
        if isinstance(node, ast.Name):
            return self.tainted.get(node.id, set())
        if isinstance(node, (ast.Compare, ast.Lambda)):
            return set()
        return set().union(*(self.sources(child) for child in ast.iter_child_nodes(node)))

    def assign(self, targets: list[ast.expr], value: ast.AST) -> None:
        places = self.sources(value)
        for target in targets:
            for name in ast.walk(target):
                if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store):
                    self.tainted[name.id] = self.tainted.get(name.id, set()) | places

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        self.assign(node.targets, node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.generic_visit(node)
        self.assign([node.target], node.value)

    def visit_For(self, node: ast.For) -> None:
        self.assign([node.target], node.iter)
        self.generic_visit(node)

    def visit_With(self, node: ast.With) -> None:
        for item in node.items:
            if item.optional_vars is not None:
                self.assign([item.optional_vars], item.context_expr)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        callee = self.resolve(node.func)
        if callee in self.primitives:
            effect, argument = self.primitives[callee]
            self.reach(node.args[:1] or [word.value for word in node.keywords[:1]], effect, argument, callee)
        elif callee == "builtins.open" and _writes(node):
            self.reach(node.args[:1], "file", "path", "builtins.open")
        elif isinstance(node.func, ast.Attribute) and node.func.attr in _WRITERS:
            self.reach([node.func.value], "file", "path", f"pathlib.Path.{node.func.attr}")
        elif callee in self.known and self.known[callee] is not self.function:
            self.pass_on(node, self.known[callee])

    def pass_on(self, node: ast.Call, callee: Function) -> None:
        """Arguments that a known function hands to a primitive are handed to it here too."""
        for place, (effect, argument, primitive) in callee.reaches.items():
            if place < len(node.args):
                self.reach([node.args[place]], effect, argument, primitive)
            for word in node.keywords:
                if word.arg == callee.parameters[place]:
                    self.reach([word.value], effect, argument, primitive)

    def reach(self, nodes: list[ast.expr], effect: str, argument: str, primitive: str) -> None:
        for node in nodes:
            for place in self.sources(node):
                self.found.setdefault(place, (effect, argument, primitive))

    def resolve(self, node: ast.AST) -> str:
        """The dotted name of a callee, through the imports of its module."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        parts = [node.id, *reversed(parts)]
        if parts[0] in self.tainted:
            return ""
        for cut in (2, 1):
            head = ".".join(parts[:cut])
            if head in self.function.names:
                return ".".join((self.function.names[head], *parts[cut:]))
        return f"builtins.{parts[0]}" if len(parts) == 1 else ""


def _writes(node: ast.Call) -> bool:
    modes = [*node.args[1:2], *(word.value for word in node.keywords if word.arg == "mode")]
    return any(isinstance(mode, ast.Constant) and set("wax+") & set(str(mode.value)) for mode in modes)


def mine(sources: Iterator[Source]) -> tuple[Function, ...]:
    """The callables of one distribution that hand an argument to a primitive."""
    found = {function.dotted: function for source in sources for function in functions(source)}
    primitives = {row["primitive"]: (row["effect"], row["argument"]) for row in rows("sinks.tsv")}
    wanted = {"open", *_WRITERS, *(name.rpartition(".")[2] for name in primitives)}
    for _ in range(ROUNDS):
        for function in found.values():
            if function.called.isdisjoint(wanted):
                continue
            taint = _Taint(function, found, primitives)
            for statement in (*function.node.body, *function.node.body):
                taint.visit(statement)
            function.reaches = taint.found
        wanted |= {function.name.rpartition(".")[2] for function in found.values() if function.reaches}
    return tuple(function for function in found.values() if function.reaches)


_FILLERS = (
    ("path file dir folder filename fname dest dst out", "path"),
    ("url uri link endpoint", "url"),
    ("dict kwargs globals locals namespace env mapping params config", "dict"),
    ("args list seq items names argv columns", "list"),
    ("n num count size timeout port index level", "int"),
    ("name key module mode kind text cmd prefix", "word"),
)
_PREFERENCE = ("exec", "deserialise", "import", "net", "file")
_MOST = 7
"""Arguments of a callable, beyond which it is left out."""
_SHARE = {"exec": 14, "deserialise": 8, "import": 6, "net": 6, "file": 8}
"""How many callables of each effect are kept of one distribution."""


def _filler(name: str) -> str:
    pieces = name.lower().strip("_").split("_")
    for endings, kind in _FILLERS:
        if any(piece in endings.split() for piece in pieces):
            return kind
    return "none"


def gadget_row(function: Function) -> tuple[str, str, str, str, str, str]:
    """A callable as a row of mined.tsv: module, name, package, effect, arguments, what reaches what."""
    place, (effect, argument, _) = min(
        function.reaches.items(), key=lambda item: (_PREFERENCE.index(item[1][0]), item[0])
    )
    last = max(place, function.required - 1)
    kinds = [
        argument if at == place else _filler(function.parameters[at]) if at < function.required else "none"
        for at in range(last + 1)
    ]
    if function.kind == "method":
        kinds.insert(0, "self")
    reaches = " ".join(f"{at}:{primitive}" for at, (_, _, primitive) in sorted(function.reaches.items()))
    return function.module, function.name, function.package, effect, " ".join(kinds), reaches


def chosen(found: tuple[Function, ...]) -> list[tuple[str, str, str, str, str, str]]:
    """The rows kept of one distribution: plain functions before methods, public before private."""
    order = {"function": 0, "class": 1, "classmethod": 1, "method": 2}
    ranked = sorted(
        found, key=lambda item: (order[item.kind], "._" in item.dotted, item.dotted.count("."), item.dotted)
    )
    left = dict(_SHARE)
    kept = []
    for function in ranked:
        row = gadget_row(function)
        if len(row[4].split()) > _MOST:
            continue
        if left[row[3]] > 0:
            left[row[3]] -= 1
            kept.append(row)
    return kept


def write_table(path: Path, header: str, table: list[tuple[str, ...]]) -> None:
    """Write sorted rows, without repeats, under a header."""
    lines = [header, *("\t".join(row) for row in sorted(set(table)))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
