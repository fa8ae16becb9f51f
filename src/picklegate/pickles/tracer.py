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
from picklegate.pickles.budget import Budget, Exhausted, Retrace, Shared
from picklegate.pickles.memo import Sparse, wanted
from picklegate.pickles.opcode_handlers import Rare
from picklegate.pickles.opcodes import Buffer
from picklegate.pickles.recorder import Inline, Recorder
from picklegate.pickles.records import Fault, Trace
from picklegate.pickles.runs import LEAST_NUMBERS, NUMBERED, Runs, numbers
from picklegate.pickles.values import Dict, Run

_CHUNK = 1 << 16
"""Opcodes between two looks at the bounds."""
_KEEP = 256
"""Items of a container in a long stream that are kept as long as no call takes it."""
_SMALL = 1 << 21
"""Bytes up to which a stream is read with all its items: dropping some would save little, reading twice costs more."""
_VALUES_SHIFT = 4
"""One more value may be held for each 16 bytes of the data."""
_CHEAP = 4
"""Opcodes that are passed over cost a sixteenth of those that are executed."""
_FRAME = 0x95
_LARGE_MEMO = 1 << 15
"""Memo entries from which on only those that some GET may name are kept."""

_FIXED = [opcodes.FIXED_NUMBERS.get(op, 0) for op in range(256)]
_LINES = [(float if op in opcodes.LINE_NUMBERS else int) if op in b"FILSV" else None for op in range(256)]
_U32 = struct.Struct("<I").unpack_from
_MARKED = frozenset(b"ldueio1")


def trace(
    data: Buffer,
    start: int = 0,
    *,
    limits: Limits = DEFAULT,
    inline: Mapping[tuple[str, str], Inline] | None = None,
    depth: int = 0,
    shared: Shared | None = None,
    whole: bool = False,
) -> Trace:
    """Execute the stream at ``data[start:]`` symbolically; never raises for content.

    With ``whole``, the result keeps every item of every container, however long the stream is, and what it holds can
    be resolved afterwards.

    ``inline`` maps a class (module, name) to a function that is called after BUILD of one of its
    instances: it tells where opcodes go on after the raw bytes that the loader reads there (joblib).
    """
    context = (limits, inline or {}, depth, shared or Shared(Budget(limits)))
    try:
        return _Machine(data, start, *context, long=not whole and len(data) - start > _SMALL).run(keep=whole)
    except Retrace:
        return _Machine(data, start, *context, long=False).run()


class _Machine:
    def __init__(
        self,
        data: Buffer,
        start: int,
        limits: Limits,
        inline: Mapping[tuple[str, str], Inline],
        depth: int,
        shared: Shared,
        *,
        long: bool,
    ) -> None:
        self.data = data
        self.start = self.pos = start
        self.limits = limits
        self.keep = _KEEP if long else limits.max_stack
        self.budget = shared.budget
        self.effects = Recorder(data, limits, inline, depth, shared, trace)
        self.meta: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.rare = Rare(data, start, self.memo, self.effects, long=long)
        self.sparse = Sparse(limits.max_stack)
        self.opcodes = self.made = self.held = 0
        self.waypoints: list[int] = []
        self.long = long
        self.runs: Runs | None = None
        self.kept: Container[int] | None = None

    def run(self, *, keep: bool = False) -> Trace:
        self.effects.states = [] if keep else None
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
            fault = Fault(code=getattr(error, "code", Exhausted.code), offset=self.pos, message=str(error))
        effects, frames = self.effects, self.rare.frames
        frames.leave(self.pos)
        if fault is None:
            frames.stop(self.pos)
        if not keep:
            effects.close()
        self.budget.held -= self.held
        return Trace(
            data=self.data,
            start=self.start,
            skips=tuple(effects.skips),
            end=min(self.pos, len(self.data)),
            stopped=fault is None,
            protocol=self.rare.protocol,
            opcodes=self.opcodes,
            fault=fault,
            notes=tuple(effects.notes.values()),
            imports=tuple(effects.imports.values()),
            events=tuple(effects.events),
            persistent=tuple(effects.persistent),
            nested=tuple(effects.nested),
            blobs=tuple(effects.blobs),
            result=result,
            waypoints=tuple(self.waypoints),
            states=tuple(effects.states or ()),
        )

    def check(self, stack: list[Any], pos: int) -> None:
        """Raise Exhausted where a bound is passed."""
        limits, budget = self.limits, self.budget
        budget.look()
        held = self.made + self.effects.made
        budget.held += held - self.held
        self.held = held
        if self.opcodes > limits.max_opcodes:
            raise Exhausted(f"more than {limits.max_opcodes:,} opcodes")
        if budget.held > limits.max_values + (len(self.data) >> _VALUES_SHIFT):
            raise Exhausted("more containers and results of calls than the limits allow")
        if max(len(stack), len(self.memo)) > limits.max_stack or len(self.meta) > limits.max_marks:
            raise Exhausted("more values on the stack, in the memo or nested marks than the limits allow")
        self.waypoints.append(pos)

    def loop(self) -> Any:
        data, memo, meta, keep = self.data, self.memo, self.meta, self.keep
        fixed, lines, u32, find, sparse = _FIXED, _LINES, _U32, data.find, self.sparse
        occupy = sparse.occupy
        call, put, rare = self.effects.call, self.rare.put, self.rare.other
        pos, dense, made, stack = self.start, 0, 0, list[Any]()
        push = stack.append
        kept: Container[int] | None = None
        long, far = self.long, len(data) - LEAST_NUMBERS if self.long else 0
        budget = repeat(None, 0)
        try:
            while True:
                self.made = made
                self.check(stack, pos)
                if kept is None and len(memo) > _LARGE_MEMO:
                    kept = self.kept = self.kept or wanted(data, self.start)
                    for slot in [slot for slot in memo if slot not in kept]:
                        del memo[slot]
                self.opcodes += _CHUNK
                self.budget.opcodes -= _CHUNK
                budget = repeat(None, _CHUNK)
                for _ in budget:
                    op = data[pos]
                    if width := fixed[op]:
                        push(float(pos))
                        pos += width
                    elif op == 0x72:  # LONG_BINPUT
                        (slot,) = u32(data, pos + 1)
                        if slot == dense and not sparse:
                            dense += 1
                        else:
                            dense = occupy(slot, dense)
                        if kept is None or slot in kept:
                            memo[slot] = stack[-1]
                        pos += 5
                    elif op == 0x94:  # MEMOIZE
                        slot = dense
                        if sparse:
                            slot = dense + len(sparse)
                            dense = occupy(slot, dense)
                        else:
                            dense += 1
                        if kept is None or slot in kept:
                            memo[slot] = stack[-1]
                        pos += 1
                    elif op == 0x8C:  # SHORT_BINUNICODE
                        push(pos)
                        pos += 2 + data[pos + 1]
                    elif op > 0x7F:  # what protocols 2 to 5 added
                        if op == 0x86:  # TUPLE2
                            last = stack.pop()
                            stack[-1] = (stack[-1], last)
                            made += 1
                            pos += 1
                        elif op == 0x85:  # TUPLE1
                            stack[-1] = (stack[-1],)
                            made += 1
                            pos += 1
                        elif op == 0x87:  # TUPLE3
                            last = stack.pop()
                            middle = stack.pop()
                            stack[-1] = (stack[-1], middle, last)
                            made += 1
                            pos += 1
                        elif op in (0x88, 0x89):  # NEWTRUE, NEWFALSE
                            push(op == 0x88)
                            pos += 1
                        elif op in (0x90, 0x91):  # ADDITEMS, FROZENSET
                            items = stack
                            stack = meta.pop()
                            push = stack.append
                            pos = self.rare.marked(op, stack, items, pos)
                        else:
                            pos = rare(op, stack, pos)
                    elif op == 0x58:  # BINUNICODE
                        push(pos)
                        pos += 5 + u32(data, pos + 1)[0]
                    elif op == 0x71:  # BINPUT
                        slot = data[pos + 1]
                        if slot == dense and not sparse:
                            dense += 1
                        else:
                            dense = occupy(slot, dense)
                        memo[slot] = stack[-1]
                        pos += 2
                    elif op == 0x68:  # BINGET
                        push(memo[data[pos + 1]])
                        pos += 2
                    elif op == 0x28:  # MARK
                        if pos < far and data[pos + 1] in NUMBERED and stack and type(stack[-1]) is list:
                            end, steps = numbers(data, pos)
                            if steps:
                                stack[-1].append(Run(pos + 1, end - 1))
                                self.spend(steps - 1, end)
                                pos = end
                                continue
                        meta.append(stack)
                        stack = []
                        push = stack.append
                        pos += 1
                    elif op == 0x74:  # TUPLE
                        items = stack
                        stack = meta.pop()
                        push = stack.append
                        push(tuple(items))
                        made += 1
                        pos += 1
                    elif op == 0x52:  # REDUCE
                        args = stack.pop()
                        stack[-1] = call("call", "REDUCE", pos, stack[-1], args)
                        pos += 1
                    elif op == 0x70:  # PUT
                        end = find(b"\n", pos + 1)
                        if end < 0:
                            raise IndexError("no newline")
                        slot = opcodes.index(data[pos + 1 : end])
                        if slot == dense and not sparse:
                            dense += 1
                        else:
                            dense = occupy(slot, dense)
                        if kept is None or slot in kept:
                            memo[slot] = stack[-1]
                        pos = end + 1
                    elif kind := lines[op]:  # FLOAT, INT, LONG, STRING, UNICODE
                        end = find(b"\n", pos + 1)
                        if end < 0:
                            raise IndexError("no newline")
                        push(kind(pos))
                        pos = end + 1
                    elif op in _MARKED:
                        items = stack
                        stack = meta.pop()
                        push = stack.append
                        if op == 0x75:  # SETITEMS
                            target = stack[-1]
                            if type(target) is Dict and len(target) < keep:
                                target += items
                                pos += 1
                            else:
                                pos = put("SETITEMS", pos, target, Dict, items)
                                if long:
                                    pos, dense = self.pass_over(pos, dense, target)
                        elif op == 0x65:  # APPENDS
                            target = stack[-1]
                            if type(target) is list and len(target) < keep:
                                target += items
                                pos += 1
                            else:
                                pos = put("APPENDS", pos, target, list, items)
                                if long:
                                    pos, dense = self.pass_over(pos, dense, target)
                        else:
                            pos = self.rare.marked(op, stack, items, pos)
                    elif op == 0x7D:  # EMPTY_DICT
                        push(Dict())
                        made += 2
                        pos += 1
                    elif op == 0x5D:  # EMPTY_LIST
                        push([])
                        made += 2
                        pos += 1
                    elif op == 0x29:  # EMPTY_TUPLE
                        push(())
                        pos += 1
                    elif op == 0x4E:  # NONE
                        push(None)
                        pos += 1
                    elif op == 0x61:  # APPEND
                        last = stack.pop()
                        target = stack[-1]
                        if type(target) is list and len(target) < keep:
                            target.append(last)
                            pos += 1
                        else:
                            pos = put("APPEND", pos, target, list, [last])
                            if long:
                                pos, dense = self.pass_over(pos, dense, target)
                    elif op == 0x73:  # SETITEM
                        last = stack.pop()
                        middle = stack.pop()
                        target = stack[-1]
                        if type(target) is Dict and len(target) < keep:
                            target += (middle, last)
                            pos += 1
                        else:
                            pos = put("SETITEM", pos, target, Dict, [middle, last])
                            if long:
                                pos, dense = self.pass_over(pos, dense, target)
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
                    elif op == 0x2E:  # STOP
                        pos += 1
                        return stack.pop()
                    else:
                        pos = rare(op, stack, pos)
        finally:
            self.pos = pos
            self.made = made
            self.opcodes -= budget.__length_hint__()
            self.budget.opcodes += budget.__length_hint__()

    def spend(self, steps: int, pos: int) -> None:
        """Count opcodes that were passed over, up to ``pos``."""
        self.opcodes += steps
        self.budget.opcodes -= steps >> _CHEAP
        if pos - self.waypoints[-1] > _CHUNK:
            self.waypoints.append(pos)

    def pass_over(self, pos: int, dense: int, target: Any) -> tuple[int, int]:
        """Pass over batches of like elements for ``target``, which is full: (offset, memo entries) behind them."""
        kind = type(target)
        if self.sparse or (kind is not Dict and kind is not list):
            return pos, dense
        if self.runs is None:
            self.kept = self.kept or wanted(self.data, self.start)
            self.runs = Runs(self.data, self.kept)
        begin, gets = pos, tuple[int, ...]()
        for passed, template in self.runs.over(pos, kind, self.memo, dense, self.budget.look):
            for frame in passed.frames:
                self.rare.other(_FRAME, [], frame)
            pos, dense, gets = passed.end, dense + passed.puts, template.gets
            self.spend(passed.opcodes, pos)
        if pos > begin:
            held = [Run(begin, pos), *(self.memo[slot] for slot in gets)]
            target += [part for one in held for part in (one, None)] if kind is Dict else held
        return pos, dense
