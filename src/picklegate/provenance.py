"""What a verdict was made by: the engine, the model, the index and the policy, each with a digest."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import picklegate
from picklegate.judging import model_files
from picklegate.policy import Policy

_COMPILED = (".pyc", ".pyo")
_DEFAULT = Policy()


def made_by(policy: Policy) -> dict[str, Any]:
    """The JSON form of what makes the verdicts, for reports and logs; raises ModelDataError."""
    return {
        "engine": picklegate.__version__,
        "model": {
            "version": model_files.card()["version"],
            "digest": model_files.digest(),
            "folder": model_files.folder(),
        },
        "policy": policy_digest(policy),
        "laxer": list(laxer(policy)),
    }


def laxer(policy: Policy) -> tuple[str, ...]:
    """What lets more pass than the defaults of the release, in words."""
    words = replaced_model()
    if policy.block_from > _DEFAULT.block_from:
        words.append(f"the policy blocks only {policy.block_from} and above")
    for option, noun in (("allow_imports", "import"), ("allow_digests", "digest")):
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
    """The SHA-256 of all options of a policy."""
    options = {**verdict_options(policy), "block_from": policy.block_from.name, "on_block": policy.on_block}
    options["allow_digests"] = sorted(policy.allow_digests)
    return _digest(options)


def verdict_options(policy: Policy) -> Mapping[str, Any]:
    """The options that a verdict depends on."""
    return {
        "limits": asdict(policy.limits),
        "allow_imports": sorted(policy.allow_imports),
        "scores": [policy.suspicious_score, policy.malicious_score],
        "strict": policy.strict,
    }


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
