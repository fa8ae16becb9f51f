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
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from picklegate import paths
from picklegate.containers.detect import claims
from picklegate.files import private_directory, private_file
from picklegate.judging import model_files
from picklegate.locks import file_lock
from picklegate.policy import Policy
from picklegate.provenance import engine, verdict_options
from picklegate.report import SCHEMA, FileReport

NAME = "verdicts.sqlite3"
_KEPT_DAYS = 90
_WAIT_S = 5.0
_SETTLED_NS = 100_000_000
"""A file changed within this time may change again without showing a new time: its digest is not remembered."""
_AT_ONCE = 500
"""Files that one query asks for: SQLite takes no more than 999 values in some builds."""
_FORM = 2
"""What the tables of today are called in a store (SQLite's ``user_version``); those of another form are made anew."""
_TABLES = (
    "DROP TABLE IF EXISTS reports",
    "DROP TABLE IF EXISTS digests",
    "DROP TABLE IF EXISTS files",
    (
        "CREATE TABLE reports"
        " (content TEXT, judge TEXT, report TEXT, day INTEGER, PRIMARY KEY (content, judge)) WITHOUT ROWID"
    ),
    "CREATE TABLE files (path TEXT PRIMARY KEY, stamp TEXT, content TEXT, day INTEGER) WITHOUT ROWID",
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

    def get_by_digest(self, sha256: str, *, name: str, policy: Policy) -> FileReport | None:
        """The report on these bytes under ``name``, if they were judged in the same way before."""
        report = self._get(sha256, name, policy)
        return report if report and report.sha256 == sha256 else None

    def put_by_digest(self, report: FileReport, *, policy: Policy) -> None:
        """Keep a report whose ``sha256`` was computed from the bytes that were judged."""
        if not report.sha256:
            raise ValueError("a report without a digest cannot be kept")
        self._put(report.sha256, report, policy)

    def get_by_claim(self, server: str, tag: str, *, name: str, policy: Policy) -> FileReport | None:
        """The report on what ``server`` served parts of as ``tag``."""
        return self._get(_claim(server, tag), name, policy)

    def put_by_claim(self, server: str, tag: str, report: FileReport, *, policy: Policy) -> None:
        """Keep a report on what a server calls by that tag."""
        self._put(_claim(server, tag), report, policy)

    def get_by_file(self, files: Iterable[tuple[str, os.stat_result, str]], *, policy: Policy) -> dict[str, FileReport]:
        """The known reports on files that have not changed, by path; each file is its path, what it is now, and a name.

        The paths have no links in them.
        """
        wanted = {path: (_stamp(entry), name) for path, entry, name in files}
        known: dict[str, FileReport] = {}
        by_key: dict[str, list[str]] = {}
        keys = {claimed: judging_key(policy, "x.pkl" if claimed else "x") for claimed in (False, True)}
        for path, (_, name) in wanted.items():
            by_key.setdefault(keys[claims(name)], []).append(path)
        for key, names in by_key.items():
            for start in range(0, len(names), _AT_ONCE):
                for path, stamp, text in self._rows(names[start : start + _AT_ONCE], key):
                    report = _report(text, wanted[path][1]) if stamp == wanted[path][0] else None
                    if report is not None:
                        known[path] = report
        return known

    def put_by_file(
        self, path: str, report: FileReport, *, policy: Policy, before: os.stat_result, started_ns: int
    ) -> None:
        """Keep a report on the file at ``path``, unless it has changed since; raises OSError if it is not there.

        ``before`` is what it was, and ``started_ns`` the time, before the first byte was read. A file that had just
        changed then is not kept: it may have changed again without showing another time.
        """
        entry = os.stat(path)
        if _stamp(before) != _stamp(entry) or started_ns - entry.st_ctime_ns <= _SETTLED_NS:
            return
        content = report.sha256 or f"file {path} {_stamp(entry)}"
        self._put(content, report, policy)
        row = (path, _stamp(entry), content, _today())
        self._do(lambda tables: tables.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", row))

    def _rows(self, names: list[str], judge: str) -> list[tuple[str, str, str]]:
        marks = ", ".join("?" * len(names))
        tables = "files JOIN reports USING (content)"
        question = f"SELECT path, stamp, report FROM {tables} WHERE judge = ? AND path IN ({marks})"  # noqa: S608 (?)
        return self._do(lambda tables: tables.execute(question, (judge, *names)).fetchall()) or []

    def _get(self, content: str, name: str, policy: Policy) -> FileReport | None:
        question = "SELECT report FROM reports WHERE content = ? AND judge = ?"
        values = (content, judging_key(policy, name))
        row = self._do(lambda tables: tables.execute(question, values).fetchone())
        return None if row is None else _report(row[0], name)

    def _put(self, content: str, report: FileReport, policy: Policy) -> None:
        row = (content, judging_key(policy, report.name), json.dumps(report.to_dict()), _today())
        self._do(lambda tables: tables.execute("INSERT OR REPLACE INTO reports VALUES (?, ?, ?, ?)", row))

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
            private_directory(self._path.parent)
            private_file(self._path)
            connection = sqlite3.connect(self._path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False)
            if _form(connection) != _FORM:
                # SQLite does not wait for another process that makes the same file a WAL one: they take turns.
                with file_lock(self._path.with_suffix(".lock")):
                    connection.execute("PRAGMA journal_mode = WAL")
                    for statement in _TABLES if _form(connection) != _FORM else ():
                        connection.execute(statement)
            connection.execute("PRAGMA synchronous = NORMAL")
            for table in ("reports", "files"):
                connection.execute(f"DELETE FROM {table} WHERE day < ?", (_today() - _KEPT_DAYS,))  # noqa: S608 (a constant)
            self._connection, self._process = connection, os.getpid()
        return self._connection


def _form(connection: sqlite3.Connection) -> int:
    version: tuple[int] = connection.execute("PRAGMA user_version").fetchone()
    return version[0]


def default() -> Store:
    """The store that the front doors share."""
    return _shared(paths.cache() / NAME)


@lru_cache(maxsize=4)
def _shared(path: Path) -> Store:
    return Store(path)


def judging_key(policy: Policy, name: str) -> str:
    """What besides the bytes a report on a file of this name depends on, as one short text."""
    # What is installed in a folder shows in its time of change.
    stamps = tuple(os.stat(folder).st_mtime_ns for folder in policy.environment if os.path.isdir(folder))
    return _judge(policy, claims(name), stamps)


@lru_cache(maxsize=64)
def _judge(policy: Policy, claimed: bool, environment: tuple[int, ...]) -> str:  # noqa: FBT001 (one of the key's parts)
    """What besides the bytes a report depends on, as one short text."""
    parts = [SCHEMA, engine(), model_files.digest(), claimed, verdict_options(policy), environment]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _claim(server: str, tag: str) -> str:
    return f"claim {server} {tag}"


def _report(text: str, name: str) -> FileReport | None:
    """The report of a row, under ``name``; None where the row was damaged."""
    try:
        return FileReport.from_dict({**json.loads(text), "path": name})
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _stamp(entry: os.stat_result) -> str:
    return f"{entry.st_dev} {entry.st_ino} {entry.st_size} {entry.st_mtime_ns} {entry.st_ctime_ns}"


def _today() -> int:
    return int(time.time() // 86_400)
