"""The values that a pickle is assembled from: Python literals, containers and the nodes below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Tree = Any
"""None, bool, int, float, str, bytes, bytearray, list, tuple, dict, set, frozenset or a node."""


@dataclass(frozen=True, eq=False, slots=True)
class Name:
    """An object reached by import; the parts may be trees, which only STACK_GLOBAL can take."""

    module: Tree
    name: Tree


@dataclass(frozen=True, eq=False, slots=True)
class Call:
    """The callee applied to the arguments; ``args`` may also be one tree that yields a tuple."""

    callee: Tree
    args: tuple[Tree, ...] | Name | Call = ()


@dataclass(frozen=True, eq=False, slots=True)
class New:
    """``cls.__new__(cls, *args, **kwargs)``, as NEWOBJ makes it."""

    cls: Tree
    args: tuple[Tree, ...] = ()
    kwargs: dict[str, Tree] | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Build:
    """The object after its state was set by BUILD."""

    target: Tree
    state: Tree


@dataclass(frozen=True, eq=False, slots=True)
class Fill:
    """The object after ``target[key] = value`` for each pair."""

    target: Tree
    pairs: tuple[tuple[Tree, Tree], ...]


@dataclass(frozen=True, eq=False, slots=True)
class Extend:
    """The object after its items were appended."""

    target: Tree
    items: tuple[Tree, ...]


@dataclass(frozen=True, eq=False, slots=True)
class PersistentId:
    """What ``persistent_load`` returns for the id."""

    pid: Tree


@dataclass(frozen=True, eq=False, slots=True)
class Then:
    """The value, after something that is made first and thrown away."""

    first: Tree
    value: Tree


@dataclass(frozen=True, eq=False, slots=True)
class Raw:
    """Opcodes written as they are; they must leave one value."""

    opcodes: bytes


@dataclass(frozen=True, eq=False, slots=True)
class Marked:
    """The value, whose place in the bytes ``assemble`` reports."""

    value: Tree
