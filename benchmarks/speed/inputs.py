"""The files that benchmarks/speed/__main__.py measures on: python -m benchmarks.speed.inputs FOLDER [--quick].

Needs torch, joblib and scikit-learn. Each file has a small twin in ``FOLDER/hostile``: the same layout, with one
call of ``os.system("true")`` at the very end. Twins are never loaded: they tell whether a tool reads that far.
"""

from __future__ import annotations

import argparse
import collections
import datetime as dt
import decimal
import io
import os
import pathlib
import pickle
from collections.abc import Callable
from typing import Any

import joblib
import numpy as np
import torch
from sklearn.ensemble import RandomForestClassifier


class Payload:
    """An inert stand-in for a hostile object."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        """Ask for ``os.system("true")`` when loaded."""
        return os.system, ("true",)


class _Sparse(io.FileIO):
    """Leaves holes where zeros are written."""

    def write(self, data: Any) -> int:
        block = bytes(data)
        if len(block) < 4096 or block.count(0) < len(block):
            return super().write(block) or 0
        self.seek(len(block), io.SEEK_CUR)
        return len(block)


def state_dict(count: int, size: int, *, hostile: bool) -> dict[str, Any]:
    """``count`` tensors of ``size`` zeros under the names of a transformer's layers."""
    parts = ("attn.q_proj", "attn.k_proj", "attn.v_proj", "attn.o_proj", "mlp.up", "mlp.down", "norm1", "norm2")
    state: dict[str, Any] = {
        f"model.layers.{i // 8}.{parts[i % 8]}.weight": torch.zeros(size // 16, 16) for i in range(count)
    }
    return state | {"payload": Payload()} if hostile else state


def torch_zip(path: str, scale: float, *, hostile: bool) -> None:
    """What torch.save writes of 2,000 small tensors."""
    torch.save(state_dict(int(2_000 * scale), 64, hostile=hostile), path)


def torch_legacy(path: str, scale: float, *, hostile: bool) -> None:
    """The same in the format before zip archives."""
    torch.save(state_dict(int(2_000 * scale), 64, hostile=hostile), path, _use_new_zipfile_serialization=False)


def torch_large(path: str, scale: float, *, hostile: bool) -> None:
    """64 tensors of 16 MB each, as a sparse file."""
    with _Sparse(path, "w") as file:
        torch.save(state_dict(64, int((4 << 20) * scale), hostile=hostile), file)
        file.truncate()


def dict_of(protocol: int) -> Callable[..., None]:
    """A dict of a million pairs of numbers, each under a name of its own."""

    def write(path: str, scale: float, *, hostile: bool) -> None:
        objects: dict[str, Any] = {f"sample/{i:07d}": (i, i / 7) for i in range(int(1_000_000 * scale))}
        if hostile:
            objects["payload"] = Payload()
        pathlib.Path(path).write_bytes(pickle.dumps(objects, protocol))

    return write


def instances(path: str, scale: float, *, hostile: bool) -> None:
    """200,000 objects that are made by calls of a class."""
    objects: list[Any] = [dt.timedelta(i, i % 86_400) for i in range(int(200_000 * scale))]
    pathlib.Path(path).write_bytes(pickle.dumps([*objects, Payload()] if hostile else objects, 4))


def forest(compress: int | tuple[str, int]) -> Callable[..., None]:
    """A random forest of about 20 MB."""

    def write(path: str, scale: float, *, hostile: bool) -> None:
        draw = np.random.default_rng(1)
        rows = draw.random((3_200, 8))
        model = RandomForestClassifier(max(2, int(100 * scale)), random_state=1).fit(rows, draw.integers(0, 4, 3_200))
        joblib.dump([model, Payload()] if hostile else model, path, compress=compress)

    return write


def small(path: str, scale: float, *, hostile: bool) -> None:
    """A folder of 500 pickles of some hundred bytes."""
    pathlib.Path(path).mkdir()
    makers: tuple[Callable[[int], Any], ...] = (
        lambda i: {"epoch": i, "loss": i / 3, "tags": ["train", str(i)]},
        lambda i: collections.OrderedDict(a=i, b=[i] * 5),
        lambda i: [dt.datetime(2024, 1, 1 + i % 28), decimal.Decimal(i) / 8],  # noqa: DTZ001
        lambda i: np.arange(i % 16),
    )
    count = max(8, int(500 * scale))
    for i in range(count):
        made = [makers[i % 4](i), Payload()] if hostile and i == count - 1 else makers[i % 4](i)
        pathlib.Path(path, f"{i:03d}.pkl").write_bytes(pickle.dumps(made, (2, 4, 5)[i % 3]))


def tiny(path: str, scale: float, *, hostile: bool) -> None:
    """One pickle of some hundred bytes."""
    made: dict[str, Any] = {"epoch": 3, "loss": 0.25, "tags": ["train"]}
    pathlib.Path(path).write_bytes(pickle.dumps(made | {"payload": Payload()} if hostile else made, 4))


INPUTS: dict[str, Callable[..., None]] = {
    "state_dict.pt": torch_zip,
    "state_dict_legacy.pt": torch_legacy,
    "large.pt": torch_large,
    "dict_p0.pkl": dict_of(0),
    "dict_p2.pkl": dict_of(2),
    "dict_p4.pkl": dict_of(4),
    "instances.pkl": instances,
    "forest.joblib": forest(0),
    "forest_zlib.joblib": forest(("zlib", 3)),
    "small": small,
    "tiny.pkl": tiny,
}
"""Name in the folder -> what writes it."""

TWIN_SCALE = 0.01


def main() -> None:
    """Write every input and its twin."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    (options.folder / "hostile").mkdir(parents=True)
    for name, write in INPUTS.items():
        write(str(options.folder / name), 0.1 if options.quick else 1.0, hostile=False)
        write(str(options.folder / "hostile" / name), TWIN_SCALE, hostile=True)


if __name__ == "__main__":
    main()
