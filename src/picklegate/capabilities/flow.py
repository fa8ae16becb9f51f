"""Variables, and what is noted of a function while its body is read (bodies.py)."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Iterator
from typing import Any

from picklegate.capabilities.records import Call, Value

Defined = ast.FunctionDef | ast.AsyncFunctionDef
BUILTINS = frozenset(vars(builtins)) | {"unicode", "long", "xrange", "reload", "execfile", "raw_input", "basestring"}


INNER = "@inner:"
"""How references to inner functions begin."""


class Scope:
    """The variables of a function, and of the one that it stands in."""

    def __init__(self, outer: Scope | None, local: frozenset[str]) -> None:
        """``local`` are the names that it binds itself."""
        self.outer = outer
        self.local = local
        self.values: dict[str, Value] = {}

    def owner(self, name: str) -> Scope | None:
        """The scope that a name belongs to; None for a name of the module."""
        scope: Scope | None = self
        while scope is not None and name not in scope.local:
            scope = scope.outer
        return scope


def local_names(node: ast.AST) -> frozenset[str]:
    """The names that a function body binds itself, those of its parameters included."""
    found: set[str] = set()
    shared: set[str] = set()
    arguments = getattr(node, "args", None)
    if isinstance(arguments, ast.arguments):
        found.update(item.arg for item in parameters_of(arguments))
    body = getattr(node, "body", [])
    pending: list[ast.AST] = list(body) if isinstance(body, list) else [body]
    while pending:
        item = pending.pop()
        if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(item.name)
            continue
        if isinstance(item, ast.Lambda):
            continue
        if isinstance(item, ast.Name) and not isinstance(item.ctx, ast.Load):
            found.add(item.id)
        elif isinstance(item, (ast.Import, ast.ImportFrom)):
            found.update((name.asname or name.name.partition(".")[0]) for name in item.names)
        elif isinstance(item, ast.ExceptHandler) and item.name:
            found.add(item.name)
        elif isinstance(item, (ast.Global, ast.Nonlocal)):
            shared.update(item.names)
        elif isinstance(item, (ast.MatchAs, ast.MatchStar)) and item.name:
            found.add(item.name)
        pending.extend(ast.iter_child_nodes(item))
    return frozenset(found - shared)


def parameters_of(arguments: ast.arguments) -> Iterator[ast.arg]:
    """Every parameter."""
    yield from (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    if arguments.vararg:
        yield arguments.vararg
    if arguments.kwarg:
        yield arguments.kwarg


class Flow:
    """What is noted of one function.

    ``refer`` gives the reference of a name of the module, ``imported`` those that an import binds.
    """

    def __init__(
        self,
        refer: Callable[[str], str],
        imported: Callable[[ast.Import | ast.ImportFrom], dict[str, tuple[str, ...]]],
    ) -> None:
        """Nothing is noted yet."""
        self.refer = refer
        self.imported = imported
        self.places: list[str] = []
        self.bits: dict[str, int] = {}
        self.calls: list[Call] = []
        self.sets: dict[str, Value] = {}
        self.returns = Value()
        self.marks: dict[str, None] = {}
        self.scope = Scope(None, frozenset())
        self.recording = False
        self.own = ""
        self.lazy = False
        self.direct: dict[str, int] = {}
        self.inner: dict[int, Scope] = {}
        self.nested: dict[str, Any] = {}
        self.active: list[str] = []

    def bit(self, place: str) -> int:
        """The mask of a place."""
        if place not in self.bits:
            if len(self.places) >= 200:
                place = self.places[-1]
            else:
                self.bits[place] = len(self.places)
                self.places.append(place)
        return 1 << self.bits[place]

    def assign(self, target: ast.AST, value: Value) -> None:
        """Bind a target to a value."""
        if isinstance(target, ast.Name):
            owner = self.scope.owner(target.id)
            if owner is None:
                self.record(Value(0, ("!set:" + self.refer(target.id),)), "", (value,), target)
            else:
                before = owner.values.get(target.id)
                owner.values[target.id] = value if before is None else before.joined(value)
        elif isinstance(target, (ast.Tuple, ast.List)):
            for item in target.elts:
                self.assign(item, Value(value.mask, value.refs, "", value.bare))
        elif isinstance(target, ast.Starred):
            self.assign(target.value, value)
        elif isinstance(target, ast.Attribute):
            self.assign_attribute(target, value)
        elif isinstance(target, ast.Subscript):
            self.assign_item(target, value)

    def assign_attribute(self, target: ast.Attribute, value: Value) -> None:
        """Bind an attribute: of the object itself, or of something that others use."""
        base = self.value(target.value)
        if "@self" in base.refs:
            self.put("*" if target.attr == "__dict__" else target.attr, value)
        elif base.refs and not base.mask and not any("()" in ref or ref.startswith("@") for ref in base.refs):
            self.record(Value(0, tuple(f"!set:{join(ref, target.attr)}" for ref in base.refs)), "", (value,), target)

    def assign_item(self, target: ast.Subscript, value: Value) -> None:
        """Bind an item: it goes into what holds it."""
        key = self.value(target.slice)
        both = Value(value.mask | key.mask, value.refs, "", value.bare)
        node = target.value
        if isinstance(node, ast.Name) and self.scope.owner(node.id) is not None:
            self.assign(node, both)
            return
        base = self.value(node)
        attribute = self.own_attribute(node)
        if attribute:
            self.put(attribute, both)
        elif base.refs and not any(ref.startswith("@") for ref in base.refs):
            self.record(Value(0, tuple("!item:" + ref for ref in base.refs)), "", (key, value), target)

    def own_attribute(self, node: ast.expr) -> str:
        """The name of an attribute of the object itself; ``*`` for its ``__dict__``; empty for anything else."""
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == self.own != "":
            return "*" if node.attr == "__dict__" else node.attr
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "vars" and node.args:
            inner = node.args[0]
            return "*" if isinstance(inner, ast.Name) and inner.id == self.own != "" else ""
        return ""

    def value(self, node: ast.AST | None) -> Value:
        """What an expression may be (bodies.py)."""
        raise NotImplementedError

    def put(self, attribute: str, value: Value) -> None:
        """Note what an attribute of the object is made of."""
        before = self.sets.get(attribute)
        self.sets[attribute] = value if before is None else before.joined(value)

    def record(
        self,
        callee: Value,
        method: str,
        args: tuple[Value, ...],
        node: ast.AST,
        keywords: tuple[tuple[str, Value], ...] = (),
        rest: int = 0,
    ) -> None:
        """Keep a call, in the second pass."""
        if self.recording:
            words = tuple((word, plain(value)) for word, value in keywords)
            if not callee.refs or any(not ref.startswith(INNER) for ref in callee.refs):
                line = getattr(node, "lineno", 0)
                self.calls.append(Call(plain(callee), method, tuple(map(plain, args)), words, rest, line))

    def attribute(self, base: Value, name: str) -> Value:
        """An attribute of a value: of the object itself it is a place of its own."""
        if "@self" in base.refs:
            if name == "__class__":
                return Value(0, ("@self",))
            bit = self.bit(f".{name}")
            return Value(bit, (f"@self.{name}",), "", bit)
        return Value(base.mask, tuple(join(ref, name) for ref in base.refs))

    def item(self, node: ast.expr, base: Value, key: Value) -> Value:
        """What a value holds under a key."""
        if isinstance(node, ast.Name) and key.const and not key.mask and node.id in self.direct:
            owner = self.scope.owner(node.id)
            if owner is not None and owner.outer is None:
                bit = self.bit(f"{self.direct[node.id]}[{key.const}]")
                return Value(bit, (), "", bit)
        return base

    def within(self, node: Any, given: Value) -> None:
        """Take in the body of an inner function (bodies.py)."""
        raise NotImplementedError


def plain(value: Value) -> Value:
    """The value without its references to inner functions, whose bodies have been taken in."""
    if any(ref.startswith(INNER) for ref in value.refs):
        refs = tuple(ref for ref in value.refs if not ref.startswith(INNER))
        return Value(value.mask, refs, value.const, value.bare)
    return value


def dot(ref: str) -> str:
    """What stands between a reference and an attribute of it."""
    return "" if ref.endswith(":") else "."


def join(ref: str, attribute: str) -> str:
    """The reference of an attribute."""
    return f"{ref}{dot(ref)}{attribute}"
