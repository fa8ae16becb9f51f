"""Records of many modules -> what each function does, by going through its calls until nothing changes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from picklegate.capabilities.arguments import argument_of, mask_of, named_argument, narrowed, place_bit
from picklegate.capabilities.primitives import ANY, RECEIVER, Primitive, applies, primitives_of
from picklegate.capabilities.records import Call, Function, Value
from picklegate.capabilities.resolving import Resolver, Target

UNFOLLOWED = "unfollowed"
ROUNDS = 5
"""Calls on the longest chain that is followed."""
REGISTRY = "registry"
_ON_OBJECTS = frozenset(("builtins.setattr", "builtins.delattr"))
"""Primitives that matter only where the very object that is handed in is written to."""
_SHARED = (
    "os.environ", "sys.modules", "sys.path", "sys.meta_path", "sys.path_hooks", "sys.excepthook", "sys.stdout",
    "builtins.",
)  # fmt: skip


class Reason(NamedTuple):
    """How an effect comes about: the primitive at the end, the number of calls until there, the line of the first."""

    chain: int
    sink: str
    line: int


Effects = dict[tuple[str, str], Reason]
"""(effect, place) -> reason; the place is empty where no place decides it."""


@dataclass(frozen=True, slots=True)
class Key:
    """A function, as a method of one class where it is one."""

    module: str
    name: str
    owner: str = ""


Step = tuple[Target, tuple[tuple[Key, int], ...]]
"""What a call leads to, and the functions that it runs there."""


@dataclass(slots=True)
class Node:
    """A function that is linked: its effects so far, and which others go by them."""

    key: Key
    function: Function
    depth: int = 1
    effects: Effects = field(default_factory=dict)
    steps: tuple[tuple[Call, tuple[Step, ...], frozenset[Key]], ...] = ()
    users: dict[Key, None] = field(default_factory=dict)


class Linker:
    """Links the functions that it is asked for, and those that they call.

    ``most`` bounds how many functions are taken in, and ``deep`` the calls down to one; calls beyond count as not
    followed. ``brief`` leaves out reads, and writes into a package's own tables.
    """

    def __init__(self, resolver: Resolver, *, most: int = 1 << 60, deep: int = 1 << 60, brief: bool = False) -> None:
        """Nothing is linked yet."""
        self.resolver = resolver
        self.most = most
        self.deep = deep
        self.brief = brief
        self.nodes: dict[Key, Node] = {}
        self._new: deque[Key] = deque()

    def effects(self, keys: Iterable[Key]) -> dict[Key, Effects]:
        """The effects of some functions."""
        wanted = list(keys)
        for key in wanted:
            self.node(key)
        self.link()
        return {key: self.nodes[key].effects for key in wanted if key in self.nodes}

    def node(self, key: Key, depth: int = 1) -> Node | None:
        """The node of a function, which is taken in; None if there is no such function, or no room for it."""
        node = self.nodes.get(key)
        if node is None and len(self.nodes) < self.most and depth <= self.deep:
            function = self.resolver.function_of(key.module, key.name)
            if function is None:
                return None
            node = self.nodes[key] = Node(key, function, depth)
            self._new.append(key)
        return node

    def link(self) -> None:
        """Take in everything that is called, then pass effects on from callee to caller."""
        fresh: list[Node] = []
        while self._new:
            node = self.nodes[self._new.popleft()]
            fresh.append(node)
            definer = f"{node.key.module}:{node.key.name.rpartition('.')[0]}"
            node.steps = tuple(self._linked(node, call, definer) for call in node.function.calls)
        pending: dict[Key, None] = {node.key: None for node in fresh}
        changed: set[Key] | None = None
        for _ in range(ROUNDS):
            changed = {key for key in pending if self._update(self.nodes[key], changed)}
            pending = {user: None for key in changed for user in self.nodes[key].users}
            if not pending:
                break

    def _linked(self, node: Node, call: Call, definer: str) -> tuple[Call, tuple[Step, ...], frozenset[Key]]:
        """A call, what it leads to, and every function that its effects depend on; each of them learns of its user."""
        steps = self._steps(call, node.key.owner, definer)
        keys = [key for _, callees in steps for key, _ in callees]
        for value in (*call.args, *(value for _, value in call.keywords)):
            for ref in value.refs:
                if not ref.endswith("()"):
                    for target in self.resolver.resolve(ref, node.key.owner, definer):
                        keys += [key for key, _ in self.called(target)]
        for key in keys:
            callee = self.node(key, node.depth + 1)
            if callee is not None:
                callee.users[node.key] = None
        return call, steps, frozenset(keys)

    def _steps(self, call: Call, owner: str, definer: str) -> tuple[Step, ...]:
        return tuple((target, self.called(target)) for target in self._targets(call, owner, definer))

    def _targets(self, call: Call, owner: str, definer: str) -> tuple[Target, ...]:
        found: dict[Target, None] = {}
        for ref in call.callee.refs:
            if ref.startswith(("!set:", "!item:")):
                sort, _, rest = ref.partition(":")
                found[Target(sort, "", rest)] = None
            else:
                found.update(dict.fromkeys(self.resolver.resolve(ref, owner, definer)))
        if any(target.kind != "unknown" for target in found):
            return tuple(target for target in found if target.kind != "unknown")
        return tuple(found)

    def called(self, target: Target) -> tuple[tuple[Key, int], ...]:
        """The functions that calling a target runs, each with how many arguments it gets before those of the call."""
        if target.kind == "function":
            shift = 1 if target.bound else 0
            other = self.resolver.function_of(target.module, f"{target.name}'")
            names = (target.name,) if other is None else (target.name, other.name)
            return tuple((Key(target.module, name, target.owner), shift) for name in names)
        if target.kind == "class":
            return tuple((key, 1) for key in self.constructing(target.module, target.name))
        if target.kind == "instance":
            method = self.resolver.method(target.module, target.name, "__call__")
            return ((Key(*method, f"{target.module}:{target.name}"), 1),) if method else ()
        return ()

    def constructing(self, module: str, name: str) -> tuple[Key, ...]:
        """The methods that calling a class runs."""
        owner = f"{module}:{name}"
        found = [self.resolver.method(module, name, method) for method in ("__new__", "__init__", "__post_init__")]
        if found[2] is not None and found[1] is not None:
            found.pop()
        keys = [Key(*place, owner) for place in found if place]
        record = self.resolver.class_of(module, name)
        if record is not None and record.metaclass and "Enum" not in record.metaclass:
            for target in self.resolver.resolve(record.metaclass):
                if target.kind == "class":
                    method = self.resolver.method(target.module, target.name, "__call__")
                    if method is not None and "Enum" not in method[1]:
                        keys.append(Key(*method, f"{target.module}:{target.name}"))
        return tuple(keys)

    def _update(self, node: Node, changed: set[Key] | None) -> bool:
        """Take in what a function calls, or only those callees that changed; tell whether that changes it."""
        before = dict(node.effects)
        if changed is None:
            for attribute, value in node.function.sets:
                self._add(node, f"={attribute}", value.mask, Reason(0, "", node.function.line))
                self._add(node, f"~{attribute}", value.bare, Reason(0, "", node.function.line))
        for call, steps, keys in node.steps:
            if changed is None or not changed.isdisjoint(keys):
                self._call(node, call, steps)
        return node.effects != before

    def _add(self, node: Node, effect: str, mask: int, reason: Reason) -> None:
        """Note an effect for each place of a mask; shorter chains come first."""
        if not mask:
            if effect[0] not in "=~":
                self._note(node, effect, "", reason)
            return
        places = node.function.places
        while mask:
            low = mask & -mask
            mask ^= low
            at = low.bit_length() - 1
            if at < len(places):
                self._note(node, effect, places[at], reason)

    @staticmethod
    def _note(node: Node, effect: str, place: str, reason: Reason) -> None:
        known = node.effects.get((effect, place))
        if known is None or (reason.chain, reason.sink) < (known.chain, known.sink):
            node.effects[effect, place] = reason

    def _call(self, node: Node, call: Call, steps: tuple[Step, ...]) -> None:
        given = call.rest
        for value in (*call.args, *(value for _, value in call.keywords)):
            given |= value.mask
        followed = False
        for target, callees in steps:
            if target.kind == "primitive":
                followed = True
                for primitive in primitives_of(target.dotted):
                    self._primitive(node, call, primitive, shift=self._shift(target, call))
            elif target.kind.startswith("!"):
                followed = True
                self._shared(node, call, target, given)
            else:
                for key, shift in callees:
                    followed = self._function(node, call, key, shift, target) or followed
                if target.kind == "class":
                    followed = self._native_base(node, call, target) or followed or bool(callees)
                    followed = followed or not self.resolver.lineage(target.module, target.name).opened
                elif target.kind == "native" and target.module == "builtins":
                    followed = True
        if call.method and not followed:
            for primitive in primitives_of(f"?.{call.method}"):
                followed = True
                self._primitive(node, call, primitive, shift=0)
        if followed:
            return
        if call.callee.bare:
            # A parameter, what a parameter holds, or an attribute of the object itself is called.
            self._add(node, "call", call.callee.bare, Reason(1, "", call.line))
        if given or call.callee.mask:
            self._note(node, UNFOLLOWED, "", Reason(1, "", call.line))

    @staticmethod
    def _shift(target: Target, call: Call) -> int:
        """How many arguments stand before those of the table: the object, for a method that is called on its class."""
        owner = target.name.rpartition(".")[0].rpartition(".")[2]
        return 1 if owner[:1].isupper() and not target.bound and call.args else 0

    def _native_base(self, node: Node, call: Call, target: Target) -> bool:
        """A class without constructing methods of its own does what its base does, where that is a primitive."""
        if self.constructing(target.module, target.name):
            return False
        for name in self.resolver.lineage(target.module, target.name).native:
            for primitive in primitives_of(name):
                self._primitive(node, call, primitive, shift=0)
        return False

    def _primitive(self, node: Node, call: Call, primitive: Primitive, *, shift: int) -> None:
        """A call of a primitive: the places of its deciding arguments decide the effect."""
        if not applies(primitive, call) or (self.brief and primitive.effect == "read"):
            return
        mask, values = call.rest, []
        for position, name in primitive.decided:
            if position == ANY:
                values += [*call.args, *(value for _, value in call.keywords)]
            elif position == RECEIVER:
                mask |= call.callee.mask
                values += call.args[:shift]
            else:
                if 0 <= position + shift < len(call.args) and position >= 0:
                    values.append(call.args[position + shift])
                values += [value for word, value in call.keywords if word == name]
        for value in values:
            mask |= value.bare if primitive.effect == "call" or primitive.name in _ON_OBJECTS else value.mask
        effect, reason = primitive.effect, Reason(1, primitive.name, call.line)
        if effect == "call":
            for value in values:
                self._handed(node, call, value, primitive.name)
            if mask:
                self._add(node, effect, mask, reason)
        elif mask or effect not in {"import", "read"}:
            self._add(node, effect, mask, reason)

    def _handed(self, node: Node, call: Call, value: Value, name: str) -> None:
        """A function that is handed on is called, with any of the other arguments."""
        if not value.refs:
            return
        others = call.rest
        for other in (*call.args, *(other for _, other in call.keywords)):
            if other is not value:
                others |= other.mask
        definer = f"{node.key.module}:{node.key.name.rpartition('.')[0]}"
        refs = tuple(ref for ref in value.refs if not ref.endswith("()"))
        made = Call(Value(0, refs), "", (), (), others, call.line)
        for ref in refs:
            for target in self.resolver.resolve(ref, node.key.owner, definer):
                if target.kind == "primitive":
                    for primitive in primitives_of(target.dotted):
                        if primitive.effect != "call" and name != target.dotted:
                            self._primitive(node, made, primitive, shift=0)
                else:
                    for key, shift in self.called(target):
                        self._function(node, made, key, shift, target)

    def _shared(self, node: Node, call: Call, target: Target, given: int) -> None:
        """Something is written into what others use: the process's own, or the tables of a package."""
        module, _, path = target.name.partition(":")
        dotted = f"{module}.{path}" if path else module
        own = module.partition(".")[0] == node.key.module.partition(".")[0] or dotted.startswith("builtins.globals")
        if dotted.startswith(_SHARED) and not own:
            self._add(node, "change", given, Reason(1, dotted, call.line))
        elif given and own:
            if not self.brief:
                self._add(node, "change", given, Reason(1, REGISTRY, call.line))
        elif given:
            self._add(node, "change", given, Reason(1, dotted, call.line))

    def _function(self, node: Node, call: Call, key: Key, shift: int, target: Target) -> bool:
        """A call of a function that is linked: its effects are the caller's, for the places that decide them."""
        callee = self.nodes.get(key)
        if callee is None:
            return False
        function = callee.function
        explicit_self = (
            shift == 0
            and function.binding == "method"
            and call.args
            and "@self" in call.args[0].refs
            and node.key.owner
        )
        same = bool(explicit_self) or (
            shift == 1 and any(ref.startswith(("@self.", "@super.")) for ref in call.callee.refs)
        )
        given = call.rest or call.callee.mask or any(value.mask for value in call.args)
        given = given or any(value.mask for _, value in call.keywords)
        fields = self.fields(function, target)
        for (effect, place), reason in tuple(callee.effects.items()):
            if effect[0] in "=~":
                if same:
                    mask = self._mask(node, call, function, place, shift, same=same, bare=effect[0] == "~")
                    if mask:
                        self._add(node, effect, mask, Reason(0, "", call.line))
                continue
            if reason[0] >= ROUNDS:
                continue
            if effect == UNFOLLOWED:
                if given:
                    self._note(node, UNFOLLOWED, "", Reason(reason[0] + 1, "", call.line))
                continue
            longer = Reason(reason[0] + 1, reason[1], call.line)
            if not place:
                self._add(node, effect, 0, longer)
                continue
            bare = effect == "call" or reason[1] in _ON_OBJECTS
            if fields and place.startswith(".") and place[1:] in fields:
                mask = mask_of(named_argument(call, fields.index(place[1:]), place[1:]), bare=bare) | call.rest
            elif place.startswith(".") and target.kind == "class":
                mask = self._constructed(node, call, callee, place, shift, bare=bare)
            else:
                mask = self._mask(node, call, function, place, shift, same=same, bare=bare)
            if effect == "call" and not place.startswith("."):
                self._handed(node, call, argument_of(call, function, place, shift), reason.sink)
            if mask or effect not in {"call", "import", "read"}:
                self._add(node, effect, mask, longer)
        return True

    def fields(self, function: Function, target: Target) -> tuple[str, ...]:
        """The fields of a dataclass, as its generated constructor takes them, for its ``__post_init__``."""
        if not function.name.endswith("__post_init__") or target.kind != "class":
            return ()
        found: dict[str, None] = {}
        for at in reversed(self.resolver.lineage(target.module, target.name).classes):
            record = self.resolver.class_of(*at)
            found.update(dict.fromkeys(record.fields if record else ()))
        return tuple(found)

    def _constructed(self, node: Node, call: Call, callee: Node, place: str, shift: int, *, bare: bool) -> int:
        """The places of what a constructor puts into the attribute that decides."""
        mask = 0
        kind = "~" if bare else "="
        for effect, source in list(callee.effects):
            if effect in {f"{kind}{place[1:]}", f"{kind}*"} and not source.startswith("."):
                mask |= self._mask(node, call, callee.function, source, shift, same=False, bare=bare)
        return mask

    def _mask(
        self, node: Node, call: Call, function: Function, place: str, shift: int, *, same: bool, bare: bool
    ) -> int:
        """The caller's places for a place of the callee."""
        if place.startswith("."):
            if not same and bare:
                return 0
            if not same:
                return call.callee.mask | (call.args[0].mask if call.args and not shift else 0)
            return place_bit(node.function, place)
        value = argument_of(call, function, place, shift)
        mask = mask_of(value, bare=bare) | call.rest
        if place.endswith("]") and mask:
            return narrowed(node.function, mask, place.partition("[")[2][:-1])
        return mask
