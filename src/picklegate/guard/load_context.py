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
from dataclasses import replace
from types import FrameType, TracebackType
from typing import Any, BinaryIO, NoReturn

from picklegate.errors import BlockedError
from picklegate.escape import escape
from picklegate.guard import effects, module_origin, process_state, silent_calls
from picklegate.guard.approval import HARMLESS, Approval, holds
from picklegate.guard.lazy_imports import LazyImports
from picklegate.policy import Effect, Policy
from picklegate.report import FileReport, Finding, Verdict

_log = logging.getLogger("picklegate.guard")


class _Thread(threading.local):
    load: Load | None = None


_thread = _Thread()
_hooked = threading.Lock()
_is_hooked = False
backstops: list[Callable[[str, str], None]] = []
"""Asked, the last one only, about each import of an unpickler outside any load that was let through."""
interpreters: list[Callable[[], None]] = []
"""Asked, the last one only, before another interpreter begins in this process."""
log_only: list[bool] = []
"""Whether effects are written to the log and let happen, by the guard put in place last."""
own_parts: list[Callable[[], tuple[Any, ...]]] = []
"""Tell the modules and classes of the guard that no load may change."""


_clear_extension_cache = copyreg.clear_extension_cache

_TWO_WAYS = "The file is read in two ways, or changed after the scan"
_NO_PICKLE = "The scan took it for no pickle, so it is damaged or made to mislead"


class Load:
    """A context in which an approved artifact is loaded; leaving it raises what it refused, however caught."""

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
        self._admitted: set[tuple[str, str]] | None = None
        self._outer: list[Load | None] = []
        # Small pickles are loaded often: what is seldom needed has its first value from the class.
        if path is not None:
            self._path = path
        if unchanged is not None:
            self._unchanged = unchanged
        if mapped is not None:
            self._mapped = mapped

    _path: str | None = None
    _mapped: str | None = None
    _unchanged: Callable[[], bool] | None = None
    _refusal: BlockedError | None = None
    _before: process_state.Snapshot | None = None
    _keep_builtins: Callable[[], bool] | None = None
    _guards = 0
    _deciding = False
    _finding = False

    @property
    def _report(self) -> FileReport:
        return self._approval.report

    def __enter__(self) -> None:
        """Hold this thread to the list and to the rules."""
        if not _is_hooked:
            hook()
        # What an extension code resolved to before is handed out without asking for its name.
        _clear_extension_cache()
        self._outer.append(_thread.load)
        _thread.load = self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go; what was refused ends the load even where a loader caught the error."""
        if self._before is None and self._refusal is None and self._unchanged is None:
            _thread.load = self._outer.pop()
            return
        try:
            if self._keep_builtins is not None and self._keep_builtins():
                with contextlib.suppress(BlockedError):
                    self._refuse_effect("state", "the built-in names", None)
            if self._refusal is None and error is None:
                with contextlib.suppress(BlockedError):
                    self._check_unchanged("the end of the load")
            if trace is not None and self._refusal is not None:
                # Whatever the stream has made goes away while nothing can come of it.
                traceback.clear_frames(trace)
            if self._before is not None:
                self._lower_walls()
        finally:
            _thread.load = self._outer.pop()
        if self._refusal is not None and error is not self._refusal:
            raise self._refusal from error

    def admit(self, module: str, name: str, /) -> None:
        """Let an unpickler import ``name`` of ``module``, or raise BlockedError, then and ever after."""
        if self._refusal is not None:
            raise self._refusal
        pair = (module, name)
        listed = pair in self._approval.names
        admitted = self._admitted
        if admitted is None:
            admitted = self._admitted = set()
        if listed and self._unchanged is None:
            if pair in admitted:
                return
            if pair in HARMLESS and module_origin.is_as_before(module, name):
                admitted.add(pair)
                return
        shown = escape(f"{module}.{name}", 200)
        if not listed and f"{module}.{name}" not in self._policy.allow_imports:
            self._refuse(
                Finding(
                    code="guard.unseen-import",
                    verdict=Verdict.MALICIOUS,
                    message=f"it asks for {shown}, which the scan did not see",
                ),
                f"{_TWO_WAYS if self._report.streams else _NO_PICKLE}; that name was not imported.",
                "Do not load it by other means, and please report it: the scan should have seen the name.",
            )
        self._check_unchanged(f"the import of {shown}")
        if pair in admitted:
            return
        if pair not in HARMLESS:
            self._raise_walls()
        if not (pair in HARMLESS and module_origin.is_as_before(module, name)):
            self._check_origin(module, name, shown)
        admitted.add(pair)

    def admit_all(self, names: Iterable[tuple[str, str]]) -> None:
        """Look at names beforehand that a loader will not ask for one by one; raises as ``admit`` does."""
        for module, name in names:
            self.admit(module, name)

    def asks_for(self, names: frozenset[str]) -> bool:
        """Whether the scan has listed one of these names, of whatever module."""
        return any(name in names for _, name in self._approval.names)

    def _check_origin(self, module: str, name: str, shown: str) -> None:
        with self._at_work() if module_origin.is_imported(module) else _importing():
            fault = escape(module_origin.fault(module, name, module_origin.homes(self._path)), 400)
            silent = None if fault else silent_calls.is_silent(module_origin.imported(module, name))
        if fault:
            self._refuse(
                Finding(
                    code="guard.foreign-module",
                    verdict=Verdict.SUSPICIOUS,
                    message=f"it asks for {shown}, {fault}",
                ),
                "Code that was put there would run under a trusted name.",
                "If that module is yours, import it before the load.",
            )
        if silent is not None:
            self.meet_silent(*silent, sys._getframe(0))

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

    @contextlib.contextmanager
    def _at_work(self) -> Iterator[None]:
        """A stretch in which the guard itself decides: it reads, and whatever it calls can do no more than that."""
        if self._keep_builtins is not None and self._keep_builtins():
            self._refuse_effect("state", "the built-in names", None)
        before, self._deciding = self._deciding, True
        try:
            yield
        finally:
            self._deciding = before

    def _was_scanned(self, wanted: str | bytes) -> bool:
        return holds(self._approval, wanted)

    def _refuse_effect(self, kind: Effect, what: str, frame: FrameType | None) -> None:
        if kind in self._policy.allow_effects:
            return
        if log_only and log_only[-1]:
            _log.warning("%s: loading it would %s: %s", escape(self._report.name), effects.WORDS[kind], escape(what, 200))
            return
        if self._refusal is not None:
            raise self._refusal
        callee = _callee(frame)
        stream, offset = self._place(callee, what)
        by = f", by {escape(callee, 200)}" if callee else ""
        at = f" at offset {offset:,} of {escape(stream)}" if offset is not None else ""
        self._refuse(
            Finding(
                code="guard.effect",
                verdict=Verdict.MALICIOUS,
                message=f"loading it would {effects.WORDS[kind]}: {escape(what, 200)}{by}{at}",
                stream=stream,
                offset=offset,
            ),
            "Loading a file must do nothing but make its objects; that was not done.",
            f"Ask who made the file. If this is meant to happen, allow it: Policy(allow_effects=({kind!r},)).",
        )

    def _place(self, callee: str, what: str) -> tuple[str, int | None]:
        """The stream and the offset of the call of ``callee``, or of what acts, where the scan has listed it."""
        names = {name for name in (callee, what.partition("(")[0]) if name}
        lasts = {name.rpartition(".")[2] for name in names}
        calls = [(stream.name, call) for stream in self._report.streams for call in stream.calls]
        for exactly in (True, False):
            for stream, call in calls:
                if call.callee in names or (not exactly and call.callee.rpartition(".")[2] in lasts):
                    return stream, call.offset
        return "", None

    def _raise_walls(self) -> None:
        """Import what the scan lists, stop what raises no event, and note what the process is like."""
        if self._before is not None:
            return
        with outside():
            for module, name in sorted(self._approval.names):
                module_origin.fault(module, name, module_origin.homes(self._path))
            silent_calls.raise_wall(_meet_silent)
            _lazy_imports.raise_wall()
            self._keep_builtins = process_state.keep_builtins()
            self._before = self._snapshot()

    def _snapshot(self) -> process_state.Snapshot:
        self._guards = _changes
        return process_state.Snapshot(tuple(part for parts in own_parts for part in parts()))

    def refresh(self) -> None:
        """Take the state of the process as it is, after an import that changed it."""
        if self._before is not None:
            self._before = self._snapshot()

    def check_state(self) -> None:
        """Undo what the load has changed of the process so far, and refuse it."""
        if self._keep_builtins is not None and self._keep_builtins():
            self._refuse_effect("state", "the built-in names", None)
        if self._guards != _changes:  # another thread has put a guard in place, or taken it away
            self.refresh()
            return
        changes = self._before.changes() if self._before is not None else []
        if not changes or "state" in self._policy.allow_effects:
            return
        words = ", ".join(dict.fromkeys(words for words, _ in changes))
        if log_only and log_only[-1]:
            _log.warning("%s: loading it changes the running program: %s", escape(self._report.name), words)
            return
        for _, restore in changes:
            restore()
        self._refuse_effect("state", words, None)

    def _lower_walls(self) -> None:
        try:
            with contextlib.suppress(BlockedError):
                self.check_state()
        finally:
            with outside():
                _lazy_imports.lower_wall()
                silent_calls.lower_wall()
            self._before = self._keep_builtins = None

    def _check_unchanged(self, moment: str) -> None:
        if self._unchanged is not None and not self._unchanged():
            self._refuse(
                Finding(
                    code="guard.changed",
                    verdict=Verdict.UNSCANNABLE,
                    message=f"it was written to between the scan and {moment}",
                ),
                "What it holds now was not scanned.",
                "Let whatever writes the file finish, and load it again.",
            )

    def admit_module(self, name: str) -> bool:
        """Let the load import a module that the scan did not list, or raise BlockedError; no, if it is asked in here."""
        if self._finding:
            return False
        self._finding = True
        try:
            with self._at_work():
                fault = module_origin.lazy_fault(name, module_origin.homes(self._path))
        finally:
            self._finding = False
        if fault:
            self._refuse_effect("import", f"{name}, {fault}", sys._getframe(1))
        return True

    def _refuse(self, finding: Finding, why: str, remedy: str) -> NoReturn:
        report = replace(self._report, findings=(*self._report.findings, finding))
        self._refusal = BlockedError(
            report, f"{escape(report.name)} is not loaded: {finding.message}.\n{why}\n{remedy}"
        )
        raise self._refusal


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


_changes = 0
"""How often the guard was put in place or taken away."""


@contextlib.contextmanager
def changing_the_guard() -> Iterator[None]:
    """A stretch in which the guard itself changes the process, which is no doing of the loads under way."""
    global _changes
    _changes += 1
    try:
        yield
    finally:
        _changes += 1


def under_way() -> bool:
    """Whether a load of this thread was let through, and is not over."""
    return _thread.load is not None


def hook() -> None:
    """Add the audit hook; it stays for the life of the process, and does nothing outside loads."""
    global _is_hooked
    if _hooked.acquire(blocking=False):
        sys.addaudithook(_audit)
        _is_hooked = True


def _audit(event: str, args: tuple[Any, ...]) -> None:
    load = _thread.load
    if load is not None:
        if event == "pickle.find_class":
            load.admit(*args)
        elif event not in effects.ALLOWED:
            load.meet(event, args, sys._getframe(1))
    elif event == "pickle.find_class":
        if backstops:
            backstops[-1](*args)
    elif event == "cpython.PyInterpreterState_New" and interpreters:
        interpreters[-1]()


# Modules that are imported on the way are traced (coverage, debuggers) as they are without the hook.
_audit.__cantrace__ = True  # type: ignore[attr-defined]


def _callee(frame: FrameType | None) -> str:
    """The function that the stream called: the last one before the code that loads."""
    last: FrameType | None = None
    while frame is not None and str(frame.f_globals.get("__name__")).startswith("picklegate.guard."):
        frame = frame.f_back
    while frame is not None and not effects.is_loader(frame):
        last, frame = frame, frame.f_back
    if last is None or frame is None:
        return ""
    name = getattr(last.f_code, "co_qualname", last.f_code.co_name)
    return f"{last.f_globals.get('__name__', '')}.{name}"


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
