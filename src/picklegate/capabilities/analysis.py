"""Source text -> what each callable of it can do.

``modules.read_module`` makes a record of each module; ``Analysis`` links records and says for a definition which of its
parameters decide which effects, for each way in which unpickling may call it. Nothing is imported and nothing is run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from picklegate.capabilities.effects import KINDS, METHODS, NEAR, Effect, Parameter, Summary
from picklegate.capabilities.linking import UNFOLLOWED, Effects, Key, Linker, Node, Reason
from picklegate.capabilities.primitives import primitive_summary
from picklegate.capabilities.records import Function
from picklegate.capabilities.resolving import Resolver, Target, World

_PLAIN_DECORATORS = (
    "staticmethod", "classmethod", "property", "wraps", "lru_cache", "cache", "contextmanager", "abstractmethod",
    "overload", "deprecated", "no_grad", "singledispatch", "total_ordering", "dataclass", "final", "override", "setter",
    "set_module", "array_function_dispatch", "doc", "ignore", "unused", "jit", "njit", "experimental", "guvectorize",
    "vectorize", "compat",
)  # fmt: skip
"""Words in the names of decorators that leave a function's parameters as they are."""
_COMMANDS = (".command", ".group", "command()", "group()", ".result_callback")


class Analysis:
    """What the callables of one world of modules can do.

    ``most`` bounds the functions that are linked, ``deep`` the calls.
    """

    def __init__(self, world: World, *, most: int = 1 << 60, deep: int = 1 << 60, brief: bool = False) -> None:
        """Nothing is read before it is asked for."""
        self.resolver = Resolver(world)
        self.linker = Linker(self.resolver, most=most, deep=deep, brief=brief)

    def find(self, module: str, path: str) -> tuple[Target, ...]:
        """The definitions that a module and a dotted path lead to."""
        return self.resolver.resolve(f"{module}:{path}")

    def prepare(self, target: Target) -> None:
        """Take a definition in, so that one linking serves many."""
        for _, key in self._entries(target):
            self.linker.node(key)

    def summary(self, target: Target) -> Summary | None:
        """What a definition can do; None for what is neither function nor class nor instance nor primitive."""
        if target.kind == "function":
            return self._function(target)
        if target.kind == "class":
            return self._class(target)
        if target.kind == "instance":
            method = self.resolver.method(target.module, target.name, "__call__")
            made = self._function(Target("function", *method, target.owner, bound=True)) if method else None
            return Summary(kind="instance", effects=made.effects if made else (), opened=made is None)
        if target.kind == "primitive":
            return primitive_summary(target.dotted)
        return None

    def _entries(self, target: Target) -> Iterator[tuple[str, Key]]:
        """The functions behind each way of calling a target."""
        if target.kind == "function":
            owner = target.owner or (f"{target.module}:{target.name.rpartition('.')[0]}" if "." in target.name else "")
            name = target.name
            while self.resolver.function_of(target.module, name) is not None:
                yield "call", Key(target.module, name, owner)
                name += "'"
        elif target.kind == "class":
            owner = f"{target.module}:{target.name}"
            for way, methods in METHODS.items():
                for method in methods:
                    place = self.resolver.method(target.module, target.name, method)
                    if place is not None:
                        yield way, Key(*place, owner)
            metaclass = [key for key in self.linker.constructing(target.module, target.name) if key.owner != owner]
            for key in metaclass:
                yield "init", key
            for at in self.resolver.lineage(target.module, target.name).classes:
                record = self.resolver.class_of(*at)
                for name in record.setters if record else ():
                    yield f"set {name}", Key(at[0], f"{at[1]}.{name}.setter", owner)

    def _nodes(self, target: Target) -> Iterator[tuple[str, Node]]:
        entries = list(self._entries(target))
        for _, key in entries:
            self.linker.node(key)
        self.linker.link()
        for way, key in entries:
            node = self.linker.nodes.get(key)
            if node is not None:
                yield way, node

    def _function(self, target: Target) -> Summary:
        nodes = [node for _, node in self._nodes(target)]
        if not nodes:
            return Summary(kind="function", opened=True)
        node = nodes[0]
        function = node.function
        binding = {"class": "class", "static": "static", "method": "unbound"}.get(function.binding, "")
        if target.bound and function.binding == "method":
            binding = ""
        odd = [ref for ref in function.decorators if not any(word in ref for word in _PLAIN_DECORATORS)]
        commands = any(ref.endswith(_COMMANDS) or ".command()" in ref or ".group()" in ref for ref in odd)
        shift = 1 if target.bound or function.binding == "class" else 0
        way = "later" if function.lazy and not odd else "call"
        effects = tuple(
            dict.fromkeys(
                effect
                for one in nodes
                for effect in _grouped(one, one.effects, way, shift, self._location(one), everything=commands)
            )
        )
        kind = "instance" if commands else "function"
        return Summary(
            kind=kind, effects=effects, line=function.line, binding=binding, opened=bool(odd or function.marks)
        )

    def _location(self, node: Node) -> str:
        module = self.resolver.world.module(node.key.module)
        return module.location if module else ""

    def _class(self, target: Target) -> Summary:
        record = self.resolver.class_of(target.module, target.name)
        lineage = self.resolver.lineage(target.module, target.name)
        found: list[Effect] = []
        for way, node in self._nodes(target):
            if way.startswith("set "):
                found += self._setter(way[4:], node)
            else:
                effects = self._settled(node, way, target)
                found += _grouped(node, effects, way, 1, self._location(node))
        ways = {way for way, _ in self._entries(target)}
        for name in lineage.native:
            if not ways & {"new", "init"}:
                found += [replace(item, way="init", chain=1) for item in primitive_summary(name).effects]
        return Summary(
            kind="class", effects=tuple(dict.fromkeys(found)), line=record.line if record else 0, opened=lineage.opened
        )

    def _setter(self, name: str, node: Node) -> Iterator[Effect]:
        """What setting a property does: decided by what the state holds under its name."""
        effects = {}
        for (effect, place), reason in node.effects.items():
            if place.partition("[")[0] == "1":
                effects[effect, f"1[{name}]"] = reason
        yield from _grouped(node, effects, "state", 1, self._location(node))

    def _settled(self, node: Node, way: str, target: Target) -> Effects:
        """The effects with attributes of the object put down to the arguments that they are made of."""
        sources: dict[str, list[str]] = {}
        for effect, place in node.effects:
            if effect[0] in "=~":
                sources.setdefault(effect, []).append(place)
        fields = self.linker.fields(node.function, target)
        found: Effects = {}
        for (effect, place), reason in node.effects.items():
            if effect[0] in "=~":
                continue
            kind = "~" if effect == "call" else "="
            for settled in self._places(place, sources, fields, way, kind):
                known = found.get((effect, settled))
                if known is None or reason.chain < known.chain:
                    found[effect, settled] = reason
        return found

    @staticmethod
    def _places(place: str, sources: dict[str, list[str]], fields: tuple[str, ...], way: str, kind: str) -> list[str]:
        if not place.startswith("."):
            return [place]
        if way == "later":
            return [f"0[{place[1:]}]"]
        name = place[1:]
        if name in fields:
            return [f"@{fields.index(name)}={name}"]
        found: dict[str, None] = {}
        pending, seen = [name], set()
        while pending:
            name = pending.pop()
            if name in seen:
                continue
            seen.add(name)
            for source in sources.get(kind + name, ()):
                if source.startswith("."):
                    pending.append(source[1:])
                else:
                    found[source] = None
            for source in sources.get(kind + "*", ()):
                if source.isdigit():
                    found[f"{source}[{name}]"] = None
        return list(found) or [""]


def _grouped(
    node: Node, effects: Effects, way: str, shift: int, location: str, *, everything: bool = False
) -> Iterator[Effect]:
    """Effects of one kind together: decided by near chains, by far ones, fixed."""
    for kind in KINDS:
        near: dict[Parameter, Reason] = {}
        far: dict[Parameter, Reason] = {}
        fixed: Reason | None = None
        for (effect, place), reason in effects.items():
            if effect != kind:
                continue
            parameter = _parameter(node.function, place, shift, way) if place else None
            if parameter is None:
                if fixed is None or reason.chain < fixed.chain:
                    fixed = reason
            elif reason.chain <= NEAR and reason.sink != "registry":
                near[parameter] = reason
            else:
                far[parameter] = reason
        if everything and (near or far or fixed):
            near = {
                Parameter(position=0, rest=True): min(
                    [*near.values(), *far.values(), *([fixed] if fixed else [])], key=_chain
                )
            }
        for group in (near, {} if near else far):
            if group:
                reason = min(group.values(), key=_chain)
                yield Effect(
                    kind=kind,
                    way=way,
                    parameters=tuple(sorted(group, key=lambda item: (item.position, item.key))),
                    sink=reason.sink,
                    chain=reason.chain,
                    location=f"{location}:{reason.line}",
                )
        if fixed is not None and kind == UNFOLLOWED:
            yield Effect(kind=kind, way=way, parameters=(Parameter(position=0, rest=True),), chain=fixed.chain)
        elif fixed is not None and kind != "call" and not near:
            yield Effect(kind=kind, way=way, sink=fixed.sink, chain=fixed.chain, location=f"{location}:{fixed.line}")


def _chain(reason: Reason) -> tuple[int, str]:
    return reason.chain, reason.sink


def _parameter(function: Function, place: str, shift: int, way: str) -> Parameter | None:
    """The parameter behind a place; None where no argument of the pickle becomes it."""
    if place.startswith("@"):
        at, _, field = place[1:].partition("=")
        return Parameter(position=int(at), name=field)
    if place.startswith("."):
        return Parameter(position=0, name="self", key=place[1:]) if not shift else None
    head, _, key = place.partition("[")
    position = int(head)
    if position >= len(function.parameters):
        return None
    name = function.parameters[position]
    key = key[:-1]
    if way in {"state", "later"} and shift:
        return Parameter(position=0, name="state", key=key)
    plain = len([item for item in function.parameters if not item.startswith("*")]) - function.keyword_only
    if name.startswith("**"):
        return Parameter(position=-1, name="**", key=key)
    if name.startswith("*"):
        return Parameter(position=max(plain - shift, 0), name=name[1:], rest=True)
    if position >= plain:
        return Parameter(position=-1, name=name, key=key)
    return Parameter(position=position - shift, name=name, key=key) if position >= shift else None
