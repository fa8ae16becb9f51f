"""What libraries that are large, old or hard to install pickle: the same names and states, made without them."""

from __future__ import annotations

import collections
import importlib
import io
import pathlib
import random
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

Objects = Iterator[tuple[str, Any]]


def imitated(dotted: str, *bases: type, **body: Any) -> Any:
    """A class that pickles under the dotted name, put where pickle looks for it."""
    owner, _, name = dotted.rpartition(".")
    parts = owner.split(".")
    for end in range(1, len(parts) + 1):
        path = ".".join(parts[:end])
        module = sys.modules.setdefault(path, types.ModuleType(path))
    if not hasattr(module, name):
        made = type(name, bases or (object,), {"__module__": owner, "__qualname__": name, **body})
        setattr(module, name, made)
    return getattr(module, name)


def instance(dotted: str, *bases: type, **state: Any) -> Any:
    """An instance of such a class, with the state as its attributes."""
    made: Any = object.__new__(imitated(dotted, *bases))
    made.__dict__.update(state)
    return made


def function(dotted: str) -> Any:
    """A function that pickles under the dotted name."""
    owner, _, name = dotted.rpartition(".")
    imitated(f"{owner}._Place")
    module = sys.modules[owner]

    def made(*_given: Any) -> None:
        """Do nothing."""

    made.__module__, made.__name__, made.__qualname__ = owner, name, name
    return module.__dict__.setdefault(name, made)


def module(dotted: str, *parts: Any, **state: Any) -> Any:
    """A torch module of such a class."""
    torch = importlib.import_module("torch")
    made = imitated(dotted, torch.nn.Module)()
    for number, part in enumerate(parts):
        made.add_module(str(number), part)
    made.__dict__.update(state)
    return made


def saved(made: Any, *, zipped: bool = True) -> bytes:
    """The object as torch.save writes it."""
    out = io.BytesIO()
    importlib.import_module("torch").save(made, out, _use_new_zipfile_serialization=zipped)
    return out.getvalue()


def yolo(_rng: random.Random) -> Objects:
    """Detection models of the older repositories, saved whole."""
    nn = importlib.import_module("torch").nn
    conv = module(
        "models.common.Conv",
        nn.Conv2d(3, 4, 1),
        nn.BatchNorm2d(4),
        nn.SiLU(),
        i=0,
        f=-1,
        type="models.common.Conv",
        np=32,
    )
    detect = module(
        "models.yolo.Detect",
        nn.ModuleList([nn.Conv2d(4, 4, 1)]),
        nc=80,
        no=85,
        nl=3,
        na=3,
        i=24,
        f=[17, 20],
        type="models.yolo.Detect",
        inplace=True,
    )
    names = ["person", "traffic light", "hot dog"]
    yaml = {
        "nc": 80,
        "depth_multiple": 0.33,
        "anchors": [[10, 13]],
        "backbone": [[-1, 1, "Conv", [64, 6, 2, 2]], [-1, 1, "nn.Upsample", ["None", 2, "nearest"]]],
    }
    for title in (
        "models.yolo.Model",
        "models.yolo.DetectionModel",
        "models.yolo.SegmentationModel",
        "yolov6.models.yolo.Model",
    ):
        made = module(
            title,
            nn.Sequential(conv, detect),
            yaml=yaml,
            names=names,
            save=[4, 6],
            yaml_file="yolov5s.yaml",
            hyp={"lr0": 0.01},
            task="detect",
        )
        for zipped in (True, False):
            yield (
                f"{title.replace('.', '-')}-{zipped}.pt",
                saved(
                    {
                        "epoch": -1,
                        "best_fitness": None,
                        "model": made,
                        "ema": None,
                        "optimizer": None,
                        "wandb_id": None,
                        "date": "2021-04-11T15:00:00.1",
                        "opt": {
                            "weights": "yolov5s.pt",
                            "cfg": "",
                            "data": "data/coco.yaml",
                            "project": pathlib.PosixPath("runs/train"),
                            "cmd": "python train.py --img 640",
                        },
                    },
                    zipped=zipped,
                ),
            )


def generators(_rng: random.Random) -> Objects:
    """Networks that carry their own source, and other image models."""
    torch = importlib.import_module("torch")

    def rebuilt(meta: dict[str, Any]) -> Any:
        raise AssertionError(meta)

    rebuilt.__module__, rebuilt.__name__, rebuilt.__qualname__ = (
        "torch_utils.persistence",
        "_reconstruct_persistent_obj",
        "_reconstruct_persistent_obj",
    )
    imitated("torch_utils.persistence._Place")
    sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj = rebuilt  # type: ignore[attr-defined]
    source = (
        "# Copyright (c) 2021, NVIDIA CORPORATION.  All rights reserved.\nimport os\nimport numpy as np\nimport torch\n"
        "from torch_utils import misc\nfrom torch_utils import persistence\n\n@persistence.persistent_class\n"
        "class Generator(torch.nn.Module):\n    def __init__(self, z_dim, c_dim, w_dim):\n        super().__init__()\n"
        "        self.z_dim = z_dim\n    def forward(self, z, c, truncation_psi=1):\n        ws = self.mapping(z, c)\n"
        "        return self.synthesis(ws)\n"
    )
    easy = imitated("dnnlib.util.EasyDict", dict)

    class Persistent:
        def __init__(self, name: str, state: Any) -> None:
            self.name, self.state = name, state

        def __reduce__(self) -> Any:
            meta = easy(type="class", version=6, module_src=source, class_name=self.name, state=self.state)
            return rebuilt, (meta,), None

    layers = {
        "_modules": collections.OrderedDict(mapping=Persistent("MappingNetwork", {"training": False})),
        "_parameters": collections.OrderedDict(w=torch.nn.Parameter(torch.zeros(2))),
        "training": False,
        "z_dim": 512,
    }
    whole = {
        "G": Persistent("Generator", layers),
        "D": Persistent("Discriminator", layers),
        "G_ema": Persistent("Generator", layers),
        "training_set_kwargs": easy(
            class_name="training.dataset.ImageFolderDataset", path="/data/ffhq.zip", use_labels=False
        ),
    }
    for protocol in (2, 4):
        yield f"stylegan.p{protocol}.pkl", _pickled(whole, protocol)
    yield "gfpgan.pth", saved({"params_ema": {"conv.weight": torch.zeros(2)}})
    yield (
        "ldm.ckpt",
        saved(
            {
                "state_dict": {"model.w": torch.zeros(2)},
                "callbacks": {
                    imitated("pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint"): {
                        "monitor": "val/loss",
                        "dirpath": "/home/me/logs/ckpt",
                        "best_model_path": "/home/me/logs/last.ckpt",
                    }
                },
            }
        ),
    )
    yield (
        "embedding.pt",
        saved(
            {
                "string_to_token": {"*": 265},
                "string_to_param": {"*": torch.zeros(2)},
                "name": "style",
                "sd_checkpoint_name": "v1-5",
            }
        ),
    )


def detection(_rng: random.Random) -> Objects:
    """Configurations and checkpoints of detectron2, mmcv and their kin."""
    torch = importlib.import_module("torch")
    node = imitated("detectron2.config.config.CfgNode", dict)
    made = node(
        MODEL=node(WEIGHTS="detectron2://ImageNetPretrained/MSRA/R-50.pkl", DEVICE="cuda"), OUTPUT_DIR="./output"
    )
    made.__dict__.update(__immutable__=False, __deprecated_keys__=set(), __renamed_keys__={}, __new_allowed__=False)
    yield "cfg.pkl", made
    yield (
        "detectron.pkl",
        {
            "model": {"stem.conv1": importlib.import_module("numpy").zeros(2, "f4")},
            "__author__": "Third Party",
            "matching_heuristics": True,
        },
    )
    config = imitated("mmcv.utils.config.ConfigDict", dict)
    yield (
        "mmcv.pth",
        saved(
            {
                "meta": {
                    "env_info": "sys.platform: linux\nPython: 3.7\nGCC: gcc (Ubuntu)",
                    "config": "model = dict(type='FasterRCNN')\ndata_root = 'data/coco/'\noptimizer = dict(lr=0.02)\n",
                    "time": "Mon Jan 1 00:00:00 2024",
                    "CLASSES": ("person",),
                    "exp_name": "faster_rcnn.py",
                    "hook_msgs": {},
                },
                "state_dict": {"w": torch.zeros(2)},
                "optimizer": {"state": {}},
            }
        ),
    )
    yield (
        "mmengine.pth",
        saved(
            {
                "message_hub": {
                    "log_scalars": {
                        "train/lr": instance(
                            "mmengine.logging.history_buffer.HistoryBuffer",
                            _log_history=[0.1],
                            max_length=1000,
                            _statistics_methods={
                                "min": function("mmengine.logging.history_buffer.HistoryBuffer_min"),
                                "mean": function("mmengine.logging.history_buffer.HistoryBuffer_mean"),
                            },
                        )
                    }
                },
                "cfg": config(a=1),
            }
        ),
    )
    yield (
        "boxes.pkl",
        [
            instance("detectron2.structures.boxes.Boxes", tensor=torch.zeros(1, 4)),
            instance("detectron2.structures.instances.Instances", _image_size=(8, 8), _fields={}),
        ],
    )


def _pickled(made: Any, protocol: int) -> bytes:
    import pickle

    return pickle.dumps(made, protocol)


LIBRARIES: dict[str, Callable[[random.Random], Objects]] = {
    "yolo": yolo,
    "generators": generators,
    "detection": detection,
}
