"""The index that ships: what the callables of common packages can do, opened package by package.

One file: a directory (compressed text, whose digest stands in the card beside it), then one compressed block for each
top-level package, whose digest stands in the directory. Whatever does not match its digest counts as not there, and
``Index.damaged`` says so.
"""

from __future__ import annotations

import hashlib
import json
import threading
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from picklegate.capabilities.effects import Effect, Parameter, Summary
from picklegate.capabilities.shorthand import Names, expand

MAGIC = b"picklegate index 1\n"
_MOST = 64 << 20


@dataclass(slots=True)
class Listed:
    """One module of the index.

    The names that it defines, each with its summary's text, and what others are called elsewhere.
    """

    name: str
    location: str
    functions: set[str] = field(default_factory=set)
    """Functions that have been followed to their end and do nothing of note."""
    opened: set[str] = field(default_factory=set)
    """Functions of which nothing is known but that they could not be followed."""
    classes: set[str] = field(default_factory=set)
    natives: set[str] = field(default_factory=set)
    native_classes: set[str] = field(default_factory=set)
    aliases: dict[str, str] = field(default_factory=dict)
    """Name -> ``module:path`` of the definition, or ``module:`` for a module."""
    summaries: dict[str, str] = field(default_factory=dict)
    native: bool = False
    stars: tuple[str, ...] = ()
    """Modules whose names it has as well."""


def write_block(modules: Iterable[Listed], top: str) -> bytes:
    """The block of one top-level package."""
    lines = []
    for module in sorted(modules, key=lambda item: item.name):
        lines.append(f"M{module.name[len(top) :]}\t{'native' if module.native else module.location}")
        for letter, names in (
            ("f", module.functions),
            ("u", module.opened),
            ("c", module.classes - module.summaries.keys()),
            ("n", module.natives),
            ("k", module.native_classes),
        ):
            if names:
                lines.append(f"{letter}{' '.join(sorted(names))}")
        if module.stars:
            lines.append(f"s{' '.join(module.stars)}")
        lines += [f"a{name}={target}" for name, target in sorted(module.aliases.items())]
        alike: dict[str, list[str]] = {}
        for name, text in sorted(module.summaries.items()):
            alike.setdefault(text, []).append(name)
        lines += [f"d{text}\t{' '.join(names)}" for text, names in alike.items()]
    return zlib.compress("\n".join(lines).encode(), 9)


def read_block(data: bytes, top: str) -> dict[str, Listed]:
    """The modules of a block, by name."""
    text = zlib.decompressobj().decompress(data, _MOST).decode()
    found: dict[str, Listed] = {}
    module = Listed("", "")
    for line in text.split("\n"):
        letter, rest = line[:1], line[1:]
        if letter == "M":
            name, _, location = rest.partition("\t")
            native = location == "native"
            module = found[top + name] = Listed(top + name, "" if native else location, native=native)
        elif letter == "f":
            module.functions.update(rest.split(" "))
        elif letter == "u":
            module.opened.update(rest.split(" "))
        elif letter == "c":
            module.classes.update(rest.split(" "))
        elif letter == "n":
            module.natives.update(rest.split(" "))
        elif letter == "k":
            module.native_classes.update(rest.split(" "))
        elif letter == "s":
            module.stars = tuple(rest.split(" "))
        elif letter == "a":
            name, _, target = rest.partition("=")
            module.aliases[name] = target
        elif letter == "d":
            summary, _, names = rest.partition("\t")
            module.summaries.update(dict.fromkeys(names.split(" "), summary))
    return found


def write_index(blocks: dict[str, bytes], sinks: Names, versions: Mapping[str, tuple[str, str]]) -> bytes:
    """The whole file; ``versions`` has the distribution and the version that each package was read in."""
    lines, at = ["\t".join(sinks.names)], 0
    for top, block in sorted(blocks.items()):
        name, version = versions.get(top, ("-", "-"))
        lines.append(f"{top} {at} {len(block)} {hashlib.sha256(block).hexdigest()} {name} {version}")
        at += len(block)
    directory = zlib.compress("\n".join(lines).encode(), 9)
    return b"".join(
        (MAGIC, len(directory).to_bytes(4, "little"), directory, *(block for _, block in sorted(blocks.items())))
    )


_UNFOLLOWED = Effect(kind="unfollowed", way="call", parameters=(Parameter(position=0, rest=True),))


class Index:
    """The index: modules by name, each package's block read once. ``damaged`` names what did not match its digest."""

    def __init__(self, data: bytes, digest: str = "") -> None:
        """``digest`` is the SHA-256 of the directory as the card has it; without it the directory is not checked."""
        self.damaged: list[str] = []
        self._data = data
        self._blocks: dict[str, tuple[int, int, str]] = {}
        self._versions: dict[str, tuple[str, str]] = {}
        self._open: dict[str, dict[str, Listed]] = {}
        self._lock = threading.Lock()
        self.sinks = Names()
        self.card: dict[str, Any] = {}
        start = len(MAGIC) + 4
        length = int.from_bytes(data[len(MAGIC) : start], "little")
        directory = data[start : start + length]
        self._start = start + length
        if not data.startswith(MAGIC) or (digest and hashlib.sha256(directory).hexdigest() != digest):
            self.damaged.append("index")
            return
        sinks, *lines = zlib.decompress(directory).decode().split("\n")
        self.sinks = Names(sinks.split("\t"))
        for line in lines:
            top, at, size, sha256, name, version = line.split(" ")
            self._blocks[top] = (int(at), int(size), sha256)
            self._versions[top] = (name, version)

    @classmethod
    def shipped(cls) -> Index:
        """The index of this package; without one it is empty."""
        return _shipped()

    def packages(self) -> tuple[str, ...]:
        """The top-level packages that the index lists."""
        return tuple(self._blocks)

    def lists(self, module: str) -> bool:
        """Whether the index lists the top-level package of a module."""
        return module.partition(".")[0] in self._blocks

    def version(self, module: str) -> tuple[str, str]:
        """The distribution and version in which a module's package was read; ``-`` for the standard library."""
        return self._versions.get(module.partition(".")[0], ("-", "-"))

    def module(self, name: str) -> Listed | None:
        """What the index has of a module."""
        top = name.partition(".")[0]
        if top not in self._blocks:
            return None
        block = self._open.get(top)
        if block is None:
            with self._lock:
                block = self._open.setdefault(top, self._read(top))
        return block.get(name)

    def modules(self, top: str) -> tuple[Listed, ...]:
        """Every module of a top-level package."""
        self.module(top)
        return tuple(self._open.get(top, {}).values())

    def _read(self, top: str) -> dict[str, Listed]:
        at, size, sha256 = self._blocks[top]
        data = self._data[self._start + at : self._start + at + size]
        if hashlib.sha256(data).hexdigest() != sha256:
            self.damaged.append(top)
            return {}
        return read_block(data, top)

    def summary(self, module: Listed, name: str) -> Summary | None:
        """What a definition of a module can do; None if the module does not define it."""
        text = module.summaries.get(name)
        if text is not None:
            return expand(text, self.sinks, module.location)
        if name in module.functions:
            return Summary(kind="function")
        if name in module.opened:
            return Summary(kind="function", effects=(_UNFOLLOWED,), opened=True)
        if name in module.classes or name in module.native_classes:
            return Summary(kind="class")
        if name in module.natives:
            return Summary(kind="native", opened=True)
        last = name.rpartition(".")[2].lstrip("_")
        if last[:1].isupper() and not module.native:
            return Summary(kind="class")
        return None


_lock = threading.Lock()
_one: list[Index] = []


def _shipped() -> Index:
    with _lock:
        if not _one:
            folder = resources.files("picklegate.capabilities").joinpath("data")
            _one.append(_opened(folder))
        return _one[0]


def _opened(folder: Traversable) -> Index:
    try:
        card = json.loads(folder.joinpath("index.json").read_text(encoding="utf-8"))
        index = Index(folder.joinpath("index.bin").read_bytes(), card["directory"])
        index.card = card
    except (OSError, ValueError, KeyError):
        return Index(MAGIC + bytes(4) + b"", "none")
    return index
