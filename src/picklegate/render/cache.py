"""The audit of a cache as text and JSON: what the reports on files say, and where they belong."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace

from picklegate.escape import escape
from picklegate.hub.audit import Audit
from picklegate.hub.siblings import code_beside
from picklegate.policy import Policy
from picklegate.policy_file import Settings
from picklegate.render import as_json, text
from picklegate.render.summary import Allowances, plural, sentence
from picklegate.report import FileReport, Verdict

MAX_REPOSITORIES = 40
"""Repositories without a blocked file are listed where there are no more than these in all."""
MAX_PROBLEMS = 20
_NAME_WIDTH = 60


def render(
    audit: Audit,
    *,
    colour: bool = False,
    width: int | None = None,
    allowed: Allowances | None = None,
    most_clean: int = 0,  # noqa: ARG001 (repositories are counted, not files)
    policy: Policy | None = None,
) -> str:
    """The repositories, the worst first, then what blocks, what is wrong with the cache, and a summary."""
    lines = [f"Cache {escape(audit.cache.folder, 200)}", "", *_repositories(audit), ""]
    named = [replace(report, name=inside(audit, report)) for report in audit.reports]
    lines += text.blocked(named, colour=colour, width=width, allowed=allowed, policy=policy)
    problems = sorted(audit.cache.problems, key=lambda one: not one.unread)
    for one in problems[:MAX_PROBLEMS]:
        word = "UNREAD" if one.unread else "PROBLEM"
        lines.append(f"{word:<11} {_within(audit, one.path)}: {escape(one.message, 200)}")
    if len(problems) > MAX_PROBLEMS:
        lines.append(f"... and {len(problems) - MAX_PROBLEMS:,} more problems")
    lines += [""] if problems else []
    size = sum(content.entry.st_size for content, _ in audit.pairs)
    lines += text.notes()
    lines += [] if audit.complete else [text.INTERRUPTED]
    lines.append(sentence(audit.reports, allowed))
    unread = sum(one.unread for one in problems)
    if unread:
        lines.append(f"{plural(unread, 'place')} not looked at")
    where = plural(len(audit.cache.repositories), "repository")
    lines.append(f"{text.size(size)} in {where}, {audit.seconds:.1f} s")
    return "\n".join(lines) + "\n"


def to_json(audit: Audit, *, settings: Settings | None = None) -> str:
    """The JSON report, with the cache beside the files."""
    document = as_json.document(audit.reports, complete=audit.complete, settings=settings)
    return json.dumps({**document, "cache": audit.to_dict()}, indent=2) + "\n"


def to_html(audit: Audit, *, allowed: Allowances | None = None) -> str:
    """The page, with names as they stand in the cache and a line of the chart for each repository."""
    from picklegate.render import html

    named = {id(report): replace(report, name=inside(audit, report)) for report in audit.reports}
    problems = [
        f"{os.path.relpath(one.path, audit.cache.folder)}: {one.message}{', not looked at' if one.unread else ''}"
        for one in audit.cache.problems
    ]
    words = "1 thing is wrong" if len(problems) == 1 else f"{len(problems):,} things are wrong"
    return html.render(
        list(named.values()),
        complete=audit.complete,
        allowed=allowed,
        subject=f"Hugging Face cache {audit.cache.folder}, {len(audit.cache.repositories):,} repositories",
        groups={name: [named[id(report)] for report in held] for name, held in groups(audit).items()},
        notices=[(f"{words} with the cache itself; none of it was scanned.", problems)] if problems else [],
    )


def groups(audit: Audit) -> dict[str, list[FileReport]]:
    """Repository -> the reports on its contents; a content that several have counts in each."""
    names = [f"{one.kind} {one.name}" for one in audit.cache.repositories]
    found: dict[str, list[FileReport]] = {name: [] for name in names}
    for content, report in audit.pairs:
        for index in content.repositories:
            found[names[index]].append(report)
        if not content.repositories:
            found.setdefault("in no repository", []).append(report)
    return found


def inside(audit: Audit, report: FileReport) -> str:
    """The name of a file as it stands in the cache."""
    return os.path.relpath(report.name, audit.cache.folder)


def _within(audit: Audit, path: str) -> str:
    return escape(os.path.relpath(path, audit.cache.folder), 200)


def _repositories(audit: Audit) -> Iterator[str]:
    found = groups(audit)
    revisions = {f"{one.kind} {one.name}": len(one.revisions) for one in audit.cache.repositories}
    code = {name: len(code_beside(report.name for report in held)) for name, held in found.items()}
    worst = {name: max((report.verdict for report in held), default=Verdict.CLEAN) for name, held in found.items()}
    order = sorted(found, key=lambda name: (-worst[name], name))
    few = len(order) <= MAX_REPOSITORIES
    shown = [name for name in order if few or worst[name] > Verdict.CLEAN]
    width = min(_NAME_WIDTH, max((len(escape(name)) for name in shown), default=0))
    for name in shown:
        held = found[name]
        size = text.size(sum(report.size for report in held))
        number = revisions.get(name, 0)
        about = plural(number, "revision")
        brings = f"; {plural(code[name], 'file')} of code, not judged" if code[name] else ""
        yield f"{escape(name, _NAME_WIDTH):<{width}}  {size:>8}  {about:>12}  {sentence(held)}{brings}"
    if len(order) > len(shown):
        yield f"... and {len(order) - len(shown):,} repositories with clean files only"
