"""What libraries that download by themselves make of a refusal: hostile models on the loopback Hub, under protect().

    python -m benchmarks.robustness.libraries

Each installed library asks for a model whose weights would run a command. Told are the exceptions that arrive, the
outermost first, and whether the reason was on the screen. It fails where a hostile file was kept or no error came.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import picklegate
from picklegate.demo import models
from picklegate.demo.hub_server import Hub

HOSTILE = models.repositories()[models.HOSTILE][models.WEIGHTS]
BERT = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "intermediate_size": 8,
    "vocab_size": 16,
    "max_position_embeddings": 16,
}
UNET = {
    "_class_name": "UNet2DModel",
    "sample_size": 8,
    "block_out_channels": [32],
    "down_block_types": ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"],
    "layers_per_block": 1,
    "norm_num_groups": 8,
}
PIPELINE = {"_class_name": "DDPMPipeline", "_diffusers_version": "0.30.0", "unet": ["diffusers", "UNet2DModel"]}
MODULES = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
LORA = {"peft_type": "LORA", "r": 2, "target_modules": ["query"], "base_model_name_or_path": "org/bert"}
TIMM = {"architecture": "resnet10t", "num_classes": 2, "pretrained_cfg": {}}


def repositories() -> Mapping[str, Mapping[str, bytes]]:
    """A hostile repository in the form of each library."""
    described: dict[str, dict[str, Any]] = {
        "org/bert": {"config.json": BERT, "pytorch_model.bin": None},
        "org/sentences": {
            "modules.json": MODULES,
            "config.json": BERT,
            "config_sentence_transformers.json": {},
            "tokenizer_config.json": {},
            "pytorch_model.bin": None,
        },
        "org/pipeline": {
            "model_index.json": PIPELINE,
            "unet/config.json": UNET,
            "unet/diffusion_pytorch_model.bin": None,
        },
        "org/timm": {"config.json": TIMM, "pytorch_model.bin": None},
        "org/lora": {"adapter_config.json": LORA, "adapter_model.bin": None},
        "org/yolo": {"model.pt": None},
        "datasets/org/data": {"data.pkl": None},
    }
    return {
        name: {path: HOSTILE if value is None else json.dumps(value).encode() for path, value in files.items()}
        for name, files in described.items()
    }


def with_transformers() -> None:
    """A model by its name."""
    from transformers import AutoModel

    AutoModel.from_pretrained("org/bert")


def with_sentence_transformers() -> None:
    """A sentence embedder by its name."""
    from sentence_transformers import SentenceTransformer

    SentenceTransformer("org/sentences")


def with_diffusers() -> None:
    """A pipeline by its name."""
    from diffusers import DiffusionPipeline

    DiffusionPipeline.from_pretrained("org/pipeline")


def with_timm() -> None:
    """An image model by its address."""
    import timm

    timm.create_model("hf-hub:org/timm", pretrained=True)


def with_peft() -> None:
    """An adapter on a model that is there."""
    from peft import PeftModel
    from transformers import BertConfig, BertModel

    options = {name: value for name, value in BERT.items() if name != "architectures"}
    PeftModel.from_pretrained(BertModel(BertConfig(**options)), "org/lora")


def with_datasets() -> None:
    """A pickled table."""
    from datasets import load_dataset

    load_dataset("pandas", data_files="hf://datasets/org/data/data.pkl")


def with_pandas() -> None:
    """The same, by the file system."""
    import pandas as pd

    pd.read_pickle("hf://datasets/org/data/data.pkl")


def with_ultralytics() -> None:
    """A detector that is fetched first, as its documentation says."""
    from huggingface_hub import hf_hub_download
    from ultralytics import YOLO

    YOLO(hf_hub_download("org/yolo", "model.pt"))


LIBRARIES = {
    "transformers": with_transformers,
    "sentence_transformers": with_sentence_transformers,
    "diffusers": with_diffusers,
    "timm": with_timm,
    "peft": with_peft,
    "datasets": with_datasets,
    "pandas": with_pandas,
    "ultralytics": with_ultralytics,
}


class Screen(logging.Handler):
    """What the logger of decisions puts on the screen."""

    def __init__(self) -> None:
        """Begin with nothing."""
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.lines.append(record.getMessage())


def outcome(load: Callable[[], None]) -> tuple[str, bool]:
    """The exceptions of a load, the outermost first, and whether the gate refused."""
    try:
        with picklegate.protect():
            load()
    except ImportError as error:
        return f"cannot be imported here: {error}", True
    except Exception as error:  # noqa: BLE001 (that is what is told)
        chain: list[BaseException] = []
        link: BaseException | None = error
        while link is not None and link not in chain:
            chain.append(link)
            link = link.__cause__ or link.__context__
        kinds = dict.fromkeys(type(one).__name__ for one in chain)
        return " from ".join(f"`{kind}`" for kind in kinds), "BlockedError" in kinds
    return "no error", False


def main() -> int:
    """Try each and print a line on it."""
    failed = False
    print("| library | version | what arrives | reason on the screen |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as home, Hub(repositories()) as hub:
        os.environ |= {
            "HF_HOME": home,
            "HF_ENDPOINT": hub.endpoint,
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1,localhost",
            "PICKLEGATE_HOME": f"{home}/picklegate",
        }
        for name, load in LIBRARIES.items():
            if importlib.util.find_spec(name) is None:
                print(f"| {name} | not installed | | |")
                continue
            from importlib.metadata import version

            screen = Screen()
            logging.getLogger("picklegate").addHandler(screen)
            told, refused = outcome(load)
            logging.getLogger("picklegate").removeHandler(screen)
            failed |= not refused
            shown = any("is refused (MALICIOUS)" in line for line in screen.lines)
            print(f"| {name} | {version(name.replace('_', '-'))} | {told} | {'yes' if shown else 'no'} |", flush=True)
        kept = [path for path in Path(home).rglob("*") if path.is_file() and path.read_bytes() == HOSTILE]
    print(f"\nhostile files kept: {len(kept)}")
    return 1 if failed or kept else 0


if __name__ == "__main__":
    sys.exit(main())
