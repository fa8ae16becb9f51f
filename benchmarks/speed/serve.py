"""What the gate as an endpoint costs: python -m benchmarks.speed.serve [--megabytes 100] [--write docs/serve.md].

The real client fetches a torch archive from the Hub on loopback and through the gate, in turns, with 1, 4 and 8
processes at a time; 32 requests side by side must all succeed. Wall clock, medians of the rounds.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

from benchmarks.common.tables import table
from picklegate.demo import models
from picklegate.demo.hub_server import Hub

BEGIN, END = "<!-- benchmarks/speed/serve.py writes from here ... -->", "<!-- ... to here -->"
REPO, NAME = "org/large", "weights.bin"
_CLIENT = f"from huggingface_hub import hf_hub_download; hf_hub_download({REPO!r}, {NAME!r})"


def weights(megabytes: int) -> bytes:
    """A torch archive of about this size."""
    shapes = {f"layer.{number}": (512, 512) for number in range(max(1, megabytes))}
    return models.torch_zip(models.state_dict(shapes), shapes)


def fetched(endpoint: str, processes: int) -> float:
    """Seconds that so many clients take side by side, each with a cache of its own."""
    with tempfile.TemporaryDirectory() as home:
        began = time.perf_counter()
        running = [
            subprocess.Popen(
                [sys.executable, "-c", _CLIENT],
                env={
                    **os.environ,
                    "HF_ENDPOINT": endpoint,
                    "HF_HOME": f"{home}/{number}",
                    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
                },
            )
            for number in range(processes)
        ]
        if any(process.wait() for process in running):
            raise SystemExit(f"a client of {endpoint} failed")
        return time.perf_counter() - began


def first_byte(endpoint: str) -> float:
    """Seconds until the first byte of the file."""
    began = time.perf_counter()
    with requests.get(f"{endpoint}/{REPO}/resolve/main/{NAME}", stream=True, timeout=60) as answer:
        next(answer.iter_content(1))
    return time.perf_counter() - began


def main() -> None:
    """Measure, and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    with Hub({REPO: {NAME: weights(options.megabytes)}}) as hub, tempfile.TemporaryDirectory() as home:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        gate = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "picklegate", "serve", "--upstream", hub.endpoint, "--port", str(port)]
        environment = {**os.environ, "PICKLEGATE_HOME": home}
        with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as serving:
            try:
                for _ in range(200):
                    try:
                        requests.get(f"{gate}/healthz", timeout=1)
                        break
                    except requests.ConnectionError:
                        time.sleep(0.05)
                cold, warm = first_byte(gate), first_byte(gate)
                rows = []
                for processes in (1, 4, 8):
                    turns = [
                        (fetched(hub.endpoint, processes), fetched(gate, processes)) for _ in range(options.rounds)
                    ]
                    plain, gated = map(statistics.median, zip(*turns, strict=True))
                    rows.append((str(processes), f"{plain:.2f} s", f"{gated:.2f} s", f"{plain / gated:.2f}"))
                with ThreadPoolExecutor(32) as pool:
                    address = f"{gate}/{REPO}/resolve/main/{NAME}"
                    statuses = set(pool.map(lambda _: requests.get(address, timeout=120).status_code, range(32)))
            finally:
                serving.terminate()
    text = table(("clients", "Hub on loopback", "through the gate", "speed beside the Hub"), rows)
    text += f"\n\nFirst byte with a cold verdict {cold * 1000:.0f} ms, with a warm one {warm * 1000:.0f} ms. "
    text += f"32 requests side by side: status {', '.join(map(str, sorted(statuses)))}. "
    text += f"A torch archive of {options.megabytes} MB, `python -m benchmarks.speed.serve`."
    if options.write:
        page = options.write.read_text(encoding="utf-8")
        head, tail = page.partition(BEGIN)[0], page.partition(END)[2]
        options.write.write_text(f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}", encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
