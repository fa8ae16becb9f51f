"""The policy file: where it is found, what it says, and how it fails."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from picklegate import Policy, policy_file, scan_bytes
from picklegate.errors import PolicyError
from picklegate.report import Verdict

SYSTEM = b"cos\nsystem\n(S'echo inert'\ntR."
DIGEST = hashlib.sha256(SYSTEM).hexdigest()
WHOLE = f"""
block_from = "malicious"
on_block = "quarantine"
quarantine = "kept"
[scores]
malicious = 0.95
[limits]
max_opcodes = 1000
[[allow.imports]]
name = "ours.models.Net"
reason = "we wrote it"
expires = 2999-01-01
[[allow.imports]]
name = "ours.models.Old"
reason = "for the migration"
expires = 2001-01-01
[[allow.digests]]
sha256 = "{DIGEST}"
reason = "read by hand"
"""

Run = Callable[..., int]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project directory to work in, and a home of the test's own."""
    monkeypatch.setenv("PICKLEGATE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PICKLEGATE_QUARANTINE", raising=False)
    (tmp_path / "home").mkdir()
    folder = tmp_path / "project" / "deep"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder.parent


def test_without_files_the_defaults_hold() -> None:
    """Nothing is read, nothing is laxer."""
    found = policy_file.load()
    assert found == policy_file.Settings()


def test_a_file_says_it_all(place: Path) -> None:
    """Each key has its effect, what has expired has none, and what is laxer is told."""
    (place / "picklegate.toml").write_text(WHOLE)
    found = policy_file.load()
    assert found.files == (place / "picklegate.toml",)
    assert found.policy.block_from == Verdict.MALICIOUS
    assert found.policy.on_block == "quarantine"
    assert found.policy.limits.max_opcodes == 1000
    assert (found.policy.suspicious_score, found.policy.malicious_score) == (None, 0.95)
    assert found.policy.allow_imports == ("ours.models.Net",)
    assert found.policy.allow_digests == (DIGEST,)
    assert found.quarantine == place / "kept"
    assert [item.what for item in found.expired] == ["ours.models.Old"]
    ((path, words),) = found.laxer
    assert path == place / "picklegate.toml"
    assert words == (
        f"it blocks only MALICIOUS, it allows 1 import (ours.models.Net), it allows 1 digest ({DIGEST}), "
        f"it calls malicious only what scores 0.95 or more, it keeps blocked files in {place / 'kept'}"
    )


def test_an_entry_holds_through_its_last_day() -> None:
    """It expires when the day is over."""
    today = dt.datetime.now(dt.timezone.utc).date()
    assert not policy_file.Allowed(what="a.b", reason="x", expires=today).expired
    assert policy_file.Allowed(what="a.b", reason="x", expires=today - dt.timedelta(1)).expired


def test_the_project_is_laid_over_the_user(place: Path) -> None:
    """Lists add up, single values are replaced, and tightening is not told as laxer."""
    user = place.parent / "home" / "picklegate.toml"
    user.write_text('block_from = "malicious"\n[[allow.imports]]\nname = "a.b"\nreason = "x"\n')
    (place / "pyproject.toml").write_text(
        '[tool.picklegate]\nblock_from = "suspicious"\n[[tool.picklegate.allow.imports]]\nname = "c.d"\nreason = "y"\n'
    )
    found = policy_file.load()
    assert found.policy.block_from == Verdict.SUSPICIOUS
    assert found.policy.allow_imports == ("a.b", "c.d")
    assert found.files == (user, place / "pyproject.toml")
    assert dict(found.laxer)[place / "pyproject.toml"] == "it allows 1 import (c.d)"


def test_the_nearest_file_that_speaks_of_us_is_the_projects(place: Path) -> None:
    """A pyproject.toml without our table, or one that is broken, is passed by."""
    (place / "deep" / "pyproject.toml").write_text("[tool.other]\n")
    (place / "pyproject.toml").write_text("[tool.picklegate]\n")
    assert policy_file.project() == place / "pyproject.toml"
    (place / "deep" / "pyproject.toml").write_text("[tool.picklegate\n")
    assert policy_file.project() == place / "pyproject.toml"
    (place / "deep" / "picklegate.toml").touch()
    assert policy_file.project() == place / "deep" / "picklegate.toml"


def test_a_named_file_holds_alone(place: Path) -> None:
    """With a path, neither the user's nor the project's file is read."""
    (place / "picklegate.toml").write_text(WHOLE)
    (place / "strict.toml").write_text("")
    assert policy_file.load(place / "strict.toml").policy == policy_file.Settings().policy


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        pytest.param("block_from", "", "no valid TOML", id="no-toml"),
        pytest.param('block_form = "x"', "block_form", "did you mean block_from?", id="misspelt"),
        pytest.param("zzz = 1", "zzz", "known are block_from", id="unknown"),
        pytest.param('block_from = "clean"', "block_from", "must be one of suspicious", id="level"),
        pytest.param("on_block = 1", "on_block", "must be one of raise", id="action"),
        pytest.param("allow = 1", "allow", "must be a table", id="no-table"),
        pytest.param('allow.imports = ["os.system"]', "allow.imports", "array of tables", id="no-array-of-tables"),
        pytest.param('[[allow.imports]]\nname = "a.b"', "allow.imports[0].reason", "is missing", id="no-reason"),
        pytest.param('[[allow.imports]]\nreason = "x"', "allow.imports[0].name", "is missing", id="no-name"),
        pytest.param('[[allow.imports]]\nname = "a"\nreason = "x"', "allow.imports[0].name", "os.path", id="bare-name"),
        pytest.param(
            '[[allow.imports]]\nname = "a.b"\nreason = "x"\nexpires = "2027-01-01"',
            "allow.imports[0].expires", "must be a date", id="quoted-date",
        ),
        pytest.param('[[allow.digests]]\nsha256 = "AB"\nreason = "x"', "allow.digests", "not a SHA-256", id="digest"),
        pytest.param("[limits]\nmax_opcode = 1", "limits.max_opcode", "did you mean max_opcodes?", id="limit"),
        pytest.param("[limits]\nmax_opcodes = -1", "limits.max_opcodes", "above 0", id="negative-limit"),
        pytest.param("scores.suspicious = 2", "scores.suspicious", "at most 1", id="score"),
        pytest.param("scores.high = 0.5", "scores.high", "known are suspicious", id="unknown-score"),
        pytest.param("quarantine = 1", "quarantine", "path of a directory", id="quarantine"),
    ],
)  # fmt: skip
def test_an_error_names_the_file_and_the_key(
    run: Run, place: Path, text: str, key: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, exit code 2, in the check and in the commands that go by the file."""
    path = place / "picklegate.toml"
    path.write_text(text)
    with pytest.raises(PolicyError, match=r"picklegate\.toml"):
        policy_file.load()
    for command in (["policy", "check"], ["scan", place]):
        assert run(*command) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"picklegate: {path}: {key}")
        assert words in line


def test_check_tells_what_holds(run: Run, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The files, the levels, what is allowed and why, and what makes it laxer."""
    (place / "picklegate.toml").write_text(WHOLE)
    assert run("policy", "check") == 0
    shown = capsys.readouterr().out
    for line in (
        f"read {place / 'picklegate.toml'}",
        "blocks MALICIOUS",
        "allows the import ours.models.Net (we wrote it, until 2999-01-01)",
        "no longer allows the import ours.models.Old (for the migration, until 2001-01-01)",
        f"allows the digest {DIGEST} (read by hand)",
    ):
        assert line in shown.splitlines()


def test_commands_go_by_the_file_and_say_so(run: Run, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An allowed digest does not fail, and stderr says which file allows it; --policy /dev/null undoes that."""
    (place / "evil.pkl").write_bytes(SYSTEM)
    (place / "picklegate.toml").write_text(WHOLE)
    assert run("scan", place / "evil.pkl") == 0
    assert f"{place / 'picklegate.toml'} makes the policy laxer: it blocks only" in capsys.readouterr().err
    (place / "empty.toml").touch()
    assert run("scan", place / "evil.pkl", "--policy", place / "empty.toml") == 1


def test_a_baseline_lets_what_is_known_pass(run: Run, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only a content with a finding that the earlier report has not fails."""
    (place / "known.pkl").write_bytes(SYSTEM)
    report = place / "report.json"
    assert run("scan", place / "known.pkl", "--format", "json", "-o", report) == 1
    (place / "known.pkl").rename(place / "moved.pkl")
    assert run("scan", place / "moved.pkl", "--baseline", report) == 0
    assert "1 blocked file is known from the baseline" in capsys.readouterr().err
    (place / "new.pkl").write_bytes(SYSTEM.replace(b"inert", b"other"))
    assert run("scan", place / "moved.pkl", place / "new.pkl", "--baseline", report) == 1
    less = json.loads(report.read_text())
    less["files"][0]["streams"][0]["findings"].pop()
    report.write_text(json.dumps(less))
    assert run("scan", place / "moved.pkl", "--baseline", report) == 1


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": [{}]}'], ids=["empty", "list", "object", "no-file"])
def test_a_baseline_that_is_none_is_told(run: Run, place: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is one line, and not a traceback."""
    (place / "report.json").write_text(text)
    (place / "evil.pkl").write_bytes(SYSTEM)
    assert run("scan", place / "evil.pkl", "--baseline", place / "report.json") == 2
    assert "is no JSON report of picklegate" in capsys.readouterr().err


def test_scores_of_the_policy_hold_in_the_place_of_the_models() -> None:
    """A call is suspicious or malicious from the policy's scores on, and the file's verdict follows."""
    data = b"cunheard.of\nThing\n(S'touch me'\ntR."
    score = scan_bytes(data).score
    assert 0.01 < score < 0.99

    def verdict(suspicious: float, malicious: float) -> Verdict:
        policy = Policy(suspicious_score=suspicious, malicious_score=malicious)
        return scan_bytes(data, policy=policy).verdict

    assert verdict(score + 0.005, score + 0.005) == Verdict.CLEAN
    assert verdict(score, score + 0.005) == Verdict.SUSPICIOUS
    assert verdict(score, score) == Verdict.MALICIOUS
    for wrong in (0, 1.1, True, "0.5"):
        with pytest.raises(PolicyError, match="suspicious_score"):
            Policy(suspicious_score=wrong)  # type: ignore[arg-type]


def test_effects_are_allowed_by_kind(tmp_path: Path) -> None:
    """With a reason, and only the kinds that there are; it is told as laxer."""
    path = tmp_path / "picklegate.toml"
    path.write_text('[[allow.effects]]\nkind = "read"\nreason = "a vocabulary"\n')
    found = policy_file.load(path)
    assert found.policy.allow_effects == ("read",)
    assert found.laxer == ((path, "it allows 1 effect (read)"),)
    path.write_text('[[allow.effects]]\nkind = "everything"\nreason = "a vocabulary"\n')
    with pytest.raises(PolicyError, match=r"allow\.effects: 'everything' is none of"):
        policy_file.load(path)


@pytest.mark.parametrize("key", ["prefer_safetensors", "block_unjudged", "strict"])
def test_switches_are_true_or_false(tmp_path: Path, key: str) -> None:
    """Each is an option of the policy; anything else is an error that names it."""
    path = tmp_path / "picklegate.toml"
    path.write_text(f"{key} = true\n")
    assert getattr(policy_file.load(path).policy, key) is True
    path.write_text(f"{key} = 1\n")
    with pytest.raises(PolicyError, match=key):
        policy_file.load(path)
