"""The opcodes that are rare: what the machine's loop need not decide in line."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from picklegate.pickles import implicit_calls, opcodes
from picklegate.pickles.budget import Exhausted
from picklegate.pickles.call_keys import only_numbers
from picklegate.pickles.frames import Frames
from picklegate.pickles.recorder import RESULT, Recorder
from picklegate.pickles.values import Dict, Event, Run, Set, Unresolved

if TYPE_CHECKING:
    from picklegate.pickles.opcodes import Buffer


class Rare:
    """Executes rare opcodes on the stack and the memo of one machine."""

    def __init__(self, data: Buffer, start: int, memo: dict[int, Any], effects: Recorder, *, long: bool) -> None:
        """Begin where the stream does, with the machine's own ``memo``; of a ``long`` stream not all is kept."""
        self.data = data
        self.long = long
        self.cut: dict[int, Any] = {}
        """Containers of which items were let go."""
        self.dull: dict[int, bool] = {}
        """Events, by identity -> whether nothing tells of the results that are counted as them."""
        self.memo = memo
        self.effects = effects
        self.frames = Frames(data, start, effects)
        self.protocol = 0

    def put(self, opcode: str, pos: int, target: Any, kind: type[list[Any]], items: list[Any]) -> int:
        """Add items to what is no container of that ``kind``, or is full; the offset of the next opcode.

        Of what a full container of a long stream is given only that stays which could matter to a later call.
        """
        effects = self.effects
        if type(target) is not kind:
            effects.feed(opcode, pos, target, items)
            return pos + 1
        if not self.long:
            if len(target) > effects.limits.max_stack:
                raise Exhausted(f"more than {effects.limits.max_stack:,} items in one container")
            target += items
            return pos + 1
        target += self._telling(kind, items)
        if id(target) not in self.cut:
            self.cut[id(target)] = target
            target += (Run(0, 0), None) if kind is Dict else (Run(0, 0),)
        return pos + 1

    def _telling(self, kind: type[list[Any]], items: list[Any]) -> list[Any]:
        """The items but for numbers and results that are counted as another; of a dict the pairs where one tells."""
        dull = list(map(self._is_dull, items))
        if kind is not Dict:
            kept = [item for item, one in zip(items, dull, strict=True) if not one]
        elif len(items) % 2:
            return items
        else:
            pairs = zip(items[::2], items[1::2], dull[::2], dull[1::2], strict=True)
            telling = [(key, None if two else value) for key, value, one, two in pairs if not (one and two)]
            kept = [part for pair in telling for part in pair]
        self.effects.made -= sum(_room(item) for item, one in zip(items, dull, strict=True) if one)
        return kept

    def _is_dull(self, item: Any) -> bool:
        """Whether an item tells nothing to a later call: a number, or a counted result that was made of numbers."""
        kind = type(item)
        if kind is not Event:
            return kind in _NUMBERS or (kind is tuple and _NUMBERS.issuperset(map(type, item)))
        group = item.group
        if group is item or item.written:
            return False
        dull = self.dull.get(id(group))
        if dull is None:
            dull = self.dull[id(group)] = only_numbers(group) and not implicit_calls.callable_in((group,))
        return dull

    def marked(self, op: int, stack: list[Any], items: list[Any], pos: int) -> int:
        """The rarer opcodes that take everything above the topmost mark."""
        effects = self.effects
        if op == 0x6C:  # LIST
            stack.append(items)
        elif op == 0x64:  # DICT
            stack.append(Dict(items))
        elif op == 0x91:  # FROZENSET
            stack.append(Set(items))
        elif op == 0x90:  # ADDITEMS
            if type(stack[-1]) is Set and (len(stack[-1]) < _KEEP or not self.long):
                stack[-1].extend(items)
            else:
                self.put("ADDITEMS", pos, stack[-1], Set, items)
        elif op == 0x6F:  # OBJ
            stack.append(effects.call("call", "OBJ", pos, items[0], tuple(items[1:])))
        elif op == 0x69:  # INST
            middle = opcodes.line_end(self.data, pos + 1)
            end = opcodes.line_end(self.data, middle + 1)
            found = effects.reach(pos, self.data[pos + 1 : middle], self.data[middle + 1 : end])
            stack.append(effects.call("call", "INST", pos, found, tuple(items)))
            return end + 1
        return pos + 1

    def other(self, op: int, stack: list[Any], pos: int) -> int:
        """Every other opcode; the offset of the next one."""
        data, effects = self.data, self.effects
        width = opcodes.COUNTED.get(op)
        if width is not None:
            begin = pos + 1 + width
            end = begin + int.from_bytes(data[pos + 1 : begin], "little")
            if end > len(data):
                raise struct.error
            stack.append(float(pos) if op in opcodes.COUNTED_NUMBERS else pos)
            return end
        if op == 0x50:  # PERSID
            end = opcodes.line_end(data, pos + 1)
            stack.append(effects.persist(pos, data[pos + 1 : end].decode("latin-1")))
            return end + 1
        if op == 0x63:  # GLOBAL
            middle = opcodes.line_end(data, pos + 1)
            end = opcodes.line_end(data, middle + 1)
            stack.append(effects.reach(pos, data[pos + 1 : middle], data[middle + 1 : end]))
            return end + 1
        if op == 0x93:  # STACK_GLOBAL
            name = stack.pop()
            stack[-1] = effects.reach_values(pos, stack[-1], name)
        elif op == 0x67:  # GET
            end = opcodes.line_end(data, pos + 1)
            stack.append(self.memo[opcodes.index(data[pos + 1 : end])])
            return end + 1
        elif op == 0x32:  # DUP
            stack.append(stack[-1])
        elif op == 0x81:  # NEWOBJ
            args = stack.pop()
            stack[-1] = effects.call("construct", "NEWOBJ", pos, stack[-1], args)
        elif op == 0x92:  # NEWOBJ_EX
            kwargs = stack.pop()
            args = stack.pop()
            stack[-1] = effects.call("construct", "NEWOBJ_EX", pos, stack[-1], args, kwargs)
        elif op == 0x8F:  # EMPTY_SET
            stack.append(Set())
        elif op in (0x82, 0x83, 0x84):  # EXT1, EXT2, EXT4
            width = 1 << (op - 0x82)
            stack.append(effects.extension(pos, data[pos + 1 : pos + 1 + width]))
            return pos + 1 + width
        elif op == 0x80:  # PROTO
            self.protocol = data[pos + 1]
            if self.protocol > 5:
                effects.note("stream.protocol", pos, f"protocol {self.protocol} is not known")
            return pos + 2
        elif op == 0x95:  # FRAME
            self.frames.enter(pos, pos + 9 + struct.unpack_from("<Q", data, pos + 1)[0])
            return pos + 9
        elif op == 0x97:  # NEXT_BUFFER
            stack.append(Unresolved("buffer", pos))  # out-of-band data that the loader was given
        elif op == 0x98:  # READONLY_BUFFER
            if not stack:
                raise IndexError("empty list")
        else:
            raise ValueError(f"opcode 0x{op:02x} is not known")
        return pos + 1


_KEEP = 256
"""Items of a set in a long stream that are kept as long as no call takes it."""
_NUMBERS = frozenset((float, bool, type(None)))


def _room(item: Any) -> int:
    """Containers that take the room of a dull item."""
    return RESULT if type(item) is Event else int(type(item) is tuple)
