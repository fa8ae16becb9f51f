"""Calls within a function body: what they are given, what they put where, and what special ones result in."""

from __future__ import annotations

import ast
from typing import Any

from picklegate.capabilities.flow import INNER, Flow, join
from picklegate.capabilities.records import MOST, NOTHING, Value

_HARMLESS = frozenset(
    "len isinstance issubclass callable hasattr id hash bool int float abs round ord complex all any sum".split()  # noqa: SIM905
)
"""Builtins whose result decides nothing."""
_MUTATORS = frozenset(
    "append extend add update insert setdefault appendleft extendleft put push write writelines".split()  # noqa: SIM905
)
"""Methods that put what they are given into their object."""

_HOLDING = frozenset(("get", "pop", "items", "values", "keys", "copy", "popitem"))
"""Methods that give out what their object holds."""
_COPYING = frozenset(("iter", "list", "tuple", "next", "reversed", "sorted", "set", "dict", "zip", "enumerate"))
"""Builtins whose result holds what their one argument holds."""
_PASSING = frozenset((
    "functools:wraps", "functools:update_wrapper", "functools:lru_cache", "functools:cache", "typing:cast",
    "copy:copy", "copy:deepcopy", "weakref:ref", "types:MethodType", "inspect:unwrap", "builtins:staticmethod",
    "builtins:classmethod", "builtins:zip", "builtins:enumerate", "builtins:dict", "itertools:chain", "itertools:cycle",
    "itertools:repeat",
))  # fmt: skip
"""Callables whose result is, or holds, what they are given."""


class Calls(Flow):
    """The calls of one function."""

    def call(self, node: Any) -> Value:
        """A call."""
        function = node.func
        receiver = self.value(function.value) if isinstance(function, ast.Attribute) else NOTHING
        callee = (
            self.attribute(receiver, function.attr) if isinstance(function, ast.Attribute) else self.value(function)
        )
        args, rest = [], 0
        for item in node.args:
            value = self.value(item)
            if isinstance(item, ast.Starred):
                rest |= value.mask
                self.use(value, NOTHING)
            else:
                args.append(value)
        keywords = []
        for word in node.keywords:
            value = self.value(word.value)
            if word.arg is None:
                rest |= value.mask
            else:
                keywords.append((word.arg, value))
        given, bare = rest, rest
        for value in (*args, *(value for _, value in keywords)):
            given |= value.mask
            bare |= value.bare
        special = self.special(node, callee, args)
        if special is not None:
            return special
        if isinstance(function, ast.Attribute):
            self.mutate(function, receiver, Value(given, (), "", bare), args)
        elif callee.refs:
            # What a partial or another binding holds is given as well.
            rest |= callee.mask
        for value in (*args, *(value for _, value in keywords)):
            self.use(value, Value(given & ~value.mask, (), "", bare & ~value.mask))
        self.use(callee, Value(given, (), "", bare))
        return self.finished(node, callee, receiver, tuple(args), tuple(keywords), rest, Value(given, (), "", bare))

    def finished(
        self,
        node: Any,
        callee: Value,
        receiver: Value,
        args: tuple[Value, ...],
        keywords: tuple[tuple[str, Value], ...],
        rest: int,
        given: Value,
    ) -> Value:
        """Keep the call, and tell what it results in."""
        function = node.func
        method = function.attr if isinstance(function, ast.Attribute) else ""
        if method in {"get", "pop"} and args:
            receiver = self.item(function.value, receiver, args[0])
        self.record(callee, method, args, node, keywords, rest)
        owner = receiver.mask if method and "@self" not in receiver.refs else callee.mask
        refs = tuple(f"{ref}()" for ref in callee.refs if not ref.startswith(INNER))[:MOST]
        held = receiver.bare if method in _HOLDING else given.bare if _PASSING.intersection(callee.refs) else 0
        return Value(given.mask | owner, tuple(ref for ref in refs if len(ref) < 300), "", held)

    def use(self, value: Value, given: Value) -> None:
        """Take in the inner functions that a value may be, for it is called or handed on."""
        for ref in value.refs:
            node = self.nested.get(ref)
            if node is not None:
                depth = len(self.active)
                if ref not in self.active and depth < 4:
                    self.active.append(ref)
                    self.within(node, given)
                    self.active.pop()

    def mutate(self, function: ast.Attribute, receiver: Value, given: Value, args: list[Value]) -> None:
        """A method that puts what it is given into its object."""
        if function.attr not in _MUTATORS or not given.mask:
            return
        attribute = self.own_attribute(function.value)
        if attribute:
            self.put(attribute, given if not args else Value(given.mask, args[-1].refs, "", given.bare))
        elif isinstance(function.value, ast.Name):
            owner = self.scope.owner(function.value.id)
            if owner is not None and "@self" not in receiver.refs:
                before = owner.values.get(function.value.id, NOTHING)
                owner.values[function.value.id] = before.joined(given)

    def special(self, node: Any, callee: Value, args: list[Value]) -> Value | None:
        """Calls that say where a value comes from; None for any other."""
        name = callee.refs[0] if len(callee.refs) == 1 else ""
        if name.startswith("builtins:"):
            return self.builtin(name[9:], node, args)
        if name in {"functools:partial", "functools:partialmethod"} and args:
            bound = args[0]
            for value in (*args[1:], *(self.value(word.value) for word in node.keywords)):
                bound = Value(bound.mask | value.mask, bound.refs, "", args[0].bare)
            self.use(args[0], Value(bound.mask))
            return bound
        if name.endswith((".__init__", ".__new__", ".__setstate__")) and args and "@self" in args[0].refs:
            # Base.__init__(self, ...): a method of its own class.
            return None
        if name == "builtins:object.__setattr__" and len(args) == 3 and "@self" in args[0].refs:
            self.put(args[1].const or "*", args[2])
            return NOTHING
        return None

    def builtin(self, name: str, node: Any, args: list[Value]) -> Value | None:
        """What calls of some builtin functions result in; None for a call like any other."""
        if name in _HARMLESS:
            return NOTHING
        if name == "super":
            return Value(0, ("@super",))
        if name == "type" and len(args) == 1:
            return (
                Value(args[0].mask, tuple(f"{ref}.__class__" for ref in args[0].refs if ref != "@self"))
                if ("@self" not in args[0].refs)
                else Value(0, ("@self",))
            )
        if name == "getattr" and len(args) >= 2:
            default = args[2] if len(args) > 2 else NOTHING
            if args[1].const and not args[1].mask:
                return self.attribute(args[0], args[1].const).joined(default)
            refs = (f"{args[0].refs[0]}.?",) if args[0].refs else ()
            return Value(args[0].mask | args[1].mask, refs, "", args[1].bare).joined(default)
        if name in {"setattr", "object.__setattr__"} and len(args) == 3:
            return self.set_by_name(node, args)
        if name == "vars" and len(args) == 1:
            return Value(args[0].mask)
        plain = len(args) == 1 and not node.keywords
        return args[0] if plain and name in _COPYING else None

    def set_by_name(self, node: Any, args: list[Value]) -> Value | None:
        """``setattr(target, name, value)``."""
        if "@self" in args[0].refs:
            self.put(
                args[1].const if args[1].const and not args[1].mask else "*",
                Value(args[1].mask | args[2].mask, args[2].refs, "", args[2].bare),
            )
            return NOTHING
        target = node.args[0]
        if args[0].refs and not args[0].mask and not any("()" in ref for ref in args[0].refs):
            name = args[1].const or "?"
            self.record(Value(0, tuple(f"!set:{join(ref, name)}" for ref in args[0].refs)), "", tuple(args[1:]), node)
            return NOTHING
        if isinstance(target, ast.Name) and target.id in self.direct and args[1].mask:
            return None
        return NOTHING
