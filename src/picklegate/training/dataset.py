"""Labelled files -> the rows that the model is trained on: one a distinct event."""

from __future__ import annotations

import io
import random
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from picklegate import containers
from picklegate.judging import callables, features, novelty
from picklegate.judging.arguments import States, arguments_of, states_of
from picklegate.judging.callee_facts import using
from picklegate.judging.proofs import is_settled, keeps
from picklegate.pickles import Event, Global, Trace, canonical, trace
from picklegate.training import corpus, hiding, honest, hostile, hub_files
from picklegate.training.carriers import Sample

Description = tuple[float, ...]

LARGEST_CARRIER = 200_000
"""Bytes of the largest real stream that payloads are put into."""
CARRIER_STEP = 4
"""Of the real streams, every so many is a carrier."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One distinct event of a file.

    ``label`` is 1 for what does the harm and 0 for what honest files do; ``file`` names the
    file, ``group`` what must not be split (a project, a gadget's package), ``source`` where it is from.
    """

    file: str
    group: str
    source: str
    family: str
    known: str
    label: int
    description: Description


def traces(data: bytes) -> Iterator[Trace]:
    """Every stream of an artifact, nested ones included."""
    pending = [stream.trace for stream in containers.read(io.BytesIO(data)).streams]
    while pending:
        found = pending.pop()
        yield found
        pending.extend(inner for _, inner in found.nested)


_CALLEES = hiding.Hiding(hiding.in_training)


def _rows(events: Iterable[Event], template: Row, states: States) -> Iterator[Row]:
    seen: set[tuple[str, Description]] = set()
    for event in events:
        if event.reached or is_settled(event) or keeps(event):
            continue
        with using(_CALLEES):
            key = (features.callee(event), features.description(event, arguments_of(event, states)))
        if key not in seen:
            seen.add(key)
            yield replace(template, known=key[0], description=key[1])


def of_corpus(root: Path) -> Iterator[Row]:
    """The rows of the real files, in their groups; each file has at least one row."""
    manifest = corpus.read_manifest(root)
    for entry, group in zip(manifest, corpus.groups(manifest), strict=True):
        if entry.label in ("honest", "hostile"):
            yield from _of_file(entry.read(), str(entry.path.relative_to(root)), entry.label, group)


def of_folder(folder: Path, label: str) -> Iterator[Row]:
    """The rows of one's own files, ``label`` being ``"honest"`` or ``"hostile"``; each subfolder is a group."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        group, _, rest = path.relative_to(folder).as_posix().partition("/")
        yield from _of_file(path.read_bytes(), f"own {label} {group}/{rest}", label, f"own {group}")


def _of_file(data: bytes, name: str, label: str, group: object) -> Iterator[Row]:
    events = [event for one in traces(data) for event in one.events]
    hostile_file = label == "hostile"
    template = Row(
        file=name,
        group=f"{int(hostile_file)} {group}",
        source="corpus",
        family=label,
        known="",
        label=int(hostile_file),
        description=(),
    )
    made = list(_rows(harmful(events) if hostile_file else events, template, states_of(events)))
    yield from made or [template]


MOST_LIKE = 12
"""Distinct events of one callee that are taken of one group: more of the same project say little more."""


def thinned(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows, of honest groups at most MOST_LIKE with one callee."""
    seen: Counter[tuple[str, str]] = Counter()
    for row in rows:
        seen[row.group, row.known] += 1
        if row.label or seen[row.group, row.known] <= MOST_LIKE:
            yield row


MOST_SHAPES = 6
"""Files of one project whose shapes are looked at."""


def shapes(files: Iterable[tuple[str, bytes]]) -> Iterator[novelty.Shape]:
    """Of (project, content), the shape of each file's longest stream, of some files of each project."""
    seen: Counter[str] = Counter()
    for project, data in files:
        seen[project] += 1
        if seen[project] > MOST_SHAPES:
            continue
        longest = max(traces(data), key=lambda found: found.opcodes, default=None)
        if longest is not None and (shape := novelty.shape(longest)):
            yield shape


def written() -> Iterator[tuple[str, bytes]]:
    """(library and name, content) of the files that real libraries wrote (tools/corpus/make_honest.py)."""
    packed = resources.files("picklegate.training").joinpath("data", "written.tar.xz").read_bytes()
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:xz") as archive:
        for member in archive.getmembers():
            file = archive.extractfile(member)
            yield member.name, file.read() if file else b""


def of_libraries(root: Path) -> Iterator[Row]:
    """The rows of the honest files of libraries beside the corpus, a group for each library or habit."""
    for entry in corpus.read_libraries(root):
        name = f"libraries/{entry.group}/{entry.path.name}"
        yield from _of_file(entry.path.read_bytes(), name, "honest", f"library {entry.group}")


def of_written() -> Iterator[Row]:
    """The rows of the files that real libraries wrote, a group for each library."""
    for name, data in written():
        rows = _of_file(data, f"written/{name}", "honest", f"written {name.partition('/')[0]}")
        yield from (replace(row, source="written") for row in rows)


def harmful(events: list[Event]) -> list[Event]:
    """The events of a hostile file that may be what does the harm."""
    proven = [e for e in events if callables.executes(features.callee(e)) or e.unresolved]
    return proven or [e for e in events if e.kind == "call" and not callables.serialises(e.known)] or events


def of_hostile(count: int, seed: int, streams: list[bytes]) -> Iterator[Row]:
    """The rows of generated hostile samples; the group is the package of what is called."""
    draws = hostile.samples(
        random.Random(seed),
        count=count,
        gadgets=hostile.read_gadgets(),
        carriers=streams,
        containers=("raw",),
    )
    for number, sample in enumerate(draws):
        template = Row(
            file=f"hostile {seed} {number}",
            group=sample.package,
            source="generated",
            family=sample.family,
            known="",
            label=1,
            description=(),
        )
        events, states = payload(sample)
        yield from _rows(events, template, states)


def payload(sample: Sample) -> tuple[list[Event], States]:
    """The events of a generated hostile sample that do the harm, and the states that it writes.

    They are those that its gadget is called or handed with.
    """
    events: list[Event] = []
    everything: list[Event] = []
    for start, found in _streams(sample.data):
        inside = sample.start <= start < sample.end
        everything += found.events
        events.extend(e for e in found.events if inside or sample.start <= e.offset < sample.end)
        events.extend(event for _, inner in found.nested for event in inner.events)
    target = canonical(sample.module, sample.name)
    direct = [
        e for e in events if features.callee(e) == target or e.unresolved or any(g.known == target for g in _globals(e))
    ]
    chosen = direct or [e for e in events if e.kind == "state" or not callables.serialises(e.known)] or events
    return [event for event in chosen if telling(event)], states_of(everything)


def telling(event: Event) -> bool:
    """Whether the event shows anything of what it does: bytes handed to a stranger may be anybody's data."""
    known = features.callee(event)
    found = arguments_of(event)
    if not found.blobs or found.texts or found.globals or found.results or found.unresolved:
        return True
    if event.unresolved or callables.is_standard(known):
        return True
    shown = dict(zip(features.DESCRIPTION, features.description(event, found), strict=True))
    return any(shown[name] for name in ("nested_imports", "machine_code", "code_object", "code", "shell", "url"))


def _globals(event: Event) -> list[Global]:
    return arguments_of(event).globals


def _streams(data: bytes) -> Iterator[tuple[int, Trace]]:
    pos = 0
    while pos < len(data):
        found = trace(data, pos)
        yield pos, found
        if not found.stopped:
            return
        pos = found.end


def of_honest(count: int, seed: int) -> Iterator[Row]:
    """The rows of generated honest samples; each is a project of its own."""
    return _of_samples(honest.samples(random.Random(seed), count=count), f"honest {seed}")


def of_hub(root: Path, seed: int) -> Iterator[Row]:
    """The rows of files rebuilt from what pickles of the Hub import."""
    return _of_samples(hub_files.rebuild_hub(corpus.read_hub_imports(root), random.Random(seed)), "hub")


def _of_samples(samples: Iterable[Sample], name: str) -> Iterator[Row]:
    for number, sample in enumerate(samples):
        template = Row(file=f"{name} {number}", group=sample.package, source="generated" if name != "hub" else "hub",
                       family="honest", known="", label=0, description=())  # fmt: skip
        events = [event for one in traces(sample.data) for event in one.events]
        yield from _rows(events, template, states_of(events))
