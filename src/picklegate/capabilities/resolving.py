"""References -> what they lead to: through imports, star imports, base classes, attributes and results."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from picklegate.capabilities.flow import BUILTINS
from picklegate.capabilities.primitives import primitives_of, twin
from picklegate.capabilities.records import Class, Function, Module

CALL, ITEM = "()", "[]"
_SELF, _CLASS = "__self__", "__class__"
_DEEP = 24
"""References that one is followed through."""
_WIDE = 8
"""Targets that are kept of one reference."""
_TOKENS = re.compile(r"\(\)|\[\]|[^.()\[\]]+")


class World(Protocol):
    """Where modules come from."""

    def module(self, name: str) -> Module | None:
        """The record of a module; None where there is no source of it."""

    def is_native(self, name: str) -> bool:
        """Whether there is such a module, of native code."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a reference leads to.

    ``kind``: ``function``, ``class``, ``instance`` (``name`` is its class), ``module``, ``native``, ``primitive``,
    ``unknown``. ``owner`` is the class on which a method was found, as ``module:Class``; ``bound`` says whether the
    object comes with it.
    """

    kind: str
    module: str
    name: str
    owner: str = ""
    bound: bool = False

    @property
    def dotted(self) -> str:
        """``module.name``."""
        return f"{self.module}.{self.name}" if self.name else self.module


@dataclass(frozen=True, slots=True)
class Lineage:
    """A class and its bases in the order in which methods are looked up.

    ``native`` are the names of bases without source.

    ``opened`` says that some base could not be found.
    """

    classes: tuple[tuple[str, str], ...]
    native: tuple[str, ...]
    opened: bool


class Resolver:
    """Follows references in one world; what it has found it keeps."""

    def __init__(self, world: World) -> None:
        """Follow references in this world."""
        self.world = world
        self._known: dict[tuple[str, str, str], tuple[Target, ...]] = {}
        self._lineages: dict[tuple[str, str], Lineage] = {}
        self._active: set[tuple[str, str, str]] = set()

    def resolve(self, ref: str, owner: str = "", definer: str = "") -> tuple[Target, ...]:
        """What a reference leads to; within a method, for an object of the class ``owner``."""
        key = (ref, owner, definer) if ref.startswith("@") else (ref, "", "")
        found = self._known.get(key)
        if found is None:
            if key in self._active or len(self._active) > _DEEP:
                return ()
            self._active.add(key)
            try:
                found = tuple(dict.fromkeys(self._follow(ref, owner, definer)))[:_WIDE]
            finally:
                self._active.discard(key)
            if not self._active or found:
                self._known[key] = found
        return found

    def _follow(self, ref: str, owner: str, definer: str) -> Iterator[Target]:
        if ref.startswith("@"):
            head, *tokens = _TOKENS.findall(ref)
            if not owner or head not in {"@self", "@super"}:
                yield Target("unknown", "", ref)
                return
            module, _, name = owner.partition(":")
            start = Target("instance", module, name, owner)
            if head == "@super":
                yield from self._through(self._above(start, definer, tokens[0] if tokens else ""), tokens[1:])
                return
            yield from self._through((start,), tokens)
            return
        module, _, path = ref.partition(":")
        yield from self._through((Target("module", module, ""),), _TOKENS.findall(path))

    def _through(self, targets: tuple[Target, ...], tokens: list[str]) -> Iterator[Target]:
        """Take one step after another from each target."""
        for at, token in enumerate(tokens):
            reached: list[Target] = []
            for target in targets:
                if target.kind == "module":
                    if tokens[at + 1 : at + 2] == [ITEM]:
                        items = self._items(target.module, token)
                        if items:
                            reached.extend(self._through(items, tokens[at + 2 :]))
                            continue
                    long = self._primitive(target.module, tokens[at:])
                    if long is not None:
                        primitive, used = long
                        reached.extend(self._through((primitive,), tokens[at + used :]))
                        continue
                reached.extend(self._through(tuple(self._step(target, token)), tokens[at + 1 :]))
            yield from reached
            return
        yield from targets

    def _items(self, module: str, name: str) -> tuple[Target, ...]:
        """What a table of a module holds."""
        record = self.world.module(module)
        refs = record.names.get(f"{name}[]", ()) if record else ()
        return tuple(target for ref in refs for target in self.resolve(ref))

    @staticmethod
    def _primitive(module: str, tokens: list[str]) -> tuple[Target, int] | None:
        """The primitive whose name the first of these tokens complete."""
        name = twin(module)
        path = ""
        for at, token in enumerate(tokens[:4]):
            if token in {CALL, ITEM}:
                return None
            path = f"{path}.{token}" if path else token
            if primitives_of(f"{name}.{path}"):
                return Target("primitive", name, path), at + 1
        return None

    def _step(self, target: Target, token: str) -> Iterator[Target]:
        kind = target.kind
        if token == _SELF and kind in {"native", "primitive", "function"} and not target.owner:
            # The object of a function in C is its module.
            yield Target("module", target.module, "")
        elif token in {"__func__", "__wrapped__"}:
            yield target
        elif kind == "module":
            yield from self.member(target.module, token)
        elif kind == "class":
            yield from self._class_step(target, token)
        elif kind == "instance":
            yield from self._instance_step(target, token)
        elif kind == "function":
            yield from self._function_step(target, token)
        elif kind == "primitive":
            name = target.name.removesuffix("()")
            if token == CALL:
                yield Target("primitive-result", target.module, target.name)
            elif primitives_of(f"{target.module}.{name}.{token}"):
                yield Target("primitive", target.module, f"{name}.{token}")
            elif token in {"__init__", "__new__", "__call__"}:
                yield target
            else:
                yield Target("unknown", target.module, f"{target.name}.{token}")
        elif kind == "primitive-result":
            if primitives_of(f"{target.module}.{target.name}.{token}"):
                yield Target("primitive", target.module, f"{target.name}.{token}", "", bound=True)
            else:
                yield Target("unknown", target.module, f"{target.name}().{token}")
        elif kind == "native":
            yield Target("native" if token not in {CALL, ITEM} else "unknown", target.module, f"{target.name}.{token}")
        else:
            yield Target("unknown", target.module, f"{target.name}.{token}")

    def member(self, module: str, name: str) -> Iterator[Target]:
        """What a module has under a name."""
        if primitives_of(f"{twin(module)}.{name}"):
            yield Target("primitive", twin(module), name)
            return
        if name == "NotImplemented":
            return
        record = self.world.module(module)
        if record is None:
            if self.world.is_native(module) or module == "builtins":
                yield Target("native", module, name)
            elif twin(module) != module:
                yield from self.member(twin(module), name)
            elif self._exists(f"{module}.{name}"):
                yield Target("module", f"{module}.{name}", "")
            else:
                yield Target("unknown", module, name)
            return
        native = False
        found = False
        for ref in record.names.get(name, ()):
            for target in self.resolve(ref):
                native = native or target.kind == "native"
                if target.kind != "unknown" or ref.partition(":")[0] != module:
                    found = True
                    yield target
        if name in record.classes:
            # The C type takes the place of its twin in Python.
            if not native:
                yield Target("class", module, name)
            return
        if name in record.functions:
            found = True
            yield Target("function", module, name)
        if found:
            return
        if self._exists(f"{module}.{name}"):
            yield Target("module", f"{module}.{name}", "")
            return
        yield from self._starred(record, name)

    def _starred(self, record: Module, name: str) -> Iterator[Target]:
        natives = []
        for star in record.stars:
            for target in self.resolve(f"{star}:{name}"):
                if target.kind == "native" and star != "builtins":
                    natives.append(target)
                elif target.kind != "unknown":
                    yield target
                    return
        if name in BUILTINS:
            yield from self.resolve(f"builtins:{name}")
        elif natives:
            yield natives[0]
        else:
            yield Target("unknown", record.name, name)

    def _exists(self, module: str) -> bool:
        return self.world.module(module) is not None or self.world.is_native(module)

    def lineage(self, module: str, name: str) -> Lineage:
        """The class and its bases."""
        key = (module, name)
        found = self._lineages.get(key)
        if found is None:
            self._lineages[key] = Lineage((key,), (), opened=True)  # a circle of bases
            found = self._lineages[key] = self._lineage(module, name)
        return found

    def _lineage(self, module: str, name: str) -> Lineage:
        classes: dict[tuple[str, str], None] = {(module, name): None}
        native: dict[str, None] = {}
        opened = False
        record = self.class_of(module, name)
        for base in record.bases if record else ():
            targets = self.resolve(base.removesuffix("[]"))
            opened = opened or not targets
            for target in targets:
                if target.kind == "class":
                    above = self.lineage(target.module, target.name)
                    classes.update(dict.fromkeys(above.classes))
                    native.update(dict.fromkeys(above.native))
                    opened = opened or above.opened
                elif target.kind in {"native", "primitive"}:
                    native[target.dotted] = None
                elif not base.startswith(("typing:", "collections.abc:", "abc:")):
                    opened = True
        return Lineage(tuple(classes), tuple(native), opened)

    def class_of(self, module: str, name: str) -> Class | None:
        """The record of a class."""
        record = self.world.module(module)
        return record.classes.get(name) if record else None

    def function_of(self, module: str, name: str) -> Function | None:
        """The record of a function or method."""
        record = self.world.module(module)
        return record.functions.get(name) if record else None

    def method(self, module: str, name: str, method: str, *, after: str = "") -> tuple[str, str] | None:
        """Where the method of a class is: (module, qualified name); None if no source has it.

        ``after`` begins behind a class.
        """
        lineage = self.lineage(module, name)
        skip = bool(after)
        for at in lineage.classes:
            if skip:
                skip = f"{at[0]}:{at[1]}" != after
                continue
            record = self.class_of(*at)
            if record is not None and method in record.methods:
                return at[0], f"{at[1]}.{method}"
        return None

    def _above(self, start: Target, definer: str, method: str) -> tuple[Target, ...]:
        found = self.method(start.module, start.name, method, after=definer or start.owner)
        if found is not None:
            return (Target("function", *found, start.owner, bound=True),)
        for name in self.lineage(start.module, start.name).native:
            owner, _, last = name.rpartition(".")
            if primitives_of(f"{owner}.{last}.{method}"):
                return (Target("primitive", owner, f"{last}.{method}", "", bound=True),)
            if method in {"__init__", "__new__"} and primitives_of(name):
                return (Target("primitive", owner, last),)
        if method in {"__init__", "__new__", "__setstate__", "__init_subclass__", "__setattr__", "__getattribute__"}:
            return (Target("native", "builtins", f"object.{method}"),)
        return (Target("unknown", start.module, f"{start.name}.{method}"),)

    def _attribute(self, target: Target, token: str) -> Iterator[Target]:
        """What the attributes of a class, or of its objects, lead to."""
        found = False
        lineage = self.lineage(target.module, target.name)
        for at in lineage.classes:
            record = self.class_of(*at)
            for name, refs in record.attributes if record else ():
                if name == token:
                    for ref in refs:
                        for reached in self.resolve(
                            ref, target.owner or f"{target.module}:{target.name}", f"{at[0]}:{at[1]}"
                        ):
                            found = True
                            yield reached
            if found:
                return
        for name in lineage.native:
            if primitives_of(f"{name}.{token}"):
                owner, _, last = name.rpartition(".")
                yield Target("primitive", owner, f"{last}.{token}", "", bound=target.kind == "instance")
                return
        yield Target("unknown", target.module, f"{target.name}.{token}")

    def _method_step(self, target: Target, token: str) -> Target | None:
        for module, name in self.lineage(target.module, target.name).classes:
            if primitives_of(f"{module}.{name}.{token}"):
                return Target("primitive", module, f"{name}.{token}", "", bound=target.kind == "instance")
            record = self.class_of(module, name)
            if record is not None and token in record.methods:
                function = self.function_of(module, f"{name}.{token}")
                bound = target.kind == "instance" or (function is not None and function.binding == "class")
                owner = target.owner or f"{target.module}:{target.name}"
                return Target("function", module, f"{name}.{token}", owner, bound=bound)
        return None

    def _class_step(self, target: Target, token: str) -> Iterator[Target]:
        if token == CALL:
            yield Target("instance", target.module, target.name, f"{target.module}:{target.name}")
        elif token in {ITEM, "__class__"}:
            yield target
        else:
            method = self._method_step(target, token)
            if method is not None:
                yield method
            else:
                yield from self._attribute(target, token)

    def _instance_step(self, target: Target, token: str) -> Iterator[Target]:
        if token == _CLASS:
            yield Target("class", target.module, target.name)
            return
        name = {CALL: "__call__", ITEM: "__getitem__"}.get(token, token)
        method = self._method_step(target, name)
        if method is None:
            yield from self._attribute(target, name)
            return
        function = self.function_of(method.module, method.name) if method.kind == "function" else None
        if token in {CALL, ITEM} or (function is not None and function.binding == "property"):
            yield from self._function_step(method, CALL)
        else:
            yield method

    def _function_step(self, target: Target, token: str) -> Iterator[Target]:
        if token != CALL:
            yield Target("unknown", target.module, f"{target.name}.{token}")
            return
        function = self.function_of(target.module, target.name)
        definer = f"{target.module}:{target.name.rpartition('.')[0]}"
        found = False
        for ref in function.returns.refs if function else ():
            for reached in self.resolve(ref, target.owner, definer):
                found = True
                yield reached
        if not found:
            yield Target("unknown", target.module, f"{target.name}()")
