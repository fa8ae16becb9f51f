"""The symbolic machine (contract; the machine follows)."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from picklegate.limits import DEFAULT, Limits
from picklegate.pickles.values import Event

Buffer = bytes | mmap.mmap
Inline = Callable[[dict[str, Any], int], int]
"""(attributes of the object just built, offset) -> the offset at which opcodes go on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """Something that a loader would refuse, or that two loaders read differently."""

    code: str
    offset: int
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Import:
    """A (module, name) that the stream resolves, as written, and the offset of the first time."""

    module: str
    name: str
    offset: int
    via: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """What loading one stream would do; offsets count from the start of ``data``.

    ``end`` is just after STOP, or where reading ended. ``fault`` ended the reading before STOP;
    ``notes`` did not. ``nested`` are the streams that the stream's own calls would load.
    """

    start: int
    end: int
    stopped: bool
    protocol: int
    opcodes: int
    fault: Fault | None = None
    notes: tuple[Fault, ...] = ()
    imports: tuple[Import, ...] = ()
    events: tuple[Event, ...] = ()
    persistent: tuple[Any, ...] = ()
    nested: tuple[tuple[str, Trace], ...] = ()


def trace(
    data: Buffer,
    start: int = 0,
    *,
    limits: Limits = DEFAULT,
    inline: Mapping[tuple[str, str], Inline] | None = None,
    depth: int = 0,
) -> Trace:
    """Execute the stream at ``data[start:]`` symbolically; never raises for content.

    ``inline`` maps a class (module, name) to a function that is called after BUILD of one of its
    instances: it tells how many raw bytes the loader reads between the opcodes there (joblib).
    """
    raise NotImplementedError
