"""Locks between processes, by lock files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def file_lock(lock: Path) -> Iterator[None]:
    """Wait until no other thread or process has the turn; where the lock cannot be made there is nothing to write."""
    from huggingface_hub.utils._fixes import WeakFileLock

    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            lock.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(WeakFileLock(lock))
        yield
