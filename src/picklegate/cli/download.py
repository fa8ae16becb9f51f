"""``picklegate download``."""

from __future__ import annotations

import glob
from dataclasses import replace
from typing import Any, get_args

import click

from picklegate.cli.addresses import parse, spoken
from picklegate.cli.options import policy as policy_option
from picklegate.cli.output import EXIT_CLEAN, EXIT_FOUND, EXIT_UNSCANNABLE
from picklegate.errors import BlockedError
from picklegate.policy import OnBlock, Policy
from picklegate.report import Verdict


@click.command()
@click.argument("repository", metavar="REPO")
@click.argument("filenames", metavar="[FILE]...", nargs=-1)
@click.option("--repo-type", type=click.Choice(["model", "dataset", "space"]), help="Kind of the repository.")
@click.option("--revision", metavar="REV", help="Branch, tag or commit.")
@click.option("--include", multiple=True, metavar="GLOB", help="Fetch only what matches; repeatable.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave out what matches; repeatable.")
@click.option("--cache-dir", metavar="DIR", help="The cache; that of huggingface_hub, if not given.")
@click.option("--local-dir", metavar="DIR", help="Put the files there, and not into the cache.")
@click.option("--force-download", is_flag=True, help="Fetch what is there already, too.")
@click.option("--token", help="Access token; the one of `hf auth login`, if not given.")
@click.option("--max-workers", type=click.IntRange(1), default=8, show_default=True, help="Downloads at a time.")
@click.option(
    "--on-block",
    type=click.Choice(get_args(OnBlock)),
    help="Refuse everything, keep what is refused in quarantine, or fetch the rest; as the policy says, if not given.",
)
@policy_option
def download(
    repository: str, filenames: tuple[str, ...], include: tuple[str, ...], exclude: tuple[str, ...], **options: Any
) -> int:
    """Download from the Hub, each file judged first.

    It does what `hf download` does. REPO is org/name, or an address as `picklegate scan` takes it. The path of the
    file or folder goes to stdout. What is refused is not fetched.

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
    policy: Policy = options.pop("policy")
    on_block: OnBlock | None = options.pop("on_block")
    policy = policy if on_block is None else replace(policy, on_block=on_block)
    options["repo_type"] = options["repo_type"] or address.repo_type
    options["revision"] = options["revision"] or address.revision
    workers = options.pop("max_workers")
    try:
        with spoken(repository):
            if len(names) == 1:
                path = hub_download.safe_hf_hub_download(address.repo_id, names[0], policy=policy, **options)
            else:
                wanted = [*map(glob.escape, names), *include]
                chosen = {"allow_patterns": wanted or None, "ignore_patterns": list(exclude) or None}
                path = hub_download.safe_snapshot_download(
                    address.repo_id, policy=policy, max_workers=workers, **chosen, **options
                )
    except BlockedError as error:
        click.echo(str(error), err=True)
        return EXIT_UNSCANNABLE if error.report.verdict == Verdict.UNSCANNABLE else EXIT_FOUND
    click.echo(path)
    return EXIT_CLEAN
