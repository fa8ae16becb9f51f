"""Quarantine: what a gate refused, kept where no loader looks, with the report that says why.

An entry is a record ``<id>.json`` and, where bytes were at hand, their copy ``<id>.blocked``, in a directory that
only its owner may enter. The record comes first and goes last, so that a killed process leaves either an entry
without content or a fragment, which the next one to write removes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from picklegate import paths
from picklegate.cache_files import delete_from_cache
from picklegate.errors import GateError
from picklegate.files import private_directory, read_private
from picklegate.locks import file_lock
from picklegate.report import FileReport
from picklegate.scan import open_regular

SCHEMA = "picklegate.quarantine/1"
_FRAGMENT = ".part"
_SHORTEST_ID = 4
_CHUNK = 1 << 20
_MOST_NUMBER = 1 << 63
_MOST_RECORD = 1 << 26
"""Bytes of a record that are read; one of more is not ours."""
_REPOSITORIES = ("models--", "datasets--", "spaces--")
"""How the names of a Hugging Face cache's repositories begin."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One content in quarantine; where its record cannot be read, only ``id`` and ``kept_at`` tell anything.

    ``id`` is the content's SHA-256, or that of its name where no bytes were at hand; ``names`` are the addresses
    that it was refused under; ``content`` is the file, or None.
    """

    id: str
    kept_at: datetime
    names: tuple[str, ...] = ()
    size: int = 0
    report: FileReport | None = None
    content: Path | None = None

    @property
    def short(self) -> str:
        """The beginning of the id, as commands show and take it."""
        return self.id[:8]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "schema": SCHEMA,
            "id": self.id,
            "kept_at": self.kept_at.isoformat(),
            "names": list(self.names),
            "size": self.size,
            "content": self.content is not None,
            "report": self.report and self.report.to_dict(),
        }


def home() -> Path:
    """The directory of the quarantine."""
    return paths.quarantine()


def keep(path: Path | None, report: FileReport) -> Entry:
    """Copy a refused file into quarantine, with its report; without a path only the report is kept.

    The original stays where it is: removing it is up to the caller. Raises OSError if it cannot be kept.
    """
    with _writing() as folder:
        fragment = None if path is None else folder / f"{secrets.token_hex(8)}{_FRAGMENT}"
        identity = hashlib.sha256(report.name.encode("utf-8", "surrogatepass")).hexdigest()
        if path is not None and fragment is not None:
            identity = _copy(path, fragment)
        before = _read(folder / f"{identity}.json") if (folder / f"{identity}.json").exists() else None
        entry = Entry(
            id=identity,
            kept_at=datetime.now(timezone.utc).replace(microsecond=0),
            names=tuple(dict.fromkeys((*(before.names if before else ()), report.name))),
            size=fragment.stat().st_size if fragment else report.size,
            report=report,
            content=folder / f"{identity}.blocked" if fragment else None,
        )
        record = folder / f"{secrets.token_hex(8)}{_FRAGMENT}"
        record.write_text(json.dumps(entry.to_dict(), indent=1), encoding="ascii")
        record.chmod(0o600)
        record.replace(folder / f"{identity}.json")
        if fragment and entry.content:
            fragment.replace(entry.content)
    return entry


def move(path: Path, report: FileReport) -> Entry:
    """Keep a file as ``keep`` does, and then remove it; raises OSError.

    In a Hugging Face cache it goes under all its names there. Elsewhere a link goes, and what it leads to stays.
    """
    kept = keep(path, report)
    place = path.parent.resolve() / path.name
    cache = next((home.parent for home in place.parents if home.name.startswith(_REPOSITORIES)), None)
    if cache is None:
        place.unlink()
    else:
        delete_from_cache(place, cache=cache)
    return kept


def entries() -> tuple[Entry, ...]:
    """What is in quarantine, the latest first."""
    records = (_read(record) for record in home().glob("*.json"))
    return tuple(sorted(records, key=lambda entry: (entry.kept_at, entry.id), reverse=True))


def find(identity: str) -> Entry:
    """The entry with this id, or whose id alone begins so; raises GateError where there is not just one."""
    matching = [entry for entry in entries() if entry.id.startswith(identity.lower())]
    if len(identity) < _SHORTEST_ID or not matching:
        raise GateError(f"{identity!r} is no entry in quarantine: `picklegate quarantine list` shows the ids")
    if len(matching) > 1:
        raise GateError(f"{identity!r} is the beginning of {len(matching)} ids in quarantine: give more of it")
    return matching[0]


def release(entry: Entry, output: Path) -> None:
    """Copy the content of an entry to a new file, which only its owner can read; the entry stays.

    Raises GateError if nothing of it was kept or it is no longer what was refused, FileExistsError if ``output``
    is there already.
    """
    if entry.content is None:
        raise GateError(f"{entry.short} has no content: the file was refused before any of it was kept")
    if output.exists():
        raise FileExistsError(f"{output} exists: name a file that does not")
    if _copy(entry.content, output) != entry.id:
        output.unlink()
        raise GateError(f"{entry.short} has been changed since it was refused: it is not released")


def purge(doomed: Iterable[Entry]) -> None:
    """Remove these entries for good."""
    with _writing() as folder:
        for entry in doomed:
            (folder / f"{entry.id}.blocked").unlink(missing_ok=True)
            (folder / f"{entry.id}.json").unlink(missing_ok=True)


@contextlib.contextmanager
def _writing() -> Iterator[Path]:
    """The directory, for one process or thread at a time, without the fragments of those that were killed."""
    folder = home()
    private_directory(folder).chmod(0o700)
    with file_lock(folder / ".lock"):
        for fragment in folder.glob(f"*{_FRAGMENT}"):
            fragment.unlink(missing_ok=True)
        yield folder


def _copy(source: Path, target: Path) -> str:
    """Copy the bytes to a new file without permissions for others; their SHA-256."""
    hashed = hashlib.sha256()
    file = open_regular(source)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    with file, open(descriptor, "wb") as copy:
        while chunk := file.read(_CHUNK):
            hashed.update(chunk)
            copy.write(chunk)
    return hashed.hexdigest()


def _read(record: Path) -> Entry:
    """The entry of a record, as much of it as can be read."""
    content = record.with_suffix(".blocked")
    known = content if content.is_file() and not content.is_symlink() else None
    try:
        told = json.loads(read_private(record, _MOST_RECORD))
        return Entry(
            id=record.stem,
            kept_at=datetime.fromisoformat(told["kept_at"]).astimezone(timezone.utc),
            names=tuple(map(str, told["names"])),
            size=_size(told["size"]),
            report=_report(told["report"]),
            content=known,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        with contextlib.suppress(OSError):
            modified = datetime.fromtimestamp(record.stat().st_mtime, timezone.utc)
            return Entry(id=record.stem, kept_at=modified, content=known)
        return Entry(id=record.stem, kept_at=datetime.now(timezone.utc), content=known)


def _size(told: Any) -> int:
    if not _conforms(told, int):
        raise TypeError("no size")
    return int(told)


def _report(told: Any) -> FileReport:
    """The report of a record; raises TypeError for one that a report cannot look like."""
    report = FileReport.from_dict(told)
    if not _conforms(report, FileReport):
        raise TypeError("a value of another type")
    return report


def _conforms(value: object, kind: Any) -> bool:
    """Whether a value, and all that it holds, is of the type that is written down for it."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = _hints(kind)
        return isinstance(value, kind) and all(_conforms(getattr(value, name), hints[name]) for name in hints)
    parts = get_args(kind)
    if get_origin(kind) is tuple:
        if not isinstance(value, tuple):
            return False
        if parts[-1] is ...:
            return all(_conforms(item, parts[0]) for item in value)
        return len(value) == len(parts) and all(map(_conforms, value, parts))
    if parts:
        return any(_conforms(value, part) for part in parts)
    if kind in (int, float):
        # Sizes, offsets and scores: what arithmetic on them can take.
        return type(value) in (int, kind) and 0 <= value < _MOST_NUMBER  # type: ignore[operator]
    return type(value) is kind


@lru_cache(maxsize=16)
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
