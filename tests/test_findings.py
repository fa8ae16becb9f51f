"""The table of findings has each code that the source gives, and the page is made from it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import picklegate
from picklegate.findings import GROUPS, KINDS, Kind
from tools.findings_page import PAGE, page

SRC = Path(picklegate.__file__).parent
TREES = [
    ast.parse(path.read_text(encoding="utf-8")) for path in sorted(SRC.rglob("*.py")) if path.name != "findings.py"
]
CODE = re.compile(r"[a-z0-9][a-z0-9-]*\.[a-z][a-z0-9-]*")


def takers() -> dict[str, int]:
    """The functions that have a parameter ``code``, and its place among those that are given."""
    found = {}
    for tree in TREES:
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                names = [one.arg for one in node.args.args if one.arg != "self"]
                if "code" in names:
                    found[node.name] = names.index("code")
    return found


def given() -> Iterator[str]:
    """The literal texts that become the code of a finding."""
    places = takers()
    for tree in TREES:
        for node in ast.walk(tree):
            values: list[ast.expr] = []
            if isinstance(node, ast.Call):
                values += [keyword.value for keyword in node.keywords if keyword.arg == "code"]
                values += node.args[(place := places.get(ast.unparse(node.func).rpartition(".")[2], 99)) : place + 1]
            elif isinstance(node, ast.Assign) and any(getattr(one, "id", "") == "code" for one in node.targets):
                values.append(node.value)
            for value in values:
                for leaf in ast.walk(value):
                    if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str) and CODE.fullmatch(leaf.value):
                        yield leaf.value


def test_each_code_has_a_row_and_each_row_a_use() -> None:
    """What the source gives to ``code=`` or to a parameter of that name stands in the table, and nothing else does."""
    assert sorted(set(given())) == sorted(KINDS)


def test_a_code_stands_in_the_table_once() -> None:
    """No row hides another one."""
    assert len(KINDS) == sum(len(kinds) for _, _, kinds in GROUPS)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_row_tells_what_a_reader_needs(kind: Kind) -> None:
    """Meaning and advice are whole sentences; a verdict is milder only than the other."""
    for sentence in (kind.meaning, kind.advice):
        assert sentence.endswith((".", "`"))
        assert sentence[0].isupper() or sentence.startswith(("`", "picklegate", "torch"))
    assert kind.summary in f"{kind.meaning}."
    assert kind.milder is None or kind.milder < kind.verdict


def test_the_page_is_made_from_the_table() -> None:
    """Run ``python -m tools.findings_page`` after a change of the table."""
    assert PAGE.read_text(encoding="utf-8") == page()
