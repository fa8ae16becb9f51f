"""Random programs of the pickle machine that end in a call of a harmless canary, by whatever detour.

They are trees: expressions over partial, getitem, attrgetter, methodcaller, map, reduce, dictionaries, states, dotted
names and nested pickles, with decoys of the same shape beside them, written in any style. canary.py runs them.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from picklegate.pickles import Trace, trace
from picklegate.report import Verdict
from picklegate.scan import scan_bytes
from picklegate.training.assembler import assemble
from picklegate.training.style import Style
from picklegate.training.tree import Build, Call, Extend, Fill, Name, New, Raw, Then
from support.canary import CANARY, DECOY, HOLDER, LOADER, MODULE, Calls

Tree = Any
_CIRCLE = f"{MODULE}.{CANARY}"
_PROTOCOLS = (0, 1, 2, 3, 4, 4, 4, 5)


@dataclass(frozen=True, slots=True)
class Program:
    """One program; ``token`` is the text that the canary is called with."""

    data: bytes
    token: str


def program(seed: int, depth: int = 4) -> Program:
    """The program of that seed."""
    rng = Random(seed)
    token = f"t{rng.randrange(10**6)}"
    tree = _called(rng, CANARY, token, depth)
    if rng.random() < 0.3:
        tree = Then(tree, _called(rng, DECOY, token, depth - 1))
    style = Style(
        protocol=rng.choice(_PROTOCOLS),
        memo=rng.choice(("all", "used", "none")),
        wild=rng.choice((0.0, 0.3)),
        junk=rng.choice((0.0, 0.05)),
    )
    return Program(assemble(tree, style, rng).data, token)


def lib(path: str) -> Name:
    """An object of the standard library, ``module:name``."""
    return Name(*path.split(":"))


def call(path: str, *args: Tree) -> Call:
    """A call of an object of the standard library."""
    return Call(lib(path), args)


# What is looked for, and how it is said


def named(found: Trace) -> set[tuple[Any, ...]]:
    """The texts among the arguments of each call of the canary that the trace names."""
    calls: set[tuple[Any, ...]] = set()
    for event in found.events:
        if event.known in (_CIRCLE, f"{_CIRCLE}.make") and event.kind != "state":
            calls.add(tuple(_texts(event.args)))
    for _, inner in found.nested:
        calls |= named(inner)
    return calls


def _texts(values: Any) -> list[str]:
    found: list[str] = []
    for value in values:
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found.extend(_texts(value))
    return found


def escapes(one: Program, answers: tuple[Calls, Calls]) -> bool:
    """Whether the canary ran and nothing was said of it: the trace does not name the call, and the stream is CLEAN."""
    ran = {tuple(arg for arg in args if arg is not None) for calls in answers for name, args in calls if name == CANARY}
    if not ran:
        return False
    told = named(trace(one.data))
    if all(any(set(args) <= set(other) for other in told) for args in ran):
        return False
    return scan_bytes(one.data).verdict is Verdict.CLEAN


# Expressions


def _text(rng: Random, value: str, depth: int) -> Tree:
    if depth <= 0 or rng.random() < 0.6:
        return value
    half, raw = len(value) // 2, value.encode()
    return rng.choice((
        lambda: Call(call("builtins:getattr", "", "join"), ([value[:half], value[half:]],)),
        lambda: call("builtins:bytes.decode", raw),
        lambda: call("operator:add", value[:half], value[half:]),
        lambda: _beside(rng, lambda at: call("operator:getitem", ("other", value), at), 1, 0),
        lambda: call("builtins:str", call("builtins:memoryview", value.encode("utf-16")), "utf-16"),
        lambda: Call(call("builtins:getattr", "", "join"), (call("builtins:reversed", value[::-1]),)),
        lambda: call("builtins:str", call("base64:b64decode", base64.b64encode(raw)), "ascii"),
        lambda: call("builtins:str", call("zlib:decompress", zlib.compress(raw)), "ascii"),
        lambda: call("builtins:str.replace", f"{value}~", "~", ""),
        lambda: call("functools:reduce", lib("operator:add"), list(value)),
    ))()  # fmt: skip


def _beside(rng: Random, make: Callable[[Any], Tree], wanted: Any, other: Any) -> Tree:
    """``make(wanted)``, at times after a call of the same shape, whose result is dropped."""
    return Then(make(other), make(wanted)) if rng.random() < 0.5 else make(wanted)


def _module(rng: Random, depth: int) -> Tree:
    name = _text(rng, MODULE, depth - 1)
    return rng.choice((
        lambda: call("builtins:__import__", name),
        lambda: call("operator:getitem", lib("sys:modules"), name),
        lambda: call("sys:modules.get", name),
        lambda: call("builtins:dict.get", lib("sys:modules"), name),
        lambda: call(
            "operator:getitem", Call(_attrgetter(rng, "modules"), (call("builtins:__import__", "sys"),)), name
        ),
        lambda: Name(HOLDER, MODULE),
    ))()  # fmt: skip


def _attrgetter(rng: Random, name: str) -> Tree:
    return _beside(rng, lambda wanted: call("operator:attrgetter", wanted), name, DECOY)


def _shape(rng: Random, name: str, depth: int) -> Tree:
    """The class of that name."""
    if depth <= 0 or rng.random() < 0.1:
        return Name(MODULE, name)
    return rng.choice(_ROUTES)(rng, name, depth - 1)


def _pair(rng: Random, name: str, depth: int) -> tuple[list[Tree], int]:
    """The wanted class and the other one in either order, and where the wanted one is."""
    pair, at = [_shape(rng, name, depth), Name(MODULE, DECOY if name == CANARY else CANARY)], rng.randrange(2)
    return (pair[::-1] if at else pair), at


def _from_items(rng: Random, name: str, depth: int) -> Tree:
    pair, at = _pair(rng, name, depth)
    items, get = rng.choice((tuple, list))(pair), lib("operator:getitem")
    return rng.choice((
        lambda: _beside(rng, lambda index: call("operator:getitem", items, index), at, 1 - at),
        lambda: Call(_beside(rng, lambda index: call("operator:itemgetter", index), at, 1 - at), (items,)),
        lambda: Call(_beside(rng, lambda index: call("functools:partial", get, items, index), at, 1 - at)),
        lambda: call("functools:partial.__call__", call("functools:partial", lib("operator:getitem"), items, at)),
        lambda: Call(call("operator:methodcaller", "__getitem__", at), (items,)),
        lambda: Call(call("builtins:getattr", list(pair), "pop"), (at,)),
        lambda: call("functools:reduce", lib("operator:getitem"), [[pair], 0, at]),
    ))()  # fmt: skip


def _from_dict(rng: Random, name: str, depth: int) -> Tree:
    pair, at = _pair(rng, name, depth)
    key = "ab"[at]
    mapping: Tree = {"a": pair[0], "b": pair[1]}
    if rng.random() < 0.3:
        mapping = Fill({key: Name(MODULE, DECOY)}, (("a", pair[0]), ("b", pair[1])))
    return rng.choice((
        lambda: call("builtins:dict.get", mapping, _text(rng, key, depth)),
        lambda: Call(call("operator:methodcaller", "get", key), (mapping,)),
        lambda: call("builtins:dict.get", mapping, "absent", pair[at]),
        lambda: call("functools:reduce", lib("operator:getitem"), [{"x": mapping}, "x", key]),
        lambda: Call(call("builtins:getattr", mapping, "pop"), (key,)),
        lambda: call("operator:getitem", call("collections:OrderedDict", mapping), key),
        lambda: call("operator:getitem", call("collections:ChainMap", {}, mapping), key),
    ))()  # fmt: skip


def _from_module(rng: Random, name: str, depth: int) -> Tree:
    return rng.choice((
        lambda: call("builtins:getattr", _module(rng, depth), _text(rng, name, depth)),
        lambda: Call(_attrgetter(rng, name), (_module(rng, depth),)),
        lambda: call("functools:reduce", lib("builtins:getattr"), [_module(rng, depth), name]),
        lambda: call("operator:getitem", call("builtins:vars", _module(rng, depth)), _text(rng, name, depth)),
        lambda: Name(HOLDER, f"{MODULE}.{name}"),
        lambda: Call(Name(MODULE, "__dict__.get"), (name,)),
        lambda: Call(Name(MODULE, "__getattribute__"), (name,)),
        lambda: Call(call("builtins:getattr", _module(rng, depth), "__getattribute__"), (name,)),
        lambda: Call(_attrgetter(rng, "__class__"), (Call(Name(MODULE, name), ("made",)),)),
        lambda: call("builtins:type", Call(Name(MODULE, name), ("made",))),
        lambda: Call(_attrgetter(rng, "__self__"), (Name(MODULE, f"{name}.make"),)),
        lambda: Name(MODULE, f"{name}.make.__self__"),
    ))()  # fmt: skip


def _from_state(rng: Random, name: str, depth: int) -> Tree:
    """What was written into an object, perhaps twice."""
    states = (DECOY, name) if rng.random() < 0.5 else (name,)
    if rng.random() < 0.5:
        made: Tree = call("functools:partial", Name(MODULE, DECOY))
        for which in states:
            made = Build(made, (_shape(rng, which, depth), (), {}, None))
        return Call(_attrgetter(rng, "func"), (made,))
    made = New(lib(rng.choice(("argparse:Namespace", "types:SimpleNamespace"))), ())
    for which in states:
        made = Build(made, {"f": _shape(rng, which, depth)})
    if rng.random() < 0.5:
        return Call(_attrgetter(rng, "f"), (made,))
    return call("operator:getitem", call("builtins:vars", made), "f")


def _from_iterator(rng: Random, name: str, depth: int) -> Tree:
    (pair, at), get = _pair(rng, name, depth), lib("builtins:getattr")
    return rng.choice((
        lambda: _path(call("builtins:list", call("builtins:iter", pair)), at),
        lambda: _path(call("builtins:tuple", call("builtins:reversed", pair)), 1 - at),
        lambda: _path(call("builtins:list", call("builtins:zip", [pair[at]], [pair[1 - at]])), 0, 0),
        lambda: _path(call("builtins:list", call("builtins:enumerate", pair)), at, 1),
        lambda: _path(call("builtins:list", call("itertools:chain", pair[:1], pair[1:])), at),
        lambda: _path(call("builtins:list", call("builtins:map", get, [_module(rng, depth)], [name])), 0),
        lambda: call("builtins:next", call("builtins:iter", pair[at:])),
        lambda: _path(call("builtins:list", Build(call("builtins:iter", [*pair, pair[at]]), 2)), 0),
    ))()  # fmt: skip


def _path(rows: Tree, *path: int) -> Tree:
    return rows if not path else call("operator:getitem", _path(rows, *path[:-1]), path[-1])


def _from_changed(rng: Random, name: str, depth: int) -> Tree:
    """A container that a call changes before it is read."""
    want, decoy = _shape(rng, name, depth), Name(MODULE, DECOY)
    items: list[Tree] = [decoy]
    mapping: dict[str, Tree] = {"k": decoy}
    change, box, key = rng.choice((
        (call("builtins:list.insert", items, 0, want), items, 0),
        (call("operator:setitem", items, 0, want), items, 0),
        (call("operator:iadd", items, [want]), items, -1),
        (Call(call("operator:methodcaller", "insert", 0, want), (items,)), items, 0),
        (Extend(items, (want,)), items, 1),
        (call("builtins:dict.update", mapping, {"k": want}), mapping, "k"),
        (call("operator:setitem", mapping, "k", want), mapping, "k"),
        (Fill(mapping, (("k", want),)), mapping, "k"),
    ))  # fmt: skip
    return Then(Then(box, change), call("operator:getitem", box, key))


def _nested(rng: Random, tree: Tree) -> Tree:
    """A nested pickle, as bytes or as a view of them, perhaps with other bytes before or behind it."""
    data = assemble(tree, Style(protocol=rng.choice(_PROTOCOLS))).data
    data = rng.choice((data, b"N0" + data, data + b"cno\nsuch\xff\n."))
    return call("builtins:memoryview", data) if rng.random() < 0.3 else data


def _from_nested(rng: Random, name: str, depth: int) -> Tree:
    """What a nested pickle gives."""
    data = _nested(rng, _shape(rng, name, depth))
    return rng.choice((
        lambda: call("pickle:loads", data),
        lambda: call("pickle:load", call("io:BytesIO", data)),
        lambda: Call(Name(MODULE, LOADER), (data,)),
    ))()  # fmt: skip


def _from_itself(rng: Random, name: str, depth: int) -> Tree:
    want = _shape(rng, name, depth)
    return rng.choice((
        lambda: call("copy:copy", want),
        lambda: call("copy:deepcopy", want),
        lambda: call("typing:cast", Name(MODULE, DECOY), want),
        lambda: Call(call("weakref:ref", want)),
        lambda: Call(call("functools:partial", lib("typing:cast"), Name(MODULE, DECOY)), (want,)),
        lambda: _slots(name),
    ))()  # fmt: skip


def _slots(name: str) -> Raw:
    """The memo entry that is written over one that was put before."""
    other = DECOY if name == CANARY else CANARY
    puts = [f"c{MODULE}\n{which}\nr".encode() + b"\xe8\x03\x00\x000" for which in (other, name)]
    return Raw(b"".join(puts) + b"j\xe8\x03\x00\x00")


_ROUTES = (
    *(_from_items, _from_dict, _from_module, _from_state, _from_iterator),
    *(_from_changed, _from_nested, _from_itself),
)


def _called(rng: Random, name: str, token: str, depth: int) -> Tree:
    """A call of the class with the text."""
    shape, text = _shape(rng, name, depth - 1), _text(rng, token, depth - 1)
    other = Name(MODULE, DECOY)
    maker = rng.choice(("functools:partial", "types:MethodType"))
    made = _beside(rng, lambda which: call(maker, which, text), shape, other)
    state: Tree = (shape, (text,), {}, None)
    dull = ["dull"] * rng.choice((0, 2, 70))
    return rng.choice((
        lambda: Call(shape, (text,)),
        lambda: New(shape, (text,)),
        lambda: Call(made),
        lambda: call("operator:call", made),
        lambda: call(f"{maker}.__call__", made),
        lambda: Call(Call(_attrgetter(rng, "__call__"), (made,))),
        lambda: Call(call("functools:partial", shape), (text,)),
        lambda: Call(Build(call("functools:partial", other), state)),
        lambda: Call(Build(Build(call("functools:partial", other), (other, (text,), {}, None)), state)),
        lambda: call("operator:call", shape, text),
        lambda: call("builtins:list", call("builtins:map", shape, [text])),
        lambda: call("builtins:tuple", call("itertools:starmap", shape, [(text,)])),
        lambda: call("builtins:set", call("builtins:filter", shape, [text])),
        lambda: call("builtins:list", call("builtins:map", shape, call("builtins:iter", [*dull, text]))),
        lambda: call("functools:reduce", shape, (text, text)),
        lambda: call("builtins:list", call("itertools:accumulate", [text, text], shape)),
        lambda: call("builtins:list", call("itertools:groupby", [text], shape)),
        lambda: Call(call("operator:methodcaller", name, text), (_module(rng, depth),)),
        lambda: Call(call("operator:methodcaller", "__call__", text), (shape,)),
        lambda: Call(Name(MODULE, f"{name}.make"), (text,)),
        lambda: Call(Name(MODULE, f"{name}.make.__func__"), (shape, text)),
        lambda: call("builtins:type.__call__", shape, text),
        lambda: Call(call("types:GenericAlias", shape, ()), (text,)),
        lambda: Call(call("functools:lru_cache", shape), (text,)),
        lambda: Call(Call(call("functools:lru_cache", None, *(False,)), (shape,)), (text,)),
        lambda: Call(call("functools:singledispatch", shape), (text,)),
        lambda: Call(call("types:FunctionType.__get__", lib("operator:call"), shape), (text,)),
        lambda: call("copyreg:__newobj__", shape, text),
        lambda: call("pickle:loads", _nested(rng, Call(shape, (token,)))),
        lambda: Call(Name(MODULE, LOADER), (_nested(rng, Call(shape, (token,))),)),
        lambda: call("collections:Counter", call("builtins:map", shape, [text])),
        lambda: call("operator:getitem", call("collections:defaultdict", call("functools:partial", shape, text)), 0),
    ))()  # fmt: skip
