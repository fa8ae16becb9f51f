"""The reputation of names, with whatever a sample itself brings in left out."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

from picklegate.judging.vocabulary import Vocabulary, tokens

_CLIP = 4.0
_LEAST = 3
"""Packages and projects that a word must occur in to weigh anything."""


class Names:
    """Who uses which names: honest projects, and the packages of harmful callables."""

    def __init__(self) -> None:
        """Know no names."""
        self.callees: dict[str, set[str]] = defaultdict(set)
        self.text_callees: dict[str, set[str]] = defaultdict(set)
        self.modules: dict[str, set[str]] = defaultdict(set)
        self.roots: dict[str, set[str]] = defaultdict(set)
        self.honest_words: dict[str, set[str]] = defaultdict(set)
        self.hostile_words: dict[str, set[str]] = defaultdict(set)
        self.users: set[str] = set()

    def honest(self, project: str, known: str, *, text: bool) -> None:
        """A honest project uses the callable, ``text`` says whether with strings."""
        self.users.add(project)
        self.callees[known].add(project)
        if text:
            self.text_callees[known].add(project)
        owner, _, last = known.rpartition(".")
        self.modules[owner].add(project)
        self.roots[known.partition(".")[0]].add(project)
        for word in tokens(last):
            self.honest_words[word].add(known.partition(".")[0])

    def harmless(self, package: str, known: str) -> None:
        """A package's own ``__reduce__`` methods name the callable, which says nothing of who uses it."""
        self.users.add(package)
        for word in tokens(known.rpartition(".")[2]):
            self.honest_words[word].add(package)

    def hostile(self, package: str, known: str) -> None:
        """A callable of the package does harm."""
        self.users.add(package)
        for word in tokens(known.rpartition(".")[2]):
            self.hostile_words[word].add(package)

    def knows(self, user: str) -> bool:
        """Whether a project or package has brought any name in."""
        return user in self.users

    def vocabulary(self, without: Iterable[str] = ()) -> Vocabulary:
        """The vocabulary as if the projects and packages ``without`` did not exist."""
        gone = frozenset(without)

        def counts(users: dict[str, set[str]]) -> dict[str, int]:
            found = {name: len(projects - gone) for name, projects in users.items()}
            return {name: number for name, number in found.items() if number}

        honest, hostile = counts(self.honest_words), counts(self.hostile_words)
        honest_total = len(set().union(*self.honest_words.values()) - gone)
        hostile_total = len(set().union(*self.hostile_words.values()) - gone)
        weights = {
            word: round(_odds(hostile.get(word, 0), hostile_total) - _odds(honest.get(word, 0), honest_total), 3)
            for word in {*honest, *hostile}
            if honest.get(word, 0) + hostile.get(word, 0) >= _LEAST
        }
        return Vocabulary(
            callees=counts(self.callees),
            text_callees=counts(self.text_callees),
            modules=counts(self.modules),
            roots=counts(self.roots),
            weights={word: max(-_CLIP, min(_CLIP, weight)) for word, weight in weights.items()},
        )


def _odds(count: int, total: int) -> float:
    share = (count + 0.5) / (total + 2)
    return math.log(share / (1 - min(share, 0.99)))
