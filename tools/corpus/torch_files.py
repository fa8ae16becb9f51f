"""Checkpoints, arguments of trainers and whole modules, as libraries around torch save them."""

from __future__ import annotations

import argparse
import functools
import importlib
import io
import pathlib
import random
from collections.abc import Callable, Iterator
from typing import Any

Objects = Iterator[tuple[str, Any]]
"""(file name, object) pairs; bytes are written as they are."""


def torch_module() -> Any:
    """Import torch."""
    return importlib.import_module("torch")


def _net() -> Any:
    nn = torch_module().nn
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.SiLU(), nn.Linear(4, 2))


def saved(made: Any) -> bytes:
    """The object as torch.save writes it."""
    out = io.BytesIO()
    torch_module().save(made, out)
    return out.getvalue()


def _halved(epoch: int) -> float:
    """A schedule of one's own."""
    return 0.5**epoch


def training(rng: random.Random) -> Objects:
    """What training loops save beside the weights."""
    torch = torch_module()
    numpy = importlib.import_module("numpy")
    net = _net()
    optimizer = torch.optim.AdamW(net.parameters(), lr=rng.random())
    net(torch.zeros(1, 3, 6, 6).contiguous()[:, :, :4, :4].repeat(1, 1, 2, 2)[:, :, :6, :6]).sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lr_lambda=_halved)
    yield "optimizer.pt", saved(optimizer.state_dict())
    yield "scheduler.pt", saved(torch.optim.lr_scheduler.StepLR(optimizer, 3).state_dict())
    yield "lambda-scheduler.pt", saved(scheduler.state_dict())
    yield "whole-optimizer.pt", saved(optimizer)
    rng_state = {
        "python": random.getstate(),
        "numpy": numpy.random.get_state(),
        "cpu": torch.get_rng_state(),
        "cuda": [torch.get_rng_state()],
    }
    yield "rng_state.pth", saved(rng_state)
    yield "scaler.pt", saved(torch.amp.GradScaler("cpu").state_dict())
    args = argparse.Namespace(
        lr=0.1,
        data="/data/imagenet",
        cmd="python train.py --lr 0.1",
        local_rank=0,
        device=torch.device("cpu"),
        output_dir=pathlib.PosixPath("runs/exp"),
        url="https://example.org/model.pth",
        resume=None,
    )
    yield "checkpoint-namespace.pt", saved({"model": net.state_dict(), "args": args, "epoch": 3, "best": 0.5})
    yield (
        "checkpoint-partial.pt",
        saved({"act": functools.partial(torch.nn.LeakyReLU, 0.2), "norm": torch.nn.LayerNorm}),
    )
    yield "types.pt", saved({"dtype": torch.bfloat16, "size": torch.Size([1, 2]), "layout": torch.strided})
    yield "sparse.pt", saved([torch.eye(3).to_sparse(), torch.quantize_per_tensor(torch.eye(2), 0.1, 0, torch.qint8)])
    yield "parameter.pt", saved(torch.nn.ParameterList([torch.nn.Parameter(torch.zeros(2))]))
    data = torch.utils.data
    yield "dataset.pt", saved(data.TensorDataset(torch.zeros(3), torch.ones(3)))
    yield "subset.pt", saved(data.Subset(data.TensorDataset(torch.zeros(3)), [0, 1]))


def transformers(_rng: random.Random) -> Objects:
    """Arguments, configurations, caches and outputs."""
    module = importlib.import_module("transformers")
    torch = torch_module()
    arguments = module.TrainingArguments(output_dir="./results", report_to="none", use_cpu=True, push_to_hub=False)
    yield "training_args.bin", saved(arguments)
    yield "seq2seq_args.bin", saved(module.Seq2SeqTrainingArguments(output_dir="out", report_to="none", use_cpu=True))
    config = module.BertConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, vocab_size=20
    )
    yield "config.pt", saved(config)
    yield "model.pt", saved(module.BertModel(config))
    gpt = module.GPT2Config(n_embd=8, n_layer=1, n_head=2, vocab_size=20)
    yield "gpt2.pt", saved(module.GPT2LMHeadModel(gpt))
    yield "generation.pt", saved(module.GenerationConfig(max_length=20))
    outputs = importlib.import_module("transformers.modeling_outputs")
    yield "output.pt", saved(outputs.BaseModelOutput(last_hidden_state=torch.zeros(1, 2)))
    yield "encoding.pkl", module.BatchEncoding({"input_ids": [1, 2], "attention_mask": [1, 1]})
    trainer = importlib.import_module("transformers.trainer_callback")
    yield "state.pkl", trainer.TrainerState(epoch=1.0, log_history=[{"loss": 0.1, "step": 3}])
    yield "callbacks.pkl", [trainer.DefaultFlowCallback(), trainer.EarlyStoppingCallback(3)]
    tokenizers = importlib.import_module("tokenizers")
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "import": 1, "[UNK]": 2}, unk_token="[UNK]"))
    yield "tokenizer.pkl", words
    fast = module.PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", model_max_length=32)
    yield "fast-tokenizer.pkl", fast


def lightning(_rng: random.Random) -> Objects:
    """Checkpoints with callbacks and hyper-parameters."""
    module = importlib.import_module("pytorch_lightning")
    torch = torch_module()
    container = importlib.import_module("lightning_fabric.utilities.data")
    net = _net()
    hyper = container.AttributeDict(lr=0.1, name="resnet", layers=[1, 2], path=pathlib.PosixPath("data/x"))
    early = module.callbacks.EarlyStopping("val_loss")
    best = module.callbacks.ModelCheckpoint(monitor="val_loss", dirpath="checkpoints")
    yield (
        "model.ckpt",
        saved(
            {
                "epoch": 3,
                "global_step": 100,
                "pytorch-lightning_version": "2.6.6",
                "state_dict": net.state_dict(),
                "loops": {},
                "callbacks": {early.state_key: early.state_dict(), best.state_key: best.state_dict()},
                "optimizer_states": [],
                "lr_schedulers": [],
                "hparams_name": "kwargs",
                "hyper_parameters": hyper,
            }
        ),
    )
    yield "callbacks.pt", saved([early, best])
    metrics = importlib.import_module("torchmetrics")
    yield "metric.pt", saved(metrics.classification.BinaryAccuracy())
    yield "mean.pt", saved(metrics.MeanMetric())
    yield (
        "old.ckpt",
        saved(
            {
                "hyper_parameters": hyper,
                "state_dict": {"w": torch.zeros(2)},
                "callbacks": {type(early): {"best": torch.tensor(0.1)}},
            }
        ),
    )


def omegaconf(_rng: random.Random) -> Objects:
    """Configurations with interpolations and types."""
    module = importlib.import_module("omegaconf")
    made = module.OmegaConf.create(
        {
            "model": {"_target_": "my_lib.models.UNet", "channels": [1, 2], "ckpt": "${paths.root}/last.ckpt"},
            "paths": {"root": "/home/me/runs", "url": "https://example.org/data.zip"},
            "cmd": "python train.py",
        }
    )
    yield "config.pkl", made
    yield "config.ckpt", saved({"cfg": made, "hyper_parameters": module.OmegaConf.create({"lr": 0.1, "any": None})})


def ultralytics(_rng: random.Random) -> Objects:
    """Whole detection models, as their trainer saves them."""
    tasks = importlib.import_module("ultralytics.nn.tasks")
    utils = importlib.import_module("ultralytics.utils")
    kinds = (
        "yolov8n.yaml",
        "yolo11n-seg.yaml",
        "yolov8n-cls.yaml",
        "yolov8n-pose.yaml",
        "yolov5n.yaml",
        "yolov6n.yaml",
        "yolov9t.yaml",
        "yolov10n.yaml",
        "yolo12n.yaml",
        "yolov8n-obb.yaml",
        "yolov8n-rtdetr.yaml",
    )
    classes = {
        "seg": tasks.SegmentationModel,
        "cls": tasks.ClassificationModel,
        "pose": tasks.PoseModel,
        "obb": tasks.OBBModel,
    }
    for kind in kinds:
        made = classes.get(kind.rpartition("-")[2].partition(".")[0], tasks.DetectionModel)(kind, verbose=False)
        for parameter in made.parameters():
            parameter.data = parameter.data.flatten()[:1].clone()
        yield (
            f"{kind.partition('.')[0]}.pt",
            saved(
                {
                    "date": "2024-01-01T10:00:00.123",
                    "epoch": -1,
                    "best_fitness": None,
                    "model": made.half(),
                    "ema": None,
                    "updates": None,
                    "optimizer": None,
                    "train_args": vars(utils.IterableSimpleNamespace(task="detect", data="coco.yaml")),
                    "license": "AGPL-3.0 License (https://ultralytics.com/license)",
                    "docs": "https://docs.ultralytics.com",
                    "version": "8.4",
                    "git": {"root": "/home/me/x", "branch": "main", "commit": "abc"},
                }
            ),
        )
    yield "args.pkl", utils.IterableSimpleNamespace(task="detect", data="coco.yaml", cmd="yolo train")


def vision(_rng: random.Random) -> Objects:
    """Whole networks of torchvision and timm, transforms."""
    models = importlib.import_module("torchvision.models")
    transforms = importlib.import_module("torchvision.transforms")
    for name in (
        "resnet18",
        "mobilenet_v2",
        "efficientnet_b0",
        "squeezenet1_0",
        "shufflenet_v2_x0_5",
        "vit_b_16",
        "densenet121",
        "convnext_tiny",
        "googlenet",
    ):
        with torch_module().device("meta"):
            made = getattr(models, name)(num_classes=2)
        yield f"{name}.pt", saved(_small(made))
    yield (
        "transforms.pkl",
        transforms.Compose(
            [
                transforms.Resize((8, 8)),
                transforms.RandomHorizontalFlip(),
                transforms.ColorJitter(0.1),
                transforms.ToTensor(),
                transforms.Normalize([0.5], [0.5]),
                transforms.Lambda(abs),
                transforms.RandomErasing(),
            ]
        ),
    )
    timm = importlib.import_module("timm")
    for name in (
        "resnet18",
        "vit_tiny_patch16_224",
        "mobilenetv3_small_050",
        "convnext_atto",
        "swin_tiny_patch4_window7_224",
    ):
        with torch_module().device("meta"):
            made = timm.create_model(name)
        yield f"timm-{name}.pt", saved(_small(made))


def _small(module: Any) -> Any:
    """The module with one number for each parameter and buffer."""
    torch = torch_module()
    for part in module.modules():
        for name in part._parameters:
            if part._parameters[name] is not None:
                part._parameters[name] = torch.nn.Parameter(torch.zeros(1))
        for name in part._buffers:
            if part._buffers[name] is not None:
                part._buffers[name] = torch.zeros(1)
    return module


def fastai(_rng: random.Random) -> Objects:
    """Exported learners."""
    torch = torch_module()
    numpy = importlib.import_module("numpy")
    data = importlib.import_module("fastai.data.all")
    learner = importlib.import_module("fastai.learner")
    transform = importlib.import_module("fasttransform")
    core = importlib.import_module("fastcore.foundation")
    losses = importlib.import_module("fastai.losses")
    optimizers = importlib.import_module("fastai.optimizer")
    yield "list.pkl", core.L([1, 2, "a"])
    yield "loss.pkl", losses.CrossEntropyLossFlat()
    yield "normalize.pt", saved(data.Normalize.from_stats([0.5], [0.5], cuda=False))
    yield "categorize.pkl", data.Categorize(vocab=["cat", "dog"])
    yield "pipeline.pkl", transform.Pipeline([data.ToTensor(), data.IntToFloatTensor()])
    loaders = data.DataLoaders.from_dsets(
        [(torch.zeros(2), 0)] * 4, [(torch.zeros(2), 1)] * 4, bs=2, num_workers=0, device="cpu"
    )
    made = learner.Learner(
        loaders, torch.nn.Linear(2, 2), loss_func=losses.CrossEntropyLossFlat(), opt_func=optimizers.Adam, metrics=[]
    )
    made.dls = None
    made.opt = None
    yield "export.pkl", saved(made)
    del numpy


LIBRARIES: dict[str, Callable[[random.Random], Objects]] = {
    "training": training,
    "transformers": transformers,
    "lightning": lightning,
    "omegaconf": omegaconf,
    "ultralytics": ultralytics,
    "torchvision": vision,
    "fastai": fastai,
}
