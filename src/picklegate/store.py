"""Verdicts kept by content: a file that was judged once is not judged again.

The store is a convenience. Where it cannot be read or written, work goes on without it, after one warning.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import picklegate
from picklegate import paths
from picklegate.containers.detect import claims
from picklegate.judging.classifier import version
from picklegate.policy import Policy
from picklegate.report import SCHEMA, FileReport

NAME = "verdicts.sqlite3"
_KEPT_DAYS = 90
_WAIT_S = 5.0
_SETTLED_NS = 100_000_000
"""A file changed within this time may change again without showing a new time: its digest is not remembered."""
_FORM = 1
"""What the tables of today are called in a store (SQLite's ``user_version``); those of another form are made anew."""
_TABLES = (
    "DROP TABLE IF EXISTS reports",
    "DROP TABLE IF EXISTS digests",
    (
        "CREATE TABLE reports"
        " (content TEXT, judge TEXT, report TEXT, day INTEGER, PRIMARY KEY (content, judge)) WITHOUT ROWID"
    ),
    "CREATE TABLE digests (path TEXT PRIMARY KEY, stamp TEXT, sha256 TEXT, day INTEGER) WITHOUT ROWID",
    f"PRAGMA user_version = {_FORM}",
)
_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")


class Store:
    """Reports on contents: by the SHA-256 of their bytes, by what a server calls them, by the file that holds them.

    A report is found again only by the same engine, model, limits and allowed imports. What a server *claims* of
    a content says nothing about what it will send: such a report is good for a forecast, and what arrives is judged.
    A file is the same while its device, inode, size and times of change, to the nanosecond, are the same: who can
    forge those can write to the store as well. Threads and processes may share one; methods never raise for its state.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Keep it at ``path``, by default in the user's cache directory; nothing is opened yet."""
        self._path = path or paths.cache() / NAME
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._process = 0
        self._broken = False

    def report(self, sha256: str, *, name: str, policy: Policy) -> FileReport | None:
        """The report on these bytes under ``name``, if they were judged in the same way before."""
        found = self._get(sha256, name, policy)
        return found if found and found.sha256 == sha256 else None

    def keep(self, report: FileReport, *, policy: Policy) -> None:
        """Keep a report whose ``sha256`` was computed from the bytes that were judged."""
        if not report.sha256:
            raise ValueError("a report without a digest cannot be kept")
        self._put(report.sha256, report, policy)

    def claimed(self, server: str, tag: str, *, name: str, policy: Policy) -> FileReport | None:
        """The report on what ``server`` served parts of as ``tag``."""
        return self._get(f"claim {server} {tag}", name, policy)

    def keep_claimed(self, server: str, tag: str, report: FileReport, *, policy: Policy) -> None:
        """Keep a report on what a server calls by that tag."""
        self._put(f"claim {server} {tag}", report, policy)

    def seen(self, path: str | os.PathLike[str], *, name: str, policy: Policy) -> FileReport | None:
        """The report on the file at ``path`` if it has not changed since; raises OSError if it cannot be looked at."""
        return self._get(_file(path), name, policy)

    def keep_seen(self, path: str | os.PathLike[str], report: FileReport, *, policy: Policy) -> None:
        """Keep a report on a file that nobody else could have written to since it was judged; raises OSError."""
        self._put(_file(path), report, policy)

    def recall(self, path: str, entry: os.stat_result, *, name: str, policy: Policy) -> FileReport | None:
        """The report on a file whose digest is remembered; ``path`` has no links, and ``entry`` is what it is now."""
        tables = "digests JOIN reports ON content = sha256"
        question = f"SELECT report FROM {tables} WHERE path = ? AND stamp = ? AND judge = ?"  # noqa: S608 (a constant)
        return self._report(question, (path, _stamp(entry), _judge(policy, claims(name))), name)

    def _get(self, content: str, name: str, policy: Policy) -> FileReport | None:
        question = "SELECT report FROM reports WHERE content = ? AND judge = ?"
        return self._report(question, (content, _judge(policy, claims(name))), name)

    def _report(self, question: str, values: tuple[str, ...], name: str) -> FileReport | None:
        row = self._do(lambda tables: tables.execute(question, values).fetchone())
        if row is None:
            return None
        try:
            return FileReport.from_dict({**json.loads(row[0]), "path": name})
        except (ValueError, KeyError, TypeError):
            return None

    def _put(self, content: str, report: FileReport, policy: Policy) -> None:
        row = (content, _judge(policy, claims(report.name)), json.dumps(report.to_dict()), _today())
        self._do(lambda tables: tables.execute("INSERT OR REPLACE INTO reports VALUES (?, ?, ?, ?)", row))

    def remember(self, path: str | os.PathLike[str], sha256: str, *, since: os.stat_result | None = None) -> None:
        """Remember the digest of a file that nobody can have written to since it was hashed.

        With ``since``, what was seen of the file before it was hashed, it is forgotten if the file changed. Raises
        OSError if the file cannot be looked at.
        """
        place = os.path.realpath(path)
        entry = os.stat(place)
        if since is None or (_stamp(since) == _stamp(entry) and time.time_ns() - entry.st_ctime_ns > _SETTLED_NS):
            self._remember(place, entry, sha256)

    def _remember(self, place: str, entry: os.stat_result, sha256: str) -> None:
        row = (place, _stamp(entry), sha256, _today())
        self._do(lambda tables: tables.execute("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?)", row))

    def _do(self, work: Callable[[sqlite3.Connection], _Answer]) -> _Answer | None:
        """The answer of the tables; None where there is none, and from the first fault on."""
        with self._lock:
            if self._broken:
                return None
            try:
                return work(self._tables())
            except (sqlite3.Error, OSError) as error:
                self._broken = True
                _log.warning(
                    "the verdict store %s cannot be used (%s): going on without it; delete it if it is damaged, or set "
                    "PICKLEGATE_HOME to a directory that can be written",
                    self._path,
                    error,
                )
                return None

    def _tables(self) -> sqlite3.Connection:
        """The connection, opened by the first use in each process: SQLite's do not survive a fork."""
        if self._connection is None or self._process != os.getpid():
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            if _form(connection) != _FORM:
                connection.execute("BEGIN IMMEDIATE")
                for statement in _TABLES if _form(connection) != _FORM else ():
                    connection.execute(statement)
                connection.execute("COMMIT")
            for table in ("reports", "digests"):
                connection.execute(f"DELETE FROM {table} WHERE day < ?", (_today() - _KEPT_DAYS,))  # noqa: S608 (a constant)
            self._connection, self._process = connection, os.getpid()
        return self._connection


def _form(connection: sqlite3.Connection) -> int:
    found: tuple[int] = connection.execute("PRAGMA user_version").fetchone()
    return found[0]


def default() -> Store:
    """The store that the front doors share."""
    return _shared(paths.cache() / NAME)


@lru_cache(maxsize=4)
def _shared(path: Path) -> Store:
    return Store(path)


def judging_key(policy: Policy, name: str) -> str:
    """What besides the bytes a report on a file of this name depends on, as one short text."""
    return _judge(policy, claims(name))


@lru_cache(maxsize=64)
def _judge(policy: Policy, claimed: bool) -> str:  # noqa: FBT001 (one of the key's parts)
    """What besides the bytes a report depends on, as one short text."""
    parts = [
        SCHEMA,
        _engine(),
        version(),
        claimed,
        asdict(policy.limits),
        sorted(policy.allow_imports),
        policy.suspicious_score,
        policy.malicious_score,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


@lru_cache(maxsize=1)
def _engine() -> str:
    """The version of the code, and what the file system says of its files: edited, it is another engine."""
    home = Path(picklegate.__file__).parent
    files = [path for path in home.rglob("*") if path.suffix in {".py", ".json", ".tsv"}]
    stamps = [
        (str(path.relative_to(home)), entry.st_size, entry.st_mtime_ns)
        for path in sorted(files)
        for entry in (path.stat(),)
    ]
    return f"{picklegate.__version__} {stamps}"


def _file(path: str | os.PathLike[str]) -> str:
    place = os.path.realpath(path)
    return f"file {place} {_stamp(os.stat(place))}"


def _stamp(entry: os.stat_result) -> str:
    return f"{entry.st_dev} {entry.st_ino} {entry.st_size} {entry.st_mtime_ns} {entry.st_ctime_ns}"


def _today() -> int:
    return int(time.time() // 86_400)
