"""Parts of files are asked for over what the user has told the client to use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.utils import _http, get_session  # type: ignore[attr-defined]

from picklegate.demo import faults, models
from picklegate.demo.hub_server import Hub
from picklegate.errors import BlockedError
from picklegate.hub import connection
from picklegate.hub.download import safe_hf_hub_download, scan_repo
from picklegate.report import Verdict

HOSTILE = models.repositories()[models.HOSTILE]
LARGE = {**HOSTILE, "large.bin": HOSTILE[models.WEIGHTS] + bytes(1 << 20)}


@pytest.fixture(name="hub")
def _hub(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("PICKLEGATE_HOME", str(tmp_path_factory.mktemp("home")))
    with Hub({"org/model": LARGE}) as hub:
        yield hub


@pytest.fixture(name="asked")
def _asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str]]]:
    """What went over a session of the user's own: the address and the range of each request."""
    asked: list[tuple[str, str]] = []
    if hasattr(huggingface_hub, "set_client_factory"):

        def made() -> Any:
            client = _http.default_client_factory()
            client.event_hooks["request"].append(
                lambda request: asked.append((str(request.url), request.headers.get("range", "")))
            )
            return client

        monkeypatch.setattr(_http, "_GLOBAL_CLIENT_FACTORY", made)
        huggingface_hub.close_session()
        yield asked
        huggingface_hub.close_session()
    else:
        import requests

        class Session(requests.Session):
            def send(self, request: Any, **options: Any) -> Any:
                asked.append((str(request.url), request.headers.get("range", "")))
                return super().send(request, **options)

        huggingface_hub.configure_http_backend(Session)
        yield asked
        huggingface_hub.configure_http_backend()


def test_a_session_of_the_users_own_asks_for_parts(
    hub: Hub, asked: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every request goes over it, also those for parts, and the verdicts are the same."""
    monkeypatch.setattr(connection, "_session", None)
    report = scan_repo("org/model", endpoint=hub.endpoint, token=False)
    assert Verdict.CLEAN not in {file.verdict for file in report.files if file.name.endswith((".bin", ".pt"))}
    assert sum(bool(part) for _, part in asked) == sum(bool(request.range) for request in hub.requests) > 2


@pytest.mark.parametrize(
    "fault", [faults.cut(100), faults.refuse(503), faults.shifted, faults.compressed, faults.unranged]
)
def test_faults_are_seen_over_it(
    hub: Hub, asked: list[tuple[str, str]], tmp_path: Path, fault: faults.Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no range of the one file is no forecast, and the download is judged on arrival."""
    monkeypatch.setattr("picklegate.hub.remote_file._backoff", lambda failures: 0.0)
    hub.faults.append(faults.on("resolve|lfs", fault, ranged=True))
    with pytest.raises(BlockedError):
        safe_hf_hub_download("org/model", "large.bin", endpoint=hub.endpoint, token=False, cache_dir=tmp_path)


def test_our_own_session_asks_otherwise(hub: Hub) -> None:
    """Without a factory of the user's, the client's session is left to the client."""
    get_session()
    assert connection.getter() == connection._session(os.getpid()).get


def test_proxies_are_heeded(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the call, which clients before 1.0 take, and those of the environment."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    proxy = hub.endpoint  # it answers with 404 whatever it is asked for as a proxy, which is enough to see it asked
    get = connection.getter({"http": proxy})
    assert get("http://huggingface.invalid/org/model", headers={}, timeout=5.0).status_code == 404
    monkeypatch.setenv("HTTP_PROXY", proxy)
    assert connection.getter()("http://huggingface.invalid/x", headers={}, timeout=5.0).status_code == 404


def test_the_clients_certificates_are_heeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables that the client goes by, by which requests does not."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "bundle.pem"))
    connection._session.cache_clear()
    session: Any = connection._session(0)
    connection._session.cache_clear()
    assert session.verify == str(tmp_path / "bundle.pem")
