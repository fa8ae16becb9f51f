"""Every bound that reading hostile bytes has, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic, thread_time


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Bounds on one artifact; a bound that is hit makes the artifact UNSCANNABLE, never CLEAN.

    All but ``max_seconds`` depend on the bytes alone; honest files meet none of them.
    """

    max_opcodes: int = 50_000_000
    """Opcodes executed in one artifact; runs of plain data that are passed over count a sixteenth."""
    max_stack: int = 8_000_000
    """Values between two marks of one stream's stack."""
    max_marks: int = 100_000
    """Nested marks of one stream."""
    max_values: int = 3_000_000
    """Containers and results of calls (which count as four) that are held at a time, and one more for each 16 bytes."""
    max_events: int = 2_000_000
    """Distinct calls, constructions and state writes kept of one artifact."""
    max_arguments: int = 4_000_000
    """Values in the containers that one stream's calls are given, each as often as it is given; and one more a byte."""
    max_literal_bytes: int = 1 << 20
    """Bytes of one string that are looked at; longer ones are read at both ends."""
    max_depth: int = 8
    """Containers in containers, and streams nested in streams."""
    max_streams: int = 10_000
    """Streams of one artifact."""
    max_members: int = 200_000
    """Members of one archive."""
    max_inflated_bytes: int = 1 << 30
    """Decompressed bytes held of one member."""
    max_total_inflated_bytes: int = 4 << 30
    """Decompressed bytes of one artifact, all members and depths together."""
    max_seconds: float = 300.0
    """Processor time of the scanning thread for reading, and as much for judging; waiting costs none of it."""
    max_ratio: int = 1_100
    """Decompressed to compressed bytes, of more than 64 MB (deflate ends at 1,032, bz2 and xz go further)."""


DEFAULT = Limits()


class Clock:
    """The processor time that is left to one scan in this thread."""

    def __init__(self, seconds: float) -> None:
        """Begin with so many seconds."""
        self.start(seconds)

    def start(self, seconds: float) -> None:
        """Begin again."""
        self._wall = monotonic() + seconds
        self._ends = thread_time() + seconds

    @property
    def over(self) -> bool:
        """Whether the time is over; asking costs next to nothing, for a thread never works longer than it lives."""
        return monotonic() >= self._wall and thread_time() >= self._ends
