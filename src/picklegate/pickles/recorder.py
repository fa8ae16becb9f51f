"""What a stream does to the world: imports, calls, constructions and state writes, recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from picklegate.limits import Limits
from picklegate.pickles import implicit_calls, opcodes, result_uses, rules, values
from picklegate.pickles.call_keys import OPAQUE, shape
from picklegate.pickles.mutation import CHANGING, Changes
from picklegate.pickles.names import canonical
from picklegate.pickles.opcodes import Buffer
from picklegate.pickles.records import Fault, Import, Trace
from picklegate.pickles.shared import Shared
from picklegate.pickles.values import CONTAINERS, Dict, Event, Global, Known, Persistent, Set, Unresolved

Inline = Callable[[dict[str, Any], int], int]
"""(attributes of the object just built, offset) -> the offset at which opcodes go on."""

_DEEP = 200
"""Containers in containers that an argument is read to."""
_WIDE = 256
"""Bytes from which on a text is kept as decoded, whatever else is."""
_FEW = 16
"""Numbers that are kept of a long run of them."""
_CHEAP = 4
"""Values given again in a container that is as it was, which cost what one costs that has to be resolved again."""
_REMEMBERED = 1 << 16
"""Texts of any length that are kept as decoded: names of attributes come again and again by the memo."""


TOO_LONG = "reading it takes longer than the limits allow"


class Exhausted(Exception):  # noqa: N818  a signal inside this package, never an error that users see
    """A bound was passed."""

    code = "limit.stream"


class Late(Exhausted):
    """The time is over."""

    code = "limit.time"


class Retrace(Exception):  # noqa: N818
    """A call takes a container of which items were dropped: read again and keep all."""


class Recorder:
    """The record of one stream."""

    def __init__(
        self,
        data: Buffer,
        limits: Limits,
        inline: Mapping[tuple[str, str], Inline],
        depth: int,
        shared: Shared,
        keep: int,
        trace: Callable[..., Trace],
    ) -> None:
        """Start an empty record; ``trace`` reads a nested stream."""
        self.data = data
        self.limits = limits
        self.inline = inline
        self.skips: list[tuple[int, int]] = []
        self.depth = depth
        self.shared = shared
        self.keep = keep
        self.trace = trace
        self.imports: dict[tuple[str, str], Import] = {}
        self.events: list[Event] = []
        self.persistent: list[Persistent] = []
        self.nested: list[tuple[str, Trace]] = []
        self.blobs: list[tuple[str, bytes]] = []
        self.notes: dict[str, Fault] = {}
        self.aliases: dict[str, Any] = {}
        self.globals: dict[tuple[str, str], Global] = {}
        self.seen: dict[Any, Event] = {}
        self.pids: dict[Any, Persistent] = {}
        self.flat: dict[tuple[int, bool], tuple[int, Any, Any]] = {}
        self.nested_values: dict[tuple[int, bool], tuple[int, Any, Any]] = {}
        self.open: set[int] = set()
        self.texts: dict[int, Any] = {}
        self.computed = 0
        self.sizes: dict[int, tuple[int, Any]] = {}
        self.again = 0
        self.changes = Changes()

    def note(self, code: str, offset: int, message: str) -> None:
        """Record what does not end the reading; the first of each kind."""
        self.notes.setdefault(code, Fault(code=code, offset=offset, message=message))

    # Imports

    def reach(self, pos: int, module: bytes, name: bytes) -> Any:
        """The object of GLOBAL and INST."""
        return self.global_(pos, module.decode("utf-8", "replace"), name.decode("utf-8", "replace"))

    def reach_values(self, pos: int, module: Any, name: Any) -> Any:
        """The object of STACK_GLOBAL, whose names come from the stack."""
        names = self.resolve((module, name))
        if all(isinstance(part, str) for part in names):
            return self.global_(pos, *names)
        if any(map(values.is_no_text, names)):
            raise ValueError("STACK_GLOBAL is given a name that is no text")
        self.note("import.unresolved", pos, "an import's name is computed while loading")
        return Unresolved("import", pos)

    def global_(self, pos: int, module: str, name: str, via: str = "") -> Any:
        """The object that (module, name) resolves to, recorded as an import."""
        key = (module, name)
        found = self.globals.get(key)
        if found is None:
            found = self.globals[key] = Global(module, name, pos, via)
            found.known = canonical(module, name)
            found.rule = rules.rule_of(found)
            self.imports[key] = Import(module=module, name=name, offset=pos, via=via)
            if len(self.imports) > self.limits.max_events:
                raise Exhausted(f"more than {self.limits.max_events:,} imports")
        return self.aliases.get(found.known, found) if self.aliases else found

    def extension(self, pos: int, code: bytes) -> Any:
        """EXT1, EXT2, EXT4: what ``copyreg`` has registered in the loading process."""
        if not code:
            raise IndexError("truncated")
        number = int.from_bytes(code, "little")
        self.note("import.extension", pos, f"extension code {number} names an object that only the loader knows")
        return self.global_(pos, "copyreg", f"extension_{number}", "EXT")

    def persist(self, pos: int, pid: Any) -> Any:
        """PERSID and BINPERSID: whatever ``persistent_load`` makes of ``pid``.

        In torch's old formats ``("module", cls, file, source)`` and ``(cls, file, source)`` are ``cls``
        (torch/serialization.py, ``_legacy_load``).
        """
        key: Any = (type(pid),)
        if type(pid) is tuple and len(pid) > 1 and type(pid[0]) is int:
            key = (self.text(pid[0]), pid[1] if type(pid[1]) is Global else type(pid[1]), len(pid))
        elif type(pid) is str:
            key = (pid,)
        found = self.pids.get(key)
        if found is None:
            found = self.pids[key] = Persistent(self.resolve(pid), pos)
            self.persistent.append(found)
            self.bound()
        if key[:1] == ("module",) and type(pid[1]) is Global:
            return pid[1]
        if type(pid) is tuple and pid and type(pid[0]) is Global:
            return pid[0]
        return found

    # Calls

    def call(self, kind: str, opcode: str, pos: int, callee: Any, args: Any, kwargs: Any = None) -> Any:
        """Record that ``callee`` is applied to ``args``, as they lie on the stack; the value that results."""
        if type(callee) is Global and type(args) is tuple and kwargs is None and callee.rule is None:
            if not args and callee.known in rules.EMPTY:
                empty = (opcode, callee)
                if empty not in self.seen:
                    self.seen[empty] = self.record(kind, opcode, pos, callee, callee.dotted, ())
                return rules.EMPTY[callee.known]()
            self.changes.hand(rules.handed(self, callee, args))
            if implicit_calls.reaches(callee, args):
                self.hidden(opcode, pos, args)
            key = shape(self, opcode, callee, args)
            found = self.seen.get(key) if key is not None else None
            if found is not None and not found.holds:
                found.count += 1
                return found
            event = self.record(kind, opcode, pos, callee, callee.dotted, self.resolve(args, whole=False))
            if key is not None:
                self.seen[key] = event
            return event
        return self.apply(kind, opcode, pos, self.resolve(callee), self.resolve(args), self.resolve(kwargs))

    def apply(self, kind: str, opcode: str, pos: int, callee: Any, args: Any, kwargs: Any = None, via: str = "") -> Any:
        """Record a call of resolved values; the value that results, as the stack holds it."""
        if type(args) is not tuple:
            # The Python unpickler unpacks any iterable, the C one wants a tuple.
            args = tuple(args) if type(args) in (list, Set) else (args,)
        if type(callee) is Global:
            rule, name = callee.rule, callee.dotted
        elif type(callee) is Event:
            callee.called = True
            rule, name = rules.applied(callee), callee.name
            if rule is not None and self.changes.gave(callee):
                rule, callee = None, Unresolved("changed", pos)
        else:
            rule, name = None, type(callee).__name__.lower()
        if rule is None and type(callee) is Event and rules.makes_class(callee, kind):
            event = self.record(kind, opcode, pos, callee, f"{name}()", args, kwargs, via)
            event.known = callee.known
            if implicit_calls.evaluates(event):
                self.hidden(opcode, pos, args)
            return event
        if rule is None and type(callee) is not Global:
            if type(callee) is Event and callee.kind == "construct" and implicit_calls.holds(callee):
                callee = Unresolved("instance", pos)
            return self.record(kind, opcode, pos, callee, "unresolved", args, kwargs, via or f"result of {name}")
        event = self.record(kind, opcode, pos, callee, name, args, kwargs, via)
        if rule is None and type(callee) is Global and implicit_calls.reaches(callee, (*args, *event.kwargs)):
            self.hidden(opcode, pos, args)
        if rule is None or event.known in CHANGING:
            self.changes.hand(args)
        if rule is None:
            return event
        doubtful = rule not in rules.PASSING and self.changes.doubt((*args, *event.kwargs))
        value = rule(self, event)  # which may hand the same values on
        if doubtful:
            return self.record(kind, opcode, pos, Unresolved("item", pos), "unresolved", args, None, "changed items")
        if value is None:
            return event
        named = rule in rules.REACHING and type(value) in (Global, Event)
        event.reached = event.reached or named or type(value) in (str, bytes)
        if type(value) in CONTAINERS:
            self.changes.copy(value, value)
        elif event.known == "builtins.bytearray" and type(value) is bytes:
            if len(value) < 2:
                return event  # Python has one object for all equal bytes of that length
            value = bytes(memoryview(value))
            self.changes.flow(value)
        return value if type(value) in OPAQUE or (type(value) in CONTAINERS and not value) else Known(value)

    def hidden(self, opcode: str, pos: int, args: Any) -> Event:
        """Record that a method is called which the stream may have brought along."""
        args = self.resolve(tuple(args), whole=False)
        return self.record("call", opcode, pos, Unresolved("method", pos), "unresolved", args, None, "planted method")

    def record(
        self, kind: str, opcode: str, pos: int, callee: Any, name: str, args: Any, kwargs: Any = None, via: str = ""
    ) -> Event:
        """Keep one event of resolved values."""
        event = Event(
            kind=kind,
            opcode=opcode,
            offset=pos,
            callee=callee,
            name=name,
            args=args,
            kwargs=kwargs if type(kwargs) is Dict else Dict(() if kwargs is None else ("**", kwargs)),
            via=via,
            known=callee.known if type(callee) is Global else "",
        )
        self.events.append(event)
        self.bound()
        if not rules.opens(event.known):
            rules.peek(self, event)
        if implicit_calls.evaluates(event):
            self.hidden(opcode, pos, args)
        return event

    def bound(self) -> None:
        """Raise Exhausted where there are too many events, or the time is over."""
        if self.shared.clock.over:
            raise Late(TOO_LONG)
        if len(self.events) + len(self.persistent) > self.limits.max_events:
            raise Exhausted(f"more than {self.limits.max_events:,} distinct events")

    def settled(self, result: Any) -> tuple[Event, ...]:
        """The events of the whole stream, with what became of their results; ``result`` is what the load returns."""
        result_uses.settle(self.events, result)
        return tuple(self.events)

    # State

    def build(self, pos: int, target: Any, state: Any) -> int:
        """BUILD: ``__setstate__`` or attribute writes; the offset of the next opcode."""
        reader = self.reader(target) if self.inline and type(target) is Event else None
        self.feed("BUILD", pos, target, (state,))
        if reader is None:
            return pos + 1
        end = reader(values.attributes(self.resolve(state)), pos + 1)
        self.skips.append((pos + 1, end))
        return end

    def reader(self, target: Event) -> Inline | None:
        """Who reads behind the BUILD of ``target``, by the class it is of, whatever way that was named or made."""
        for made in (target.callee, *target.args[:1]):
            module, _, name = made.known.rpartition(".") if type(made) is Global else ("", "", "")
            found = self.inline.get((module, name))
            if found is not None:
                return found
        return None

    def feed(self, opcode: str, pos: int, target: Any, items: Any) -> None:
        """Record a write of ``items`` into what is no plain container."""
        if type(target) is int or type(target) is float or target is None:
            return
        self.changes.hand(items)
        owner = target = implicit_calls.shared(target)
        if type(target) is Event:
            owner = target.callee
            target.written = True
            if opcode in implicit_calls.FEEDING:
                if implicit_calls.holds_shared(target):
                    self.hidden(opcode, pos, items)
            elif implicit_calls.callable_in(items):
                target.holds = True
        key = shape(self, opcode, owner, items) if type(owner) is Global and type(target) is Event else None
        if key is not None:
            key = (*key, target.kind)
            if key in self.seen:
                self.seen[key].count += 1
                return
        via = "global" if type(target) is Global else ""
        kind = rules.TYPES.get(type(target))
        name = (
            target.dotted
            if type(target) is Global
            else f"builtins.{kind}"
            if kind
            else getattr(target, "name", "unresolved")
        )
        event = self.record("state", opcode, pos, target, name, self.resolve(tuple(items), whole=False), None, via)
        event.known = event.name if kind else getattr(target, "known", "")
        if key is not None:
            self.seen[key] = event
        rules.written(self, target, event)

    # Values

    def text(self, pos: int) -> Any:
        """The text or bytes literal at ``pos``; long ones, and the first of the others, are decoded once."""
        value = self.texts.get(pos)
        if value is None:
            value = opcodes.literal(self.data, pos, self.limits.max_literal_bytes)
            if len(value) > _WIDE or len(self.texts) < _REMEMBERED:
                self.texts[pos] = value
        return value

    def resolve(self, value: Any, deep: int = 0, *, whole: bool = True) -> Any:
        """``value`` with each literal as its Python value; raises Retrace where items were dropped.

        Unless ``whole``, of a container of many numbers only the first are kept.
        """
        kind = type(value)
        if kind is float:
            return opcodes.literal(self.data, int(value), self.limits.max_literal_bytes)
        if kind is int:
            text = self.text(value)
            if whole and self.data[value] == opcodes.BYTEARRAY:
                self.changes.flow(text)
            return text
        if kind is Known:
            return value.value
        if kind not in CONTAINERS:
            return value
        if deep > _DEEP or id(value) in self.open:
            if deep > _DEEP:
                self.note("limit.depth", 0, f"arguments are nested more than {_DEEP} deep")
            return Unresolved("nesting", 0)
        size = len(value)
        if size >= self.keep and kind is not tuple and self.keep < self.limits.max_stack:
            raise Retrace
        if not deep:
            self.nested_values.clear()
        key = (id(value), whole)
        known = self.flat.get(key) or self.nested_values.get(key)
        fresh = known is None or known[0] != size
        self.again += self.sizes.get(id(value), (0, value))[0] if fresh else size // _CHEAP
        if self.again > self.limits.max_arguments:
            raise Exhausted(f"calls are given more than {self.limits.max_arguments:,} values again")
        if known is not None and not fresh:
            return known[2]
        self.sizes[id(value)] = (size, value)
        items = value
        if not whole and size > _FEW and _PLAIN.issuperset(map(type, value)):
            items = value[:_FEW]
        self.open.add(id(value))
        resolve = self.resolve
        result = kind([resolve(item, deep + 1, whole=whole) for item in items])
        self.open.discard(id(value))
        if whole and kind is not tuple:
            self.changes.copy(value, result)
        # Containers only grow, so one of the same size is the same, unless it holds others that grow.
        cache = self.flat if size > _FEW and CONTAINERS.isdisjoint(map(type, items)) else self.nested_values
        cache[key] = (size, value, result)
        return result


_PLAIN = frozenset((float, type(None), bool))
