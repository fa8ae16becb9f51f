"""Outcomes -> the detection part of docs/results.md."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from benchmarks.common.tables import Test, f1, files, share, table, units
from picklegate.training import hostile
from picklegate.training.families import FAMILIES

if TYPE_CHECKING:
    from benchmarks.detection.files import Outcome

TESTS: tuple[tuple[str, Test], ...] = (
    ("model alone", lambda result: result.model),
    ("whole gate", lambda result: result.gate),
    ("two-line rule", lambda result: result.rule),
)
_NEAR = 10

_INTRODUCTION = """\
Seed {seed}. Every figure is out of fold: the model that judges a file has seen neither its group (project, family of
near-twins, gadget's package) nor the names that this group brings in, and no score of the file's fold set its
thresholds. Shares come with Wilson's 95 % interval.

*Model alone* blocks where a score reaches its threshold; the *gate* also where a proof or a fault says so. A project
counts as blocked if any of its files is; a family of near-twins, a gadget or a shape (the set of a file's calls) as
caught only if all of its files are. The *two-line rule* blocks a string that looks like code, a command or an address
where it is handed to a callable that takes no strings in any honest project of the other folds."""


def report(
    *,
    real: Sequence[Outcome],
    generated: Sequence[Outcome],
    overwriting: Sequence[Outcome],
    written: Sequence[Outcome],
    injected: str,
    evaded: str,
    beside: str,
    baselines: str,
    seed: int,
) -> str:
    """Every table of the page."""
    honest, bad, between = (_labelled(real, label) for label in ("honest", "hostile", "suspicious"))
    made = _labelled(generated, "hostile")
    plain = _labelled(generated, "honest")
    beside = f"## Beside other scanners\n\n{beside}" if beside else ""
    parts = (
        _INTRODUCTION.format(seed=seed),
        beside,
        "## Real files",
        _real(honest, bad),
        "### Honest files that are blocked",
        listed(honest, lambda result: result.gate or result.model),
        "### Honest files that pass most narrowly",
        _nearest(honest),
        "### Hostile files that pass",
        listed(bad, lambda result: not result.gate or not result.model),
        "### Files that are neither",
        _verdicts(between),
        "## Real honest files by framework and container",
        _groups(honest, lambda result: result.framework, "framework"),
        _groups(honest, lambda result: result.item.container, "container"),
        "### joblib files",
        _joblib([*honest, *bad], made),
        "## Honest files that widely used libraries write",
        _WRITTEN,
        _groups(written, lambda result: result.item.unit, "library"),
        listed(written, lambda result: result.gate or result.model),
        "## Gadgets of packages that no training saw",
        families(made),
        "Generated honest files, at the same thresholds:",
        table(("blocked by", "generated honest files"), [(name, files(plain, test)) for name, test in TESTS]),
        "### What passes, by the kinds of arguments",
        missed(made),
        "## A well-known callable, overwritten and given code",
        overwriting_table(overwriting),
        "## Injection and padding",
        injected,
        "## One call, written in many ways",
        evaded,
        "## The paper's models on opcode frequencies",
        baselines,
    )
    return "\n\n".join(part for part in parts if part)


_WRITTEN = """\
Checkpoints, arguments, whole modules and fitted models, written by the libraries or made to their names and
states where they cannot be installed (`tools/corpus/make_honest.py`). No model that judges a library's files was
trained on any of them."""


def _joblib(real: Sequence[Outcome], made: Sequence[Outcome]) -> str:
    """Files in joblib's own format, by label, source and compression."""
    groups: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for source, found in (("real", real), ("generated", made)):
        for result in found:
            if result.item.container.startswith("joblib"):
                honest = "honest" if result.item.label == "honest" else "hostile"
                groups[f"{source}, {honest}", result.item.container].append(result)
    lines = [
        (title, container, *(files(group, test) for _, test in TESTS[:2]), str(sum(found.unread for found in group)))
        for (title, container), group in sorted(groups.items())
    ]
    return table(("files", "container", "model alone blocks", "gate blocks", "not read to the end"), lines)


def _labelled(found: Sequence[Outcome], label: str) -> list[Outcome]:
    return [result for result in found if result.item.label == label]


def _unit(result: Outcome) -> str:
    return result.item.unit


def _shape(result: Outcome) -> str:
    return result.shape


def _real(honest: Sequence[Outcome], bad: Sequence[Outcome]) -> str:
    caught = table(
        ("hostile files blocked", "files", "families of near-twins", "distinct shapes", "F1"),
        [
            (
                name,
                files(bad, test),
                units(bad, test, _unit, whole=True),
                units(bad, test, _shape, whole=True),
                f1(bad, honest, test),
            )
            for name, test in TESTS
        ],
    )
    alarms = table(
        ("honest files blocked", "files", "projects", "distinct shapes"),
        [
            (
                name,
                files(honest, test),
                units(honest, test, _unit, whole=False),
                units(honest, test, _shape, whole=False),
            )
            for name, test in TESTS
        ],
    )
    unread = table(
        ("not read to the end", "hostile files", "honest files"),
        [
            ("a part could not be read", *(files(group, lambda result: result.unread) for group in (bad, honest))),
            (
                "and the gate blocks for that alone",
                *(files(group, lambda result: result.unjudged) for group in (bad, honest)),
            ),
        ],
    )
    return f"{caught}\n\n{alarms}\n\n{unread}"


def listed(found: Sequence[Outcome], test: Test) -> str:
    """The files for which a test holds."""
    lines = [
        (result.item.name, result.item.unit, _who(result), f"{result.score:.3f}", _code(result.reason))
        for result in sorted(found, key=lambda result: result.item.name)
        if test(result)
    ]
    return table(("file", "project or family", "blocked by", "score", "worst finding"), lines) if lines else "None."


def _who(result: Outcome) -> str:
    if result.gate and result.model:
        return "both"
    return "the gate" if result.gate else "the model" if result.model else "neither"


def _nearest(honest: Sequence[Outcome]) -> str:
    best: dict[str, Outcome] = {}
    for result in sorted(honest, key=lambda result: -result.score):
        if not (result.gate or result.model):
            best.setdefault(result.item.unit, result)
    lines = [(result.item.unit, result.item.name, f"{result.score:.3f}") for result in list(best.values())[:_NEAR]]
    return table(("project", "its highest file", "score"), lines)


def _verdicts(found: Sequence[Outcome]) -> str:
    counts = Counter(result.verdict for result in found)
    return (
        "Dangerous names pushed but not called, inert canaries, broken attempts, resource bombs; in no training: "
        + ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
        + "."
    )


def _groups(honest: Sequence[Outcome], key: Callable[[Outcome], str], title: str) -> str:
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for result in honest:
        groups[key(result)].append(result)
    lines = [
        (
            name,
            str(len(group)),
            str(len({result.item.unit for result in group})),
            str(sum(result.model for result in group)),
            str(sum(result.gate for result in group)),
            str(sum(result.unjudged for result in group)),
        )
        for name, group in sorted(groups.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    ]
    return table((title, "files", "projects", "model alone blocks", "gate blocks", "of which unread"), lines)


def families(made: Sequence[Outcome]) -> str:
    """Shares of generated hostile files that are blocked, by family."""
    curated = {gadget.callee.module + "." + gadget.callee.name for gadget in hostile.read_gadgets(indexed=False)}
    # A state write does its harm by what is written, not by what is called.
    handed = [result for result in made if result.item.kinds or result.item.family == "state"]
    groups = [(family, [result for result in handed if result.item.family == family]) for family in FAMILIES]
    named = [result for result in handed if result.item.family in ("plain", "reflective", "nested")]
    groups += [
        ("all with arguments", handed),
        ("called with no argument", [result for result in made if result not in handed]),
        ("curated gadgets: plain, reflective, nested", [r for r in named if r.item.unit in curated]),
        ("gadgets of the index: plain, reflective, nested", [r for r in named if r.item.unit not in curated]),
    ]
    lines = [
        (
            name,
            *(files(group, test) for _, test in TESTS),
            units(group, TESTS[1][1], _unit, whole=True),
            units(group, TESTS[1][1], lambda result: result.item.package, whole=True),
        )
        for name, group in groups
    ]
    return table(("family", *(name for name, _ in TESTS), "gadgets, gate", "packages, gate"), lines)


def missed(made: Sequence[Outcome]) -> str:
    """What passes, by family and kinds of arguments."""
    groups: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for result in made:
        groups[result.item.family, result.item.kinds or "none"].append(result)
    passing = {key: [result for result in group if not result.gate] for key, group in groups.items()}
    worst = sorted(passing, key=lambda key: (-len(passing[key]), key))[:20]
    lines = [
        (
            family,
            kinds,
            share(len(passing[family, kinds]), len(groups[family, kinds])),
            ", ".join(sorted({result.item.unit for result in passing[family, kinds]})[:4]),
        )
        for family, kinds in worst
        if passing[family, kinds]
    ]
    return table(("family", "arguments", "pass the gate", "such as"), lines)


def overwriting_table(found: Sequence[Outcome]) -> str:
    """Shares of overwritten callables that are blocked, by what they are given."""
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for result in found:
        groups[result.item.kinds].append(result)
    lines = [
        (kind, *(files(group, test) for _, test in TESTS), units(group, TESTS[1][1], _unit, whole=True))
        for kind, group in [*sorted(groups.items()), ("all", list(found))]
    ]
    return table(("given", *(name for name, _ in TESTS), "callables, gate"), lines)


def _code(text: str) -> str:
    """The text as Markdown code, whatever is in it."""
    return "`" + "".join(char if char.isprintable() and char != "`" else "?" for char in text) + "`" if text else ""
