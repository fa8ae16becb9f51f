"""Source text -> the record of a module: what its names are bound to, its functions, its classes."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator

from picklegate.capabilities.bodies import Body
from picklegate.capabilities.flow import BUILTINS, Defined, join
from picklegate.capabilities.records import MOST, Class, Function, Module

_MOST_TEXT = 4_000_000
"""Characters of a source that is read."""


def read_module(text: str, *, name: str, location: str, package: bool = False) -> Module | None:
    """The record of a module; None for text that this Python cannot parse, or that is too long."""
    if len(text) > _MOST_TEXT:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(text)
            return _Reader(Module(name, location, package)).read(tree)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


class _Reader:
    """Walks the statements of a module that run when it is imported."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.names: dict[str, dict[str, None]] = {}
        self.stars: dict[str, None] = {}
        self.bound: set[str] = set()
        self.assigned: frozenset[str] = frozenset()

    def read(self, tree: ast.Module) -> Module:
        self.bound = {
            item.id if isinstance(item, ast.Name) else item.name
            for item in _running(tree.body)
            if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
            or (isinstance(item, ast.Name) and isinstance(item.ctx, ast.Store))
        }
        self.assigned = frozenset(self.bound)
        for node in _running(tree.body):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                for name, refs in self.imported(node).items():
                    self.bind(name, refs)
                self.bound.update(self.imported(node))
        for node in _running(tree.body):
            self.statement(node)
        self.module.names = {name: tuple(refs)[:24] for name, refs in self.names.items()}
        self.module.stars = tuple(self.stars)
        return self.module

    def bind(self, name: str, refs: tuple[str, ...]) -> None:
        own = f"{self.module.name}:{name}"
        kept = self.names.setdefault(name, {})
        kept.update((ref, None) for ref in refs if ref != own)

    def refer(self, name: str) -> str:
        """The reference of a name that this module does not bind in a function."""
        if name in BUILTINS and name not in self.bound:
            return f"builtins:{name}"
        if name not in self.assigned and len(self.names.get(name, ())) == 1:
            return next(iter(self.names[name]))
        return f"{self.module.name}:{name}"

    def imported(self, node: ast.Import | ast.ImportFrom) -> dict[str, tuple[str, ...]]:
        """The names that an import binds."""
        found: dict[str, tuple[str, ...]] = {}
        if isinstance(node, ast.Import):
            for item in node.names:
                top = item.name.partition(".")[0]
                found[item.asname or top] = (f"{item.name if item.asname else top}:",)
            return found
        base = node.module or ""
        if node.level:
            parts = self.module.name.split(".")
            keep = len(parts) - node.level + (1 if self.module.package else 0)
            base = ".".join((*parts[: max(keep, 0)], *([base] if base else ())))
        for item in node.names:
            if item.name == "*":
                self.stars[base] = None
            else:
                found[item.asname or item.name] = (f"{base}:{item.name}",)
        return found

    def body(self) -> Body:
        return Body(self.refer, self.imported)

    def refs(self, node: ast.expr | None) -> tuple[str, ...]:
        """Where the value of an expression of the module comes from."""
        if node is None or isinstance(node, (ast.Constant, ast.Compare)):
            return ()
        if isinstance(node, ast.Name):
            return (self.refer(node.id),)
        if isinstance(node, ast.Attribute):
            return tuple(join(ref, node.attr) for ref in self.refs(node.value))
        if isinstance(node, ast.Call):
            made = self.refs(node.func)
            if made in {("functools:partial",), ("functools:partialmethod",)} and node.args:
                return self.refs(node.args[0])
            return tuple(f"{ref}()" for ref in made if len(ref) < 200)
        if isinstance(node, ast.Subscript):
            return self.refs(node.value)
        if isinstance(node, (ast.BoolOp, ast.IfExp)):
            parts = node.values if isinstance(node, ast.BoolOp) else [node.body, node.orelse]
            return tuple(dict.fromkeys(ref for item in parts for ref in self.refs(item)))[:MOST]
        return ()

    def statement(self, node: ast.AST) -> None:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            self.function(node, node.name, "")
        elif isinstance(node, ast.ClassDef):
            self.class_(node, node.name)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                self.assign(target, node.value)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            self.assign(node.target, node.value)

    def assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            for one, item in zip(target.elts, value.elts, strict=True):
                self.assign(one, item)
        elif isinstance(target, (ast.Tuple, ast.List)):
            for one in target.elts:
                self.assign(one, value)
        elif isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
            self.bind(f"{target.value.id}[]", self.refs(value))
        elif isinstance(target, ast.Attribute):
            for ref in self.refs(target):
                module, _, path = ref.partition(":")
                if module == self.module.name:
                    self.bind(path, self.refs(value))
        elif isinstance(target, ast.Name):
            self.bind(target.id, self.refs(value))
            if isinstance(value, ast.Dict):
                self.table(target.id, value)
            elif isinstance(value, (ast.List, ast.Tuple, ast.Set)):
                self.bind(f"{target.id}[]", tuple(ref for item in value.elts for ref in self.refs(item)))
            elif isinstance(value, ast.Call):
                for word in value.keywords:
                    if word.arg == "submod_attrs" and isinstance(word.value, ast.Dict):
                        self.table(target.id, word.value)
            elif isinstance(value, ast.Lambda):
                self.module.functions[target.id] = self.lambda_(value, target.id)

    def lambda_(self, node: ast.Lambda, name: str) -> Function:
        made = ast.FunctionDef(
            name=name,
            args=node.args,
            body=[ast.Return(node.body, lineno=node.lineno)],
            decorator_list=[],
            lineno=node.lineno,
        )
        return self.body().read(made, name=name, binding="")

    def table(self, name: str, node: ast.Dict) -> None:
        """A dict of the module: its values, and where it says which submodule has which names (lazy imports)."""
        self.bind(f"{name}[]", tuple(ref for item in node.values for ref in self.refs(item)))
        if not self.module.package:
            return
        for key, value in zip(node.keys, node.values, strict=True):
            if (
                isinstance(key, ast.Constant)
                and isinstance(key.value, str)
                and isinstance(value, (ast.List, ast.Tuple))
            ):
                source = f"{self.module.name}.{key.value.lstrip('.')}"
                for item in value.elts:
                    if isinstance(item, ast.Constant) and isinstance(item.value, str) and item.value.isidentifier():
                        self.bind(item.value, (f"{source}:{item.value}",))

    def function(self, node: Defined, name: str, binding: str) -> str:
        """Read a function or method; returns the name that it is kept by."""
        decorators = tuple(ref for item in node.decorator_list for ref in self.refs(item) or ("?",))
        if any(ref.endswith(("overload", ":overload")) for ref in decorators):
            return ""
        while name in self.module.functions:
            name += "'"
        self.module.functions[name] = self.body().read(node, name=name, binding=binding, decorators=decorators)
        return name

    def class_(self, node: ast.ClassDef, name: str) -> None:
        decorators = tuple(ref for item in node.decorator_list for ref in self.refs(item))
        methods: list[str] = []
        setters: list[str] = []
        fields: list[str] = []
        attributes: dict[str, dict[str, None]] = {}
        for item in _running(node.body):
            if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef)):
                self.method(item, name, methods, setters)
            elif isinstance(item, ast.ClassDef):
                self.class_(item, f"{name}.{item.name}")
                attributes.setdefault(item.name, {})[f"{self.module.name}:{name}.{item.name}"] = None
            elif isinstance(item, ast.Assign):
                for target in item.targets:
                    if isinstance(target, ast.Name):
                        found = (self.within(ref, name, methods) for ref in self.refs(item.value))
                        attributes.setdefault(target.id, {}).update((ref, None) for ref in found)
                        if isinstance(item.value, ast.Lambda):
                            self.module.functions[f"{name}.{target.id}"] = self.lambda_(item.value, target.id)
                            methods.append(target.id)
            elif isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                fields.append(item.target.id)
                refs = (*self.refs(item.value), *self.body().annotated(item.annotation))
                attributes.setdefault(item.target.id, {}).update((ref, None) for ref in refs)
        for method in methods:
            for attribute, value in self.module.functions[f"{name}.{method}"].sets:
                attributes.setdefault(attribute, {}).update((ref, None) for ref in value.refs)
        plain = not any(
            "dataclass" in ref or ref.endswith((".define", ".s", ".attrs", ".frozen")) for ref in decorators
        )
        metaclass = next(
            (ref for word in node.keywords if word.arg == "metaclass" for ref in self.refs(word.value)), ""
        )
        self.module.classes[name] = Class(
            name=name,
            line=node.lineno,
            bases=tuple(ref for item in node.bases for ref in self.refs(item) or ("?",)),
            metaclass=metaclass,
            methods=tuple(dict.fromkeys(methods)),
            setters=tuple(setters),
            attributes=tuple((key, tuple(refs)[:MOST]) for key, refs in attributes.items() if refs),
            fields=() if plain else tuple(fields),
            decorators=decorators,
        )

    def within(self, ref: str, owner: str, methods: list[str]) -> str:
        """A reference as the body of a class means it: its own names come first."""
        module, _, path = ref.partition(":")
        head = path.partition(".")[0]
        return f"{self.module.name}:{owner}.{path}" if module == self.module.name and head in methods else ref

    def method(self, node: Defined, owner: str, methods: list[str], setters: list[str]) -> None:
        names = [ast.unparse(item) for item in node.decorator_list]
        binding, name = "method", f"{owner}.{node.name}"
        if "staticmethod" in names:
            binding = "static"
        elif "classmethod" in names or node.name in {"__init_subclass__", "__class_getitem__"}:
            binding = "class"
        elif any(text.endswith(("property", ".getter")) for text in names):
            binding = "property"
        elif any(text.endswith((".setter", ".deleter")) for text in names):
            kind = next(text.rpartition(".")[2] for text in names if text.endswith((".setter", ".deleter")))
            name = f"{name}.{kind}"
            if kind == "setter":
                setters.append(node.name)
        kept = self.function(node, name, "method" if node.name == "__new__" else binding)
        if kept and binding != "property":
            methods.append(kept[len(owner) + 1 :])
        elif kept:
            methods.append(node.name)


def _running(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """The statements and names that importing runs: those in branches, not those in functions and classes."""
    pending: list[ast.AST] = list(reversed(body))
    while pending:
        node = pending.pop()
        yield node
        if isinstance(node, (ast.If, ast.Try, ast.With, ast.For, ast.While)):
            pending.extend(reversed(list(ast.iter_child_nodes(node))))
        elif isinstance(node, ast.ExceptHandler):
            pending.extend(reversed(node.body))
        elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            pending.extend(item for target in targets for item in ast.walk(target) if isinstance(item, ast.Name))
