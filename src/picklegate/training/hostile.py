"""Hostile samples: gadget x call style x carrier x protocol x hand, all drawn from one seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from picklegate.training import indexed as indexed_gadgets
from picklegate.training.arguments import Arguments
from picklegate.training.assembler import assemble, assemble_value
from picklegate.training.carriers import CONTAINERS, PLACES, Carrier, Sample, contain
from picklegate.training.families import FAMILIES, Payload
from picklegate.training.honest import Honest
from picklegate.training.lists import rows
from picklegate.training.style import Style, random_style
from picklegate.training.tree import Marked, Name, Then, Tree

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Sequence

_STREAM_PLACES = {"before", "after"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Gadget:
    """A callable whose call does harm, and the kinds of arguments with which it does.

    ``arguments`` are alternatives, each the kinds of the positional arguments; ``source`` is
    ``"curated"`` or ``"indexed"``.
    """

    module: str
    name: str
    package: str
    effect: str
    arguments: tuple[str, ...]
    source: str = "curated"

    @property
    def callee(self) -> Name:
        """The import that reaches it."""
        return Name(self.module, self.name)


def read_gadgets(*, indexed: bool = True) -> tuple[Gadget, ...]:
    """Read the curated gadgets and, unless told otherwise, those that the index of capabilities knows.

    Callables that import the module that they are given are left out: a bare word handed to a stranger is what honest
    enums look like too.
    """
    curated = tuple(
        Gadget(
            module=row["module"],
            name=row["name"],
            package=row["package"],
            effect=row["effect"],
            arguments=tuple((row["arguments"] or "").split("|")),
        )
        for row in rows("gadgets.tsv")
    )
    known = {(gadget.module, gadget.name) for gadget in curated}
    listed = () if not indexed else indexed_gadgets.rows()
    return curated + tuple(
        Gadget(module=module, name=name, package=package, effect=effect, arguments=(kinds,), source="indexed")
        for module, name, package, effect, kinds in listed
        if (module, name) not in known and "module" not in kinds.split()
    )


def samples(
    rng: random.Random,
    *,
    count: int,
    gadgets: Sequence[Gadget],
    carriers: Sequence[bytes] = (),
    families: Sequence[str] = (),
    containers: Sequence[str] = CONTAINERS,
) -> Iterator[Sample]:
    """Draw ``count`` hostile samples; the same seed and the same inputs give the same bytes.

    ``carriers`` are real honest streams (raw pickles, each one stream) that payloads are put into; those that
    pickletools cannot cut are left out. ``families`` restricts the call styles (all of ``FAMILIES`` otherwise);
    ``containers`` are drawn from as often as each is named.
    """
    parsed = [carrier for carrier in map(Carrier.parse, carriers) if carrier is not None]
    chosen = tuple(families) or tuple(FAMILIES)
    weights = [FAMILIES[family].weight for family in chosen]
    packages: dict[tuple[str, str], list[Gadget]] = {}
    for gadget in gadgets:
        packages.setdefault((gadget.source, gadget.package), []).append(gadget)
    keys = sorted(packages)
    # Half curated, half of the index; by less than its size, or the largest package would be most of what is learnt.
    sizes = {key: len(packages[key]) ** 0.75 for key in keys}
    totals = {source: sum(size for key, size in sizes.items() if key[0] == source) for source, _ in keys}
    shares = [sizes[key] / totals[key[0]] for key in keys]
    for _ in range(count):
        family = rng.choices(chosen, weights)[0]
        gadget = rng.choice(packages[rng.choices(keys, shares)[0]])
        payload = FAMILIES[family].make(gadget, Arguments(rng), rng)
        yield _sample(family, payload, parsed, containers, rng)


def _sample(
    family: str, payload: Payload, carriers: Sequence[Carrier], containers: Sequence[str], rng: random.Random
) -> Sample:
    draw = rng.random()
    style = random_style(rng)
    if draw < 0.4 or (draw >= 0.65 and not carriers):
        place = "alone"
        made = assemble(Marked(payload.tree), style, rng)
        stream, (start, end) = made.data, made.marks[0]
    elif draw < 0.65:
        place = rng.choice(("dict", "list", "tensor", "first", "attribute"))
        made = assemble(_among(payload.tree, place, rng), style, rng)
        stream, (start, end) = made.data, made.marks[0]
    else:
        carrier = rng.choice(carriers)
        place = rng.choice(PLACES)
        if place in _STREAM_PLACES:
            made = assemble(Marked(payload.tree), style, rng)
            real = carrier.stream()
            base = len(real) if place == "after" else 0
            stream = real + made.data if place == "after" else made.data + real
            start, end = (base + mark for mark in made.marks[0])
        else:
            style = Style(name="injector", protocol=style.protocol, memo="none", wild=style.wild)
            opcodes = assemble_value(payload.tree, style, rng)
            stream, start = carrier.inject(opcodes, place, rng)
            end = start + len(opcodes)
    container = rng.choice(containers)
    data, moved = contain(stream, container, rng)
    return Sample(
        data=data,
        label="hostile",
        family=family,
        module=payload.module,
        name=payload.name,
        package=payload.package,
        effect=payload.effect,
        arguments=payload.arguments,
        carrier=place,
        container=container,
        protocol=style.protocol,
        style=style.name,
        start=start + moved,
        end=end + moved,
    )


def _among(payload: Tree, place: str, rng: random.Random) -> Tree:
    """The payload inside a checkpoint as programs save them."""
    marked = Marked(payload)
    honest = Honest(rng)
    if place == "first":
        return Then(marked, honest.checkpoint())
    if place == "list":
        items = [honest.value() for _ in range(rng.randrange(1, 6))]
        items.insert(rng.randrange(len(items) + 1), marked)
        return items
    if place == "tensor":
        return {**honest.state_dict(), honest.key(): honest.tensor(extra=marked)}
    if place == "attribute":
        return honest.instance(extra=marked)
    pairs = list(honest.checkpoint().items())
    pairs.insert(rng.randrange(len(pairs) + 1), (honest.key(), marked))
    return dict(pairs)
