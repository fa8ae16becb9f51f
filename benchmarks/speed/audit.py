"""The audit of a large cache, cold and warm, and scans of the same files beside other scanners.

    python -m benchmarks.speed.audit [--venvs FOLDER] [--write docs/audit.md]

The real client fills a cache from the Hub on loopback: repositories in three revisions that share most of their files,
half of them checkpoints of 2 MB. With ``--venvs`` (see speed.py) the other scanners' commands are timed on a folder of
as many small files, where nothing but the scan takes time. Needs torch and joblib.
"""

from __future__ import annotations

import argparse
import collections
import io
import json
import os
import pickle
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from huggingface_hub import snapshot_download

from benchmarks.common import peers
from picklegate.demo.hub_server import Hub

BEGIN, END = "<!-- measured by benchmarks/speed/audit.py -->", "<!-- end -->"
HOSTILE = b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R."
ROUNDS = 5
RIVALS = ("picklescan", "hayward")


def content(number: int, draw: random.Random, side: int) -> tuple[str, bytes]:
    """A file's name and bytes, all different; checkpoints have 48 tensors of ``side`` by ``side``."""
    share = number % 10
    if number % 250 == 249:
        return "hostile.bin", HOSTILE + bytes(str(number), "ascii")
    file = io.BytesIO()
    if share < 5:
        names = [f"layers.{layer}.{part}" for layer in range(12) for part in ("q", "k", "v", "o")]
        torch.save(collections.OrderedDict((name, torch.full((side, side), float(number))) for name in names), file)
        return "pytorch_model.bin", file.getvalue()
    if share < 7:
        state = {"step": number, "lr": [draw.random() for _ in range(200)], "names": [f"p{i}" for i in range(300)]}
        return "optimizer.pkl", pickle.dumps(state, protocol=4)
    if share < 8:
        joblib.dump({"weights": np.full(4_000, number), "classes": np.arange(10)}, file)
        return "model.joblib", file.getvalue()
    return "config.json", json.dumps({"number": number, "vocabulary": [f"w{i}" for i in range(200)]}).encode()


def repositories(count: int, files: int, side: int) -> list[list[dict[str, bytes]]]:
    """For each repository its revisions: the first has nearly all files, the others replace some."""
    draw = random.Random(1)
    made = [content(number, draw, side) for number in range(files)]
    held: list[list[dict[str, bytes]]] = []
    for index in range(count):
        own = made[index::count]
        first = {f"{place:03}/{name}": data for place, (name, data) in enumerate(own[:-4])}
        second = first | {f"000/{name}": data for name, data in own[-4:-2]}
        third = second | {f"001/{name}": data for name, data in own[-2:]}
        held.append([first, second, third])
    return held


def fill(folder: Path, held: list[list[dict[str, bytes]]]) -> None:
    """Let the client cache every revision."""
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    with Hub({}) as hub:
        for index, revisions in enumerate(held):
            for files in revisions:
                name = f"org{index % 5}/model-{index}"
                commit = hub.push(name, files)
                snapshot_download(name, revision=commit, endpoint=hub.endpoint, cache_dir=folder, max_workers=4)


def lay(folder: Path, held: list[list[dict[str, bytes]]]) -> int:
    """Write each content into a folder once, under the name that users see; how many there are."""
    names = {data: name for revisions in held for files in revisions for name, data in files.items()}
    for place, (data, name) in enumerate(names.items()):
        path = folder / f"{place % 30:02}" / f"{place:05}-{name.rpartition('/')[2]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return len(names)


def timed(command: list[str | Path], **variables: str) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Wall seconds of a command, and what it said."""
    environment = {**os.environ, **peers.QUIET, **variables}
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    return time.perf_counter() - start, done


def audits(cache: Path, work: Path, expected: int) -> list[tuple[str, str]]:
    """The rows about the cache; asserts that each content is judged once, cold and warm alike."""
    colds, warms, insides = [], [], []
    for turn in range(3):
        home = {"PICKLEGATE_HOME": str(work / f"home-{turn}")}
        command: list[str | Path] = [sys.executable, "-m", "picklegate", "audit", "--format", "json"]
        command += ["--cache-dir", cache]
        cold, first = timed(command, **home)
        again = [timed(command, **home) for _ in range(3)]
        colds.append(cold)
        warms.append(statistics.median(seconds for seconds, _ in again))
        documents: list[dict[str, Any]] = [json.loads(done.stdout) for done in (first, again[-1][1])]
        insides.append(documents[0]["cache"]["seconds"] / documents[1]["cache"]["seconds"])
        assert [len(document["files"]) for document in documents] == [expected, expected]
        assert documents[0]["files"] == documents[1]["files"]
        assert len({content_["blob"] for content_ in documents[0]["cache"]["contents"]}) == expected
    paths = sum(len(content_["paths"]) for content_ in documents[0]["cache"]["contents"])
    summary = documents[0]["summary"]
    size = sum(file["size"] for file in documents[0]["files"])
    cold, warm = statistics.median(colds), statistics.median(warms)
    return [
        ("repositories, revisions", f"{len(documents[0]['cache']['repositories'])}, 3 each"),
        ("paths in snapshots", f"{paths:,}"),
        ("contents, each scanned once", f"{expected:,} ({size / 1e6:.0f} MB)"),
        ("malicious", str(summary["malicious"])),
        ("first run", f"{cold:.2f} s"),
        ("second run", f"{warm:.2f} s, {cold / warm:.1f} times faster"),
        ("without the interpreter's start", f"{statistics.median(insides):.1f} times faster"),
    ]


def beside(folder: Path, venvs: Path) -> list[tuple[str, float, int]]:
    """(scanner, median seconds, exit code), the scanners taking turns."""
    commands: dict[str, list[str | Path]] = {
        "picklegate": [sys.executable, "-m", "picklegate", "scan", folder, "-j", "2"],
        "picklegate -j 1": [sys.executable, "-m", "picklegate", "scan", folder, "-j", "1"],
    }
    for name in RIVALS:
        if (venvs / name / "bin" / name).exists():
            commands[name] = [venvs / name / "bin" / name, *peers.PEERS[name].command[1:], folder]
    taken: dict[str, list[float]] = {name: [] for name in commands}
    codes: dict[str, int] = {}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            seconds, done = timed(command)
            taken[name].append(seconds)
            codes[name] = done.returncode
    return [(name, statistics.median(taken[name]), codes[name]) for name in commands]


def main() -> None:
    """Measure, print, and write between the markers of a page if asked to."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--venvs", type=Path)
    parser.add_argument("--repositories", type=int, default=30)
    parser.add_argument("--files", type=int, default=2_000)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        held = repositories(options.repositories, options.files, 104)
        fill(work / "cache", held)
        expected = len({data for revisions in held for files in revisions for data in files.values()})
        lines = ["| the cache | |", "| --- | --- |"]
        lines += [f"| {what} | {value} |" for what, value in audits(work / "cache", work, expected)]
        if options.venvs:
            number = lay(work / "files", repositories(options.repositories, options.files, 16))
            lines += ["", f"A folder of {number:,} small files, whole commands, medians of {ROUNDS} turns:", ""]
            lines += ["| scanner | seconds | files a second | exit code |", "| --- | --- | --- | --- |"]
            for name, seconds, code in beside(work / "files", options.venvs):
                version = f" {peers.PEERS[name].version}" if name in peers.PEERS else ""
                lines.append(f"| {name}{version} | {seconds:.2f} | {number / seconds:,.0f} | {code} |")
    text = "\n".join(lines)
    print(text)
    if options.write:
        page = options.write.read_text(encoding="utf-8")
        head, _, rest = page.partition(BEGIN)
        options.write.write_text(f"{head}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
