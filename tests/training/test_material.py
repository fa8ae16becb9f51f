"""The material that the model learns from: the same from the same seed, readable, and what it says it is."""

from __future__ import annotations

import io
import pickle
import pickletools
import random
import zipfile
import zlib
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from pathlib import Path
from typing import Any

import pytest

from picklegate.judging import callables
from picklegate.judging.arguments import arguments_of, states_of
from picklegate.judging.text import inside
from picklegate.pickles import trace
from picklegate.training import carriers, corpus, hiding, honest, hostile, hub_files, indexed, wrapping
from picklegate.training.arguments import Arguments
from picklegate.training.assembler import assemble, assemble_value
from picklegate.training.families import FAMILIES
from picklegate.training.style import Style, random_style
from picklegate.training.tree import Build, Call, Extend, Fill, Marked, Name, New, PersistentId, Then
from samples.hostile import HONEST, HOSTILE
from samples.hostile_opcodes import OPCODE_TRICKS
from support import oracle
from support.builders import written

_PLAIN: tuple[Any, ...] = (
    None,
    [True, False, 0, 255, 256, 65536, -1, -129, 2**31, 2**70, -(2**40)],
    {"a": 1.5, "b": ("x", "y", "z", "w"), "c": [1, [2, [3, ()]]], "d": "é\n\\u0041\0"},
    list(range(2500)),
    {"long": "z" * 200_000, "short": ["z"] * 3},
)
_TREE = {
    "call": Call(Name("pkg.mod", "function"), ("text", 7, None)),
    "made": Build(New(Name("pkg.mod", "Class")), {"attribute": [1.5, "text"]}),
    "filled": Fill(Call(Name("collections", "OrderedDict")), (("k", 1), ("j", 2))),
    "extended": Extend(New(Name("pkg", "Sequence")), (1, 2)),
    "stored": PersistentId(("storage", Name("torch", "FloatStorage"), "0", "cpu", 4)),
    "dropped": Then(Call(Name("pkg", "dropped"), ("text",)), "kept"),
    "marked": Marked(Call(Name("pkg.mod", "function"), ("again",))),
}
_GADGETS = hostile.read_gadgets(indexed=False)
_CARRIERS = tuple(pickle.dumps({"weights": [1.5] * 20, "names": ["a", "b"]}, protocol) for protocol in range(6))


def _styles() -> list[Style]:
    rng = random.Random(11)
    fixed = [Style(protocol=protocol, memo=memo) for protocol in range(6) for memo in ("all", "used", "none")]
    return fixed + [random_style(rng) for _ in range(60)]


def _asked(streams: list[bytes]) -> list[set[tuple[str, str]]]:
    """What the C unpickler asks for, by the names of Python 3."""
    found = []
    for asked, _ in oracle.ask(streams):
        pairs = (
            NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name)) for module, name, _ in asked
        )
        found.append(set(pairs))
    return found


def _stream(sample: carriers.Sample) -> bytes:
    """The pickle stream of a sample, out of its container."""
    if sample.container == "torch_zip":
        with zipfile.ZipFile(io.BytesIO(sample.data)) as archive:
            return archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))
    return zlib.decompress(sample.data) if sample.container == "joblib_zlib" else sample.data


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("value", _PLAIN, ids=["none", "numbers", "containers", "long-list", "long-text"])
def test_plain_values_are_written_as_cpython_writes_them(value: Any, protocol: int) -> None:
    """The bytes are those of CPython's own pickler."""
    expected = pickle._dumps(value, protocol)  # type: ignore[attr-defined]
    assert assemble(value, Style(protocol=protocol)).data == expected


@pytest.mark.parametrize("seed", range(8))
def test_wild_styles_keep_the_value(seed: int) -> None:
    """Whatever opcodes are chosen, plain values load as themselves."""
    rng = random.Random(seed)
    for value in _PLAIN:
        assert pickle.loads(assemble(value, random_style(rng), rng).data) == value


def test_every_style_asks_for_the_same_globals() -> None:
    """The hand in which a tree is written changes nothing in what the loader is asked for."""
    streams = [assemble(_TREE, style, random.Random(3)).data for style in _styles()]
    helpers = {("copyreg", "_reconstructor"), ("builtins", "object")}
    for asked in _asked(streams):
        assert asked - helpers == {
            ("pkg.mod", "function"),
            ("pkg.mod", "Class"),
            ("collections", "OrderedDict"),
            ("pkg", "Sequence"),
            ("torch", "FloatStorage"),
            ("pkg", "dropped"),
        }


def test_marks_bound_their_opcodes() -> None:
    """A mark begins and ends at an opcode, and holds the marked call."""
    for style in _styles():
        made = assemble(_TREE, style, random.Random(5))
        places = {place for _, _, place in pickletools.genops(made.data)}
        ((start, end),) = made.marks
        assert {start, end} <= places
        assert b"again" in made.data[start:end]


@pytest.mark.parametrize("place", ["prepend", "append", "middle", "wrap"])
def test_injection_keeps_the_carrier(place: str) -> None:
    """An injected stream asks for what the carrier and the payload ask for, and loads to its end."""
    rng = random.Random(1)
    payload = Call(Name("pkg", "payload"), ("text",))
    streams = []
    for carrier in filter(None, map(carriers.Carrier.parse, _CARRIERS)):
        for _ in range(10):
            opcodes = assemble_value(payload, Style(memo="none", protocol=rng.randrange(6)), rng)
            stream, start = carrier.inject(opcodes, place, rng)
            assert stream[start : start + len(opcodes)] == opcodes
            *_, (last, _, at) = pickletools.genops(stream)
            assert last.name == "STOP"
            assert at == len(stream) - 1
            streams.append(stream)
    assert all(("pkg", "payload") in asked for asked in _asked(streams))


def test_hostile_samples_are_the_same_from_the_same_seed() -> None:
    """Two runs give the same bytes; another seed gives others."""
    first, second, other = (
        [
            sample.data
            for sample in hostile.samples(random.Random(seed), count=200, gadgets=_GADGETS, carriers=_CARRIERS)
        ]
        for seed in (4, 4, 5)
    )
    assert first == second
    assert first != other


@pytest.mark.parametrize("family", FAMILIES)
def test_hostile_streams_disassemble(family: str) -> None:
    """Every built stream is one that pickletools reads, with the payload where the sample says."""
    for sample in hostile.samples(random.Random(6), count=60, gadgets=_GADGETS, carriers=_CARRIERS, families=[family]):
        assert sample.family == family
        if sample.container in {"npy", "torch_legacy"}:
            continue
        stream = _stream(sample)
        first = sample.start if sample.carrier == "after" else 0
        ops = [(opcode.name, (place or 0) + first) for opcode, _, place in pickletools.genops(stream[first:])]
        assert ops[-1][0] == "STOP"
        assert 0 <= sample.start < sample.end <= len(stream)
        if sample.carrier != "after":
            assert sample.start in {place for _, place in ops}


def test_every_gadget_has_arguments() -> None:
    """Each kind that the tables name can be drawn."""
    arguments = Arguments(random.Random(2))
    for gadget in hostile.read_gadgets():
        for kinds in gadget.arguments:
            assert len(arguments.values(kinds, gadget.callee)) == len(kinds.split())


def test_honest_samples_are_the_same_from_the_same_seed() -> None:
    """Two runs give the same bytes, all readable."""
    first = [sample.data for sample in honest.samples(random.Random(8), count=150)]
    assert first == [sample.data for sample in honest.samples(random.Random(8), count=150)]
    for sample in honest.samples(random.Random(9), count=150):
        if sample.container in {"raw", "torch_zip", "joblib_zlib"}:
            assert sum(1 for _ in pickletools.genops(_stream(sample)))


def test_hub_pickles_are_rebuilt_from_their_imports() -> None:
    """A rebuilt pickle imports the classes of its row."""
    row = corpus.HubRow(
        repo="org/name", file="x.bin", imports=(("pkg.models", "Net"), ("torch", "device")), persistent=True
    )
    samples = list(hub_files.rebuild_hub([row] * 6, random.Random(1)))
    asked = _asked([_stream(sample) for sample in samples if sample.container in {"raw", "torch_zip", "joblib_zlib"}])
    assert asked
    assert all({("pkg.models", "Net"), ("torch", "device")} <= pairs for pairs in asked)


def test_named_samples_have_names_of_their_own() -> None:
    """An id names one sample, hostile or honest."""
    names = [row.id for row in HOSTILE] + [row.id for row in HONEST]
    assert len(names) == len(set(names))


def test_opcode_tricks_are_live() -> None:
    """A real unpickler asks for what the row says it does, unless only other versions or loaders do."""
    elsewhere = {"two-stops", "third-stream", "frame-too-short"}
    tricks = [row for row in OPCODE_TRICKS if row.seen is not None and row.id not in elsewhere]
    for row, answers in zip(tricks, oracle.ask([row.data for row in tricks]), strict=True):
        assert any(row.seen == (module, name) for asked in answers for module, name, _ in asked), row.id


def test_gadgets_of_the_index_are_many_and_always_the_same() -> None:
    """At least 300 callables of at least 20 packages, none of the standard library, each deciding by an argument."""
    found = indexed.rows()
    assert len({(row[0], row[1]) for row in found}) >= 300
    assert len({row[2] for row in found}) >= 20
    assert not any(callables.is_standard(row[2]) for row in found)
    indexed.rows.cache_clear()
    assert indexed.rows() == found


def test_a_hidden_package_is_unknown() -> None:
    """What the index knows of a hidden package does not count, of others it does."""
    callees = hiding.Hiding(lambda package: package == "pandas")
    assert callees.find("pandas.io.pickle", "read_pickle").known == "no"
    assert callees.find("pickle", "loads").known == "index"


@pytest.mark.parametrize("seed", range(20))
def test_a_wrapped_text_is_still_that_text(seed: int) -> None:
    """Each wrapping of training gives the callee the text: the gate finds it among the arguments."""
    draw = random.Random(seed)
    tree = Call(Name("package.tools", "run"), wrapping.wrapped(("import os; os.system(1)",) * 8, draw))
    found = trace(written(tree))
    held = arguments_of(found.events[-1], states_of(found.events))
    texts = {*held.texts, *held.wrapped, *held.direct, *(text for raw in held.blobs for text in inside(raw))}
    assert any("os.system(1)" in text for text in texts)


def test_groups_keep_projects_and_twins_together(tmp_path: Path) -> None:
    """Honest projects that share a twin are one group; hostile files are grouped by family alone."""
    lines = ["path,label,project,origin,inner_path,sha256,size,container,near_dup,storages_emptied,hard_negative,note"]
    table = [("honest", "a", "1"), ("honest", "b", "1"), ("honest", "b", "2"), ("honest", "c", "3")]
    table += [("hostile", "d", "4"), ("hostile", "d", "5"), ("hostile", "e", "5")]
    lines += [
        f"x/{at},{label},{project},o,i,s{at},1,raw,{twin},0,1," for at, (label, project, twin) in enumerate(table)
    ]
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    manifest = corpus.read_manifest(tmp_path)
    one, two, three, four, five, six, seven = corpus.groups(manifest)
    assert one == two == three != four
    assert five != six == seven
    assert manifest[0].hard_negative


def test_absent_corpus_is_one_sentence(tmp_path: Path) -> None:
    """A folder without a corpus is named, with what is missing."""
    with pytest.raises(FileNotFoundError, match=r"no corpus at .*manifest.csv"):
        corpus.read_manifest(tmp_path)
