"""Hostile samples in containers that readers and loaders see differently."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import struct
import tarfile
import warnings
import zipfile
import zlib

from picklegate.training.carriers import contain
from picklegate.training.tree import Build, Name, New
from support.builders import CLOAK, INNER, OLD, OS, PICKLEBALL, PICKLESCAN, Hostile, case, written

_HARMLESS = written({"weight": [0.5, 0.25]})
_CVE = "https://nvd.nist.gov/vuln/detail/"


def _zip(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            archive.writestr(info, data)
    return out.getvalue()


def _torch(name: str = "archive/data.pkl", data: bytes = INNER) -> bytes:
    return _zip((name, data), ("archive/version", b"3\n"))


def _patched(data: bytes, signature: bytes, offset: int, value: bytes) -> bytes:
    """The archive with some bytes of its first header of a kind overwritten."""
    at = data.index(signature) + offset
    return data[:at] + value + data[at + len(value) :]


def _tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in (("sys_info", _HARMLESS), ("pickle", INNER), ("storages", _HARMLESS), ("tensors", _HARMLESS)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _legacy(place: int) -> bytes:
    """Torch's old format of five streams, the payload in one of them."""
    parts = [
        written(0x1950A86A20F9469CFC6C, 2),
        written(1001, 2),
        written({"little_endian": True}, 2),
        _HARMLESS,
        written([], 2),
    ]
    parts[place] = OLD
    return b"".join(parts)


def _joblib() -> bytes:
    """An uncompressed joblib file: raw array bytes between the opcodes, then a payload."""
    array = {"subclass": Name("numpy", "ndarray"), "shape": (4,), "order": "C", "allow_mmap": True}
    wrapper = Build(New(Name("joblib.numpy_pickle", "NumpyArrayWrapper")), {**array, "numpy_array_alignment_bytes": 16})
    dtype = b"\x8c\x05dtype\x94\x8c\x05numpy\x94\x8c\x05dtype\x94\x93\x94\x8c\x02u1\x94\x89\x88\x87R\x94"
    opcodes = written(wrapper)[11:-2]
    return b"\x80\x04(" + opcodes[:-1] + dtype + b"ub" + b"\x01\xff" + b".0.c" + OLD[:-1] + b"t."


_NPY = contain(INNER, "npy", random.Random(0))[0]


def _npz_as_torch() -> bytes:
    """An array of objects in the place of a tensor's numbers, its content far behind its header."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a/data.pkl", _HARMLESS)
        member = zipfile.ZipInfo("a/data/0")
        member.extra = b"FB" + struct.pack("<H", 1000) + bytes(1000)
        archive.writestr(member, _NPY)
    return out.getvalue()


_LOCAL, _CENTRAL = b"PK\x03\x04", b"PK\x01\x02"

CONTAINERS: tuple[Hostile, ...] = (
    case("zip-torch", _torch(), "An ordinary torch zip.", OS),
    case("zip-upper-case", _torch("archive/DATA.PKL"), "Torch looks members up without regard to case.", OS),
    case(
        "zip-upper-case-second",
        _zip(("archive/data.pkl", _HARMLESS), ("archive/DATA.PKL", INNER)),
        "Of two spellings the later one wins.",
        OS,
    ),
    case("zip-two-members", _zip(("a/data.pkl", _HARMLESS), ("a/data.pkl", INNER)), "Two members of one name.", OS),
    case("zip-two-members-first", _zip(("a/data.pkl", INNER), ("a/data.pkl", _HARMLESS)), "The first is live too.", OS),
    case(
        "zip-wrong-crc",
        _patched(_torch(), _CENTRAL, 16, b"\0\1\2\3"),
        "A wrong CRC.",
        OS,
        PICKLESCAN + "GHSA-mjqp-26hc-grxg",
    ),
    case(
        "zip-local-encrypted",
        _patched(_torch(), _LOCAL, 6, b"\x01\0"),
        "An encryption flag in the local header.",
        OS,
        _CVE + "CVE-2025-1945",
    ),
    case(
        "zip-local-name",
        _patched(_torch(), _LOCAL, 30, b"archivX"),
        "Another name in the local header.",
        OS,
        _CVE + "CVE-2025-1944",
    ),
    case("zip-local-method", _patched(_torch(), _LOCAL, 8, b"\x08\0"), "Another method in the local header.", OS),
    case("zip-deflated", _zip(("a/data.pkl", INNER), method=zipfile.ZIP_DEFLATED), "A deflated member.", OS),
    case("zip-junk-after", _torch() + b"\0" * 64, "Junk after the end.", OS),
    case("zip-nested", _zip(("inner.pt", _torch())), "A zip in a zip.", OS, CLOAK),
    case(
        "zip-extra-member",
        _zip(("a/data.pkl", _HARMLESS), ("a/extra/x.bin", INNER)),
        "A pickle under another name.",
        OS,
    ),
    case("zip-constants", _zip(("a/data.pkl", _HARMLESS), ("a/constants.pkl", INNER)), "TorchScript's constants.", OS),
    case("npy-object", _NPY, "A pickle behind an npy header.", OS),
    case("npz-object", _zip(("arr_0.npy", _NPY)), "An npz with an object array.", OS),
    case("npz-as-torch", _npz_as_torch(), "numpy.load unpickles what torch reads as numbers.", OS),
    case("legacy-object", _legacy(3), "The fourth stream of torch's old format.", OS),
    case("legacy-magic", _legacy(0), "A payload before the magic number is checked.", OS),
    case("legacy-keys", _legacy(4), "The list of storage keys.", OS),
    case(
        "raw-pickle-as-pt",
        OLD,
        "Torch's unpickler runs before it raises Invalid magic number.",
        OS,
        PICKLESCAN + "GHSA-jgw4-cr84-mqxg",
    ),
    case("tar-torch", _tar(), "Torch's oldest format.", OS),
    case("joblib-after-array", _joblib(), "What follows an array's raw bytes.", OS),
    case("joblib-zlib", zlib.compress(INNER), "A compressed joblib file.", OS),
    case("joblib-gzip", gzip.compress(INNER, mtime=0), "A compressed joblib file.", OS),
    case("joblib-bz2", bz2.compress(INNER), "A compressed joblib file.", OS),
    case("joblib-xz", lzma.compress(INNER), "A compressed joblib file.", OS),
    case("joblib-lzma", lzma.compress(INNER, lzma.FORMAT_ALONE), "A compressed joblib file.", OS),
    case(
        "object-array-magic",
        b"\x93NUMPY\x02\0" + struct.pack("<I", len(_NPY[10:]) - len(INNER)) + _NPY[10:],
        "npy version 2.",
        OS,
    ),
    case(
        "broken-second-stream",
        _HARMLESS + OLD[:-1] + b"\xff",
        "A later stream breaks after its payload.",
        OS,
        PICKLEBALL,
    ),
)
