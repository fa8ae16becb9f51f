"""Reports as SARIF 2.1.0, for code scanning services; the words are those of the other forms."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from picklegate import __version__
from picklegate.escape import escape
from picklegate.findings import FAULT, KINDS, Kind
from picklegate.judging.classifier import version
from picklegate.judging.model_files import digest
from picklegate.provenance import replaced_model
from picklegate.render.summary import Allowances
from picklegate.report import FileReport, Finding, StreamReport, Verdict

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_HELP = "https://cwe.mitre.org/data/definitions/502.html"
_LEVELS = {Verdict.SUSPICIOUS: "warning", Verdict.UNSCANNABLE: "warning", Verdict.MALICIOUS: "error"}
_SEVERITIES = {Verdict.CLEAN: "0.0", Verdict.SUSPICIOUS: "6.0", Verdict.UNSCANNABLE: "5.0", Verdict.MALICIOUS: "9.5"}
"""GitHub's ``security-severity``, on the scale of CVSS."""
_PLAIN = frozenset(("raw", "joblib", "torch_legacy"))
"""Containers whose streams lie in the file as they are, so that a stream's offsets are the file's."""
_MESSAGE_WIDTH = 1_000


def render(reports: Sequence[FileReport], *, complete: bool = True, allowed: Allowances | None = None) -> str:
    """One SARIF log with one run: a result for each finding above CLEAN; ASCII, as the JSON form.

    What is ``allowed`` is suppressed, with its reason.
    """
    blocked = [report for report in reports if report.verdict > Verdict.CLEAN]
    codes = list(dict.fromkeys(finding.code for report in blocked for finding, _ in _reasons(report)))
    run = {
        "tool": {
            "driver": {
                "name": "picklegate",
                "semanticVersion": __version__,
                "rules": [_rule(code) for code in codes],
            },
            "extensions": [
                {
                    "name": "picklegate model",
                    "version": version(),
                    "properties": {"digest": digest(), "replaced": replaced_model()},
                }
            ],
        },
        "invocations": [{"executionSuccessful": complete}],
        "artifacts": [_artifact(report) for report in blocked],
        "results": [
            _result(report, index, finding, stream, codes) | _suppressed(report, allowed)
            for index, report in enumerate(blocked)
            for finding, stream in _reasons(report)
        ],
        "properties": {"files": len(reports)},
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _reasons(report: FileReport) -> Iterator[tuple[Finding, StreamReport | None]]:
    pairs: list[tuple[Finding, StreamReport | None]] = [(finding, None) for finding in report.findings]
    pairs += [(finding, stream) for stream in report.streams for finding in stream.findings]
    yield from sorted((p for p in pairs if p[0].verdict > Verdict.CLEAN), key=lambda pair: -pair[0].verdict)


def _suppressed(report: FileReport, allowed: Allowances | None) -> dict[str, Any]:
    if not allowed or report.sha256 not in allowed:
        return {}
    return {"suppressions": [{"kind": "external", "justification": escape(allowed[report.sha256], _MESSAGE_WIDTH)}]}


def _rule(code: str) -> dict[str, Any]:
    kind = KINDS.get(code) or Kind(code, Verdict.UNSCANNABLE, FAULT, code, "")
    return {
        "id": code,
        "shortDescription": {"text": kind.summary},
        "fullDescription": {"text": kind.meaning},
        "help": {"text": f"{kind.meaning} {kind.advice}".strip()},
        "helpUri": _HELP,
        "defaultConfiguration": {"level": _LEVELS.get(kind.verdict, "note")},
        "properties": {
            "tags": ["security", "external/cwe/cwe-502"],
            "security-severity": _SEVERITIES[kind.verdict],
        },
    }


def _artifact(report: FileReport) -> dict[str, Any]:
    artifact: dict[str, Any] = {"location": {"uri": _uri(report.name)}, "length": report.size}
    if report.sha256:
        artifact["hashes"] = {"sha-256": report.sha256}
    return artifact


def _result(
    report: FileReport, index: int, finding: Finding, stream: StreamReport | None, codes: list[str]
) -> dict[str, Any]:
    # Code scanning services show nothing where no line is given: https://github.com/ossf/scorecard/pull/1458
    region = {"startLine": 1}
    place: dict[str, Any] = {"artifactLocation": {"uri": _uri(report.name), "index": index}, "region": region}
    if finding.offset is not None and report.container in _PLAIN and (stream is None or " > " not in stream.name):
        region["byteOffset"] = finding.offset
    location: dict[str, Any] = {"physicalLocation": place}
    name = finding.stream or (stream.name if stream else "")
    if name:
        location["logicalLocations"] = [{"fullyQualifiedName": escape(name, _MESSAGE_WIDTH), "kind": "member"}]
    callee = next((call.callee for call in stream.calls if call.offset == finding.offset), "") if stream else ""
    about = f"{finding.code}\0{report.sha256 or report.name}\0{callee}"
    where = "" if finding.offset is None else f" (byte {finding.offset} of {escape(name or 'the file', 200)})"
    properties: dict[str, Any] = {"verdict": finding.verdict.name, "stream offset": finding.offset}
    if stream:
        properties |= {"score": round(stream.score, 6), "decided by": stream.decided_by}
        properties |= {} if stream.novelty is None else {"novelty": round(stream.novelty, 3)}
        properties |= {"callee": escape(callee, _MESSAGE_WIDTH)} if callee else {}
    if finding.contributions:
        properties["contributions"] = dict(finding.contributions)
    return {
        "ruleId": finding.code,
        "ruleIndex": codes.index(finding.code),
        "level": _LEVELS[finding.verdict],
        "message": {"text": f"{escape(finding.message, _MESSAGE_WIDTH)}{where}"},
        "locations": [location],
        "partialFingerprints": {
            "picklegate/v1": hashlib.sha256(about.encode("utf-8", "surrogatepass")).hexdigest(),
        },
        "properties": properties,
    }


def _uri(path: str) -> str:
    """A URI, relative for what lies below the working directory, as services want it that know a repository."""
    if "://" in path:
        return quote(path, safe="/:@?=&", errors="backslashreplace")
    here = os.getcwd()
    if os.path.isabs(path):
        if os.path.commonpath((here, path)) != here:
            return "file://" + quote(os.fsencode(path))
        path = os.path.relpath(path, here)
    return quote(os.fsencode(os.path.normpath(path)))
