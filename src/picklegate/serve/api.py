"""Answers of the Hub's API on their way through: what would lead a client around the gate is taken out."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlsplit

from picklegate.serve.addresses import KINDS

_NEXT = re.compile(r'<([^<>]+)>\s*;\s*rel="?next"?')
_XET = re.compile(r"xet", re.IGNORECASE)
_READ = (*KINDS, "collections", "whoami-v2", "organizations", "users", "papers", "daily_papers")
"""What clients read below ``/api``."""


def refusal(method: str, parts: tuple[str, ...]) -> tuple[int, str] | None:
    """Why a call of the API is not passed on, with the status that says so; None where it is."""
    if any(part.startswith("xet-") for part in parts):
        return 403, "the gate does not speak Xet: set HF_HUB_DISABLE_XET=1"
    if parts[1] == "buckets":
        return 403, "buckets are fetched through Xet, which the gate does not speak"
    if method == "POST" and "paths-info" not in parts[2:]:
        return 403, "the gate only reads: write to the Hub itself"
    if parts[1] not in _READ:
        return 404, "the gate does not pass this call on"
    return None


def rewritten(body: bytes) -> bytes:
    """A JSON answer without what names Xet contents; raises ValueError where it is no JSON."""
    try:
        return json.dumps(_without_xet(json.loads(body))).encode()
    except RecursionError:
        raise ValueError("the answer is nested too deep") from None


def _without_xet(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_xet(item) for name, item in value.items() if not _XET.match(name)}
    if isinstance(value, list):
        return [_without_xet(item) for item in value]
    return value


def next_page(link: str, public_url: str) -> str | None:
    """The ``Link`` to the next page, at the gate's own address; every other relation is dropped."""
    match = _NEXT.search(link)
    if match is None:
        return None
    parts = urlsplit(match[1])
    if not parts.path.startswith("/api/") or any(char in match[1] for char in "\r\n"):
        return None
    query = f"?{parts.query}" if parts.query else ""
    return f'<{public_url}{parts.path}{query}>; rel="next"'
