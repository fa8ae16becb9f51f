"""docs/schema.json describes the JSON report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from picklegate import scan_bytes
from picklegate.render import as_json
from samples.hostile import HONEST, HOSTILE

SCHEMA: dict[str, Any] = json.loads(Path(__file__).parents[2].joinpath("docs", "schema.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_the_schema_is_one() -> None:
    """The file itself is valid JSON Schema."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_reports_are_as_the_schema_says() -> None:
    """Reports on hostile and harmless files of every container are valid."""
    reports = [scan_bytes(sample.data, name=sample.id) for sample in HOSTILE[::4]]
    reports += [scan_bytes(sample.data, name=sample.id) for sample in HONEST]
    document = json.loads(as_json.render(reports))
    VALIDATOR.validate(document)
    assert len(document["files"]) == len(reports)


def test_each_key_of_a_report_is_described() -> None:
    """What a report has, the schema explains."""
    document = json.loads(as_json.render([scan_bytes(sample.data) for sample in HOSTILE[::8]]))
    parts = SCHEMA["$defs"]
    for file in document["files"]:
        assert set(file) <= set(parts["file"]["properties"])
        for stream in file["streams"]:
            assert set(stream) <= set(parts["stream"]["properties"])
            for key, name in (("calls", "call"), ("findings", "finding"), ("disassembly", "instruction")):
                assert all(set(part) <= set(parts[name]["properties"]) for part in stream[key])
    assert set(document["context"]) == set(parts["context"]["properties"])
    assert set(document["summary"]) <= set(parts["summary"]["properties"])


@pytest.mark.parametrize(
    ("place", "value"),
    [
        pytest.param(("verdict",), "FINE", id="unknown-verdict"),
        pytest.param(("sha256",), "abc", id="short-digest"),
        pytest.param(("streams", 0, "imports", 0), ["os"], id="import-without-name"),
        pytest.param(("streams", 0, "calls", 0, "score"), 1.5, id="score-above-one"),
    ],
)
def test_the_schema_refuses_what_no_report_says(place: tuple[str | int, ...], value: object) -> None:
    """It is strict enough to notice a change."""
    document = json.loads(as_json.render([scan_bytes(HOSTILE[0].data)]))
    part: Any = document["files"][0]
    for step in place[:-1]:
        part = part[step]
    part[place[-1]] = value
    assert not VALIDATOR.is_valid(document)
