"""Arguments of harmful calls as those write them who know that texts are looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from picklegate.training.lists import words
from picklegate.training.tree import Build, Call, Name, Tree

if TYPE_CHECKING:
    import random

_SHARE = 0.25
"""Share of the texts that are wrapped."""
_DULL = (9, 30, 120)
"""Dull texts that stand beside a telling one."""


def wrapped(values: tuple[Tree, ...], rng: random.Random) -> tuple[Tree, ...]:
    """The arguments, with some of the texts in a wrapping that gives the callee the same text."""
    return tuple(_wrap(value, rng) if isinstance(value, str) and rng.random() < _SHARE else value for value in values)


def crowded(values: tuple[Tree, ...], rng: random.Random) -> tuple[Tree, ...]:
    """The arguments, with dull ones beside the items of a list or dict, or behind them all."""
    if rng.random() >= _SHARE / 2:
        return values
    dull = [rng.choice(words()) + str(number) for number in range(rng.choice(_DULL))]
    out: list[Tree] = []
    for value in values:
        if isinstance(value, list):
            out.append([*value, *dull])
        elif isinstance(value, dict):
            out.append({**value, **dict.fromkeys(dull, "v")})
        else:
            out.append(value)
    return (*out, dull) if rng.random() < _SHARE else tuple(out)


def _wrap(text: str, rng: random.Random) -> Tree:
    encoding = rng.choice(("utf-16", "utf-32", "utf-8", "utf-16-le"))
    raw = text.encode(encoding, "replace")
    ways: tuple[Any, ...] = (
        lambda: Call(Name("builtins", "str"), (Call(Name("builtins", "memoryview"), (raw,)), encoding)),
        lambda: Call(Name("builtins", "str"), (Call(Name("builtins", "bytearray"), (raw,)), encoding)),
        lambda: Call(
            Name("builtins", "str"), (Call(Name("builtins", rng.choice(("ValueError", "KeyError"))), (text,)),)
        ),
        lambda: _scalar(text),
        lambda: _array(text),
        lambda: [text],
        lambda: text + "\0",
    )
    return rng.choice(ways)()


def _dtype(text: str) -> Tree:
    dtype = Call(Name("numpy", "dtype"), (f"U{len(text)}", False, True))
    return Build(dtype, (3, "<", None, None, None, -1, -1, 0))


def _scalar(text: str) -> Tree:
    raw = text.encode("utf-32-le", "replace")
    return Call(Name("numpy._core.multiarray", "scalar"), (_dtype(text), raw))


def _array(text: str) -> Tree:
    made = Call(Name("numpy._core.multiarray", "_reconstruct"), (Name("numpy", "ndarray"), (0,), b"b"))
    return Build(made, (1, (1,), _dtype(text), False, text.encode("utf-32-le", "replace")))
