"""What stands in the place of the standard library's loaders while a process is guarded.

Each takes what the original takes. It goes straight to the original in a load that was let through already, for data
that the program's own processes send one another, and once no guard is in place; else one pickle is scanned and loaded.
"""

from __future__ import annotations

import functools
import io
import pickle
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from picklegate.guard import load_context
from picklegate.guard.load_context import Load
from picklegate.guard.pickles import approval, one, remembered
from picklegate.guard.scan_before_load import fill, in_place, name_of, path_of
from picklegate.guard.tables import rows
from picklegate.policy import Policy

Current = Callable[[], Policy | None]
"""The policy of the guard that is in place, if one is."""

_CHANNELS: Final = frozenset((row[0], row[1]) for row in rows("channels"))
"""Functions that load what processes of one program send one another, and nothing that a user hands them."""
_LOADERS = ("pickle", __name__)
_FEED = "_picklegate_feed"


def is_own(frame: FrameType | None) -> bool:
    """Whether the code that called a loader loads what processes of one program send one another."""
    name = None
    while frame is not None and (name := frame.f_globals.get("__name__")) in _LOADERS:
        frame = frame.f_back
    if frame is None or (name, frame.f_code.co_name) not in _CHANNELS:
        return False
    # Code that is executed in the name of such a module comes from another file.
    return frame.f_code.co_filename == frame.f_globals.get("__file__")


def _needed(current: Current, frame: FrameType) -> Policy | None:
    """The policy by which data has to be scanned; None where the original is called straight away."""
    return None if load_context.under_way() or is_own(frame) else current()


_NAME = "the pickle given to pickle.loads"


def loads(original: Any, current: Current) -> Any:
    """In the place of pickle.loads."""

    @functools.wraps(original)
    def stand_in(data: Any, /, **options: Any) -> Any:
        policy = current()
        if policy is None or load_context.under_way():
            return original(data, **options)
        # What was met before needs no look at who asks: programs load the same few small pickles again and again.
        approved = remembered(data, _NAME, policy) if type(data) is bytes else None
        if approved is None:
            if is_own(sys._getframe(1)):
                return original(data, **options)
            data = bytes(memoryview(data))
            approved = approval(data, _NAME, policy)
        with Load(approved, policy):
            return original(data, **options)

    return stand_in


def load(original: Any, current: Current) -> Any:
    """In the place of pickle.load."""

    @functools.wraps(original)
    def stand_in(file: Any, **options: Any) -> Any:
        policy = _needed(current, sys._getframe(1))
        if policy is None or not hasattr(file, "readline"):
            return original(file, **options)
        data = one(file)
        with Load(approval(data, name_of(file), policy), policy, path=path_of(file)):
            return original(io.BytesIO(data), **options)

    return stand_in


class _Feed:
    """The file of an unpickler, or in its place what of it was scanned."""

    def __init__(self, file: Any) -> None:
        self.file = self.source = file

    def read(self, size: int) -> bytes:
        return self.source.read(size)  # type: ignore[no-any-return]

    def readinto(self, buffer: Any) -> int:
        return fill(self.source, memoryview(buffer))

    def readline(self) -> bytes:
        return self.source.readline()  # type: ignore[no-any-return]


def _kept(instance: Any) -> dict[str, Any]:
    """The attributes of an instance; none are kept where its class has slots, and the audit hook is left to refuse."""
    return getattr(instance, "__dict__", {})


def unpickler(original: Any, current: Current) -> Any:
    """In the place of pickle.Unpickler, which is written in C and cannot be changed: a class below it."""

    def __init__(self: Any, file: Any, **options: Any) -> None:  # noqa: N807
        if current() is not None and not load_context.under_way() and hasattr(file, "readline"):
            file = _kept(self)[_FEED] = _Feed(file)
        original.__init__(self, file, **options)

    def load(self: Any) -> Any:
        feed = _kept(self).get(_FEED)
        policy = _needed(current, sys._getframe(1))
        if policy is None or feed is None:
            return original.load(self)
        data = one(feed.file)
        with Load(approval(data, name_of(feed.file), policy), policy, path=path_of(feed.file)):
            feed.source = io.BytesIO(data)
            try:
                return original.load(self)
            finally:
                feed.source = feed.file

    # The methods name the original, not super(): classes made before the guard call them on instances of their own.
    names = {"__module__": original.__module__, "__qualname__": original.__qualname__, "__doc__": original.__doc__}
    return type(original.__name__, (original,), {**names, "__init__": __init__, "load": load})


def derived(cls: Any, current: Current) -> dict[str, Any]:
    """The methods for a class derived from the C unpickler before: one pickle is scanned, and loaded in place."""
    before_init, before_load = cls.__init__, cls.load

    @functools.wraps(before_init)
    def __init__(self: Any, *args: Any, **options: Any) -> None:  # noqa: N807
        before_init(self, *args, **options)
        files = (value for value in (*args, *options.values()) if hasattr(value, "readline"))
        _kept(self).setdefault(_FEED, _Feed(next(files, None)))

    @functools.wraps(before_load)
    def load(self: Any) -> Any:
        policy = _needed(current, sys._getframe(1))
        feed = _kept(self).get(_FEED)
        if policy is None or feed is None or not hasattr(feed.file, "seek"):
            return before_load(self)
        start = feed.file.tell()
        data = one(feed.file)
        feed.file.seek(start)
        with Load(approval(data, name_of(feed.file), policy), policy, path=path_of(feed.file)):
            return before_load(self)

    return {"__init__": __init__, "load": load}


def python_load(original: Any, current: Current) -> Any:
    """In the place of the method ``load`` of pickle._Unpickler, on which joblib and pandas build."""

    @functools.wraps(original)
    def load(self: Any) -> Any:
        policy = _needed(current, sys._getframe(1))
        reader = getattr(self, "_file_read", None)
        file: Any = getattr(reader, "__self__", None)
        if policy is None or not hasattr(file, "readline"):
            return original(self)
        if type(self).dispatch is not pickle._Unpickler.dispatch:
            # Its opcodes mean more than pickle's: it reads arrays from the file between them.
            with in_place(file, name_of(file), policy):
                return original(self)
        data = one(file)
        content = io.BytesIO(data)
        with Load(approval(data, name_of(file), policy), policy, path=path_of(file)):
            kept = {name: getattr(self, name) for name in _READERS}
            self.__dict__.update({name: getattr(content, name.rpartition("_")[2]) for name in _READERS})
            try:
                return original(self)
            finally:
                self.__dict__.update(kept)

    return load


_READERS = ("_file_read", "_file_readline")
