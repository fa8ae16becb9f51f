# ruff: noqa: FBT003  the arguments are those of the calls that the samples make
"""Hostile samples that bring their call about in a roundabout way."""

from __future__ import annotations

import base64
import bz2
import random
import zlib

from picklegate.report import Verdict
from picklegate.training.carriers import contain
from picklegate.training.tree import Build, Call, Extend, Fill, Name, New, PersistentId, Then
from support.builders import (
    ARGV,
    COMMAND,
    EVAL,
    EXPRESSION,
    FICKLING,
    INNER,
    OS,
    PICKLEBALL,
    PICKLESCAN,
    PLAIN,
    SHADOW,
    SOURCE,
    SYSTEM,
    call,
    case,
    written,
)

IMPORT_OS = call("importlib", "import_module", "os")

REFLECTIVE = (
    case(
        "getattr-import-module",
        Call(call("builtins", "getattr", IMPORT_OS, "system"), (COMMAND,)),
        "getattr of an imported module.",
        OS,
        FICKLING + "GHSA-q5qq-mvfm-j35x",
    ),
    case(
        "getattr-dunder-import",
        Call(call("builtins", "getattr", call("builtins", "__import__", "os"), "system"), (COMMAND,)),
        "getattr of __import__.",
        OS,
        FICKLING + "GHSA-h4rm-mm56-xf63",
    ),
    case(
        "getattr-pieces",
        Call(
            call(
                "builtins",
                "getattr",
                call("builtins", "__import__", call("operator", "add", "o", "s")),
                call("operator", "add", "sys", "tem"),
            ),
            (COMMAND,),
        ),
        "Names put together from pieces.",
        OS,
    ),
    case(
        "attrgetter",
        Call(Call(call("operator", "attrgetter", "system"), (IMPORT_OS,)), (COMMAND,)),
        "attrgetter of a module.",
        OS,
        "https://github.com/mmaitre314/picklescan/issues/66",
    ),
    case(
        "methodcaller",
        Call(call("operator", "methodcaller", "system", COMMAND), (IMPORT_OS,)),
        "methodcaller on a module.",
        OS,
        PICKLESCAN + "GHSA-955r-x9j8-7rhh",
    ),
    case(
        "methodcaller-locate",
        Call(call("operator", "methodcaller", "system", COMMAND), (call("pydoc", "locate", "os"),)),
        "methodcaller on a located module.",
        OS,
        PICKLESCAN + "GHSA-84r2-jw7c-4r5q",
    ),
    case(
        "pydoc-locate",
        Call(call("pydoc", "locate", "os.system"), (COMMAND,)),
        "locate imports and fetches.",
        OS,
        FICKLING + "GHSA-5hvc-6wx8-mvv4",
    ),
    case(
        "pkgutil-resolve-name",
        Call(call("pkgutil", "resolve_name", "os:system"), (COMMAND,)),
        "resolve_name reaches any blocked name.",
        OS,
        PICKLESCAN + "GHSA-vvpj-8cmc-gx39",
    ),
    case(
        "reduce-getattr",
        Call(call("functools", "reduce", Name("builtins", "getattr"), ["system"], IMPORT_OS), (COMMAND,)),
        "reduce over getattr.",
        OS,
    ),
    case(
        "reduce-of-a-stranger",
        call("functools", "reduce", Name("m_x", "run"), ["a", EXPRESSION]),
        "What reduce calls is judged with what it is given.",
        ("m_x", "run"),
    ),
    case(
        "partial-called",
        Call(call("functools", "partial", SYSTEM, COMMAND), ()),
        "A partial that is called.",
        OS,
        "https://github.com/trailofbits/fickling/pull/210",
    ),
    case(
        "partial-by-state",
        Call(Build(call("functools", "partial", Name("builtins", "len")), (SYSTEM, (COMMAND,), {}, None)), ()),
        "BUILD changes what the partial calls.",
        OS,
    ),
    case("map-list", call("builtins", "list", call("builtins", "map", SYSTEM, [COMMAND])), "list runs map.", OS),
    case(
        "map-tuple-newobj",
        New(Name("builtins", "tuple"), (call("builtins", "map", SYSTEM, [COMMAND]),)),
        "NEWOBJ of tuple runs map.",
        OS,
    ),
    case("map-bytes", call("builtins", "bytes", call("builtins", "map", SYSTEM, [COMMAND])), "bytes runs map.", OS),
    case(
        "starmap-deque",
        call("collections", "deque", call("itertools", "starmap", SYSTEM, [(COMMAND,)]), 0),
        "deque runs starmap.",
        OS,
    ),
    case("filter-set", call("builtins", "set", call("builtins", "filter", SYSTEM, [COMMAND])), "set runs filter.", OS),
    case(
        "builtins-dict",
        Call(call("operator", "getitem", Name("builtins", "__dict__"), "eval"), (EXPRESSION,)),
        "eval as an item of a module's dict.",
        EVAL,
    ),
    case(
        "sys-modules",
        Call(
            call("builtins", "getattr", call("operator", "getitem", Name("sys", "modules"), "os"), "system"), (COMMAND,)
        ),
        "A module as an item of sys.modules.",
        OS,
    ),
    case(
        "dict-get-modules",
        Call(
            call("builtins", "getattr", call("builtins", "dict.get", Name("sys", "modules"), "os"), "system"),
            (COMMAND,),
        ),
        "A module by an unbound method.",
        OS,
    ),
    case(
        "dotted-through-torch",
        call("torch", "serialization.os.system", COMMAND),
        "A dotted name through a module that everybody trusts.",
        ("torch", "serialization.os.system"),
        PICKLEBALL,
    ),
    case(
        "dotted-through-shutil",
        call("shutil", "os.system", COMMAND),
        "A dotted name through the standard library.",
        ("shutil", "os.system"),
    ),
    case(
        "module-in-module",
        Call(call("builtins", "getattr", Name("shutil", "os"), "system"), (COMMAND,)),
        "A module imported as an attribute of another.",
        ("shutil", "os"),
    ),
    case("apply", b"c__builtin__\napply\n(cos\nsystem\n(S'echo inert'\nltR.", "Python 2's apply.", OS),
    case("operator-call", call("operator", "call", SYSTEM, COMMAND), "operator.call of Python 3.11.", OS),
    case(
        "thread-run",
        Call(call("builtins", "getattr", call("threading", "Thread", None, SYSTEM, None, (COMMAND,)), "run"), ()),
        "A thread's target.",
        OS,
    ),
    case(
        "atexit",
        call("atexit", "register", SYSTEM, COMMAND),
        "It runs when Python ends.",
        OS,
        FICKLING + "GHSA-m6fh-58r7-x697",
    ),
    case(
        "method-type", Call(call("types", "MethodType", SYSTEM, COMMAND), ()), "A method whose self is the command.", OS
    ),
    case(
        "defaultdict-factory",
        call(
            "operator", "getitem", call("collections", "defaultdict", call("functools", "partial", SYSTEM, COMMAND)), 0
        ),
        "A missing key calls the factory.",
        OS,
        verdict=Verdict.SUSPICIOUS,
    ),
    case(
        "iter-sentinel",
        call("builtins", "list", call("builtins", "iter", call("functools", "partial", SYSTEM, COMMAND), 0)),
        "iter with a sentinel calls.",
        OS,
    ),
    case(
        "computed-module",
        Call(Name(call("builtins", "str.lower", "OS"), "system"), (COMMAND,)),
        "STACK_GLOBAL of a computed name.",
        OS,
        "",
        Verdict.SUSPICIOUS,
    ),
    case(
        "subclasses",
        Call(Call(call("builtins", "getattr", Name("builtins", "object"), "__subclasses__"), ()), ()),
        "The chain that reaches everything.",
        ("builtins", "getattr"),
        "",
        Verdict.SUSPICIOUS,
    ),
    case(
        "cloudpickle-subimport",
        Call(call("builtins", "getattr", call("cloudpickle.cloudpickle", "subimport", "os"), "system"), (COMMAND,)),
        "cloudpickle's own helper imports.",
        OS,
    ),
    case(
        "dill-get-attr",
        Call(call("dill._dill", "_get_attr", call("dill._dill", "_import_module", "os"), "system"), (COMMAND,)),
        "dill's own helpers import and fetch.",
        OS,
    ),
)

NESTED = (
    case("pickle-loads", call("pickle", "loads", INNER), "A pickle in a pickle.", OS, PICKLEBALL),
    case("underscore-pickle-loads", call("_pickle", "loads", INNER), "The C module's name.", OS),
    case("load-from-bytes", call("torch.storage", "_load_from_bytes", INNER), "Torch's own way to nest.", OS),
    case(
        "state-behind-other-opcodes",
        Build(
            New(Name("torch.utils.data.datapipes.datapipe", "_IterDataPipeSerializationWrapper")),
            (b"N0" + INNER[2:], False),
        ),
        "A __setstate__ unpickles bytes that do not begin as pickle writes them.",
        OS,
    ),
    case(
        "argument-behind-other-opcodes",
        call("joblib.externals.loky.cloudpickle_wrapper", "_reconstruct_wrapper", b"N0" + INNER[2:], True),
        "The same by an argument.",
        OS,
    ),
    case(
        "archive-in-a-file-in-memory",
        call("some.module", "Reader", call("io", "BytesIO", contain(INNER, "npy", random.Random(0))[0])),
        "An unknown reader of a file in memory.",
        OS,
    ),
    case("dill-loads", call("dill", "loads", INNER), "dill's loads.", OS),
    case(
        "numpy-load-bytesio",
        call("numpy", "load", call("io", "BytesIO", INNER), None, True),
        "numpy.load falls back to pickle.",
        OS,
        PICKLEBALL,
    ),
    case("joblib-load-bytesio", call("joblib", "load", call("io", "BytesIO", INNER)), "joblib.load of a buffer.", OS),
    case(
        "base64", call("pickle", "loads", call("base64", "b64decode", base64.b64encode(INNER).decode())), "Encoded.", OS
    ),
    case("zlib", call("pickle", "loads", call("zlib", "decompress", zlib.compress(INNER))), "Compressed.", OS),
    case(
        "base64-bz2",
        call(
            "pickle",
            "loads",
            call("bz2", "decompress", call("base64", "b64decode", base64.b64encode(bz2.compress(INNER)))),
        ),
        "Both.",
        OS,
    ),
    case("hex", call("pickle", "loads", call("builtins", "bytes.fromhex", INNER.hex())), "In hexadecimal.", OS),
    case(
        "latin-1",
        call("pickle", "loads", call("_codecs", "encode", INNER.decode("latin-1"), "latin1")),
        "As protocol 2 writes bytes.",
        OS,
    ),
    case(
        "thrice-nested",
        call("pickle", "loads", written(call("pickle", "loads", written(call("pickle", "loads", INNER))))),
        "Three deep.",
        OS,
    ),
    case(
        "unpickler-load",
        call("_pickle", "Unpickler.load", call("_pickle", "Unpickler", call("io", "BytesIO", INNER))),
        "By the class.",
        OS,
    ),
)

STATES = (
    case(
        "poisoned-module",
        Then(Build(call("importlib", "import_module", "numpy"), {"size": SYSTEM}), call("numpy", "size", COMMAND)),
        "BUILD writes into a module, then its function is called.",
        OS,
    ),
    case(
        "poisoned-class",
        Build(Name("torch.nn", "Module"), (None, {"forward": SYSTEM})),
        "BUILD with a slot state writes into a class.",
        OS,
    ),
    case(
        "setstate-injected",
        Build(Build(New(Name("argparse", "Namespace")), {"__setstate__": SYSTEM}), COMMAND),
        "A state that brings its own __setstate__.",
        OS,
        FICKLING + "GHSA-mhc9-48gj-9gp3",
    ),
    case(
        "environ",
        Fill(Name("os", "environ"), (("LD_PRELOAD", "/tmp/inert.so"),)),
        "SETITEM into os.environ.",
        ("os", "environ"),
    ),
    case(
        "sys-modules-item",
        Fill(Name("sys", "modules"), (("collections", SYSTEM),)),
        "SETITEM into sys.modules.",
        ("sys", "modules"),
    ),
    case("sys-path", Extend(Name("sys", "path"), ("/tmp/inert",)), "APPEND to sys.path.", ("sys", "path")),
    case(
        "setattr",
        call("builtins", "setattr", Name("builtins", "print"), "__call__", SYSTEM),
        "setattr of a callable.",
        OS,
    ),
    case(
        "newobj-ex",
        New(Name("subprocess", "Popen"), (ARGV,), {"shell": False}),
        "NEWOBJ_EX of a process class.",
        ("subprocess", "Popen"),
        FICKLING + "GHSA-mxhj-88fx-4pcv",
        Verdict.SUSPICIOUS,
    ),
    case(
        "code-called",
        Call(call("types", "FunctionType", call("marshal", "loads", b"\xe3" + bytes(40)), {}), ()),
        "Unmarshalled code is made a function and called.",
        ("types", "FunctionType"),
        FICKLING + "GHSA-565g-hwwr-4pp3",
    ),
    case(
        "compile-eval",
        call("builtins", "eval", call("builtins", "compile", SOURCE, "<string>", "exec")),
        "Compiled, then evaluated.",
        EVAL,
    ),
    case(
        "known-callee-ordereddict",
        call("collections", "OrderedDict", SOURCE),
        "A class that every model uses, given source code: its module is overwritten.",
        ("collections", "OrderedDict"),
        SHADOW,
        Verdict.SUSPICIOUS,
    ),
    case(
        "known-callee-rebuild-tensor",
        call("torch._utils", "_rebuild_tensor_v2", EXPRESSION, 0, (1,), (1,), False),
        "A function that every model uses, given an expression.",
        ("torch._utils", "_rebuild_tensor_v2"),
        SHADOW,
        Verdict.SUSPICIOUS,
    ),
    case("among-parameters", {"layer.weight": [0.1, 0.2], "epoch": 3, "payload": PLAIN}, "Beside parameters.", OS),
    case(
        "in-a-tensor",
        call(
            "torch._utils",
            "_rebuild_tensor_v2",
            PersistentId(("storage", Name("torch", "FloatStorage"), "0", "cpu", 1)),
            0,
            (1,),
            (1,),
            False,
            PLAIN,
        ),
        "In the place of a tensor's hooks.",
        OS,
    ),
)
