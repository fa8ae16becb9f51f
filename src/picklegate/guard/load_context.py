"""A guarded load: its thread imports what the scan listed, and brings about no effect, as far as an interpreter sees.

CPython raises the audit event ``pickle.find_class`` in the C and in the Python unpickler, whoever called them and
however deep (https://docs.python.org/3/library/pickle.html#pickle.Unpickler.find_class), and others before what acts on
the world. One audit hook therefore holds every loader to the list and to the rules of ``effects``: torch's, joblib's
and numpy's, and those that a stream itself calls.
"""

from __future__ import annotations

import contextlib
import copyreg
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from types import FrameType, TracebackType
from typing import Any, BinaryIO, NoReturn

from picklegate.audit_log import refused
from picklegate.errors import BlockedError
from picklegate.escape import escape
from picklegate.guard import effects, module_origin, refusals, silent_calls
from picklegate.guard.approval import HARMLESS, Approval, holds
from picklegate.guard.lazy_imports import LazyImports
from picklegate.guard.walls import Walls
from picklegate.policy import Effect, Policy

_log = logging.getLogger("picklegate.guard")


class _Thread(threading.local):
    load: Load | None = None


_thread = _Thread()
_hooked = threading.Lock()
backstops: list[Callable[[str, str], None]] = []
"""Asked, the last one only, about each import of an unpickler outside any load that was let through."""
log_only: list[bool] = []
"""Whether effects are written to the log and let happen, by the guard put in place last."""
_clear_extension_cache = copyreg.clear_extension_cache


class Load:
    """A context in which an approved artifact is loaded; leaving it raises what it refused, however caught."""

    # Small pickles are loaded often: what is seldom needed has its first value from the class.
    _path: str | None = None
    _mapped: str | None = None
    _unchanged: Callable[[], bool] | None = None
    _refusal: BlockedError | None = None
    _admitted: set[tuple[str, str]] | None = None
    _walls: Walls | None = None
    _deciding = False
    _finding = False

    def __init__(
        self,
        approval: Approval,
        policy: Policy,
        *,
        path: str | None = None,
        unchanged: Callable[[], bool] | None = None,
        mapped: str | None = None,
    ) -> None:
        """``path`` is where the artifact lies, if it does; ``unchanged`` tells if it is still what was scanned.

        ``mapped`` is the path of a file that the caller wants mapped, and may have written to.
        """
        self._approval = approval
        self._policy = policy
        self._outer: list[Load | None] = []
        if path is not None:
            self._path = path
        if unchanged is not None:
            self._unchanged = unchanged
        if mapped is not None:
            self._mapped = mapped

    def __enter__(self) -> None:
        """Hold this thread to the list and to the rules."""
        hook()
        # What an extension code resolved to before is handed out without asking for its name.
        _clear_extension_cache()
        self._outer.append(_thread.load)
        _thread.load = self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go; what was refused ends the load even where a loader caught the error."""
        if self._walls is None and self._refusal is None and self._unchanged is None:
            _thread.load = self._outer.pop()
            return
        try:
            with contextlib.suppress(BlockedError):
                self._keep_builtins()
            if self._refusal is None and error is None:
                with contextlib.suppress(BlockedError):
                    self._check_unchanged("the end of the load")
            if trace is not None and self._refusal is not None:
                # Whatever the stream has made goes away while nothing can come of it.
                traceback.clear_frames(trace)
            self._lower_walls()
        finally:
            _thread.load = self._outer.pop()
        if self._refusal is None:
            return
        with outside():  # the log of decisions is the gate's own to write
            refused(self._refusal, self._policy)
        if error is not self._refusal:
            raise self._refusal from error

    def admit(self, module: str, name: str, /) -> None:
        """Let an unpickler import ``name`` of ``module``, or raise BlockedError, then and ever after."""
        if self._refusal is not None:
            raise self._refusal
        pair = (module, name)
        admitted = self._admitted
        if admitted is None:
            admitted = self._admitted = set()
        listed = pair in self._approval.names
        if listed and self._unchanged is None:
            if pair in admitted:
                return
            if pair in HARMLESS and module_origin.is_as_before(module, name):
                admitted.add(pair)
                return
        shown = escape(f"{module}.{name}", 200)
        if not listed and f"{module}.{name}" not in self._policy.allow_imports:
            self._refuse(refusals.unseen_import(shown, self._approval.report))
        self._check_unchanged(f"the import of {shown}")
        if pair in admitted:
            return
        if pair not in HARMLESS:
            self._raise_walls()
        self._check_origin(module, name, shown)
        admitted.add(pair)

    def admit_all(self, names: Iterable[tuple[str, str]]) -> None:
        """Look at names beforehand that a loader will not ask for one by one; raises as ``admit`` does."""
        for module, name in names:
            self.admit(module, name)

    def admit_module(self, name: str) -> bool:
        """Let the load import a module that the scan did not list, or raise BlockedError; no, if asked in here."""
        if self._finding:
            return False
        self._finding = True
        try:
            with self._at_work():
                fault = module_origin.lazy_fault(name, module_origin.homes(self._path))
        finally:
            self._finding = False
        if fault:
            self._refuse_effect("import", f"{name}, {fault}", sys._getframe())
        return True

    def asks_for(self, names: frozenset[str]) -> bool:
        """Whether the scan has listed one of these names, of whatever module."""
        return any(name in names for _, name in self._approval.names)

    def meet(self, event: str, args: tuple[Any, ...], frame: FrameType) -> None:
        """Let an audit event happen, or raise BlockedError, then and ever after."""
        if self._deciding:
            if effects.acts(event, args):
                self._refuse_effect("state", effects.shown(event, args), None)
            return
        if event == "import":
            self._raise_walls()
        with self._at_work():
            scope = effects.Scope(
                beside=module_origin.homes(self._path), mapped=self._mapped, was_scanned=self._was_scanned
            )
            kind = effects.refused(event, args, frame, scope)
        if kind is not None:
            self._refuse_effect(kind, effects.shown(event, args), frame)

    def meet_silent(self, name: str, kind: Effect, frame: FrameType) -> None:
        """Refuse a call that raises no audit event; ``frame`` is where it is made."""
        with self._at_work():
            excused = effects.is_exception(name, kind, frame)
        if not excused:
            self._refuse_effect(kind, name, frame)

    def check_state(self) -> None:
        """Undo what the load has changed of the process so far, and refuse it."""
        self._keep_builtins()
        changes = self._walls.changes() if self._walls is not None else []
        if not changes or "state" in self._policy.allow_effects:
            return
        if not _only_logs():
            for _, restore in changes:
                restore()
        self._refuse_effect("state", ", ".join(dict.fromkeys(words for words, _ in changes)), None)

    def refresh(self) -> None:
        """Take the state of the process as it is, after an import that changed it."""
        if self._walls is not None:
            self._walls.refresh()

    def _check_origin(self, module: str, name: str, shown: str) -> None:
        with self._at_work() if module_origin.is_imported(module) else _importing():
            fault = module_origin.fault(module, name, module_origin.homes(self._path))
            silent = None if fault else silent_calls.is_silent(module_origin.imported(module, name))
        if fault:
            self._refuse(refusals.foreign_module(shown, fault))
        if silent is not None:
            self.meet_silent(*silent, sys._getframe())

    @contextlib.contextmanager
    def _at_work(self) -> Iterator[None]:
        """A stretch in which the guard itself decides: it reads, and whatever it calls can do no more than that."""
        self._keep_builtins()
        before, self._deciding = self._deciding, True
        try:
            yield
        finally:
            self._deciding = before

    def _keep_builtins(self) -> None:
        """Put built-in names back before they are used here; that they were changed ends the load."""
        if self._walls is not None and self._walls.keep_builtins():
            self._refuse_effect("state", "the built-in names", None)

    def _was_scanned(self, wanted: str | bytes) -> bool:
        return holds(self._approval, wanted)

    def _raise_walls(self) -> None:
        """Import what the scan lists, stop what raises no event, and note what the process is like."""
        if self._walls is not None:
            return
        with outside():
            for module, name in sorted(self._approval.names):
                module_origin.fault(module, name, module_origin.homes(self._path))
            self._walls = Walls(_meet_silent, _lazy_imports)

    def _lower_walls(self) -> None:
        walls = self._walls
        if walls is None:
            return
        try:
            with contextlib.suppress(BlockedError):
                self.check_state()
        finally:
            self._walls = None
            with outside():
                walls.lower()

    def _check_unchanged(self, moment: str) -> None:
        if self._unchanged is not None and not self._unchanged():
            self._refuse(refusals.changed(moment))

    def _refuse_effect(self, kind: Effect, what: str, frame: FrameType | None) -> None:
        if kind in self._policy.allow_effects:
            return
        if _only_logs():
            name = escape(self._approval.report.name)
            _log.warning("%s: loading it would %s: %s", name, effects.WORDS[kind], escape(what, 200))
            return
        if self._refusal is not None:
            raise self._refusal
        self._refuse(refusals.effect(kind, what, frame, self._approval.report))

    def _refuse(self, refusal: refusals.Refusal) -> NoReturn:
        self._refusal = refusal.of(self._approval.report)
        raise self._refusal


def _only_logs() -> bool:
    return bool(log_only) and log_only[-1]


@contextlib.contextmanager
def outside() -> Iterator[None]:
    """A stretch of this thread that belongs to no load: importing a module may load what is the module's own."""
    before, _thread.load = _thread.load, None
    try:
        yield
    finally:
        _thread.load = before


@contextlib.contextmanager
def _importing() -> Iterator[None]:
    """A stretch in which a module is imported, whose changes of the process are its own."""
    load = _thread.load
    if load is not None:
        load.check_state()
    with outside():
        yield
    if load is not None:
        load.refresh()


def _admit_module(name: str) -> bool:
    load = _thread.load
    return load is not None and load.admit_module(name)


_lazy_imports = LazyImports(_admit_module, _importing)


def _meet_silent(name: str, kind: Effect) -> None:
    load = _thread.load
    if load is not None:
        load.meet_silent(name, kind, sys._getframe(2))


def refuse_in_a_load() -> None:
    """Raise where a load would put a guard in place or take it away."""
    load = _thread.load
    if load is not None:
        load.meet_silent("picklegate.guard", "state", sys._getframe(1))


def under_way() -> bool:
    """Whether a load of this thread was let through, and is not over."""
    return _thread.load is not None


def hook() -> None:
    """Add the audit hook; it stays for the life of the process, and does nothing outside loads."""
    if not _hooked.locked() and _hooked.acquire(blocking=False):
        sys.addaudithook(_audit)


def _audit(event: str, args: tuple[Any, ...]) -> None:
    load = _thread.load
    if load is not None:
        if event == "pickle.find_class":
            load.admit(*args)
        elif event not in effects.ALLOWED:
            load.meet(event, args, sys._getframe(1))
    elif event == "pickle.find_class" and backstops:
        backstops[-1](*args)


# Modules that are imported on the way are traced (coverage, debuggers) as they are without the hook.
_audit.__cantrace__ = True  # type: ignore[attr-defined]


def unchanged(file: BinaryIO) -> Callable[[], bool]:
    """Tells, when called, whether an open file is still as it is now; always, for one that is not on disk."""
    try:
        number = file.fileno()
    except (OSError, AttributeError):
        return lambda: True
    before = _state(number)
    return lambda: _state(number) == before


def _state(number: int) -> tuple[int, int, int]:
    status = os.fstat(number)
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns
