"""What a stream does to the world: imports, calls, constructions and state writes, recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from picklegate.limits import Limits
from picklegate.pickles import implicit_calls, opcodes, rules, values
from picklegate.pickles.budget import Exhausted, Shared
from picklegate.pickles.call_keys import Keys
from picklegate.pickles.mutation import CHANGING, Changes
from picklegate.pickles.names import acts, resolve
from picklegate.pickles.opcodes import Buffer
from picklegate.pickles.records import Fault, Import, Trace
from picklegate.pickles.resolver import Resolver
from picklegate.pickles.values import CONTAINERS, Dict, Event, Global, Known, Persistent, Set, Unresolved

Inline = Callable[[dict[str, Any], int], int]
"""(attributes of the object just built, offset) -> the offset at which opcodes go on."""

RESULT = 4
"""Containers that take the room of one result of a call."""
_KEYS = 1 << 16
"""Keys of calls that are kept; when there are more, counting begins again."""


class Recorder:
    """The record of one stream."""

    def __init__(
        self,
        data: Buffer,
        limits: Limits,
        inline: Mapping[tuple[str, str], Inline],
        depth: int,
        shared: Shared,
        trace: Callable[..., Trace],
    ) -> None:
        """Start an empty record; ``trace`` reads a nested stream."""
        self.data = data
        self.limits = limits
        self.inline = inline
        self.skips: list[tuple[int, int]] = []
        self.depth = depth
        self.shared = shared
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
        self.states: list[tuple[Event, Any]] | None = None
        """Each object and the state that BUILD gives it, as it lies on the stack; None where nobody asks."""
        self.computed = 0
        self.closed = False
        self.made = 0
        """Results of calls that the stack was given, each as so many values as it takes room."""
        self.changes = Changes()
        self.resolver = Resolver(data, limits, self.changes, self.note)
        self.text, self.resolve = self.resolver.text, self.resolver.resolve
        self.keys = Keys(self.text)

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
            found.known, doubt = resolve(module, name)
            if doubt:
                self.note("import.unresolved", pos, doubt)
            if acts(module):
                self.note("import.acts", pos, f"importing {module} runs it")
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
            self.shared.budget.event()
        elif self.states is not None:
            found = Persistent(pid, pos, self.resolve)
        if key[:1] == ("module",) and type(pid[1]) is Global:
            return pid[1]
        if type(pid) is tuple and pid and type(pid[0]) is Global:
            return pid[0]
        return found

    # Calls

    def call(self, kind: str, opcode: str, pos: int, callee: Any, args: Any, kwargs: Any = None) -> Any:
        """Record that ``callee`` is applied to ``args``, as they lie on the stack; the value that results."""
        if type(callee) is not Global or type(args) is not tuple or kwargs is not None or callee.rule is not None:
            return self.apply(kind, opcode, pos, self.resolve(callee), self.resolve(args), self.resolve(kwargs))
        if not args and callee.known in rules.EMPTY:
            empty = (opcode, callee)
            if empty in self.seen:
                self.seen[empty].count += 1
            else:
                self.seen[empty] = self.record(kind, opcode, pos, callee, callee.dotted, ())
            return rules.EMPTY[callee.known]()
        if not _PLAIN.issuperset(map(type, args)):
            self.changes.hand(rules.handed(self, callee, args))
            if implicit_calls.reaches(callee, args):
                self.hidden(opcode, pos, args)
        key = self.keys.of(opcode, callee, args)
        group = self.seen.get(key)
        if group is not None:
            self.made += RESULT
            event = Event.counted(group, pos, args, self.arguments)
            return event if not self.keys.grows else self.fixed(event)
        event = self.record(kind, opcode, pos, callee, callee.dotted, self.resolve(args, whole=False))
        self.count(key, event)
        return event

    def count(self, key: Any, event: Event) -> None:
        """Count later calls of that ``key`` as ``event``."""
        if key is not None:
            if len(self.seen) >= _KEYS:
                self.seen.clear()
            self.seen[key] = event

    def arguments(self, event: Event, raw: tuple[Any, ...]) -> tuple[Any, ...]:
        """The resolved arguments of a counted event; when the reading is over, those of the one it is counted as."""
        return event.group.args if self.closed else self.resolve(raw, whole=False)

    def fixed(self, event: Event) -> Event:
        """The event with its arguments as they are now: a container among them may grow."""
        event.args = event.args
        return event

    def own(self, event: Event) -> None:
        """Record a counted event by itself, as the stream uses what it results in."""
        if event.group is not event:
            event.group.count -= 1
            event.group, event.args = event, event.args
            self.events.append(event)
            self.shared.budget.event()

    def apply(self, kind: str, opcode: str, pos: int, callee: Any, args: Any, kwargs: Any = None, via: str = "") -> Any:
        """Record a call of resolved values; the value that results, as the stack holds it."""
        if type(args) is not tuple:
            # The Python unpickler unpacks any iterable, the C one wants a tuple.
            args = tuple(args) if type(args) in (list, Set) else (args,)
        if type(callee) is Global:
            rule, name = callee.rule, callee.dotted
        elif type(callee) is Event:
            self.own(callee)
            callee.called = True
            rule, name = rules.applied(callee), callee.name
            if rule is not None and self.changes.gave(callee):
                rule, callee = None, Unresolved("changed", pos)
        else:
            rule, name = None, type(callee).__name__.lower()
        if rule is None and type(callee) is Event and rules.makes_class(callee, kind):
            event = self.record(kind, opcode, pos, callee, f"{name}()", args, kwargs, via)
            event.known, event.made_class = callee.known, True
            if implicit_calls.evaluates(event):
                self.hidden(opcode, pos, args)
            return event
        if rule is None and type(callee) is not Global:
            if type(callee) is Event and callee.kind == "construct" and implicit_calls.holds(callee):
                callee = Unresolved("instance", pos)
            return self.record(kind, opcode, pos, callee, "", args, kwargs, via or f"result of {name}")
        event = self.record(kind, opcode, pos, callee, name, args, kwargs, via)
        if rule is None and type(callee) is Global and implicit_calls.reaches(callee, (*args, *event.kwargs)):
            self.hidden(opcode, pos, args)
        if (rule is None and not rules.keeps(event.known)) or event.known in CHANGING:
            self.changes.hand(args)
        if rule is None:
            return event
        doubtful = rule not in rules.PASSING and self.changes.doubt((*args, *event.kwargs))
        value = rule(self, event)  # which may hand the same values on
        if doubtful:
            return self.record(kind, opcode, pos, Unresolved("item", pos), "", args, None, "changed items")
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
        return value if type(value) in _OPAQUE or (type(value) in CONTAINERS and not value) else Known(value)

    def hidden(self, opcode: str, pos: int, args: Any) -> Event:
        """Record that a method is called which the stream may have brought along."""
        args = self.resolve(tuple(args), whole=False)
        return self.record("call", opcode, pos, Unresolved("method", pos), "", args, None, "planted method")

    def record(
        self, kind: str, opcode: str, pos: int, callee: Any, name: str, args: Any, kwargs: Any = None, via: str = ""
    ) -> Event:
        """Keep one event of resolved values."""
        keywords = kwargs if type(kwargs) is Dict else Dict(() if kwargs is None else ("**", kwargs))
        known = callee.known if type(callee) is Global else ""
        event = Event(kind, opcode, pos, callee, name, args, keywords, via, known)
        self.made += RESULT
        self.events.append(event)
        self.shared.budget.event()
        if not rules.opens(event.known):
            rules.peek(self, event)
        if implicit_calls.evaluates(event):
            self.hidden(opcode, pos, args)
        return event

    def close(self) -> None:
        """Let go of what only the reading needs."""
        self.closed = True
        self.data = b""
        self.resolver.close()
        self.changes.close()
        for kept in (self.seen, self.pids, self.globals):
            kept.clear()

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
        for made in (target.callee, *target.group.args[:1]):
            module, _, name = made.known.rpartition(".") if type(made) is Global else ("", "", "")
            found = self.inline.get((module, name))
            if found is not None:
                return found
        return None

    def feed(self, opcode: str, pos: int, target: Any, items: Any) -> None:
        """Record a write of ``items`` into what is no plain container."""
        if type(target) is int or type(target) is float or target is None:
            return
        if self.states is not None and opcode == "BUILD" and type(target) is Event:
            self.states.append((target, items[0]))
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
            if opcode == "BUILD" and implicit_calls.unpacks(items[0]):
                self.hidden(opcode, pos, items)
        if type(owner) is Global and type(target) is Event and not rules.rewrites(target):
            key = self.keys.of(opcode, owner, items)
        else:
            key = None
        if key is not None:
            key = (*key, target.kind)
            if key in self.seen:
                self.seen[key].count += 1
                return
        via = "global" if type(target) is Global else ""
        kind = rules.TYPES.get(type(target))
        name = f"builtins.{kind}" if kind else target.dotted if type(target) is Global else _name(target)
        whole = type(target) is Global or rules.rewrites(target)
        event = self.record("state", opcode, pos, target, name, self.resolve(tuple(items), whole=whole), None, via)
        event.known = event.name if kind else getattr(target, "known", "")
        self.count(key, event)
        rules.written(self, target, event)


_PLAIN = frozenset((float, type(None), bool))
_OPAQUE = frozenset((Global, Event, Persistent, Unresolved, str, opcodes.Cut, bytes, bool))
"""The types of abstract values that are kept as they are."""


def _name(target: Any) -> str:
    """The name of the event that made what is written to; empty where nothing known made it."""
    return "" if type(target) is not Event or target.unresolved else target.name
