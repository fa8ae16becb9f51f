"""Make the index that ships (capabilities/index.py) out of wheels, installed packages and standard libraries."""

from __future__ import annotations

import datetime as dt
import gc
import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from picklegate.capabilities.analysis import Analysis
from picklegate.capabilities.effects import HARMS, NEAR, Effect, Summary
from picklegate.capabilities.index import Index, Listed, write_block, write_index
from picklegate.capabilities.linking import REGISTRY
from picklegate.capabilities.records import Module
from picklegate.capabilities.resolving import Target
from picklegate.capabilities.shorthand import Names, shorten
from picklegate.training.distributions import STANDARD, Distribution, decoded

DATA = Path(__file__).parents[1] / "capabilities" / "data"
LARGEST = 2_000_000
_METHODS = 2
"""Bytes that the index may have."""
_TOLD = frozenset((*HARMS, "call"))


class Held:
    """The modules of many distributions, as the world of one analysis."""

    def __init__(self) -> None:
        """Empty."""
        self.modules: dict[str, Module] = {}
        self.natives: dict[str, dict[str, str]] = {}
        self.distributions: dict[str, str] = {}
        self.versions: dict[str, tuple[str, str]] = {}
        """Top-level package -> distribution and version, but for the standard library."""

    def add(self, found: Distribution) -> None:
        """Take in a distribution; of a module that is there already, only what it has beside."""
        versions = self.distributions.get(found.name)
        self.distributions[found.name] = f"{versions} {found.version}" if versions else found.version
        for record in decoded(found):
            if found.name != STANDARD:
                self.versions.setdefault(record.name.partition(".")[0], (found.name, found.version))
            known = self.modules.setdefault(record.name, record)
            if known is not record:
                known.functions = record.functions | known.functions
                known.classes = record.classes | known.classes
                known.names = record.names | known.names
        for name, members in found.natives.items():
            self.natives[name] = members | self.natives.get(name, {})

    def module(self, name: str) -> Module | None:
        """The record of a module."""
        return self.modules.get(name)

    def is_native(self, name: str) -> bool:
        """Whether it is a module of native code."""
        return name in self.natives


def decided(summary: Summary) -> bool:
    """Whether an argument decides a harm, or is called, on a short chain."""
    return any(
        effect.parameters and effect.kind in _TOLD and effect.chain <= NEAR and effect.sink != REGISTRY
        for effect in summary.effects
    )


def _worth(summary: Summary) -> bool:
    """Whether a method is kept: an argument decides a harm, one or two calls away. Others count as not followed."""
    near = tuple(effect for effect in summary.effects if effect.kind in HARMS and effect.chain <= _METHODS)
    return decided(replace(summary, effects=near))


def _kept(summary: Summary) -> Summary:
    """The summary without what the index has no room for.

    Of harms that an argument decides on a short chain everything is kept; of others that they are; of calls and of
    what was not followed the positions.
    """
    effects: dict[Effect, None] = {}
    for effect in summary.effects:
        near = effect.chain <= NEAR
        if effect.kind == "read" or effect.sink == REGISTRY or (effect.kind not in HARMS and not near):
            continue
        if effect.kind not in HARMS:
            parameters = dict.fromkeys(
                replace(item, name="state" if item.name == "state" else "") for item in effect.parameters
            )
            if effect.kind == "unfollowed":
                parameters = dict.fromkeys(replace(item, key="") for item in parameters if item.position >= 0)
            effects[Effect(kind=effect.kind, way=effect.way, parameters=tuple(parameters))] = None
        elif near and effect.parameters:
            # Of a method that is called on its class, the object decides by whatever it holds.
            held = (replace(item, key="") if item.name == "self" else item for item in effect.parameters)
            effects[replace(effect, parameters=tuple(dict.fromkeys(held)))] = None
        else:
            effects[Effect(kind=effect.kind, way=effect.way, chain=1 if near else NEAR + 1)] = None
    return replace(summary, effects=tuple(effects))


class Builder:
    """Writes what an analysis of all modules says, package by package."""

    def __init__(self, world: Held) -> None:
        """``world`` is complete."""
        self.world = world
        self.analysis = Analysis(world, brief=True)
        self.sinks = Names()
        self._summaries: dict[Target, Summary | None] = {}

    def link(self) -> None:
        """Take in every definition, then link them at once."""
        for module in self.world.modules.values():
            for target in self._definitions(module):
                self.analysis.prepare(target)
        self.analysis.linker.link()

    @staticmethod
    def _definitions(module: Module) -> Iterable[Target]:
        for name in module.functions:
            if "'" not in name and ".setter" not in name and ".deleter" not in name:
                yield Target("function", module.name, name)
        for name in module.classes:
            yield Target("class", module.name, name)

    def summary(self, target: Target) -> Summary | None:
        """The summary of a definition, told once."""
        if target not in self._summaries:
            self._summaries[target] = self.analysis.summary(target)
        return self._summaries[target]

    def listed(self, module: Module) -> Listed:
        """What the index keeps of a module."""
        found = Listed(module.name, module.location)
        found.stars = module.stars
        for target in self._definitions(module):
            self._define(found, target)
        for name in module.names:
            if name.isidentifier() and name.isascii() and name not in found.functions and name not in module.classes:
                self._bind(found, module, name)
        return found

    def _define(self, found: Listed, target: Target) -> None:
        summary = self.summary(target)
        if summary is None:
            return
        method = target.kind == "function" and "." in target.name
        if decided(summary) and not (method and not _worth(summary)):
            found.summaries[target.name] = shorten(_kept(summary), self.sinks)
        elif target.kind == "function" and not method:
            kept = _kept(summary)
            if any(effect.kind != "unfollowed" for effect in kept.effects):
                found.summaries[target.name] = shorten(kept, self.sinks)
            elif kept.effects or kept.opened:
                found.opened.add(target.name)
            else:
                found.functions.add(target.name)
        elif target.kind == "class" and not target.name.rpartition(".")[2].lstrip("_")[:1].isupper():
            found.classes.add(target.name)

    def _bind(self, found: Listed, module: Module, name: str) -> None:
        """A name that is bound to something defined elsewhere."""
        for target in self.analysis.find(module.name, name):
            if target.kind == "module":
                if target.module not in {name, f"{module.name}.{name}"}:
                    found.aliases[name] = f"{target.module}:"
            elif target.kind == "native":
                members = self.world.natives.get(target.module, {})
                if target.module != "builtins":
                    (found.native_classes if members.get(target.name) == "class" else found.natives).add(name)
            elif target.kind in {"primitive", "function", "class", "instance"}:
                self._bind_callable(found, module, name, target)
            else:
                continue
            return

    def _bind_callable(self, found: Listed, module: Module, name: str, target: Target) -> None:
        summary = self.summary(target)
        if summary is None:
            return
        if decided(summary):
            if target.kind == "instance":
                found.summaries[name] = shorten(_kept(summary), self.sinks)
            else:
                found.aliases[name] = f"{target.module}:{target.name}"
        elif module.package and "." not in module.name:
            # What a package shows as its own: numpy calls its functions so, whatever module defines them.
            if target.kind == "class" and not name[:1].isupper():
                found.classes.add(name)
            elif target.kind == "function":
                (found.opened if summary.effects or summary.opened else found.functions).add(name)

    def blocks(self) -> dict[str, bytes]:
        """Every top-level package's block."""
        tops: dict[str, list[Listed]] = {}
        for module in self.world.modules.values():
            tops.setdefault(module.name.partition(".")[0], []).append(self.listed(module))
        for name, members in self.world.natives.items():
            if name in self.world.modules:
                continue
            found = Listed(name, "", native=True)
            found.native_classes = {key for key, kind in members.items() if kind == "class"}
            found.natives = set(members) - found.native_classes
            tops.setdefault(name.partition(".")[0], []).append(found)
        return {top: write_block(modules, top) for top, modules in tops.items()}


def card_of(data: bytes, distributions: dict[str, str], made: str) -> dict[str, object]:
    """What the card says of an index: its digest, what it was made of, and how much it holds."""
    index = Index(data)
    modules = [module for top in index.packages() for module in index.modules(top)]
    summaries = [index.summary(module, name) for module in modules for name in module.summaries]
    names = (
        len(module.functions) + len(module.opened) + len(module.classes) + len(module.natives) for module in modules
    )
    return {
        "made": made,
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "packages": len(index.packages()),
        "modules": len(modules),
        "names": len(summaries) + sum(names) + sum(len(module.native_classes) for module in modules),
        "aliases": sum(len(module.aliases) for module in modules),
        "decided": sum(summary is not None and decided(summary) for summary in summaries),
        "distributions": dict(sorted(distributions.items())),
    }


def build(distributions: Iterable[Distribution], output: Path, *, today: str = "") -> dict[str, object]:
    """Write ``index.bin`` and its card ``index.json`` into a folder; returns the card.

    Raises ValueError if it is too large.
    """
    # Millions of small objects, none of which is garbage: collecting takes longer than linking.
    gc.disable()
    world = Held()
    for found in distributions:
        world.add(found)
    builder = Builder(world)
    builder.link()
    blocks = builder.blocks()
    data = write_index(blocks, builder.sinks, world.versions)
    card = card_of(data, world.distributions, today or dt.datetime.now(tz=dt.timezone.utc).date().isoformat())
    output.mkdir(parents=True, exist_ok=True)
    (output / "index.bin").write_bytes(data)
    (output / "index.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    if len(data) > LARGEST:
        raise ValueError(f"the index has {len(data):,} bytes, more than {LARGEST:,}")
    return card
