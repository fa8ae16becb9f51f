"""Calls whose outcome is known without running them: the registry of what the recorder asks."""

from __future__ import annotations

from typing import Any

from picklegate.pickles.rules import (
    classes,
    computation,
    forwarding,
    functions,
    imports,
    iterators,
    nested,
    reflection,
    serialisers,
)
from picklegate.pickles.rules.classes import makes_class
from picklegate.pickles.rules.forwarding import handed, keeps
from picklegate.pickles.rules.methods import call_rule, method_rule
from picklegate.pickles.rules.nested import peek
from picklegate.pickles.rules.protocol import Rule
from picklegate.pickles.rules.reflection import EMPTY, TYPES, written
from picklegate.pickles.values import Event, Global

__all__ = [
    "EMPTY",
    "PASSING",
    "REACHING",
    "TYPES",
    "applied",
    "handed",
    "keeps",
    "makes_class",
    "opens",
    "peek",
    "rewrites",
    "rule_of",
    "written",
]

_RULES: dict[str, Rule] = {
    **reflection.RULES,
    **functions.RULES,
    **iterators.RULES,
    **classes.RULES,
    **serialisers.RULES,
    **imports.RULES,
    **nested.RULES,
    **computation.RULES,
}
"""Canonical names -> the rule for calling what has that name."""

REACHING = frozenset(
    (*reflection.REACHING, *functions.REACHING, imports.type_, forwarding.forward, *serialisers.REACHING)
)
"""Rules whose result is an object reached by name."""

PASSING = frozenset((
    classes.construct, computation.wrapped, iterators.inert, serialisers.make_class, serialisers.make_skeleton,
    *reflection.SETTING,
))  # fmt: skip
"""Rules that pass on what the call is given as it is, and look at nothing in it."""


def rule_of(found: Global) -> Rule | None:
    """The rule for calling ``found``: by its name, or as a method of an object reached by name."""
    rule = _RULES.get(found.known)
    if found.name.endswith(".__call__"):
        return call_rule(found, rule)
    if rule is not None:
        return rule
    if found.name.rpartition(".")[2] in nested.METHODS:
        return nested.load_if_pickle
    return method_rule(found)


def applied(made: Event) -> Rule | None:
    """The rule for calling what the event made."""
    if forwarding.arguments(made):
        return forwarding.forward
    return forwarding.brought if made.known in _MADE else functions.APPLIED.get(made.known)


_MADE = frozenset(("types.FunctionType", "types.LambdaType", "cloudpickle._make_function", "dill._create_function"))
"""Callables that make functions of code."""


def opens(known: str) -> bool:
    """Whether a callable of that canonical name loads the bytes that it is given, by a rule."""
    return known in nested.RULES


def rewrites(target: Any) -> bool:
    """Whether a state write into such a value changes what calling or reading it does."""
    return type(target) is Event and target.known in _REWRITTEN


_REWRITTEN = frozenset((*functions.APPLIED, "io.BytesIO", "io.StringIO", "numpy.dtype"))
