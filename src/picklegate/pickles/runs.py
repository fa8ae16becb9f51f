"""Runs of plain data in long streams: like elements, one after the other, are matched by a compiled pattern.

What is passed over pushes numbers, texts and containers of them into one container, and nothing else: the template
of an element is taken from opcodes that were walked one by one. The memo stays exact: entries that some GET may name
are never passed over, and explicit indexes must be those that follow one another.
"""

from __future__ import annotations

import re
import sys
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice
from typing import Any

from picklegate.pickles import opcodes
from picklegate.pickles.opcodes import Buffer
from picklegate.pickles.values import Dict

_WALKED = 256
"""Opcodes from which a template is taken."""
_LEAST = 3
"""Elements that a template must fit."""
_BATCH = 1000
"""Elements that picklers put into one container at a time."""
_ONCE = b"+" if sys.version_info >= (3, 11) else b""
"""Behind a repetition: what it matched is not tried in another way, which cannot match either."""
_SPREAD = 48
"""Difference of the lengths of texts up to which all lengths between are matched."""
_MARK, _FRAME, _MEMOIZE, _LONG_BINPUT, _PUT = 0x28, 0x95, 0x94, 0x72, 0x70
_SCALARS = {
    0x4E: b"N", 0x88: b"\x88", 0x89: b"\x89", 0x4B: b"K.", 0x4D: b"M..", 0x4A: b"J.{4}", 0x47: b"G.{8}",
    0x49: rb"I[^\n]*\n", 0x46: rb"F[^\n]*\n", 0x4C: rb"L[^\n]*\n",
    0x8A: b"\x8a(?:" + b"|".join(re.escape(bytes([size])) + b".{%d}" % size for size in range(11)) + b")",
}  # fmt: skip
"""Opcodes that push a number, None or a boolean -> what they look like."""
_GROWING = frozenset(b"KMJ")
"""Opcodes of whole numbers: a larger number has the next of them."""
_PLAIN = frozenset((int, float, bool, type(None)))
"""Types of abstract values that a GET in an element may fetch."""
_PUTS = {_MEMOIZE: b"\x94", _LONG_BINPUT: b"r(.{4})", _PUT: rb"p([0-9]{1,9})\n"}
"""Opcodes that set a memo entry -> what they look like."""
_UNSURE = 4
"""Values on top of the stack that following opcodes may still take together."""
_POPS = {0x85: 1, 0x86: 2, 0x87: 3}
_EMPTY = frozenset(b")]}\x8f")
_TO_MARK = {0x74: 1, 0x6C: 1, 0x64: 1, 0x65: 0, 0x75: 0, 0x90: 0, 0x91: 1}
"""Opcodes that take what lies above a mark -> values that they push."""
_NUMBERS = re.compile(rb"\((?:K.|M..|J.{4}|G.{8})+e", re.DOTALL)
_NUMBER = re.compile(rb"K.|M..|J.{4}|G.{8}", re.DOTALL)
NUMBERED = frozenset(b"KMJG")
"""Opcodes with which a list of numbers begins."""
LEAST_NUMBERS = 64
"""Bytes of the shortest list of numbers that is passed over."""


_Piece = tuple[Any, int, int]
"""Of one opcode: what it looks like, (the opcode, length of its text) or (0, memo index it fetches) or (0, -1)."""
_Element = list[_Piece]


@dataclass(frozen=True, slots=True)
class Template:
    """The compiled patterns of an element that is repeated."""

    exact: re.Pattern[bytes]
    run: re.Pattern[bytes]
    one: re.Pattern[bytes]
    framed: re.Pattern[bytes]
    opcodes: int
    puts: int
    explicit: int
    """The opcode with which memo indexes are spelled, 0 where they are not."""
    end: int
    """The opcode that ends a batch, 0 where each element stands alone."""
    gets: tuple[int, ...]


@dataclass(slots=True)
class Passed:
    """What was passed over: up to where, and how much of it there was."""

    end: int
    opcodes: int
    puts: int
    frames: list[int]


class Runs:
    """The runs of one stream."""

    def __init__(self, data: Buffer, wanted: Any) -> None:
        """``wanted`` are the memo indexes that some GET may name."""
        self.data = data
        self._every = isinstance(wanted, range)
        self._wanted = [] if self._every else sorted(wanted)
        self._misses = self._rest = 0

    def over(
        self, pos: int, kind: type[list[Any]], memo: dict[int, Any], dense: int, look: Callable[[], None]
    ) -> Iterator[tuple[Passed, Template]]:
        """The batches of like elements from ``pos`` on, for a container of that ``kind``; ``look`` checks the budget.

        Where some were looked for in vain they are not looked for each time.
        """
        if self._rest or self._every:
            self._rest -= bool(self._rest)
            return
        template = _template(self.data, pos, kind, memo)
        self._misses += 1
        while template is not None and (passed := self.batch(pos, template, dense)) is not None:
            self._misses = 0
            yield passed, template
            pos, dense = passed.end, dense + passed.puts
            look()
        self._rest = (1 << min(self._misses, 8)) - 1

    def batch(self, pos: int, template: Template, dense: int) -> Passed | None:
        """The batch at ``pos``, the next memo index being ``dense``; None where it is none, or has to be looked at."""
        data, begin = self.data, pos
        frames: list[int] = []
        if data[pos : pos + 1] == b"\x95":
            frames.append(pos)
            pos += 9
        if (whole := template.exact.match(data, pos)) and (whole.end() < len(data)):
            end, count = whole.end(), _BATCH
        else:
            measured = self._measured(pos, template, frames)
            if measured is None:
                return None
            end, count = measured
        puts = count * template.puts
        if puts and not self._free(dense, puts):
            return None
        if template.explicit and puts and (frames or not self._in_order(begin, end, template, dense, puts)):
            return None
        steps = count * template.opcodes + (2 if template.end else 0) + len(frames)
        return Passed(end, steps, puts, frames)

    def _measured(self, pos: int, template: Template, frames: list[int]) -> tuple[int, int] | None:
        """(end, elements) of a batch of another length, or with frames in it, which are added to ``frames``."""
        data, count, size = self.data, 0, len(self.data)
        if template.end:
            if data[pos : pos + 1] != b"(":
                return None
            pos += 1
        while True:
            found = template.run.match(data, pos)
            if found is not None and found.end() > pos:
                count += len(template.one.findall(data, pos, found.end()))
                pos = found.end()
            if pos + 10 >= size:
                return None
            if not template.end:
                return (pos, count) if count else None
            if data[pos] == template.end:
                return (pos + 1, count) if count else None
            if data[pos] == _FRAME and data[pos + 9] == template.end:
                frames.append(pos)
                return pos + 10, count
            framed = template.framed.match(data, pos)
            if framed is None or framed.lastindex is None:
                return None
            frames += [framed.start(group) for group in range(1, (framed.re.groups or 0) + 1) if framed[group]]
            count += 1
            pos = framed.end()

    def _free(self, dense: int, puts: int) -> bool:
        """Whether no GET may name one of the next ``puts`` memo entries."""
        at = bisect_left(self._wanted, dense)
        return at == len(self._wanted) or self._wanted[at] >= dense + puts

    def _in_order(self, pos: int, end: int, template: Template, dense: int, puts: int) -> bool:
        """Whether the memo indexes that are spelled follow one another."""
        found: Any = template.one.findall(self.data, pos + bool(template.end), end)
        if template.puts > 1:
            found = chain.from_iterable(found)
        if template.explicit == _PUT:
            return list(map(int, found)) == list(range(dense, dense + puts))
        if dense + puts > 1 << 32:
            return False
        spelled = array("I", b"".join(found))
        return spelled == array("I", range(dense, dense + puts))


def numbers(data: Buffer, pos: int) -> tuple[int, int]:
    """(end, opcodes) of the list of numbers whose mark is at ``pos``; (pos, 0) where it is none, or a short one."""
    found = _NUMBERS.match(data, pos)
    if found is None or found.end() - pos < LEAST_NUMBERS:
        return pos, 0
    return found.end(), 2 + len(_NUMBER.findall(data, pos + 1, found.end() - 1))


def _template(data: Buffer, pos: int, kind: type[list[Any]], memo: dict[int, Any]) -> Template | None:
    """The template that the first elements have in common."""
    if data[pos : pos + 1] == b"\x95":
        pos += 9
    batched = data[pos : pos + 1] == b"("
    end, alone = (0x75, 0x73) if kind is Dict else (0x65, 0x61)
    found = _Walk(data, memo, 2 if kind is Dict else 1).elements(
        pos + batched, end if batched else alone, batched=batched
    )
    first = [piece for piece, _, _ in found[0]] if len(found) >= _LEAST else []
    if not first or any([piece for piece, _, _ in element] != first for element in found):
        return None
    scalars: set[int] = set()
    lengths: list[tuple[int, ...]] = []
    gets: set[int] = set()
    for column in zip(*found, strict=True):
        piece = column[0][0]
        if piece == _SCALAR:
            scalars.update(op for _, op, _ in column)
        elif type(piece) is int:
            sizes = sorted({size for _, _, size in column})
            near = sizes[-1] - sizes[0] <= _SPREAD
            lengths.append(tuple(range(max(0, sizes[0] - 2), sizes[-1] + 3)) if near else tuple(sizes))
        elif column[0][2] >= 0:
            gets.add(column[0][2])
    if scalars & _GROWING:
        scalars |= _GROWING
    return _compiled(tuple(first), tuple(lengths), frozenset(scalars), end if batched else 0, tuple(sorted(gets)))


_SCALAR = "scalar"


class _Walk:
    """A walk over the first opcodes of a run, that keeps where each value on the stack begins."""

    def __init__(self, data: Buffer, memo: dict[int, Any], width: int) -> None:
        self.data = data
        self.memo = memo
        self.width = width
        self.pieces: list[_Piece] = []
        self.stack: list[int] = []
        self.marks: list[int] = []

    def elements(self, pos: int, end: int, *, batched: bool) -> list[_Element]:
        """The first elements, ended where something is not plain."""
        data, found, width = self.data, list[_Element](), self.width
        for place, following in islice(opcodes.instructions(data, pos, len(data)), _WALKED):
            op = data[place]
            if op == _FRAME:
                continue
            if op == end and not self.marks and (batched or len(self.stack) == width):
                if batched:
                    self.stack += [len(self.pieces)] * _UNSURE
                    break
                found.append([*self.pieces, (bytes([op]), 0, -1)])
                self.pieces, self.stack = [], []
            elif following > len(data) or not self._step(op, place, following):
                break
        if not batched:
            return found
        starts = self.stack[: max(len(self.stack) - _UNSURE + 1, 0)]
        return [self.pieces[starts[at] : starts[at + width]] for at in range(0, len(starts) - width, width)]

    def _step(self, op: int, place: int, following: int) -> bool:
        """Do what an opcode does; whether it is plain."""
        data, stack, at = self.data, self.stack, len(self.pieces)
        above = len(stack) - (self.marks[-2] if self.marks else 0)
        piece: _Piece = (re.escape(bytes(data[place:following])), 0, -1)
        if op in _SCALARS:
            piece = (_SCALAR, op, -1)
            stack.append(at)
        elif op in opcodes.TEXTS:
            start, end = opcodes.extent(data, place)
            counted = op in opcodes.COUNTED
            piece = (op, op, end - start) if counted else (re.escape(bytes([op])) + rb"[^\n]*\n", 0, -1)
            stack.append(at)
        elif op in (0x68, 0x6A):  # BINGET, LONG_BINGET
            slot = int.from_bytes(data[place + 1 : following], "little")
            if type(self.memo.get(slot, self)) not in _PLAIN:
                return False
            piece = (piece[0], 0, slot)
            stack.append(at)
        elif op in _PUTS:
            if above < 1:
                return False
            piece = (_PUTS[op], 0, -1)
        elif op in _EMPTY:
            stack.append(at)
        elif op in _POPS:
            if above < _POPS[op]:
                return False
            del stack[len(stack) - _POPS[op] + 1 :]
        elif op == _MARK:
            self.marks += (len(stack), at)
        elif op in _TO_MARK and self.marks:
            depth, begin = self.marks[-2:]
            del self.marks[-2:], stack[depth:]
            if _TO_MARK[op]:
                stack.append(begin)
            elif depth <= (self.marks[-2] if self.marks else 0):
                return False
        elif op in (0x61, 0x73):  # APPEND, SETITEM
            if above < 2 + (op == 0x73):
                return False
            del stack[-1 - (op == 0x73) :]
        else:
            return False
        self.pieces.append(piece)
        return True


@lru_cache(maxsize=64)
def _compiled(
    pieces: tuple[Any, ...],
    lengths: tuple[tuple[int, ...], ...],
    scalars: frozenset[int],
    end: int,
    gets: tuple[int, ...],
) -> Template | None:
    """The patterns of an element of those pieces."""
    scalar = b"(?:" + b"|".join(_SCALARS[op] for op in sorted(scalars)) + b")"
    sizes = iter(lengths)
    parts = [
        scalar if piece == _SCALAR else _text(piece, next(sizes)) if type(piece) is int else piece for piece in pieces
    ]
    puts = [piece for piece in pieces if piece in _PUTS.values()]
    if len(set(puts)) > 1:
        return None
    one = b"".join(parts)
    bare = one.replace(b"r(.{4})", b"r.{4}").replace(rb"p([0-9]{1,9})\n", rb"p[0-9]{1,9}\n")
    framed = b"".join(rb"(\x95.{8})?" + part.replace(b"(.{4})", b".{4}") for part in parts)
    mark, last = (rb"\(", re.escape(bytes([end]))) if end else (b"", b"")
    most = b"*" if end else b"{0,%d}" % (4 * _BATCH)
    return Template(
        exact=re.compile(mark + b"(?:" + bare + b"){%d}" % _BATCH + _ONCE + last, re.DOTALL),
        run=re.compile(b"(?:" + bare + b")" + most + _ONCE, re.DOTALL),
        one=re.compile(one, re.DOTALL),
        framed=re.compile(framed, re.DOTALL),
        opcodes=len(pieces),
        puts=len(puts),
        explicit=0 if not puts or puts[0] == b"\x94" else puts[0][0],
        end=end,
        gets=gets,
    )


def _text(op: int, sizes: tuple[int, ...]) -> bytes:
    """A counted literal of one of the lengths."""
    width = opcodes.COUNTED[op]
    known = (size for size in sizes if size < 1 << 8 * width and size < 1 << 15)
    bodies = (re.escape(size.to_bytes(width, "little")) + b".{%d}" % size for size in known)
    return re.escape(bytes([op])) + b"(?:" + b"|".join(bodies) + b")"
