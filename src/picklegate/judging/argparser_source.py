"""The source that distributions of scipy run when their state is set: the one that scipy itself writes."""

from __future__ import annotations

import ast
import warnings

KEY = "_parse_arg_template"
"""The attribute of a state that holds it."""
_NAMES = frozenset(("_parse_args", "_parse_args_rvs", "_parse_args_stats"))
_NODES = (
    *(ast.FunctionDef, ast.arguments, ast.arg, ast.Return, ast.Tuple, ast.Name, ast.Constant, ast.Load, ast.UnaryOp),
    *(ast.USub, ast.keyword, ast.Attribute, ast.Call, ast.Store),
)
_LONGEST = 10_000


def refusal(source: str) -> str:
    """Why scipy has not written the source, in words; empty where it may have."""
    if len(source) > _LONGEST:
        return "the source that it runs is longer than any that scipy writes"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "the source that it runs is no Python"
    for function in tree.body:
        if not isinstance(function, ast.FunctionDef) or function.name not in _NAMES or function.decorator_list:
            return "the source that it runs does more than to define how arguments are split"
        for node in ast.walk(function):
            if not isinstance(node, _NODES):
                return "the source that it runs does more than to hand arguments on"
            if isinstance(node, ast.Call) and ast.unparse(node.func) != "self._argcheck_rvs":
                return f"the source that it runs calls {ast.unparse(node.func)}"
    return ""
