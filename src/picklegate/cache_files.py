"""Files of a Hugging Face cache: the links that lead to a content, and its removal under all its names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path


def delete_from_cache(path: Path, *, cache: Path) -> bool:
    """Remove a file of a Hugging Face cache, under all its names; whether it was there.

    That is the content, every link on the way to it, and every pointer that is left dangling.
    """
    chain = [path]
    found = os.path.lexists(path)
    while chain[-1].is_symlink():
        chain.append(link_target(chain[-1]))
    for link in reversed(chain):
        if cache in link.parents:
            link.unlink(missing_ok=True)
    # What the client shares between repositories (<cache>/blobs) other ones point at too.
    repo = cache / chain[-1].relative_to(cache).parts[0] if cache in chain[-1].parents else cache / "blobs"
    for home in entries(cache) if repo == cache / "blobs" else [repo]:
        for link in (*tree(home / "blobs"), *tree(home / "snapshots")):
            if link.is_symlink() and not link.exists():
                link.unlink(missing_ok=True)
    return found


def entries(folder: Path) -> Iterable[Path]:
    """What a folder holds, sorted; nothing where it cannot be read."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return ()


def tree(folder: Path) -> Iterator[Path]:
    """The files and links below ``folder``; directories that are links are not entered."""
    for entry in entries(folder):
        if entry.is_dir() and not entry.is_symlink():
            yield from tree(entry)
        else:
            yield entry


def link_target(link: Path) -> Path:
    """What a symbolic link points at, one step on."""
    return Path(os.path.normpath(link.parent / os.readlink(link)))
