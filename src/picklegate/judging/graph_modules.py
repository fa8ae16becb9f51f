"""torch.fx's reduce_graph_module, which runs the source that it is given: the source that torch.fx itself writes.

It defines one ``forward``, and loading then traces it, which runs its body with placeholders.
"""

from __future__ import annotations

import ast
import warnings
from typing import Any

from picklegate.capabilities import HARMS
from picklegate.judging import callables
from picklegate.judging.callee_facts import find
from picklegate.pickles import Dict

_BUILTINS = frozenset(
    (
        *(
            "getattr",
            "slice",
            "len",
            "int",
            "float",
            "bool",
            "isinstance",
            "tuple",
            "list",
            "dict",
            "type",
            "range",
            "device",
        ),
        *("min", "max", "sum", "abs", "round", "inf", "nan", "NoneType", "wrap", "str", "set", "zip", "enumerate"),
        *(
            "Ellipsis",
            "NotImplemented",
            "complex",
            "bytes",
            "object",
            "all",
            "any",
            "divmod",
            "pow",
            "reversed",
            "sorted",
        ),
        *("print", "hasattr", "callable", "iter", "next", "frozenset", "ValueError", "TypeError", "RuntimeError"),
    )
)
_STATEMENTS = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return, ast.Expr, ast.Pass, ast.Delete, ast.Assert)
_ROOTS = frozenset(
    ("torch", "math", "operator", "_operator", "typing", "numpy", "torchvision", "builtins", "__future__")
)
"""Packages whose functions a traced module calls."""
_LONGEST = 1 << 20


def _telling() -> frozenset[str]:
    """Names of attributes that no function of torch.fx uses."""
    return callables.names("code_names") - {"call", "remove", "modules", "compile"}


def refusal(args: tuple[Any, ...]) -> str:
    """Why torch.fx has not written the source, in words; empty where it may have."""
    body = next((part for part in args if type(part) is Dict), Dict())
    texts = [part for part in args if isinstance(part, str)]
    found = body.last("_code") or body.last("code")
    if found is None or not isinstance(found[0], str) or not texts:
        return "the source that it runs cannot be resolved"
    imports, code = texts[0], found[0]
    if len(imports) + len(code) > _LONGEST:
        return "the source that it runs is longer than any that is read"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            head, tree = ast.parse(imports), ast.parse(code)
        return _head(head) or _code(tree, _imported(head))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "the source that it runs is no Python"


def _head(tree: ast.Module) -> str:
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [item.name for item in node.names]
            if any(name.partition(".")[0] not in _ROOTS for name in names):
                return f"the source that it runs imports {names[0]}"
        elif not (isinstance(node, ast.Assign) and ast.unparse(node) == "NoneType = type(None)"):
            return "the source that it runs does more than to import and to define forward"
    return ""


def _imported(tree: ast.Module) -> dict[str, str]:
    names: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.Import):
            for item in node.names:
                names[item.asname or item.name.partition(".")[0]] = (
                    item.name if item.asname else item.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            names.update({item.asname or item.name: f"{node.module}.{item.name}" for item in node.names})
    return names


def _code(tree: ast.Module, names: dict[str, str]) -> str:
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    others = [node for node in tree.body if not isinstance(node, ast.FunctionDef) and not _wraps(node)]
    if len(functions) != 1 or functions[0].name != "forward" or functions[0].decorator_list or others:
        return "the source that it runs does more than to define forward"
    forward = functions[0]
    local = {item.arg for item in ast.walk(forward) if isinstance(item, ast.arg)}
    local |= {item.id for item in ast.walk(forward) if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Store)}
    # A name that is assigned may be anything that was reached before.
    if local & (names.keys() | _BUILTINS - {"device", "inf", "nan"}):
        return "the source that it runs gives another meaning to an imported name"
    for statement in forward.body:
        if not isinstance(statement, _STATEMENTS):
            return f"the source that it runs has a statement that torch.fx does not write ({type(statement).__name__})"
    for node in ast.walk(forward):
        if why := _node(node, names, local):
            return why
    return ""


def _wraps(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Name)
        and node.value.func.id == "wrap"
        and all(isinstance(item, ast.Constant) for item in node.value.args)
    )


def _node(node: ast.AST, names: dict[str, str], local: set[str]) -> str:
    if isinstance(node, (ast.Lambda, ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr, ast.comprehension)):
        return f"the source that it runs has an expression that torch.fx does not write ({type(node).__name__})"
    if isinstance(node, ast.Attribute) and (node.attr.startswith("__") or node.attr in _telling()):
        return f"the source that it runs reaches {node.attr}"
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("__"):
        return f"the source that it runs names {node.value}"
    if isinstance(node, ast.Name) and node.id not in local | names.keys() | _BUILTINS | {"self"}:
        return f"the source that it runs uses {node.id}"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr" and node.args:
        taken = node.args[0]
        if isinstance(taken, ast.Name) and taken.id in names:
            return "the source that it runs takes an attribute of an import by its name"
    if isinstance(node, ast.Attribute) or (isinstance(node, ast.Name) and node.id in names):
        return _reaches(_dotted(node, names))
    return ""


def _reaches(dotted: str) -> str:
    """Why a function of torch.fx does not use the name, in words."""
    if not dotted:
        return ""
    callee = find(dotted)
    harm = any(effect.kind in HARMS and effect.sink != "registry" for effect in callee.effects)
    if harm or callables.executes(dotted) or callables.reaches_outside(dotted):
        return f"the source that it runs reaches {dotted}"
    if callee.canonical.partition(".")[0] not in _ROOTS:
        return f"the source that it runs reaches {callee.canonical}"
    return ""


def _dotted(node: ast.expr, names: dict[str, str]) -> str:
    """The dotted name that a name or attribute stands for; empty where it is no import's."""
    parts: list[str] = []
    inner = node
    while isinstance(inner, ast.Attribute):
        parts.append(inner.attr)
        inner = inner.value
    if not isinstance(inner, ast.Name) or inner.id not in names:
        return ""
    return ".".join((names[inner.id], *reversed(parts)))
