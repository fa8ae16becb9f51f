"""What a verdict was made by: the engine, the model, the index and the policy, each with a digest."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection
from dataclasses import asdict
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import picklegate
from picklegate.judging import model_files
from picklegate.policy import Policy

_COMPILED = (".pyc", ".pyo")
_DEFAULT = Policy()
_ABOUT_BLOCKING = frozenset(
    (
        "block_from",
        "allow_digests",
        "on_block",
        "prefer_safetensors",
        "block_unjudged",
        "allow_effects",
        "log",
    )
)
"""Options of a policy on which no verdict depends; a new one does until it is named here."""


def made_by(policy: Policy) -> dict[str, Any]:
    """The JSON form of what makes the verdicts, for reports and logs; raises ModelDataError."""
    return {
        "engine": picklegate.__version__,
        "model": {
            "version": model_files.card()["version"],
            "digest": model_files.digest(),
            "folder": model_files.folder(),
        },
        "index": index_digest(),
        "policy": policy_digest(policy),
        "laxer": list(laxer(policy)),
    }


@lru_cache(maxsize=1)
def index_digest() -> str:
    """The SHA-256 of the directory of the index that ships, as its card has it; ``""`` where it cannot be read."""
    try:
        card = resources.files("picklegate.capabilities").joinpath("data", "index.json").read_text("utf-8")
        return str(json.loads(card)["directory"])
    except (OSError, ValueError, KeyError):
        return ""


def laxer(policy: Policy) -> tuple[str, ...]:
    """What lets more pass than the defaults of the release, in words."""
    words = replaced_model()
    if policy.block_from > _DEFAULT.block_from:
        words.append(f"the policy blocks only {policy.block_from} and above")
    for option, noun in (("allow_imports", "import"), ("allow_digests", "digest"), ("allow_effects", "effect")):
        allowed = getattr(policy, option)
        if allowed:
            words.append(f"the policy allows {len(allowed)} {noun}{'' if len(allowed) == 1 else 's'}")
    if policy.suspicious_score is not None or policy.malicious_score is not None:
        words.append("the policy has its own scores")
    if policy.on_block == "skip":
        words.append("the policy leaves blocked files out of a snapshot instead of failing")
    return tuple(words)


def replaced_model() -> list[str]:
    """What is to be said of a model that replaces the one that ships: one sentence, or none."""
    folder = model_files.folder()
    return [f"{model_files.VARIABLE} replaces the model by the one in {folder}"] if folder else []


@lru_cache(maxsize=64)
def policy_digest(policy: Policy) -> str:
    """The SHA-256 of all options of a policy but its log."""
    return _digest(_options(policy, {"log"}))


def verdict_options(policy: Policy) -> dict[str, Any]:
    """The options that a verdict depends on: all but those that say what is done about it."""
    return _options(policy, _ABOUT_BLOCKING)


def _options(policy: Policy, without: Collection[str]) -> dict[str, Any]:
    options = {name: value for name, value in asdict(policy).items() if name not in without}
    return {name: sorted(value) if isinstance(value, tuple) else value for name, value in options.items()}


@lru_cache(maxsize=1)
def engine() -> str:
    """The digest of the package's code, data and index, by what the file system says of each file: names, sizes, times.

    An edited file is another engine. Reading them all would cost more than most scans.
    """
    home = Path(picklegate.__file__).parent
    stamps = [
        (os.path.relpath(os.path.join(folder, name), home), entry.st_size, entry.st_mtime_ns)
        for folder, folders, names in os.walk(home)
        if "__pycache__" not in folder
        for name in names
        for entry in (os.stat(os.path.join(folder, name)),)
        if not name.endswith(_COMPILED)
    ]
    return _digest([picklegate.__version__, sorted(stamps)])


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
