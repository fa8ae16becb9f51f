"""The body of one function as calls and what taints their arguments.

Two passes over its tree, blind to the order of statements.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from picklegate.capabilities.calls import Calls
from picklegate.capabilities.flow import BUILTINS, INNER, Defined, Scope, dot, join, local_names, parameters_of, plain
from picklegate.capabilities.records import MOST, NOTHING, Function, Value

_CHARACTERS = 80
"""Characters of a constant that are kept."""


class Body(Calls):
    """Reads one function."""

    def read(self, node: Defined, *, name: str, binding: str, decorators: tuple[str, ...] = ()) -> Function:
        """The record of a function."""
        scope = self.scope = Scope(None, local_names(node))
        arguments = node.args
        positional = [*arguments.posonlyargs, *arguments.args]
        parameters = [item.arg for item in (*positional, *arguments.kwonlyargs)]
        defaults = [None] * (len(positional) - len(arguments.defaults)) + [*arguments.defaults, *arguments.kw_defaults]
        if binding in {"method", "class", "property"} and parameters:
            self.own = parameters[0]
        every = [*positional, *arguments.kwonlyargs]
        for at, item in enumerate(every):
            refs = self.annotated(item.annotation)
            default = defaults[at] if at < len(defaults) else None
            if default is not None:
                refs = (*self.value(default).refs, *refs)
            if item.arg == self.own:
                refs = ("@self",)
            scope.values[item.arg] = Value(self.bit(str(at)), refs[:MOST], "", self.bit(str(at)))
            self.direct[item.arg] = at
        for star, extra in (("*", arguments.vararg), ("**", arguments.kwarg)):
            if extra is not None:
                bit = self.bit(str(len(parameters)))
                scope.values[extra.arg] = Value(bit, (), "", bit)
                self.direct[extra.arg] = len(parameters)
                parameters.append(star + extra.arg)
        self.statements(node.body)
        self.recording = True
        self.statements(node.body)
        return Function(
            name=name,
            line=node.lineno,
            parameters=tuple(parameters),
            binding=binding,
            places=tuple(self.places),
            calls=tuple(self.calls),
            sets=tuple(self.sets.items()),
            returns=self.returns,
            decorators=decorators,
            keyword_only=len(arguments.kwonlyargs),
            lazy=self.lazy or isinstance(node, ast.AsyncFunctionDef),
            marks=tuple(self.marks),
        )

    def annotated(self, node: ast.expr | None) -> tuple[str, ...]:
        """The references of instances that an annotation names."""
        if isinstance(node, ast.BinOp):
            return (*self.annotated(node.left), *self.annotated(node.right))
        if isinstance(node, ast.Subscript) and isinstance(node.value, (ast.Name, ast.Attribute)):
            last = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
            inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            return tuple(ref for item in inner for ref in self.annotated(item)) if last in {"Optional", "Union"} else ()
        if isinstance(node, ast.Name) and node.id not in BUILTINS and node.id not in {"Any", "Callable", "Self"}:
            return (self.refer(node.id) + "()",)
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id not in {"typing", "t"}
        ):
            return (f"{self.refer(node.value.id)}{dot(self.refer(node.value.id))}{node.attr}()",)
        return ()

    def statements(self, body: list[ast.stmt]) -> None:
        """Take in statements, one after another."""
        for item in body:
            self.statement(item)

    def statement(self, node: ast.AST) -> None:
        """Take in one statement."""
        kind = type(node)
        handler = _STATEMENTS.get(kind)
        if handler is not None:
            handler(self, node)
            return
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.value(child)
            else:
                self.statement(child)

    def value(self, node: ast.AST | None) -> Value:
        """What an expression may be."""
        if node is None:
            return NOTHING
        handler = _EXPRESSIONS.get(type(node))
        if handler is not None:
            return handler(self, node)
        found = Value()
        for child in ast.iter_child_nodes(node):
            found = found.joined(self.value(child))
        return found

    def enter(self, node: Any) -> Scope:
        """The scope of a function within this one."""
        scope = self.inner.get(id(node))
        if scope is None:
            scope = self.inner[id(node)] = Scope(self.scope, local_names(node))
        return scope

    def within(self, node: Any, given: Value) -> None:
        """Take in the body of an inner function as if it were called here with what is given."""
        scope = self.enter(node)
        outer, self.scope = self.scope, scope
        for item in parameters_of(node.args):
            scope.values[item.arg] = scope.values.get(item.arg, NOTHING).joined(Value(given.mask, (), "", given.bare))
        returned, self.returns = self.returns, Value()
        lazy = self.lazy
        if isinstance(node, ast.Lambda):
            self.value(node.body)
        else:
            self.statements(node.body)
        self.scope, self.returns, self.lazy = outer, returned, lazy

    # Statements

    def inner_function(self, node: Any) -> None:
        """An inner function: its body counts here once it is called or handed on."""
        for item in (*node.decorator_list, *node.args.defaults, *node.args.kw_defaults):
            self.value(item)
        ref = f"{INNER}{id(node)}"
        self.nested[ref] = node
        self.assign(ast.Name(node.name, ast.Store()), Value(0, (ref,)))
        if node.decorator_list:
            # A decorator is given it.
            self.use(Value(0, (ref,)), NOTHING)

    def inner_class(self, node: Any) -> None:
        """A class made in a function is not followed."""
        self.marks["makes a class"] = None
        self.assign(ast.Name(node.name, ast.Store()), NOTHING)

    def binding(self, node: Any) -> None:
        """A binding."""
        value = self.value(node.value)
        for target in node.targets:
            ones, items = getattr(target, "elts", None), getattr(node.value, "elts", None)
            if ones is not None and items is not None and len(ones) == len(items):
                for one, item in zip(ones, items, strict=True):
                    self.assign(one, self.value(item))
            else:
                self.assign(target, value)

    def typed_binding(self, node: Any) -> None:
        """A binding with a type."""
        if node.value is not None:
            value = self.value(node.value)
            self.assign(node.target, value.joined(Value(0, self.annotated(node.annotation))))

    def change(self, node: Any) -> None:
        """A change of a binding."""
        self.assign(node.target, self.value(node.value))

    def loop(self, node: Any) -> None:
        """A loop: its target is an item."""
        self.assign(node.target, self.value(node.iter))
        self.statements([*node.body, *node.orelse])

    def context(self, node: Any) -> None:
        """A context: what it yields is taken for the manager itself."""
        for item in node.items:
            value = self.value(item.context_expr)
            if value.refs:
                entered = Value(value.mask, tuple(join(ref, "__enter__") for ref in value.refs))
                self.record(entered, "__enter__", (), item.context_expr)
            if item.optional_vars is not None:
                self.assign(item.optional_vars, value)
        self.statements(node.body)

    def result(self, node: Any) -> None:
        """What the function results in."""
        value = self.value(node.value)
        closure = any(ref.startswith(INNER) for ref in value.refs)
        refs = (*plain(value).refs, "@closure") if closure else value.refs
        self.returns = self.returns.joined(Value(value.mask, refs, "", value.bare))

    def inner_import(self, node: Any) -> None:
        """An import inside the function."""
        for name, refs in self.imported(node).items():
            self.assign(ast.Name(name, ast.Store()), Value(0, refs))

    def shared(self, node: Any) -> None:
        """Nothing: local_names has seen it."""

    def case(self, node: Any) -> None:
        """A case: its names are parts of the subject, which is not followed."""
        for child in ast.walk(node.pattern):
            if isinstance(child, (ast.MatchAs, ast.MatchStar)) and child.name:
                self.assign(ast.Name(child.name, ast.Store()), NOTHING)
        self.value(node.guard)
        self.statements(node.body)

    # Expressions

    def name_of(self, node: Any) -> Value:
        """A variable, or a name of the module."""
        owner = self.scope.owner(node.id)
        if owner is not None:
            return owner.values.get(node.id, NOTHING)
        return Value(0, (self.refer(node.id),))

    def constant(self, node: Any) -> Value:
        """A constant: its text is kept."""
        return Value(0, (), str(node.value)[:_CHARACTERS]) if node.value is not ... else NOTHING

    def joined_text(self, node: Any) -> Value:
        """A text with values in it: what it begins with is kept."""
        found = Value()
        for item in node.values:
            found = found.joined(Value(self.value(item).mask))
        first = node.values[0] if node.values else None
        if isinstance(first, ast.Constant):
            return Value(found.mask, (), str(first.value)[:_CHARACTERS] + "…")
        return found

    def operation(self, node: Any) -> Value:
        """An operation: a text that it begins with is kept."""
        left, right = self.value(node.left), self.value(node.right)
        const = left.const.rstrip("…") + "…" if left.const and isinstance(node.op, (ast.Add, ast.Mod)) else ""
        refs = tuple(f"{ref}.__truediv__()" for ref in left.refs) if isinstance(node.op, ast.Div) else ()
        return Value(left.mask | right.mask, refs, const)

    def comparison(self, node: Any) -> Value:
        """A comparison decides nothing."""
        for item in (node.left, *node.comparators):
            self.value(item)
        return NOTHING

    def negation(self, node: Any) -> Value:
        """A negation decides nothing."""
        value = self.value(node.operand)
        return NOTHING if isinstance(node.op, ast.Not) else Value(value.mask)

    def either(self, node: Any) -> Value:
        """Either; the test decides nothing."""
        self.value(node.test)
        return self.value(node.body).joined(self.value(node.orelse))

    def named(self, node: Any) -> Value:
        """A binding within an expression."""
        value = self.value(node.value)
        self.assign(node.target, value)
        return value

    def inner_lambda(self, node: Any) -> Value:
        """An inner function that may be called."""
        ref = f"{INNER}{id(node)}"
        self.nested[ref] = node
        self.within(node, NOTHING)
        return Value(0, (ref,))

    def yielded(self, node: Any) -> Value:
        """A generator runs nothing when it is called."""
        self.lazy = True
        self.returns = self.returns.joined(self.value(node.value))
        return NOTHING

    def comprehension(self, node: Any) -> Value:
        """A loop within an expression, with names of its own."""
        scope = self.inner.get(id(node))
        if scope is None:
            names = frozenset(
                item.id for part in node.generators for item in ast.walk(part.target) if isinstance(item, ast.Name)
            )
            scope = self.inner[id(node)] = Scope(self.scope, names)
        outer, self.scope = self.scope, scope
        for part in node.generators:
            self.assign(part.target, self.value(part.iter))
            for test in part.ifs:
                self.value(test)
        found = (
            self.value(node.key).joined(self.value(node.value))
            if isinstance(node, ast.DictComp)
            else self.value(node.elt)
        )
        self.scope = outer
        return found

    def attribute_of(self, node: Any) -> Value:
        """An attribute of a value."""
        return self.attribute(self.value(node.value), node.attr)

    def item_of(self, node: Any) -> Value:
        """An item of a value: of a parameter, under a constant key, it is a place of its own."""
        base, key = self.value(node.value), self.value(node.slice)
        refs = tuple(f"{ref}[]" for ref in base.refs if ":" in ref and not ref.endswith("()"))
        kept = self.item(node.value, base, key)
        refs = refs or tuple(ref for ref in base.refs if ref.startswith(INNER))
        return Value(kept.mask | key.mask, refs, "", kept.bare)


_STATEMENTS: dict[type, Callable[[Body, Any], None]] = {
    ast.FunctionDef: Body.inner_function,
    ast.ClassDef: Body.inner_class,
    ast.Assign: Body.binding,
    ast.AnnAssign: Body.typed_binding,
    ast.AugAssign: Body.change,
    ast.For: Body.loop,
    ast.With: Body.context,
    ast.Return: Body.result,
    ast.Import: Body.inner_import,
    ast.Global: Body.shared,
    ast.match_case: Body.case,
    ast.AsyncFunctionDef: Body.inner_function,
    ast.AsyncFor: Body.loop,
    ast.AsyncWith: Body.context,
    ast.ImportFrom: Body.inner_import,
    ast.Nonlocal: Body.shared,
}
_EXPRESSIONS: dict[type, Callable[[Body, Any], Value]] = {
    ast.Name: Body.name_of,
    ast.Constant: Body.constant,
    ast.JoinedStr: Body.joined_text,
    ast.BinOp: Body.operation,
    ast.Compare: Body.comparison,
    ast.UnaryOp: Body.negation,
    ast.IfExp: Body.either,
    ast.NamedExpr: Body.named,
    ast.Lambda: Body.inner_lambda,
    ast.Yield: Body.yielded,
    ast.Attribute: Body.attribute_of,
    ast.Subscript: Body.item_of,
    ast.YieldFrom: Body.yielded,
    ast.ListComp: Body.comprehension,
    ast.SetComp: Body.comprehension,
    ast.GeneratorExp: Body.comprehension,
    ast.DictComp: Body.comprehension,
    ast.Call: Body.call,
}
