"""Calls whose outcome is known without running them: the registry of what the recorder asks."""

from __future__ import annotations

from picklegate.pickles.rules import classes, computation, functions, imports, nested, reflection, serialisers
from picklegate.pickles.rules.classes import makes_class
from picklegate.pickles.rules.functions import handed
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
    "makes_class",
    "opens",
    "peek",
    "rule_of",
    "written",
]

_RULES: dict[str, Rule] = {
    **reflection.RULES,
    **classes.RULES,
    **serialisers.RULES,
    **imports.RULES,
    **nested.RULES,
    **computation.RULES,
}
"""Canonical names -> the rule for calling what has that name."""

REACHING = frozenset((*reflection.REACHING, imports.type_, functions.forward, *serialisers.REACHING))
"""Rules whose result is an object reached by name."""

PASSING = frozenset((classes.construct, computation.wrapped, serialisers.make_class, serialisers.make_skeleton))
"""Rules that pass on what the call is given as it is, and look at nothing in it."""


def rule_of(found: Global) -> Rule | None:
    """The rule for calling ``found``: by its name, or as a method of an object reached by name."""
    rule = _RULES.get(found.known)
    if rule is not None:
        return rule
    if found.name.rpartition(".")[2] in nested.METHODS:
        return nested.load_if_pickle
    return reflection.method_rule(found)


def applied(made: Event) -> Rule | None:
    """The rule for calling what the event made."""
    return functions.forward if functions.arguments(made) else reflection.APPLIED.get(made.known)


def opens(known: str) -> bool:
    """Whether a callable of that canonical name loads the bytes that it is given, by a rule."""
    return known in nested.RULES
