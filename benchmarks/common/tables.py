"""Counts -> the tables of docs/results.md, with what is uncertain about them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from benchmarks.detection.files import Outcome

_Z = 1.959964


def interval(hits: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share; (0, 1) where nothing was counted."""
    if total == 0:
        return 0.0, 1.0
    share, square = hits / total, _Z * _Z
    middle = share + square / (2 * total)
    reach = _Z * math.sqrt(share * (1 - share) / total + square / (4 * total * total))
    low, high = (middle - reach) / (1 + square / total), (middle + reach) / (1 + square / total)
    return (0.0 if hits == 0 else low), (1.0 if hits == total else high)


def share(hits: int, total: int) -> str:
    """``hits of total``, the percentage and its interval; of none, the upper bound."""
    if total == 0:
        return "-"
    low, high = interval(hits, total)
    if hits == 0:
        return f"0 of {total} (at most {100 * high:.2f} %)"
    return f"{hits} of {total}: {100 * hits / total:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


Test = Callable[[Outcome], bool]


def files(found: Sequence[Outcome], test: Test) -> str:
    """In how many files ``test`` holds."""
    return share(sum(map(test, found)), len(found))


def units(found: Sequence[Outcome], test: Test, unit: Callable[[Outcome], str], *, whole: bool) -> str:
    """In how many units ``test`` holds: in each file of the unit where ``whole``, else in any."""
    held: dict[str, list[bool]] = defaultdict(list)
    for item in found:
        held[unit(item)].append(test(item))
    return share(sum((all if whole else any)(results) for results in held.values()), len(held))


def f1(hostile: Sequence[Outcome], honest: Sequence[Outcome], test: Test) -> str:
    """F1 over files, hostile ones being the positives."""
    hits, alarms = sum(map(test, hostile)), sum(map(test, honest))
    return f"{2 * hits / max(1, hits + alarms + len(hostile)):.3f}"


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table, every cell escaped."""
    out = [_line(head), _line(["---"] * len(head))]
    return "\n".join([*out, *map(_line, lines)])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
