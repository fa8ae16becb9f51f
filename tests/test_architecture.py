"""The walls of the house: the order of the layers, what is banned from src/, and the size of a module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parent.parent / "src"
MODULES = sorted(SRC.rglob("*.py"))
LAYERS = """
    report limits errors escape paths locks policy policy_file findings
    -> refusal
    -> capabilities
    -> pickles
    -> containers
    -> judging
    -> scan
    -> training
    -> store
    -> workers
    -> batch
    -> cache_files
    -> quarantine
    -> hub guard explain
    -> protection
    -> bootstrap
    -> render
    -> serve demo
    -> cli
    -> __main__
"""
RANKS = {f"picklegate.{unit}": rank for rank, layer in enumerate(LAYERS.split("->")) for unit in layer.split()}
LOADING = {f"picklegate.guard.{name}" for name in ("arrays", "pickle_patches", "pickles", "process", "torch")}
LOADERS = {"pickle", "_pickle", "marshal", "dill", "cloudpickle", "joblib", "shelve"}


def name_of(path: Path) -> str:
    """The dotted name of the module at ``path``."""
    return ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__")


def unit_of(module: str) -> str:
    """The unit that a module, or a name in one, belongs to; the package itself where there is none."""
    return max((unit for unit in RANKS if f"{module}.".startswith(f"{unit}.")), key=len, default="picklegate")


def imports(path: Path) -> Iterator[str]:
    """What the module imports, anywhere in it, as dotted names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_only_from_its_left(path: Path) -> None:
    """Layers go one way, front doors do not know one another, and nothing needs what trained the model."""
    unit = unit_of(name_of(path))
    if unit == "picklegate":
        return
    for target in {unit_of(name) for name in imports(path) if name.startswith("picklegate.")} - {unit, "picklegate"}:
        assert RANKS[target] < RANKS[unit] or RANKS[target] == RANKS[unit] == 0, f"{unit} imports {target}"
        assert target != "picklegate.training", f"{unit} imports {target}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_has_its_place(path: Path) -> None:
    """Each module stands in the order of the layers, but for the package's own namespace."""
    assert unit_of(name_of(path)) in RANKS or name_of(path) == "picklegate"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_loads_or_evaluates(path: Path) -> None:
    """Only the guard, which loads after the scan, may import a loader; nothing evaluates text."""
    if name_of(path) not in LOADING:
        assert not LOADERS & {name.partition(".")[0] for name in imports(path)}
    calls = (node.func for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))
    assert not {"eval", "exec", "compile", "__import__"} & {func.id for func in calls if isinstance(func, ast.Name)}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_stays_short(path: Path) -> None:
    """No module has more than 400 lines."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
