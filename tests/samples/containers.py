"""Containers assembled byte by byte around pickles with inert payloads."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from picklegate.containers import Contents, read

CALL = b"cos\nsystem\n(S'true'\ntR"
PAYLOAD = CALL + b"."
HONEST = b"\x80\x02}q\x00X\x01\x00\x00\x00aq\x01K\x01s."

HOSTILE: dict[str, bytes] = {
    "protocol-0": PAYLOAD,
    "inst": b"(S'true'\nios\nsystem\n.",
    "protocol-2": b"\x80\x02" + PAYLOAD,
    "stack-global": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",
    "headerless-stack-global": b"\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",
    "broken-after-the-call": CALL + b"0\xff\xfe\xfd",
    "cut-off-after-the-call": b"\x80\x02" + CALL,
    "second-stream": HONEST + PAYLOAD,
    "broken-second-stream": HONEST + b"\x80\x02" + CALL + b"\xff",
}
"""Ways to write one call of ``os.system``."""


def scan(data: bytes, name: str = "") -> Contents:
    """Read bytes as an artifact."""
    return read(io.BytesIO(data), name=name)


def imports(contents: Contents) -> set[tuple[str, str]]:
    """What the streams import."""
    return {(one.module, one.name) for stream in contents.streams for one in stream.trace.imports}


@dataclass(frozen=True)
class Member:
    """One member of a zip; ``local`` and ``central`` override fields of its two headers."""

    name: bytes
    content: bytes
    method: int = 0
    local: Mapping[str, Any] = field(default_factory=dict)
    central: Mapping[str, Any] = field(default_factory=dict)


def packed(content: bytes, method: int) -> bytes:
    """``content`` as zip method ``method`` stores it."""
    if method == 8:
        engine = zlib.compressobj(wbits=-15)
        return engine.compress(content) + engine.flush()
    if method == 12:
        return bz2.compress(content)
    if method == 14:
        chosen = {"id": lzma.FILTER_LZMA1, "dict_size": 1 << 16, "lc": 3, "lp": 0, "pb": 2}
        raw = lzma.compress(content, lzma.FORMAT_RAW, filters=[chosen])
        return b"\x09\x04\x05\x00\x5d" + struct.pack("<L", 1 << 16) + raw
    return content


def zipped(
    *members: Member,
    prefix: bytes = b"",
    comment: bytes = b"",
    count: int | None = None,
    zip64: bool = False,
    extensible: bytes = b"",
    narrow: bool = False,
) -> bytes:
    """A zip archive; offsets count from the end of ``prefix``.

    With ``zip64`` it has such an end record, with ``extensible`` data; the other one then tells nothing, or with
    ``narrow`` the same, as torch writes it.
    """
    body = directory = b""
    for member in members:
        data = packed(member.content, member.method)
        known: dict[str, Any] = {
            "flags": 0,
            "method": member.method,
            "crc": zlib.crc32(member.content),
            "packed": len(data),
            "size": len(member.content),
            "name": member.name,
            "offset": len(body),
        }
        local = {**known, **member.local}
        central = {**known, **member.central}
        directory += (
            struct.pack(
                "<4s6H3L5H2L",
                b"PK\x01\x02", 20, 20, central["flags"], central["method"], 0, 0x21, central["crc"], central["packed"],
                central["size"], len(central["name"]), 0, 0, 0, 0, 0, central["offset"],
            )
            + central["name"]
        )  # fmt: skip
        body += (
            struct.pack(
                "<4s5H3L2H",
                b"PK\x03\x04", 20, local["flags"], local["method"], 0, 0x21, local["crc"], local["packed"],
                local["size"], len(local["name"]), 0,
            )
            + local["name"]
            + data
        )  # fmt: skip
    number, offset = len(members) if count is None else count, len(body)
    end = b""
    if zip64:
        end = struct.pack(
            "<4sQ2H2L4Q",
            b"PK\x06\x06", 44 + len(extensible), 45, 45, 0, 0, number, number, len(directory), offset,
        )  # fmt: skip
        end += extensible
        end += struct.pack("<4sLQL", b"PK\x06\x07", 0, len(prefix + body + directory), 1)
        number, offset = (number, offset) if narrow else (0xFFFF, 0xFFFFFFFF)
    end += struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, number, number, len(directory), offset, len(comment))
    return prefix + body + directory + end + comment


def torch_zip(pickle: bytes, name: bytes = b"archive/data.pkl") -> bytes:
    """What torch.save writes: the object, its records, and words about them."""
    return zipped(
        Member(name, pickle),
        Member(b"archive/byteorder", b"little"),
        Member(b"archive/data/0", bytes(64)),
        Member(b"archive/version", b"3\n"),
    )


MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
PROTOCOL = b"\x80\x02M\xe9\x03."
SYS_INFO = b"\x80\x02}X\x0d\x00\x00\x00little_endian\x88s."
KEYS = b"\x80\x02]X\x01\x00\x00\x000a."
STATE = (
    b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000"
    b"X\x03\x00\x00\x00cpuK\x03NtQK\x00K\x03\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR."
)
STORAGES = struct.pack("<q3f", 3, 1.0, 2.0, 3.0)


def torch_legacy(**parts: bytes) -> bytes:
    """What torch.save wrote without a zip; each of the five pickles can be given."""
    whole = {"magic": MAGIC, "protocol": PROTOCOL, "sys_info": SYS_INFO, "object": STATE, "keys": KEYS, **parts}
    return b"".join(whole.values()) + STORAGES


def tarred(**members: bytes) -> bytes:
    """A tar archive."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def torch_tar(pickle: bytes = HONEST, key: bytes = b"K\x01") -> bytes:
    """The form before the five pickles: a tar whose members mix pickles and raw numbers."""
    count = b"\x80\x02K\x01."
    storage = b"\x80\x02" + key + b"X\x03\x00\x00\x00cpuctorch\nFloatStorage\n\x87."
    return tarred(
        sys_info=SYS_INFO,
        pickle=pickle,
        tensors=count + b"\x80\x02K\x01K\x02ctorch\nFloatTensor\n\x87." + struct.pack("<i4xqqq", 1, 3, 1, 0),
        storages=count + storage + STORAGES + b"\x80\x02].",
    )


def npy(pickle: bytes, version: int = 1, shape: str = "(1,)") -> bytes:
    """An array of objects."""
    header = f"{{'descr': '|O', 'fortran_order': False, 'shape': {shape}, }}".encode()
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes((version, 0)) + length + header + pickle


def text(value: str) -> bytes:
    """BINUNICODE."""
    return b"X" + struct.pack("<L", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    """BININT."""
    return b"J" + struct.pack("<i", value)


def dtype(code: str, *, size: int = -1, flags: int = 0) -> bytes:
    """A numpy type as numpy pickles it."""
    state = number(3) + text("<") + b"NNN" + number(size) + number(-1) + number(flags)
    return b"cnumpy\ndtype\n" + text(code) + b"\x89\x88\x87R(" + state + b"tb"


def joblib_array(code: str, raw: bytes, *, count: int, module: str = "joblib", kind: bytes = b"") -> bytes:
    """Opcodes that build joblib's wrapper, and the bytes of the array behind them (without alignment)."""
    kind = kind or dtype(code, flags=63 if code == "O" else 0)
    wrapper = f"c{module}.numpy_pickle\nNumpyArrayWrapper\n".encode() + b")\x81}("
    wrapper += text("subclass") + b"cnumpy\nndarray\n" + text("shape") + number(count) + b"\x85"
    wrapper += text("order") + text("C") + text("dtype") + kind + text("allow_mmap") + b"\x88"
    return wrapper + b"ub" + raw


def joblib_file(after: bytes = b"N", code: str = "<f8", raw: bytes = bytes(range(200, 224)), count: int = 3) -> bytes:
    """A list of one array and of what ``after`` pushes."""
    return b"\x80\x02](" + joblib_array(code, raw, count=count) + after + b"e."


def zfile(pickle: bytes) -> bytes:
    """What joblib compressed before 0.10."""
    return b"ZF" + hex(len(pickle)).encode().ljust(19) + zlib.compress(pickle)


def stable_baselines(pickle: bytes) -> bytes:
    """A zip whose JSON holds a pickle in base64."""
    value = {":type:": "<class 'function'>", ":serialized:": base64.b64encode(pickle).decode()}
    return zipped(Member(b"data", json.dumps({"n": 1, "lr_schedule": value}).encode(), 8), Member(b"version", b"2.0"))


def standard_zip(name: str, content: bytes) -> bytes:
    """A zip as zipfile writes it, deflated."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return out.getvalue()


def mar(pickle: bytes, model: str = "model.pt") -> bytes:
    """What torch-model-archiver writes: a manifest, the handler's name in it, and the model beside it."""
    manifest = {
        "runtime": "python",
        "model": {"modelName": "m", "serializedFile": model, "handler": "image_classifier", "modelVersion": "1.0"},
        "archiverVersion": "0.9.0",
    }
    return zipped(
        Member(b"MAR-INF/MANIFEST.json", json.dumps(manifest).encode(), 8),
        Member(model.encode(), torch_zip(pickle), 8),
        Member(b"index_to_name.json", b'{"0": "cat"}', 8),
    )


def nemo(pickle: bytes) -> bytes:
    """What NeMo writes: a tar of the configuration, the tokenizer and a torch checkpoint."""
    return tarred(
        **{
            "./model_config.yaml": b"target: nemo.collections.asr.models.EncDecCTCModel\n",
            "./model_weights.ckpt": torch_zip(pickle, b"model_weights/data.pkl"),
            "./tokenizer.model": b"\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\x02",
        }
    )


def skops(array: bytes) -> bytes:
    """What skops writes: a schema that names classes, and arrays beside it."""
    node = {"__class__": "ndarray", "__module__": "numpy", "__loader__": "NdArrayNode", "type": "numpy"}
    schema = {
        "__class__": "LogisticRegression",
        "__module__": "sklearn.linear_model._logistic",
        "__loader__": "ObjectNode",
        "content": {"content": {"coef_": {**node, "file": "1.npy"}}},
        "protocol": 2,
    }
    return zipped(Member(b"1.npy", array), Member(b"schema.json", json.dumps(schema).encode()))


def lzma_alone(pickle: bytes) -> bytes:
    """LZMA with other properties than its tools write, which liblzma knows all the same."""
    chosen = {"id": lzma.FILTER_LZMA1, "dict_size": 1 << 16, "lc": 0, "lp": 2, "pb": 1}
    return lzma.compress(pickle, lzma.FORMAT_ALONE, filters=[chosen])


CONTAINERS: dict[str, Callable[[bytes], bytes]] = {
    "raw": lambda pickle: pickle,
    "torch_zip": torch_zip,
    "torch_zip-deflated": lambda pickle: zipped(Member(b"model/data.pkl", pickle, 8)),
    "torchscript_zip": lambda pickle: zipped(Member(b"m/data.pkl", HONEST), Member(b"m/constants.pkl", pickle)),
    "zip-any-name": lambda pickle: standard_zip("notes/readme.txt", pickle),
    "zip-bzip2": lambda pickle: zipped(Member(b"a.bin", pickle, 12)),
    "zip-lzma": lambda pickle: zipped(Member(b"a.bin", pickle, 14)),
    "zip-in-zip": lambda pickle: standard_zip("inner.zip", torch_zip(pickle)),
    "torch_legacy-object": lambda pickle: torch_legacy(object=pickle),
    "torch_legacy-before": lambda pickle: pickle + torch_legacy(),
    "torch_legacy-sys_info": lambda pickle: torch_legacy(sys_info=pickle),
    "torch_legacy-keys": lambda pickle: torch_legacy(keys=pickle),
    "torch_tar-pickle": torch_tar,
    "npy": npy,
    "npz": lambda pickle: standard_zip("arr_0.npy", npy(pickle)),
    "joblib-object-array": lambda pickle: joblib_file(code="O", raw=pickle),
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda pickle: lzma.compress(pickle, lzma.FORMAT_ALONE),
    "lzma-without-magic": lzma_alone,
    "zlib": zlib.compress,
    "zfile": zfile,
    "tar": lambda pickle: tarred(weights=pickle),
    "tar-gzip": lambda pickle: gzip.compress(tarred(weights=pickle)),
    "stable_baselines": stable_baselines,
    "mar": mar,
    "mar-tgz": lambda pickle: gzip.compress(tarred(**{"MAR-INF/MANIFEST.json": b"{}", "model.pt": torch_zip(pickle)})),
    "nemo": nemo,
    "nemo-gzip": lambda pickle: gzip.compress(nemo(pickle)),
    "skops": lambda pickle: skops(npy(pickle)),
}
"""Where a pickle can travel, with the standard library alone."""
