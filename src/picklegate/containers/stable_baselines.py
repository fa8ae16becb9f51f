"""Stable-Baselines zips: JSON whose values may be pickles in base64, which loading the model unpickles."""

from __future__ import annotations

import base64
import binascii
import json
import re

from picklegate.containers.context import Context
from picklegate.containers.source import Source

MEMBER = "data"
_KEY = ":serialized:"
_TEXT = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"[ \t\n\r]*(:?)', re.DOTALL)
"""A text of JSON, and whether it is a key: outside of texts JSON has no quotes, however deep it is nested."""


def read(context: Context, source: Source, path: str, depth: int) -> bool:
    """Open each serialized value of the member; whether there is one.

    The JSON is not parsed: a reader that has more room for recursion than this one would see more.
    """
    data = source.prefix(source.size)
    owner, wanted, known = b"", False, False
    for match in _TEXT.finditer(data):
        text, is_key = match[1], bool(match[2])
        if is_key:
            wanted = _decoded(text) == _KEY
            owner = owner if wanted else text
        elif wanted:
            wanted, known = False, True
            _open_value(context, _decoded(text), f"{path}[{_decoded(owner)}]", depth)
    return known


def _decoded(text: bytes) -> str:
    """A text of JSON without its escapes; what is no valid text stays as it is."""
    plain = text.decode("utf-8", "replace")
    if "\\" not in plain:
        return plain
    try:
        return str(json.loads(f'"{plain}"', strict=False))
    except ValueError:
        return plain


def _open_value(context: Context, text: str, path: str, depth: int) -> None:
    try:
        data = base64.b64decode(text)
    except (ValueError, binascii.Error):
        context.bound("stable-baselines.bad-base64", "a serialized value is no base64", path)
        return
    if context.admits(path):
        context.open(Source(data), f"{path}.pkl", depth + 1)
