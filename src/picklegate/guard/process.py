"""The guard over a whole process: whatever unpickles goes through the gate, under whatever name it is called."""

from __future__ import annotations

import contextlib
import importlib
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from functools import lru_cache, partial, wraps
from types import ModuleType
from typing import Any, Final, Literal, get_args

from picklegate.errors import BlockedError, GateError, PolicyError
from picklegate.escape import escape
from picklegate.guard import arrays, import_hook, load_context, pickle_patches, torch, walls
from picklegate.policy import Policy, PolicyOption, chosen
from picklegate.report import FileReport, Finding, Verdict

_ENTRIES: Final[dict[str, Callable[[Any, pickle_patches.Current], Any]]] = {
    "load": pickle_patches.load,
    "loads": pickle_patches.loads,
    "_load": pickle_patches.load,
    "_loads": pickle_patches.loads,
    "Unpickler": pickle_patches.unpickler,
}
"""The loaders of pickle -> what makes their stand-ins."""


Effects = Literal["refuse", "log"]
"""What becomes of an effect of a load: it ends the load, or is written to the log ``picklegate.guard``."""


@contextlib.contextmanager
def guarded(*, policy: PolicyOption = None, effects: Effects = "refuse") -> Iterator[None]:
    """A stretch in which every load of the process goes through the gate, in all threads.

    With ``effects="log"`` what a load does beside making objects is written to the log and happens.
    """
    uninstall = install_guard(policy=policy, effects=effects)
    try:
        yield
    finally:
        uninstall()


def install_guard(*, policy: PolicyOption = None, effects: Effects = "refuse") -> Callable[[], None]:
    """Put the gate before every load of the process; calling what this returns takes it away again.

    The loaders of pickle, torch, joblib and numpy are replaced in all modules that are imported, under whatever name,
    and an audit hook refuses what an unpickler imports elsewhere. Guards nest: the policy is that of the last in place,
    and so is whether ``effects`` of a load are refused or only written to the log. Raises PolicyError for another word.
    """
    if effects not in get_args(Effects):
        raise PolicyError("effects: must be 'refuse' or 'log'")
    return _process.enter(chosen(policy), effects)


class _Process:
    """The guards in place, and what they replaced."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._policies: list[tuple[object, Policy, Effects]] = []
        self._swapped: list[tuple[Any, Any]] = []
        self._undo = contextlib.ExitStack()

    def policy(self) -> Policy | None:
        """The policy of the last guard in place."""
        try:
            return self._policies[-1][1]
        except IndexError:
            return None

    def enter(self, policy: Policy, effects: Effects) -> Callable[[], None]:
        """Put one more guard in place; what takes just that one away."""
        load_context.refuse_in_a_load()
        place = (object(), policy, effects)
        with self._lock, walls.changing_the_guard():
            self._policies.append(place)
            if len(self._policies) == 1:
                self._begin()
            self._take_mode()
        return partial(self._leave, place)

    def _leave(self, place: tuple[object, Policy, Effects]) -> None:
        load_context.refuse_in_a_load()
        with self._lock, walls.changing_the_guard():
            if place in self._policies:
                self._policies.remove(place)
                if not self._policies:
                    self._undo.close()
            self._take_mode()

    def _take_mode(self) -> None:
        load_context.log_only[:] = [effects == "log" for _, _, effects in self._policies[-1:]]

    def _begin(self) -> None:
        undo = self._undo
        load_context.hook()
        load_context.backstops.append(self._refuse)
        undo.callback(load_context.backstops.remove, self._refuse)
        for cls in _direct_subclasses(pickle.Unpickler):
            with contextlib.suppress(TypeError):  # one that is written in C is left to the audit hook
                undo.enter_context(_methods(cls, pickle_patches.derived(cls, self.policy)))
        python = pickle_patches.python_load(pickle._Unpickler.load, self.policy)
        undo.enter_context(_methods(pickle._Unpickler, {"load": python}))
        self._swapped = [
            (original, make(original, self.policy))
            for name, make in _ENTRIES.items()
            for original in (vars(pickle)[name],)
        ]
        self._swapped += self._makers_of_interpreters()
        for name in _LATE:
            if name in sys.modules:
                self._add(sys.modules[name])
        _replace(self._swapped)
        waiting = import_hook.Waiting([name for name in _LATE if name not in sys.modules], self._arrived)
        sys.meta_path.insert(0, waiting)
        undo.callback(sys.meta_path.remove, waiting)
        undo.callback(self._restore)

    def _restore(self) -> None:
        _replace([(new, old) for old, new in self._swapped])
        self._swapped = []

    def _arrived(self, module: ModuleType) -> None:
        with self._lock:
            if self._policies:
                self._add(module)
                _replace(self._swapped)

    def _add(self, module: ModuleType) -> None:
        """Have the ``load`` of a module replaced by one that scans the whole file."""
        original = vars(module).get("load")
        if original is None:  # numpy.lib.npyio has it in old versions alone
            return
        loader = _LATE[module.__name__]

        @wraps(original)
        def stand_in(*args: Any, **options: Any) -> Any:
            policy = self.policy()
            if policy is None or load_context.under_way():
                return original(*args, **options)
            return loader(policy, original, *args, **options)

        self._swapped.append((original, stand_in))

    def _makers_of_interpreters(self) -> Iterator[tuple[Any, Any]]:
        """What makes sub-interpreters, and what refuses to: an audit hook of Python is of one interpreter."""
        for name in ("_interpreters", "_xxsubinterpreters"):
            try:
                original = importlib.import_module(name).create
            except ImportError:
                continue
            yield original, self._no_interpreter(original)

    def _no_interpreter(self, original: Any) -> Any:
        @wraps(original)
        def stand_in(*args: Any, **options: Any) -> Any:
            policy = self.policy()
            if policy is not None and "process" not in policy.allow_effects:
                raise GateError(
                    "A sub-interpreter would have no guard, so none begins while the process is guarded.\n"
                    "Nothing was loaded in it.\n"
                    "Use a process, or allow it: Policy(allow_effects=('process',))."
                )
            return original(*args, **options)

        return stand_in

    def _refuse(self, module: str, name: str) -> None:
        """The backstop: an unpickler imports something, and nothing that it reads was scanned."""
        policy = self.policy()
        # The frames of this method and of the audit hook are not of those who load.
        if policy is None or f"{module}.{name}" in policy.allow_imports or pickle_patches.is_own(sys._getframe(2)):
            return
        shown = escape(f"{module}.{name}", 200)
        finding = Finding(
            code="guard.unvetted-load",
            verdict=Verdict.UNSCANNABLE,
            message=f"it asks for {shown}, and was not scanned before the load",
        )
        raise BlockedError(
            FileReport(name="a pickle", container="raw", size=0, findings=(finding,)),
            f"A pickle is not loaded: {finding.message}.\n"
            "It reached an unpickler by a way that the guard does not know; that name was not imported.\n"
            "Put the guard in place before that code is imported, or allow the name (Policy, allow_imports).",
        )


_process = _Process()


def _own_parts() -> tuple[Any, ...]:
    """The modules of the guard, and the classes in them."""
    return _own_parts_among(len(sys.modules))


@lru_cache(maxsize=1)
def _own_parts_among(_: int) -> tuple[Any, ...]:
    modules = [module for name, module in tuple(sys.modules.items()) if name.startswith(_GUARD)]
    classes = [value for module in modules for value in vars(module).values() if isinstance(value, type)]
    return (*modules, *(cls for cls in dict.fromkeys(classes) if cls.__module__.startswith("picklegate.")))


_GUARD = ("picklegate.guard", "picklegate.policy", "picklegate.scan", "picklegate.report", "picklegate.errors")
walls.own_parts.append(_own_parts)


def _torch_load(
    policy: Policy, _: Any, f: Any, map_location: Any = None, pickle_module: Any = None, **options: Any
) -> Any:
    if pickle_module is not None:
        options["pickle_module"] = pickle_module
    return torch.load(f, map_location, policy=policy, **options)


def _script_load(policy: Policy, original: Any, f: Any, *args: Any, **options: Any) -> Any:
    return torch.load_script(f, *args, policy=policy, original=original, **options)


def _joblib_load(policy: Policy, _: Any, filename: Any, mmap_mode: Any = None, *args: Any, **options: Any) -> Any:
    return arrays.safe_joblib_load(filename, mmap_mode, *args, policy=policy, **options)


def _numpy_load(policy: Policy, original: Any, file: Any, mmap_mode: Any = None, *args: Any, **options: Any) -> Any:
    options |= dict(zip(("allow_pickle", "fix_imports", "encoding"), args, strict=False))
    # Unless it is told to, numpy does not unpickle.
    load = partial(arrays.safe_numpy_load, policy=policy) if options.get("allow_pickle") else original
    return load(file, mmap_mode, **options)


_LATE: Final[dict[str, Callable[..., Any]]] = {
    "torch.serialization": _torch_load,
    "torch.jit._serialization": _script_load,
    "joblib.numpy_pickle": _joblib_load,
    "numpy.lib._npyio_impl": _numpy_load,
    "numpy.lib.npyio": _numpy_load,
}
"""Modules of other packages whose ``load`` goes through the gate as a whole file -> what it becomes."""


def _replace(pairs: list[tuple[Any, Any]]) -> None:
    """Put the second of each pair wherever a module has the first, under whatever name."""
    new = {id(before): after for before, after in pairs}
    for module in tuple(sys.modules.values()):
        names = vars(module) if isinstance(module, ModuleType) else {}
        for name, value in tuple(names.items()):
            if id(value) in new:
                names[name] = new[id(value)]


def _direct_subclasses(cls: type[Any]) -> tuple[type[Any], ...]:
    return tuple(type.__subclasses__(cls))


@contextlib.contextmanager
def _methods(cls: Any, methods: dict[str, Any]) -> Iterator[None]:
    """The class with these methods, and afterwards with just those that it had."""
    before = {name: vars(cls)[name] for name in methods if name in vars(cls)}
    for name, method in methods.items():
        setattr(cls, name, method)
    try:
        yield
    finally:
        for name in methods:
            if name in before:
                setattr(cls, name, before[name])
            else:
                delattr(cls, name)
