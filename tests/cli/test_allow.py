"""``picklegate allow``: from a false alarm to a passing build in one command."""

from __future__ import annotations

import datetime as dt
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from picklegate import BlockedError, Policy, policy_file, safe_pickle_load, scan_file
from picklegate.policy_file import Allowed, add, doubts

Run = Callable[..., int]
SUSPICIOUS = b"cbuiltins\neval\n."
MALICIOUS = b"cos\nsystem\n(S'true'\ntR."
DIGEST = "ab" * 32


@pytest.fixture(name="here", autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and no policy file of the user's own."""
    monkeypatch.setenv("PICKLEGATE_HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def test_the_command_of_a_refusal_makes_the_build_pass(
    run: Run, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A front door refuses; its command is pasted; scan, guard and the policy in Python let the file pass."""
    (here / "model.pkl").write_bytes(SUSPICIOUS)
    assert run("scan", "model.pkl") == 1
    with pytest.raises(BlockedError) as caught:
        safe_pickle_load(here / "model.pkl")
    command = re.findall(r"^ +picklegate (allow .*)$", str(caught.value), re.MULTILINE)[0]
    assert run(*shlex.split(command)) == 0
    assert run("scan", "model.pkl") == 0
    capsys.readouterr()
    safe_pickle_load(here / "model.pkl", policy="project")
    safe_pickle_load(here / "model.pkl", policy=Policy.from_file("picklegate.toml"))


def test_a_file_is_allowed_by_its_content(run: Run, here: Path) -> None:
    """The entry has the file's digest."""
    (here / "model.pkl").write_bytes(SUSPICIOUS)
    assert run("allow", "model.pkl", "--reason", "ours") == 0
    assert policy_file.load().policy.allow_digests == (scan_file("model.pkl").sha256,)


def test_a_malicious_file_is_not_taken(run: Run, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what loading would run, and writes nothing; a clean file needs no entry."""
    (here / "evil.pkl").write_bytes(MALICIOUS)
    assert run("allow", "evil.pkl", "--reason", "ours") == 1
    assert "Do not load it" in capsys.readouterr().err
    (here / "good.pkl").write_bytes(b"\x80\x04}.")
    assert run("allow", "good.pkl", "--reason", "ours") == 0
    assert not (here / "picklegate.toml").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("os.system", "--reason", "x"),
        ("nt.system", "--reason", "x"),
        ("torch.load", "--reason", "x"),
        ("missing.pkl", "--reason", "x"),
        ("no/such/file", "--reason", "x"),
        ("word", "--reason", "x"),
        ("a.*", "--reason", "x"),
        ("ours.Net", "--reason", "  "),
        ("ours.Net",),
        ("ours.Net", "--reason", "x", "--expires", "2020-01-01"),
        ("ours.Net", "--reason", "x", "--expires", "soon"),
        (DIGEST, "--reason", "x", "--repo", "org/name"),
        ("ours.Net", "--reason", "x", "--repo", "not a repository"),
    ],
    ids=" ".join,
)
def test_what_would_allow_nothing_or_too_much_is_misuse(run: Run, here: Path, arguments: tuple[str, ...]) -> None:
    """Primitives, typing errors, an empty reason and a day that is over leave no file."""
    assert run("allow", *arguments) == 2
    assert not (here / "picklegate.toml").exists()


@pytest.mark.parametrize(
    "before",
    [
        "# ours\nblock_from = 'malicious'  # why\n",
        "# ours\n[[allow.imports]]\nname = 'a.B'  # why\nreason = 'c'\n",
        "# ours\nallow.imports = [{name = 'a.B', reason = 'c'}]  # why\n",
        "# ours\n[limits]\nmax_seconds = 5  # why\n",
    ],
)
def test_comments_and_other_keys_stay(here: Path, before: str) -> None:
    """An entry is added to any way of writing the table."""
    path = here / "picklegate.toml"
    path.write_text(before)
    old = policy_file.load(path)
    for item in (Allowed(what="ours.Net", reason="d", repo="org/name"), Allowed(what=DIGEST, reason="e")):
        assert add(path, item)
        assert not add(path, item)
    assert "# ours" in path.read_text()
    assert "# why" in path.read_text()
    found = policy_file.load(path)
    assert found.imports == (*old.imports, Allowed(what="ours.Net", reason="d", repo="org/name"))
    assert found.digests == (Allowed(what=DIGEST, reason="e"),)
    assert found.policy.limits == old.policy.limits


def test_pyproject_gets_the_entry_where_it_has_the_table(run: Run, here: Path) -> None:
    """The nearest file that applies is written, its other tools untouched; a new date takes the old one's place."""
    path = here / "pyproject.toml"
    path.write_text("[tool.other]\na = 1 # one\n\n[tool.picklegate]\n\n[tool.third]\nb = 2\n")
    (here / "below").mkdir()
    assert run("allow", "ours.Net", "--reason", "x", "--expires", "2999-01-01", "--policy", path) == 0
    assert run("allow", "ours.Net", "--reason", "y", "--expires", "2999-01-02") == 0
    assert policy_file.load(path).imports == (Allowed(what="ours.Net", reason="y", expires=dt.date(2999, 1, 2)),)
    assert "a = 1 # one" in path.read_text()
    assert "b = 2" in path.read_text()


def test_a_broken_file_stays_as_it_is(run: Run, here: Path) -> None:
    """Nothing is written into what cannot be read."""
    path = here / "picklegate.toml"
    path.write_text("block_from = 'everything'\n")
    assert run("allow", "ours.Net", "--reason", "x") == 2
    assert path.read_text() == "block_from = 'everything'\n"
    assert [one.name for one in here.iterdir()] == ["picklegate.toml"]


def test_an_import_can_be_for_one_repository() -> None:
    """It counts there, and nowhere else."""
    policy = Policy(allow_imports=["a.B", "ours.Net@org/name"])
    assert policy.within("org/name").allow_imports == ("a.B", "ours.Net")
    assert policy.within("org/other").allow_imports == ("a.B",)


def test_doubts_name_what_has_no_effect(here: Path) -> None:
    """Wildcards, twins, and a table beside a file that holds before it."""
    (here / "picklegate.toml").write_text(
        "allow.imports = [{name='a.*', reason='x'}, {name='a.B', reason='x'}, {name='a.B', reason='y'}]\n"
    )
    (here / "pyproject.toml").write_text("[tool.picklegate]\n")
    told = "\n".join(doubts(policy_file.load()))
    for words in ("a.* matches nothing", "a.B is allowed twice", "is not read, because picklegate.toml"):
        assert words in told
