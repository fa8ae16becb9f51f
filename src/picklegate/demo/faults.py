"""What real and hostile servers do wrong, one fault each, for ``Hub.faults``.

``hub.faults.append(on("weights.bin", busy(429, retry_after_s=1), times=2))`` answers the first two requests for
that file with 429. Faults apply in their order, each to what the one before made of the answer.
"""

from __future__ import annotations

import gzip
import re
import threading
from collections.abc import Callable
from dataclasses import replace

from picklegate.demo.hub_server import Answer, Request
from picklegate.demo.repositories import Content

Fault = Callable[[Answer], Answer]
"""Turns what the Hub would answer into what it does answer."""


def on(
    pattern: str,
    fault: Fault,
    *,
    method: str = "",
    origin: str = "",
    ranged: bool | None = None,
    skip: int = 0,
    times: int | None = None,
) -> Callable[[Request, Answer], Answer]:
    """The fault, for requests whose path matches a regular expression anywhere.

    ``method`` and ``origin`` narrow that, ``ranged`` to requests with or without a range. The first ``skip``
    that match are answered well, then ``times`` (by default all) are not.
    """
    lock = threading.Lock()
    seen = 0

    def chosen(request: Request, answer: Answer) -> Answer:
        nonlocal seen
        if not (re.search(pattern, request.path) and method in ("", request.method)):
            return answer
        if origin not in ("", request.origin) or ranged not in (None, bool(request.range)):
            return answer
        with lock:
            seen += 1
            hit = skip < seen and (times is None or seen <= skip + times)
        return fault(answer) if hit else answer

    return chosen


def refuse(status: int, code: str = "") -> Fault:
    """Refuses with a status and one of the Hub's error codes, such as 403 and ``GatedRepo``."""
    headers = {"X-Error-Code": code, "X-Error-Message": code} if code else {}
    return lambda _: Answer(status=status, headers=headers, body=code.encode())


def busy(status: int, *, retry_after_s: int) -> Fault:
    """Refuses with 429 or a 5xx, and says when to try again."""
    return lambda _: Answer(status=status, headers={"Retry-After": str(retry_after_s)})


def stall(seconds: float) -> Fault:
    """Sends the headers, and the body only after a while."""
    return lambda answer: replace(answer, stall_s=seconds)


def cut(after: int) -> Fault:
    """Ends the connection after so many bytes of the body, although more was promised."""
    return lambda answer: replace(answer, cut_at=after)


def header(name: str, value: str) -> Fault:
    """Sets a header: an ETag that changes or names another digest, a commit that is a path."""
    return lambda answer: replace(answer, headers={**answer.headers, name: value})


def content(data: Content) -> Fault:
    """Sends other bytes, of which a range is the same range."""

    def other(answer: Answer) -> Answer:
        if answer.status not in (200, 206):
            return answer
        start = min(answer.start, len(data))
        stop = len(data) if answer.stop is None else min(answer.stop, len(data))
        ranged = {"Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"} if answer.status == 206 else {}
        return replace(answer, headers={**answer.headers, **ranged}, body=data, start=start, stop=stop)

    return other


def shifted(answer: Answer) -> Answer:
    """Claims that a range begins one byte later than it does."""
    if answer.status != 206 or answer.stop is None:
        return answer
    span = f"bytes {answer.start + 1}-{answer.stop}/{len(answer.body)}"
    return replace(answer, headers={**answer.headers, "Content-Range": span})


def unranged(answer: Answer) -> Answer:
    """Takes no notice of ranges."""
    if answer.status not in (206, 416):
        return answer
    headers = {name: value for name, value in answer.headers.items() if name not in ("Accept-Ranges", "Content-Range")}
    return Answer(status=200, headers=headers, body=answer.body)


def compressed(answer: Answer) -> Answer:
    """Compresses what it sends, whether the client asked for that or not."""
    if answer.status not in (200, 206):
        return answer
    body = gzip.compress(answer.body[answer.start : answer.stop])
    return replace(answer, headers={**answer.headers, "Content-Encoding": "gzip"}, body=body, start=0, stop=None)
