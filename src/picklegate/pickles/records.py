"""What reading a stream results in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from picklegate.pickles.opcodes import Buffer
from picklegate.pickles.values import Event, Persistent


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """Something that a loader would refuse, or that loaders read differently."""

    code: str
    offset: int
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Import:
    """A (module, name) that the stream resolves, as written, and the offset of the first time.

    ``via`` is empty for import opcodes, else what resolves it (``"getattr"``, ``"EXT"`` ...).
    """

    module: str
    name: str
    offset: int
    via: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """What loading one stream would do; offsets are indexes into ``data``.

    ``end`` is just after STOP, or where reading ended. ``fault`` ended the reading before STOP;
    ``notes`` did not. ``nested`` are the streams that its own calls would load, with the
    loader's name; ``blobs`` are bytes that its calls hand to a loader of containers.
    ``result`` is the abstract value that the load would return. ``data`` is the buffer, empty where
    nobody may want it back; ``skips`` are the (start, end) of what the loader reads there as no opcodes,
    ``waypoints`` the offsets of an opcode in every 65,536.
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
    persistent: tuple[Persistent, ...] = ()
    nested: tuple[tuple[str, Trace], ...] = ()
    blobs: tuple[tuple[str, bytes], ...] = ()
    result: Any = None
    data: Buffer = field(default=b"", repr=False, compare=False)
    states: tuple[tuple[Event, Any], ...] = ()
    """Each object with the state that BUILD gives it, not resolved; only of a trace that keeps the whole result."""
    skips: tuple[tuple[int, int], ...] = ()
    waypoints: tuple[int, ...] = ()
