"""Callables of the index whose arguments decide a harm, as the gadgets that hostile samples are made of (mined.tsv)."""

from __future__ import annotations

from collections.abc import Iterator

from picklegate.capabilities.effects import NEAR, Effect, Parameter, Summary
from picklegate.capabilities.index import Index
from picklegate.training.lists import rows

Row = tuple[str, str, str, str, str, str]
"""Module, name, package, effect, kinds of its arguments, what reaches what."""

_EFFECTS = {
    "execute": "exec", "command": "exec", "native": "exec", "unpickle": "deserialise", "import": "import",
    "network": "net", "write": "file", "delete": "file",
}  # fmt: skip
_ARGUMENTS = {
    "execute": "source", "command": "command", "native": "path", "unpickle": "path", "import": "module",
    "network": "url", "write": "path", "delete": "path",
}  # fmt: skip
"""What decides each effect, where sinks.tsv does not say it of the primitive."""
_PREFERENCE = ("exec", "deserialise", "import", "net", "file")
_MOST = 7
"""Arguments of a callable, beyond which it is left out."""
_SHARE = {"exec": 14, "deserialise": 8, "import": 6, "net": 6, "file": 8}
"""How many callables of each effect are kept of one package."""


def of_package(top: str, package: str, *, index: Index | None = None) -> list[Row]:
    """The gadgets kept of one top-level package: plain functions before classes and methods, public before private."""
    order = {"function": 0, "class": 1, "unbound": 2}
    found = sorted(
        _of_package(index or Index.shipped(), top, package),
        key=lambda item: (order[item[0]], "._" in f".{item[1][0]}.{item[1][1]}", item[1][0].count("."), item[1][:2]),
    )
    left = dict(_SHARE)
    kept = []
    for _, row in found:
        if left[row[3]] > 0:
            left[row[3]] -= 1
            kept.append(row)
    return kept


def _of_package(index: Index, top: str, package: str) -> Iterator[tuple[str, Row]]:
    for module in index.modules(top):
        for name in module.summaries:
            summary = index.summary(module, name)
            row = _row(module.name, name, package, summary) if summary is not None else None
            if row is not None and summary is not None:
                yield ("unbound" if summary.binding == "unbound" else summary.kind), row


def _row(module: str, name: str, package: str, summary: Summary) -> Row | None:
    """A callable as a row; None if no argument of a plain call decides a harm."""
    if summary.kind not in {"function", "class"}:
        return None
    deciding = [
        (effect, parameter)
        for effect in summary.effects
        if effect.kind in _EFFECTS and effect.chain <= NEAR and effect.way in {"call", "new", "init"}
        for parameter in effect.parameters
        if parameter.position >= 0 and parameter.name != "self"
    ]
    if not deciding:
        return None
    effect, parameter = min(deciding, key=_rank)
    kinds = ["none"] * parameter.position + [_argument(effect)]
    if summary.binding == "unbound":
        kinds[0] = "self"
    reaches = " ".join(dict.fromkeys(f"{one.position}:{item.sink}" for item, one in deciding if item.sink))
    return (module, name, package, _EFFECTS[effect.kind], " ".join(kinds), reaches) if len(kinds) <= _MOST else None


def _rank(pair: tuple[Effect, Parameter]) -> tuple[int, int, int]:
    effect, parameter = pair
    return _PREFERENCE.index(_EFFECTS[effect.kind]), effect.chain, parameter.position


def _argument(effect: Effect) -> str:
    known = {row["primitive"]: row["argument"] for row in rows("sinks.tsv")}
    return known.get(effect.sink, _ARGUMENTS[effect.kind])
