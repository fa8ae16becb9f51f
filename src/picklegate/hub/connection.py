"""The connections over which parts of files are asked for: our own, or those that the user has given the client."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from typing import Any, cast

import requests

_MOST_AT_ONCE = 32
_FACTORIES = (
    ("_GLOBAL_CLIENT_FACTORY", "default_client_factory"),
    ("_GLOBAL_BACKEND_FACTORY", "_default_backend_factory"),
)
"""Where clients from 1.0 on, and those before, have what makes their sessions, and what the default of it is."""

Get = Callable[..., requests.Response]
"""Takes what ``requests.get`` takes."""


def getter(proxies: Mapping[str, str] | None = None) -> Get:
    """What asks for parts, by the proxies and the session that the user has told the client to use."""
    get = _get_as_the_client if _has_own_session() else _session(os.getpid()).get
    return partial(get, proxies=dict(proxies)) if proxies else get


def _has_own_session() -> bool:
    """Whether the user has called ``set_client_factory`` or ``configure_http_backend``."""
    from huggingface_hub.utils import _http

    factories = [(getattr(_http, made, None), getattr(_http, default, None)) for made, default in _FACTORIES]
    return any(made is not default for made, default in factories)


@lru_cache(maxsize=1)
def _session(process: int) -> requests.Session:  # noqa: ARG001 (connections do not survive a fork)
    """The connections that all reading shares."""
    session = requests.Session()
    adapter = requests.adapters.HTTPAdapter(pool_maxsize=_MOST_AT_ONCE)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    # The client heeds these variables; requests has names of its own for them.
    bundle = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")
    if bundle:
        session.verify = bundle
    return session


def _get_as_the_client(
    url: str, *, headers: Mapping[str, str], timeout: float, proxies: Any = None, **options: Any
) -> requests.Response:
    """Ask over the session that the client would use itself."""
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined]

    session: Any = get_session()
    if isinstance(session, requests.Session):
        return session.get(url, headers=headers, timeout=timeout, proxies=proxies, **options)
    try:
        request = session.build_request("GET", url, headers=headers, timeout=timeout)
        return cast("requests.Response", _Answer(session.send(request, stream=True, follow_redirects=False)))
    except Exception as error:
        raise requests.ConnectionError(str(error)) from error


class _Answer:
    """An answer of httpx, as far as one of requests is looked at."""

    def __init__(self, answer: Any) -> None:
        self.status_code: int = answer.status_code
        self.headers = answer.headers
        self.is_redirect: bool = answer.has_redirect_location
        self._answer = answer

    def __enter__(self) -> _Answer:  # noqa: PYI034 (typing has Self from Python 3.11 on)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def iter_content(self, size: int) -> Iterator[bytes]:
        """The body as it was sent."""
        try:
            yield from self._answer.iter_raw(size)
        except Exception as error:
            raise requests.ConnectionError(str(error)) from error

    def close(self) -> None:
        """Give the connection back."""
        self._answer.close()
