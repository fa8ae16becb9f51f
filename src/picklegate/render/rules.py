"""What docs/findings.md says of each code, for reports that explain themselves; the page ships with the package."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from picklegate.report import Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One code: the verdict that it mostly carries, what it means, and what to do, as plain text."""

    code: str
    verdict: Verdict
    meaning: str
    advice: str

    @property
    def summary(self) -> str:
        """The first sentence of the meaning."""
        return re.split(r"(?<=[.?!])\s", self.meaning, maxsplit=1)[0]


@lru_cache(maxsize=1)
def rules() -> dict[str, Rule]:
    """Code -> its rule, in the order of the page."""
    page = resources.files("picklegate").joinpath("data", "findings.md").read_text("utf-8")
    found = {}
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        head, *parts = re.split(r"^### ", section, flags=re.MULTILINE)
        for part in parts:
            code, _, text = part.partition("\n")
            verdicts = [Verdict[word] for word in re.findall(r"`([A-Z]{5,})`", text) if word in Verdict.__members__]
            advice = _advice(text) or _advice(head)
            meaning = re.sub(r"^(`[A-Z]+`( or `[A-Z]+`)?\.)\s", "", re.sub(_ADVICE, "", text).strip())
            verdict = max(verdicts, default=Verdict.UNSCANNABLE)
            found[code] = Rule(code=code, verdict=verdict, meaning=_plain(meaning), advice=_plain(advice))
    return found


_ADVICE = re.compile(r"(?<![\w*])\*(?!\*)([^*]+(?:\*[^*\s][^*]*)*?)\*(?![\w*])\s*$", re.MULTILINE)


def _advice(text: str) -> str:
    found = _ADVICE.search(text.strip())
    return found[1] if found else ""


def _plain(markdown: str) -> str:
    """Markdown -> one line of text."""
    text = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", markdown)
    return re.sub(r"\s+", " ", text.replace("`", "").replace("**", "")).strip()
