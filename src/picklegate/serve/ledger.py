"""What judging read of a content, block by block, kept beside the verdict.

A server can show other bytes to the judge than it sends to a client. A block that was read is given out only if it is
the same block; the last one waits until the digest of the whole is what the Hub says.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import struct
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from picklegate.hub.remote_file import RemoteFile
from picklegate.report import FileReport

BLOCK = 1 << 16
"""Bytes of a block."""
_ROW = struct.Struct("<I32s")
_TABLE = "CREATE TABLE IF NOT EXISTS ledgers (key TEXT PRIMARY KEY, report TEXT, blocks BLOB) WITHOUT ROWID"


@dataclass(kw_only=True, slots=True)
class Judged:
    """The report on a content of ``size`` bytes, and the SHA-256 of each block that is known, by its number."""

    report: FileReport
    size: int
    blocks: dict[int, bytes] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every block is known."""
        return len(self.blocks) == -(-self.size // BLOCK)

    def knows(self, start: int, stop: int) -> bool:
        """Whether every block of these bytes is known."""
        return all(number in self.blocks for number in range(start // BLOCK, -(-stop // BLOCK)))

    def allows(self, hashes: Mapping[int, bytes]) -> bool:
        """Whether blocks are those that were read; one that was not read says nothing yet."""
        return all(self.blocks.get(number, digest) == digest for number, digest in hashes.items())


class LedgerFile(RemoteFile):
    """A remote file that is fetched in whole blocks, and notes the SHA-256 of each."""

    blocks: dict[int, bytes]

    def _range(self, start: int, stop: int) -> bytes:
        first = start - start % BLOCK
        last = min(self.size, -(-stop // BLOCK) * BLOCK)
        data = super()._range(first, last)
        for number, block in numbered(data, first // BLOCK):
            self.blocks[number] = hashlib.sha256(block).digest()
        return data[start - first : stop - first]


def numbered(data: bytes, first: int = 0) -> Iterator[tuple[int, bytes]]:
    """The blocks of ``data`` with their numbers, of which the first is ``first``."""
    for offset in range(0, len(data), BLOCK):
        yield first + offset // BLOCK, data[offset : offset + BLOCK]


class Ledgers:
    """Judged contents by key, in an SQLite file; without ``path`` in memory alone."""

    def __init__(self, path: Path | None) -> None:
        """The file is made where it is missing, readable and writable by its owner only."""
        if path is not None:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), 0o600))
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute(_TABLE)

    def get(self, key: str, *, name: str) -> Judged | None:
        """What is kept under this key; the report goes by ``name``."""
        with self._lock:
            row = self._connection.execute("SELECT report, blocks FROM ledgers WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        try:
            report = FileReport.from_dict({**json.loads(row[0]), "path": name})
            return Judged(report=report, size=report.size, blocks=dict(_ROW.iter_unpack(row[1])))
        except (ValueError, KeyError, TypeError, struct.error):
            return None

    def put(self, key: str, judged: Judged) -> None:
        """Keep this under that key, in the place of what is there."""
        blocks = b"".join(_ROW.pack(*item) for item in sorted(judged.blocks.items()))
        row = (key, json.dumps(judged.report.to_dict()), blocks)
        with self._lock:
            self._connection.execute("INSERT OR REPLACE INTO ledgers VALUES (?, ?, ?)", row)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
