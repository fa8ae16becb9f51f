"""The guard: what is loaded is what was scanned, and it imports nothing that the scan did not see."""

from __future__ import annotations

from picklegate.guard.allowlist import torch_safe_globals
from picklegate.guard.arrays import safe_joblib_load, safe_numpy_load
from picklegate.guard.pickles import safe_pickle_load, safe_pickle_loads
from picklegate.guard.process import guarded, install_guard
from picklegate.guard.torch import safe_torch_load

__all__ = [
    "guarded",
    "install_guard",
    "safe_joblib_load",
    "safe_numpy_load",
    "safe_pickle_load",
    "safe_pickle_loads",
    "safe_torch_load",
    "torch_safe_globals",
]
