"""``picklegate rule``."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from picklegate.cli.rule import rule
from picklegate.findings import KINDS


def test_a_code_is_explained() -> None:
    """The text has the row's verdicts, meaning and advice."""
    done = CliRunner().invoke(rule, ["call.score"], standalone_mode=False)
    shown = " ".join(done.output.split())
    assert done.return_value == 0
    assert shown.startswith("call.score: SUSPICIOUS or MALICIOUS, decided by model")
    assert KINDS["call.score"].meaning in shown
    assert f"What to do: {KINDS['call.score'].advice}" in shown


def test_all_codes_as_json() -> None:
    """Programs get every row."""
    done = CliRunner().invoke(rule, ["--all", "--format", "json"])
    assert [row["code"] for row in json.loads(done.output)] == list(KINDS)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["call.scor"], "Did you mean call.score"),
        (["zzzzz"], "rule --all"),
        ([], "name one code"),
        (["a", "--all"], "one"),
    ],
)
def test_a_wrong_code_is_answered_with_what_to_write(arguments: list[str], words: str) -> None:
    """An unknown code, none, and one beside --all are misuse."""
    done = CliRunner().invoke(rule, arguments)
    assert done.exit_code == 2
    assert words in done.output
