"""A dotted name -> its definition in the index.

Through other names of modules, star imports, and modules held by modules.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from picklegate.capabilities.effects import Effect, Parameter, Summary
from picklegate.capabilities.index import Index, Listed
from picklegate.capabilities.primitives import primitive_summary, primitives_of, twin

_SELF = "__self__"
_STEPS = 40
"""Steps of a dotted name that are followed, from its end."""


@dataclass(frozen=True, slots=True)
class Found:
    """Where a name leads: its definition's name, and its summary; None for a module or what the index does not have."""

    canonical: str
    summary: Summary | None
    alias: bool = False
    module: bool = False


def find_listed(index: Index, module: str, name: str) -> Found | None:
    """What the index has under (module, name); None if it knows nothing of the module."""
    steps = [step for step in name.split(".") if step][-_STEPS:]
    while len(steps) > 1 and steps[-1] in {"__call__", "__func__", "__wrapped__"}:
        found = _Search(index).find(module, steps[:-1])
        if found is not None and found.summary is not None and found.summary.kind == "class":
            # The method of its objects: C.__call__ is not C.
            break
        steps.pop()
    return _Search(index).find(module, steps)


class _Search:
    """One question: no module is asked twice for the same rest of the name, so it ends whatever the name is."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.seen: set[tuple[str, ...]] = set()
        self.starred: set[str] = set()

    def find(self, module: str, steps: list[str]) -> Found | None:
        module = _known_module(self.index, module)
        key = (module, *steps)
        if key in self.seen:
            return None
        self.seen.add(key)
        listed = self.index.module(module)
        if not steps:
            return Found(module, None, module=True) if listed or self.index.lists(module) else None
        found = _primitive(module, steps) or self._reflected(module, steps)
        if found is None and listed is not None:
            found = _defined(self.index, listed, steps) or self._elsewhere(listed, steps)
        if found is None:
            found = self._held(module, steps)
        if found is None and listed is not None:
            found = self._starred(listed, steps)
        if found is None and listed is not None:
            name = ".".join(steps)
            return Found(f"{module}.{name}", self.index.summary(listed, name))
        return found

    def _reflected(self, module: str, steps: list[str]) -> Found | None:
        """``__self__`` of a function in C is the module that it is defined in."""
        if _SELF not in steps[1:]:
            return None
        at = steps.index(_SELF, 1)
        before = self.find(module, steps[:at])
        known = before is not None and before.summary is not None
        owner = before.canonical.rpartition(".")[0] if before is not None and known else (module, *steps)[at - 1]
        return _as_alias(self.find(owner, steps[at + 1 :]))

    def _elsewhere(self, listed: Listed, steps: list[str]) -> Found | None:
        """A name that is bound to what is defined elsewhere, or to a submodule."""
        target = listed.aliases.get(steps[0])
        if target is not None:
            module, _, path = target.partition(":")
            return _as_alias(self.find(module, [*(path.split(".") if path else []), *steps[1:]]))
        inner = f"{listed.name}.{steps[0]}"
        return _as_alias(self.find(inner, steps[1:])) if self.index.module(inner) is not None else None

    def _held(self, module: str, steps: list[str]) -> Found | None:
        """A module that is reached as an attribute of another: the first step that names one."""
        for at, name in enumerate(steps[:-1]):
            for inner in dict.fromkeys((name, name.lstrip("_"))):
                found = _primitive(inner, steps[at + 1 :])
                if found is None and inner != module and self.index.module(inner) is not None:
                    found = self.find(inner, steps[at + 1 :])
                if found is not None and found.summary is not None:
                    return _as_alias(found)
        return None

    def _starred(self, listed: Listed, steps: list[str]) -> Found | None:
        """A name that the module has of another by a star import."""
        for star in listed.stars:
            other = self.index.module(star) if star not in self.starred else None
            self.starred.add(star)
            if other is not None:
                found = (
                    _defined(self.index, other, steps) or self._elsewhere(other, steps) or self._starred(other, steps)
                )
                if found is not None:
                    return _as_alias(found)
        return None


def _as_alias(found: Found | None) -> Found | None:
    return replace(found, alias=True) if found is not None else None


def _known_module(index: Index, module: str) -> str:
    """The name of a module in Python 3, and of the Python twin of one in C where only that is listed."""
    other = twin(module)
    return other if other != module and (module.startswith("_") is False or index.module(module) is None) else module


def _primitive(module: str, steps: list[str]) -> Found | None:
    name = f"{twin(module)}.{'.'.join(steps)}"
    if not primitives_of(name):
        return None
    summary = primitive_summary(name)
    if len(steps) > 1 and steps[-2][:1].isupper():
        # A method that is reached through its class is given the object first.
        summary = replace(summary, binding="unbound", effects=tuple(map(_shifted, summary.effects)))
    return Found(name, summary)


def _shifted(effect: Effect) -> Effect:
    moved = tuple(
        replace(item, position=item.position + 1) if item.position >= 0 and item.name != "self" else item
        for item in effect.parameters
    )
    return replace(effect, parameters=moved)


def _defined(index: Index, listed: Listed, steps: list[str]) -> Found | None:
    """The whole name as the module defines it."""
    name = ".".join(steps)
    plain = name in listed.functions or name in listed.opened or name in listed.classes
    if plain or name in listed.summaries or name in listed.natives or name in listed.native_classes:
        owner = twin(listed.name) if listed.native else listed.name
        return Found(f"{owner}.{name}", index.summary(listed, name))
    if len(steps) > 1 and _is_class(index, listed, steps[:-1]) and not steps[-1][:1].isupper():
        # The class may be defined in another module of the package.
        for other in index.holders(listed.name, name):
            return Found(f"{other.name}.{name}", index.summary(other, name), alias=True)
        # A method that decides nothing by itself, or of a base.
        unknown = Effect(kind="unfollowed", way="call", parameters=(Parameter(position=0, rest=True),))
        return Found(
            f"{listed.name}.{name}", Summary(kind="function", binding="member", opened=True, effects=(unknown,))
        )
    return None


def _is_class(index: Index, listed: Listed, steps: list[str]) -> bool:
    summary = index.summary(listed, ".".join(steps))
    return summary is not None and summary.kind == "class"
