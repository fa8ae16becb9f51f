"""Requests that two servers could read in two ways are refused before anything looks at them."""

from __future__ import annotations

from collections import Counter
from typing import Any

_ONCE = (b"host", b"content-length", b"range", b"authorization", b"transfer-encoding", b"content-type")
_MOST_HEADERS = 100
_MOST_BYTES = 1 << 15


class Strict:
    """An ASGI application before that of ``gate``."""

    def __init__(self, app: Any, gate: Any) -> None:
        """``app`` gets what is left."""
        self.app = app
        self.gate = gate

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on, or answer 400."""
        reason = fault(scope["headers"]) if scope["type"] == "http" else None
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif reason is None:
            await self.app(scope, receive, send)
        else:
            headers = [(b"content-type", b"text/plain"), (b"connection", b"close")]
            await send({"type": "http.response.start", "status": 400, "headers": headers})
            await send({"type": "http.response.body", "body": f"{reason}\n".encode()})


def fault(headers: list[tuple[bytes, bytes]]) -> str | None:
    """What is wrong with the headers of a request; None where nothing is."""
    counts = Counter(name.lower() for name, _ in headers)
    if len(headers) > _MOST_HEADERS or sum(len(name) + len(value) for name, value in headers) > _MOST_BYTES:
        return "the request has more headers than the gate takes"
    if any(counts[name] > 1 for name in _ONCE):
        return "a header that may stand once stands twice"
    if counts[b"content-length"] and counts[b"transfer-encoding"]:
        return "the request gives its length in two ways"
    if any(b"\r" in value or b"\n" in value or b"\0" in value for _, value in headers):
        return "a header holds a control character"
    return None
