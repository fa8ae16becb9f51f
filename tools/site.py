"""A hook of mkdocs: pages whose text lies at the root of the repository are shown with it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
AT_ROOT = {"contributing.md": "CONTRIBUTING.md", "security.md": "SECURITY.md"}


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """The text of the page, its links as seen from docs/; links to other files of the repository lose their target."""
    name = AT_ROOT.get(page.file.src_uri)
    if name is None:
        return markdown
    text = (ROOT / name).read_text("utf-8").replace("](docs/", "](")
    return re.sub(r"\[([^\]]+)\]\((?!https?:)[^)]*/[^)]*\)", r"\1", text)
