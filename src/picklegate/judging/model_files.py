"""The files that training writes: those that ship, or those in the folder that PICKLEGATE_MODEL names.

``card.json`` has the digest of each of the others and of itself, and nothing is read whose digest is another.
"""

from __future__ import annotations

import hashlib
import json
import os
import pkgutil
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from picklegate.errors import ModelDataError

VARIABLE = "PICKLEGATE_MODEL"
CARD = "card.json"


def folder() -> str:
    """The folder that replaces the model that ships, or ``""``."""
    return os.environ.get(VARIABLE, "")


def _read(name: str) -> bytes:
    return Path(folder(), name).read_bytes() if folder() else pkgutil.get_data("picklegate", f"data/{name}") or b""


def _tell(message: str) -> None:
    import logging

    logging.getLogger(__name__).warning(message)


def _fault(name: str, what: str) -> ModelDataError:
    advice = f"set {VARIABLE} to a folder that training wrote" if folder() else "install picklegate again"
    return ModelDataError(f"{folder() or 'data'}/{name} {what}: {advice}")


@lru_cache(maxsize=1)
def card() -> dict[str, Any]:
    """What the model is; raises ModelDataError where the card cannot be read, or was altered after training.

    Once in a process, a model that replaces the one that ships is told of in a warning.
    """
    try:
        card = json.loads(_read(CARD))
        digests = dict(card["sha256"])
        if digests.get(CARD) != digest_of(card):
            raise _fault(CARD, "is not what training wrote")
        if folder():
            _tell(f"{VARIABLE} replaces the model by the one in {folder()} ({digests[CARD][:12]})")
        return {**card, "sha256": digests, "version": str(card["version"])}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _fault(CARD, "cannot be read") from error


def digest() -> str:
    """The SHA-256 of the model: that of its card, which has those of all other files."""
    return str(card()["sha256"][CARD])


def digest_of(card: Mapping[str, Any]) -> str:
    """What stands in a card as its own SHA-256: that of all the rest of it, as JSON with sorted keys."""
    digests = {name: value for name, value in card["sha256"].items() if name != CARD}
    return hashlib.sha256(json.dumps({**card, "sha256": digests}, sort_keys=True).encode()).hexdigest()


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
