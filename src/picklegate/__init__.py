"""A gate between the Hugging Face Hub and torch.load: pickles are read, never run, and hostile ones refused.

The public names are resolved when first used (PEP 562), so that the import itself costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
"""True to type checkers; importing it from ``typing`` would take longer than all the rest of this module."""

if TYPE_CHECKING:
    from picklegate.batch import scan_paths
    from picklegate.convert import convert_file
    from picklegate.errors import BlockedError, GateError, ModelDataError, PolicyError
    from picklegate.guard import (
        guarded,
        install_guard,
        safe_joblib_load,
        safe_numpy_load,
        safe_pickle_load,
        safe_pickle_loads,
        safe_torch_load,
        torch_safe_globals,
    )
    from picklegate.hub.audit import audit_cache
    from picklegate.hub.download import safe_hf_hub_download, safe_snapshot_download, scan_repo
    from picklegate.policy import Policy
    from picklegate.protection import protect
    from picklegate.report import Call, FileReport, Finding, RepoReport, StreamReport, Verdict
    from picklegate.scan import scan_bytes, scan_file

__version__ = "0.2.0"

__all__ = [
    "BlockedError",
    "Call",
    "FileReport",
    "Finding",
    "GateError",
    "ModelDataError",
    "Policy",
    "PolicyError",
    "RepoReport",
    "StreamReport",
    "Verdict",
    "__version__",
    "audit_cache",
    "convert_file",
    "guarded",
    "install_guard",
    "protect",
    "safe_hf_hub_download",
    "safe_joblib_load",
    "safe_numpy_load",
    "safe_pickle_load",
    "safe_pickle_loads",
    "safe_snapshot_download",
    "safe_torch_load",
    "scan_bytes",
    "scan_file",
    "scan_paths",
    "scan_repo",
    "torch_safe_globals",
]

_HOMES = {
    "BlockedError": "errors",
    "Call": "report",
    "FileReport": "report",
    "Finding": "report",
    "GateError": "errors",
    "ModelDataError": "errors",
    "Policy": "policy",
    "PolicyError": "errors",
    "RepoReport": "report",
    "StreamReport": "report",
    "Verdict": "report",
    "audit_cache": "hub.audit",
    "convert_file": "convert",
    "guarded": "guard",
    "install_guard": "guard",
    "protect": "protection",
    "safe_hf_hub_download": "hub",
    "safe_joblib_load": "guard",
    "safe_numpy_load": "guard",
    "safe_pickle_load": "guard",
    "safe_pickle_loads": "guard",
    "safe_snapshot_download": "hub",
    "safe_torch_load": "guard",
    "scan_bytes": "scan",
    "scan_file": "scan",
    "scan_paths": "batch",
    "scan_repo": "hub",
    "torch_safe_globals": "guard",
}


def __getattr__(name: str) -> object:
    """Import the module that a public name lives in, when the name is first asked for."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    cards = import_module(f"{__name__}.report").cards
    if not cards:
        cards.append(lambda report: import_module(f"{__name__}.render.card").render(report))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return __all__
