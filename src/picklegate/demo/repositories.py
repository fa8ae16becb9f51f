"""What the Hub on loopback holds: files with their git and LFS identities, commits, and how its API lists them."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LFS_SUFFIXES = (".bin", ".ckpt", ".h5", ".joblib", ".npy", ".npz", ".pickle", ".pkl", ".pt", ".pth", ".safetensors")
_DATE = "2026-01-01T00:00:00.000Z"

Content = bytes | mmap.mmap
"""The bytes of a file; a mapped sparse file is as good, so that a gigabyte costs no memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Blob:
    """The content of one file under its git and, where the Hub would store it so, its LFS identity."""

    path: str
    data: Content
    oid: str
    sha256: str | None

    @classmethod
    def of(cls, path: str, data: Content) -> Blob:
        """The blob of a file, LFS by its suffix."""
        oid = hashlib.sha1(b"blob %d\0" % len(data), usedforsecurity=False)
        oid.update(data)
        sha256 = hashlib.sha256(data).hexdigest() if path.endswith(LFS_SUFFIXES) else None
        return cls(path=path, data=data, oid=oid.hexdigest(), sha256=sha256)

    def sibling(self) -> dict[str, Any]:
        """The file in what the API tells of its repository."""
        sibling: dict[str, Any] = {"rfilename": self.path, "size": len(self.data), "blobId": self.oid}
        if self.sha256:
            sibling["lfs"] = {"sha256": self.sha256, "size": len(self.data), "pointerSize": 134}
        return sibling

    def entry(self) -> dict[str, Any]:
        """The file in a listing of the API."""
        entry: dict[str, Any] = {"type": "file", "path": self.path, "size": len(self.data), "oid": self.oid}
        if self.sha256:
            entry["lfs"] = {"oid": self.sha256, "size": len(self.data), "pointerSize": 134}
        return entry


@dataclass(slots=True)
class Repository:
    """Commits by their hash, and the branches that name them."""

    commits: dict[str, dict[str, Blob]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def push(self, files: Mapping[str, Content], branch: str) -> str:
        """Add a commit of exactly these files, and let the branch name it."""
        blobs = {path: Blob.of(path, data) for path, data in sorted(files.items())}
        listing = "".join(f"{blob.oid} {path}\n" for path, blob in blobs.items())
        parent = self.branches.get(branch, "")
        commit = hashlib.sha1(f"{parent}\n{listing}".encode(), usedforsecurity=False).hexdigest()
        self.commits[commit] = blobs
        self.branches[branch] = commit
        return commit

    def resolve(self, revision: str) -> str | None:
        """The commit that a branch or a hash names."""
        return self.branches.get(revision, revision if revision in self.commits else None)


def information(name: str, commit: str, blobs: Mapping[str, Blob], *, in_full: bool = False) -> dict[str, Any]:
    """A repository at a commit, as the API tells of it; ``in_full`` with the sizes and digests of its files."""
    return {
        "_id": commit[:24],
        "id": name,
        "modelId": name,
        "author": name.partition("/")[0],
        "sha": commit,
        "private": False,
        "gated": False,
        "disabled": False,
        "tags": [],
        "downloads": 0,
        "likes": 0,
        "createdAt": _DATE,
        "lastModified": _DATE,
        "siblings": [blob.sibling() if in_full else {"rfilename": path} for path, blob in blobs.items()],
    }


def listing(blobs: Mapping[str, Blob], folder: str, *, recursive: bool) -> list[dict[str, Any]]:
    """The entries below a folder, its own folders first as git sorts them among the files."""
    prefix = f"{folder}/" if folder else ""
    entries: dict[str, dict[str, Any]] = {}
    for path, blob in blobs.items():
        if not path.startswith(prefix):
            continue
        parts = path[len(prefix) :].split("/")
        for depth in range(1, len(parts) if recursive else min(len(parts), 2)):
            parent = prefix + "/".join(parts[:depth])
            oid = hashlib.sha1(parent.encode(), usedforsecurity=False).hexdigest()
            entries.setdefault(parent, {"type": "directory", "path": parent, "size": 0, "oid": oid})
        if recursive or len(parts) == 1:
            entries[path] = blob.entry()
    return [entries[path] for path in sorted(entries)]


def expanded(entry: dict[str, Any], commit: str) -> dict[str, Any]:
    """The entry with the commit and the scanners' answers that ``expand`` asks for."""
    status = {"status": "unscanned", "avScan": {"virusFound": False}, "pickleImportScan": {"pickleImports": []}}
    last = {"id": commit, "title": "Add files", "date": _DATE}
    return {**entry, "lastCommit": last, "securityFileStatus": status}
