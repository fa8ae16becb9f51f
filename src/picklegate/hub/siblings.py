"""What lies beside a file in a repository: the same weights as safetensors, and code that nobody judges here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from posixpath import basename, dirname

_WEIGHTS = re.compile(
    r"(?P<stem>.+?)(?:-(?P<number>\d{5})-of-(?P<count>\d{5}))?\.(?P<kind>bin|pt|pth|ckpt|pkl|pickle|safetensors)"
    r"(?P<index>\.index\.json)?"
)
_CODE = (".py", ".pyc", ".so", ".pyd", ".dll", ".dylib", ".sh")


def pickled_twins(paths: Iterable[str]) -> dict[str, str]:
    """Pickled weights of which a complete safetensors copy is among the paths -> a file of that copy.

    The names are those that transformers, diffusers and peft give: ``pytorch_model.bin`` is ``model.safetensors``, in
    shards or not; other names differ in their endings only. The index of left-out shards is left out with them.
    """
    pickled: list[tuple[str, tuple[str, str]]] = []
    copies: dict[tuple[str, str], dict[tuple[str, str], str]] = {}
    for path in paths:
        match = _WEIGHTS.fullmatch(basename(path))
        if match is None:
            continue
        key = dirname(path), match["stem"].removeprefix("pytorch_")
        if match["kind"] != "safetensors":
            pickled.append((path, key))
        elif not match["index"]:
            copies.setdefault(key, {})[match["number"] or "", match["count"] or ""] = path
    whole = {key: min(found.values()) for key, found in copies.items() if _complete(found)}
    return {path: whole[key] for path, key in pickled if key in whole}


def _complete(shards: Iterable[tuple[str, str]]) -> bool:
    """Whether one file is all, or each shard of the number that the shards name is there."""
    found = set(shards)
    counts = {count for _, count in found if count}
    return ("", "") in found or any(
        {number for number, count in found if count == one} >= {f"{n:05}" for n in range(1, int(one) + 1)}
        for one in counts
    )


def code_beside(paths: Iterable[str]) -> tuple[str, ...]:
    """The files that hold code, which ``trust_remote_code`` would run and picklegate does not judge."""
    return tuple(sorted(path for path in paths if path.endswith(_CODE)))
