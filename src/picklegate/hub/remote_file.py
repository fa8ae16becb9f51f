"""A seekable binary file over HTTP: what is read is fetched, in as few range requests as the reading allows.

Ranges: https://www.rfc-editor.org/rfc/rfc9110#name-range-requests
"""

from __future__ import annotations

import contextlib
import io
import re
import time
from collections import deque
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from picklegate.hub.connection import Get, getter

_HEAD = 1 << 16
"""Bytes of the beginning that are fetched together: the pickle of a torch archive stands there."""
_TAIL = 1 << 16
"""Bytes of the end, which have the directory of an archive; a file of no more than both is fetched at once."""
_MOST_EDGE = 1 << 19
"""Bytes of the beginning and of the end of large files: those of archives of some thousands of tensors."""
_AHEAD = 1 << 14
_MOST_AHEAD = 1 << 23
AT_ONCE = _HEAD + _TAIL
"""Bytes up to which a file is fetched as a whole."""
_NEAR = 1 << 14
"""A read that begins at most so far behind the last one goes on with it."""
_KEPT = 1 << 20
"""Bytes of what is asked for at once that are kept for another reading."""
_MOST_KEPT = 1 << 25
_TRIES = 4
_HOPS = 5
_MOST_WAIT_S = 30.0
_CHUNK = 1 << 16
_LATER = frozenset((408, 429, 500, 502, 503, 504))
_EXPIRED = frozenset((401, 403, 404, 410))
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class RemoteError(OSError):
    """The parts of the file cannot be had, or are not of one and the same file."""


class RemoteFile(io.RawIOBase):
    """The file of ``size`` bytes at ``url``; ``requests`` and ``bytes`` count what reading it has cost.

    ``headers`` go to the origin of ``url`` and to no other; where it redirects to is kept, and asked for again
    when it has expired. ``location`` is that place where it is known already. Every answer must be the range that
    was asked for, of a file of the same size and entity tag. Reading raises RemoteError where that is not so, where
    the server has no ranges or fails again and again, and where it would take more than ``most`` bytes.
    """

    def __init__(
        self,
        url: str,
        *,
        size: int,
        headers: Mapping[str, str] | None = None,
        location: str | None = None,
        most: int | None = None,
        timeout_s: float = 10.0,
        get: Get | None = None,
    ) -> None:
        """Nothing is asked for yet."""
        self.size = size
        self.requests = 0
        self.bytes = 0
        self._url = url
        self._headers = dict(headers or {})
        self._location = location or url
        self.most = most
        self._timeout_s = timeout_s
        self._get = get or getter()
        self._position = 0
        self._spans: deque[tuple[int, bytes]] = deque()
        self._run_start = self._run_end = -1
        self._tag: str | None = None

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Costs nothing."""
        self._position = offset + (0, self._position, self.size)[whence]
        return self._position

    def tell(self) -> int:
        """The offset that is read from next."""
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """At most ``size`` bytes, fewer only at the end."""
        stop = self.size if size is None or size < 0 else min(self._position + size, self.size)
        parts = []
        while self._position < stop:
            part = self._kept(self._position, stop) or self._fetched(self._position, stop)
            parts.append(part)
            self._position += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def readinto(self, buffer: Any, /) -> int:
        """As ``read``."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _kept(self, start: int, stop: int) -> bytes:
        for begin, data in self._spans:
            if begin <= start < begin + len(data):
                return data[start - begin : stop - begin]
        return b""

    def _fetched(self, start: int, stop: int) -> bytes:
        """Fetch what is missing from ``start`` on, and what will be wanted next."""
        end = self._until(start, stop)
        for known, _ in self._spans:
            if start < known < end:
                end = known
        begin = self._from(start)
        data = self._range(begin, end)
        if stop - start < _KEPT or end > stop or begin < start:
            self._spans.appendleft((begin, data))
            while len(self._spans) > 1 and sum(len(span) for _, span in self._spans) > _MOST_KEPT:
                self._spans.pop()
        return data[start - begin : stop - begin]

    def _from(self, start: int) -> int:
        """Where to begin what is fetched for ``start``: earlier at the end, where archives have their directory."""
        edge = self.size - _edge(self.size)
        if self.size <= AT_ONCE or start <= edge:
            return start
        return max([edge, *(known + len(data) for known, data in self._spans if known + len(data) <= start)])

    def _until(self, start: int, stop: int) -> int:
        """Where to end what is fetched for ``start`` to ``stop``: all of a small file, or as much again as was read."""
        if self.size <= AT_ONCE:
            return self.size
        if not 0 <= start - self._run_end <= _NEAR:
            self._run_start = start
        least = _edge(self.size) if start == 0 else _AHEAD
        ahead = min(max(start - self._run_start, least), _MOST_AHEAD)
        self._run_end = min(max(stop, start + ahead), self.size)
        return self._run_end

    def _range(self, start: int, stop: int) -> bytes:
        """The bytes from ``start`` to ``stop``; what is cut off is asked for again from there."""
        if self.most is not None and self.bytes + stop - start > self.most:
            raise RemoteError(f"judging {self._url} from afar would take more than {self.most:,} bytes")
        parts: list[bytes] = []
        failures = 0
        while start < stop:
            try:
                with self._answer(start, stop) as answer:
                    wait = _delay(answer, failures) if answer.status_code in _LATER else None
                    reason = f"status {answer.status_code}"
                    if wait is None:
                        self._check(answer, start, stop)
                        for part in answer.iter_content(min(_CHUNK, stop - start)):
                            parts.append(part[: stop - start])
                            self.bytes += len(part)
                            start += len(parts[-1])
                            if start == stop:
                                break  # a body that goes on is not waited for
                        reason = "the answer was cut off"
            except requests.RequestException as error:
                wait, reason = None, str(error)
            if start < stop:
                failures += 1
                if failures >= _TRIES:
                    raise RemoteError(f"{self._url} cannot be read: {reason}")
                time.sleep(_backoff(failures) if wait is None else wait)
        return b"".join(parts)

    def _answer(self, start: int, stop: int) -> requests.Response:
        """The answer to a range request, from where the file really is."""
        renewed = hops = 0
        while True:
            headers = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
            if _origin(self._location) == _origin(self._url):
                headers = {**self._headers, **headers}
            answer = self._get(
                self._location, headers=headers, timeout=self._timeout_s, allow_redirects=False, stream=True
            )
            self.requests += 1
            if answer.is_redirect and hops < _HOPS:
                hops += 1
                self._location = urljoin(self._location, answer.headers["Location"])
            elif answer.status_code in _EXPIRED and self._location != self._url and not renewed:
                renewed += 1
                self._location = self._url
            else:
                return answer
            answer.close()

    def _check(self, answer: requests.Response, start: int, stop: int) -> None:
        """Raise RemoteError unless the answer is this range of the file that was read so far."""
        status, headers = answer.status_code, answer.headers
        if status != requests.codes.partial_content:
            raise RemoteError(f"{self._url} has no ranges (status {status})")
        if headers.get("Content-Encoding", "identity") != "identity":
            raise RemoteError(f"{self._url} is sent compressed")
        match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
        if match is None or tuple(map(int, match.groups())) != (start, stop - 1, self.size):
            raise RemoteError(f"{self._url} answers with another range ({headers.get('Content-Range')})")
        tag = headers.get("ETag") or headers.get("Last-Modified") or ""
        if self._tag not in (None, tag):
            raise RemoteError(f"{self._url} has changed while it was read")
        self._tag = tag


def _edge(size: int) -> int:
    """Bytes of the beginning and of the end that are fetched at once, of a file of ``size`` bytes."""
    return min(max(_HEAD, size >> 8), _MOST_EDGE)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _backoff(failures: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return float(0.1 * 4 ** (failures - 1))


def _delay(answer: requests.Response, failures: int) -> float:
    """Seconds that the server asks to wait, in digits or as a date; raises RemoteError for too many."""
    asked = answer.headers.get("Retry-After", "")
    wait = _backoff(failures + 1)
    if asked.isdigit():
        wait = float(asked)
    elif asked:
        with contextlib.suppress(ValueError, TypeError):
            wait = max(0.0, (parsedate_to_datetime(asked) - datetime.now(timezone.utc)).total_seconds())
    if wait > _MOST_WAIT_S:
        raise RemoteError(f"the server asks to wait for {wait:.0f} seconds")
    return wait
