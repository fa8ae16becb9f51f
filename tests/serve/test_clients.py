"""The real client before the gate: honest files arrive byte for byte, hostile ones are refused with the reason."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import requests

from picklegate.demo import faults

REPO = "org/model"


def test_the_client_gets_honest_files(gate: Any, hub: Any) -> None:
    """The bytes are those of the Hub."""
    done = gate.client(f"""
        import hashlib
        from huggingface_hub import hf_hub_download
        for name in ("config.json", "honest.bin", "numbers.bin"):
            print(hashlib.sha256(open(hf_hub_download({REPO!r}, name), "rb").read()).hexdigest())
    """)
    assert done.returncode == 0, done.stderr
    commit = hub.repository(REPO).commits[hub.repository(REPO).resolve("main")]
    names = ("config.json", "honest.bin", "numbers.bin")
    assert done.stdout.split() == [hashlib.sha256(commit[name].data).hexdigest() for name in names]


def test_the_client_shows_why_a_file_is_refused(gate: Any) -> None:
    """The reason is on the screen, and nothing of the file is in the cache."""
    done = gate.client(f"""
        from huggingface_hub import hf_hub_download
        hf_hub_download({REPO!r}, "hostile.bin")
    """)
    assert done.returncode == 1
    assert "os.system" in done.stderr
    assert not [path for path in gate.home.rglob("*") if path.is_file() and b"os\nsystem" in path.read_bytes()]


def test_a_snapshot_goes_through(gate: Any) -> None:
    """Listing and files of a repository, without the hostile one."""
    done = gate.client(f"""
        import os
        from huggingface_hub import snapshot_download
        print(sorted(os.listdir(snapshot_download({REPO!r}, ignore_patterns=["hostile*"]))))
    """)
    assert done.stdout.strip() == "['config.json', 'honest.bin', 'numbers.bin']", done.stderr


@pytest.mark.parametrize("name", ["missing.bin", "config.json"])
def test_refusals_of_the_hub_keep_their_kind(gate: Any, name: str) -> None:
    """A file or a repository that is not there raises what it raises without the gate."""
    repo = REPO if name == "missing.bin" else "org/none"
    done = gate.client(f"""
        from huggingface_hub import hf_hub_download, errors
        try:
            hf_hub_download({repo!r}, {name!r})
        except (errors.EntryNotFoundError, errors.RepositoryNotFoundError) as error:
            print(type(error).__name__)
    """)
    assert done.stdout.strip() in ("RemoteEntryNotFoundError", "EntryNotFoundError", "RepositoryNotFoundError")


@pytest.mark.parametrize(
    ("span", "expected"), [("bytes=0-0", (0, 1)), ("bytes=70000-140000", (70000, 140001)), ("bytes=-5", (524283, None))]
)
def test_ranges_are_the_files_own(gate: Any, hub: Any, span: str, expected: tuple[int, int | None]) -> None:
    """A part is that part, also where judging had not read it."""
    commit = hub.repository(REPO).commits[hub.repository(REPO).resolve("main")]
    answer = requests.get(f"{gate.url}/{REPO}/resolve/main/numbers.bin", headers={"Range": span}, timeout=30)
    assert answer.status_code == 206
    assert answer.content == commit["numbers.bin"].data[slice(*expected)]


def test_a_range_past_the_end_is_none(gate: Any) -> None:
    """It is answered as the Hub does."""
    headers = {"Range": "bytes=9999999-"}
    assert requests.get(f"{gate.url}/{REPO}/resolve/main/numbers.bin", headers=headers, timeout=30).status_code == 416


def test_head_shows_no_way_around_the_gate(gate: Any, hub: Any) -> None:
    """Nothing names the storage or Xet, and a client that would not look at GET is refused."""
    hub.faults.append(faults.on("resolve", faults.header("X-Xet-Hash", "ab" * 32)))
    address = f"{gate.url}/{REPO}/resolve/main/hostile.bin"
    patient = requests.head(address, headers={"User-Agent": "unknown/None; hf_hub/1.33.0"}, timeout=30)
    assert patient.status_code == 200
    assert "os.system" in patient.headers["X-HF-Warning"]
    assert not {"location", "x-xet-hash"} & {name.lower() for name in patient.headers}
    assert requests.head(address, timeout=30).status_code == 403


def test_judged_once_for_everybody(gate: Any, hub: Any) -> None:
    """The second client costs the Hub a description and the file, and no further judging."""
    address = f"{gate.url}/{REPO}/resolve/main/honest.bin"
    requests.get(address, timeout=30)
    before = len(hub.requests)
    requests.get(address, timeout=30)
    assert [(one.method, one.range) for one in hub.requests[before:]] == [("HEAD", ""), ("GET", ""), ("GET", "")]


def test_a_token_goes_to_the_hub_alone(gate: Any, hub: Any) -> None:
    """The storage behind the redirect never sees it."""
    headers = {"Authorization": "Bearer hf_secret"}
    assert requests.get(f"{gate.url}/{REPO}/resolve/main/honest.bin", headers=headers, timeout=30).status_code == 200
    assert {one.authorized for one in hub.requests if one.origin == "hub"} == {True}
    assert {one.authorized for one in hub.requests if one.origin == "cdn"} == {False}


def test_the_page_shows_the_last_decisions_escaped(gate: Any) -> None:
    """What was refused stands there, as text."""
    requests.get(f"{gate.url}/{REPO}/resolve/main/hostile.bin", timeout=30)
    page = requests.get(gate.url, timeout=30).text
    assert "hostile.bin" in page
    assert "os.system(&#x27;" in page
    assert requests.get(f"{gate.url}/healthz", timeout=30).json()["status"] == "ok"


def test_pages_of_a_listing_come_from_the_gate(gate: Any, hub: Any) -> None:
    """The link to the next page names the gate, not the Hub."""
    hub.page_size = 2
    answer = requests.get(f"{gate.url}/api/models/{REPO}/tree/main", timeout=30)
    assert answer.links["next"]["url"].startswith(f"{gate.url}/api/models/")
    following = requests.get(answer.links["next"]["url"], timeout=30)
    assert len(answer.json()) + len(following.json()) == 4
