"""The Hub behind the gate: descriptions, bytes and JSON; every redirect is followed here and none handed on."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp

from picklegate.hub.path_safety import leaves
from picklegate.serve.addresses import FileAddress

STORAGE = ("huggingface.co", "hf.co")
"""Domains that the Hub redirects to; their subdomains too."""
_HOPS = 5
_MOST_JSON = 1 << 26
"""Bytes of an answer of the API that are taken."""
_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=10, sock_connect=10, sock_read=30)
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_PASSED_ON = re.compile(
    r"x-error-code|x-error-message|ratelimit.*|retry-after|content-type|x-repo-commit", re.IGNORECASE
)
_LOOPBACK = frozenset(("127.0.0.1", "localhost", "::1"))


class UpstreamError(Exception):
    """The Hub refuses, or does what the gate does not take; ``status`` and ``headers`` are for the client."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        """``message`` is one sentence for a person."""
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})

    def __reduce__(self) -> tuple[Any, ...]:
        """What ``pickle`` and ``copy`` make it of again: ``args`` has the message alone."""
        return type(self), (self.status, *self.args, self.headers), vars(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """A file as the Hub describes it: ``tag`` is the SHA-256 of an LFS file, or git's name of another."""

    commit: str
    tag: str
    size: int
    large: bool

    @property
    def headers(self) -> dict[str, str]:
        """What a client asks for on HEAD."""
        headers = {"ETag": f'"{self.tag}"', "X-Repo-Commit": self.commit, "Accept-Ranges": "bytes"}
        linked = {"X-Linked-Etag": f'"{self.tag}"', "X-Linked-Size": str(self.size)}
        return headers | (linked if self.large else {})


class Upstream:
    """Requests to one Hub. The client's token goes to the Hub itself and to no other host."""

    def __init__(self, url: str, *, storage_hosts: tuple[str, ...] = ()) -> None:
        """``storage_hosts`` are further hosts that the Hub may redirect to."""
        self.url = url.rstrip("/")
        self._origin = urlsplit(self.url)
        self._hosts = storage_hosts
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    async def describe(self, address: FileAddress, headers: Mapping[str, str]) -> Description:
        """What the Hub says of a file; raises UpstreamError where it refuses, or says too little."""
        async with self._answer("HEAD", self.url + address.route(), headers, linked=True) as answer:
            told = answer.headers
            tag = (told.get("X-Linked-Etag") or told.get("ETag") or "").removeprefix("W/").strip('"')
            size = told.get("X-Linked-Size") or told.get("Content-Length") or ""
            commit = told.get("X-Repo-Commit", "")
            if not size.isdigit() or leaves(tag) or leaves(commit):
                raise UpstreamError(502, "the Hub does not say which content the file has")
            return Description(commit=commit, tag=tag, size=int(size), large="X-Linked-Etag" in told)

    @asynccontextmanager
    async def content(
        self, address: FileAddress, description: Description, headers: Mapping[str, str], start: int, stop: int
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """The bytes from ``start`` to ``stop`` of the described commit's file."""
        whole = (start, stop) == (0, description.size)
        wanted = {**headers} if whole else {**headers, "Range": f"bytes={start}-{stop - 1}"}
        async with self._answer("GET", self.url + address.route(description.commit), wanted) as answer:
            if answer.headers.get("Content-Encoding", "identity") != "identity":
                raise UpstreamError(502, "the Hub sends the file compressed, although that was not asked for")
            match = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            span = tuple(map(int, match.groups())) if match else ()
            if not whole and (answer.status != 206 or span != (start, stop - 1, description.size)):
                raise UpstreamError(502, "the Hub answers with another range than it was asked for")
            yield answer.content

    async def api(
        self, method: str, route: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers that are passed on, ``Link`` among them, and body of an answer of the API."""
        async with self._answer(method, self.url + route, headers, body=body, refused=True) as answer:
            if answer.headers.get("Content-Encoding", "identity") != "identity":
                raise UpstreamError(502, "the Hub sends its answer compressed, although that was not asked for")
            data = bytearray()
            async for part in answer.content.iter_chunked(1 << 16):
                data += part
                if len(data) > _MOST_JSON:
                    raise UpstreamError(502, "the Hub's answer is longer than the gate takes")
            passed = {name: value for name, value in answer.headers.items() if _PASSED_ON.fullmatch(name)}
            links = {"Link": answer.headers["Link"]} if "Link" in answer.headers else {}
            return answer.status, {**passed, **links}, bytes(data)

    @asynccontextmanager
    async def _answer(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        body: bytes = b"",
        linked: bool = False,
        refused: bool = False,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer behind all redirects; with ``linked``, the one that names an LFS content ends them."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=256)
            self._session = aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT, auto_decompress=False)
        for _ in range(_HOPS):
            sent = {**headers, "Accept-Encoding": "identity"}
            if not self._is_hub(url):
                sent.pop("Authorization", None)
            try:
                answer = await self._session.request(
                    method, url, headers=sent, data=body or None, allow_redirects=False
                )
            except (aiohttp.ClientError, TimeoutError) as error:
                raise UpstreamError(502, f"the Hub cannot be reached: {type(error).__name__}") from error
            async with answer:
                redirects = answer.status in (301, 302, 303, 307, 308) and "Location" in answer.headers
                if redirects and not (linked and "X-Linked-Etag" in answer.headers):
                    url = self._allowed(urljoin(url, answer.headers["Location"]))
                    continue
                if answer.status >= 400 and not refused:
                    passed = {name: value for name, value in answer.headers.items() if _PASSED_ON.fullmatch(name)}
                    raise UpstreamError(answer.status, f"the Hub answers with status {answer.status}", passed)
                yield answer
                return
        raise UpstreamError(502, "the Hub redirects in a circle")

    def _is_hub(self, url: str) -> bool:
        parts = urlsplit(url)
        return (parts.scheme, parts.netloc) == (self._origin.scheme, self._origin.netloc)

    def _allowed(self, url: str) -> str:
        """The address of a redirect; raises UpstreamError where it leads out of the Hub and its storage."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        local = self._origin.hostname in _LOOPBACK and host in _LOOPBACK
        known = host in self._hosts or any(host == name or host.endswith(f".{name}") for name in STORAGE)
        if self._is_hub(url) or local or (parts.scheme == "https" and known):
            return url
        raise UpstreamError(502, "the Hub redirects to a host that the gate does not know (--storage-host)")
