"""Files that torch, joblib and numpy write themselves, honest or with the inert payload in them."""

from __future__ import annotations

import importlib
import io
import random
from collections.abc import Callable
from typing import Any

from support.container_loaders import MARK


class Payload:
    """An object whose pickle runs the inert payload."""

    def __reduce__(self) -> tuple[Any, ...]:
        """The call."""
        return exec, (MARK,)


def _arrays(draw: random.Random) -> dict[str, Any]:
    numpy = importlib.import_module("numpy")
    kind = draw.choice(("<f4", ">i2", "U3", "S2", "?", "M8[D]", "c16"))
    return {"weights": numpy.zeros(draw.randrange(40), kind), "names": numpy.array(["a", None], dtype=object)}


def torch_save(draw: random.Random, hostile: bool) -> bytes:  # noqa: FBT001  what kind of file
    """A zip, or the format before it."""
    torch = importlib.import_module("torch")
    value = {"w": torch.zeros(draw.randrange(1, 40)), **({"object": Payload()} if hostile else {})}
    torch.save(value, out := io.BytesIO(), _use_new_zipfile_serialization=draw.random() < 0.6)
    return out.getvalue()


def joblib_dump(draw: random.Random, hostile: bool) -> bytes:  # noqa: FBT001  what kind of file
    """Arrays between opcodes, compressed or not."""
    joblib = importlib.import_module("joblib")
    compress = draw.choice((0, 3, ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)))
    value = {**_arrays(draw), "epoch": 3, **({"object": Payload()} if hostile else {})}
    joblib.dump(value, out := io.BytesIO(), compress=compress)
    return out.getvalue()


def numpy_save(draw: random.Random, hostile: bool) -> bytes:  # noqa: FBT001  what kind of file
    """An archive of arrays, one of them of objects."""
    numpy = importlib.import_module("numpy")
    arrays = _arrays(draw)
    if hostile:
        arrays["object"] = numpy.array([Payload()], dtype=object)
    save = draw.choice((numpy.savez, numpy.savez_compressed))
    save(out := io.BytesIO(), **arrays)
    return out.getvalue()


SAVERS: dict[str, Callable[[random.Random, bool], bytes]] = {
    "torch": torch_save,
    "joblib": joblib_dump,
    "numpy": numpy_save,
}
"""A library -> how it writes a file."""
