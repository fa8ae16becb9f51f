"""Servers that lie and clients that misbehave: nothing hostile is given out."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from picklegate.demo import faults, models
from picklegate.policy import Policy

REPO = "org/model"
HOSTILE = models.repositories()[models.HOSTILE][models.WEIGHTS]


def fetched(url: str) -> tuple[int, bytes]:
    """Status and all bytes that came, the connection cut or not."""
    body = bytearray()
    with requests.get(url, stream=True, timeout=30) as answer:
        try:
            for part in answer.iter_content(1 << 12):
                body += part
        except requests.RequestException:
            pass
        return answer.status_code, bytes(body)


def test_other_bytes_than_were_judged_are_not_given_out(gate: Any, hub: Any) -> None:
    """A server that shows honest ranges and sends a hostile file: not a byte passes, and the refusal is remembered."""
    size = len(models.repositories()[models.ORDINARY][models.WEIGHTS])
    other = HOSTILE[:size].ljust(size, b".")
    hub.faults.append(faults.on("lfs|resolve", faults.content(other), method="GET", ranged=False, origin="cdn"))
    url = f"{gate.url}/{REPO}/resolve/main/honest.bin"
    assert fetched(url)[0] == 403
    hub.faults.clear()
    status, body = fetched(url)
    assert status == 403
    assert b"other bytes" in body


def test_tampered_numbers_are_cut_before_the_end(gate: Any, hub: Any) -> None:
    """What judging did not read is caught by the digest, and the last block is held back."""
    data = bytearray(bytes(range(256)) * 2048)
    data[300_000] ^= 1
    hub.faults.append(faults.on(".", faults.content(bytes(data)), method="GET", ranged=False, origin="cdn"))
    _, body = fetched(f"{gate.url}/{REPO}/resolve/main/numbers.bin")
    assert len(body) < len(data)
    again = requests.get(
        f"{gate.url}/{REPO}/resolve/main/numbers.bin", headers={"Range": f"bytes={len(body)}-"}, timeout=30
    )
    assert again.status_code == 403


def test_a_file_without_ranges_is_refused(gate: Any, hub: Any) -> None:
    """What cannot be judged is not given out."""
    hub.faults.append(faults.on(".", faults.unranged, origin="cdn"))
    assert fetched(f"{gate.url}/{REPO}/resolve/main/honest.bin")[0] == 502


def test_a_redirect_to_a_stranger_is_not_followed(gate: Any, hub: Any) -> None:
    """The gate knows the hosts of the Hub."""
    hub.faults.append(faults.on("resolve", faults.header("Location", "http://192.0.2.1/x"), method="GET"))
    status, body = fetched(f"{gate.url}/{REPO}/resolve/main/honest.bin")
    assert status == 502
    assert len(body) < 300


@pytest.mark.parametrize(
    "path",
    [
        "/org/model/resolve/main/../../x",
        "/org/model/resolve/main/%2e%2e/x",
        "/org/model/resolve/main/a%2fb",
        "/org/model/resolve/main/a%5cb",
        "/org//model/resolve/main/x",
        "/org/model/resolve/main/%252e%252e/x",
        "/org/model/resolve/main/%ff",
        "/org/model/resolve/main/a%00b",
    ],
)
def test_paths_with_two_readings_are_refused(gate: Any, hub: Any, path: str) -> None:
    """They never reach the Hub."""
    assert sent(gate.url, f"GET {path} HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert hub.requests == []


@pytest.mark.parametrize(
    "lines",
    [
        "Host: a\r\nHost: b",
        "Host: a\r\nRange: bytes=0-1\r\nRange: bytes=5-6",
        "Host: a\r\nRange: bytes=0-1,5-6",
        "Host: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked",
        "Host: a\r\n" + "\r\n".join(f"X-{number}: 1" for number in range(200)),
    ],
)
def test_requests_with_two_readings_are_refused(gate: Any, lines: str) -> None:
    """No header may stand twice, and no request may end in two places."""
    request = f"GET /{REPO}/resolve/main/honest.bin HTTP/1.1\r\n{lines}\r\nConnection: close\r\n\r\n"
    assert sent(gate.url, request).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "path", ["/api/models/org/model/xet-read-token/main", "/org/model.git/info/refs", "/api/buckets/x"]
)
def test_other_ways_to_the_bytes_are_closed(gate: Any, path: str) -> None:
    """Xet, git and buckets are refused with a sentence."""
    answer = requests.get(gate.url + path, timeout=30)
    assert answer.status_code == 403
    assert answer.headers.get("X-Error-Message") or answer.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_is_written_through_the_gate(gate: Any, hub: Any, method: str) -> None:
    """What writes to the Hub is refused."""
    assert requests.request(method, f"{gate.url}/api/models/{REPO}/commit/main", timeout=30).status_code == 403
    assert hub.requests == []


def test_a_policy_decides(serve: Callable[..., Any]) -> None:
    """A digest that the policy allows is given out."""
    import hashlib

    with serve(policy=Policy(allow_digests=(hashlib.sha256(HOSTILE).hexdigest(),))) as running:
        assert fetched(f"{running.url}/{REPO}/resolve/main/hostile.bin") == (200, HOSTILE)


def test_a_range_of_an_allowed_digest_is_given_out_only_if_it_has_that_digest(
    serve: Callable[..., Any], hub: Any
) -> None:
    """A server that claims the allowed digest for other bytes gets not one of them through."""
    import hashlib

    allowed = hashlib.sha256(HOSTILE).hexdigest()
    other = HOSTILE[:-1] + bytes([HOSTILE[-1] ^ 1])
    hub.faults.append(faults.on(".", faults.content(other), method="GET", origin="cdn"))
    with serve(policy=Policy(allow_digests=(allowed,))) as running:
        url = f"{running.url}/{REPO}/resolve/main/hostile.bin"
        part = requests.get(url, headers={"Range": "bytes=0-99"}, timeout=30)
        assert part.status_code == 403
        assert other[:100] not in part.content
    hub.faults.clear()
    with serve(policy=Policy(allow_digests=(allowed,))) as running:
        url = f"{running.url}/{REPO}/resolve/main/hostile.bin"
        assert requests.get(url, headers={"Range": "bytes=0-99"}, timeout=30).content == HOSTILE[:100]


def sent(url: str, request: str) -> bytes:
    """The first bytes of the answer to a request sent as it is."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=30) as connection:
        connection.sendall(request.encode())
        return connection.recv(1 << 16)
