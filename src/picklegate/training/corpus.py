"""The corpus on disk: labelled files, and what pickles of the Hub import.

``root`` is the folder with manifest.csv; nothing in it is ever loaded, only its bytes are read.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

DEFAULT_ROOT = Path(__file__).parents[4] / "shared" / "corpus"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One labelled file; ``label`` is ``"honest"``, ``"hostile"`` or ``"suspicious"``, whatever the manifest calls it.

    ``near_dup`` names a group of near-twins, ``hard_negative`` says that a honest file uses what hostile ones use.
    """

    path: Path
    label: str
    project: str
    near_dup: str
    container: str
    hard_negative: bool
    sha256: str
    size: int
    note: str

    def read(self) -> bytes:
        """Read the file."""
        return self.path.read_bytes()


@dataclass(frozen=True, kw_only=True, slots=True)
class HubRow:
    """What one pickle of a Hub repository imports, as (module, name), and whether it has persistent ids."""

    repo: str
    file: str
    imports: tuple[tuple[str, str], ...]
    persistent: bool


_LABELS = {"benign": "honest", "malicious": "hostile"}
"""What the manifest calls the labels -> what they are called here."""


def read_manifest(root: Path = DEFAULT_ROOT) -> tuple[Row, ...]:
    """Read every row of the manifest; FileNotFoundError says which folder is absent."""
    return tuple(
        Row(
            path=root / row["path"],
            label=_LABELS.get(row["label"], row["label"]),
            project=row["project"],
            near_dup=row["near_dup"],
            container=row["container"],
            hard_negative=row["hard_negative"] == "1",
            sha256=row["sha256"],
            size=int(row["size"]),
            note=row["note"],
        )
        for row in _table(root, "manifest.csv")
    )


def read_hub_imports(root: Path = DEFAULT_ROOT) -> tuple[HubRow, ...]:
    """Read what the pickles of popular Hub repositories import."""
    rows = []
    for row in _table(root, "hub_imports.csv"):
        pairs = [pair.partition(" ") for pair in row["imports"].split(";") if " " in pair]
        rows.append(
            HubRow(
                repo=row["repo"],
                file=row["file"],
                imports=tuple(sorted((module, name) for module, _, name in pairs)),
                persistent="persistent_load" in row["calls"],
            )
        )
    return tuple(rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class LibraryRow:
    """One honest file that a library wrote, beside the corpus; ``group`` is the library or habit."""

    path: Path
    group: str


def read_libraries(root: Path = DEFAULT_ROOT) -> tuple[LibraryRow, ...]:
    """Read the honest files of libraries in the folder ``honest`` beside the corpus; none without that folder.

    Left out are the groups of calls that look like gadgets on purpose, and ``alarms``, which are kept for testing.
    """
    folder = root.parent / "honest"
    if not (folder / "manifest.csv").is_file():
        return ()
    rows = (LibraryRow(path=folder / row["path"], group=row["group"]) for row in _table(folder, "manifest.csv"))
    return tuple(row for row in rows if row.group not in _ARGUABLE)


_ARGUABLE = ("reduce_calls", "user_module", "alarms")


def groups(rows: tuple[Row, ...]) -> tuple[int, ...]:
    """Number the group of each row, for splits in which nothing leaks.

    Honest files of one project are together, and so are projects that share a near-twin, however far that
    reaches. Hostile files are cloned between all their projects: there the family of near-twins is the group.
    """
    parent: dict[str, str] = {}

    def root_of(key: str) -> str:
        while parent.setdefault(key, key) != key:
            key = parent[key]
        return key

    keys = []
    for row in rows:
        family = f"family {row.near_dup or row.sha256}"
        if row.label == "honest":
            parent[root_of(family)] = root_of(f"project {row.project}")
        keys.append(family)
    numbers: dict[str, int] = {}
    return tuple(numbers.setdefault(root_of(key), len(numbers)) for key in keys)


def _table(root: Path, name: str) -> list[dict[str, str]]:
    path = root / name
    if not path.is_file():
        raise FileNotFoundError(f"there is no corpus at {root}: {name} is missing; pass the folder that holds it")
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
