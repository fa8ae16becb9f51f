"""One line on stderr that says how far a longer piece of work is; nothing where stderr is no terminal."""

from __future__ import annotations

import sys
import time
from types import FrameType, TracebackType
from typing import Any

_FIRST_S = 0.8
_NEXT_S = 0.2
_shown: list[Progress] = []


class Progress:
    """A context; the line comes when the work in it takes longer than a second, and goes at its end.

    A timer's signal draws it, and not a thread, so that worker processes can still be forked.
    """

    def __init__(self, words: str, total: int | None = None, *, quiet: bool = False) -> None:
        """``words`` say what is done, ``total`` how many steps there are."""
        self._words = words
        self._total = total
        self._done = 0
        self._begin = time.monotonic()
        self._before: Any = None
        self._on = not quiet and _is_terminal()

    def __enter__(self) -> Progress:  # noqa: PYI034 (typing has Self from 3.11 on)
        """Set the timer."""
        if self._on:
            import signal

            try:
                self._before = signal.signal(signal.SIGALRM, self._draw)
                signal.setitimer(signal.ITIMER_REAL, _FIRST_S, _NEXT_S)
            except (AttributeError, ValueError):  # Windows has no such timer, a thread no signals
                self._on = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the timer and remove the line."""
        if self._on:
            import signal

            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._before)
            clear()

    def step(self) -> None:
        """One more step is done."""
        self._done += 1

    def line(self) -> str:
        """The line, as wide as the terminal at most."""
        count = f" {self._done:,}" if self._total is None else f" {self._done:,} of {self._total:,}"
        count = "" if self._total == 1 or not (self._done or self._total) else count
        text = f"{self._words}{count}, {time.monotonic() - self._begin:.0f} s"
        import shutil

        return text[: shutil.get_terminal_size().columns - 1]

    def _draw(self, _: int, __: FrameType | None) -> None:
        _shown[:] = [self]
        sys.stderr.write(f"\r\x1b[K{self.line()}")
        sys.stderr.flush()


def clear() -> None:
    """Remove the line, so that something else can be written."""
    if _shown:
        _shown.clear()
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()
