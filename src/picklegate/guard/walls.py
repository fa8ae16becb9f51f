"""What holds a load where no audit event tells: calls that are stopped, imports that are led, a state that stays."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from picklegate.guard import process_state, silent_calls
from picklegate.guard.lazy_imports import LazyImports

own_parts: list[Callable[[], tuple[Any, ...]]] = []
"""Tell the modules and classes of the guard that no load may change."""


class _Guards:
    """How often the guard was put in place or taken away."""

    def __init__(self) -> None:
        self._counter = itertools.count(1)
        self.changes = 0

    def changed(self) -> None:
        self.changes = next(self._counter)


_guards = _Guards()


@contextlib.contextmanager
def changing_the_guard() -> Iterator[None]:
    """A stretch in which the guard itself changes the process, which is no doing of the loads under way."""
    _guards.changed()
    try:
        yield
    finally:
        _guards.changed()


class Walls:
    """The walls of one load, from its first import that is not harmless to its end."""

    def __init__(self, meet: silent_calls.Meet, imports: LazyImports) -> None:
        """Raise them; ``meet`` is told of calls that raise no event."""
        self._imports = imports
        silent_calls.raise_wall(meet)
        imports.raise_wall()
        self.keep_builtins = process_state.keep_builtins()
        self.refresh()

    def refresh(self) -> None:
        """Take the state of the process as it is, after an import that changed it."""
        self._when = _guards.changes
        self._before = process_state.Snapshot(tuple(part for parts in own_parts for part in parts()))

    def changes(self) -> list[tuple[str, process_state.Restore]]:
        """What the load has changed of the process so far, in words, and what puts it back."""
        if self._when != _guards.changes:  # another thread has put a guard in place, or taken it away
            self.refresh()
            return []
        return self._before.changes()

    def lower(self) -> None:
        """Have names stand for what they stood for."""
        self._imports.lower_wall()
        silent_calls.lower_wall()
