"""What real distributions pickle: their classes, enums and constructors, as harvest.py read them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from picklegate.training.lists import rows
from picklegate.training.tree import Build, Call, Name, New, Tree

if TYPE_CHECKING:
    import random

    from picklegate.training.honest import Honest


@dataclass(frozen=True, kw_only=True, slots=True)
class Distribution:
    """One distribution's rows of classes.tsv and constructors.tsv."""

    name: str
    classes: tuple[dict[str, str], ...]
    enums: tuple[dict[str, str], ...]
    constructors: tuple[dict[str, str], ...]

    def instance(self, honest: Honest, state: dict[str, Tree]) -> Tree:
        """An object with the attributes that its class gives it."""
        row = honest.rng.choice(self.classes)
        own = {name: honest.value(1) for name in row["attributes"].split()}
        return Build(New(Name(row["module"], row["name"])), own | dict(list(state.items())[:2]))

    def member(self, honest: Honest) -> Tree:
        """An enum member, made by a value or fetched by its name."""
        row = honest.rng.choice(self.enums)
        cls = Name(row["module"], row["name"])
        name = honest.rng.choice(row["attributes"].split())
        if honest.rng.random() < 0.3:
            return Call(Name("builtins", "getattr"), (cls, name))
        return Call(cls, (honest.rng.choice((name.lower(), name, honest.rng.randrange(9))),))

    def constructed(self, honest: Honest) -> Tree:
        """A call as one of its ``__reduce__`` methods asks for it."""
        row = honest.rng.choice(self.constructors)
        shape, *kinds = row["arguments"].split()
        args = tuple(argument(kind, honest) for kind in kinds)
        callee = Name(row["module"], row["name"])
        return New(callee, args) if shape == "new" else Call(callee, args)


@functools.cache
def distributions() -> tuple[Distribution, ...]:
    """Every distribution of which at least two classes were read."""
    names = sorted({row["package"] for row in rows("classes.tsv")})
    objects, shapes = rows("classes.tsv"), rows("constructors.tsv")
    made = (
        Distribution(
            name=name,
            classes=tuple(row for row in objects if row["package"] == name and row["kind"] == "class"),
            enums=tuple(row for row in objects if row["package"] == name and row["kind"] == "enum"),
            constructors=tuple(row for row in shapes if row["package"] == name),
        )
        for name in names
    )
    return tuple(one for one in made if len(one.classes) > 1)


def drawn(rng: random.Random) -> Distribution | None:
    """A real distribution for one sample in three."""
    return rng.choice(distributions()) if distributions() and rng.random() < 0.33 else None


def argument(kind: str, honest: Honest) -> Tree:
    """A value for an argument of the kind that its name in the source suggests."""
    rng, texts = honest.rng, honest.texts
    if kind == "class":
        return honest.cls()
    if kind == "function":
        return Name(texts.module(honest.package), texts.function())
    if kind == "text":
        return texts.short()
    if kind in ("path", "url", "regex"):
        return getattr(texts, kind)()
    simple: dict[str, Tree] = {
        "none": None,
        "bool": rng.random() < 0.5,
        "int": rng.randrange(100),
        "float": rng.random(),
        "tuple": (rng.randrange(9), texts.identifier()),
        "list": [texts.identifier() for _ in range(rng.randrange(5))],
        "data": rng.randbytes(rng.randrange(4, 200)),
    }
    if kind == "dict":
        return honest.state()
    return simple[kind] if kind in simple else honest.value()
