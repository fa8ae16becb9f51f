"""What reading a file may cost: opcodes, calls and values held, the same on every machine; and time as a backstop."""

from __future__ import annotations

from picklegate.limits import Clock, Limits
from picklegate.pickles.opcodes import Buffer
from picklegate.pickles.records import Trace

TOO_LONG = "reading it takes longer than the limits allow"


class Exhausted(Exception):  # noqa: N818  a signal inside this package, never an error that users see
    """A bound was passed."""

    code = "limit.stream"


class Late(Exhausted):
    """The time is over."""

    code = "limit.time"


class Retrace(Exception):  # noqa: N818
    """A call takes a container of which items were dropped: read again and keep all."""


class Budget:
    """What is left of the limits to all the streams of one file."""

    def __init__(self, limits: Limits, clock: Clock | None = None) -> None:
        """Begin with all of it."""
        self.limits = limits
        self.clock = clock or Clock(limits.max_seconds)
        self.opcodes = limits.max_opcodes
        self.events = limits.max_events
        self.held = 0
        """Containers and results of calls that the streams being read hold; a result counts _RESULT times."""

    def look(self) -> None:
        """Raise Exhausted where no opcode is left, or the time is over."""
        if self.clock.over:
            raise Late(TOO_LONG)
        if self.opcodes <= 0:
            raise Exhausted(f"more than {self.limits.max_opcodes:,} opcodes")

    def event(self) -> None:
        """Count something that is kept in the record; raises Exhausted."""
        self.events -= 1
        if self.events < 0:
            raise Exhausted(f"more than {self.limits.max_events:,} distinct events")
        if self.clock.over:
            raise Late(TOO_LONG)


class Shared:
    """What a stream and those nested in it share: which bytes were traced, which of them are dull, and the budget."""

    def __init__(self, budget: Budget) -> None:
        """Begin with nothing traced."""
        self.known: dict[bytes, Trace] = {}
        self.dull: set[bytes] = set()
        self.followed: dict[tuple[int, int], Buffer] = {}
        """Places behind frames from which on was read, with the buffer that they are in."""
        self.budget = budget
