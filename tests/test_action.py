"""The GitHub action: its shell steps run, with the environment that a runner gives them."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
ACTION: dict[str, Any] = yaml.safe_load(ROOT.joinpath("action.yml").read_text("utf-8"))
STEPS: dict[str, dict[str, Any]] = {step["name"]: step for step in ACTION["runs"]["steps"]}


@pytest.fixture(name="runner")
def _runner(tmp_path: Path) -> Path:
    """A runner's temporary folder in which the package is installed already, and a repository to scan."""
    command = tmp_path / "picklegate" / "bin" / "picklegate"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/bash\nexec {shlex.quote(sys.executable)} -m picklegate "$@"\n')
    command.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    (work / "good.pkl").write_bytes(b"\x80\x04}.")
    (work / "a $(touch x) b.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    return tmp_path


def scan(runner: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """Runs the step as a runner does, with the defaults of the inputs that are not given."""
    step = STEPS["Scan"]
    given = {name: inputs.get(name.replace("-", "_"), one["default"]) for name, one in ACTION["inputs"].items()}
    variables = {key: given[text.split("inputs.")[1].split()[0]] for key, text in step["env"].items()}
    environment = {
        **os.environ,
        **variables,
        "PYTHONPATH": str(ROOT / "src"),
        "RUNNER_TEMP": str(runner),
        "GITHUB_ACTIONS": "true",
        "GITHUB_OUTPUT": str(runner / "output"),
        "GITHUB_STEP_SUMMARY": str(runner / "summary"),
    }
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        cwd=runner / "work",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_hostile_file_fails_the_job(runner: Path) -> None:
    """Exit code 1, an annotation, a SARIF log to upload, and a table in the summary; the name is no command."""
    done = scan(runner)
    assert done.returncode == 1, done.stderr
    assert "::error file=./a $(touch x) b.pkl," in done.stdout
    sarif = Path((runner / "output").read_text().strip().partition("=")[2])
    assert json.loads(sarif.read_text())["runs"][0]["results"]
    assert "| MALICIOUS |" in (runner / "summary").read_text()
    assert sorted(path.name for path in (runner / "work").iterdir()) == ["a $(touch x) b.pkl", "good.pkl"]


def test_inputs_reach_the_command(runner: Path) -> None:
    """Paths are lines, and text in them is not run; the policy and the verdict that fails are the user's."""
    (runner / "own.toml").write_text("block_from = 'malicious'\n")
    done = scan(runner, paths="good.pkl\n", policy=str(runner / "own.toml"), fail_on="malicious")
    assert done.returncode == 0, done.stderr
    assert scan(runner, paths='"; touch y; "').returncode == 2
    assert not (runner / "work" / "y").exists()


def test_a_failure_of_the_command_is_one_of_the_job(runner: Path) -> None:
    """Misuse leaves no green job."""
    assert scan(runner, fail_on="sometimes").returncode == 2


def test_no_input_stands_in_a_script() -> None:
    """A runner puts the text of ``${{ }}`` into the script, where it would be run."""
    assert not any("${{" in step.get("run", "") for step in STEPS.values())


def test_every_workflow_and_template_is_yaml() -> None:
    """What only GitHub reads can at least be read."""
    paths = [
        *ROOT.joinpath(".github").rglob("*.yml"),
        ROOT / ".pre-commit-config.yaml",
        ROOT / ".pre-commit-hooks.yaml",
    ]
    assert len(paths) >= 6
    for path in paths:
        assert yaml.safe_load(path.read_text("utf-8")), path
