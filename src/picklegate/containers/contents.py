"""The result of reading an artifact's containers."""

from __future__ import annotations

from dataclasses import dataclass

from picklegate.pickles import Trace
from picklegate.report import Finding


@dataclass(frozen=True, kw_only=True, slots=True)
class Stream:
    """One pickle in an artifact, traced.

    ``name`` says where it is: ``"archive/data.pkl"``, ``"stream 2"``, ``"inner.zip/data.pkl"``;
    offsets of the trace count from the start of the member's (decompressed) data.
    """

    name: str
    trace: Trace


@dataclass(frozen=True, kw_only=True, slots=True)
class Contents:
    """What an artifact holds: its container's name, its streams, and the container's findings.

    A container that claims to carry a pickle and yields no stream has an UNSCANNABLE finding;
    one that carries none has neither streams nor findings.
    """

    container: str
    streams: tuple[Stream, ...] = ()
    findings: tuple[Finding, ...] = ()
