# ruff: noqa: FBT003  the arguments are those of the calls that the samples make
"""Hostile samples whose call no opcode spells: what an instance holds is called in the place of a method."""

from __future__ import annotations

from typing import Any

from picklegate.report import Verdict
from picklegate.training.tree import Build, Call, Extend, Fill, Name, New
from support.builders import Hostile, call, case

CODE = call(
    "types",
    "CodeType",
    0,
    0,
    0,
    0,
    1,
    67,
    b"\x97\x00",
    (None,),
    ("open", "write"),
    (),
    "f.py",
    "f",
    "f",
    1,
    b"",
    b"",
    (),
    (),
)
MADE = call("cloudpickle.cloudpickle", "_make_function", CODE, {"__name__": "f"}, None, None, None)
MADE_BY = ("cloudpickle.cloudpickle", "_make_function")
NAMESPACE = call("argparse", "Namespace")
OBJECT = (Name("builtins", "object"),)


def row(name: str, made: Any, why: str, seen: tuple[str, str] = MADE_BY) -> Hostile:
    """A row of which the machine can say no more than that it cannot tell."""
    return case(name, made, why, seen, verdict=Verdict.SUSPICIOUS)


def holding(attribute: str) -> Build:
    """An instance that has a function of the stream in the place of a method."""
    return Build(NAMESPACE, {attribute: MADE})


def class_of(module: str, name: str) -> New:
    """An instance of a class that the stream makes, with a function of the stream as a method."""
    return New(New(Name(module, name), ("X", OBJECT, {"append": MADE})))


IMPLICIT = (
    case(
        "generic-alias-called",
        Call(New(Name("types", "GenericAlias"), (Name("os", "system"), (Name("builtins", "int"),))), ("echo inert",)),
        "Calling an alias calls what it is of.",
        ("os", "system"),
    ),
    case(
        "generic-alias-of-made-function",
        Call(New(Name("types", "GenericAlias"), (MADE, (Name("builtins", "int"),))), ("x",)),
        "The same, of a function that the stream makes.",
        MADE_BY,
        verdict=Verdict.SUSPICIOUS,
    ),
    case(
        "weakref-callback",
        New(Name("weakref", "ref"), (NAMESPACE, MADE)),
        "The callback runs as soon as the object is gone.",
        MADE_BY,
    ),
    row("weakref-proxy-callback", call("_weakref", "proxy", NAMESPACE, MADE), "The same of a proxy."),
    row("metaclass-instance", Extend(class_of("abc", "ABCMeta"), ("x", "y")), "A class of ABCMeta.__new__."),
    row("type-instance", Extend(class_of("builtins", "type"), ("x", "y")), "A class of type.__new__."),
    row(
        "newobj-of-an-instance",
        call("copyreg", "__newobj__", holding("__new__"), "x"),
        "copyreg.__newobj__ calls __new__ of whatever it is given.",
    ),
    row(
        "reconstructor-of-an-instance",
        call("copyreg", "_reconstructor", "x", holding("__new__"), "y"),
        "copyreg._reconstructor calls __new__ of its second argument.",
    ),
    row(
        "parameter-of-an-instance",
        call("torch._utils", "_rebuild_parameter", holding("detach"), True, {}),
        "torch calls detach of the data of a parameter.",
    ),
    row(
        "index-of-an-instance",
        call("pandas.core.indexes.base", "_new_Index", holding("__new__"), {"data": [1]}),
        "pandas calls __new__ of the class of an index.",
    ),
    row("dict-of-an-instance", call("builtins", "dict", holding("keys")), "dict calls keys of what is no dict."),
    row("uuid-of-an-instance", call("uuid", "UUID", holding("replace")), "UUID calls replace of what is no text."),
    row(
        "module-called",
        Call(Build(New(Name("torch.nn.modules.linear", "Identity")), {"forward": MADE}), ("x",)),
        "Calling a module calls the attribute forward.",
    ),
    row(
        "environment-through-a-wrapper",
        Fill(Build(New(Name("collections", "UserDict")), {"data": Name("os", "environ")}), (("X", "Y"),)),
        "A UserDict writes into what it has as data.",
        ("os", "environ"),
    ),
    row(
        "search-path-through-a-wrapper",
        Extend(Build(New(Name("collections", "UserList")), {"data": Name("sys", "path")}), ("x",)),
        "A UserList writes into what it has as data.",
        ("sys", "path"),
    ),
    row(
        "modules-through-a-chain",
        Fill(call("collections", "ChainMap", Name("sys", "modules")), (("json", NAMESPACE),)),
        "A ChainMap writes into the first of its maps.",
        ("sys", "modules"),
    ),
    row(
        "logger-written",
        Build(call("logging", "getLogger", "transformers"), {"info": MADE}),
        "getLogger returns what the program has already.",
    ),
    row(
        "keywords-of-a-partial",
        Extend(
            Call(New(Name("functools", "partial"), (Name("argparse", "Namespace"),), {"append": MADE}), ()), ("x", "y")
        ),
        "A keyword puts a function in the place of append.",
    ),
    row(
        "class-of-an-instance-written",
        Build(call("builtins", "type", New(Name("collections", "UserDict"))), (None, {"__repr__": MADE})),
        "type returns the class, which other code uses.",
    ),
    row(
        "function-by-ufunc-name",
        Call(
            Build(
                New(Name("torch.nn.modules.linear", "Identity")),
                {"forward": call("numpy.core", "_ufunc_reconstruct", "shutil", "rmtree")},
            ),
            ("x",),
        ),
        "numpy's helper for its own functions finds those of any module.",
        ("shutil", "rmtree"),
    ),
    row(
        "function-by-unknown-helper",
        Call(
            Build(New(Name("torch.nn.modules.linear", "Identity")), {"forward": call("some.module", "find", "x")}),
            ("x",),
        ),
        "A function that an unknown helper may have found.",
        ("some.module", "find"),
    ),
    row(
        "sympy-evaluates",
        New(Name("sympy.functions.elementary.trigonometric", "sin"), ("open('x', 'w')",)),
        "A function of sympy evaluates a text as Python.",
        ("sympy.functions.elementary.trigonometric", "sin"),
    ),
    row(
        "code-in-wide-letters",
        call("some.module", "Expression", "ｏｐｅｎ('x', 'w')"),  # noqa: RUF001
        "Python reads names in other letters as ASCII (NFKC).",
        ("some.module", "Expression"),
    ),
    row(
        "code-over-joined-lines",
        call("some.module", "Expression", "open\\\n('x', 'w')"),
        "A backslash joins two lines.",
        ("some.module", "Expression"),
    ),
    row("function-of-an-array", call("numpy", "fromfunction", MADE, (1,)), "numpy calls the function for an array."),
    row("function-over-a-tree", call("torch.utils._pytree", "tree_map", MADE, "a"), "torch calls it for each leaf."),
    row(
        "array-on-disk",
        call("numpy", "memmap", "x", "u1", "w+", 0, (4,)),
        "An array that makes a file.",
        ("numpy", "memmap"),
    ),
    row(
        "storage-on-disk",
        call("torch", "UntypedStorage.from_file", "x", True, 4),
        "The same of a storage.",
        ("torch", "UntypedStorage.from_file"),
    ),
    row(
        "store-on-the-network",
        call("torch.distributed", "TCPStore", "evil", 80),
        "A store connects.",
        ("torch.distributed", "TCPStore"),
    ),
    case(
        "setattr-as-dill-asks-for-it",
        b"\x80\x04cbuiltins\ngetattr\n(cdill\n_dill\nV_setattr\ncbuiltins\nsetattr\ntR(cbuiltins\nprint\n"
        b"V__call__\ncos\nsystem\ntR.",
        "The setattr with which dill fills cells, of a callable.",
        ("os", "system"),
    ),
    case(
        "setattr-by-inst",
        b"\x80\x04cargparse\nNamespace\n)Rp1\n0(g1\nVappend\ncshutil\nrmtree\nibuiltins\nsetattr\n0g1\n(Vx\ne.",
        "setattr is called by INST.",
        ("shutil", "rmtree"),
        verdict=Verdict.SUSPICIOUS,
    ),
)
"""Each was CLEAN while calls were looked for in opcodes alone."""
