"""Where modules lie: as Python finds them, without importing, and never in the working directory."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from picklegate.capabilities import Callees, Environment, Index
from picklegate.capabilities.sources import Sources, installed_paths, paths_below

SHELL = "import os\ndef run(c): os.system(c)\n"
EMPTY = Index(b"")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A site folder, and the working directory elsewhere."""
    site = tmp_path / "site-packages"
    site.mkdir()
    return site


def put(folder: Path, **files: str) -> None:
    """Write files; two underscores stand for a folder."""
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_plain_modules_packages_and_namespaces(folder: Path, tmp_path: Path) -> None:
    """A module, a package, a package without __init__ in two places, and one of native code."""
    put(folder, one=SHELL, pack__inner=SHELL, space__a=SHELL)
    (folder / "pack" / "__init__.py").write_text("")
    (folder / "fast.cpython-311-x86_64-linux-gnu.so").write_bytes(b"")
    other = tmp_path / "more"
    put(other, space__b=SHELL)
    sources = Sources([str(folder), str(other)])
    for name, kind in (
        ("one", "source"), ("pack", "source"), ("pack.inner", "source"), ("space", "namespace"), ("space.a", "source"),
        ("space.b", "source"), ("fast", "native"), ("sys", "native"),
    ):  # fmt: skip
        found = sources.find(name)
        assert found is not None, name
        assert found.kind == kind, name
    for name in ("nothing", "one.inner", "pack.nothing", "..", "a/b", ""):
        assert sources.find(name) is None, name


def test_pth_files_and_editable_mappings(folder: Path, tmp_path: Path) -> None:
    """Folders that a .pth file names and packages that an editable install maps count; lines of code are not run."""
    put(tmp_path / "elsewhere", added=SHELL)
    put(tmp_path / "project", mapped=SHELL)
    (folder / "x.pth").write_text(f"{tmp_path / 'elsewhere'}\nimport sys; sys.touched = 1\n")
    (folder / "__editable___mapped_finder.py").write_text(
        f"MAPPING: dict[str, str] = {{'mapped': {str(tmp_path / 'project' / 'mapped')!r}}}\n"
    )
    sources = Sources([str(folder)])
    assert sources.find("added") is not None
    assert sources.find("mapped") is not None
    assert not hasattr(sys, "touched")


def test_zip_files(folder: Path) -> None:
    """Modules of a zip file on the path."""
    archive = folder / "bundle.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("zipped/__init__.py", "")
        made.writestr("zipped/deep.py", SHELL)
    sources = Sources([str(archive)])
    found = sources.find("zipped.deep")
    assert found is not None
    assert found.read() == SHELL


def test_the_working_directory_is_never_looked_into(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by its name, nor by an empty entry, nor through a .pth file."""
    here = tmp_path / "download"
    put(here, planted=SHELL, deep__planted2=SHELL)
    monkeypatch.chdir(here)
    (folder / "x.pth").write_text(f"{here}\n{here / 'deep'}\n")
    environment = Environment(["", ".", str(here), str(folder)])
    callees = Callees(index=EMPTY, environment=environment)
    assert callees.find("planted", "run").known == "no"
    assert callees.find("planted2", "run").known == "no"


def test_this_process_without_its_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands on sys.path beside the installation is left out."""
    monkeypatch.syspath_prepend(str(tmp_path))
    paths = installed_paths()
    assert str(tmp_path) not in paths
    assert Sources(paths).find("json") is not None
    assert Sources(paths).find("pytest") is not None


def test_another_environment_by_its_folder(tmp_path: Path) -> None:
    """The folders of an environment, by its own folder or its interpreter, which is not run."""
    site = tmp_path / "lib" / "python3.12" / "site-packages"
    site.mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text("exit 1")
    assert str(site) in paths_below(str(tmp_path))
    assert str(site) in paths_below(str(tmp_path / "bin" / "python"))


class Kept(dict[str, str]):
    """A cache in memory that counts."""

    def put(self, key: str, value: str) -> None:
        """Keep a text."""
        self[key] = value


def test_what_was_told_is_kept_until_a_source_changes(folder: Path) -> None:
    """A second process reads nothing; a changed source is read again."""
    put(folder, helper="import os\ndef go(c): os.system(c)\n", user="import helper\ndef run(c): helper.go(c)\n")
    cache = Kept()

    def kinds() -> set[str]:
        callee = Callees(index=EMPTY, environment=Environment([str(folder)], cache=cache)).find("user", "run")
        return {effect.kind for effect in callee.effects if effect.parameters} - {"unfollowed"}

    assert kinds() == {"command"}
    (told,) = cache.values()
    assert "helper.py" in told
    cache[next(iter(cache))] = told.replace('"canonical": "user.run"', '"canonical": "kept"')
    environment = Environment([str(folder)], cache=cache)
    assert Callees(index=EMPTY, environment=environment).find("user", "run").canonical == "kept"
    (folder / "helper.py").write_text("def go(c): return len(c)\n")
    assert kinds() == set()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"sources": 1}', '{"sources": [], "canonical": 1, "summary": "?"}'])
def test_a_damaged_cache_is_read_again(folder: Path, text: str) -> None:
    """Whatever stands in the cache, the answer is that of the sources."""
    put(folder, user=SHELL)
    cache = Kept()
    environment = Environment([str(folder)], cache=cache)
    Callees(index=EMPTY, environment=environment).find("user", "run")
    for key in cache:
        cache[key] = text
    again = Callees(index=EMPTY, environment=Environment([str(folder)], cache=cache)).find("user", "run")
    assert again.canonical == "user.run"


def test_time_is_bounded_for_each_file(folder: Path) -> None:
    """Once the time is used up nothing is read; the next file has its own."""
    put(folder, user=SHELL)
    environment = Environment([str(folder)], seconds=0.0)
    assert environment.find("user", "run") is None
    assert environment.over
    callees = Callees(index=EMPTY, environment=Environment([str(folder)], seconds=5))
    assert callees.find("user", "run").known == "environment"


def test_many_names_are_bounded(folder: Path) -> None:
    """Beyond 10,000 distinct names nothing is looked up, and none of them raises."""
    callees = Callees(index=EMPTY, environment=Environment([str(folder)]))
    for at in range(10_100):
        assert callees.find(f"m{at}", "x" * (at % 50)).known == "no"
    assert len(callees._found) <= 10_000


ODD = ["", ".", "..", "a..b", "\0", "é.ü", "x" * 100_000, "__self__.__self__", "a" + ".a" * 5_000, "()", "[]", "@self"]


@pytest.mark.parametrize("module", ["os", "user", "pickle", *ODD], ids=lambda text: ascii(text[:12]))
def test_no_name_raises(folder: Path, module: str) -> None:
    """Whatever a file calls its callee."""
    put(folder, user=SHELL)
    callees = Callees(environment=Environment([str(folder)], seconds=5))
    for name in ODD:
        assert callees.find(module, name).kind


def test_sources_that_are_no_python(folder: Path) -> None:
    """What cannot be parsed, or nests too deep, is not known; it does not raise."""
    put(folder, broken="def (", deep="(" * 5_000 + ")" * 5_000, nul="\0", long="x = 1\n" * 900_000)
    callees = Callees(index=EMPTY, environment=Environment([str(folder)], seconds=30))
    for module in ("broken", "deep", "nul", "long"):
        assert callees.find(module, "run").known == "no"
