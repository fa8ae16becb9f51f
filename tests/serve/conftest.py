"""A gate on loopback before the Hub on loopback, and clients in processes of their own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from picklegate.demo import models
from picklegate.demo.hub_server import Hub
from picklegate.policy import Policy
from picklegate.serve.gate import Settings, create_app
from picklegate.serve.server import server

REPO = "org/model"
LARGE = bytes(range(256)) * 2048
"""Half a megabyte of numbers in which no pickle lies."""
FILES: dict[str, bytes] = {
    "config.json": b'{"hidden": 4}',
    "honest.bin": models.repositories()[models.ORDINARY][models.WEIGHTS],
    "hostile.bin": models.repositories()[models.HOSTILE][models.WEIGHTS],
    "numbers.bin": LARGE,
}


@dataclass
class Running:
    """A gate that runs: its address and its parts."""

    url: str
    gate: Any
    hub: Hub
    home: Path = field(default_factory=Path)

    def client(self, code: str) -> subprocess.CompletedProcess[str]:
        """Run a program whose Hub is the gate."""
        environment = {
            **os.environ,
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(self.home),
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_XET": "0",
        }
        command = [sys.executable, "-c", textwrap.dedent(code)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@contextlib.contextmanager
def serving(hub: Hub, home: Path, **options: Any) -> Iterator[Running]:
    """A gate before ``hub``, in a thread."""
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    settings = Settings(upstream=hub.endpoint, public_url=url, **{"policy": Policy(), **options})
    app = create_app(settings)
    running = server(app, host="127.0.0.1", port=0)
    thread = threading.Thread(target=lambda: asyncio.run(running.serve([listening])), daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not running.started and time.monotonic() < deadline:
        time.sleep(0.01)
    try:
        yield Running(url=url, gate=app.gate, hub=hub, home=home)
    finally:
        running.should_exit = True
        thread.join(20)


@pytest.fixture(name="hub")
def _hub() -> Iterator[Hub]:
    with Hub({REPO: FILES}) as hub:
        yield hub


@pytest.fixture(name="gate")
def _gate(hub: Hub, tmp_path: Path) -> Iterator[Running]:
    with serving(hub, tmp_path / "home") as running:
        yield running


@pytest.fixture(name="serve")
def _serve(hub: Hub, tmp_path: Path) -> Callable[..., contextlib.AbstractContextManager[Running]]:
    """Start a gate with options of its own."""
    return lambda **options: serving(hub, tmp_path / "home", **options)
