"""A Hub on loopback that speaks to the real huggingface_hub client, with repositories held in memory.

It knows files and LFS files (redirected to another origin), ranges, branches and commits, the information, tree
and paths-info calls of the API, and the error codes that the client tells apart. ``Hub.faults`` make it misbehave.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from picklegate.demo.repositories import Blob, Content, Repository, expanded, information, listing


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
class Answer:
    """What a request gets: of ``body`` the bytes from ``start`` to ``stop``, by default all.

    The body waits for ``stall_s`` seconds; with ``cut_at`` the connection ends after so many bytes of it.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Content = b""
    start: int = 0
    stop: int | None = None
    stall_s: float = 0
    cut_at: int | None = None


class Hub:
    """Repositories served at ``endpoint``, for as long as the Hub is entered.

    The names of data sets begin with ``datasets/``, those of spaces with ``spaces/``, as in their addresses.
    """

    def __init__(self, repositories: Mapping[str, Mapping[str, Content]], *, page_size: int = 1000) -> None:
        """``repositories`` map repository names to paths to contents; ``page_size`` is that of listings."""
        self.page_size = page_size
        self.requests: list[Request] = []
        self.faults: list[Callable[[Request, Answer], Answer]] = []
        self.endpoint = self.cdn = ""
        self._repositories: dict[str, Repository] = {}
        self._servers = ExitStack()
        for name, files in repositories.items():
            self.push(name, files)

    def push(self, name: str, files: Mapping[str, Content], *, branch: str = "main") -> str:
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
_CHUNK = 1 << 20
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
            in_full = query.get("blobs", ["false"])[0].lower() in ("1", "true")
            self._json(information(match["name"], commit, blobs, in_full=in_full))
            return
        expand = query.get("expand", ["false"])[0].lower() in ("1", "true")
        if match["call"] == "paths-info":
            wanted = [blobs[path].entry() for path in query.get("paths", []) if path in blobs]
            self._json([expanded(entry, commit) if expand else entry for entry in wanted])
            return
        recursive = query.get("recursive", ["false"])[0].lower() in ("1", "true")
        entries = listing(blobs, unquote(match["path"] or ""), recursive=recursive)
        start = int(query.get("cursor", ["0"])[0])
        stop = start + self.hub.page_size
        page = [expanded(entry, commit) if expand else entry for entry in entries[start:stop]]
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
            beyond = {**headers, "Content-Range": f"bytes */{size}"}
            self._send(Answer(status=416, headers=beyond, body=blob.data, stop=0))
        else:
            ranged = {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{size}"}
            self._send(Answer(status=206, headers=ranged, body=blob.data, start=start, stop=stop))

    def _answer(self, status: int, body: Content, headers: Mapping[str, str] = {}) -> None:
        self._send(Answer(status=status, headers=headers, body=body))

    def _send(self, answer: Answer) -> None:
        request = Request(
            origin=self.origin,
            method=self.command,
            path=self.path,
            range=self.headers.get("Range", ""),
            authorized="Authorization" in self.headers,
            status=answer.status,
        )
        for fault in self.hub.faults:
            answer = fault(request, answer)
        self.hub.requests.append(replace(request, status=answer.status))
        start, stop = answer.start, len(answer.body) if answer.stop is None else answer.stop
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        time.sleep(answer.stall_s)
        if self.command == "HEAD":
            return
        if answer.cut_at is not None:
            stop = min(stop, start + answer.cut_at)
            self.close_connection = True
        for position in range(start, stop, _CHUNK):
            self.wfile.write(answer.body[position : min(stop, position + _CHUNK)])

    def log_message(self, *args: object) -> None:
        """Keep the terminal to the caller; the requests are in ``hub.requests``."""
