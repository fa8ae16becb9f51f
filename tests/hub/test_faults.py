"""Hubs that misbehave: a call through the gate ends as the client's own does, and never lets a hostile file through."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from picklegate.demo import faults, models
from picklegate.demo.hub_server import Hub
from picklegate.hub import remote_file
from picklegate.hub.download import safe_hf_hub_download, safe_snapshot_download

_EVENT = threading.Event()
REPOSITORIES = models.repositories()
WEIGHTS = models.WEIGHTS
FAULTS: dict[str, tuple[str, faults.Fault, dict[str, Any]]] = {
    "gated-401": ("/resolve/", faults.refuse(401, "GatedRepo"), {}),
    "gated-403": ("/resolve/", faults.refuse(403, "GatedRepo"), {}),
    "gated-api": ("/api/", faults.refuse(403, "GatedRepo"), {}),
    "hidden-401": (".", faults.refuse(401, "RepoNotFound"), {}),
    "forbidden-content": ("/lfs/", faults.refuse(403), {}),
    "busy-once": ("/resolve/", faults.busy(429, retry_after_s=0), {"times": 1}),
    "content-busy-once": ("/lfs/", faults.busy(429, retry_after_s=0), {"times": 1}),
    "unavailable-once": ("/resolve/", faults.busy(503, retry_after_s=0), {"times": 1}),
    "content-stalls-once": ("/lfs/", faults.stall(0.3), {"times": 1}),
    "content-cut-once": ("/lfs/", faults.cut(20), {"times": 1, "method": "GET"}),
    "range-shifted": (".", faults.shifted, {}),
    "ranges-unknown": (".", faults.unranged, {}),
    "digest-of-another": ("/resolve/", faults.header("X-Linked-Etag", f'"{"0" * 64}"'), {}),
    "digest-changes": ("/resolve/", faults.header("X-Linked-Etag", f'"{"0" * 64}"'), {"skip": 1}),
    "harmless-ranges": (".", faults.content(REPOSITORIES[models.ORDINARY][WEIGHTS]), {"ranged": True}),
}
each_fault = pytest.mark.parametrize("fault", FAULTS)
each_place = pytest.mark.parametrize("place", ["cache_dir", "local_dir"])


@pytest.fixture(name="hub")
def _hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: str) -> Iterator[Hub]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("PICKLEGATE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(remote_file, "_backoff", lambda failures: 0.0)
    monkeypatch.setattr("time.sleep", _briefly)
    with Hub(REPOSITORIES) as hub:
        yield hub


def _briefly(seconds: float) -> None:
    """Wait, but not as long as clients do between tries."""
    _EVENT.wait(min(seconds, 0.3))


def outcome(call: Callable[..., Any], hub: Hub, fault: str, *args: Any, **options: Any) -> str:
    """How a call ends on a Hub that has the fault from now on: what was raised, or that all is there."""
    pattern, harm, when = FAULTS[fault]
    hub.faults[:] = [faults.on(pattern, harm, **when)]
    try:
        path = Path(call(*args, endpoint=hub.endpoint, token=False, etag_timeout=5, **options))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        return type(error).__name__
    weights = path / WEIGHTS if path.is_dir() else path
    return "arrived" if weights.read_bytes() == REPOSITORIES[models.ORDINARY][WEIGHTS] else "garbled"


@each_fault
@each_place
def test_an_ordinary_file_fares_as_with_the_client(hub: Hub, tmp_path: Path, fault: str, place: str) -> None:
    """Where the client gets the file so does the gate; where it fails the gate, which asks once more, may get it."""
    plain = outcome(
        huggingface_hub.hf_hub_download, hub, fault, models.ORDINARY, WEIGHTS, cache_dir=tmp_path / "unused"
    )
    options = {"cache_dir": tmp_path / "unused-by-gate", place: tmp_path / "place"}
    gated = outcome(safe_hf_hub_download, hub, fault, models.ORDINARY, WEIGHTS, **options)
    assert gated in (plain, "arrived")


@each_fault
@each_place
def test_a_hostile_file_never_arrives(hub: Hub, tmp_path: Path, fault: str, place: str) -> None:
    """Alone or in a snapshot, and neither does a part of it."""
    options = {"cache_dir": tmp_path / "unused", place: tmp_path / "place"}
    assert outcome(safe_hf_hub_download, hub, fault, models.HOSTILE, WEIGHTS, **options) not in ("arrived", "garbled")
    assert outcome(safe_snapshot_download, hub, fault, models.HOSTILE, **options) not in ("arrived", "garbled")
    hostile = REPOSITORIES[models.HOSTILE][WEIGHTS]
    assert not [
        path for path in (tmp_path / "place").rglob("*") if path.is_file() and path.read_bytes()[-99:] == hostile[-99:]
    ]
