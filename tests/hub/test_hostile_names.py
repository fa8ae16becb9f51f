"""A Hub that answers with paths: whatever it calls a content, a commit or a file, nothing is written elsewhere."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi, file_download

from picklegate.demo import faults, models
from picklegate.demo.hub_server import Answer, Hub
from picklegate.errors import BlockedError
from picklegate.hub.download import safe_hf_hub_download, safe_snapshot_download

REPO = "org/model"
FILES = models.repositories()[models.ORDINARY]
PATHS = ("../../../../../outside", "{root}/outside", "..")


@pytest.fixture(name="hub")
def _hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    with Hub({REPO: FILES}) as hub:
        yield hub


@pytest.fixture(name="place")
def _place(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[str, Path]:
    """A place deep enough that every way out of it ends in the test's own folder."""
    deep = tmp_path / "a" / "b" / "c" / "d"
    deep.mkdir(parents=True)
    return request.param, deep / "place"


each_place = pytest.mark.parametrize("place", ["cache_dir", "local_dir"], indirect=True)
each_path = pytest.mark.parametrize("path", PATHS, ids=["up", "absolute", "dots"])
each_request = pytest.mark.parametrize("skip", [0, 1], ids=["first", "later"])


def written(root: Path, place: Path) -> list[Path]:
    """What stands outside of the place, the unused cache, and the staging beside them."""
    own = (place, place.parent / "unused")
    return [
        path
        for path in root.rglob("*")
        if (path.is_file() or path.is_symlink()) and not any(folder in path.parents for folder in own)
    ]


def renamed(key: str, value: str) -> faults.Fault:
    """An answer of the API in which the commit, or a file, has another name."""

    def change(answer: Answer) -> Answer:
        if answer.status != 200:
            return answer
        told = json.loads(answer.body[:])
        for entry in [told] if isinstance(told, dict) else told[:1]:
            for place in (entry, *entry.get("siblings", [])[:1]):
                if key in place:
                    place[key] = value
        return replace(answer, body=json.dumps(told).encode())

    return change


@each_place
@each_path
@each_request
@pytest.mark.parametrize("name", ["ETag", "X-Linked-Etag", "X-Repo-Commit"])
def test_headers_lead_nowhere(
    hub: Hub, tmp_path: Path, place: tuple[str, Path], path: str, skip: int, name: str
) -> None:
    """In the first answer or in a later one, for a file that is fetched and for one that is there."""
    value = path.format(root=tmp_path)
    quoted = value if name == "X-Repo-Commit" else f'"{value}"'
    hub.faults.append(faults.on("/resolve/", faults.header(name, quoted), skip=skip))
    options: dict[str, Any] = {"endpoint": hub.endpoint, "token": False, "cache_dir": place[1].parent / "unused"}
    options[place[0]] = place[1]
    for file in ("config.json", models.WEIGHTS):
        with contextlib.suppress(Exception):
            safe_hf_hub_download(REPO, file, **options)
    assert written(tmp_path, place[1]) == []


def test_a_name_that_comes_late_is_refused_with_a_reason(hub: Hub, tmp_path: Path) -> None:
    """The client is stopped before it uses the name, and has its own functions again afterwards."""
    plain = (file_download.get_hf_file_metadata, HfApi.repo_info)
    hub.faults.append(faults.on("/resolve/", faults.header("ETag", '"../../x"'), skip=1))
    with pytest.raises(BlockedError, match="would be a path elsewhere") as caught:
        safe_hf_hub_download(REPO, "config.json", endpoint=hub.endpoint, token=False, cache_dir=tmp_path)
    assert caught.value.report.findings[0].code == "hub.hostile-name"
    assert (file_download.get_hf_file_metadata, HfApi.repo_info) == plain


@each_place
@each_path
@each_request
@pytest.mark.parametrize("key", ["sha", "rfilename", "path", "oid"])
def test_listings_lead_nowhere(
    hub: Hub, tmp_path: Path, place: tuple[str, Path], path: str, skip: int, key: str
) -> None:
    """So for what the API says of a repository."""
    hub.faults.append(faults.on("/api/", renamed(key, path.format(root=tmp_path)), skip=skip))
    options: dict[str, Any] = {"endpoint": hub.endpoint, "token": False, "cache_dir": place[1].parent / "unused"}
    options[place[0]] = place[1]
    with contextlib.suppress(Exception):
        safe_snapshot_download(REPO, **options)
    assert written(tmp_path, place[1]) == []


def test_a_link_in_local_dir_is_not_written_through(hub: Hub, tmp_path: Path) -> None:
    """What it points at stays as it is: the file that arrives takes the place of the link."""
    (tmp_path / "outside").write_bytes(b"mine")
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "config.json").symlink_to(tmp_path / "outside")
    path = safe_hf_hub_download(
        REPO, "config.json", endpoint=hub.endpoint, token=False, local_dir=tmp_path / "place", force_download=True
    )
    assert Path(path).read_bytes() == FILES["config.json"]
    assert (tmp_path / "outside").read_bytes() == b"mine"


@each_place
def test_a_file_name_that_climbs_is_refused(hub: Hub, tmp_path: Path, place: tuple[str, Path]) -> None:
    """As by clients since 1.0: an index file of a repository may have such names for its parts."""
    options: dict[str, Any] = {"endpoint": hub.endpoint, "token": False, place[0]: place[1]}
    with pytest.raises(ValueError, match="leads out"):
        safe_hf_hub_download(REPO, "../config.json", **options)
    assert written(tmp_path, place[1]) == []
