"""The tour that ``picklegate demo`` gives: two models, the real client, and the gate between."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from picklegate.demo import models
from picklegate.demo.hub_server import Hub
from picklegate.errors import BlockedError
from picklegate.hub.download import safe_hf_hub_download
from picklegate.refusal import sentences
from picklegate.report import FileReport
from picklegate.scan import scan_file

Echo = Callable[[str], object]


def run(echo: Echo) -> int:
    """Give the tour, a line at a time to ``echo``; 0 if the ordinary model arrived and the hostile one did not."""
    started = time.monotonic()
    repositories = models.repositories()
    with _undisturbed() as home, Hub(repositories) as hub:
        visit = _Visit(echo, hub, home)
        echo(click.style("A Hub on this machine, and two models that look the same.", bold=True))
        visit.stop(models.ORDINARY, "an honest model, as torch.save writes it")
        visit.stop(models.HOSTILE, "the same, with a 1 for an l in its name and two files that run code when loaded")
        kept = visit.kept(repositories[models.HOSTILE][path] for path in models.PAYLOADS)
    arrived_all = {(models.ORDINARY, path) for path in repositories[models.ORDINARY]} <= visit.arrived
    refused_all = visit.refused == {(models.HOSTILE, path) for path in models.PAYLOADS}
    as_expected = arrived_all and refused_all and not kept
    echo("")
    if as_expected:
        echo(f"Nothing ran, and nothing of the refused files was kept ({time.monotonic() - started:.1f} s).")
        echo("They were read as torch would read them, and judged by what loading them would call.")
        echo("")
        echo("In your code, one line changes:")
        echo(click.style("    from picklegate import safe_hf_hub_download as hf_hub_download", bold=True))
    else:
        echo(click.style("This is not how the tour should end: please report it.", fg="red", bold=True))
    return 0 if as_expected else 1


class _Visit:
    """What is fetched on the tour, and what came of it."""

    def __init__(self, echo: Echo, hub: Hub, home: Path) -> None:
        self.arrived: set[tuple[str, str]] = set()
        self.refused: set[tuple[str, str]] = set()
        self._echo, self._hub, self._cache = echo, hub, home / "cache"

    def stop(self, name: str, about: str) -> None:
        """Fetch every file of a repository through the gate."""
        self._echo("")
        self._echo(f"{click.style(name, bold=True)}  {about}")
        repository = self._hub.repository(name)
        for path in repository.commits[repository.branches["main"]] if repository else ():
            self._fetch(name, path)

    def kept(self, contents: Iterator[bytes]) -> list[Path]:
        """The files of the cache that have one of these contents."""
        wanted = set(contents)
        return [path for path in self._cache.rglob("*") if path.is_file() and path.read_bytes() in wanted]

    def _fetch(self, name: str, path: str) -> None:
        try:
            local = safe_hf_hub_download(name, path, cache_dir=self._cache, endpoint=self._hub.endpoint, token=False)
        except BlockedError as error:
            self.refused.add((name, path))
            what, where = sentences(error.report)
            self._echo(f"  {click.style('refused', fg='red', bold=True)}  {path:<20}{error.report.verdict}")
            self._echo(f"           {what}")
            self._echo(f"           {where}")
        except OSError as error:
            self._echo(f"  {click.style('failed', fg='yellow', bold=True)}   {path:<20}{error}")
        else:
            self.arrived.add((name, path))
            self._echo(f"  {click.style('arrived', fg='green', bold=True)}  {path:<20}{_summary(scan_file(local))}")


def _summary(report: FileReport) -> str:
    names = dict.fromkeys(".".join(pair) for stream in report.streams for pair in stream.imports)
    return f"{report.verdict}: {'it imports ' + ', '.join(names) if names else 'no pickle in it'}"


@contextlib.contextmanager
def _undisturbed() -> Iterator[Path]:
    """A temporary home for the client, without the user's cache, token, proxies, offline mode or progress bars."""
    with tempfile.TemporaryDirectory(prefix="picklegate-demo-") as home:
        settings = {
            "HF_HOME": home,
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }
        before = {name: os.environ.get(name) for name in settings}
        os.environ.update(settings)
        try:
            yield Path(home)
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
