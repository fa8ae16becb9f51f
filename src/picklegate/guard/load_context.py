"""The vetted load: while one is under way, an unpickler of its thread imports what the scan listed and nothing else.

CPython raises the audit event ``pickle.find_class`` in the C and in the Python unpickler, whoever called them and
however deep (https://docs.python.org/3/library/pickle.html#pickle.Unpickler.find_class). One audit hook therefore
holds every loader to the list: torch's, joblib's and numpy's, and those that a stream itself calls.
"""

from __future__ import annotations

import contextlib
import copyreg
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Any, BinaryIO, NoReturn

from picklegate.errors import BlockedError
from picklegate.escape import escape
from picklegate.guard import module_origin
from picklegate.policy import Policy
from picklegate.report import FileReport, Finding, Verdict


class _Thread(threading.local):
    load: Load | None = None

    def __init__(self) -> None:
        self.outer: list[Load | None] = []


_thread = _Thread()
_hooked = threading.Lock()
backstops: list[Callable[[str, str], None]] = []
"""Asked, the last one only, about each import of an unpickler outside any load that was let through."""


_TWO_WAYS = "The file is read in two ways, or changed after the scan"
_NO_PICKLE = "The scan took it for no pickle, so it is damaged or made to mislead"


class Load:
    """A context in which the artifact of ``report`` is loaded; leaving it raises what it refused, however caught."""

    def __init__(
        self,
        report: FileReport,
        policy: Policy,
        *,
        path: str | None = None,
        unchanged: Callable[[], bool] | None = None,
    ) -> None:
        """``path`` is where the artifact lies, if it does; ``unchanged`` tells if it is still what was scanned."""
        self._report = report
        self._seen = _renamed({pair for stream in report.streams for pair in stream.imports})
        self._allowed = frozenset(policy.allow_imports)
        self._admitted: set[tuple[str, str]] = set()
        self._homes = module_origin.homes(path)
        self._unchanged = unchanged
        self._refusal: BlockedError | None = None

    def __enter__(self) -> None:
        """Hold the unpicklers of this thread to the list."""
        hook()
        # What an extension code resolved to before is handed out without asking for its name.
        copyreg.clear_extension_cache()
        _thread.outer.append(_thread.load)
        _thread.load = self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go; an import that was refused ends the load even where a loader caught the error."""
        _thread.load = _thread.outer.pop()
        if self._refusal is None and error is None:
            self._check_unchanged("the end of the load")
        if self._refusal is not None and error is not self._refusal:
            raise self._refusal from error

    def admit(self, module: str, name: str, /) -> None:
        """Let an unpickler import ``name`` of ``module``, or raise BlockedError, then and ever after."""
        if self._refusal is not None:
            raise self._refusal
        shown = escape(f"{module}.{name}", 200)
        trusted = f"{module}.{name}" in self._allowed
        if (module, name) not in self._seen and not trusted:
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
        if (module, name) in self._admitted:
            return
        with outside():
            fault = "" if trusted else escape(module_origin.fault(module, name, self._homes), 400)
        if fault:
            self._refuse(
                Finding(
                    code="guard.foreign-module",
                    verdict=Verdict.SUSPICIOUS,
                    message=f"it asks for {shown}, {fault}",
                ),
                "Code that was put there would run under a trusted name.",
                "If that module is yours, import it before the load, or allow the name (Policy, allow_imports).",
            )

        self._admitted.add((module, name))

    def vet(self, names: Iterable[tuple[str, str]]) -> None:
        """Look at names beforehand that a loader will not ask for one by one; raises as ``admit`` does."""
        for module, name in names:
            self.admit(module, name)

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


def under_way() -> bool:
    """Whether a load of this thread was let through, and is not over."""
    return _thread.load is not None


def hook() -> None:
    """Add the audit hook; it stays for the life of the process, and does nothing outside loads."""
    if _hooked.acquire(blocking=False):
        sys.addaudithook(_audit)


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if event != "pickle.find_class":
        return
    load = _thread.load
    if load is not None:
        load.admit(*args)
    elif backstops:
        backstops[-1](*args)


# Modules that are imported on the way are traced (coverage, debuggers) as they are without the hook.
_audit.__cantrace__ = True  # type: ignore[attr-defined]


def _renamed(seen: set[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """The names with those that loaders ask for in the place of some: torch's and pandas' own maps of old names."""
    old = {pair: ("torch._tensor", pair[1]) for pair in seen if pair[0] == "torch.tensor"}
    pandas = getattr(sys.modules.get("pandas.compat.pickle_compat"), "_class_locations_map", {})
    return frozenset({*seen, *old.values(), *(pandas[pair] for pair in seen if pair in pandas)})


def unchanged(file: BinaryIO) -> Callable[[], bool]:
    """Tells, when called, whether an open file is still as it is now; always, for one that is not on disk."""
    try:
        number = file.fileno()
    except (OSError, AttributeError):
        return lambda: True
    before = _state(number)
    return lambda: _state(number) == before


def _state(number: int) -> tuple[int, int, int]:
    found = os.fstat(number)
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns
