"""What a stream and those nested in it share."""

from __future__ import annotations

from picklegate.limits import Clock
from picklegate.pickles.records import Trace


class Shared:
    """Which nested bytes were traced, which of them are none of our business, and when the time of all is over."""

    def __init__(self, clock: Clock) -> None:
        """Begin with nothing traced."""
        self.known: dict[bytes, Trace] = {}
        self.dull: set[bytes] = set()
        self.clock = clock
