"""The other scanners on the same files: what each blocks, leaves to a person, or says nothing of."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.common import peers
from benchmarks.common.tables import share, table

if TYPE_CHECKING:
    from benchmarks.detection.files import Item, Outcome

SECONDS = 30
"""Time that each scanner has for one file."""


SLOW = {"modelaudit": ("0123456789", "0")}
"""Scanners that take seconds for a file: the first digits of the digests of the real and of the made files they get."""


_INTRODUCTION = """\
What each scanner says of the same files, {date}, each in an environment of its own. Two columns tell of the honest
files that a scanner leaves to a person, and of those that it says nothing of (an error, or no scan). Each has
{seconds} seconds for a file. modelaudit takes seconds for one: it gets those whose digest begins with one of {real},
and of the made ones with {made}. picklegate's own figures are out of fold; the others may have been tuned on the
public ones of these files."""


def report(groups: Mapping[str, Sequence[Outcome]], environments: Path, cache: Path) -> str:
    """The table of all scanners; ``groups`` are real hostile, real honest, and made hostile files by title."""
    head = ("scanner", *(f"{title} blocked" for title in groups), "honest projects blocked", "honest left to a person",
            "honest without verdict")  # fmt: skip
    lines = []
    ours = {title: ["hostile" if found.gate else "clean" for found in group] for title, group in groups.items()}
    lines.append(("picklegate, out of fold", *_line(groups, ours)))
    for name, peer in peers.PEERS.items():
        kept = {title: _sample(group, name, made=place > 1) for place, (title, group) in enumerate(groups.items())}
        said = {
            title: verdicts([found.item for found in group], name, environments, cache) for title, group in kept.items()
        }
        lines.append((f"{name} {peer.version}", *_line(kept, said)))
    introduction = _INTRODUCTION.format(
        date=dt.datetime.now(dt.timezone.utc).date(),
        seconds=SECONDS,
        real=SLOW["modelaudit"][0],
        made=SLOW["modelaudit"][1],
    )
    return f"{introduction}\n\n{table(head, lines)}"


def _sample(group: Sequence[Outcome], name: str, *, made: bool) -> list[Outcome]:
    digits = SLOW.get(name)
    return [found for found in group if digits is None or _key(found.item)[0] in digits[made]]


def _line(groups: Mapping[str, Sequence[Outcome]], said: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    honest = [(found, word) for found, word in zip(*(list(side.values())[1] for side in (groups, said)), strict=True)]
    projects = {found.item.unit for found, _ in honest}
    blocked = {found.item.unit for found, word in honest if word == "hostile"}
    words = Counter(word for _, word in honest)
    return (
        *(share(sum(word == "hostile" for word in words_of), len(words_of)) for words_of in said.values()),
        share(len(blocked), len(projects)),
        share(words["review"], len(honest)),
        share(words["none"], len(honest)),
    )


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
