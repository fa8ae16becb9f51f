"""The other scanners on the same files: what each blocks, leaves to a person, or says nothing of."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import peers

if TYPE_CHECKING:
    from detection_files import Item

SECONDS = 30
"""Time that each scanner has for one file."""


def verdicts(items: Sequence[Item], name: str, environments: Path, cache: Path) -> list[str]:
    """What the peer says of each file, from ``cache`` where it was asked before; one of ``peers.WORDS``."""
    stored = cache / f"peer-{name}-{peers.PEERS[name].version}.json"
    known: dict[str, str] = json.loads(stored.read_text("utf-8")) if stored.is_file() else {}
    keys = [_key(item) for item in items]
    unknown = {key: item for key, item in zip(keys, items, strict=True) if key not in known}
    pending = sorted(unknown)
    while pending:
        batch, pending = pending[:100], pending[100:]
        answers = _ask({key: unknown[key] for key in batch}, name, environments)
        known |= answers
        unanswered = [key for key in batch if key not in answers]
        # A scanner that dies takes the file it was at with it, not those behind.
        known |= dict.fromkeys(unanswered[:1], "none")
        pending = unanswered[1:] + pending
        stored.write_text(json.dumps(known, sort_keys=True), "utf-8")
    return [known[key] for key in keys]


def _key(item: Item) -> str:
    """A file's content and its extension, by which some scanners choose how to read."""
    return hashlib.sha256(item.data or Path(item.path).read_bytes()).hexdigest() + Path(item.name).suffix


def _ask(items: dict[str, Item], name: str, environments: Path) -> dict[str, str]:
    """The answers on a few files, each under a name of its own that tells nothing."""
    with tempfile.TemporaryDirectory() as folder:
        for key, item in items.items():
            Path(folder, key).write_bytes(item.data or Path(item.path).read_bytes())
        paths = "\n".join(str(Path(folder, key)) for key in items)
        done = subprocess.run(
            [peers.python(environments, name), peers.__file__, name, str(SECONDS)],
            input=paths, capture_output=True, text=True, check=False, env={**os.environ, **peers.QUIET},
        )  # fmt: skip
    return {Path(path).name: word for path, word in map(json.loads, done.stdout.splitlines())}
