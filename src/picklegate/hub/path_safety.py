"""Names that servers give to contents and commits, of which the client makes paths: none may lead out of its place.

A forecast cannot see to that, as the next answer may differ from the one that it was made of.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import PureWindowsPath
from typing import Any
from urllib.parse import urlsplit

from picklegate.audit_log import refused
from picklegate.errors import BlockedError
from picklegate.escape import escape
from picklegate.policy import Policy
from picklegate.report import FileReport, Finding, Verdict

_turn = threading.Lock()
_inside = 0
_plain: list[tuple[Any, str, Callable[..., Any]]] = []
"""Where the client's functions were, under which name; filled while anybody is inside."""


def leaves(name: str, *, windows: bool = os.name == "nt") -> bool:
    """Whether a path that ends in this name, as one part of it, would end somewhere else."""
    parted = not {"/", "\\", "\0"}.isdisjoint(name)
    return not name or name in (".", "..") or parted or climbs(name, windows=windows)


def climbs(path: str, *, windows: bool = os.name == "nt") -> bool:
    """Whether a path below a folder may end outside of it.

    By the rules of Windows that is also a path with a drive or a colon, which names a stream of another file, and a
    part of dots and spaces alone, of which the trailing ones do not count.
    """
    parts = path.replace("\\", "/").split("/")
    if ".." in parts:
        return True
    dots = any(len(part) > 1 and not part.strip(". ") for part in parts)
    return windows and (":" in path or dots or bool(PureWindowsPath(path).anchor))


def hostile(name: str, *, size: int = 0) -> FileReport:
    """The report on a file of this address that a server names so."""
    message = "the server names the file so that the client would write it somewhere else"
    finding = Finding(code="hub.hostile-name", verdict=Verdict.MALICIOUS, message=message)
    return FileReport(name=name, container="unknown", size=size, findings=(finding,))


@contextlib.contextmanager
def checked_names(address: str, policy: Policy) -> Iterator[None]:
    """A stretch in which the client, in all threads, raises BlockedError for such a name before it uses it.

    ``address`` is what is downloaded, as reports name it.
    """
    global _inside  # noqa: PLW0603 - the client is one for all, and so is the count of those who use it
    with _turn:
        _inside += 1
        if _inside == 1:
            _install()
    try:
        yield
    except _LeavingError as error:
        message = f"{escape(address)} is refused (MALICIOUS): {error}.\nNothing of it was kept."
        raise refused(BlockedError(hostile(address), message), policy) from error
    finally:
        with _turn:
            _inside -= 1
            if not _inside:
                while _plain:
                    owner, name, function = _plain.pop()
                    setattr(owner, name, function)


class _LeavingError(ValueError):
    """A server gave such a name; the message quotes it."""


def _install() -> None:
    from huggingface_hub import HfApi, file_download

    owners: tuple[tuple[Any, str], ...] = ((file_download, "get_hf_file_metadata"), (HfApi, "repo_info"))
    for owner, name in owners:
        function = vars(owner)[name]
        _plain.append((owner, name, function))
        setattr(owner, name, _checking(function))


def _checking(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def checking(*args: Any, **kwargs: Any) -> Any:
        told = function(*args, **kwargs)
        for name in ("etag", "commit_hash", "sha"):
            value = getattr(told, name, None)
            if isinstance(value, str) and leaves(value):
                raise _LeavingError(f"the server calls it {escape(repr(value), 80)}, which would be a path elsewhere")
        # What a server has under such a path, clients before 1.0 write where it leads.
        listed = [file.rfilename for file in getattr(told, "siblings", None) or ()]
        address = str(kwargs.get("url") or "".join(map(str, args[:1])))
        if any(map(climbs, listed)) or climbs(urlsplit(address).path, windows=False):
            raise _LeavingError("a name that the server has in the repository would be a path elsewhere")
        return told

    return checking
