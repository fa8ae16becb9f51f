"""joblib.load and numpy.load behind the gate."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, BinaryIO

from picklegate.guard.approval import Approval
from picklegate.guard.load_context import Load, unchanged
from picklegate.guard.scan_before_load import File, held, name_of, opened, path_of, scanned
from picklegate.policy import Policy, PolicyOption, chosen


def safe_joblib_load(filename: File, mmap_mode: Any = None, *, policy: PolicyOption = None, **options: Any) -> Any:
    """Load what joblib.dump wrote, after a scan; takes what joblib.load takes.

    Raises BlockedError if the policy blocks the file, before anything in it runs, and at the first import that
    the scan did not see, in the pickles of its object arrays too. With ``mmap_mode`` joblib opens the path itself:
    the load fails if another file stands there by then.
    """
    import joblib

    with contextlib.ExitStack() as stack:
        content, load = _readied(filename, mmap_mode, chosen(policy), stack)
        with load:
            return joblib.load(content, mmap_mode, **options)


def safe_numpy_load(
    file: File,
    mmap_mode: Any = None,
    allow_pickle: bool = True,  # noqa: FBT001, FBT002  the place that numpy.load gives it
    *,
    policy: PolicyOption = None,
    **options: Any,
) -> Any:
    """Load what numpy.save or savez wrote, or an array's pickle, after a scan; takes what numpy.load takes.

    Objects are allowed unless ``allow_pickle`` says no. Raises BlockedError if the policy blocks the file, before
    anything in it runs, and at the first import that the scan did not see: of an archive, when the member is asked for.
    """
    import numpy as np

    with contextlib.ExitStack() as stack:
        content, load = _readied(file, mmap_mode, chosen(policy), stack)
        with load:
            loaded = np.load(content, mmap_mode, allow_pickle, **options)
        if isinstance(loaded, np.lib.npyio.NpzFile):
            loaded.__class__ = _guarded(type(loaded), load, stack.pop_all())
        return loaded


def _guarded(archive: type[Any], load: Load, opening: contextlib.ExitStack) -> type[Any]:
    """A kind of archive that reads its members, which it does when they are asked for, in that load."""

    class NpzFile(archive):  # type: ignore[misc]
        def __getitem__(self, key: str) -> Any:
            with load:
                return super().__getitem__(key)

        def close(self) -> None:
            super().close()
            opening.close()

    return NpzFile


def _readied(f: File, mmap_mode: str | None, policy: Policy, stack: contextlib.ExitStack) -> tuple[Any, Load]:
    """What a loader is to be given, and the load to do that in; a path where it has to open the file itself."""
    file = stack.enter_context(opened(f))
    path = path_of(f)
    if path is None or not isinstance(f, (str, os.PathLike)):
        return stack.enter_context(held(file, name_of(f), policy))
    if mmap_mode is None and not _is_old_joblib(file):
        content, load = stack.enter_context(held(file, name_of(f), policy))
        if not load.asks_for(_IN_OTHER_FILES):
            return content, load
        file.seek(0)
    still, same = unchanged(file), os.fstat(file.fileno())
    approval = Approval(scanned(file, name_of(f), policy), lambda: (Path(path).read_bytes(),))
    mapped = path if mmap_mode in ("r+", "w+") else None
    return f, Load(
        approval,
        policy,
        path=path,
        unchanged=lambda: still() and os.path.samestat(same, os.stat(f)),
        mapped=mapped,
    )


_IN_OTHER_FILES = frozenset({"NDArrayWrapper", "ZNDArrayWrapper"})
"""What joblib before 0.10 wrote for an array in a file beside, which today's finds by the path."""


def _is_old_joblib(file: BinaryIO) -> bool:
    """Whether joblib before 0.10 compressed the file: today's opens its path itself."""
    begin = file.read(2)
    file.seek(-len(begin), os.SEEK_CUR)
    return begin == b"ZF"
