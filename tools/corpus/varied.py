"""Each object in a few of the hands that save objects: protocols, compressors, torch's two formats, by value."""

from __future__ import annotations

import dataclasses
import importlib
import io
import os
import pickle
import random
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from tools.corpus.torch_files import Objects

LARGEST = 24_000
"""Bytes of the largest file that is kept."""

_FOLDERS = {os.path.abspath(folder).encode() for folder in sys.path if folder}
"""Where this interpreter finds modules: a file that names it (some carry the sources of classes) is not kept."""

PICKLES = ("p0", "p2", "p3", "p4", "p5")
COMPRESSORS: dict[str, Any] = {
    "joblib": 0,
    "zlib.joblib": 3,
    "gzip.joblib": ("gzip", 3),
    "bz2.joblib": ("bz2", 3),
    "lzma.joblib": ("lzma", 3),
    "xz.joblib": ("xz", 3),
}
JOBLIB = tuple(COMPRESSORS)
TORCH = ("zip.pt", "legacy.pt")
EVERY = (*PICKLES, *JOBLIB, "cloudpickle", "dill")


def saved_as(made: Any, way: str) -> bytes:
    """The object as one saver writes it: a protocol, a library, or a library and how it compresses."""
    if way in PICKLES:
        return pickle.dumps(made, int(way[1:]))
    if way in {"cloudpickle", "dill"}:
        data: bytes = importlib.import_module(way).dumps(made)
        return data
    out = io.BytesIO()
    if way in COMPRESSORS:
        importlib.import_module("joblib").dump(made, out, compress=COMPRESSORS[way])
    else:
        importlib.import_module("torch").save(made, out, _use_new_zipfile_serialization=way == "zip.pt")
    return out.getvalue()


def varied(
    make: Callable[[random.Random], Objects], *, ways: Sequence[str] = EVERY, most: int = 12
) -> Callable[[random.Random], Objects]:
    """Give the objects of a library in at most ``most`` files: each in one to three ways, drawn from the seed."""

    def files(rng: random.Random) -> Objects:
        warnings.simplefilter("ignore")
        importlib.import_module("numpy").random.seed(rng.randrange(999))
        objects = list(make(rng))
        each = max(1, min(3, most // len(objects)))
        for title, made in objects:
            if isinstance(made, bytes):
                yield title, made
                continue
            written = 0
            for way in rng.sample(ways, len(ways)):
                try:
                    data = saved_as(made, way)
                    plain = saved_as(made, "joblib") if way in COMPRESSORS else data
                except Exception:  # noqa: BLE001  not every object can be saved in every way
                    continue
                if len(data) <= LARGEST and not any(folder in plain for folder in _FOLDERS):
                    yield f"{title}.{way}" + ("" if "." in way or way == "joblib" else ".pkl"), data
                    written += 1
                if written == each:
                    break

    return files


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Rows to fit a model to: (60, 4) numbers, their class, their value, and all of it in a frame with a city."""

    x: Any
    classes: Any
    values: Any
    frame: Any
    months: Any


def table(rng: random.Random) -> Table:
    """Draw a table; ``months`` is a series of 80 months with a trend."""
    np, pd = importlib.import_module("numpy"), importlib.import_module("pandas")
    x = np.random.default_rng(rng.randrange(999)).random((60, 4))
    classes = (x[:, 0] > 0.5).astype(int)
    frame = pd.DataFrame(x, columns=list("abcd"))
    frame["city"] = [rng.choice(["Paris", "New York", "Île"]) for _ in range(60)]
    frame["y"] = classes
    when = pd.period_range("2020-01", periods=80, freq="M")
    return Table(
        x=x,
        classes=classes,
        values=x @ np.array([1.0, 2, 3, 4]),
        frame=frame,
        months=pd.Series(np.sin(np.arange(80)) + np.arange(80) * 0.1, index=when),
    )
