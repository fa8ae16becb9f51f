"""``picklegate download``."""

from __future__ import annotations

import glob
import json
import os
from dataclasses import replace
from typing import Any, get_args

import click

from picklegate.cli.addresses import parse, spoken
from picklegate.cli.options import settings as settings_option
from picklegate.cli.options import talking
from picklegate.cli.output import EXIT_CLEAN, EXIT_FOUND, EXIT_UNSCANNABLE, QUIET, status, verbosity
from picklegate.cli.progress import Progress
from picklegate.errors import BlockedError, GateError
from picklegate.escape import escape
from picklegate.policy import OnBlock, Policy
from picklegate.render.text import size
from picklegate.report import Verdict


@click.command()
@click.argument("repository", metavar="REPO")
@click.argument("filenames", metavar="[FILE]...", nargs=-1)
@click.option("--repo-type", type=click.Choice(["model", "dataset", "space"]), help="Kind of repository.")
@click.option("--revision", metavar="REV", help="Branch, tag or commit.")
@click.option("--include", multiple=True, metavar="GLOB", help="Fetch only what matches; repeatable.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave out what matches; repeatable.")
@click.option("--cache-dir", metavar="DIR", help="The cache; the one of huggingface_hub, if not given.")
@click.option("--local-dir", metavar="DIR", help="Put the files there, and not into the cache.")
@click.option("--force-download", is_flag=True, help="Fetch also what is there already.")
@click.option("--token", help="Access token; the one of `hf auth login`, if not given.")
@click.option("--max-workers", type=click.IntRange(1), default=8, show_default=True, help="Downloads at a time.")
@click.option(
    "--on-block",
    type=click.Choice(get_args(OnBlock)),
    help="Refuse everything, keep what is refused in quarantine, or fetch the rest; as the policy says, if not given.",
)
@click.option("--prefer-safetensors", is_flag=True, help="Leave out pickled weights that have a safetensors sibling.")
@click.option("--dry-run", is_flag=True, help="Judge the files and list them, without fetching any.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Output format.")
@settings_option
@talking
def download(
    repository: str, filenames: tuple[str, ...], include: tuple[str, ...], exclude: tuple[str, ...], **options: Any
) -> int:
    """Download from the Hub, each file judged first.

    It does what `hf download` does. REPO is org/name, or an address as
    `picklegate scan` takes it. The path of the file or folder goes to stdout.
    What is refused is not fetched.

    \b
    Examples:
      picklegate download org/name
      picklegate download org/name model.safetensors config.json
      picklegate download org/name --include '*.bin' --local-dir weights
      picklegate download hf://datasets/org/name@main --on-block skip

    \b
    Exit codes:
      0  the files are there
      1  a file is suspicious or malicious, and nothing was fetched
      2  otherwise: one cannot be scanned, the download failed, or misuse
    """  # noqa: D301 - click wants the backspace itself: it marks a paragraph whose lines are kept
    from picklegate.hub import download as hub_download

    address = parse(repository)
    names = (*filter(None, [address.path]), *filenames)
    if names and (include or exclude):
        raise click.UsageError("--include and --exclude choose among all files: leave out the names of files")
    policy: Policy = options.pop("settings").policy
    on_block: OnBlock | None = options.pop("on_block")
    policy = policy if on_block is None else replace(policy, on_block=on_block)
    if options.pop("prefer_safetensors"):
        policy = replace(policy, prefer_safetensors=True)
    form, dry_run = options.pop("form"), options.pop("dry_run")
    options["repo_type"] = options["repo_type"] or address.repo_type
    options["revision"] = options["revision"] or address.revision
    workers = options.pop("max_workers")
    if verbosity() == QUIET:
        os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    wanted = [*map(glob.escape, names), *include]
    chosen: dict[str, Any] = {"allow_patterns": wanted or None, "ignore_patterns": list(exclude) or None}
    if dry_run:
        return _dry_run(repository, address.repo_id, form, policy, {**chosen, **_common(options)})
    try:
        with spoken(repository):
            if len(names) == 1:
                path = hub_download.safe_hf_hub_download(address.repo_id, names[0], policy=policy, **options)
            else:
                path = hub_download.safe_snapshot_download(
                    address.repo_id, policy=policy, max_workers=workers, **chosen, **options
                )
    except BlockedError as error:
        click.echo(str(error), err=True)
        if form == "json":
            click.echo(json.dumps({"path": None, "refused": error.report.to_dict()}, indent=2))
        return EXIT_UNSCANNABLE if error.report.verdict == Verdict.UNSCANNABLE else EXIT_FOUND
    click.echo(json.dumps({"path": str(path), "refused": None}, indent=2) if form == "json" else path)
    return EXIT_CLEAN


def _common(options: dict[str, Any]) -> dict[str, Any]:
    """The options that a look at a repository takes, too."""
    return {name: options[name] for name in ("repo_type", "revision", "token")}


def _dry_run(subject: str, repo_id: str, form: str, policy: Policy, options: dict[str, Any]) -> int:
    """Judge what would be fetched, and list it."""
    from picklegate.hub.download import scan_repo

    with spoken(subject), Progress(f"judging {subject}", quiet=verbosity() == QUIET):
        found = scan_repo(repo_id, policy=policy, **options)
    if not found.files:
        raise GateError(f"{subject}: nothing there has such a name, at commit {found.commit[:12]}")
    if form == "json":
        click.echo(json.dumps(found.to_dict(), indent=2))
    else:
        for report in found.files:
            fate = f"refused: {report.verdict}" if policy.blocks(report) else "would be fetched"
            click.echo(f"{escape(report.name)}  ({size(report.size)})  {fate}")
    return status(found.files, policy)
