"""What a load must leave as it was, though no audit event tells of it: compared before and after, and put back.

``id`` is not called, as each call of it is an audit event.
"""

from __future__ import annotations

import atexit
import builtins
import contextlib
import gc
import importlib
import os
import signal
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterator
from operator import is_
from typing import Any, Final

Restore = Callable[[], None]

_atexit = (atexit.register, atexit.unregister, atexit._clear, atexit._ncallbacks)
_c_signal: Any = importlib.import_module("_signal")
_signal_calls = (_c_signal.signal, _c_signal.getsignal)
_set_gc: Final[tuple[Any, ...]] = (gc.enable, gc.disable, gc.set_threshold, gc.set_debug)

_MODULES: Final = (
    "pickle", "_pickle", "_compat_pickle", "copyreg", "marshal", "torch.serialization", "torch._weights_only_unpickler",
    "torch.storage", "torch._utils", "torch.jit._serialization", "joblib.numpy_pickle", "joblib.numpy_pickle_utils",
    "numpy.lib.format", "numpy.lib._format_impl", "numpy.lib._npyio_impl", "numpy.lib.npyio", "dill", "dill._dill",
    "cloudpickle", "cloudpickle.cloudpickle", "pandas.io.pickle", "pandas.compat.pickle_compat",
    "importlib._bootstrap", "importlib._bootstrap_external", "importlib", "os", "posix", "io", "_io", "subprocess",
    "threading", "atexit", "signal",
)  # fmt: skip
"""Modules whose names decide what is loaded and how: no load binds them to something else."""
_CLASSES: Final = (
    ("pickle", "_Unpickler"), ("pickle", "_Pickler"), ("torch.nn", "Module"), ("joblib.numpy_pickle", "NumpyUnpickler"),
    ("joblib.numpy_pickle", "NumpyArrayWrapper"), ("torch.serialization", "_open_zipfile_reader"),
    ("pandas.compat.pickle_compat", "Unpickler"), ("dill", "Unpickler"), ("dill._dill", "Unpickler"),
)  # fmt: skip
"""Classes of which the same holds."""
_DICTS: Final = (
    ("copyreg", "dispatch_table", "how objects are pickled"),
    ("copyreg", "_extension_registry", "the codes of imports"),
    ("copyreg", "_inverted_registry", "the codes of imports"),
    ("pickle", "_extension_cache", "the codes of imports"),
    ("_compat_pickle", "NAME_MAPPING", "the names of Python 2"),
    ("_compat_pickle", "IMPORT_MAPPING", "the names of Python 2"),
    ("torch._weights_only_unpickler", "_marked_safe_globals_set", "torch's safe globals"),
    ("torch.serialization", "_package_registry", "torch's places of storages"),
    ("joblib.numpy_pickle_utils", "_COMPRESSORS", "joblib's compressors"),
    *(
        ("torch.nn.modules.module", f"_global_{kind}", "what torch calls at each use of a module")
        for kind in (
            "forward_hooks",
            "forward_pre_hooks",
            "backward_hooks",
            "backward_pre_hooks",
            "buffer_registration_hooks",
            "module_registration_hooks",
            "parameter_registration_hooks",
            "forward_hooks_always_called",
        )
    ),
)
_LISTS: Final = (
    ("sys", "path", "where modules are looked for"),
    ("sys", "meta_path", "how modules are looked for"),
    ("sys", "path_hooks", "how modules are looked for"),
    ("gc", "callbacks", "what the collection of garbage calls"),
)
_HOOKS: Final = (
    ("logging", "raiseExceptions"), ("logging", "lastResort"),
    ("sys", "excepthook"), ("sys", "unraisablehook"), ("sys", "displayhook"), ("sys", "breakpointhook"),
    ("sys", "stdin"), ("sys", "stdout"), ("sys", "stderr"), ("sys", "modules"), ("sys", "dont_write_bytecode"),
    ("sys", "pycache_prefix"), ("sys", "ps1"), ("sys", "last_value"), ("sys", "tracebacklimit"),
    ("threading", "excepthook"), ("threading", "_profile_hook"), ("threading", "_trace_hook"),
)  # fmt: skip


def keep_builtins() -> Callable[[], bool]:
    """What puts the built-in names back that were bound to something else, and tells whether there were any.

    It asks for no built-in name itself, as others might be called by then.
    """
    names: dict[str, Any] = builtins.__dict__
    before = dict(names)

    def keep() -> bool:
        changed = False
        for name, value in before.items():
            if names.get(name) is not value:
                names[name] = value
                changed = True
        return changed

    return keep


class Snapshot:
    """The state of the process at one moment."""

    def __init__(self, own: tuple[Any, ...] = ()) -> None:
        """``own`` are modules and classes whose names must stay as well."""
        self._parts = [part for part in _parts(own) if part is not None]

    def changes(self) -> list[tuple[str, Restore]]:
        """What is not as it was, in words, and what puts it back."""
        return [(part.words, part.restore) for part in self._parts if part.changed()]


class _Part:
    """One container or setting of the process: what it held."""

    words: str

    def changed(self) -> bool:
        raise NotImplementedError

    def restore(self) -> None:
        raise NotImplementedError


class _Names(_Part):
    """The values under the names of a module, a class or a dict, told apart by identity."""

    def __init__(self, words: str, names: Any, owner: Any = None, *, more: bool = False) -> None:
        """With ``more``, new names are no change; ``owner`` is a class, whose names cannot be set in their dict."""
        self.words = words
        self._names = names
        self._owner = owner
        self._more = more
        self._before = dict(names)
        # A warning leaves a note in the module that it is about.
        self._before.pop("__warningregistry__", None)

    def changed(self) -> bool:
        now = self._names
        if not self._more and len(now) != len(self._before) + ("__warningregistry__" in now):
            return True
        return not all(map(is_, map(now.get, self._before), self._before.values()))

    def restore(self) -> None:
        now, before = self._names, self._before
        for name in [name for name in now if name not in before] if not self._more else ():
            if name != "__warningregistry__":
                self._drop(name)
        for name, value in before.items():
            if now.get(name) is not value:
                self._set(name, value)

    def _set(self, name: Any, value: Any) -> None:
        if self._owner is None:
            self._names[name] = value
        else:
            type.__setattr__(self._owner, name, value)

    def _drop(self, name: Any) -> None:
        if self._owner is None:
            del self._names[name]
        else:
            type.__delattr__(self._owner, name)


class _Items(_Part):
    """The items of a list or a set."""

    def __init__(self, words: str, items: Any) -> None:
        self.words = words
        self._items = items
        self._before = list(items)

    def changed(self) -> bool:
        if len(self._items) != len(self._before):
            return True
        # The order of a set that nobody changes stays.
        return not all(map(is_, self._items, self._before))

    def restore(self) -> None:
        if isinstance(self._items, list):
            self._items[:] = self._before
        else:
            self._items.clear()
            self._items.update(self._before)


class _Attribute(_Part):
    """What one name of a module stands for, also where it had none."""

    def __init__(self, words: str, owner: Any, name: str) -> None:
        self.words = words
        self._owner, self._name = owner, name
        self._before = getattr(owner, name, _NOTHING)

    def changed(self) -> bool:
        return getattr(self._owner, self._name, _NOTHING) is not self._before

    def restore(self) -> None:
        if self._before is _NOTHING:
            delattr(self._owner, self._name)
        else:
            setattr(self._owner, self._name, self._before)


_NOTHING = object()


class _Finalizers(_Part):
    """What is called when an object goes away, whose number falls by itself."""

    words = "what is called when an object goes away"

    def __init__(self) -> None:
        self._registry: dict[Any, Any] = weakref.finalize._registry  # type: ignore[attr-defined]
        self._before = dict(self._registry)

    def changed(self) -> bool:
        return any(each not in self._before for each in tuple(self._registry))

    def restore(self) -> None:
        for each in [each for each in tuple(self._registry) if each not in self._before]:
            self._registry.pop(each, None)


class _AtExit(_Part):
    """What is called when the program ends: functions, which the module shows to the collector of garbage alone."""

    words = "what is called when the program ends"

    def __init__(self) -> None:
        self._count = _atexit[3]()
        self._before = _called_at_exit()

    def changed(self) -> bool:
        return _atexit[3]() != self._count

    def restore(self) -> None:
        for each in _called_at_exit():
            if callable(each) and not any(each is before for before in self._before):
                _atexit[1](each)


def _called_at_exit() -> list[Any]:
    found = [each for each in gc.get_referents(atexit) if each is not atexit.__dict__]
    if len(found) == 1 and isinstance(found[0], list):  # since CPython 3.14
        return [call[0] for call in found[0] if isinstance(call, tuple) and call]
    return found


class _Signals(_Part):
    """The handlers of signals."""

    words = "the handlers of signals"

    def __init__(self) -> None:
        self._before = self._now()

    @staticmethod
    def _now() -> list[Any]:
        return [_signal_calls[1](number) for number in _SIGNALS]

    def changed(self) -> bool:
        return not all(map(is_, self._now(), self._before))

    def restore(self) -> None:
        for number, before, now in zip(_SIGNALS, self._before, self._now(), strict=True):
            if before is not now and before is not None:
                with contextlib.suppress(ValueError, OSError):  # another thread than the main one
                    _signal_calls[0](number, before)


_SIGNALS: Final = tuple(sorted(signal.valid_signals()))


class _Garbage(_Part):
    """Whether garbage is collected."""

    words = "the collection of garbage"

    def __init__(self) -> None:
        self._before = gc.isenabled(), gc.get_threshold(), gc.get_debug()

    def changed(self) -> bool:
        return (gc.isenabled(), gc.get_threshold(), gc.get_debug()) != self._before

    def restore(self) -> None:
        _set_gc[0 if self._before[0] else 1]()
        _set_gc[2](*self._before[1])
        _set_gc[3](self._before[2])


def _parts(own: tuple[Any, ...]) -> Iterator[_Part]:
    yield _Names("what modules are", sys.modules, more=True)
    yield _Names("the built-in names", builtins.__dict__)
    yield _Names("the environment", os.environ._data)  # type: ignore[attr-defined]
    # Other threads may change these two at any time; what this one does is refused when it does it (silent_calls).
    if threading.active_count() == 1:
        yield _Finalizers()
        yield _AtExit()
    for module, name, words in (*_DICTS, *_LISTS):
        value = _attribute(module, name)
        if isinstance(value, dict):
            yield _Names(words, value)
        elif isinstance(value, (list, set)):
            yield _Items(words, value)
            yield _Attribute(words, sys.modules[module], name)
    for module, name in _HOOKS:
        if module in sys.modules:
            yield _Attribute(f"{module}.{name}", sys.modules[module], name)
    for name in _MODULES:
        module_found = sys.modules.get(name)
        if isinstance(module_found, types.ModuleType):
            yield _Names(f"the names of {name}", module_found.__dict__)
    for module, name in _CLASSES:
        cls = _attribute(module, name)
        if isinstance(cls, type):
            yield _Names(f"the methods of {module}.{name}", cls.__dict__, cls)
    for each in own:
        words = f"the guard ({each.__name__})"
        yield _Names(words, each.__dict__, each if isinstance(each, type) else None)
    yield _Signals()
    yield _Garbage()


def _attribute(module: str, name: str) -> Any:
    return getattr(sys.modules.get(module), name, None)
