"""A Hub on loopback that speaks to the real huggingface_hub client, with repositories held in memory.

It knows files and LFS files (redirected to another origin), ranges, branches and commits, the information, tree
and paths-info calls of the API, and the error codes that the client tells apart.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LFS_SUFFIXES = (".bin", ".ckpt", ".h5", ".joblib", ".npy", ".npz", ".pickle", ".pkl", ".pt", ".pth", ".safetensors")
_DATE = "2026-01-01T00:00:00.000Z"


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One request that the Hub answered; ``origin`` is ``"hub"`` or, for the content of LFS files, ``"cdn"``."""

    origin: str
    method: str
    path: str
    range: str
    authorized: bool
    status: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Blob:
    """The content of one file under its git and, where the Hub would store it so, its LFS identity."""

    path: str
    data: bytes
    oid: str
    sha256: str | None

    @classmethod
    def of(cls, path: str, data: bytes) -> Blob:
        """The blob of a file, LFS by its suffix."""
        oid = hashlib.sha1(b"blob %d\0%b" % (len(data), data), usedforsecurity=False).hexdigest()
        sha256 = hashlib.sha256(data).hexdigest() if path.endswith(LFS_SUFFIXES) else None
        return cls(path=path, data=data, oid=oid, sha256=sha256)

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

    def push(self, files: Mapping[str, bytes], branch: str) -> str:
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


class Hub:
    """Repositories served at ``endpoint``, for as long as the Hub is entered.

    The names of data sets begin with ``datasets/``, those of spaces with ``spaces/``, as in their addresses.
    """

    def __init__(self, repositories: Mapping[str, Mapping[str, bytes]], *, page_size: int = 1000) -> None:
        """``repositories`` map repository names to paths to contents; ``page_size`` is that of listings."""
        self.page_size = page_size
        self.requests: list[Request] = []
        self.endpoint = self.cdn = ""
        self._repositories: dict[str, Repository] = {}
        self._servers = ExitStack()
        for name, files in repositories.items():
            self.push(name, files)

    def push(self, name: str, files: Mapping[str, bytes], *, branch: str = "main") -> str:
        """Replace the files of a branch; the new commit's hash."""
        return self._repositories.setdefault(name, Repository()).push(files, branch)

    def __enter__(self) -> Hub:  # noqa: PYI034 (typing has Self from Python 3.11 on)
        """Serve; the origins differ in port and in host, as some clients compare only the host."""
        self.endpoint = f"http://127.0.0.1:{self._servers.enter_context(_serving(self, 'hub'))}"
        self.cdn = f"http://localhost:{self._servers.enter_context(_serving(self, 'cdn'))}"
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
        self._servers.close()

    def repository(self, name: str) -> Repository | None:
        """The repository of that name."""
        return self._repositories.get(name)

    def content(self, sha256: str) -> Blob | None:
        """The LFS file of that digest."""
        commits = (commit for repository in self._repositories.values() for commit in repository.commits.values())
        return next((blob for blobs in commits for blob in blobs.values() if blob.sha256 == sha256), None)


class _Server(ThreadingHTTPServer):
    """One origin, which does not mind a client that goes away."""

    daemon_threads = True

    def server_bind(self) -> None:
        """Bind without asking the resolver for this machine's name, which can take seconds without a network."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet about a cut connection."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def _serving(hub: Hub, origin: str) -> Iterator[int]:
    """Serve one origin; the port."""
    handler = type("Handler", (_Handler,), {"hub": hub, "origin": origin})
    with _Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


_RESOLVE = re.compile(r"/(?P<name>.+?)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
_API = re.compile(
    r"/api/(?P<kind>models|datasets|spaces)/(?P<name>[^/]+(?:/[^/]+)?)"
    r"(?:/(?P<call>revision|tree|paths-info)/(?P<revision>[^/]+)(?:/(?P<path>.+))?)?"
)
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class _Handler(BaseHTTPRequestHandler):
    """The routes of one origin."""

    hub: Hub
    origin: str
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_HEAD(self) -> None:
        """Answer like GET, without the body."""
        self.do_GET()

    def do_GET(self) -> None:
        """Route by the path as sent: a slash in a branch's name arrives quoted."""
        url = urlsplit(self.path)
        if self.origin == "cdn":
            self._lfs(url.path)
        elif match := _API.fullmatch(url.path):
            self._api(match, parse_qs(url.query))
        elif match := _RESOLVE.fullmatch(url.path):
            self._resolve(match)
        else:
            self._answer(404, b"Not Found")

    def do_POST(self) -> None:
        """Answer paths-info, whose body is a form or JSON."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        match = _API.fullmatch(urlsplit(self.path).path)
        if match is None or match["call"] != "paths-info":
            self._answer(404, b"Not Found")
        elif self.headers.get("Content-Type", "").startswith("application/json"):
            self._api(match, {"paths": json.loads(body)["paths"]})
        else:
            self._api(match, parse_qs(body.decode()))

    def _resolve(self, match: re.Match[str]) -> None:
        found = self._commit(match["name"], match["revision"])
        if found is None:
            return
        commit, blobs = found
        headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        blob = blobs.get(unquote(match["path"]))
        if blob is None:
            self._refuse("EntryNotFound", headers)
        elif blob.sha256 is None:
            self._content(blob, headers | {"ETag": f'"{blob.oid}"'})
        else:
            linked = {"X-Linked-Etag": f'"{blob.sha256}"', "X-Linked-Size": str(len(blob.data))}
            self._answer(302, b"", headers | linked | {"Location": f"{self.hub.cdn}/lfs/{blob.sha256}"})

    def _lfs(self, path: str) -> None:
        blob = self.hub.content(path.rpartition("/")[2])
        if blob is None:
            self._answer(404, b"Not Found")
        else:
            self._content(blob, {"ETag": f'"{blob.sha256}"', "Accept-Ranges": "bytes"})

    def _api(self, match: re.Match[str], query: Mapping[str, list[str]]) -> None:
        name = match["name"] if match["kind"] == "models" else f"{match['kind']}/{match['name']}"
        found = self._commit(name, match["revision"] or "main")
        if found is None:
            return
        commit, blobs = found
        if match["call"] in (None, "revision"):
            self._json(_information(match["name"], commit, blobs))
            return
        expand = query.get("expand", ["false"])[0].lower() in ("1", "true")
        if match["call"] == "paths-info":
            wanted = [blobs[path].entry() for path in query.get("paths", []) if path in blobs]
            self._json([_expanded(entry, commit) if expand else entry for entry in wanted])
            return
        recursive = query.get("recursive", ["false"])[0].lower() in ("1", "true")
        entries = _listing(blobs, unquote(match["path"] or ""), recursive=recursive)
        start = int(query.get("cursor", ["0"])[0])
        stop = start + self.hub.page_size
        page = [_expanded(entry, commit) if expand else entry for entry in entries[start:stop]]
        following = f"{self.hub.endpoint}{urlsplit(self.path).path}?recursive={recursive}&expand={expand}&cursor={stop}"
        self._json(page, {"Link": f'<{following}>; rel="next"'} if stop < len(entries) else {})

    def _commit(self, name: str, revision: str) -> tuple[str, dict[str, Blob]] | None:
        """The commit asked for, or None after the refusal was sent."""
        repository = self.hub.repository(name)
        if repository is None:
            self._refuse("RepoNotFound")
            return None
        commit = repository.resolve(unquote(revision))
        if commit is None:
            self._refuse("RevisionNotFound")
            return None
        return commit, repository.commits[commit]

    def _refuse(self, code: str, headers: Mapping[str, str] = {}) -> None:
        self._answer(404, code.encode(), {**headers, "X-Error-Code": code, "X-Error-Message": code})

    def _json(self, value: object, headers: Mapping[str, str] = {}) -> None:
        self._answer(200, json.dumps(value).encode(), {**headers, "Content-Type": "application/json"})

    def _content(self, blob: Blob, headers: Mapping[str, str]) -> None:
        """The whole file, or the one range that was asked for."""
        size = len(blob.data)
        match = _RANGE.fullmatch(self.headers.get("Range", ""))
        if match is None or match[0] == "bytes=-":
            self._answer(200, blob.data, headers)
            return
        first, last = match[1], match[2]
        start = int(first) if first else max(0, size - int(last))
        stop = min(size, int(last) + 1) if first and last else size
        if start >= stop:
            self._answer(416, b"", {**headers, "Content-Range": f"bytes */{size}"})
        else:
            self._answer(206, blob.data[start:stop], {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{size}"})

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str] = {}) -> None:
        self.hub.requests.append(
            Request(
                origin=self.origin,
                method=self.command,
                path=self.path,
                range=self.headers.get("Range", ""),
                authorized="Authorization" in self.headers,
                status=status,
            )
        )
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Keep the terminal to the caller; the requests are in ``hub.requests``."""


def _information(name: str, commit: str, blobs: Mapping[str, Blob]) -> dict[str, Any]:
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
        "siblings": [{"rfilename": path} for path in blobs],
    }


def _listing(blobs: Mapping[str, Blob], folder: str, *, recursive: bool) -> list[dict[str, Any]]:
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


def _expanded(entry: dict[str, Any], commit: str) -> dict[str, Any]:
    """The entry with the commit and the scanners' answers that ``expand`` asks for."""
    status = {"status": "unscanned", "avScan": {"virusFound": False}, "pickleImportScan": {"pickleImports": []}}
    last = {"id": commit, "title": "Add files", "date": _DATE}
    return {**entry, "lastCommit": last, "securityFileStatus": status}
