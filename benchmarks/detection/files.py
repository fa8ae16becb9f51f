"""Files under test, and what the gate, the model alone and the two-line rule say of each."""

from __future__ import annotations

import hashlib
import io
import os
import pickletools
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.detection.folds import Fold, Judge
from picklegate.judging import features, vocabulary
from picklegate.judging.arguments import arguments_of
from picklegate.judging.callee_facts import using
from picklegate.pickles import Buffer, Event, Trace
from picklegate.policy import Policy
from picklegate.report import FileReport, Verdict
from picklegate.scan import scan_traces
from picklegate.training import corpus, dataset, fit, honest, hostile
from picklegate.training.carriers import Sample
from picklegate.training.hiding import Hiding

FRAMEWORKS = (
    *("sklearn", "xgboost", "lightgbm", "catboost", "fastai", "spacy", "nltk", "gensim", "stable_baselines3"),
    *("transformers", "ultralytics", "keras", "tensorflow", "torch", "statsmodels", "dill", "cloudpickle"),
    *("pandas", "scipy", "joblib", "numpy"),
)
"""What a honest file is counted under: the first of these that it imports from."""

_SUFFIX = {"torch_zip": ".pt", "torch_legacy": ".pt", "npy": ".npy", "joblib_zlib": ".joblib"}
_DANGEROUS = tuple(features.DESCRIPTION.index(name) for name in ("code", "shell", "url"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One file under test; ``unit`` is what counts once beside it: a project, a family of twins, a gadget.

    Its bytes are ``data``, or those at ``path``; ``kinds`` are the kinds of a generated payload's arguments. The
    top-level package ``hidden`` is not in the index while the file is judged.
    """

    name: str
    label: str
    unit: str
    fold: int
    container: str
    family: str = ""
    package: str = ""
    kinds: str = ""
    data: bytes = b""
    path: str = ""
    hidden: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What was said of one file.

    ``model`` holds where any score reaches its threshold, ``gate`` where the gate blocks; ``unread`` says that
    something could not be read, ``unjudged`` that the gate blocks for that alone. ``rule`` is the two-line rule.
    ``shape`` stands for the distinct calls, ``reason`` is the worst finding, ``opcodes`` are counts.
    """

    item: Item
    verdict: str
    score: float
    model: bool
    gate: bool
    unread: bool
    unjudged: bool
    rule: bool
    shape: str
    framework: str
    reason: str
    opcodes: dict[str, int]


def of_corpus(root: Path) -> Iterator[Item]:
    """The real files, in the folds that training puts their groups in."""
    manifest = corpus.read_manifest(root)
    for entry, group in zip(manifest, corpus.groups(manifest), strict=True):
        honest = entry.label == "honest"
        yield Item(
            name=str(entry.path.relative_to(root)),
            label=entry.label,
            unit=entry.project if honest else entry.near_dup or entry.sha256,
            fold=fit.fold_of(f"{0 if honest else 1} {group}"),
            container=entry.container,
            path=str(entry.path),
        )


def of_written() -> Iterator[Item]:
    """The files that real libraries wrote, in the folds that training puts each library in."""
    for name, data in dataset.written():
        library = name.partition("/")[0]
        yield Item(
            name=name,
            label="honest",
            unit=library,
            fold=fit.fold_of(f"0 written {library}"),
            container=Path(name).suffix,
            data=data,
        )


def of_libraries(root: Path) -> Iterator[Item]:
    """The honest files of libraries beside the corpus, in the folds that training puts each library in."""
    for entry in corpus.read_libraries(root):
        yield Item(
            name=f"{entry.group}/{entry.path.name}",
            label="honest",
            unit=entry.group,
            fold=fit.fold_of(f"0 library {entry.group}"),
            container=entry.path.suffix,
            path=str(entry.path),
        )


def held_out(items: Iterable[Item]) -> list[Item]:
    """The same files, judged without the index of their packages."""
    return [replace(item, hidden=item.package, name=f"held-out {item.name}") for item in items]


def of_generated(samples: Iterable[Sample], name: str) -> Iterator[Item]:
    """Generated samples, each in the fold of its package."""
    for number, sample in enumerate(samples):
        yield Item(
            name=f"{name}-{number}{_SUFFIX.get(sample.container, '.pkl')}",
            label=sample.label,
            unit=f"{sample.module}.{sample.name}",
            fold=fit.fold_of(sample.package),
            container=sample.container,
            family=sample.family,
            package=sample.package,
            kinds=sample.arguments,
            data=sample.data,
        )


def hostile_items(count: int, seed: int, carriers: Sequence[bytes], families: Sequence[str] = ()) -> list[Item]:
    """Generated hostile files that training has not drawn."""
    draws = hostile.samples(
        random.Random(seed), count=count, gadgets=hostile.read_gadgets(), carriers=carriers, families=families
    )
    return list(of_generated(draws, "-".join(("hostile", *families))))


def honest_items(count: int, seed: int) -> list[Item]:
    """Generated honest files that training has not drawn."""
    return list(of_generated(honest.samples(random.Random(seed), count=count), "honest"))


def outcomes(items: Sequence[Item], folds: Sequence[Fold], processes: int) -> list[Outcome]:
    """Judge each file by its own fold."""
    with ProcessPoolExecutor(processes, initializer=_prepare, initargs=(tuple(folds),)) as pool:
        return list(pool.map(_judge, items, chunksize=8))


_judges: list[Judge] = []


def _prepare(folds: Sequence[Fold]) -> None:
    os.nice(10)
    _judges[:] = [Judge.of(fold) for fold in folds]


def _judge(item: Item) -> Outcome:
    return judged(item, _judges[item.fold])


def judged(item: Item, judge: Judge) -> Outcome:
    """Scan one file under the fold's model, and look at what the gate itself has traced."""
    data = item.data or Path(item.path).read_bytes()
    with (
        judge.presiding(),
        using(Hiding(lambda package: package == item.hidden)) if item.hidden else nullcontext(),
    ):
        report, traces = scan_traces(io.BytesIO(data), name=item.name, policy=_POLICY)
    events = [event for found in traces for event in found.events if not event.reached]
    worst = report.reasons[0] if report.reasons else None
    verdicts = {finding.verdict for finding in report.reasons}
    return Outcome(
        item=item if item.path else _without_data(item),
        verdict=report.verdict.name,
        score=report.score,
        model=report.score >= judge.classifier.review,
        gate=_POLICY.blocks(report),
        unread=Verdict.UNSCANNABLE in verdicts,
        unjudged=report.verdict == Verdict.UNSCANNABLE and Verdict.SUSPICIOUS not in verdicts,
        rule=any(breaks_rule(event, judge.vocabulary) for event in events),
        shape=shape(events),
        framework=framework(report),
        reason=f"{worst.code}: {worst.message}"[:300] if worst else "",
        opcodes=dict(sum((opcode_counts(found.data, found) for found in traces), Counter())),
    )


_POLICY = Policy()


def _without_data(item: Item) -> Item:
    return Item(**{name: getattr(item, name) for name in Item.__slots__ if name != "data"})


def breaks_rule(event: Event, names: vocabulary.Vocabulary) -> bool:
    """The two-line rule: a dangerous-looking string goes to a callee that takes none in any honest project."""
    if names.text_callees.get(features.callee(event)):
        return False
    described = features.description(event, arguments_of(event))
    return any(described[index] for index in _DANGEROUS)


def shape(events: Iterable[Event]) -> str:
    """A digest of the distinct calls of a file: opcode, callee, and kinds of arguments."""
    calls = {
        (event.opcode, features.callee(event), *(type(value).__name__ for value in (*event.args, *event.kwargs[1::2])))
        for event in events
    }
    return hashlib.sha256(repr(sorted(calls)).encode("utf-8", "backslashreplace")).hexdigest()[:16]


def framework(report: FileReport) -> str:
    """The framework that a file belongs to, by what it imports."""
    roots = {module.partition(".")[0] for stream in report.streams for module, _ in stream.imports}
    return next((name for name in FRAMEWORKS if name in roots), "other imports" if roots else "no imports")


def opcode_counts(stream: Buffer, found: Trace) -> Counter[str]:
    """How often each opcode occurs in a stream, as far as pickletools reads it."""
    counts: Counter[str] = Counter()
    try:
        for opcode, _, _ in pickletools.genops(bytes(stream[found.start : found.end])):
            counts[opcode.name] += 1
    except Exception:  # noqa: BLE001  it raises many kinds for what it cannot read
        return counts
    return counts
