"""Where picklegate keeps what it knows and what it holds back: the user's own directories."""

from __future__ import annotations

import os
from pathlib import Path

HOME = "PICKLEGATE_HOME"
"""The variable that puts everything below one directory."""


def cache() -> Path:
    """The directory of what can be made again."""
    from platformdirs import user_cache_path

    return _home() or user_cache_path("picklegate", appauthor=False)


def data() -> Path:
    """The directory of what cannot."""
    from platformdirs import user_data_path

    return _home() or user_data_path("picklegate", appauthor=False)


def _home() -> Path | None:
    home = os.environ.get(HOME)
    return Path(home).expanduser() if home else None
