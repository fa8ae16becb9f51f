"""What the scan has approved: the report on an artifact, the names that it may import, and the bytes that were read."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final

from picklegate import containers
from picklegate.guard.tables import rows
from picklegate.limits import Clock, Limits
from picklegate.pickles import Trace
from picklegate.report import FileReport

HARMLESS: Final = frozenset((row[0], row[1]) for row in rows("harmless"))
"""Names that do nothing but make an object of their own, whatever they are given."""

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Approval:
    """A report that let the artifact pass; ``content`` gives what was scanned, whole or in pieces."""

    report: FileReport
    content: Callable[[], Iterable[bytes]] = field(default=tuple, compare=False)
    names: frozenset[Pair] = field(init=False)

    def __post_init__(self) -> None:
        """Take the names from the report."""
        object.__setattr__(self, "names", _renamed(listed(self.report)))


def listed(report: FileReport) -> set[Pair]:
    """The (module, name) pairs that the scan has seen imported."""
    return {pair for stream in report.streams for pair in stream.imports}


def _renamed(names: set[Pair]) -> frozenset[Pair]:
    """The names with those that loaders ask for in the place of some: torch's and pandas' own maps of old names."""
    old = {pair: ("torch._tensor", pair[1]) for pair in names if pair[0] == "torch.tensor"}
    pandas = getattr(sys.modules.get("pandas.compat.pickle_compat"), "_class_locations_map", {})
    return frozenset({*names, *old.values(), *(pandas[pair] for pair in names if pair in pandas)})


def holds(approval: Approval, wanted: str | bytes) -> bool:
    """Whether a text or bytes lie in what was scanned, in one of the ways in which a pickle spells them."""
    spellings = tuple(_spellings(wanted))
    pieces = tuple(approval.content())
    if any(spelling in piece for piece in pieces for spelling in spellings):
        return True
    return any(spelling in stream for piece in pieces for stream in _streams(piece) for spelling in spellings)


def _spellings(wanted: str | bytes) -> Iterator[bytes]:
    if isinstance(wanted, bytes):
        yield wanted
        # Before protocol 3, bytes are written as a text of their values.
        text = wanted.decode("latin-1")
    else:
        text = wanted
    yield text.encode("utf-8", "surrogatepass")
    for mark, code in (("\\", "005c"), ("\0", "0000"), ("\n", "000a"), ("\r", "000d"), ("\x1a", "001a")):
        text = text.replace(mark, f"\\u{code}")
    yield text.encode("raw-unicode-escape", "surrogatepass")


def _streams(data: bytes) -> Iterator[bytes]:
    """The bytes of each pickle in a container, decompressed."""
    limits = Limits()
    file: BinaryIO = io.BytesIO(data)
    contents: Any = containers.read(file, name="", limits=limits, enough=None, clock=Clock(limits.max_seconds))
    pending: list[Trace] = [stream.trace for stream in contents.streams]
    while pending:
        trace = pending.pop()
        yield bytes(trace.data)
        pending.extend(inner for _, inner in trace.nested)
