"""The files that training writes: those that ship, or those in the folder that PICKLEGATE_MODEL names.

``card.json`` has the digest of each of the others, and nothing is read whose digest is another.
"""

from __future__ import annotations

import hashlib
import json
import os
import pkgutil
from functools import lru_cache
from pathlib import Path
from typing import Any

from picklegate.errors import ModelDataError

VARIABLE = "PICKLEGATE_MODEL"


def _read(name: str) -> bytes:
    folder = os.environ.get(VARIABLE)
    return Path(folder, name).read_bytes() if folder else pkgutil.get_data("picklegate", f"data/{name}") or b""


def _fault(name: str, what: str) -> ModelDataError:
    folder = os.environ.get(VARIABLE)
    advice = f"set {VARIABLE} to a folder that training wrote" if folder else "install picklegate again"
    return ModelDataError(f"{folder or 'data'}/{name} {what}: {advice}")


@lru_cache(maxsize=1)
def card() -> dict[str, Any]:
    """What the model is; raises ModelDataError where the card cannot be read."""
    try:
        found = json.loads(_read("card.json"))
        return {**found, "sha256": dict(found["sha256"]), "version": str(found["version"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _fault("card.json", "cannot be read") from error


def part(name: str) -> Any:
    """The content of one JSON file of the model; raises ModelDataError where it is missing or was altered."""
    digest = card()["sha256"].get(name)
    try:
        data = _read(name)
    except OSError as error:
        raise _fault(name, "cannot be read") from error
    if hashlib.sha256(data).hexdigest() != digest:
        raise _fault(name, "is not what its card says")
    return json.loads(data)
