"""Every hostile sample through every way to load it, in a process that notes what runs.

Run as a program with ``scan``, ``blind`` or ``approving``, and the entry points if not all. ``blind`` has the scan find
nothing in any file, so that only what is enforced at load time is left; ``approving`` has it list every name, so that
of this only the wall against effects is left. Prints one JSON object: the outcome by sample and entry point.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pickle import loads as bound_before
from typing import Any

RUNS = (
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.startfile", "subprocess.Popen",
    "pty.spawn", "webbrowser.open", "socket.connect", "socket.getaddrinfo", "urllib.Request", "smtplib.connect",
    "ftplib.connect", "imaplib.open", "telnetlib.Telnet.open", "ctypes.dlopen", "shutil.rmtree", "sqlite3.connect",
)  # fmt: skip
"""Audit events of which a payload brings one about."""

ran: list[str] = []


class Everything(frozenset[tuple[str, str]]):
    """A list of imports that has any."""

    def __contains__(self, _: object) -> bool:
        """It has."""
        return True


def approve_of_everything() -> None:
    """Have each scan of the guard list all names, and find nothing."""
    from picklegate import Policy, Verdict
    from picklegate.guard import approval, scan_before_load
    from picklegate.report import FileReport
    from picklegate.scan import scan_stream

    def approving(file: Any, *, name: str, policy: Policy, **_: Any) -> FileReport:
        report = scan_stream(file, name=name, policy=policy)
        streams = (replace(stream, verdict=Verdict.CLEAN, findings=()) for stream in report.streams)
        return replace(report, findings=(), streams=tuple(streams))

    renamed = approval._renamed
    vars(scan_before_load)["scan_stream"] = approving
    vars(approval)["_renamed"] = lambda names: Everything(renamed(names))


class Derived(pickle.Unpickler):
    """A class of a program that was there before the guard."""

    def __init__(self, file: Any) -> None:
        """Calls the base by its name, as old code does."""
        pickle.Unpickler.__init__(self, file)


def entries() -> dict[str, Callable[[bytes], Any]]:
    """The ways to load, by name; those of optional libraries where they are installed."""
    import joblib
    import numpy as np
    import torch

    import picklegate

    held: dict[str, Any] = {"loads": pickle.loads, "Unpickler": pickle.Unpickler}

    def arrays(found: Any) -> Any:
        return [found[name] for name in found.files] if isinstance(found, np.lib.npyio.NpzFile) else found

    ways: dict[str, Callable[[bytes], Any]] = {
        "pickle.loads": lambda data: pickle.loads(data),
        "pickle.load": lambda data: pickle.load(io.BytesIO(data)),
        "pickle._loads": lambda data: pickle._loads(data),  # type: ignore[attr-defined]
        "pickle._load": lambda data: pickle._load(io.BytesIO(data)),  # type: ignore[attr-defined]
        "pickle.Unpickler": lambda data: pickle.Unpickler(io.BytesIO(data)).load(),
        "pickle._Unpickler": lambda data: pickle._Unpickler(io.BytesIO(data)).load(),
        "a name bound before": lambda data: bound_before(data),
        "a class made before": lambda data: Derived(io.BytesIO(data)).load(),
        "a function kept in a dict": lambda data: held["loads"](data),
        "a class kept in a dict": lambda data: held["Unpickler"](io.BytesIO(data)).load(),
        "torch.load": lambda data: torch.load(io.BytesIO(data), weights_only=False),
        "torch.load by default": lambda data: torch.load(io.BytesIO(data)),
        "joblib.load": lambda data: joblib.load(io.BytesIO(data)),
        "numpy.load": lambda data: arrays(np.load(io.BytesIO(data), allow_pickle=True)),
        "safe_torch_load": lambda data: picklegate.safe_torch_load(io.BytesIO(data)),
        "safe_joblib_load": lambda data: picklegate.safe_joblib_load(io.BytesIO(data)),
        "safe_pickle_load": lambda data: picklegate.safe_pickle_load(io.BytesIO(data)),
        "safe_pickle_loads": lambda data: picklegate.safe_pickle_loads(data),
        "safe_numpy_load": lambda data: arrays(picklegate.safe_numpy_load(io.BytesIO(data))),
    }
    with contextlib.suppress(ImportError):
        import pandas as pd

        ways["pandas.read_pickle"] = lambda data: pd.read_pickle(io.BytesIO(data), compression=None)
    for name in ("dill", "cloudpickle"):
        with contextlib.suppress(ImportError):
            module = __import__(name)
            ways |= {f"{name}.{attribute}": way for attribute, way in named(module).items()}
    return ways


def named(module: Any) -> dict[str, Callable[[bytes], Any]]:
    """The loaders that a module has at the time of the call."""
    return {"loads": lambda data: module.loads(data), "load": lambda data: module.load(io.BytesIO(data))}


def note(mode: str, event: str, args: tuple[Any, ...]) -> None:
    """Keep an event that a payload brings about; where names are listed, imports outside of loads have some too."""
    from picklegate.guard import load_context

    if event in RUNS:
        main = threading.current_thread() is threading.main_thread()
        if mode != "approving" or not main or load_context.under_way():
            ran.append(f"{event}{args!r}"[:200])


def outcome(load: Callable[[bytes], Any], data: bytes) -> str:
    """What ran, or else the error's name, or ``loaded``."""
    from picklegate import BlockedError

    ran.clear()
    try:
        load(data)
        result = "loaded"
    except BlockedError as error:
        result = "blocked" if len(str(error).splitlines()) <= 6 else f"not in six lines: {error}"
    except BaseException as error:  # noqa: BLE001  payloads may raise anything, SystemExit too
        result = type(error).__name__
    return f"RAN {ran}" if ran else result


def outcomes(ways: dict[str, Callable[[bytes], Any]], data: bytes) -> dict[str, str]:
    """The outcome by entry point."""
    return {name: outcome(way, data) for name, way in ways.items()}


def apart(ways: dict[str, Callable[[bytes], Any]], data: bytes) -> dict[str, str]:
    """The same in a child: code that is no code ends the interpreter, and a name that is replaced stays so."""
    read, write = os.pipe()
    number = os.fork()
    if not number:
        signal.alarm(20)
        try:
            os.write(write, json.dumps(outcomes(ways, data)).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        told = pipe.read()
    os.waitpid(number, 0)
    results: dict[str, str] = json.loads(told or "{}")
    return dict.fromkeys(ways, "ended") | results


def main(mode: str, *names: str) -> None:
    """Run the gauntlet, guarded, with the safe loaders outside the guard."""
    from picklegate import FileReport, guarded
    from picklegate.guard import load_context, scan_before_load
    from samples.hostile import HOSTILE

    warnings.simplefilter("ignore")
    ways = entries()
    if mode == "blind":
        vars(scan_before_load)["scan_stream"] = lambda file, *, name, **_: FileReport(
            name=name, container="raw", size=file.seek(0)
        )
    elif mode == "approving":
        approve_of_everything()
    # What the guard's hook refuses does not come to the next one.
    load_context.hook()
    sys.addaudithook(partial(note, mode))
    out = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    found: dict[str, dict[str, str]] = {sample.id: {} for sample in HOSTILE}
    for guard, safe in ((contextlib.nullcontext(), True), (guarded(), False)):
        with guard:
            for sample in HOSTILE:
                chosen = {name: ways[name] for name in names or ways if name.startswith("safe_") is safe}
                found[sample.id] |= (apart if mode == "approving" else outcomes)(chosen, sample.data)
    json.dump(found, out)
    out.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
