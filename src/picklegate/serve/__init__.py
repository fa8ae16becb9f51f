"""The gate as a Hub-compatible endpoint: ``HF_ENDPOINT=http://gate:8080`` puts any client behind it.

``picklegate.serve:app`` is the ASGI application for other servers; ``create_app`` makes one with settings of your own.
"""

from __future__ import annotations

from typing import Any

__all__ = ["app"]


def __getattr__(name: str) -> Any:
    """Make the application when it is first asked for: it reads the policy file and the environment then."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from picklegate.serve.gate import create_app

    value = create_app()
    globals()["app"] = value
    return value
