"""The safetensors beside pickled weights, and the code beside both."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from picklegate import BlockedError, Policy, safe_hf_hub_download, safe_snapshot_download, scan_repo
from picklegate.demo import models
from picklegate.demo.hub_server import Hub
from picklegate.hub.siblings import code_beside, pickled_twins

INDEX = "model.safetensors.index.json"
SHARDS = [f"model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("paths", "left_out"),
    [
        (["pytorch_model.bin", "model.safetensors"], ["pytorch_model.bin"]),
        (["a/adapter_model.bin", "a/adapter_model.safetensors"], ["a/adapter_model.bin"]),
        (
            ["unet/diffusion_pytorch_model.fp16.bin", "unet/diffusion_pytorch_model.fp16.safetensors"],
            ["unet/diffusion_pytorch_model.fp16.bin"],
        ),
        (["weights.ckpt", "weights.pth", "weights.safetensors"], ["weights.ckpt", "weights.pth"]),
        (
            [
                "pytorch_model-00001-of-00002.bin",
                "pytorch_model.bin.index.json",
                *SHARDS,
                "model.safetensors.index.json",
            ],
            ["pytorch_model-00001-of-00002.bin", "pytorch_model.bin.index.json"],
        ),
        (["pytorch_model.bin", *SHARDS[:2]], []),
        (["pytorch_model.bin", "model.safetensors.index.json"], []),
        (["pytorch_model.bin", "a/model.safetensors"], []),
        (["optimizer.pt", "model.safetensors"], []),
        (["pytorch_model.fp16.bin", "model.safetensors"], []),
    ],
    ids=" ".join,
)
def test_what_a_complete_copy_replaces(paths: list[str], left_out: list[str]) -> None:
    """Files of the same name in the same folder, and only where the copy is whole."""
    assert list(pickled_twins(paths)) == left_out


def test_code_is_found_by_its_name() -> None:
    """Scripts, modules and libraries."""
    assert code_beside(["b/modeling.py", "config.json", "a.so", "x.safetensors"]) == ("a.so", "b/modeling.py")


@pytest.fixture(name="hub")
def _hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Hub:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("PICKLEGATE_HOME", str(tmp_path / "home"))
    made = models.repositories()
    hostile = next(data for name, data in made[models.HOSTILE].items() if name in models.PAYLOADS)
    files = {"pytorch_model.bin": hostile, "model.safetensors": made[models.ORDINARY]["model.safetensors"]}
    return Hub({"org/model": {**files, "modeling.py": b"print()\n"}})


def test_a_snapshot_prefers_safetensors(hub: Hub, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What has a copy is neither judged nor fetched, and that is said."""
    with hub, caplog.at_level(logging.WARNING):
        options: dict[str, Any] = {"endpoint": hub.endpoint, "cache_dir": tmp_path / "cache", "token": False}
        with pytest.raises(BlockedError):
            safe_snapshot_download("org/model", **options)
        folder: str = safe_snapshot_download("org/model", policy=Policy(prefer_safetensors=True), **options)
    assert sorted(path.name for path in Path(folder).iterdir()) == ["model.safetensors", "modeling.py"]
    assert "pytorch_model.bin is left out: model.safetensors" in caplog.text


def test_a_refused_file_names_its_copy(hub: Hub, tmp_path: Path) -> None:
    """One file that was asked for is refused with the name of what to take instead."""
    with hub, pytest.raises(BlockedError, match=r"same weights without code: model\.safetensors"):
        safe_hf_hub_download(
            "org/model", "pytorch_model.bin", endpoint=hub.endpoint, cache_dir=tmp_path / "cache", token=False
        )


def test_a_repository_tells_of_its_code(hub: Hub) -> None:
    """Which nobody judges here."""
    with hub:
        assert scan_repo("org/model", endpoint=hub.endpoint, token=False).code == ("modeling.py",)
