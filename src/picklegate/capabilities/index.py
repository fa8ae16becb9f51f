"""The index that ships: what the callables of common packages can do, opened package by package.

One file: a directory (compressed text), then one compressed block for each top-level package. The card beside it has
the digest of the whole; where that is another the index counts as empty, and ``Index.damaged`` says so.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any

from picklegate.capabilities.effects import Effect, Parameter, Summary
from picklegate.capabilities.shorthand import Names, expand
from picklegate.errors import ModelDataError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

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


_SETS = {"f": "functions", "u": "opened", "c": "classes", "n": "natives", "k": "native_classes"}
_KINDS = {"M": ".py", "P": "/__init__.py", "N": ""}
"""The lines that begin a module, and how the name of its source ends; N has none."""
_MODULE = re.compile(r"^[MPN](.*)$", re.MULTILINE)


def write_block(modules: Iterable[Listed], top: str) -> bytes:
    """The block of one top-level package.

    A line for each module (M, P, N), then lines of names: functions f, not followed u, classes c, natives n and k, star
    imports s, other names by the module of what they mean a, and d: a summary and all that it is the summary of.
    """
    lines = []
    for module in sorted(modules, key=lambda item: item.name):
        kind = "N" if module.native else "P" if module.location.endswith("__init__.py") else "M"
        lines.append(kind + module.name[len(top) :])
        module.classes -= module.summaries.keys()
        lines += [f"{letter}{' '.join(sorted(getattr(module, name)))}" for letter, name in _SETS.items()]
        lines.append(f"s{' '.join(module.stars)}")
        lines += _grouped("a", (_alias(name, target, top) for name, target in sorted(module.aliases.items())))
        lines += _grouped("d", sorted(module.summaries.items()))
    return zlib.compress("\n".join(line for line in lines if len(line) > 1 or line in _KINDS).encode(), 9)


def _grouped(letter: str, pairs: Iterable[tuple[str, str]]) -> list[str]:
    """One line for all names that have the same text."""
    alike: dict[str, list[str]] = {}
    for name, text in pairs:
        alike.setdefault(text, []).append(name)
    return [f"{letter}{text}\t{' '.join(names)}" for text, names in alike.items()]


def _alias(name: str, target: str, top: str) -> tuple[str, str]:
    """A name, with what it is there if that is another, and the module of what it means; ``~`` is the package."""
    module, _, path = target.partition(":")
    inside = module == top or module.startswith(f"{top}.")
    return (name if path == name else f"{name}={path}"), f"~{module[len(top) :]}" if inside else module


class Block:
    """The modules of a package, each read when it is asked for."""

    def __init__(self, data: bytes, top: str) -> None:
        """Find where each module begins."""
        self.top = top
        self._text = zlib.decompressobj().decompress(data, _MOST).decode()
        places = [(match.start(), top + match[1]) for match in _MODULE.finditer(self._text)]
        ends = [*(start for start, _ in places[1:]), len(self._text)]
        self._places = {name: (start, end) for (start, name), end in zip(places, ends, strict=True)}
        self._read: dict[str, Listed] = {}

    def names(self) -> tuple[str, ...]:
        """The modules by name."""
        return tuple(self._places)

    def holders(self, name: str) -> tuple[Listed, ...]:
        """The modules that have a summary of this name."""
        if name not in self._text:
            return ()
        found = (self.module(module) for module in self._places)
        return tuple(module for module in found if module is not None and name in module.summaries)

    def module(self, name: str) -> Listed | None:
        """What stands of a module."""
        if name not in self._places:
            return None
        if name not in self._read:
            start, end = self._places[name]
            self._read[name] = _module(name, self.top, self._text[start:end].rstrip("\n").split("\n"))
        return self._read[name]


def _module(name: str, top: str, lines: list[str]) -> Listed:
    kind = lines[0][:1]
    module = Listed(name, name.replace(".", "/") + _KINDS[kind] if kind != "N" else "", native=kind == "N")
    for line in lines[1:]:
        letter, rest = line[:1], line[1:]
        if letter in _SETS:
            getattr(module, _SETS[letter]).update(rest.split(" "))
        elif letter == "s":
            module.stars = tuple(rest.split(" "))
        elif letter == "a":
            target, _, names = rest.partition("\t")
            target = top + target[1:] if target.startswith("~") else target
            for item in names.split(" "):
                word, equals, path = item.partition("=")
                module.aliases[word] = f"{target}:{path if equals else word}"
        elif letter == "d":
            summary, _, names = rest.partition("\t")
            module.summaries.update(dict.fromkeys(names.split(" "), summary))
    return module


def write_index(blocks: dict[str, bytes], sinks: Names, versions: Mapping[str, tuple[str, str]]) -> bytes:
    """The whole file; ``versions`` has the distribution and the version that each package was read in."""
    lines, at = ["\t".join(sinks.names)], 0
    for top, block in sorted(blocks.items()):
        name, version = versions.get(top, ("-", "-"))
        lines.append(f"{top} {at} {len(block)} {name} {version}")
        at += len(block)
    directory = zlib.compress("\n".join(lines).encode(), 9)
    return b"".join(
        (MAGIC, len(directory).to_bytes(4, "little"), directory, *(block for _, block in sorted(blocks.items())))
    )


_UNFOLLOWED = Effect(kind="unfollowed", way="call", parameters=(Parameter(position=0, rest=True),))


class Index:
    """The index: modules by name, each package's block read once.

    ``damaged``: it is not what its card says, and counts as empty.
    """

    def __init__(self, data: bytes, digest: str = "") -> None:
        """``digest`` is the SHA-256 of the data as the card has it; without it nothing is checked."""
        self.damaged = not data.startswith(MAGIC) or (digest != "" and hashlib.sha256(data).hexdigest() != digest)
        self._data = data
        self._blocks: dict[str, tuple[int, int]] = {}
        self._versions: dict[str, tuple[str, str]] = {}
        self._open: dict[str, Block] = {}
        self._lock = threading.Lock()
        self.sinks = Names()
        self.card: dict[str, Any] = {}
        start = len(MAGIC) + 4
        length = int.from_bytes(data[len(MAGIC) : start], "little")
        self._start = start + length
        if self.damaged:
            return
        sinks, *lines = zlib.decompress(data[start : self._start]).decode().split("\n")
        self.sinks = Names(sinks.split("\t"))
        for line in lines:
            top, at, size, name, version = line.split(" ")
            self._blocks[top] = (int(at), int(size))
            self._versions[top] = (name, version)

    @classmethod
    def shipped(cls) -> Index:
        """The index of this package; raises ModelDataError where it is missing or altered."""
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
        block = self._block(name.partition(".")[0])
        return block.module(name) if block is not None else None

    def modules(self, top: str) -> tuple[Listed, ...]:
        """Every module of a top-level package."""
        block = self._block(top)
        found = (block.module(name) for name in block.names()) if block is not None else ()
        return tuple(module for module in found if module is not None)

    def holders(self, module: str, name: str) -> tuple[Listed, ...]:
        """The modules of a package that have a summary of this name."""
        block = self._block(module.partition(".")[0])
        return block.holders(name) if block is not None else ()

    def _block(self, top: str) -> Block | None:
        block = self._open.get(top)
        if block is None and top in self._blocks:
            with self._lock:
                at, size = self._blocks[top]
                data = self._data[self._start + at : self._start + at + size]
                block = self._open.setdefault(top, Block(data, top))
        return block

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
            index = _opened(folder)
            if index.damaged:
                # An index that answers nothing would let pass what it is there to tell.
                raise ModelDataError("capabilities/data/index.bin is missing or altered: install picklegate again")
            _one.append(index)
        return _one[0]


def _opened(folder: Traversable) -> Index:
    try:
        card = json.loads(folder.joinpath("index.json").read_text(encoding="utf-8"))
        index = Index(folder.joinpath("index.bin").read_bytes(), card["sha256"])
        index.card = card
    except (OSError, ValueError, KeyError):
        return Index(b"")
    return index
