"""What well-known callables take: a call that the real one refuses is a call of something else under its name.

``data/contracts.tsv`` says for each position what is accepted: ``t`` text, ``w`` one word, ``y`` a type, ``m`` a
number as text,
``b`` bytes, ``B`` at most ten bytes, ``n`` number, ``N`` None, ``s`` tuple, ``l`` list, ``d`` dict, ``S`` set, ``#``
no text in these, ``g`` an imported object, ``-`` no literal, ``*`` anything here and behind, ``+`` the same again.
Results of other calls are accepted everywhere.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from picklegate.judging import argparser_source, callables, graph_modules
from picklegate.pickles import Dict, Event, Global, Set
from picklegate.pickles.values import attributes

_WORD = re.compile(r"[\w.:+<>=|\[\]/?-]{0,64}", re.ASCII)
_NUMBER = re.compile(
    r"[+-]?\s*(\d[\d_]*)?(\.\d*)?([eE][+-]?\d+)?(/\d+)?j?|[+-]?s?(NaN|Inf(inity)?)\d*", re.ASCII | re.IGNORECASE
)
_TYPE = re.compile(r"[\w\[\], .()]{0,400}", re.ASCII)
_SHORT = 10
_NUMBERS_ONLY = frozenset("n#")
_DULL = frozenset("gnsN-w#")
"""What positions accept that can hold a word at most."""
"""Of positions that take a number, or a list or tuple of numbers (``#``), also the items are looked at."""
_LETTERS: dict[type, str] = {
    bool: "n", int: "n", float: "n", type(None): "N", tuple: "s", list: "l", Dict: "d", Set: "S", Global: "g",
}  # fmt: skip
_NAMES = {"t": "a text", "b": "bytes", "n": "a number", "N": "None", "s": "a tuple", "l": "a list", "d": "a dict",
          "S": "a set", "g": "an imported object"}  # fmt: skip


@lru_cache(maxsize=1)
def _contracts() -> tuple[tuple[re.Pattern[str], tuple[str, ...], str], ...]:
    rows = callables.table("contracts")
    return tuple((re.compile(row["pattern"]), tuple(row["accepts"].split()), row["why"]) for row in rows)


@lru_cache(maxsize=4096)
def _contract(known: str) -> tuple[tuple[str, ...], str] | None:
    found = ((accepts, why) for pattern, accepts, why in _contracts() if pattern.fullmatch(known))
    return next(found, None)


def refusal(event: Event) -> str:
    """Why the real callable would refuse the call, in words; empty where it would not, or where it is not known."""
    if event.kind == "state":
        return _of_state(event)
    if event.unresolved or type(event.callee) is not Global:
        return ""
    if event.known == "torch.fx.graph_module.reduce_graph_module":
        return graph_modules.refusal(event.args)
    contract = _contract(event.known)
    if contract is None or (event.kind == "construct" and not event.args):
        return ""
    accepts, why = contract
    for position, value in enumerate(event.args):
        letters = _at(accepts, position)
        if letters == "*":
            return ""
        if not _accepted(value, letters):
            return f"its argument {position} is {_NAMES[_letter(value)]}, and the real one takes {why}"
        if type(value) in (list, tuple) and not _NUMBERS_ONLY.isdisjoint(letters) and _holds_text(value):
            return f"its argument {position} holds a text, and the real one takes {why}"
    return ""


def settles(event: Event) -> bool:
    """Whether a contract accepts every argument of a call, and none of them could hold a command or code."""
    contract = _contract(event.known) if event.kind == "call" and not event.unresolved else None
    if contract is None or event.kwargs or not event.args:
        return False
    letters = [_at(contract[0], position) for position in range(len(event.args))]
    if not all(one and _DULL.issuperset(one) for one in letters) or refusal(event):
        return False
    return not any(type(value) in (list, tuple) and _holds_text(value) for value in event.args)


def _of_state(event: Event) -> str:
    if not event.known.startswith("scipy.stats."):
        return ""
    source = attributes(event.args[0] if len(event.args) == 1 else event.args).get(argparser_source.KEY)
    if source is None:
        return ""
    return argparser_source.refusal(source) if isinstance(source, str) else "the source that it runs cannot be resolved"


def accepts_state(event: Event, key: str) -> bool:
    """Whether the part of a state that decides an effect is one that its contract has read and accepts."""
    return key == argparser_source.KEY and event.known.startswith("scipy.stats.") and not _of_state(event)


def _at(accepts: tuple[str, ...], position: int) -> str:
    """What is accepted at a position; ``""`` accepts nothing."""
    if position < len(accepts) and accepts[position] != "+":
        return accepts[position]
    if accepts and accepts[-1] == "+":
        return accepts[-2]
    return "*" if accepts and accepts[-1] == "*" else ""


def _letter(value: Any) -> str:
    if isinstance(value, str):
        return "t"
    return "b" if isinstance(value, bytes) else _LETTERS.get(type(value), "")


def _accepted(value: Any, letters: str) -> bool:
    letter = _letter(value)
    if not letter or letter in letters:
        return True
    if isinstance(value, str):
        word = "w" in letters and _WORD.fullmatch(value) is not None
        if "y" in letters:
            return _TYPE.fullmatch(value) is not None
        number = "m" in letters and _NUMBER.fullmatch(value) is not None
        return word or number or ("B" in letters and len(value) <= _SHORT)
    return isinstance(value, bytes) and "B" in letters and len(value) <= _SHORT


def _holds_text(value: Any) -> bool:
    return any(isinstance(item, (str, bytes)) for item in value)
