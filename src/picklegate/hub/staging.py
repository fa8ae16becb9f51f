"""Staging: where a download waits for its verdict, out of reach of the cache and of ``local_dir``.

The client of huggingface_hub is pointed at a *stand-in* of the place it would write to. What that place holds
already shows through, so the client asks and fetches exactly what it would have; what is new stays in the
stand-in until it is promoted, by renames on one volume. A file that is refused is never promoted.
"""

from __future__ import annotations

import contextlib
import filecmp
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath
from typing import Protocol

from picklegate.cache_files import delete_from_cache, entries, link_target, tree
from picklegate.files import private_directory
from picklegate.locks import file_lock

HOME = ".picklegate"
"""The directory of the stagings, beside the directory that they stand in for."""


class StandIn(Protocol):
    """A directory that the client writes to in the place of another one."""

    root: Path

    def show(self, filename: str | None) -> None:
        """Let what is there of ``filename`` (of every file, if None) be seen through the stand-in."""

    def arrived(self) -> tuple[Path, ...]:
        """The files that are new here."""

    def files(self, result: Path) -> tuple[Path, ...]:
        """The files that the client's result gives access to, new or shown."""

    def name(self, path: Path) -> str:
        """The name in the repository of a file here."""

    def commit(self, path: Path) -> str | None:
        """The commit that a file or a snapshot here belongs to, where it is recorded."""

    def destination(self, path: Path) -> Path:
        """Where a file here belongs."""

    def holds(self, name: str, commit: str, tag: str = "") -> bool:
        """Whether the real place has a file of the repository already, so that the client would not fetch it."""

    def refer(self, commit: str) -> None:
        """Note that the revision is this commit, as the client does that resolves it."""

    def promote(self, judged: Iterable[Path]) -> None:
        """Rename these files, and no others, to the real place; then what the client noted about them."""

    def standing(self, path: Path) -> tuple[Path, ...]:
        """The files at the real place that stood there before and are the same: what the client would open, first."""

    def evict(self, path: Path) -> None:
        """Remove what is standing there."""


@contextlib.contextmanager
def staging(target: Path, *, inside: str) -> Iterator[Path]:
    """A private directory on the volume of ``target``, removed with all it holds on leaving.

    It lies beside ``target`` where the volume and the permissions allow, at ``target/inside`` otherwise, and
    where nothing can be written there in the system's temporary directory. What killed processes left is removed.
    """
    place = _reserve(target, inside)
    lock = place.with_suffix(".lock")
    _sweep(place.parent)
    try:
        with file_lock(lock):
            try:
                place.mkdir(mode=0o700)
                _active.add(str(place))
                yield place
            finally:
                _active.discard(str(place))
                shutil.rmtree(place, ignore_errors=True)
    finally:
        with contextlib.suppress(OSError):
            lock.unlink(missing_ok=True)
            place.parent.rmdir()


_active: set[str] = set()
"""The stagings of this process."""


def is_staged(path: str | os.PathLike[str]) -> bool:
    """Whether a path lies in a staging of this process: what the client writes there is judged before it leaves."""
    real = os.path.realpath(path)
    return any(real.startswith(place + os.sep) for place in list(_active))


class StagedCache:
    """The stand-in for a Hugging Face cache, for one repository and one revision."""

    def __init__(self, stage: Path, cache: Path, repo: str, revision: str) -> None:
        """``repo`` is the repository's folder name in the cache."""
        self.root = stage / "cache"
        self._cache, self._real, self._staged = cache, cache / repo, self.root / repo
        self._ref = Path("refs", revision)
        self._commit: bytes | None = None
        self.root.mkdir()

    def show(self, filename: str | None) -> None:
        """Copy the one reference, repeat the snapshots' own links, and link the listings and the blobs behind them."""
        if _within(self._ref) and (self._real / self._ref).is_file():
            _copy(self._real / self._ref, self._staged / self._ref)
            self._commit = (self._staged / self._ref).read_bytes()
        pointers = [path for snapshot in entries(self._real / "snapshots") for path in _named(snapshot, filename)]
        for pointer in pointers:
            _repeat(pointer, self._staged / pointer.relative_to(self._real))
        blobs = {link_target(pointer) for pointer in pointers if pointer.is_symlink() and pointer.exists()}
        for entry in (*blobs, *entries(self._real / "trees")):
            if self._real in entry.parents:
                _link(entry, self._staged / entry.relative_to(self._real))

    def arrived(self) -> tuple[Path, ...]:
        """The pointers whose content is in the stand-in."""
        pointers = tree(self._staged / "snapshots")
        return tuple(path for path in pointers if path.is_file() and self.root in path.resolve().parents)

    def files(self, result: Path) -> tuple[Path, ...]:
        """The pointers of the snapshot, or the one."""
        return tuple(path for path in tree(result) if path.is_file()) if result.is_dir() else (result,)

    def name(self, path: Path) -> str:
        """The path below the snapshot."""
        return Path(*path.relative_to(self._staged / "snapshots").parts[1:]).as_posix()

    def commit(self, path: Path) -> str | None:
        """The name of the snapshot."""
        return path.relative_to(self._staged / "snapshots").parts[0]

    def destination(self, path: Path) -> Path:
        """The same path below the real repository."""
        return self._real / path.relative_to(self._staged)

    def holds(self, name: str, commit: str, tag: str = "") -> bool:
        """Whether there is a pointer of that commit, or a blob of that tag."""
        pointer = self._real / "snapshots" / commit / name
        return os.path.lexists(pointer) or bool(tag and os.path.lexists(self._real / "blobs" / tag))

    def refer(self, commit: str) -> None:
        """Write the reference, unless the revision is the commit."""
        if _within(self._ref) and self._ref.name != commit:
            (self._staged / self._ref).parent.mkdir(parents=True, exist_ok=True)
            (self._staged / self._ref).write_text(commit, encoding="utf-8")

    def promote(self, judged: Iterable[Path]) -> None:
        """Contents, pointers, notes, and last the reference that makes them current."""
        for pointer in judged:
            if pointer.is_symlink():
                blob = link_target(pointer)
                # A blob that the client shares between repositories becomes this repository's own.
                content = blob.resolve()
                if self.root in content.parents and content.exists():
                    _move(content, self._real / "blobs" / blob.name)
            _move(pointer, self.destination(pointer))
        for section in ("trees", ".no_exist"):
            for note in tree(self._staged / section):
                _move(note, self._real / note.relative_to(self._staged))
        ref = self._staged / self._ref
        if _within(self._ref) and ref.is_file() and ref.read_bytes() != self._commit:
            _move(ref, self._real / self._ref)
        tag = self.root / "CACHEDIR.TAG"
        if self._real.exists() and tag.exists() and not (self._cache / tag.name).exists():
            _move(tag, self._cache / tag.name)

    def standing(self, path: Path) -> tuple[Path, ...]:
        """The pointer, and the content of that name, which the client would give one where it has none."""
        contents = [self._real / "blobs" / link_target(path).name] if path.is_symlink() else []
        return tuple(real for real in (self.destination(path), *contents) if _is_same(path, real))

    def evict(self, path: Path) -> None:
        """As ``uproot`` does."""
        for real in self.standing(path):
            delete_from_cache(real, cache=self._cache)


class StagedFolder:
    """The stand-in for a ``local_dir``."""

    def __init__(self, stage: Path, folder: Path) -> None:
        """``folder`` is the real ``local_dir``."""
        self.root = stage / "folder"
        self._real = folder
        self.root.mkdir()

    def show(self, filename: str | None) -> None:
        """Link the files that the client knows, and copy what it has noted about them."""
        for note in _named(self._real / _NOTES, filename and f"{filename}.metadata"):
            if note.suffix == ".metadata":
                _copy(note, self.root / note.relative_to(self._real))
        for listing in entries(self._real / _LISTINGS):
            _link(listing, self.root / _LISTINGS / listing.name)
        for name in [filename] if filename else self._noted():
            if _within(Path(name)) and (self._real / name).is_file():
                _link(self._real / name, self.root / name)

    def shown(self) -> bool:
        """Whether a file of the real folder is seen through this one."""
        return len(self.arrived()) < len(self.files(self.root))

    def arrived(self) -> tuple[Path, ...]:
        """The files that are no links to the real folder, the client's notes among them."""
        return tuple(path for path in self.files(self.root) if self.root in path.resolve().parents)

    def files(self, result: Path) -> tuple[Path, ...]:  # noqa: ARG002 (the stage holds nothing else)
        """All there is but locks and fragments, as a repository can have files where the client has its notes."""
        notes = self.root / _CLIENT
        passing = (".lock", ".incomplete")
        return tuple(path for path in tree(self.root) if notes not in path.parents or path.suffix not in passing)

    def name(self, path: Path) -> str:
        """The path below the folder."""
        return path.relative_to(self.root).as_posix()

    def commit(self, path: Path) -> str | None:
        """What the client noted beside the file."""
        note = self.root / _NOTES / f"{self.name(path)}.metadata"
        return note.read_text(encoding="utf-8").partition("\n")[0] if note.is_file() else None

    def destination(self, path: Path) -> Path:
        """The same path below the real folder."""
        return self._real / path.relative_to(self.root)

    def holds(self, name: str, commit: str, tag: str = "") -> bool:
        """Whether the client noted that commit or that tag beside the file."""
        note = self._real / _NOTES / f"{name}.metadata"
        noted = note.read_text(encoding="utf-8").splitlines()[:2] if note.is_file() else []
        return (self._real / name).is_file() and bool({commit, tag or commit}.intersection(noted))

    def refer(self, commit: str) -> None:
        """A folder has no references."""

    def promote(self, judged: Iterable[Path]) -> None:
        """The files, then the notes about them."""
        for path in sorted(judged, key=lambda path: self.root / _CLIENT in path.parents):
            if not path.is_symlink():
                _move(path, self.destination(path))

    def standing(self, path: Path) -> tuple[Path, ...]:
        """The entry, if its content is that of ``path``."""
        return tuple(real for real in (self.destination(path),) if _is_same(path, real))

    def evict(self, path: Path) -> None:
        """Remove the entry and its note; a link of the user's loses no more."""
        for real in self.standing(path):
            real.unlink()
            (self._real / _NOTES / f"{self.name(path)}.metadata").unlink(missing_ok=True)

    def _noted(self) -> list[str]:
        notes = self.root / _NOTES
        return [note.relative_to(notes).as_posix().removesuffix(".metadata") for note in tree(notes)]


_CLIENT = Path(".cache", "huggingface")
_NOTES = _CLIENT / "download"
_LISTINGS = _CLIENT / "trees"


_OWN_HOME = f"{HOME}-{os.geteuid()}" if hasattr(os, "geteuid") else f"{HOME}-own"


def _reserve(target: Path, inside: str) -> Path:
    """The path of a staging to be made, beside which its lock file is."""
    same_volume = not target.exists() or target.stat().st_dev == target.parent.stat().st_dev
    folders = ([target.parent] if same_volume else []) + [target / inside]
    # Where another user has one of that name, or a link lies in its place, a name of one's own does.
    homes = [folder / name for folder in folders for name in (HOME, _OWN_HOME)]
    # Another process may remove the home, empty as it is, before the lock is in it: then once more.
    for home in [home for home in homes for _ in range(10)]:
        place = home / secrets.token_hex(8)
        with contextlib.suppress(OSError):
            private_directory(home)
            place.with_suffix(".lock").touch()
            return place.resolve()
    return Path(tempfile.mkdtemp(prefix=HOME)).resolve() / secrets.token_hex(8)


def _sweep(home: Path) -> None:
    """Remove the stagings whose lock nobody holds: a process makes its directory only after it has the lock."""
    from filelock import FileLock

    for place in entries(home):
        lock = place.with_suffix(".lock")
        if place.is_dir():
            # A lock that is held raises a TimeoutError; a volume without locks NotImplementedError.
            with contextlib.suppress(OSError, NotImplementedError), FileLock(lock, timeout=0):
                shutil.rmtree(place, ignore_errors=True)
                lock.unlink(missing_ok=True)


def _within(relative: PurePath) -> bool:
    """Whether a name from outside stays below what it is joined to; on Windows a drive or a root leads out."""
    return not relative.anchor and ".." not in relative.parts


def _named(folder: Path, filename: str | None) -> Iterable[Path]:
    """The one file of that name below ``folder``, or all."""
    if filename is None:
        return tree(folder)
    path = folder / filename
    return (path,) if _within(Path(filename)) and os.path.lexists(path) and not path.is_dir() else ()


def _is_same(path: Path, real: Path) -> bool:
    """Whether a staged file and one that was there before are one, or have the same bytes."""
    return real.is_file() and (path.samefile(real) or filecmp.cmp(path, real, shallow=False))


def _copy(source: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, place)


def _link(source: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        place.symlink_to(source)
    except OSError:
        os.link(source, place)  # Windows asks for a privilege for symbolic links, for hard links it does not


def _repeat(pointer: Path, place: Path) -> None:
    if pointer.is_symlink():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(os.readlink(pointer))
    else:
        _link(pointer, place)


def _move(source: Path, place: Path) -> None:
    """Rename a new file or link to its place; what only shows through is there already."""
    with contextlib.suppress(OSError):
        if source.samefile(place):
            return
    try:
        os.replace(source, place)
    except FileNotFoundError:
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(source, place)
