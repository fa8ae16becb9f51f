"""``picklegate audit``."""

from __future__ import annotations

import time

import click

from picklegate import store
from picklegate.audit_log import note as log
from picklegate.batch import scan_found
from picklegate.cli import options
from picklegate.cli.output import EXIT_INTERRUPTED, QUIET, note, say, verbosity, write
from picklegate.cli.progress import Progress
from picklegate.escape import escape
from picklegate.hub import audit as cache_audit
from picklegate.policy import Policy
from picklegate.render import cache as as_cache
from picklegate.render.summary import sentence
from picklegate.report import FileReport


@click.command()
@click.option("--cache-dir", metavar="DIR", help="The cache; the one of huggingface_hub, if not given.")
@click.option("--quarantine", is_flag=True, help="Move what the policy blocks out of the cache.")
@options.reporting
def audit(
    cache_dir: str | None,
    quarantine: bool,  # noqa: FBT001 (click gives it by name)
    wanted: options.Reporting,
) -> int:
    """Scan the Hugging Face cache of this machine.

    Each content is scanned once. Verdicts are kept, so a second run reads only
    what is new. Incomplete or damaged parts of the cache are listed, and stop
    nothing.

    \b
    Examples:
      picklegate audit
      picklegate audit --format html -o audit.html
      picklegate audit --quarantine --fail-on malicious

    \b
    Exit codes:
      0  every file is clean
      1  a file is suspicious or malicious
      2  otherwise, something could not be scanned or looked at, or misuse
    """  # noqa: D301 - see scan
    start = time.monotonic()
    with Progress("reading the cache", quiet=verbosity() == QUIET):
        cache = cache_audit.read_cache(cache_dir)
    reports: list[FileReport] = []
    try:
        with options.cluster(wanted.scheduler) as executor:
            made = scan_found(
                cache.found, policy=wanted.policy, executor=executor, jobs=wanted.jobs, store=store.default()
            )
            for report in options.progress(made, len(cache.contents)):
                reports.append(report)  # noqa: PERF402 - one by one, for what is done stays when Ctrl-C comes
    except KeyboardInterrupt:
        say(f"interrupted, after {sentence(reports)}")
    done = cache_audit.Audit(cache=cache, reports=tuple(reports), seconds=time.monotonic() - start)
    write(_rendered(done, wanted), wanted.output)
    wanted.write_also(done.reports, complete=done.complete)
    if not done.complete:
        return EXIT_INTERRUPTED
    if wanted.output:
        note(sentence(reports, wanted.allowed))
    if quarantine:
        _remove(done, wanted.policy)
    return wanted.status([*wanted.fresh(reports), *cache.unread])


def _rendered(audit: cache_audit.Audit, wanted: options.Reporting) -> str:
    if wanted.form in (None, "text"):
        return as_cache.render(audit, allowed=wanted.allowed, **wanted.for_terminal())
    if wanted.form == "json":
        return as_cache.to_json(audit, settings=wanted.settings)
    if wanted.form == "html":
        return as_cache.to_html(audit, allowed=wanted.allowed)
    return wanted.render(audit.reports, complete=audit.complete)


def _remove(audit: cache_audit.Audit, policy: Policy) -> None:
    blocked = [(content, report) for content, report in audit.pairs if policy.blocks(report)]
    for content, report in blocked:
        kept = cache_audit.remove(audit.cache, content, report)
        log("quarantine", report, policy=policy, message=f"{escape(report.name)} is in quarantine as {kept.short}")
        say(f"{as_cache.inside(audit, report)} is in quarantine as {kept.short}")
    if blocked:
        say("`picklegate quarantine list` shows what is there, `release` gives it back")
