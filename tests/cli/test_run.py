"""``picklegate run``: the gate under a whole program, which notices it only where something is refused."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from picklegate import bootstrap
from picklegate.demo import models
from picklegate.demo.hub_server import Hub

LOAD = "import pickle, sys; pickle.load(open('hostile.pkl', 'rb'))"
CHILD = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {LOAD!r}]))"
SPAWN = f"""
import multiprocessing, sys
def load():
    {LOAD}
if __name__ == "__main__":
    process = multiprocessing.get_context("spawn").Process(target=load)
    process.start()
    process.join()
    sys.exit(process.exitcode)
"""
DOWNLOAD = f"""
import sys
from huggingface_hub import hf_hub_download
print(hf_hub_download({models.ORDINARY!r}, {models.WEIGHTS!r}))
hf_hub_download({models.HOSTILE!r}, {models.WEIGHTS!r})
"""


class Touch:
    """An object whose pickle leaves a canary."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Nothing more than an empty file."""
        return os.system, ("touch canary",)


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> Path:
    (tmp_path / "hostile.pkl").write_bytes(pickle.dumps(Touch()))
    return tmp_path


def run(place: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """``picklegate run`` in that place."""
    environment = {**os.environ, "HF_HOME": str(place / "hf"), "NO_PROXY": "127.0.0.1,localhost", **variables}
    return subprocess.run(
        [sys.executable, "-m", "picklegate", "run", *command],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "text", "command"),
    [
        ("script.py", LOAD, ["script.py"]),
        ("module.py", LOAD, ["-m", "module"]),
        ("script.py", LOAD, ["--", sys.executable, "script.py"]),
        ("script.py", CHILD, ["script.py"]),
        ("script.py", SPAWN, ["script.py"]),
    ],
    ids=["script", "module", "command", "child", "spawned"],
)
def test_a_hostile_pickle_does_not_run(place: Path, name: str, text: str, command: list[str]) -> None:
    """The load raises, in whatever process it happens, and the payload has not run."""
    (place / name).write_text(text)
    result = run(place, *command)
    assert result.returncode == 1, result.stderr
    assert "BlockedError" in result.stderr
    assert not (place / "canary").exists()


def test_a_hostile_download_does_not_arrive(place: Path) -> None:
    """The ordinary file does, by the same program."""
    (place / "script.py").write_text(DOWNLOAD)
    with Hub(models.repositories()) as hub:
        result = run(place, "script.py", HF_ENDPOINT=hub.endpoint)
    assert result.returncode == 1
    assert f"BlockedError: hf://{models.HOSTILE}" in result.stderr
    assert Path(result.stdout.strip()).name == models.WEIGHTS


def test_the_policy_is_handed_down(place: Path) -> None:
    """To child processes too, as it was when the program began: what a changed directory says counts no more."""
    (place / "allowing.toml").write_text(
        '[[allow.imports]]\nname = "posix.system"\nreason = "for this test"\n'
        '[[allow.effects]]\nkind = "process"\nreason = "for this test"\n'
    )
    (place / "there").mkdir()
    (place / "there" / "picklegate.toml").write_text((place / "allowing.toml").read_text())
    (place / "script.py").write_text(CHILD)
    allowed = run(place, "--policy", "allowing.toml", "script.py")
    assert (allowed.returncode, (place / "canary").exists()) == (0, True), allowed.stderr
    (place / "canary").unlink()
    (place / "there" / "hostile.pkl").write_bytes((place / "hostile.pkl").read_bytes())
    (place / "script.py").write_text(f"import os; os.chdir('there')\n{CHILD}")
    assert run(place, "script.py").returncode == 1
    assert not list(place.rglob("canary"))


@pytest.mark.parametrize("code", [0, 7], ids=["well", "ill"])
def test_program_and_arguments_are_left_alone(place: Path, code: int) -> None:
    """Arguments, output and exit code pass through."""
    (place / "script.py").write_text(f"import sys; print(sys.argv[1:]); sys.exit({code})")
    result = run(place, "script.py", "-m", "--format=json", "--", "x")
    assert result.stdout == "['-m', '--format=json', '--', 'x']\n"
    assert (result.returncode, result.stderr) == (code, "")


def test_another_sitecustomize_still_runs(place: Path) -> None:
    """The gate's own one gives way to the one that was there, which is then the module of that name."""
    (place / "other").mkdir()
    (place / "other" / "sitecustomize.py").write_text("print('there')")
    code = "import sys; print(sys.modules['sitecustomize'].__file__)"
    result = run(place, "--", sys.executable, "-c", code, PYTHONPATH=str(place / "other"))
    assert result.stdout.split()[-2:] == ["there", str(place / "other" / "sitecustomize.py")]


def test_without_the_gate_nothing_runs(place: Path) -> None:
    """An interpreter in which the gate cannot be put in place stops before its program, and says what to do."""
    (place / "picklegate").mkdir()
    (place / "picklegate" / "__init__.py").touch()
    paths = os.pathsep.join((str(Path(bootstrap.__file__).parent), str(place)))
    command = [sys.executable, "-c", "print('ran')"]
    result = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, timeout=60, check=False
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert "install picklegate there" in result.stderr


@pytest.mark.parametrize(
    ("command", "said"),
    [([], "name a script"), (["no-such-program"], "no-such-program cannot be run"), (["-m"], "requires an argument")],
    ids=["nothing", "missing", "no-module"],
)
def test_misuse_is_said_in_a_sentence(place: Path, command: list[str], said: str) -> None:
    """And ends with exit code 2."""
    result = run(place, *command)
    assert result.returncode == 2
    assert said in result.stderr
