"""What a type checker says of code that uses the public names."""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import pytest
from packaging.version import Version

import picklegate
from picklegate.hub import signatures

CONSUMER = """\
from pathlib import Path

from picklegate import (
    BlockedError,
    FileReport,
    Policy,
    RepoReport,
    Verdict,
    guarded,
    protect,
    safe_hf_hub_download,
    safe_snapshot_download,
    scan_file,
    scan_repo,
)

path: str = safe_hf_hub_download("org/name", "model.bin", revision="main", cache_dir=Path("x"), policy="project")
folder: str = safe_snapshot_download("org/name", allow_patterns=["*.json"], policy=Policy(allow_imports=["a.B"]))
report: FileReport = scan_file(path)
found: RepoReport = scan_repo("org/name", policy=Policy.from_file())
with guarded(policy="project"), protect():
    pass
try:
    pass
except BlockedError as error:
    verdict: Verdict = error.report.verdict
"""


def checked(code: str, folder: Path) -> str:
    """What mypy says of a program, with the package as its users have it."""
    program = folder / "consumer.py"
    program.write_text(code)
    settings = folder / "mypy.ini"
    settings.write_text(
        "[mypy]\nstrict = true\n"
        "[mypy-huggingface_hub.*,requests.*,platformdirs.*,filelock.*,torch.*,numpy.*]\n"
        "follow_imports = skip\nignore_missing_imports = true\n"
    )
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(folder / "cache"), "--config-file", str(settings)]
    environment = {**os.environ, "MYPYPATH": str(Path(picklegate.__file__).parents[1])}
    done = subprocess.run([*command, str(program)], capture_output=True, text=True, env=environment, check=False)
    return done.stdout + done.stderr


def test_the_public_names_are_typed(tmp_path: Path) -> None:
    """Ordinary use is free of errors, and each mistake is one."""
    pytest.importorskip("mypy")
    mistakes = [
        'safe_hf_hub_download("org/name", "model.bin", revison="main")',
        'safe_hf_hub_download("org/name")',
        'number: int = safe_hf_hub_download("org/name", "model.bin")',
        'safe_snapshot_download("org/name", polcy=None)',
        'Policy(alow_imports=["a.B"])',
        'guarded(policy="mine")',
    ]
    lines = CONSUMER.count("\n")
    said = checked(CONSUMER + "\n".join(mistakes) + "\n", tmp_path)
    wrong = {int(line.split(":")[1]) for line in said.splitlines() if "consumer.py" in line and ": error:" in line}
    assert wrong == {lines + 1 + place for place in range(len(mistakes))}, said


@pytest.mark.skipif(Version(huggingface_hub.__version__).major != 2, reason="describes huggingface_hub 2")
@pytest.mark.parametrize(
    ("protocol", "name"), [("HfHubDownload", "hf_hub_download"), ("SnapshotDownload", "snapshot_download")]
)
def test_the_parameters_are_those_of_the_client(protocol: str, name: str) -> None:
    """In the client's order and kinds, with the policy behind them."""
    tree = ast.parse(Path(signatures.__file__).read_text(encoding="utf-8"))
    described = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == protocol)
    calls = [node.args for node in described.body if isinstance(node, ast.FunctionDef)]
    real = inspect.signature(getattr(huggingface_hub, name)).parameters.values()
    positional = [one.name for one in real if one.kind == one.POSITIONAL_OR_KEYWORD]
    keywords = [one.name for one in real if one.kind == one.KEYWORD_ONLY]
    assert len(calls) == 2
    for arguments in calls:
        assert [one.arg for one in arguments.args] == ["self", *positional]
        assert [one.arg for one in arguments.kwonlyargs] == [*keywords, "policy"]


def test_completion_shows_the_parameters() -> None:
    """An interactive shell asks for the signature: it has the client's names and the policy."""
    names = list(inspect.signature(picklegate.safe_hf_hub_download).parameters)
    assert names[:2] == ["repo_id", "filename"]
    assert names[-1] == "policy"
