"""Stable-Baselines zips: JSON whose values may be pickles in base64, which loading the model unpickles."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from picklegate.containers.context import Walk
from picklegate.containers.source import Source

MEMBER = "data"
_KEY = ":serialized:"
_MOST = 1 << 24


def read(walk: Walk, source: Source, path: str, depth: int) -> bool:
    """Open each serialized value of the member; False where the member is no such JSON."""
    if not source.read(0, 64).lstrip().startswith(b"{"):
        return False
    if source.size > _MOST:
        walk.bound("limit.json", f"its JSON is longer than {_MOST:,} bytes", path)
        return False
    values: list[tuple[str, str]] = []

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Keep what a dict would lose: keys that are given twice."""
        for key, value in pairs:
            if isinstance(value, dict) and _KEY in value:
                values.extend((key, text) for text in value[_KEY])
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key == _KEY:
                found.setdefault(_KEY, []).append(value)
            else:
                found[key] = value
        return found

    try:
        json.loads(source.read(0, source.size), object_pairs_hook=collect)
    except (ValueError, RecursionError):
        return False
    for key, text in values:
        try:
            data = base64.b64decode(text)
        except (TypeError, ValueError, binascii.Error):
            walk.bound("stable-baselines.bad-base64", "a serialized value is no base64", f"{path}[{key}]")
            continue
        walk.open(Source(data), f"{path}[{key}].pkl", depth + 1)
    return bool(values)
