"""Uvicorn with the limits that a gate needs."""

from __future__ import annotations

from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

_HEADER_WAIT_S = 20.0
"""How long a new connection may stay without one whole request."""


class _Impatient(H11Protocol):
    """Closes a connection on which no whole request arrives."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.loop.call_later(_HEADER_WAIT_S, self._drop)

    def _drop(self) -> None:
        if getattr(self, "cycle", None) is None:
            self.transport.close()


def server(app: Any, *, host: str, port: int) -> uvicorn.Server:
    """A server of the application that listens nowhere yet.

    Headers end at 32 KiB, connections at 1,024; what is being sent has 30 seconds to end when the server stops.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=_Impatient,
        ws="none",
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        limit_concurrency=1024,
        timeout_graceful_shutdown=30,
        h11_max_incomplete_event_size=1 << 15,
    )
    return uvicorn.Server(config)


def run(app: Any, *, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM."""
    server(app, host=host, port=port).run()
