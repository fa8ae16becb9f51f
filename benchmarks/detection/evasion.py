"""One harmful call written in many ways: every protocol, memo, container, encoding, and broken streams."""

from __future__ import annotations

import gzip
import io
import random
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.common.tables import share, table
from benchmarks.detection.files import Item
from picklegate.training import fit, hostile
from picklegate.training.arguments import Arguments
from picklegate.training.assembler import assemble
from picklegate.training.carriers import contain
from picklegate.training.families import FAMILIES
from picklegate.training.style import Style
from picklegate.training.tree import Call, Name, Tree

if TYPE_CHECKING:
    from benchmarks.detection.files import Outcome

FAMILIES_WRITTEN = ("plain", "known", "beside", "state")
"""Ways of calling that are written anew."""
PLAIN = "protocol 4"
"""The writing that the others are held against."""

Writing = Callable[[Tree, random.Random], bytes]


def _styled(**settings: Any) -> Writing:
    return lambda tree, rng: assemble(tree, Style(**settings), rng).data


def _contained(container: str) -> Writing:
    return lambda tree, rng: contain(assemble(tree, Style(), rng).data, container, rng)[0]


def _loaded(module: str, name: str) -> Writing:
    return lambda tree, rng: assemble(Call(Name(module, name), (assemble(tree, Style(), rng).data,)), Style(), rng).data


def _changed(change: Callable[[bytes], bytes]) -> Writing:
    return lambda tree, rng: change(assemble(tree, Style(), rng).data)


def _split(tree: Tree, rng: random.Random) -> bytes:
    return assemble(_halved(tree), Style(), rng).data


def _halved(tree: Tree) -> Tree:
    """The tree, each text among a call's arguments computed from its halves."""
    if not isinstance(tree, Call) or not isinstance(tree.args, tuple):
        return tree
    add = Name("_operator", "add")
    args = tuple(
        Call(add, (value[: len(value) // 2], value[len(value) // 2 :])) if isinstance(value, str) else _halved(value)
        for value in tree.args
    )
    return Call(tree.callee, args)


def _zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("notes/readme.txt", data)
    return out.getvalue()


def _other_checksum(data: bytes) -> bytes:
    """A zip whose checksums are wrong, on which strict readers stop."""
    packed = bytearray(_zipped(data))
    for mark, place in ((b"PK\x01\x02", 16), (b"PK\x03\x04", 14)):
        packed[packed.index(mark) + place] ^= 0xFF
    return bytes(packed)


WRITINGS: Mapping[str, Writing] = {
    **{f"protocol {protocol}": _styled(protocol=protocol) for protocol in (4, 0, 1, 2, 3, 5)},
    "no memo": _styled(memo="none"),
    "no header, no frame": _styled(header=False, frame=False),
    "other opcodes of the same meaning": _styled(name="wild", wild=0.9, frame=False),
    "values pushed and popped between": _styled(name="wild", junk=0.5, frame=False),
    "texts computed from halves": _split,
    "nested in pickle.loads": _loaded("pickle", "loads"),
    "nested in _pickle.loads": _loaded("_pickle", "loads"),
    "torch zip": _contained("torch_zip"),
    "torch, old format": _contained("torch_legacy"),
    "array of objects": _contained("npy"),
    "joblib, compressed": _contained("joblib_zlib"),
    "gzip": _changed(gzip.compress),
    "zip, as a text file": _changed(_zipped),
    "zip with wrong checksums": _changed(_other_checksum),
    "no STOP": _changed(lambda data: data[:-1]),
    "unknown opcode behind the call": _changed(lambda data: data[:-1] + b"\xff."),
    "empty stack behind the call": _changed(lambda data: data[:-1] + b"00000R."),
    "bytes behind STOP": _changed(lambda data: data + b"\x00\xff" * 40),
}


def items(count: int, seed: int) -> Iterator[Item]:
    """``count`` payloads, each in every writing; ``family`` tells which."""
    rng = random.Random(seed)
    gadgets = hostile.read_gadgets()
    for number in range(count):
        gadget = rng.choice(gadgets)
        payload = FAMILIES[FAMILIES_WRITTEN[number % len(FAMILIES_WRITTEN)]].make(gadget, Arguments(rng), rng)
        for title, write in WRITINGS.items():
            yield Item(
                name=f"written-{number}.pkl",
                label="hostile",
                unit=f"{payload.module}.{payload.name}",
                fold=fit.fold_of(payload.package),
                container="raw",
                family=title,
                package=payload.package,
                data=write(payload.tree, rng),
            )


def report(found: Sequence[Outcome]) -> str:
    """The table: what the model and the gate block of each writing, and what of it was blocked in the plain one."""
    plain = {result.item.name: result for result in found if result.item.family == PLAIN}
    lines = []
    for title in WRITINGS:
        chosen = [result for result in found if result.item.family == title]
        lost = sum(plain[result.item.name].gate and not result.gate for result in chosen)
        model = share(sum(result.model for result in chosen), len(chosen))
        lines.append((title, model, share(sum(result.gate for result in chosen), len(chosen)), str(lost)))
    return table(("writing", "model alone blocks", "gate blocks", "lost to the gate"), lines)
