"""The ways to a callable or to bytes that do not stand in the stream as such."""

from __future__ import annotations

import base64
import bz2
import codecs
import lzma
import zlib
from typing import TYPE_CHECKING

from picklegate.training.lists import vocabulary
from picklegate.training.tree import Call, Name, Tree

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

_GETATTR = Name("builtins", "getattr")
_MODULES = Name("sys", "modules")


def module_object(name: str, rng: random.Random) -> Tree:
    """A module object, by one of the ways to get one."""
    holders = vocabulary(f"holder {name}")
    ways: tuple[Callable[[], Tree], ...] = (
        lambda: Call(Name("importlib", "import_module"), (name,)),
        lambda: Call(Name("builtins", "__import__"), (name,)),
        lambda: Call(Name("operator", "getitem"), (_MODULES, name)),
        lambda: Call(Name("builtins", "dict.get"), (_MODULES, name)),
        lambda: Call(Call(_GETATTR, (_MODULES, "get")), (name,)),
        lambda: Call(Call(Name("operator", "itemgetter"), (name,)), (_MODULES,)),
        lambda: Call(Name("cloudpickle.cloudpickle", "subimport"), (name,)),
        lambda: Call(Name("dill._dill", "_import_module"), (name,)),
        lambda: Name(rng.choice(holders), name) if holders else Call(Name("pydoc", "locate"), (name,)),
    )
    return rng.choice(ways)()


def reflected(module: str, name: str, rng: random.Random) -> Tree:
    """The object of that name, reached by calls and not by an import of its name."""
    first, _, rest = name.partition(".")
    holders = vocabulary(f"holder {module}")
    ways: list[Callable[[], Tree]] = [
        lambda: Call(_GETATTR, (module_object(module, rng), first)),
        lambda: Call(Call(Name("operator", "attrgetter"), (name,)), (module_object(module, rng),)),
        lambda: Call(Name("functools", "reduce"), (_GETATTR, name.split("."), module_object(module, rng))),
        lambda: Call(
            Name("operator", "getitem"), (Call(Name("builtins", "vars"), (module_object(module, rng),)), first)
        ),
        lambda: Call(Name("pkgutil", "resolve_name"), (f"{module}:{name}",)),
        lambda: Call(Name("pydoc", "locate"), (f"{module}.{name}",)),
        lambda: Call(Name("dill._dill", "_get_attr"), (module_object(module, rng), first)),
        lambda: Call(Name("operator", "getitem"), (Name(module, "__dict__"), first)),
        lambda: Name(*_split_again(module, name)),
        lambda: Name(_computed(module, rng), name),
        lambda: Name(module, _computed(name, rng)),
    ]
    if holders:
        # A module that holds another as an attribute: a dotted name reaches through it.
        ways += [lambda: Name(rng.choice(holders), f"{module}.{name}")] * 3
    base = rng.choice(ways)()
    if rest and isinstance(base, Call) and isinstance(base.args, tuple) and base.args[-1] == first:
        return Call(_GETATTR, (base, rest))
    return base


def _split_again(module: str, name: str) -> tuple[str, str]:
    """The same object by a shorter module and a longer dotted name."""
    parent, _, last = module.rpartition(".")
    return (parent, f"{last}.{name}") if parent else (module, name)


def _computed(text: str, rng: random.Random) -> Tree:
    """The text as the result of a call, so that it does not stand in the stream."""
    cut = rng.randrange(1, len(text)) if len(text) > 1 else 1
    ways: tuple[Callable[[], Tree], ...] = (
        lambda: Call(Name("operator", "add"), (text[:cut], text[cut:])),
        lambda: Call(Name("operator", "concat"), (text[:cut], text[cut:])),
        lambda: Call(Name("builtins", "str.join"), ("", list(text))),
        lambda: Call(Name("codecs", "decode"), (codecs.encode(text, "rot13"), "rot13")),
        lambda: Call(Name("_codecs", "decode"), (text.encode(), "utf-8")),
        lambda: Call(Name("builtins", "str"), (text.encode(), "ascii")),
        lambda: Call(Name("operator", "getitem"), (text[::-1], Call(Name("builtins", "slice"), (None, None, -1)))),
        lambda: Call(Name("builtins", "str.lower"), (text.upper(),)),
        lambda: Call(Name("builtins", "str.replace"), (f"{text[:cut]}#{text[cut:]}", "#", "")),
    )
    return rng.choice(ways)()


def packed_bytes(data: bytes, rng: random.Random) -> Tree:
    """The bytes as calls would unpack them: encoded, compressed, or both."""
    if rng.random() < 0.4:
        module, packed = rng.choice(
            (
                ("zlib", zlib.compress(data)),
                ("bz2", bz2.compress(data)),
                ("lzma", lzma.compress(data)),
                ("gzip", _gzip(data)),
            )
        )
        if rng.random() < 0.5:
            return Call(Name(module, "decompress"), (packed,))
        encoded = base64.b64encode(packed)
        return Call(Name(module, "decompress"), (Call(Name("base64", "b64decode"), (encoded,)),))
    ways: tuple[Callable[[], Tree], ...] = (
        lambda: Call(Name("base64", "b64decode"), (base64.b64encode(data).decode(),)),
        lambda: Call(Name("base64", "b64decode"), (base64.b64encode(data),)),
        lambda: Call(Name("base64", "b85decode"), (base64.b85encode(data),)),
        lambda: Call(Name("base64", "b32decode"), (base64.b32encode(data),)),
        lambda: Call(Name("binascii", "unhexlify"), (data.hex(),)),
        lambda: Call(Name("binascii", "a2b_base64"), (base64.b64encode(data),)),
        lambda: Call(Name("builtins", "bytes.fromhex"), (data.hex(),)),
        lambda: Call(Name("codecs", "decode"), (base64.b64encode(data), "base64")),
        lambda: Call(Name("_codecs", "encode"), (data.decode("latin-1"), "latin1")),
        lambda: Call(Name("builtins", "bytes"), (list(data),)),
        lambda: Call(Name("builtins", "bytearray"), (list(data),)),
    )
    return rng.choice(ways)()


def _gzip(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=31)
    return packer.compress(data) + packer.flush()
