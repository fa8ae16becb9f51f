"""The names and texts that honest pickles hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from picklegate.judging import callables
from picklegate.training.lists import templates, vocabulary, words

if TYPE_CHECKING:
    import random


class Texts:
    """A seeded source of names and texts."""

    def __init__(self, rng: random.Random) -> None:
        """Draw from ``rng``."""
        self.rng = rng

    def word(self) -> str:
        """One ordinary word."""
        return self.rng.choice(words())

    def package(self) -> str:
        """The root of an invented package."""
        draw = self.rng.random()
        if draw < 0.12:
            return "__main__"
        if draw < 0.25:
            return self.rng.choice([name for name in vocabulary("layer") if not callables.is_standard(name)])
        middle = self.rng.choice(("", "", "_", "ml", "lib", "torch", "py", "net"))
        name = "".join((self.word(), middle, self.rng.choice((self.word(), "")))).strip("_")
        return f"{name}kit" if callables.is_standard(name) else name

    def module(self, package: str) -> str:
        """A module of the package."""
        if package == "__main__":
            return package
        rest = [self.rng.choice((self.word(), *vocabulary("layer"))) for _ in range(self.rng.choice((0, 1, 1, 2, 3)))]
        if rest and self.rng.random() < 0.25:
            rest[-1] = f"_{rest[-1]}"
        return ".".join((package, *rest))

    def class_name(self) -> str:
        """A class's name."""
        parts = [self.word().title() for _ in range(self.rng.choice((1, 1, 2)))]
        if self.rng.random() < 0.15:
            parts[0] = parts[0].upper()[:4]
        name = "".join((*parts, self.rng.choice((*vocabulary("class_ending"), ""))))
        return f"_{name}" if self.rng.random() < 0.05 else name

    def function(self) -> str:
        """A function's name."""
        return self.rng.choice(
            (
                f"{self.rng.choice(vocabulary('verb'))}_{self.word()}",
                f"_{self.word()}_{self.word()}",
                self.word(),
                f"{self.word()}_fn",
            )
        )

    def rebuilder(self) -> str:
        """The name of a function that ``__reduce__`` methods name."""
        return self.rng.choice(vocabulary("rebuilder")).format(self.word())

    def member(self) -> str:
        """An enum member's name."""
        return "_".join(self.rng.sample(words(), self.rng.choice((1, 1, 2)))).upper()

    def identifier(self) -> str:
        """An attribute's or a key's name."""
        rng = self.rng
        name = "_".join(rng.sample(words(), rng.choice((1, 2, 2, 3))))
        return rng.choice(
            (
                name,
                name,
                f"{name}_",
                f"_{name}",
                f"{name}{rng.randrange(10)}",
                f"{name}.{rng.randrange(24)}.{self.word()}",
                f"n_{name}",
            )
        )

    def setting(self) -> str:
        """A value of an option."""
        return self.rng.choice(vocabulary("setting"))

    def path(self) -> str:
        """A path as training programs keep them."""
        return self.expand(self.rng.choice(templates("texts.tsv")["path"]))

    def url(self) -> str:
        """An address as configurations keep them."""
        return self.expand(self.rng.choice(templates("texts.tsv")["url"]))

    def regex(self) -> str:
        """A regular expression."""
        return self.expand(self.rng.choice(templates("texts.tsv")["regex"]))

    def date(self) -> str:
        """A moment, written in one of the usual ways."""
        rng = self.rng
        year, month, day, hour = (
            rng.randrange(2015, 2027),
            rng.randrange(1, 13),
            rng.randrange(1, 29),
            rng.randrange(24),
        )
        return rng.choice(
            (
                f"{year}-{month:02}-{day:02}",
                f"{year}-{month:02}-{day:02}T{hour:02}:12:07",
                f"{month:02}/{day:02}/{year}",
            )
        )

    def document(self) -> str:
        """A longer text: prose, a docstring, a prompt, a template, a query."""
        kind = self.rng.choice(
            [name for name in templates("texts.tsv") if name not in ("path", "url", "regex", "short", "field")]
        )
        return self.expand(self.rng.choice(templates("texts.tsv")[kind]))

    def short(self) -> str:
        """A text as constructors are given: a name, an option, a path, a date, a few words."""
        rng = self.rng
        ways = (
            self.identifier,
            self.identifier,
            self.setting,
            self.path,
            self.date,
            self.member,
            self.word,
            lambda: f"{rng.getrandbits(128):032x}",
            lambda: self.expand(rng.choice(templates("texts.tsv")["short"])),
            lambda: " ".join(rng.choices(words(), k=rng.randrange(2, 8))),
        )
        return rng.choice(ways)()

    def any(self) -> str:
        """Any text."""
        rng = self.rng
        ways = (
            self.identifier,
            self.identifier,
            self.setting,
            self.path,
            self.url,
            self.date,
            lambda: self.expand(rng.choice(templates("texts.tsv")["short"])),
            lambda: " ".join(rng.choices(words(), k=rng.randrange(1, 12))),
            lambda: f"{rng.getrandbits(128):032x}",
            lambda: " ".join(rng.choices(words(), k=rng.randrange(3, 9))).capitalize() + ".",
            self.document,
        )
        return rng.choice(ways)()

    def field(self) -> tuple[str, str]:
        """An attribute that is known to hold a text, and the text."""
        name, _, kind = self.rng.choice(templates("texts.tsv")["field"]).partition(" ")
        return name, self.expand(self.rng.choice(templates("texts.tsv")[kind]))

    def expand(self, text: str) -> str:
        """Fill <w> (a word), <W> (a title), <n> (a number), <h> (hexadecimal), <p> (a path) and <s> (a sentence)."""
        for mark, make in (
            ("<w>", self.word),
            ("<W>", lambda: self.word().title()),
            ("<n>", lambda: str(self.rng.randrange(1, 1000))),
            ("<h>", lambda: f"{self.rng.getrandbits(40):010x}"),
            ("<p>", lambda: "/".join(self.rng.sample(words(), 3))),
            ("<s>", lambda: " ".join(self.rng.choices(words(), k=9)).capitalize() + "."),
        ):
            while mark in text:
                text = text.replace(mark, make(), 1)
        return text
