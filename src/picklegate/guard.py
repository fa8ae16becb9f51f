"""The guard: torch loads the very bytes that were scanned, and may import nothing that the scan did not see."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, BinaryIO, cast

from picklegate.errors import BlockedError, GateError
from picklegate.policy import Policy
from picklegate.quarantine import explain
from picklegate.render.escape import escape
from picklegate.report import FileReport
from picklegate.scan import scan_stream

File = str | os.PathLike[str] | BinaryIO


def safe_torch_load(
    f: File,
    map_location: Any = None,
    *,
    policy: Policy | None = None,
    pickle_module: Any = None,
    **torch_load_kwargs: Any,
) -> Any:
    """Load what torch.save wrote, after a scan; takes what torch.load takes.

    The file is opened once, scanned, and handed to torch as the same open file, so nothing can be put in its
    place between the two. Raises BlockedError if the policy blocks it, before anything in it runs, and at the
    first import that the scan did not see. With ``weights_only=True`` torch's own restricted unpickler loads it.
    Raises GateError for a TorchScript archive, which is for torch.jit.load.
    """
    import torch

    with _opened(f) as file:
        start = file.tell()
        # A file that begins before the position it is loaded from would be scanned from elsewhere than it is read.
        view = file if start == 0 else io.BytesIO(file.read())
        report = _scanned(view, _name(f), policy or Policy())
        options = {
            "weights_only": False,
            "pickle_module": _enforcing(pickle_module or pickle, report),
            **torch_load_kwargs,
        }
        if options["weights_only"] or _restricted_by_environment():
            options |= {"weights_only": True, "pickle_module": None}
        view.seek(0)
        try:
            # torch maps only what it can open by name.
            target = _path_of(view) if options.get("mmap") else view
            return torch.load(target, map_location, **options)
        finally:
            if view is not file:
                file.seek(start + view.tell())


def _scanned(file: BinaryIO, name: str, policy: Policy) -> FileReport:
    """The report on a file that torch.load may have; raises for any other."""
    # Hashing a large checkpoint takes longer than loading it: it is done where somebody will look at the digest.
    report = scan_stream(file, name=name, policy=policy, digest=bool(policy.allow_digests))
    if policy.blocks(report):
        what, where = explain(report)
        raise BlockedError(
            scan_stream(file, name=name, policy=policy, digest=True),
            f"{escape(name)} is not loaded ({report.verdict}): {what}\n"
            f"{where} Nothing in it has run.\n"
            "Ask the publisher for safetensors weights, or, if you know what the file runs, pass a Policy "
            "with its imports (allow_imports) or its digest (allow_digests).",
        )
    if report.container == "torchscript_zip":
        raise GateError(
            f"{escape(name)} is a TorchScript archive, which torch.load does not load.\n"
            f"The scan found it {report.verdict}.\n"
            "Load it with torch.jit.load."
        )
    return report


def _enforcing(module: Any, report: FileReport) -> SimpleNamespace:
    """A stand-in for a pickle module whose unpickler imports only what the scan of the file saw."""
    seen = frozenset(pair for stream in report.streams for pair in stream.imports)

    class Unpickler(module.Unpickler):  # type: ignore[misc]
        """Refuses every other import by raising BlockedError."""

        def find_class(self, module: str, name: str, /) -> Any:
            if (module, name) not in seen:
                raise BlockedError(
                    report,
                    f"{escape(report.name)} is not loaded: it asks for {escape(f'{module}.{name}', 200)}, "
                    "which the scan did not see.\n"
                    "The file is read in two ways, or changed after the scan; that name was not imported.\n"
                    "Do not load it by other means, and please report it: the scan should have seen the name.",
                )
            return super().find_class(module, name)

    def load(file: BinaryIO, **options: Any) -> Any:
        return Unpickler(file, **options).load()

    return SimpleNamespace(__name__=__name__, Unpickler=Unpickler, load=load)


@contextlib.contextmanager
def _opened(f: File) -> Iterator[BinaryIO]:
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as file:
            yield file
    else:
        yield f


def _name(f: File) -> str:
    name = f if isinstance(f, (str, os.PathLike)) else getattr(f, "name", None)
    return os.fspath(name) if isinstance(name, (str, os.PathLike)) else "the file object"


def _path_of(file: BinaryIO) -> str:
    """A path of the open file itself where the system has one, otherwise the path that it was opened by."""
    try:
        path = f"/proc/self/fd/{file.fileno()}"
    except OSError:
        raise ValueError("mmap=True needs a file on disk") from None
    return path if os.path.exists(path) else cast("str", file.name)


def _restricted_by_environment() -> bool:
    return os.environ.get("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "0").lower() in ("1", "y", "yes", "true")
