"""What a file is called where no pickle loader finds anything in it."""

from __future__ import annotations

import re

UNANALYSED = {
    "hdf5": "HDF5",
    "onnx": "ONNX",
    "keras": "a Keras model",
    "compress": ".Z (compress)",
    "lzip": "lzip",
    "lzop": "lzop",
    "lz4-legacy": "lz4 of the old format",
    "zstd-legacy": "zstd of an old format",
    "snappy": "snappy",
    "cab": "a cabinet archive",
    "ar": "an ar archive",
    "cpio": "a cpio archive",
    "elf": "a program or library",
    "exe": "a program or library",
    "mach-o": "a program or library",
    "sqlite": "an SQLite database",
    "dbm": "a dbm database",
    "lfs-pointer": "a Git LFS pointer and not the file itself",
    "yaml-target": "a configuration that names what to call (Hydra)",
    "unknown": "a format that it does not know",
}
"""Formats in which other loaders may find code or objects, and picklegate does not look -> their names for people."""

PACKED = frozenset(
    ("compress", "lzip", "lzop", "lz4-legacy", "zstd-legacy", "snappy", "cab", "ar", "cpio"),
)
"""Those of them that hold other files, compressed or not."""

_TARGET = re.compile(rb"""(?m)(^|[{,\s"'-])_target_["']?\s*:""")
_KERAS = re.compile(rb'"keras_version"\s*:')
LOOKED_AT = 1 << 20
"""Bytes of a text that are looked at."""


def refined(kind: str, text: bytes) -> str:
    """The format of a text by what stands in it: a configuration that calls, or a description of a Keras model."""
    if _TARGET.search(text):
        return "yaml-target"
    return "keras" if kind == "json" and _KERAS.search(text) else kind
