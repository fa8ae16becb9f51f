"""Quarantine: what is kept, how it is told, given out and removed."""

from __future__ import annotations

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from picklegate import quarantine
from picklegate.cli.commands import cli
from picklegate.errors import GateError
from picklegate.scan import scan_bytes, scan_file

HOSTILE = b"cos\nsystem\n(S'true'\ntR."
NAME = "hf://org/model@0123456789ab/\x1b[31mweights.bin"


@pytest.fixture(name="home", autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PICKLEGATE_HOME", str(tmp_path / "home"))
    return quarantine.home()


@pytest.fixture(name="entry")
def _entry(tmp_path: Path) -> quarantine.Entry:
    path = tmp_path / "weights.bin"
    path.write_bytes(HOSTILE)
    return quarantine.keep(path, scan_bytes(HOSTILE, name=NAME))


def run(*arguments: object) -> Result:
    """``picklegate quarantine`` with these arguments."""
    return CliRunner().invoke(cli, ["quarantine", *map(str, arguments)], standalone_mode=False)


def told() -> list[dict[str, Any]]:
    """What is in quarantine, read back."""
    return [described(entry) for entry in quarantine.entries()]


def described(entry: quarantine.Entry) -> dict[str, Any]:
    """An entry but for the details of its report, whose scores are rounded where they are kept."""
    return {**entry.to_dict(), "report": entry.report and (entry.report.sha256, entry.report.verdict)}


def test_what_is_kept_is_out_of_reach(entry: quarantine.Entry, home: Path) -> None:
    """Its name is its digest under a suffix of no loader, and it belongs to its owner alone."""
    assert entry.content == home / f"{scan_bytes(HOSTILE).sha256}.blocked"
    assert entry.content.read_bytes() == HOSTILE
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    modes = {stat.S_IMODE(path.stat().st_mode) for path in home.iterdir() if path.name != ".lock"}
    assert modes == {0o600}


def test_one_content_is_one_entry(entry: quarantine.Entry, tmp_path: Path) -> None:
    """The names that it came under are all remembered, each once."""
    for name in (NAME, "hf://org/copy/weights.bin", NAME):
        quarantine.keep(tmp_path / "weights.bin", scan_bytes(HOSTILE, name=name))
    (found,) = quarantine.entries()
    assert found.names == (NAME, "hf://org/copy/weights.bin")
    assert found.id == entry.id


def test_a_report_can_be_kept_alone() -> None:
    """Where the file was refused before it was fetched, there is nothing to give out."""
    entry = quarantine.keep(None, scan_bytes(HOSTILE, name=NAME))
    assert told() == [described(entry)]
    with pytest.raises(GateError, match="no content"):
        quarantine.release(entry, Path("unused"))
    assert "(report only)" in run("list").stdout


def test_threads_keep_the_same_file(tmp_path: Path) -> None:
    """One does not remove another's fragment."""
    path = tmp_path / "weights.bin"
    path.write_bytes(HOSTILE)
    reports = [scan_bytes(HOSTILE, name=f"name {number}") for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(quarantine.keep, [path] * 16, reports))
    (entry,) = quarantine.entries()
    assert sorted(entry.names) == sorted(report.name for report in reports)


def test_fragments_of_the_killed_are_removed(entry: quarantine.Entry, home: Path, tmp_path: Path) -> None:
    """They are no entries, and go when the next file is kept."""
    (home / "0123.part").write_bytes(HOSTILE)
    assert [found.id for found in quarantine.entries()] == [entry.id]
    quarantine.keep(tmp_path / "weights.bin", scan_bytes(HOSTILE, name=NAME))
    assert not list(home.glob("*.part"))


@pytest.mark.parametrize(
    "record",
    [b"", b"{", b"[]", b"\xff", b'{"kept_at": 1}', b'{"kept_at": "2026-01-01", "names": [], "size": 1, "report": 5}'],
    ids=["empty", "cut", "list", "not-ascii", "wrong-type", "report-of-no-shape"],
)
def test_a_spoilt_record_does_not_break_the_list(entry: quarantine.Entry, home: Path, record: bytes) -> None:
    """The entry is listed as far as it is known, shown, and can be removed."""
    (home / f"{entry.id}.json").write_bytes(record)
    for arguments in (("list",), ("show", entry.id)):
        answer = run(*arguments)
        assert answer.exit_code == 0, answer.exception
        assert entry.short in answer.stdout
        assert "cannot be read" in answer.stdout
    assert run("purge", entry.id[:8]).exit_code == 0
    assert quarantine.entries() == ()


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values in a JSON document, and of the lists and objects that hold them."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(leaf for key, item in inner for leaf in leaves(item, (*path, key)))]


ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    10**400,
    1e999,
    "",
    "0001-01-01T00:00:00",
    "9999-12-31T23:59:59-23:59",
    [],
    [[]],
    {},
    {"a": 1},
)


def test_no_record_breaks_the_list(entry: quarantine.Entry, home: Path) -> None:
    """Whatever stands in a record in the place of what was written there, and nested however deep."""
    record = home / f"{entry.id}.json"
    whole = json.loads(record.read_text())
    texts = ["[" * 100_000, '{"a":' * 100_000, json.dumps({**whole, "report": [[]] * 10_000})]
    for number, path in enumerate(leaves(whole)[1:]):
        for odd in (ODD[number % len(ODD)], 10**400):
            document = json.loads(json.dumps(whole))
            holder = document
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = odd
            texts.append(json.dumps(document))
    for text in dict.fromkeys(texts):
        record.write_text(text)
        for arguments in (("list",), ("show", entry.id), ("show", entry.id, "--format", "json")):
            answer = run(*arguments)
            assert answer.exit_code == 0, (text[:2000], answer.exception)


@pytest.mark.skipif(os.name != "posix", reason="links need a privilege elsewhere")
@pytest.mark.parametrize("suffix", [".json", ".blocked"])
def test_links_in_quarantine_are_not_followed(entry: quarantine.Entry, home: Path, tmp_path: Path, suffix: str) -> None:
    """Neither a record nor a content that leads elsewhere is read."""
    part = home / f"{entry.id}{suffix}"
    part.rename(tmp_path / "elsewhere")
    part.symlink_to(tmp_path / "elsewhere")
    (again,) = quarantine.entries()
    assert (again.report is None) == (suffix == ".json")
    assert (again.content is None) == (suffix == ".blocked")


@pytest.mark.skipif(os.name != "posix", reason="links need a privilege elsewhere")
def test_a_quarantine_that_is_a_link_is_not_used(tmp_path: Path, home: Path) -> None:
    """What lies where it leads is nobody's fragment, and keeps its mode."""
    other = tmp_path / "other"
    other.mkdir(mode=0o755)
    (other / "work.part").touch()
    home.parent.mkdir()
    home.symlink_to(other)
    (tmp_path / "weights.bin").write_bytes(HOSTILE)
    with pytest.raises(OSError, match="a link"):
        quarantine.keep(tmp_path / "weights.bin", scan_file(tmp_path / "weights.bin"))
    assert [path.name for path in other.iterdir()] == ["work.part"]
    assert stat.S_IMODE(other.stat().st_mode) == 0o755


def test_the_list_and_an_entry_are_told(entry: quarantine.Entry) -> None:
    """In text hostile names are escaped; in JSON the report is whole."""
    listed, shown = run("list"), run("show", entry.id[:10])
    assert entry.short in listed.stdout
    assert "MALICIOUS" in listed.stdout
    assert "call.execution" in shown.stdout
    assert "\x1b" not in listed.stdout + shown.stdout
    assert [found["id"] for found in json.loads(run("list", "--format", "json").stdout)] == [entry.id]
    assert json.loads(run("show", entry.id, "--format", "json").stdout)["report"]["sha256"] == entry.id


def test_an_empty_quarantine_is_said_to_be_so() -> None:
    """The words are on stderr, and the data is empty."""
    answer = run("list")
    assert (answer.exit_code, answer.stdout) == (0, "")
    assert "nothing is in quarantine" in answer.stderr


def test_add_moves_a_file_and_release_gives_it_back(tmp_path: Path) -> None:
    """It is gone from its place and kept byte for byte; nothing is gone where it cannot be kept."""
    for name in ("weights.bin", "-f", "--all"):
        path = tmp_path / name
        path.write_bytes(HOSTILE)
        answer = run("add", "--", path) if name == "weights.bin" else run("add", path)
        assert answer.return_value == 0, answer.exception
        assert not path.exists()
        (entry,) = quarantine.entries()
        assert answer.stdout.startswith(f"added {entry.short}")
        assert entry.content is not None
        assert entry.content.read_bytes() == HOSTILE
        run("purge", "--all")
    (tmp_path / "home").rename(tmp_path / "away")
    (tmp_path / "home").touch()
    path = tmp_path / "weights.bin"
    path.write_bytes(HOSTILE)
    assert isinstance(run("add", path).exception, OSError)
    assert path.read_bytes() == HOSTILE


def test_add_leaves_what_a_link_of_the_users_leads_to(tmp_path: Path) -> None:
    """The link is what was named."""
    path, link = tmp_path / "weights.bin", tmp_path / "link.bin"
    path.write_bytes(HOSTILE)
    link.symlink_to(path)
    assert run("add", link).return_value == 0
    assert not os.path.lexists(link)
    assert path.read_bytes() == HOSTILE
    assert isinstance(run("add", tmp_path).exception, IsADirectoryError)


def test_release_gives_a_checked_copy(entry: quarantine.Entry, tmp_path: Path) -> None:
    """The copy is its owner's alone, a warning is said, the entry stays, and nothing is overwritten."""
    output = tmp_path / "copy"
    answer = run("release", entry.short, "-o", output)
    assert answer.exit_code == 0, answer.exception
    assert "refused (MALICIOUS)" in answer.stderr
    assert output.read_bytes() == HOSTILE
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert told() == [described(entry)]
    assert isinstance(run("release", entry.id, "-o", output).exception, FileExistsError)


def test_release_refuses_what_was_changed(entry: quarantine.Entry, tmp_path: Path) -> None:
    """A file that is no longer the one refused is not given out, and nothing of it is left."""
    assert entry.content is not None
    entry.content.write_bytes(b"other")
    with pytest.raises(GateError, match="changed"):
        quarantine.release(entry, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize(
    "arguments", [("ID",), ("--all",), ("--older-than", 0), ("ID", "ID")], ids=["id", "all", "age", "twice"]
)
def test_purge_removes_and_tells(entry: quarantine.Entry, home: Path, arguments: tuple[object, ...]) -> None:
    """Record and content are gone, and each entry is named once."""
    answer = run("purge", *(entry.id if argument == "ID" else argument for argument in arguments))
    assert answer.stdout.count(f"removed {entry.short}") == 1
    assert not [path for path in home.iterdir() if path.name != ".lock"]


def test_purge_keeps_what_is_younger(entry: quarantine.Entry, home: Path) -> None:
    """Age counts from when it was kept."""
    assert run("purge", "--older-than", 1).stdout == ""
    assert told() == [described(entry)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("purge",), "say what to remove"),
        (("purge", "abcd", "--all"), "say what to remove"),
        (("show", "ffff"), "is no entry"),
        (("show", ""), "is no entry"),
        (("release", "zz", "-o", "copy"), "is no entry"),
    ],
)
def test_misuse_is_said_in_a_sentence(entry: quarantine.Entry, arguments: tuple[object, ...], said: str) -> None:
    """It names what is wrong and what to do; nothing is removed."""
    assert said in str(run(*arguments).exception)
    assert told() == [described(entry)]


def test_an_ambiguous_id_is_refused(home: Path) -> None:
    """One beginning of two ids names neither."""
    home.mkdir(parents=True)
    for identity in ("abcd1", "abcd2"):
        (home / f"{identity}.json").touch()
    with pytest.raises(GateError, match="2 ids"):
        quarantine.find("abcd")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_quarantine_that_cannot_be_written_says_so(tmp_path: Path, home: Path) -> None:
    """The error is the system's own."""
    home.parent.mkdir(mode=0o500)
    (tmp_path / "weights.bin").write_bytes(HOSTILE)
    with pytest.raises(PermissionError):
        quarantine.keep(tmp_path / "weights.bin", scan_file(tmp_path / "weights.bin"))
