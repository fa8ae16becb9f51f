"""Gadgets out of the index that ships: callables one of whose arguments decides a harm near by."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterator

from picklegate.capabilities import HARMS, NEAR, Effect, Index
from picklegate.judging import callables

_KINDS = {
    "execute": "source",
    "command": "command",
    "native": "path",
    "unpickle": "pickle",
    "import": "module",
    "network": "url",
    "write": "path",
    "delete": "path",
}
"""Effect -> the kind of argument that decides it (training/arguments.py)."""
_EFFECTS = {"execute": "exec", "command": "exec", "native": "exec", "unpickle": "deserialise", "import": "import",
            "network": "net", "write": "file", "delete": "file"}  # fmt: skip
_WAYS = ("call", "new", "init")
_MOST = 16
"""Callables that are drawn from one package."""
_FARTHEST = 5
"""Position of the last argument that may decide."""

Row = tuple[str, str, str, str, str]


@functools.lru_cache(maxsize=1)
def rows() -> tuple[Row, ...]:
    """(module, name, package, effect, kinds of its arguments), at most _MOST of each package and always the same."""
    index = Index.shipped()
    found: list[Row] = []
    for package in sorted(index.packages()):
        drawn = sorted(_of(index, package), key=lambda row: (zlib.crc32(f"{row[0]}.{row[1]}".encode()), row))
        found += drawn[:_MOST]
    return tuple(found)


def _of(index: Index, package: str) -> Iterator[Row]:
    if callables.is_standard(package) or package == "picklegate":
        return
    for module in index.modules(package):
        for name in sorted(module.summaries):
            summary = index.summary(module, name)
            if summary is None or "." in name or summary.kind not in ("function", "class"):
                continue
            harms = [effect for effect in summary.effects if _decides(effect)]
            if harms:
                effect = min(harms, key=lambda one: (one.chain, HARMS.index(one.kind)))
                position = next(one.position for one in effect.parameters if 0 <= one.position <= _FARTHEST)
                kinds = " ".join((*["none"] * position, _KINDS[effect.kind]))
                yield module.name, name, package, _EFFECTS[effect.kind], kinds


def _decides(effect: Effect) -> bool:
    return (
        effect.kind in _KINDS
        and effect.way in _WAYS
        and effect.chain <= NEAR
        and effect.sink != "registry"
        and any(0 <= one.position <= _FARTHEST and not one.key and one.name != "state" for one in effect.parameters)
    )
