"""What a rule may ask of the recorder that it works for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from picklegate.limits import Limits
from picklegate.pickles.budget import Shared
from picklegate.pickles.mutation import Changes
from picklegate.pickles.records import Fault, Trace
from picklegate.pickles.values import Event


class Effects(Protocol):
    """The record of one stream, as far as rules read it and add to it."""

    limits: Limits
    depth: int
    """Streams around this one."""
    shared: Shared
    changes: Changes
    aliases: dict[str, Any]
    """Canonical names that the stream has overwritten -> what later imports of them find."""
    notes: dict[str, Fault]
    nested: list[tuple[str, Trace]]
    blobs: list[tuple[str, bytes]]
    computed: int
    """Bytes that computations took in and gave back."""
    trace: Callable[..., Trace]
    """Reads a nested stream."""

    def note(self, code: str, offset: int, message: str) -> None:
        """Record what does not end the reading; the first of each kind."""

    def global_(self, pos: int, module: str, name: str, via: str = "") -> Any:
        """The object that (module, name) resolves to, recorded as an import."""

    def apply(self, kind: str, opcode: str, pos: int, callee: Any, args: Any, kwargs: Any = None, via: str = "") -> Any:
        """Record a call of resolved values; the value that results, as the stack holds it."""

    def hidden(self, opcode: str, pos: int, args: Any) -> Event:
        """Record that a method is called which the stream may have brought along."""

    def resolve(self, value: Any, *, whole: bool = True) -> Any:
        """``value`` with each literal as its Python value."""


Rule = Callable[[Effects, Event], Any]
"""Takes the record and the event of a call; the value that results, None where only the call is known."""
