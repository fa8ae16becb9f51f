"""What README and docs show is run, page by page, beside the files and the Hub that they name."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from picklegate.demo import models
from picklegate.demo.hub_server import Hub

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^(<!-- not run: .+ -->\n)?```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SETUP = re.compile(r"^python3 -m venv .*$", re.MULTILINE)
"""The README's two commands, which .ci/run runs."""


def snippets(page: Path) -> list[tuple[str, str]]:
    """The language and text of each block that is not marked as one to leave."""
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [(language, SETUP.sub("", text)) for left, language, text in blocks if not left]


@pytest.fixture(name="hub", scope="module")
def _hub() -> Iterator[Hub]:
    made = models.repositories()
    with Hub({"org/model": made[models.ORDINARY], "org/hostile": made[models.HOSTILE]}) as hub:
        yield hub


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> Path:
    weights = models.repositories()[models.ORDINARY][models.WEIGHTS]
    (tmp_path / "downloads").mkdir()
    for name in ("model.pt", "checkpoint.pt", "downloads/weights.pt"):
        (tmp_path / name).write_bytes(weights)
    return tmp_path


@pytest.mark.parametrize("page", [page for page in PAGES if snippets(page)], ids=lambda page: page.name)
def test_what_a_page_shows_runs(page: Path, place: Path, hub: Hub) -> None:
    """Python blocks run one after the other in one process, shell blocks with ``picklegate`` as installed here."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.endpoint,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HOME": str(place / "home"),
        "HF_HOME": str(place / "hf"),
        "NO_PROXY": "127.0.0.1,localhost",
    }
    parts = snippets(page)
    python = "\n".join(text for language, text in parts if language == "python")
    shell = f'picklegate() {{ {shlex.quote(sys.executable)} -m picklegate "$@"; }}\n' + "\n".join(
        text for language, text in parts if language == "sh"
    )
    for command in ([sys.executable, "-c", python], ["bash", "-euc", shell]):
        result = subprocess.run(
            command, cwd=place, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert result.returncode == 0, result.stdout + result.stderr


def test_no_link_is_broken() -> None:
    """Each relative link of README and docs leads to a file, and each anchor to a heading of it."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:)([^)\s]*)\)", text):
            name, _, anchor = target.partition("#")
            file = (page.parent / name) if name else page
            assert file.exists(), f"{page.name}: {target}"
            if anchor:
                assert anchor in anchors(file), f"{page.name}: {target}"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as Markdown renderers make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
