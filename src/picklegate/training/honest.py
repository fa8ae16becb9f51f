"""Honest samples of the many kinds that real files are and a corpus of a hundred projects lacks."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING

from picklegate.training import harvested
from picklegate.training.assembler import assemble
from picklegate.training.carriers import CONTAINERS, Sample, contain
from picklegate.training.lists import rows as table
from picklegate.training.lists import vocabulary, words
from picklegate.training.style import Style, random_style
from picklegate.training.texts import Texts
from picklegate.training.tree import Build, Call, Extend, Fill, Name, New, PersistentId, Tree

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Sequence

_DTYPES = ("f4", "f8", "i8", "i4", "u1", "b1", "O8", "U12", "S5", "c16", "M8")


class Honest:
    """A seeded source of honest trees."""

    def __init__(self, rng: random.Random) -> None:
        """Draw from ``rng``."""
        self.rng = rng
        self.texts = Texts(rng)
        self.real = harvested.drawn(rng)
        self.package = self.real.name if self.real else self.texts.package()

    # Names and plain values.

    def key(self) -> str:
        """A key as checkpoints have them."""
        return self.texts.identifier()

    def value(self, depth: int = 0) -> Tree:
        """A plain value, or a small container of them."""
        rng = self.rng
        draw = rng.random()
        if depth < 3 and draw < 0.12:
            return [self.value(depth + 1) for _ in range(rng.randrange(6))]
        if depth < 3 and draw < 0.2:
            return tuple(self.value(depth + 1) for _ in range(rng.randrange(5)))
        if depth < 3 and draw < 0.3:
            return {self.key(): self.value(depth + 1) for _ in range(rng.randrange(6))}
        choices: tuple[Callable[[], Tree], ...] = (
            lambda: None,
            lambda: rng.random() < 0.5,
            lambda: rng.randrange(1000),
            lambda: rng.choice((0, 1, 2, 8, 32, 64, 128, 512, 768, 1024, 4096, 50257, -1, -100)),
            lambda: rng.choice((0.1, 0.5, 0.9, 1e-5, 3e-4, 0.01, rng.random(), float(rng.randrange(100)))),
            self.texts.identifier,
            self.texts.setting,
            self.texts.short,
        )
        return rng.choice(choices)()

    def named_text(self) -> tuple[str, Tree]:
        """A field that holds a text, as tokenizers, vectorizers and configurations have them."""
        return self.texts.field()

    # Numbers' owners: torch, numpy.

    def tensor(self, extra: Tree = None) -> Tree:
        """A tensor as torch saves it; ``extra`` is put where the backward hooks stand."""
        rng = self.rng
        shape = tuple(rng.choice((1, 3, 4, 16, 64, 768)) for _ in range(rng.randrange(1, 4)))
        stride = tuple(range(1, len(shape) + 1))
        size = 1
        for side in shape:
            size *= side
        device = rng.choice(("cpu", "cpu", "cpu", "cuda:0"))
        storage = PersistentId(
            ("storage", Name("torch", rng.choice(vocabulary("storage"))), str(rng.randrange(400)), device, size)
        )
        hooks = Call(Name("collections", "OrderedDict")) if extra is None else extra
        tensor = Call(Name("torch._utils", "_rebuild_tensor_v2"), (storage, 0, shape, stride, False, hooks))
        if rng.random() < 0.1:
            return Call(
                Name("torch._utils", "_rebuild_parameter"), (tensor, True, Call(Name("collections", "OrderedDict")))
            )
        return tensor

    def state_dict(self) -> dict[Tree, Tree]:
        """Parameter names and tensors."""
        rng = self.rng
        names = [
            ".".join(
                (*rng.choices(vocabulary("block"), k=rng.randrange(1, 4)), str(i), rng.choice(vocabulary("parameter")))
            )
            for i in range(rng.randrange(1, 12))
        ]
        return {name: self.tensor() for name in names}

    def ordered(self) -> Tree:
        """A state dict as torch's modules give it."""
        filled = Fill(Call(Name("collections", "OrderedDict")), tuple(self.state_dict().items()))
        if self.rng.random() < 0.5:
            metadata = Fill(Call(Name("collections", "OrderedDict")), (("", {"version": 1}),))
            return Build(filled, {"_metadata": metadata})
        return filled

    def array(self) -> Tree:
        """A numpy array as it pickles itself."""
        rng = self.rng
        root = rng.choice(("numpy.core.multiarray", "numpy.core.multiarray", "numpy._core.multiarray"))
        empty = Call(Name(root, "_reconstruct"), (Name("numpy", "ndarray"), (0,), b"b"))
        count = rng.randrange(1, 30)
        kind = rng.choice(_DTYPES)
        if kind == "O8":
            data: Tree = [self.texts.any() for _ in range(count)]
        else:
            data = rng.randbytes(count * int(kind[1:]))
        return Build(empty, (1, (count,), self.dtype(kind), False, data))

    def dtype(self, kind: str) -> Tree:
        """A numpy dtype."""
        order = "|" if kind in ("u1", "b1", "O8", "S5") else "<"
        made = Call(Name("numpy", "dtype"), (kind, False, True))
        return Build(made, (3, order, None, None, None, -1, -1, 63 if kind == "O8" else 0))

    def scalar(self) -> Tree:
        """A numpy scalar."""
        kind = self.rng.choice(("f8", "f4", "i8"))
        return Call(Name("numpy.core.multiarray", "scalar"), (self.dtype(kind), self.rng.randbytes(int(kind[1]))))

    def column(self) -> Tree:
        """A column of texts as pandas 3 keeps it: offsets and text in the memory of pyarrow."""
        texts = "".join(self.texts.any() for _ in range(self.rng.randrange(1, 9))).encode()
        parts = (None, *(Call(Name("pyarrow.lib", "py_buffer"), (part,)) for part in (bytes(16), texts)))
        kind = Call(Name("pyarrow.lib", "type_for_alias"), (self.rng.choice(("string", "large_string")),))
        return Call(Name("pyarrow.lib", "_restore_array"), ((kind, 1, 0, 0, list(parts), [], None),))

    # Objects.

    def standard(self) -> Tree:
        """An object of the standard library as it pickles itself."""
        rng = self.rng
        text = self.texts
        ways: tuple[Callable[[], Tree], ...] = (
            lambda: Call(Name("datetime", "datetime"), (rng.randbytes(10),)),
            lambda: Call(
                Name("datetime", "date"), (b"\x07\xe8" + bytes([rng.randrange(1, 13), rng.randrange(1, 29)]),)
            ),
            lambda: Call(Name("datetime", "timedelta"), (rng.randrange(30), rng.randrange(86400), 0)),
            lambda: Call(
                Name("pathlib", rng.choice(("PosixPath", "PurePosixPath", "WindowsPath"))),
                tuple(text.path().split("/")),
            ),
            lambda: Call(Name("pathlib", "PosixPath"), (text.path(),)),
            lambda: Call(
                Name("collections", "defaultdict"),
                (Name("builtins", rng.choice(("int", "list", "dict", "set", "float"))),),
            ),
            lambda: Call(
                Name("collections", "Counter"),
                ({rng.choice((text.identifier, text.any))(): rng.randrange(100) for _ in range(rng.randrange(8))},),
            ),
            self.column,
            lambda: Call(
                Name("collections", "deque"), ([self.value() for _ in range(rng.randrange(5))], rng.choice((10, 100)))
            ),
            lambda: Call(Name("decimal", "Decimal"), (f"{rng.random():.4f}",)),
            lambda: Call(Name("fractions", "Fraction"), (f"{rng.randrange(9)}/{rng.randrange(1, 9)}",)),
            lambda: Call(Name("re", "_compile"), (text.regex(), rng.choice((0, 32, 34)))),
            lambda: Build(New(Name("uuid", "UUID")), {"int": rng.getrandbits(128)}),
            lambda: Call(Name("builtins", "set"), ([text.identifier() for _ in range(rng.randrange(200))],)),
            lambda: Call(Name("builtins", "slice"), (0, rng.randrange(9), None)),
            lambda: Call(Name("builtins", "range"), (0, rng.randrange(999), 1)),
            lambda: Call(Name("builtins", "complex"), (rng.random(), rng.random())),
            lambda: Call(Name("builtins", "bytearray"), (rng.randbytes(rng.randrange(60)),)),
            lambda: Build(New(Name("argparse", "Namespace")), self.state()),
            lambda: Build(New(Name("types", "SimpleNamespace")), self.state()),
            lambda: Call(Name("types", "SimpleNamespace"), ()),
            self.partial,
            lambda: Call(Name("builtins", "getattr"), (self.cls(), text.member())),
            lambda: Call(Name("operator", "itemgetter"), (rng.choice((0, 1, text.identifier())),)),
            lambda: Call(Name("operator", "attrgetter"), (text.identifier(),)),
            lambda: Build(New(Name("random", "Random")), (3, tuple(rng.getrandbits(32) for _ in range(20)), None)),
            lambda: Call(Name("_codecs", "encode"), (rng.randbytes(20).decode("latin-1"), "latin1")),
            lambda: Call(
                Name("zoneinfo", "ZoneInfo._unpickle"), (rng.choice(("UTC", "Europe/Berlin", "US/Pacific")), 1)
            ),
            lambda: Call(
                Name("torch", "device"), (rng.choice(("cpu", "cuda", "mps", "meta")), *rng.choice(((), (0,))))
            ),
            lambda: Call(Name("torch", "Size"), ([rng.randrange(64), 3],)),
        )
        return rng.choice(ways)()

    def partial(self) -> Tree:
        """functools.partial of a function with settings, as it pickles itself."""
        function = Name(self.texts.module(self.package), self.texts.function())
        keywords = {self.key(): self.value(2) for _ in range(self.rng.randrange(4))}
        return Build(Call(Name("functools", "partial"), (function,)), (function, (), keywords, None))

    def cls(self) -> Name:
        """A class of the package."""
        if self.real:
            row = self.rng.choice(self.real.classes)
            return Name(row["module"], row["name"])
        return Name(self.texts.module(self.package), self.texts.class_name())

    def state(self, extra: Tree = None) -> dict[str, Tree]:
        """The attributes of an object."""
        rng = self.rng
        state: dict[str, Tree] = {self.key(): self.value() for _ in range(rng.randrange(1, 9))}
        for _ in range(rng.choice((0, 1, 1, 2))):
            name, text = self.named_text()
            state[name] = text
        if rng.random() < 0.2:
            state[self.key()] = self.handed()
        if extra is not None:
            state[self.key()] = extra
        return state

    def handed(self) -> Tree:
        """A class or a function as an attribute: an activation, a tokenizer, a metric."""
        rng = self.rng
        ways: tuple[Callable[[], Tree], ...] = (
            self.cls,
            lambda: Name(self.texts.module(self.package), self.texts.function()),
            lambda: Name(self.texts.module(self.package), self.texts.function()),
            lambda: Name(self.texts.module(self.texts.package()), self.texts.function()),
            lambda: Name("builtins", rng.choice(("int", "float", "str", "len", "max", "sum", "list", "abs"))),
            lambda: Name("torch.nn.functional", rng.choice(("relu", "gelu", "silu", "softmax", "cross_entropy"))),
            lambda: Name("numpy", rng.choice(("mean", "sum", "float32", "int64", "log1p", "median"))),
        )
        return rng.choice(ways)()

    def instance(self, extra: Tree = None, depth: int = 0) -> Tree:
        """An object of a class nobody has seen, made the way Python makes objects."""
        rng = self.rng
        cls = self.cls()
        state = self.state(extra)
        if depth < 2:
            for _ in range(rng.choice((0, 0, 1, 2))):
                state[self.key()] = self.object(depth + 1)
        if self.real and extra is None and rng.random() < 0.6:
            return self.real.instance(self, state)
        draw = rng.random()
        if draw < 0.7 or extra is not None:
            return Build(New(cls), state)
        if draw < 0.78:
            return Build(New(cls), (None, state))
        if draw < 0.86:
            return Build(
                New(cls, (rng.choice((self.texts.identifier(), rng.randrange(99), self.texts.short())),)), state
            )
        if draw < 0.92:
            return New(cls, (), {self.key(): self.value(2)})
        if draw < 0.96:
            return Fill(New(cls), tuple(state.items()))
        return Extend(New(cls), tuple(self.value() for _ in range(3)))

    def reduced(self) -> Tree:
        """An object whose class wrote its own ``__reduce__``: a call with settings."""
        rng = self.rng
        text = self.texts
        if self.real and self.real.constructors:
            return self.real.constructed(self)
        callee = rng.choice((self.cls(), Name(text.module(self.package), text.rebuilder())))
        ways: tuple[Callable[[], tuple[Tree, ...]], ...] = (
            lambda: (text.identifier(),),
            lambda: (rng.randrange(99),),
            lambda: (self.value(1),),
            lambda: (text.setting(), rng.randrange(10)),
            lambda: (text.path(),),
            lambda: (self.cls(),),
            lambda: (self.cls(), text.identifier()),
            lambda: ({self.key(): self.value(2) for _ in range(4)},),
            lambda: ([text.identifier() for _ in range(rng.randrange(1, 6))],),
            lambda: (self.array(), self.value(2)),
            lambda: (self.data(),),
            lambda: (self.data(),),
            lambda: (self.cls(), self.data()),
            lambda: (self.data(), self.value(2)),
            lambda: (text.short(), self.state()),
            lambda: (self.cls(), (), self.state()),
            lambda: tuple(self.value(2) for _ in range(rng.randrange(1, 6))),
            lambda: (text.date(), text.identifier()),
            lambda: (text.short(),),
            lambda: (text.document() if rng.random() < 0.2 else text.short(),),
            lambda: (text.url() if rng.random() < 0.3 else text.path(), text.identifier()),
        )
        made = Call(callee, rng.choice(ways)())
        return Build(made, self.state()) if rng.random() < 0.3 else made

    def data(self) -> bytes:
        """Bytes as objects keep them: packed numbers, settings as JSON, plain or compressed, and other pickles."""
        rng = self.rng
        keys = [self.key() for _ in range(rng.randrange(1, 9))]
        settings = json.dumps({key: rng.choice((self.texts.short(), rng.randrange(99))) for key in keys})
        draw = rng.random()
        if draw < 0.45:
            return rng.randbytes(rng.randrange(4, 600))
        if draw < 0.6:
            return settings.encode()
        if draw < 0.75:
            return zlib.compress(self.texts.document().encode() if rng.random() < 0.3 else settings.encode())
        inner: Tree = self.value() if draw < 0.85 else self.instance(depth=2) if draw < 0.93 else self.standard()
        return assemble(inner, Style(protocol=rng.choice((2, 4))), rng).data

    def member(self) -> Tree:
        """An enum member: the class called with its value, or fetched by getattr."""
        if self.real and self.real.enums:
            return self.real.member(self)
        cls = self.cls()
        if self.rng.random() < 0.3:
            return Call(Name("builtins", "getattr"), (cls, self.texts.member()))
        return Call(cls, (self.rng.choice((self.texts.member().lower(), self.rng.randrange(9), self.texts.setting())),))

    def known(self) -> Tree:
        """An object of a class that every file has, with attributes."""
        row = self.rng.choice([row for row in table("known.tsv") if row["name"].istitle() or "." in row["module"]])
        module, name = row["module"], row["name"]
        return Build(New(Name(module, name)), self.state())

    def object(self, depth: int = 0) -> Tree:
        """Any object."""
        kinds = (
            lambda: self.instance(depth=depth),
            self.reduced,
            self.member,
            self.standard,
            self.array,
            self.scalar,
            self.tensor,
            self.known,
        )
        return self.rng.choices(kinds, (30, 22, 10, 16, 8, 3, 5, 6))[0]()

    def checkpoint(self) -> dict[Tree, Tree]:
        """What training programs save: a dict of settings, numbers and a state dict."""
        rng = self.rng
        fields: tuple[tuple[str, Callable[[], Tree]], ...] = (
            ("state_dict", self.ordered),
            ("model", self.object),
            ("model_state_dict", self.state_dict),
            (
                "optimizer",
                lambda: {"state": {}, "param_groups": [{"lr": 0.001, "params": list(range(rng.randrange(9)))}]},
            ),
            ("epoch", lambda: rng.randrange(300)),
            ("args", lambda: Build(New(Name("argparse", "Namespace")), self.state())),
            ("config", lambda: {self.key(): self.value() for _ in range(6)}),
            ("best_acc", rng.random),
            ("hyper_parameters", self.state),
            ("vocab", lambda: {self.texts.identifier(): i for i in range(rng.randrange(40))}),
            ("labels", lambda: [self.texts.any() for _ in range(rng.randrange(10))]),
            ("date", self.texts.date),
            ("transform", self.object),
            ("class_names", lambda: [rng.choice(words()) for _ in range(5)]),
        )
        return {name: make() for name, make in rng.sample(fields, rng.randrange(1, 6))}


def samples(rng: random.Random, *, count: int, containers: Sequence[str] = CONTAINERS) -> Iterator[Sample]:
    """Draw ``count`` honest samples; each is a project of its own (``package`` names it)."""
    for _ in range(count):
        honest = Honest(rng)
        draw = rng.random()
        if draw < 0.5:
            tree: Tree = honest.object()
        elif draw < 0.85:
            tree = honest.checkpoint()
        else:
            tree = [honest.object() for _ in range(rng.randrange(1, 7))]
        yield sample_of(tree, honest.package, "invented", containers, rng)


def sample_of(tree: Tree, package: str, family: str, containers: Sequence[str], rng: random.Random) -> Sample:
    """The tree, written by an honest hand and put into a container."""
    style = random_style(rng)
    if style.name == "injector":
        style = Style(protocol=style.protocol)
    container = rng.choice(containers)
    data, _ = contain(assemble(tree, style, rng).data, container, rng)
    return Sample(
        data=data,
        label="honest",
        family=family,
        module="",
        name="",
        package=package,
        container=container,
        protocol=style.protocol,
        style=style.name,
    )
