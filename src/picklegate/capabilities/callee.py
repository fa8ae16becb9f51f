"""Index and environment -> one answer for each name that a pickle calls: what it is and what it can do.

``Callees().find(module, name)`` gives a ``Callee``; ``Callee.decided(opcode, positional)`` says which of its effects
something that the call gives decides, for the methods that this opcode runs. Nothing raises for names out of a file.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from picklegate.capabilities.effects import RUNS, Effect, Parameter, Summary
from picklegate.capabilities.index import Index
from picklegate.capabilities.lookup import find_listed
from picklegate.capabilities.primitives import primitives_of

if TYPE_CHECKING:
    from picklegate.capabilities.environment import Environment

NAMES = 10_000
"""Distinct names that are looked up; what comes behind them is unknown."""
_LONG = 1_000
"""Characters of a name beyond which it names nothing real."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Callee:
    """What a name leads to.

    ``kind``: ``function``, ``class``, ``native``, ``instance``, ``module``, ``unknown``. ``binding``, of a function
    that is found on a class: ``unbound``, ``class``, ``static``, or ``member`` where the index does not list it.
    ``known``: ``index``, ``environment``, ``no``. ``unfollowed``: why it cannot be called harmless, empty where
    everything was followed. ``constructor_known``: whether the methods that construct a class were surely read.
    """

    name: str
    canonical: str
    kind: str = "unknown"
    binding: str = ""
    alias: bool = False
    effects: tuple[Effect, ...] = ()
    unfollowed: tuple[str, ...] = ()
    known: str = "no"
    constructor_known: bool = False
    location: str = ""

    @property
    def primitive(self) -> bool:
        """Whether it is itself at the end of chains (``os.system``)."""
        return any(not effect.chain for effect in self.effects)

    @property
    def sinks(self) -> frozenset[str]:
        """The primitives that it reaches."""
        return frozenset(effect.sink for effect in self.effects if effect.sink)

    def run_by(self, opcode: str) -> tuple[Effect, ...]:
        """The effects of the methods that an opcode runs."""
        ways = RUNS.get(opcode, ())
        return tuple(effect for effect in self.effects if effect.way in ways)

    def decided(
        self,
        opcode: str,
        positional: Sequence[bool],
        keywords: Mapping[str, bool] | None = None,
        keys: Collection[str] | None = None,
    ) -> tuple[tuple[Effect, Parameter], ...]:
        """The effects that something given decides, each with one parameter that does.

        ``positional`` and ``keywords`` say of each argument whether it could decide a harm; ``keys`` are the text
        keys of the state for BUILD (None: it may hold any).
        """
        found = []
        for effect in self.run_by(opcode):
            for parameter in effect.parameters:
                if _is_given(parameter, positional, keywords or {}, keys):
                    found.append((effect, parameter))
                    break
        return tuple(found)

    def calls(
        self,
        opcode: str,
        positional: Sequence[bool],
        keywords: Mapping[str, bool] | None = None,
        keys: Collection[str] | None = None,
    ) -> tuple[Parameter, ...]:
        """The parameters that are given something and that the callee calls."""
        found: dict[Parameter, None] = {}
        for effect in self.run_by(opcode):
            if effect.kind == "call":
                given = (item for item in effect.parameters if _is_given(item, positional, keywords or {}, keys))
                found.update(dict.fromkeys(given))
        return tuple(found)

    def describe(self, effect: Effect, parameter: Parameter | None = None) -> str:
        """One sentence: what is handed to what, and where."""
        path, _, line = effect.location.rpartition(":")
        where = f" ({path}, line {line})" if path and line.isdigit() else ""
        if not effect.chain:
            return f"{self.canonical} can {_VERBS[effect.kind]}"
        if parameter is None:
            return f"{self.canonical} reaches {effect.sink or 'code that is handed in'}{where}"
        given = parameter.label if parameter.key else f"its {parameter.label}"
        if effect.kind == "call":
            return f"{self.canonical} calls {given}{where}"
        return f"{self.canonical} hands {given} to {effect.sink}{where}"


_VERBS = {
    "execute": "run code",
    "command": "start programs",
    "native": "load or call native code",
    "unpickle": "load a pickle",
    "import": "import any module",
    "network": "open connections",
    "write": "write files",
    "delete": "delete files",
    "change": "change the process",
    "read": "read files",
    "call": "call what it is given",
    "unfollowed": "do what is not known",
}


def _is_given(
    parameter: Parameter, positional: Sequence[bool], keywords: Mapping[str, bool], keys: Collection[str] | None
) -> bool:
    if parameter.name == "state":
        if parameter.key and keys is not None and parameter.key not in keys:
            return False
        return any(positional)
    if keywords.get(parameter.name, False):
        return True
    if parameter.name == "**":
        return any(keywords.values())
    if parameter.position < 0:
        return False
    if parameter.rest:
        return any(positional[parameter.position :])
    return parameter.position < len(positional) and positional[parameter.position]


class Callees:
    """Looks names up, first in the index, then in the environment if there is one; remembers what it found."""

    def __init__(self, *, index: Index | None = None, environment: Environment | None = None) -> None:
        """``index`` None: the one that ships."""
        self._index = index
        self.environment = environment
        self._found: dict[tuple[str, str], Callee] = {}

    @property
    def index(self) -> Index:
        """The index, opened when it is first asked."""
        if self._index is None:
            self._index = Index.shipped()
        return self._index

    def package_known(self, module: str) -> bool:
        """Whether the index lists the top-level package of a module."""
        return self.index.lists(module)

    def find(self, module: str, name: str) -> Callee:
        """What (module, name) leads to, both as the pickle writes them."""
        key = (module, name)
        found = self._found.get(key)
        if found is None:
            dotted = f"{module}.{name}" if name else module
            if len(self._found) >= NAMES or len(dotted) > _LONG:
                return Callee(name=dotted[:_LONG], canonical=dotted[:_LONG])
            found = self._found[key] = self._find(module, name, dotted)
        return found

    def _differs(self, module: str) -> bool:
        """Whether the environment has another version of the module's package than the index."""
        name, version = self.index.version(module)
        installed = self.environment.version(name) if self.environment is not None and name != "-" else ""
        return bool(installed) and installed != version

    def _find(self, module: str, name: str, dotted: str) -> Callee:
        listed = find_listed(self.index, module, name)
        summary = listed.summary if listed is not None else None
        if self.environment is not None and (summary is None or self._differs(module)):
            told = self.environment.find(module, name)
            if told is not None:
                # Another version: what either of them can do.
                more = summary.effects if summary is not None and summary.kind == told[1].kind else ()
                both = replace(told[1], effects=tuple(dict.fromkeys((*told[1].effects, *more))))
                return _callee(dotted, told[0], both, "environment", alias=told[2])
        if listed is not None and summary is not None:
            return _callee(dotted, listed.canonical, summary, "index", alias=listed.alias)
        if listed is not None:
            kind = "module" if listed.module else "unknown"
            return Callee(name=dotted, canonical=listed.canonical, kind=kind, known="index", alias=listed.alias)
        return Callee(name=dotted, canonical=dotted)


def _callee(name: str, canonical: str, summary: Summary, known: str, *, alias: bool) -> Callee:
    reasons = []
    for effect in summary.effects:
        if effect.kind == "unfollowed":
            reasons += [f"what becomes of its {item.label} is not known" for item in effect.parameters]
    if summary.opened:
        reasons.append("a part of its code was not found")
    if summary.kind == "native" and not primitives_of(canonical):
        reasons.append("it is native code")
    return Callee(
        name=name,
        canonical=canonical,
        kind=summary.kind,
        binding=summary.binding,
        alias=alias,
        effects=summary.effects,
        unfollowed=tuple(dict.fromkeys(reasons)),
        known=known,
        constructor_known=summary.kind == "class"
        and not summary.opened
        and (known == "environment" or bool(summary.effects)),
        location=next((effect.location for effect in summary.effects if effect.location), ""),
    )
