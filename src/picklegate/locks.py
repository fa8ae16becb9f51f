"""Locks between processes, by lock files."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from picklegate.files import ForeignFileError


@contextlib.contextmanager
def file_lock(lock: Path) -> Iterator[None]:
    """Wait until no other thread or process has the turn; where the lock cannot be made there is nothing to write.

    Raises OSError where the lock is a link or no regular file: locking would empty what it leads to.
    """
    from huggingface_hub.utils._fixes import WeakFileLock

    with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        if not stat.S_ISREG(os.lstat(lock).st_mode):
            raise ForeignFileError(f"{lock} is not a lock file: remove it")
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            lock.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(WeakFileLock(lock))
        yield
