"""Paths of requests -> what of the Hub they name; every path is decoded once and encoded anew."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from picklegate.hub.preview import address

KINDS = ("models", "datasets", "spaces", "kernels")
_FILES = ("resolve", "raw")
_LEFT_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")


class BadPathError(ValueError):
    """A path that servers read in more than one way; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileAddress:
    """A file of a repository at a revision; ``kind`` is one of KINDS."""

    kind: str
    repo: str
    revision: str
    path: str

    @property
    def name(self) -> str:
        """The name in reports, as ``picklegate scan`` takes it."""
        return address(self.repo, self.kind.removesuffix("s"), None, self.path)

    def route(self, revision: str = "") -> str:
        """The encoded path of its ``resolve`` address, at another revision where one is given."""
        prefix = "" if self.kind == "models" else f"{self.kind}/"
        place = quote(revision or self.revision, safe="")
        return f"/{prefix}{quote(self.repo)}/resolve/{place}/{quote(self.path)}"


def segments(raw_path: bytes) -> tuple[str, ...]:
    """The decoded parts of an absolute path; raises BadPathError for one that could lead elsewhere."""
    if not raw_path.startswith(b"/") or len(raw_path) > 4096:
        raise BadPathError("the path must be absolute and at most 4,096 bytes long")
    return tuple(_segment(part) for part in raw_path[1:].split(b"/"))


def _segment(raw: bytes) -> str:
    try:
        text = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise BadPathError("the path is not UTF-8") from None
    if text in ("", ".", "..") or "\\" in text or any(ord(char) < 32 or ord(char) == 127 for char in text):
        raise BadPathError("the path has an empty part, a dot part, a backslash or a control character")
    if _LEFT_ENCODED.search(text):
        raise BadPathError("the path is encoded twice")
    return text


def file_address(parts: tuple[str, ...]) -> FileAddress | None:
    """The file that a path names; None for a path of another form. Raises BadPathError for a slash out of place."""
    if parts[:2] == ("api", "resolve-cache") and len(parts) > 3 and parts[2] in KINDS:
        return _address(parts[2], parts[3:], commit_at=2 if len(parts) > 6 else 1)
    kind, rest = ("models", parts) if parts[0] not in KINDS[1:] else (parts[0], parts[1:])
    for place in (2, 1):
        if len(rest) > place + 2 and rest[place] in _FILES:
            return _address(kind, (*rest[:place], *rest[place + 1 :]), commit_at=place)
    return None


def _address(kind: str, rest: tuple[str, ...], commit_at: int) -> FileAddress | None:
    repo, path = rest[:commit_at], rest[commit_at + 1 :]
    if not path:
        return None
    if any("/" in part for part in (*repo, *path)):
        raise BadPathError("only a revision may hold an encoded slash")
    return FileAddress(kind=kind, repo="/".join(repo), revision=rest[commit_at], path="/".join(path))
