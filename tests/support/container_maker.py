"""Makes honest and hostile files of every container, with the parts that readers take differently drawn at random."""

from __future__ import annotations

import base64
import bz2
import gzip
import importlib.util
import io
import json
import lzma
import pickle
import random
import struct
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from samples.containers import MAGIC, PROTOCOL, SYS_INFO, Member, joblib_array, zipped
from support import library_files
from support.container_loaders import MARK


@dataclass(frozen=True, slots=True)
class Made:
    """A file, how it came about, and whether its library could have written it."""

    data: bytes
    recipe: str
    honest: bool


class Maker:
    """Draws files; the same seed gives the same files."""

    def __init__(self, seed: int) -> None:
        """Begin with ``seed``."""
        self.draw = random.Random(seed)
        self.recipe: list[str] = []
        self.hostile = False

    def make(self) -> Made:
        """One file: a third honest as its library writes it, the others hostile and mostly odd."""
        self.recipe = []
        self.hostile = self.draw.random() < 0.7
        data = self.container(self.draw.choice((0, 0, 0, 1, 1, 2)))
        if self.hostile and self.draw.random() < 0.4:
            data = self._mutated(data)
        return Made(data, " ".join(reversed(self.recipe)), not self.hostile)

    def odd(self, chance: float = 0.3) -> bool:
        """Whether to do something that no library does."""
        return self.hostile and self.draw.random() < chance

    def container(self, deep: int) -> bytes:
        """A container around a pickle, or around another container."""
        name, build = self.draw.choice(list(_BUILDERS.items()))
        content = self.container(deep - 1) if deep and name in _AROUND_ANYTHING else self.pickle()
        data = build(self, content)
        self.recipe.append(name)
        return data

    def pickle(self) -> bytes:
        """A pickle: the payload, or plain values."""
        if not self.hostile:
            value = {"a": [1, 2.5, "x"], "b": (None, True), "n": self.draw.randrange(1 << 40)}
            return pickle.dumps(value, self.draw.randrange(6))
        text = MARK.encode()
        return self.draw.choice((
            b"cbuiltins\nexec\n(V" + text + b"\ntR.",
            b"\x80\x02cbuiltins\nexec\nX" + struct.pack("<L", len(text)) + text + b"\x85R.",
            b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93\x8c" + bytes((len(text),)) + text + b"\x85R.",
            b"(V" + text + b"\nibuiltins\nexec\n.",
            b"\x80\x02N.cbuiltins\nexec\n(V" + text + b"\ntR.",
            b"Pa line\n0cbuiltins\nexec\n(V" + text + b"\ntR.",
        )[: 5 if self.draw.random() < 0.9 else 6])  # fmt: skip

    def junk(self, most: int = 64) -> bytes:
        """Some bytes that mean nothing."""
        return self.draw.choice((b"\0", b"junk ", b"\xff\xfe", b"#!/bin/sh\n")) * self.draw.randrange(1, most // 4)

    def _mutated(self, data: bytes) -> bytes:
        """The file with bytes changed, taken out, doubled or put in, near its ends more often than not."""
        changed = bytearray(data)
        for _ in range(self.draw.randrange(1, 4)):
            if not changed:
                break
            near = min(len(changed), self.draw.choice((16, 64, 600, len(changed))))
            place = self.draw.randrange(near)
            place = place if self.draw.random() < 0.5 else len(changed) - 1 - place
            what = self.draw.randrange(5)
            self.recipe.insert(0, f"mutated-{what}@{place}")
            if what == 0:
                changed[place] = self.draw.randrange(256)
            elif what == 1:
                changed[place] ^= 1 << self.draw.randrange(8)
            elif what == 2:
                del changed[place : place + self.draw.choice((1, 1, 2, 8))]
            elif what == 3:
                changed[place:place] = self.draw.choice((b"\0", b" ", b"\xff", changed[place : place + 30]))
            else:
                changed += self.junk()
        return bytes(changed)


def _raw(maker: Maker, content: bytes) -> bytes:
    if maker.odd(0.2):
        return maker.draw.choice((b"PK\3\4 line\n0", b"GGUF\3\0\0\0\0" + b"0", b"N0", b"]0", b"\x80\x02N.")) + content
    return content


def _torch_legacy(maker: Maker, content: bytes) -> bytes:
    parts = [MAGIC, PROTOCOL, SYS_INFO, content, b"\x80\x02]."]
    if maker.odd():
        maker.draw.shuffle(parts)
    return b"".join(parts)


def _gzip_member(maker: Maker, content: bytes) -> bytes:
    data = gzip.compress(content, maker.draw.randrange(1, 10), mtime=maker.draw.randrange(1 << 31))
    if not maker.odd(0.6):
        return data
    flags = maker.draw.randrange(256)
    extra = b""
    if flags & 4:
        extra += struct.pack("<H", 5) + b"extra"
    extra += b"name\0" if flags & 8 else b""
    extra += b"comment\0" if flags & 16 else b""
    if flags & 2:
        header = data[:3] + bytes((flags,)) + data[4:10] + extra
        extra += struct.pack("<H", zlib.crc32(header) & 0xFFFF if maker.odd() else maker.draw.randrange(1 << 16))
    body = data[10:] if not maker.odd(0.2) else data[10:-8] + bytes(8)
    return data[:3] + bytes((flags,)) + data[4:10] + extra + body


def _in_parts(maker: Maker, content: bytes, pack: Callable[[bytes], bytes], between: tuple[bytes, ...]) -> bytes:
    """Several members that are one content."""
    cut = maker.draw.randrange(len(content) + 1) if content else 0
    if not maker.odd():
        return pack(content)
    joint = maker.draw.choice((b"", *between))
    end = maker.draw.choice((b"", b"", maker.junk(), bytes(8)))
    return pack(content[:cut]) + joint + pack(content[cut:]) + end


def _gzip(maker: Maker, content: bytes) -> bytes:
    return _in_parts(maker, content, lambda part: _gzip_member(maker, part), (bytes(7),))


def _zlib(maker: Maker, content: bytes) -> bytes:
    engine = zlib.compressobj(6, zlib.DEFLATED, maker.draw.randrange(9, 16) if maker.odd() else 15)
    data = engine.compress(content) + engine.flush()
    return data[:-2] if maker.odd(0.1) else data


def _bz2(maker: Maker, content: bytes) -> bytes:
    return _in_parts(maker, content, lambda part: bz2.compress(part, maker.draw.randrange(1, 10)), ())


def _lzma(maker: Maker, content: bytes) -> bytes:
    def pack(part: bytes) -> bytes:
        if not maker.odd(0.5):
            return lzma.compress(part)
        if maker.draw.random() < 0.5:
            check = maker.draw.choice((lzma.CHECK_NONE, lzma.CHECK_CRC32, lzma.CHECK_SHA256))
            return lzma.compress(part, check=check)
        lc = maker.draw.randrange(5)
        chosen = {"id": lzma.FILTER_LZMA1, "dict_size": 1 << maker.draw.randrange(12, 24), "lc": lc,
                  "lp": maker.draw.randrange(5 - lc), "pb": maker.draw.randrange(5)}  # fmt: skip
        return lzma.compress(part, lzma.FORMAT_ALONE, filters=[chosen])

    return _in_parts(maker, content, pack, (bytes(4),))


def _framed(library: str, maker: Maker, content: bytes) -> bytes:
    pack = importlib.import_module(library)
    compress = pack.ZstdCompressor().compress if library == "zstandard" else pack.compress
    data = _in_parts(maker, content, compress, (_skippable(maker),))
    return _skippable(maker) + data if maker.odd() else data


def _skippable(maker: Maker) -> bytes:
    size = maker.draw.randrange(40)
    return b"".join(
        struct.pack("<LL", 0x184D2A50 + maker.draw.randrange(16), size) + bytes(size)
        for _ in range(maker.draw.randrange(1, 3))
    )


def _zfile(maker: Maker, content: bytes) -> bytes:
    size = len(content)
    spelled = hex(size)
    if maker.odd(0.7):
        spelled = maker.draw.choice(
            (f"{size:x}", f"+{size:x}", f"0X{size:X}", f" {size:x}", f"{size:_x}", f"0x0{size:x}")
        )
    return b"ZF" + spelled.encode().ljust(19 + maker.draw.choice((0, 1))) + zlib.compress(content)


def _joblib(maker: Maker, content: bytes) -> bytes:
    head = b"\x80\x02]("
    floats = joblib_array("<f8", bytes(24), count=3)
    body = content.removesuffix(b".").removeprefix(b"\x80\x02").removeprefix(b"\x80\x04")
    if not maker.hostile:
        return head + floats + b"Ne."
    if maker.draw.random() < 0.5:
        return head + floats + joblib_array("O", content, count=1) + b"e."
    return head + floats + body + b"e."


def _npy(maker: Maker, content: bytes) -> bytes:
    def header(descr: str, shape: str, version: int = 1) -> bytes:
        text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
        length = struct.pack("<H" if version == 1 else "<I", len(text))
        return b"\x93NUMPY" + bytes((version, 0)) + length + text

    version = maker.draw.choice((1, 2, 3))
    numbers = header("'<f4'", "(3,)", version) + bytes(12)
    objects = header("'|O'", "(1,)", version) + content
    if not maker.hostile:
        return objects
    return maker.draw.choice((
        objects, numbers + content, numbers + objects, numbers * 2 + objects,
        header("'O'", "(1L,)") + content, header("[('a', '<i4'), ('b', 'O')]", "(1,)") + content,
        header("'<f4'", f"({1 << 32}, {1 << 32})") + content, header("'<f4'", "(0,)") + content,
    ))  # fmt: skip


def _tar(maker: Maker, content: bytes) -> bytes:
    torch = maker.draw.random() < 0.3
    members = {"sys_info": SYS_INFO, "pickle": content, "storages": b"\x80\x02K\0.", "tensors": b"\x80\x02K\0."}
    if not torch:
        members = {maker.draw.choice(("data.pkl", "weights", "a/b/model.bin")): content, "note.txt": b"text\n"}
    out = io.BytesIO()
    form = maker.draw.choice((tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))
    with tarfile.open(fileobj=out, mode="w:", format=form) as archive:
        for name, stored in members.items():
            info = tarfile.TarInfo(name)
            if form != tarfile.USTAR_FORMAT and maker.odd(0.1):
                info = tarfile.TarInfo(name * 40)
            info.size = len(stored)
            archive.addfile(info, io.BytesIO(stored))
    data = bytearray(out.getvalue())
    if maker.odd(0.6):
        _odd_header(maker, data)
    if maker.odd(0.2):
        data[:0] = bytes(512 * maker.draw.randrange(1, 4))
    if maker.odd(0.2):
        data += maker.junk() if maker.draw.random() < 0.5 else bytes(512) + data
    return bytes(data)


def _odd_header(maker: Maker, data: bytearray) -> None:
    """Change the first header, and give it a checksum in one of the ways that are read."""
    if maker.draw.random() < 0.4:
        data[156] = maker.draw.choice(b"0\0007ADMNVZQxS")
    if maker.draw.random() < 0.3:
        payload = b"cbuiltins\nexec\n(V" + MARK.encode() + b"\ntR."
        start = maker.draw.choice((b"PK\3\4", payload, b"\x1f\x8b\x08", b"7z\xbc\xaf\x27\x1c"))
        data[: len(start)] = start
    total = sum(data[:148]) + 256 + sum(data[156:512])
    data[148:156] = maker.draw.choice((
        b"%06o\0 " % total, b"%08o" % total, b"0o%05o\0" % total, b"+%06o\0" % total, b" %o" % total,
        b"%o_%03o" % (total >> 9, total & 0o777), b"%o\0zz" % total, b"\x80" + total.to_bytes(7, "big"),
    )).ljust(8, b"\0")[:8]  # fmt: skip


def _zip(maker: Maker, content: bytes) -> bytes:
    name = maker.draw.choice((b"archive/data.pkl", b"m/data.pkl", b"a.bin", b"archive/DATA.PKL", b"x/constants.pkl"))
    method = (
        maker.draw.choice((0, 8)) if b"/" not in name or not maker.hostile else maker.draw.choice((0, 0, 8, 12, 14))
    )
    odd: dict[str, Any] = {}
    for field in ("crc", "packed", "size", "flags", "method"):
        if maker.odd(0.06):
            odd[field] = maker.draw.choice((0, 1, 8, 0xFFFFFFFF if field in ("crc", "packed", "size") else 8))
    sides = {"local": odd} if maker.draw.random() < 0.5 else {"central": odd}
    members = [Member(name, content, method, **sides), Member(name.rpartition(b"/")[0] + b"/version", b"3\n")]
    if maker.odd(0.3):
        plain = pickle.dumps({"a": 1}, 2)
        members.insert(maker.draw.randrange(3), Member(maker.draw.choice((name, name.upper(), b"x/data.pkl")), plain))
    if maker.odd(0.15):
        members = [Member(b"archive/data.pkl", b"\x80\x02N."), Member(b"archive/data/0", _npy(maker, content))]
    if maker.odd(0.1):
        maker.draw.shuffle(members)
    data = zipped(*members, zip64=maker.draw.random() < 0.3, prefix=maker.junk() if maker.odd(0.15) else b"")
    return _odd_ends(maker, data) if maker.odd(0.5) else data


def _odd_ends(maker: Maker, data: bytes) -> bytes:
    """Move the directory or its zip64 record, or put another archive before, behind or into the comment."""
    other = zipped(Member(b"archive/data.pkl", b"\x80\x02N."), Member(b"archive/version", b"3\n"))
    what = maker.draw.randrange(7)
    maker.recipe.append(f"ends-{what}")
    if what == 0:
        return data + other
    if what == 1:
        return other + data
    if what == 2:
        return other[:-2] + struct.pack("<H", len(data)) + data
    if what == 3:
        return data + maker.junk()
    end = data.rindex(b"PK\5\6")
    start = data.index(b"PK\1\2")
    stop = data.find(b"PK\6\6") if b"PK\6\6" in data else end
    directory, count = data[start:stop], data.count(b"PK\1\2")
    if what == 4:  # the directory in the comment
        record = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(directory), start + 22, len(directory))
        return data[:start] + record + directory
    wide = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(directory), 0)
    if what == 5:  # the zip64 record before the directory
        wide = wide[:48] + struct.pack("<Q", start + 56)
        place = start
        body = data[:start] + wide + directory
    else:  # something between the zip64 record and its locator
        wide = wide[:48] + struct.pack("<Q", start)
        place = stop
        body = data[:start] + directory + wide + maker.junk()
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, place, 1)
    return body + locator + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)


def _stable_baselines(maker: Maker, content: bytes) -> bytes:
    value = {":type:": "function", ":serialized:": base64.b64encode(content).decode()}
    text = json.dumps({"gamma": 0.99, "policy_class": value, "seed": None})
    if maker.odd(0.3):
        text = " \n\t\r"[maker.draw.randrange(4)] * maker.draw.randrange(1, 200) + text
    if maker.odd(0.2):
        depth = maker.draw.randrange(1, 900)
        text = '{"deep": ' + "[" * depth + "]" * depth + ", " + text.lstrip()[1:]
    if maker.odd(0.2):
        text = text.replace(":serialized:", "\\u003aserialized:")
    return zipped(
        Member(b"data", text.encode(), maker.draw.choice((0, 8))), Member(b"_stable_baselines3_version", b"2")
    )


def _own(save: Callable[[random.Random, bool], bytes], maker: Maker, content: bytes) -> bytes:
    """What a library writes of its own, and for torch's archives odd ends."""
    del content
    data = save(maker.draw, maker.hostile)
    return _odd_ends(maker, data) if save is library_files.torch_save and data[:2] == b"PK" and maker.odd() else data


_BUILDERS: dict[str, Callable[[Maker, bytes], bytes]] = {
    "raw": _raw,
    "torch_legacy": _torch_legacy,
    "gzip": _gzip,
    "zlib": _zlib,
    "bz2": _bz2,
    "lzma": _lzma,
    "zfile": _zfile,
    "joblib": _joblib,
    "npy": _npy,
    "tar": _tar,
    "zip": _zip,
    "stable_baselines": _stable_baselines,
}
for _module, _save in library_files.SAVERS.items():
    if importlib.util.find_spec(_module) and importlib.util.find_spec("numpy"):
        _BUILDERS[f"{_module}'s own"] = partial(_own, _save)
for _name, _module in (("zstd", "zstandard"), ("lz4", "lz4.frame")):
    if importlib.util.find_spec(_module.partition(".")[0]):
        _BUILDERS[_name] = partial(_framed, _module)

_AROUND_ANYTHING = frozenset(_BUILDERS) - {
    "raw", "torch_legacy", "zfile", "joblib", "npy", "stable_baselines", "torch's own", "joblib's own", "numpy's own",
}  # fmt: skip
