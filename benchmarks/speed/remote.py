"""What judging files of the Hub costs: requests and bytes by kind of file, and the time of a snapshot.

    python -m benchmarks.speed.remote [--write docs/results.md]

The Hub is the one of the demo, on loopback. Sizes are those of real checkpoints; their numbers are holes in
sparse files. Snapshots are timed in turns, plain and gated, each into an empty cache; what is told is the median.
"""

from __future__ import annotations

import argparse
import gzip
import io
import mmap
import os
import random
import shutil
import statistics
import struct
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import joblib
import numpy as np
import torch

from picklegate import paths
from picklegate.demo import faults, models
from picklegate.demo.hub_server import Hub
from picklegate.demo.repositories import Content
from picklegate.hub.download import MOST_READ, safe_snapshot_download
from picklegate.hub.preview import Preview
from picklegate.policy import Policy

BEGIN = "<!-- benchmarks/speed/remote.py writes from here ... -->"
END = "<!-- ... to here: benchmarks/speed/remote.py -->"
REPO = "org/model"
MEGABYTE = 1 << 20
ROUNDS = 5
SNAPSHOTS = ((10_000_000, 0.0), (10_000_000, 0.03), (60_000_000, 0.0), (60_000_000, 0.03))
"""Bytes of each file of weights, and seconds that each request waits for its answer."""
HOSTILE_CALL = b"cos\nsystem\n(S'true'\ntR0"


class Holes(io.RawIOBase):
    """A new file in which zeros are not written."""

    def __init__(self, path: Path) -> None:
        """Begin empty."""
        self.file = path.open("w+b")

    def write(self, data: Any) -> int:
        """Skip what is all zeros."""
        view = bytes(data)
        if len(view) > 4096 and not view.strip(b"\0"):
            self.file.seek(len(view), os.SEEK_CUR)
        else:
            self.file.write(view)
        return len(view)

    def flush(self) -> None:
        """The end of the file is where writing ended."""
        self.file.truncate()
        self.file.flush()

    def mapped(self) -> mmap.mmap:
        """The content."""
        self.flush()
        return mmap.mmap(self.file.fileno(), 0, access=mmap.ACCESS_READ)


def state(tensors: int, each: int) -> dict[str, torch.Tensor]:
    """A state of so many tensors of so many bytes."""
    return {f"model.layers.{number}.mlp.weight": torch.zeros(each // 4) for number in range(tensors)}


def saved(folder: Path, name: str, tensors: int, each: int, **options: Any) -> mmap.mmap:
    """What torch.save makes of it."""
    file = Holes(folder / name)
    torch.save(state(tensors, each), file, **options)
    return file.mapped()


def dumped(folder: Path, name: str, value: Any, **options: Any) -> mmap.mmap:
    """What joblib.dump makes of a value."""
    file = Holes(folder / name)
    joblib.dump(value, file, **options)
    return file.mapped()


def safetensors(folder: Path, name: str, size: int) -> mmap.mmap:
    """The header of one tensor, and the tensor: noise as in models, and zeros from the second megabyte on."""
    file = Holes(folder / name)
    header = b'{"weight":{"dtype":"F32","shape":[%d],"data_offsets":[0,%d]}}' % (size // 4, size)
    file.write(struct.pack("<Q", len(header)) + header)
    file.write(random.Random(size).randbytes(MEGABYTE))
    file.write(bytes(size - MEGABYTE))
    return file.mapped()


def pickled(size: int, tail: bytes = b"") -> bytes:
    """A list of byte strings, 10 kB each, as protocol 4 has it; ``tail`` stands before its end."""
    draw = random.Random(0)
    items = b"".join(b"B" + struct.pack("<L", 10_000) + draw.randbytes(10_000) for _ in range(size // 10_000))
    return b"\x80\x04](" + items + b"e" + tail + b"."


def samples(folder: Path) -> Mapping[str, tuple[str, Content]]:
    """Kinds of file -> the name and the content of one."""
    arrays: list[Any] = [np.zeros(4 * MEGABYTE, dtype="f8") for _ in range(8)]
    trees: list[Any] = [np.zeros(5_000, dtype="f8") for _ in range(200)]
    archive = io.BytesIO()
    np.savez(archive, *(np.zeros(MEGABYTE) for _ in range(4)))
    script = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(torch.nn.Sequential(*(torch.nn.Linear(512, 512) for _ in range(8)))), script)
    call = HOSTILE_CALL
    return {
        "torch, zip, 300 tensors": ("a.bin", saved(folder, "a", 300, 3_600_000)),
        "torch, zip, 2,000 tensors": ("b.bin", saved(folder, "b", 2_000, 100_000)),
        "torch, hostile": ("c.pt", models.torch_zip(b"\x80\x02" + call + b"}.", {"w": (512, 1024)})),
        "torch, before zip": ("d.pt", saved(folder, "d", 300, 360_000, _use_new_zipfile_serialization=False)),
        "TorchScript": ("e.pt", script.getvalue()),
        "joblib, 8 large arrays": ("f.joblib", dumped(folder, "f", arrays)),
        "joblib, 200 small arrays": ("g.joblib", dumped(folder, "g", trees)),
        "joblib, compressed": ("h.joblib", dumped(folder, "h", arrays[0], compress=3)),
        "npz": ("i.npz", archive.getvalue()),
        "pickle": ("j.pkl", pickled(20 * MEGABYTE)),
        "pickle, hostile at its beginning": ("k.pkl", b"\x80\x04" + call + pickled(20 * MEGABYTE)[2:]),
        "pickle, hostile at its end": ("l.pkl", pickled(20 * MEGABYTE, b"0" + call + b"N")),
        "pickle, gzip": ("m.pkl", gzip.compress(pickled(5 * MEGABYTE), 1)),
        "safetensors": ("n.safetensors", safetensors(folder, "n", 1 << 30)),
        "text": ("o.txt", b"one line of a vocabulary\n" * 400_000),
        "json": ("p.json", b'{"hidden_size": 768, "layers": [1, 2, 3]}\n'),
    }


def kinds(folder: Path) -> list[str]:
    """The table of requests and bytes."""
    found = samples(folder)
    rows = ["| kind | size, MB | verdict | requests | kB read | of the file | s |", "| --- " * 7 + "|"]
    with Hub({REPO: dict(found.values())}) as hub:
        for kind, (name, content) in found.items():
            hub.requests.clear()
            start = time.perf_counter()
            preview = Preview(REPO, repo_type=None, policy=Policy(), options={"endpoint": hub.endpoint, "token": False})
            report = preview.report(preview.entry(name, "main"), most=MOST_READ)
            took = time.perf_counter() - start
            verdict = "judged on arrival" if report is None else str(report.verdict)
            share = preview.bytes / len(content)
            rows.append(
                f"| {kind} | {len(content) / 1e6:,.3f} | {verdict} | {len(hub.requests)} | {preview.bytes / 1024:,.1f} "
                f"| {share:.3%} | {took:.2f} |"
            )
    return rows


def repository(folder: Path, weights: int) -> Mapping[str, Content]:
    """Twenty files as repositories of models have them, eight of which hold so many bytes of weights each."""
    folder.mkdir()
    # No two have the same size, so that no two are one content.
    files: dict[str, Content] = {
        f"pytorch_model-{number}.bin": saved(folder, f"b{number}", 12, weights // 12 + 4 * number)
        for number in range(4)
    }
    files |= {f"m-{number}.safetensors": safetensors(folder, f"s{number}", weights + 4 * number) for number in range(4)}
    files |= {f"config-{number}.json": b'{"number": %d}' % number * 50 for number in range(8)}
    files |= {"tokenizer.json": b'{"word": 1234}' * 150_000, "vocab.txt": b"word\n" * 50_000}
    files |= {"model.joblib": pickled(2 * MEGABYTE), "README.md": b"# A model\n" * 100}
    return files


def snapshots(folder: Path, weights: int, latency_s: float) -> list[str]:
    """Wall times of a snapshot: plain, gated with an empty store, gated with a warm one."""
    from huggingface_hub import snapshot_download

    files = repository(folder, weights)
    times: dict[str, list[float]] = {"plain": [], "gated, cold store": [], "gated, warm store": []}
    with Hub({REPO: files}) as hub:
        hub.faults.append(faults.on(".", faults.stall(latency_s)))
        options = {"endpoint": hub.endpoint, "token": False}
        for number in range(-1, ROUNDS):
            for way, spent in times.items():
                home = folder / f"home-{number if 'cold' in way else 'warm'}"
                cache = folder / f"cache-{number}-{way}"
                call: Callable[..., Any] = snapshot_download if way == "plain" else safe_snapshot_download
                with patch.dict(os.environ, {paths.HOME: str(home)}):
                    start = time.perf_counter()
                    call(REPO, cache_dir=cache, **options)
                    took = time.perf_counter() - start
                shutil.rmtree(cache)
                if number >= 0:  # the first round warms imports, caches and the store
                    spent.append(took)
    plain = statistics.median(times["plain"])
    size = sum(map(len, files.values())) / 1e6
    return [
        f"| {len(files)} files, {size:.0f} MB, {latency_s * 1000:.0f} ms | {way} | {statistics.median(spent):.2f} "
        f"| {statistics.median(spent) / plain:.2f} | {min(spent):.2f} to {max(spent):.2f} |"
        for way, spent in times.items()
    ]


def main() -> None:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="the page whose part between the markers is replaced")
    page = parser.parse_args().write
    os.environ |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "NO_PROXY": "127.0.0.1,localhost"}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(patch.dict(os.environ, {paths.HOME: str(folder / "home")}))
        lines = kinds(folder)
        lines += ["", "| snapshot, and what each request waits | way | s, median | ratio | range |", "| --- " * 5 + "|"]
        for number, (weights, latency_s) in enumerate(SNAPSHOTS):
            lines += snapshots(folder / str(number), weights, latency_s)
    text = "\n".join(lines)
    print(text)
    if page is not None:
        before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
        page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
