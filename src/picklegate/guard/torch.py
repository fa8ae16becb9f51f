"""torch.load behind the gate."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
from dataclasses import replace
from typing import Any, BinaryIO, cast

from picklegate.guard.approval import HARMLESS, Approval, listed
from picklegate.guard.load_context import Load, unchanged
from picklegate.guard.scan_before_load import File, View, held, name_of, opened, path_of, scanned
from picklegate.policy import Policy, PolicyOption, chosen
from picklegate.report import FileReport


def safe_torch_load(
    f: File,
    map_location: Any = None,
    *,
    policy: PolicyOption = None,
    **torch_load_kwargs: Any,
) -> Any:
    """Load what torch.save wrote, after a scan; takes what torch.load takes.

    The file is opened once, scanned, and handed to torch as the same open file, with the bytes that the scan read.
    Just the imports that the scan saw are allowed. Where these are more than tensors and containers, torch's restricted
    unpickler loads what it can (``weights_only``). A TorchScript archive becomes a module, as with torch.load. Raises
    BlockedError if the policy blocks the file, before anything in it runs, at the first import that the scan did not
    see, and at the first effect.
    """
    return load(f, map_location, policy=chosen(policy), **torch_load_kwargs)


def load(f: File, map_location: Any, *, policy: Policy, **options: Any) -> Any:
    """Load as ``safe_torch_load`` does."""
    import torch

    if options.get("weights_only") is None:
        options.pop("weights_only", None)
    path = path_of(f)
    if isinstance(f, (str, os.PathLike)) and os.fspath(f).endswith(".safetensors"):
        with opened(f) as file:
            report = scanned(file, name_of(f), policy)
        if report.container == "safetensors":
            # Versions of torch that do not go by the name unpickle whatever stands there by then.
            return torch.load(f, map_location, **options | {"weights_only": True})
    with opened(f) as file:
        raw = View(file)
        view = io.BufferedReader(raw)
        mapped = _is_mapped(options)
        still = unchanged(file) if mapped else None
        report = scanned(view, name_of(f), policy)
        if report.container == "torch_zip":
            report = _with_record(view, raw, report, policy)
        # torch maps only what it can open by name.
        target = _name_of_open(file) if mapped else view
        approval = Approval(report, lambda: _pieces(raw))
        names = listed(report)
        try:
            known = _known_to_torch(names)
            restricts = len(known) == len(names) and not names <= HARMLESS
            if restricts and options.keys() <= {"mmap"} and report.container != "torchscript_zip":
                view.seek(0)
                context = Load(approval, policy, path=path, unchanged=still)
                # What it cannot load at all, a tar of old for one, is a RuntimeError.
                with contextlib.suppress(pickle.UnpicklingError, RuntimeError), context:
                    context.admit_all(known)
                    return torch.load(target, map_location, **options | {"weights_only": True})
            view.seek(0)
            context = Load(approval, policy, path=path, unchanged=still)
            with context:
                if options.get("weights_only"):
                    context.admit_all(known)
                return torch.load(target, map_location, **{"weights_only": False} | options)
        finally:
            file.seek(raw.start + view.tell())


def load_script(f: File, *args: Any, policy: Policy, original: Any, **options: Any) -> Any:
    """In the place of torch.jit.load: the archive that was scanned, read whole."""
    with opened(f) as file, held(file, name_of(f), policy) as (content, context), context:
        return original(content, *args, **options)


def _pieces(view: View) -> tuple[bytes, ...]:
    """What was kept of a file, one after another, and the whole where that is short."""
    kept = view.kept()
    return (*kept, b"".join(kept))


def _is_mapped(options: dict[str, Any]) -> bool:
    """Whether torch will map the file, as it is told to or by its configuration."""
    if options.get("mmap") is not None:
        return bool(options["mmap"])
    try:
        from torch.utils.serialization import config
    except ImportError:  # torch before 2.7
        return False
    return bool(config.load.mmap)


def _known_to_torch(names: set[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """The imports that torch's restricted unpickler, which asks no audit hook, resolves from a list of its own."""
    try:
        from torch._weights_only_unpickler import _get_allowed_globals, _get_user_allowed_globals
    except ImportError:  # torch before 2.4
        return frozenset()
    known = _get_allowed_globals().keys() | _get_user_allowed_globals().keys()
    return frozenset(pair for pair in names if ".".join(pair) in known)


def _with_record(view: BinaryIO, raw: View, report: FileReport, policy: Policy) -> FileReport:
    """The report with what torch itself finds as the object of an archive, where that is not what the scan read."""
    import torch

    try:
        reader = torch._C.PyTorchFileReader(view)
        record, place = reader.get_record("data.pkl"), reader.get_record_offset("data.pkl")
    except RuntimeError:  # torch.load meets it again, and says so in its own words
        return report
    view.seek(place)
    if raw.has_kept(place, len(record)) and view.read(len(record)) == record:
        return report
    raw.keeping = True
    record = reader.get_record("data.pkl")
    raw.keeping = False
    inner = scanned(io.BytesIO(record), report.name, policy)
    return replace(report, streams=(*report.streams, *inner.streams))


def _name_of_open(file: BinaryIO) -> str:
    """A path of the open file itself where the system has one, otherwise the path that it was opened by."""
    try:
        path = f"/proc/self/fd/{file.fileno()}"
    except OSError:
        raise ValueError("mmap=True needs a file on disk") from None
    return path if os.path.exists(path) else cast("str", file.name)
