"""``picklegate serve``."""

from __future__ import annotations

import logging
import re
import signal
import sys
from typing import Any

import click

from picklegate import audit_log, paths, policy_file
from picklegate.cli.output import say
from picklegate.errors import GateError


def _address(_: click.Context, __: click.Parameter, url: str | None) -> str | None:
    """An address without its last slash; another scheme than HTTP is refused."""
    if url is not None and not re.fullmatch(r"https?://[^/\s]+/?", url):
        raise click.BadParameter(f"{url} is no address of a server: write it as https://huggingface.co")
    return url and url.rstrip("/")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="Port to listen on.")
@click.option(
    "--upstream",
    default="https://huggingface.co",
    show_default=True,
    callback=_address,
    help="The Hub behind the gate.",
)
@click.option("--public-url", callback=_address, help="The address that clients use, if it is not http://HOST:PORT.")
@click.option("--storage-host", multiple=True, help="A further host that the Hub may redirect to. May be repeated.")
@click.option("--log", type=click.File("a", encoding="utf-8"), help="Append each decision there as a line of JSON.")
@click.option("--policy", metavar="FILE", help="Go by this policy file alone (docs/policy.md).")
def serve(
    host: str,
    port: int,
    upstream: str,
    public_url: str | None,
    storage_host: tuple[str, ...],
    log: Any,
    policy: str | None,
) -> int:
    """Judge files for every client that heeds HF_ENDPOINT.

    Set HF_ENDPOINT=http://HOST:PORT for the clients. Hostile files are refused
    with the reason; all others are passed on and checked while they pass.
    SIGHUP reads the policy file again.

    \b
    Examples:
      picklegate serve
      picklegate serve --host 0.0.0.0 --public-url https://gate.example.org
    """  # noqa: D301 - click wants the backspace itself: it marks a paragraph whose lines are kept
    try:
        from picklegate.serve.gate import Settings, create_app
        from picklegate.serve.server import run
    except ImportError as error:
        raise click.UsageError("serve needs more packages: install picklegate with the extra serve") from error

    handler = logging.StreamHandler(log or sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("picklegate.serve")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    settings = Settings(
        upstream=upstream,
        public_url=public_url or f"http://{host}:{port}",
        policy=policy_file.load(policy).policy,
        storage_hosts=storage_host,
        ledgers=paths.cache() / "serve.sqlite3",
    )
    audit_log.loosened(settings.policy)
    app = create_app(settings)

    def reload(*_: object) -> None:
        try:
            app.gate.reload(policy_file.load(policy).policy)
            say("the policy was read again")
        except (GateError, OSError) as error:
            say(f"the policy stays as it was: {error}")

    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, reload)
    say(f"serving {upstream} at {settings.public_url}: set HF_ENDPOINT={settings.public_url}")
    run(app, host=host, port=port)
    return 0
