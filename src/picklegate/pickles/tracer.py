"""The symbolic machine: executes a pickle stream on abstract values, running nothing.

The stack, the mark stack and the memo follow CPython's Modules/_pickle.c. Where the C and the
Python unpickler part, one of them stops: reading goes on, so that either's calls are a prefix
of what is seen here. Known differences are listed in docs/loaders.md.
"""

from __future__ import annotations

import struct
from collections.abc import Container, Mapping
from itertools import repeat
from typing import Any

from picklegate.limits import DEFAULT, Limits
from picklegate.pickles import opcodes
from picklegate.pickles.effects import Effects, Exhausted, Inline, Retrace
from picklegate.pickles.frames import Frames
from picklegate.pickles.memo import wanted
from picklegate.pickles.nesting import Shared
from picklegate.pickles.opcodes import Buffer
from picklegate.pickles.records import Fault, Trace
from picklegate.pickles.values import Dict, Set

_CHUNK = 1 << 16
"""Opcodes between two looks at the bounds."""
_KEEP = 256
"""Items kept of a container that no call takes."""
_LARGE_MEMO = 1 << 15
"""Memo entries from which on only those that some GET may name are kept."""

_FIXED = [opcodes.FIXED_NUMBERS.get(op, 0) for op in range(256)]
_U32 = struct.Struct("<I").unpack_from
_MARKED = frozenset(b"tldueio1\x90\x91")
_CONSTANTS = {0x4E: None, 0x88: True, 0x89: False}


def trace(
    data: Buffer,
    start: int = 0,
    *,
    limits: Limits = DEFAULT,
    inline: Mapping[tuple[str, str], Inline] | None = None,
    depth: int = 0,
    shared: Shared | None = None,
) -> Trace:
    """Execute the stream at ``data[start:]`` symbolically; never raises for content.

    ``inline`` maps a class (module, name) to a function that is called after BUILD of one of its
    instances: it tells where opcodes go on after the raw bytes that the loader reads there (joblib).
    """
    context = (limits, inline or {}, depth, shared or Shared())
    try:
        return _Machine(data, start, *context, _KEEP).run()
    except Retrace:
        return _Machine(data, start, *context, limits.max_stack).run()


class _Machine:
    def __init__(
        self,
        data: Buffer,
        start: int,
        limits: Limits,
        inline: Mapping[tuple[str, str], Inline],
        depth: int,
        shared: Shared,
        keep: int,
    ) -> None:
        self.data = data
        self.start = self.pos = start
        self.limits = limits
        self.keep = keep
        self.effects = Effects(data, limits, inline, depth, shared, keep, trace)
        self.frames = Frames(data, start, self.effects)
        self.meta: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.sparse: set[int] = set()
        self.protocol = self.opcodes = 0

    def run(self) -> Trace:
        fault = result = None
        try:
            result = self.loop()
        except IndexError as error:
            # The stacks are the lists here; everything else that is indexed is the data.
            if "list" in str(error):
                fault = Fault(code="stream.underflow", offset=self.pos, message="an opcode finds the stack empty")
            else:
                fault = Fault(code="stream.truncated", offset=self.pos, message="the stream ends before STOP")
        except struct.error:
            fault = Fault(code="stream.truncated", offset=self.pos, message="the stream ends inside an argument")
        except KeyError:
            fault = Fault(code="stream.memo-missing", offset=self.pos, message="a memo entry is read that was not set")
        except ValueError as error:
            fault = Fault(code="stream.bad-argument", offset=self.pos, message=str(error)[:200])
        except (Exhausted, RecursionError) as error:
            fault = Fault(code="limit.stream", offset=self.pos, message=str(error))
        effects = self.effects
        self.frames.leave(self.pos)
        return Trace(
            data=self.data, start=self.start, skips=tuple(effects.skips),
            end=min(self.pos, len(self.data)),
            stopped=fault is None,
            protocol=self.protocol,
            opcodes=self.opcodes,
            fault=fault,
            notes=tuple(effects.notes.values()),
            imports=tuple(effects.imports.values()),
            events=effects.settled(result),
            persistent=tuple(effects.persistent),
            nested=tuple(effects.nested),
            blobs=tuple(effects.blobs),
            result=result,
        )

    def check(self, stack: list[Any]) -> None:
        """Raise Exhausted where a bound is passed."""
        limits = self.limits
        if self.opcodes > limits.max_opcodes:
            raise Exhausted(f"more than {limits.max_opcodes:,} opcodes")
        if max(len(stack), len(self.memo)) > limits.max_stack or len(self.meta) > limits.max_marks:
            raise Exhausted("more values on the stack, in the memo or nested marks than the limits allow")

    def loop(self) -> Any:
        data, memo, meta, keep = self.data, self.memo, self.meta, self.keep
        fixed, sparse, u32 = _FIXED, self.sparse, _U32
        call, rare = self.effects.call, self.rare
        pos, dense, stack = self.start, 0, list[Any]()
        push = stack.append
        kept: Container[int] | None = None
        budget = repeat(None, 0)
        try:
            while True:
                self.check(stack)
                if kept is None and len(memo) > _LARGE_MEMO:
                    kept = wanted(data, self.start)
                    for slot in [slot for slot in memo if slot not in kept]:
                        del memo[slot]
                self.opcodes += _CHUNK
                budget = repeat(None, _CHUNK)
                for _ in budget:
                    op = data[pos]
                    if width := fixed[op]:
                        push(float(pos))
                        pos += width
                    elif op == 0x94:  # MEMOIZE
                        slot = dense
                        if sparse:
                            slot = dense + len(sparse)
                            dense = self.occupy(slot, dense)
                        else:
                            dense += 1
                        if kept is None or slot in kept:
                            memo[slot] = stack[-1]
                        pos += 1
                    elif op == 0x8C:  # SHORT_BINUNICODE
                        push(pos)
                        pos += 2 + data[pos + 1]
                    elif op == 0x71:  # BINPUT
                        slot = data[pos + 1]
                        if slot == dense and not sparse:
                            dense += 1
                        else:
                            dense = self.occupy(slot, dense)
                        memo[slot] = stack[-1]
                        pos += 2
                    elif op == 0x72:  # LONG_BINPUT
                        (slot,) = u32(data, pos + 1)
                        if slot == dense and not sparse:
                            dense += 1
                        else:
                            dense = self.occupy(slot, dense)
                        if kept is None or slot in kept:
                            memo[slot] = stack[-1]
                        pos += 5
                    elif op == 0x68:  # BINGET
                        push(memo[data[pos + 1]])
                        pos += 2
                    elif op == 0x86:  # TUPLE2
                        last = stack.pop()
                        stack[-1] = (stack[-1], last)
                        pos += 1
                    elif op == 0x58:  # BINUNICODE
                        push(pos)
                        pos += 5 + u32(data, pos + 1)[0]
                    elif op == 0x28:  # MARK
                        meta.append(stack)
                        stack = []
                        push = stack.append
                        pos += 1
                    elif op in _MARKED:
                        items = stack
                        stack = meta.pop()
                        push = stack.append
                        if op == 0x74:  # TUPLE
                            push(tuple(items))
                            pos += 1
                        elif op == 0x75:  # SETITEMS
                            target = stack[-1]
                            if type(target) is Dict and len(target) < keep:
                                target += items
                            else:
                                self.put("SETITEMS", pos, target, Dict, items)
                            pos += 1
                        elif op == 0x65:  # APPENDS
                            target = stack[-1]
                            if type(target) is list and len(target) < keep:
                                target += items
                            else:
                                self.put("APPENDS", pos, target, list, items)
                            pos += 1
                        else:
                            pos = self.marked(op, stack, items, pos)
                    elif op == 0x52:  # REDUCE
                        args = stack.pop()
                        stack[-1] = call("call", "REDUCE", pos, stack[-1], args)
                        pos += 1
                    elif op == 0x7D:  # EMPTY_DICT
                        push(Dict())
                        pos += 1
                    elif op == 0x5D:  # EMPTY_LIST
                        push([])
                        pos += 1
                    elif op == 0x29:  # EMPTY_TUPLE
                        push(())
                        pos += 1
                    elif op == 0x85:  # TUPLE1
                        stack[-1] = (stack[-1],)
                        pos += 1
                    elif op == 0x61:  # APPEND
                        last = stack.pop()
                        target = stack[-1]
                        if type(target) is list and len(target) < keep:
                            target.append(last)
                        else:
                            self.put("APPEND", pos, target, list, [last])
                        pos += 1
                    elif op == 0x73:  # SETITEM
                        last = stack.pop()
                        middle = stack.pop()
                        target = stack[-1]
                        if type(target) is Dict and len(target) < keep:
                            target += (middle, last)
                        else:
                            self.put("SETITEM", pos, target, Dict, [middle, last])
                        pos += 1
                    elif op == 0x87:  # TUPLE3
                        last = stack.pop()
                        middle = stack.pop()
                        stack[-1] = (stack[-1], middle, last)
                        pos += 1
                    elif op in _CONSTANTS:
                        push(_CONSTANTS[op])
                        pos += 1
                    elif op == 0x6A:  # LONG_BINGET
                        push(memo[u32(data, pos + 1)[0]])
                        pos += 5
                    elif op == 0x51:  # BINPERSID
                        stack[-1] = self.effects.persist(pos, stack[-1])
                        pos += 1
                    elif op == 0x62:  # BUILD
                        state = stack.pop()
                        pos = self.effects.build(pos, stack[-1], state)
                    elif op == 0x30:  # POP
                        if stack:
                            stack.pop()
                        else:
                            stack = meta.pop()
                            push = stack.append
                        pos += 1
                    elif op == 0x70:  # PUT
                        end = opcodes.line_end(data, pos + 1)
                        slot = opcodes.index(data[pos + 1 : end])
                        dense = self.occupy(slot, dense)
                        if kept is None or slot in kept:
                            memo[slot] = stack[-1]
                        pos = end + 1
                    elif op == 0x2E:  # STOP
                        pos += 1
                        return stack.pop()
                    else:
                        pos = rare(op, stack, pos)
        finally:
            self.pos = pos
            self.opcodes -= budget.__length_hint__()

    def occupy(self, slot: int, dense: int) -> int:
        """Count memo entry ``slot`` as set; how many entries from 0 on are set without a gap.

        MEMOIZE writes at the number of entries (``memo_size`` in C, ``len(memo)`` in Python), so an
        entry written twice counts once.
        """
        sparse = self.sparse
        if slot > dense:
            sparse.add(slot)
            if len(sparse) > self.limits.max_stack:
                raise Exhausted(f"more than {self.limits.max_stack:,} values in the memo")
        elif slot == dense:
            dense += 1
            while dense in sparse:
                sparse.remove(dense)
                dense += 1
        return dense

    def put(self, opcode: str, pos: int, target: Any, kind: type[list[Any]], items: list[Any]) -> None:
        """Add items to what is no container of that ``kind``, or holds ``keep`` items already.

        Of what a full container is given only that stays which could matter to a later call.
        """
        if type(target) is not kind:
            self.effects.feed(opcode, pos, target, items)
        elif self.keep == self.limits.max_stack:
            raise Exhausted(f"more than {self.keep:,} items in one container")
        elif self.effects.imports:
            target += (item for item in items if type(item) not in (int, float))

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
            if type(stack[-1]) is Set and len(stack[-1]) < self.keep:
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

    def rare(self, op: int, stack: list[Any], pos: int) -> int:
        """Every other opcode; the offset of the next one."""
        data, effects = self.data, self.effects
        if op in opcodes.COUNTED:
            end = opcodes.extent(data, pos)[1]
            if end > len(data):
                raise struct.error
            stack.append(float(pos) if op in opcodes.COUNTED_NUMBERS else pos)
            return end
        if op in opcodes.LINES:
            end = opcodes.line_end(data, pos + 1)
            if op == 0x50:  # PERSID
                stack.append(effects.persist(pos, data[pos + 1 : end].decode("latin-1")))
            else:
                stack.append(float(pos) if op in opcodes.LINE_NUMBERS else pos)
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
            stack.append(effects.buffer(pos))
        elif op == 0x98:  # READONLY_BUFFER
            if not stack:
                raise IndexError("empty list")
        else:
            raise ValueError(f"opcode 0x{op:02x} is not known")
        return pos + 1
