"""What is installed where the gate runs, for callables that the index does not have: read once, never imported.

What was told of a name is kept in a cache that the caller gives, with the identity of each source that was read for it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from time import monotonic
from typing import Protocol

from picklegate.capabilities.analysis import Analysis
from picklegate.capabilities.effects import NEAR, Summary
from picklegate.capabilities.modules import read_module
from picklegate.capabilities.primitives import twin
from picklegate.capabilities.records import Module
from picklegate.capabilities.resolving import Target
from picklegate.capabilities.shorthand import Names, expand, shorten
from picklegate.capabilities.sources import Source, Sources, installed_paths, paths_below

VERSION = "1"
"""Changes with what the analysis tells; part of every key of the cache."""
SECONDS = 0.3
"""What one file may take, all its names together."""
FILES = 40
"""Sources that are read for one name."""
FUNCTIONS = 300
"""Functions that are linked for one name."""
_LARGEST = 1_000_000


class Cache(Protocol):
    """Where texts are kept between processes."""

    def get(self, key: str) -> str | None:
        """The text of a key."""

    def put(self, key: str, value: str) -> None:
        """Keep a text."""


class _Budget:
    """The time that is left; linking what was read takes about a third of it."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds
        self._ends = self._reads = 0.0

    def begin(self) -> bool:
        self._ends = monotonic() + self.left
        self._reads = self._ends - self.left / 3
        return self.left > 0

    def end(self) -> None:
        self.left = max(0.0, self._ends - monotonic())

    @property
    def read(self) -> bool:
        """Whether the time for reading is over."""
        return monotonic() >= self._reads


class _World:
    """The modules of an environment, as far as the bounds of one question go."""

    def __init__(self, sources: Sources, kept: dict[str, Module | None], budget: _Budget) -> None:
        self.sources = sources
        self.kept = kept
        self.budget = budget
        self.read: dict[str, Source] = {}
        self.cut = False
        self.late = False

    def module(self, name: str) -> Module | None:
        if name in self.read or name in self.kept:
            source = self.sources.find(name)
            if source is not None:
                self.read[name] = source
            return self.kept.get(name)
        source = self.sources.find(name)
        if source is None or source.kind == "native":
            return None
        self.late = self.late or self.budget.read
        if len(self.read) >= FILES or self.late:
            self.cut = True
            return None
        self.read[name] = source
        if source.kind == "namespace":
            record: Module | None = Module(name, source.path, package=True)
        else:
            text = source.read()
            self.cut = self.cut or len(text) > _LARGEST
            location = _location(name, source)
            record = (
                read_module(text, name=name, location=location, package=source.package)
                if len(text) <= _LARGEST
                else None
            )
        self.kept[name] = record
        return record

    def is_native(self, name: str) -> bool:
        source = self.sources.find(name)
        return source is not None and source.kind == "native"


def _location(module: str, source: Source) -> str:
    path = module.replace(".", "/")
    return f"{path}/__init__.py" if source.package else f"{path}.py"


def _is_alias(module: str, target: Target) -> bool:
    return twin(module) != twin(target.module)


class Environment:
    """The packages on a list of folders.

    ``excluded`` folders are never looked into; the working directory is one of them.

    ``seconds`` bounds all questions of one file together; ``begin`` starts anew.
    """

    def __init__(
        self,
        paths: Iterable[str] | None = None,
        *,
        cache: Cache | None = None,
        excluded: Iterable[str] = (),
        seconds: float = SECONDS,
    ) -> None:
        """``paths`` None: those of this process, of which the script's own folder is none."""
        here = () if paths is not None else (os.getcwd(),)
        self._sources = Sources(installed_paths() if paths is None else paths, excluded=(*excluded, *here, os.getcwd()))
        self._cache = cache
        self._kept: dict[str, Module | None] = {}
        self._seconds = seconds
        self._versions: dict[str, str] = {}
        self._budget = _Budget(seconds)

    @classmethod
    def of_python(cls, path: str, *, cache: Cache | None = None, seconds: float = SECONDS) -> Environment:
        """Another environment, by its folder or its interpreter, which is not run."""
        return cls(paths_below(path), cache=cache, seconds=seconds)

    def begin(self) -> None:
        """A new file: the time starts anew, what was read stays."""
        self._budget = _Budget(self._seconds)

    @property
    def over(self) -> bool:
        """Whether the time of this file is used up."""
        return self._budget.left <= 0

    def version(self, distribution: str) -> str:
        """The version of a distribution that is installed; empty if none is."""
        if not self._versions:
            self._versions[""] = ""
            for path in self._sources.paths:
                for name in self._sources.listing(path):
                    if name.endswith(".dist-info"):
                        title, _, version = name.removesuffix(".dist-info").partition("-")
                        self._versions.setdefault(title.lower().replace("_", "-").replace(".", "-"), version)
        return self._versions.get(distribution.replace(".", "-"), "")

    def find(self, module: str, name: str) -> tuple[str, Summary, bool] | None:
        """The canonical name, what it can do, and whether it is defined elsewhere.

        None if the environment has no such callable, or no time is left.
        """
        if not self._budget.begin():
            return None
        try:
            told = self._remembered(module, name)
            return told[0] if told is not None else self._told(module, name)
        finally:
            self._budget.end()

    def _key(self, module: str, name: str) -> str:
        return "\n".join((VERSION, module, name, *self._sources.paths))

    def _remembered(self, module: str, name: str) -> tuple[tuple[str, Summary, bool] | None] | None:
        text = self._cache.get(self._key(module, name)) if self._cache is not None else None
        if text is None:
            return None
        try:
            told = json.loads(text)
            for path, size, modified in told["sources"]:
                if Source("source", path).identity() != (path, size, modified):
                    return None
            if told["canonical"] == "":
                return (None,)
            summary = expand(told["summary"], Names(list(map(str, told["sinks"]))), str(told["location"]))
            return ((str(told["canonical"]), summary, bool(told["alias"])),)
        except (ValueError, TypeError, KeyError, IndexError):
            return None

    def _told(self, module: str, name: str) -> tuple[str, Summary, bool] | None:
        world = _World(self._sources, self._kept, self._budget)
        analysis = Analysis(world, most=FUNCTIONS, deep=NEAR)
        targets = [target for target in analysis.find(module, name) if target.kind not in {"unknown", "module"}]
        if not targets:
            self._remember(module, name, world, None, None)
            return None
        target = next((item for item in targets if item.kind == "native"), targets[0])
        summary = analysis.summary(target) or Summary(kind="native", opened=True)
        if (world.cut or len(analysis.linker.nodes) >= FUNCTIONS) and not summary.opened:
            summary = Summary(
                kind=summary.kind, effects=summary.effects, line=summary.line, binding=summary.binding, opened=True
            )
        self._remember(module, name, world, target, summary)
        return target.dotted, summary, _is_alias(module, target)

    def _remember(self, module: str, name: str, world: _World, target: Target | None, summary: Summary | None) -> None:
        if self._cache is None or world.late:
            return
        sinks = Names()
        record = self._kept.get(target.module) if target is not None else None
        told = {
            "canonical": target.dotted if target is not None else "",
            "alias": target is not None and _is_alias(module, target),
            "summary": shorten(summary, sinks) if summary is not None else "",
            "sinks": sinks.names,
            "location": record.location if record else "",
            "sources": [source.identity() for source in world.read.values() if source.path],
        }
        self._cache.put(self._key(module, name), json.dumps(told))
