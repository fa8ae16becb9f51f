"""The preview: what the Hub tells of files, and their verdict before they are fetched.

All of it is a forecast. A server can send other bytes to a range request than to a download, so what arrives is
judged again; a forecast that cannot be made costs nothing but itself.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from picklegate import paths
from picklegate.containers.detect import claims
from picklegate.hub.path_safety import hostile, leaves
from picklegate.locks import file_lock
from picklegate.policy import Policy
from picklegate.report import FileReport, Finding, Verdict
from picklegate.scan import scan_stream
from picklegate.store import Store, default

if TYPE_CHECKING:
    from picklegate.hub.remote_file import RemoteFile

_WORKERS = 32
"""Files read side by side: reading parts is mostly waiting."""
_PREFIXES = {"dataset": "datasets/", "space": "spaces/"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A file as the Hub describes it at a commit.

    ``tag`` is what it calls the content: the SHA-256 of an LFS file, or git's name of a smaller one. ``location`` is
    where it redirects to, where that is known, and ``status`` what its own scanners say.
    """

    path: str
    commit: str
    tag: str
    size: int
    location: str | None = None
    status: str = ""

    @property
    def leaves(self) -> bool:
        """Whether the client, which makes paths of the tag and the commit, would be led out of its directories."""
        return leaves(self.tag) or leaves(self.commit)

    @property
    def sha256(self) -> str:
        """The SHA-256 that the Hub claims, or ``""``."""
        return self.tag if len(self.tag) == 64 and not self.tag.strip("0123456789abcdef") else ""


class Preview:
    """One repository of the Hub; ``requests`` and ``bytes`` count what judging its files has cost."""

    def __init__(
        self,
        repo_id: str,
        *,
        repo_type: str | None,
        policy: Policy,
        options: Mapping[str, Any],
        store: Store | None = None,
    ) -> None:
        """``options`` are the client's own: ``endpoint``, ``token``, ``headers``, ``etag_timeout`` and such."""
        from huggingface_hub import constants

        self.requests = 0
        self.bytes = 0
        self._repo: dict[str, Any] = {"repo_id": repo_id, "repo_type": repo_type}
        self._policy = policy
        self._store = store or default()
        self._endpoint = options.get("endpoint") or constants.ENDPOINT
        self._token = options.get("token")
        self._identity: dict[str, Any] = {
            name: options.get(name) for name in ("library_name", "library_version", "user_agent", "headers")
        }
        self._timeout_s = options.get("etag_timeout") or constants.HF_HUB_ETAG_TIMEOUT
        self._proxies = options.get("proxies")
        self._lock = threading.Lock()

    def address(self, path: str, commit: str | None) -> str:
        """The name of a file in reports."""
        return address(self._repo["repo_id"], self._repo["repo_type"], commit, path)

    def entry(self, path: str, revision: str) -> Entry:
        """What a HEAD request tells of a file; raises the client's errors, and ValueError where it tells too little."""
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        url = hf_hub_url(filename=path, revision=revision, endpoint=self._endpoint, **self._repo)
        options: dict[str, Any] = {**self._identity, "timeout": self._timeout_s, "endpoint": self._endpoint}
        if self._proxies:  # clients before 1.0 take them
            options["proxies"] = self._proxies
        told = get_hf_file_metadata(url, token=self._token, **options)
        if told.commit_hash is None or told.etag is None or told.size is None:
            raise ValueError(f"{self._endpoint} does not describe {path}")
        return Entry(path=path, commit=told.commit_hash, tag=told.etag, size=told.size, location=told.location)

    def listing(self, revision: str | None, *, statuses: bool = False) -> tuple[str, tuple[Entry, ...]]:
        """The commit of a revision and its files; raises the client's errors. ``statuses`` take the Hub longer."""
        from huggingface_hub import HfApi
        from huggingface_hub.hf_api import RepoFile

        api = HfApi(endpoint=self._endpoint, token=self._token, **self._identity)
        commit = str(api.repo_info(revision=revision, **self._repo).sha)
        tree = api.list_repo_tree(recursive=True, expand=statuses, revision=commit, **self._repo)
        return commit, tuple(
            Entry(
                path=file.path,
                commit=commit,
                tag=file.lfs.sha256 if file.lfs else file.blob_id,
                size=file.lfs.size if file.lfs else file.size,
                status=file.security.status if file.security else "",
            )
            for file in tree
            if isinstance(file, RepoFile)
        )

    def reports(self, entries: Iterable[Entry], *, most: int | None = None) -> dict[Entry, FileReport | None]:
        """The report on each file, judged side by side, and each content once; None where there can be none."""
        wanted = list(entries)
        first = {(entry.tag, claims(entry.path)): entry for entry in sorted(wanted, key=lambda entry: -entry.size)}
        reports = {key: self._known(entry) for key, entry in first.items()}
        new = [key for key, report in reports.items() if report is None]
        if new:
            with ThreadPoolExecutor(min(_WORKERS, len(new))) as pool:
                made = pool.map(lambda key: self.report(first[key], most=most), new)
                reports.update(zip(new, made, strict=True))
        answers: dict[Entry, FileReport | None] = {}
        for entry in wanted:
            report = reports[entry.tag, claims(entry.path)]
            answers[entry] = report and replace(report, name=self.address(entry.path, entry.commit))
        return answers

    def report(self, entry: Entry, *, most: int | None = None) -> FileReport | None:
        """The report on a file, of the store or from reading at most so many bytes of it; None where it cannot be.

        Its ``sha256`` is what the Hub claims, or that of the bytes where all of them were read.
        """
        known = self._known(entry)
        if known is not None:
            return known
        key = hashlib.sha256(f"{self._endpoint} {entry.tag}".encode()).hexdigest()[:3]
        # One after another, threads and processes find here what the first of them has read.
        with file_lock(paths.cache() / "turns" / f"{key}.lock"):
            return self._known(entry) or self._read(entry, most)

    def unreadable(self, entry: Entry) -> FileReport:
        """The report on a file of which no parts are to be had."""
        message = "the server does not support range requests: download it through the gate, which judges it on arrival"
        finding = Finding(code="hub.no-parts", verdict=Verdict.UNSCANNABLE, message=message)
        name = self.address(entry.path, entry.commit)
        return FileReport(name=name, container="unknown", size=entry.size, findings=(finding,))

    def _known(self, entry: Entry) -> FileReport | None:
        name = self.address(entry.path, entry.commit)
        if entry.leaves:
            return hostile(name, size=entry.size)
        known = self._store.get_by_digest(entry.sha256, name=name, policy=self._policy) if entry.sha256 else None
        return known or self._store.get_by_claim(self._endpoint, entry.tag, name=name, policy=self._policy)

    def file(self, entry: Entry, *, most: int | None = None) -> RemoteFile:
        """The file, of which at most so many bytes are read, by range requests."""
        from huggingface_hub import hf_hub_url
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        from picklegate.hub.connection import getter
        from picklegate.hub.remote_file import RemoteFile

        return RemoteFile(
            hf_hub_url(filename=entry.path, revision=entry.commit, endpoint=self._endpoint, **self._repo),
            size=entry.size,
            headers=build_hf_headers(token=self._token, **self._identity),
            location=entry.location,
            most=most,
            get=getter(self._proxies),
        )

    def _read(self, entry: Entry, most: int | None) -> FileReport | None:
        from picklegate.hub.remote_file import AT_ONCE

        file = self.file(entry, most=most)
        name = self.address(entry.path, entry.commit)
        try:
            whole = entry.size <= AT_ONCE
            report = scan_stream(cast("BinaryIO", file), name=name, policy=self._policy, digest=whole, briefly=True)
        except OSError:
            return None  # no ranges, no connection, or not one file: it is judged when it has arrived
        finally:
            with self._lock:
                self.requests += file.requests
                self.bytes += file.bytes
        report = report if whole else replace(report, sha256=entry.sha256)
        self._store.put_by_claim(self._endpoint, entry.tag, report, policy=self._policy)
        return report


def address(repo_id: str, repo_type: str | None, commit: str | None, path: str) -> str:
    """The name of a file of the Hub in reports, as ``picklegate scan`` takes it."""
    version = f"@{commit[:12]}" if commit else ""
    return f"hf://{_PREFIXES.get(repo_type or '', '')}{repo_id}{version}/{path}".rstrip("/")
