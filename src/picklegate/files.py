"""Files and directories that belong to the user alone: made without following links, refused where others can write."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

_POSIX = os.name == "posix"
_OWN_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class ForeignFileError(OSError):
    """A file or directory is a link, belongs to somebody else, or can be written by others."""


def private_directory(path: Path) -> Path:
    """Make a directory for the user alone, if it is not there; raises OSError unless it is one.

    The directory itself may be no link. What leads to it may have links: those are the user's own.
    """
    if not os.path.lexists(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # What another process makes in between is looked at like what was there.
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
    _own(path, os.lstat(path), stat.S_ISDIR)
    return path


def private_file(path: Path) -> None:
    """Make an empty file for the user alone, if it is not there; raises OSError unless it is one."""
    os.close(open_private(path, os.O_RDWR | os.O_CREAT))


def open_private(path: Path, flags: int) -> int:
    """A descriptor of a regular file of the user's own, which is no link; raises OSError for any other.

    Nothing is truncated before the file is known to be one: ``flags`` may not have O_TRUNC.
    """
    descriptor = os.open(path, flags | _OWN_FLAGS | getattr(os, "O_NONBLOCK", 0), 0o600)
    try:
        _own(path, os.fstat(descriptor), stat.S_ISREG)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def read_private(path: Path, most: int) -> bytes:
    """The content of a file of the user's own; raises OSError for any other, and for one above ``most`` bytes."""
    with os.fdopen(open_private(path, os.O_RDONLY), "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ForeignFileError(f"{path} has more than {most:,} bytes")
    return data


def _own(path: Path, entry: os.stat_result, is_kind: Callable[[int], bool]) -> None:
    """Raise ForeignFileError where ``entry``, which is what ``path`` is, is of another kind or not the user's alone."""
    if not is_kind(entry.st_mode):
        raise ForeignFileError(f"{path} is {'a link' if stat.S_ISLNK(entry.st_mode) else 'of another kind'}: remove it")
    if _POSIX:
        if entry.st_uid not in (os.geteuid(), 0):
            raise ForeignFileError(f"{path} belongs to another user: remove it, or name another directory")
        if entry.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ForeignFileError(f"{path} can be written by others: take that right away (chmod go-w) or remove it")
