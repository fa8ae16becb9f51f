"""Where picklegate keeps what it knows and what it holds back: the user's own directories."""

from __future__ import annotations

import os
from pathlib import Path

HOME = "PICKLEGATE_HOME"
"""The variable that puts everything below one directory."""
QUARANTINE = "PICKLEGATE_QUARANTINE"
"""The variable that names the directory of the quarantine."""
LOG = "PICKLEGATE_LOG"
"""The variable that names the file of decisions."""


def cache() -> Path:
    """The directory of what can be made again."""
    from platformdirs import user_cache_path

    return _home() or user_cache_path("picklegate", appauthor=False)


def data() -> Path:
    """The directory of what cannot."""
    from platformdirs import user_data_path

    return _home() or user_data_path("picklegate", appauthor=False)


def config() -> Path:
    """The directory of what the user decides."""
    from platformdirs import user_config_path

    return _home() or user_config_path("picklegate", appauthor=False)


def quarantine() -> Path:
    """The directory of what was refused and kept."""
    place = os.environ.get(QUARANTINE)
    return Path(place).expanduser() if place else data() / "quarantine"


def log(named: str = "") -> Path | None:
    """The file that decisions are logged in as JSON lines: that of the variable, or the one ``named`` by a policy."""
    path = os.environ.get(LOG) or named
    return Path(path).expanduser() if path else None


def _home() -> Path | None:
    home = os.environ.get(HOME)
    return Path(home).expanduser() if home else None
