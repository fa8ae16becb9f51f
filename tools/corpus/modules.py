"""Tensors, layers and states of torch that are seldom saved, and what trainers and adapters keep beside them."""

from __future__ import annotations

import argparse
import collections
import functools
import importlib
import pathlib
import random
from collections.abc import Callable
from typing import Any

from tools.corpus.torch_files import Objects, torch_module
from tools.corpus.varied import PICKLES, TORCH, table, varied


def _after(_module: Any, _given: Any, output: Any) -> Any:
    """Look at what a layer gives, as a project's own hook does."""
    return output


def tensors(_rng: random.Random) -> Objects:
    """Tensors of every layout and type, and what stands beside them."""
    torch = torch_module()
    eye = torch.eye(3)
    yield (
        "types",
        [torch.zeros(2, dtype=getattr(torch, of)) for of in ("complex64", "bfloat16", "float8_e4m3fn", "uint16")],
    )
    yield "sparse", [eye.to_sparse_csr(), eye.to_sparse()]
    scales = (torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0, 0, 0]))
    yield "quantized", [torch.quantize_per_channel(eye, *scales, 0, torch.quint8)]
    yield "nested", torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])
    yield "packed", torch.nn.utils.rnn.pack_sequence([torch.zeros(2)])
    yield "generator", torch.Generator().manual_seed(3)
    spread = torch.distributions
    yield "distributions", [spread.Normal(0.0, 1.0), spread.Categorical(torch.ones(3)), spread.Beta(1.0, 2.0)]
    kinds = {"mf": torch.channels_last, "lay": torch.sparse_coo, "dev": torch.device("cuda:1"), ("t", 1): torch.half}
    yield "kinds", {"a": [{"b": (torch.zeros(1), None)}], **kinds}
    yield "tokens", {"input_ids": torch.zeros(3, dtype=torch.long), "code": ["import os", "eval(x)"]}


def layers(_rng: random.Random) -> Objects:
    """Layers with normed, pruned and quantized weights, with hooks, traced, and of every kind."""
    torch = torch_module()
    nn = torch.nn
    small = nn.Sequential(nn.Linear(2, 2), nn.LSTM(2, 2))
    quantized = torch.ao.quantization.quantize_dynamic(small, {nn.Linear, nn.LSTM}, dtype=torch.qint8)
    yield "quantized", quantized
    yield "quantized-state", quantized.state_dict()
    yield "kinds", nn.Sequential(
        nn.MultiheadAttention(4, 2), nn.GRU(2, 2), nn.Flatten(), nn.Unflatten(1, (1, 2)), nn.PixelShuffle(2),
        nn.Hardswish(), nn.Conv1d(1, 1, 2), nn.ConvTranspose2d(1, 1, 2), nn.GroupNorm(1, 2), nn.EmbeddingBag(2, 2),
        nn.CrossEntropyLoss(torch.ones(3)), nn.Upsample(scale_factor=2), nn.AdaptiveAvgPool2d(1), nn.Identity(),
        nn.ParameterDict({"a": nn.Parameter(torch.ones(1))}),
    )  # fmt: skip
    yield "normed-state", nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)).state_dict()
    yield "normed", [nn.utils.spectral_norm(nn.Linear(2, 2)), nn.utils.weight_norm(nn.Linear(2, 2))]
    pruned = nn.Linear(2, 2)
    importlib.import_module("torch.nn.utils.prune").l1_unstructured(pruned, "weight", 0.5)
    yield "pruned", pruned
    hooked = nn.Linear(2, 2)
    hooked.register_forward_hook(_after)
    yield "hooked", hooked
    yield "parallel", nn.DataParallel(nn.Linear(2, 2))
    yield "graph", torch.fx.symbolic_trace(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))


def schedules(_rng: random.Random) -> Objects:
    """Optimizers, schedules, loaders and states of generators, whole."""
    torch = torch_module()
    net = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    of = torch.optim.lr_scheduler
    yield "schedules", [of.OneCycleLR(optimizer, 0.1, total_steps=3), of.ReduceLROnPlateau(optimizer)]
    yield "restarts", [optimizer, of.CosineAnnealingWarmRestarts(optimizer, 3)]
    yield "average", torch.optim.swa_utils.AveragedModel(net)
    data = torch.utils.data
    rows = data.TensorDataset(torch.zeros(3))
    yield "loader", data.DataLoader(rows, shuffle=True)
    yield "rows", data.ConcatDataset([rows, data.Subset(rows, [0])])
    yield "sampler", data.WeightedRandomSampler([0.1, 0.2], 2)
    yield "position", {"epoch": 1, "generator": torch.Generator().get_state(), "sampler": [2, 0, 1]}


def adapters(_rng: random.Random) -> Objects:
    """Configurations and models of peft."""
    peft, torch = importlib.import_module("peft"), torch_module()
    yield (
        "lora",
        peft.LoraConfig(
            r=4, target_modules=["q_proj", "v_proj"], base_model_name_or_path="org/model", task_type="CAUSAL_LM"
        ),
    )
    prompt = peft.PromptTuningConfig(
        prompt_tuning_init="TEXT", prompt_tuning_init_text="Classify the post:", tokenizer_name_or_path="gpt2"
    )
    yield "others", [prompt, peft.IA3Config(), peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)]
    net = torch.nn.Sequential(collections.OrderedDict(a=torch.nn.Linear(2, 2)))
    model = peft.get_peft_model(net, peft.LoraConfig(target_modules=["a"]))
    yield "model", model
    yield "state", model.state_dict()


def tokenizers(_rng: random.Random) -> Objects:
    """Fast tokenizers and their parts, configurations, collators and outputs of transformers."""
    kit, transformers, torch = (
        importlib.import_module("tokenizers"),
        importlib.import_module("transformers"),
        torch_module(),
    )
    made = kit.Tokenizer(kit.models.BPE())
    made.pre_tokenizer = kit.pre_tokenizers.ByteLevel()
    trainer = kit.trainers.BpeTrainer(vocab_size=300, special_tokens=["<s>", "<|endoftext|>"])
    made.train_from_iterator(["import os; os.system('ls -la')", "def f(x): return eval(x)"], trainer)
    yield "pairs", made
    template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}{% endfor %}"
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<s>", chat_template=template)
    yield "fast", fast
    yield "collator", transformers.DataCollatorWithPadding(fast)
    yield "encoded", [made.encode("import os"), fast("import os")]
    processor = kit.processors.TemplateProcessing("[CLS] $A", special_tokens=[("[CLS]", 1)])
    yield "parts", [made.pre_tokenizer, made.model, kit.normalizers.Lowercase(), processor]
    for name in ("T5Config", "WhisperConfig", "CLIPConfig"):
        yield name, getattr(transformers, name)()
    outputs = importlib.import_module("transformers.modeling_outputs")
    yield "outputs", outputs.SequenceClassifierOutput(logits=torch.zeros(2))
    of = importlib.import_module("transformers.trainer_utils")
    yield "results", [of.TrainOutput(3, 0.1, {}), of.PredictionOutput(torch.zeros(2).numpy(), None, {"a": 1})]
    yield "features", transformers.WhisperFeatureExtractor(feature_size=4, n_fft=16)


def diffusion(_rng: random.Random) -> Objects:
    """Schedulers and embeddings of diffusers."""
    module, torch = importlib.import_module("diffusers"), torch_module()
    yield "schedulers", [module.DDPMScheduler(9), module.DDIMScheduler(9), module.EulerDiscreteScheduler(9)]
    yield "embedding", {"<cat-toy>": torch.zeros(768)}


def checkpoints(_rng: random.Random) -> Objects:
    """Checkpoints of lightning, with hyperparameters of every kind."""
    torch, oc = torch_module(), importlib.import_module("omegaconf").OmegaConf
    attributes = importlib.import_module("lightning_fabric.utilities.data").AttributeDict
    best = {"dirpath": "/data/ckpt", "best_model_score": torch.tensor(0.1)}

    def checkpoint(parameters: Any, **more: Any) -> Any:
        return {
            "epoch": 1,
            "global_step": 3,
            "pytorch-lightning_version": "1.9.0",
            "state_dict": {"w": torch.zeros(2)},
            "callbacks": {"ModelCheckpoint{'monitor': 'val_loss', 'mode': 'min'}": best},
            "lr_schedulers": [{"T_max": 3, "_last_lr": [0.1]}],
            "hparams_name": "kwargs",
            "hyper_parameters": parameters,
            **more,
        }

    yield "namespace", checkpoint(argparse.Namespace(lr=0.1, cmd="python train.py --x", logger=True))
    settings = {"a": {"_target_": "torch.optim.Adam", "lr": "${oc.env:LR}"}, "cmd": ["python", "-c", "x"], "p": "???"}
    yield "omegaconf", checkpoint(oc.create(settings))
    partial = functools.partial(torch.optim.AdamW, lr=0.1)
    parts = attributes(backbone=torch.nn.Linear(2, 2), loss=torch.nn.CrossEntropyLoss(), optimizer=torch.optim.Adam)
    parts.update(act=torch.nn.functional.relu, path=pathlib.PurePosixPath("/data/x"), opt_fn=partial)
    yield "attributes", checkpoint(parts)
    yield "data", checkpoint({}, datamodule_hyper_parameters={"batch": 3}, hparams_type=attributes)
    measures = importlib.import_module("torchmetrics")
    yield "measures", [measures.Accuracy(task="multiclass", num_classes=3), measures.MeanSquaredError()]


def convolutions(_rng: random.Random) -> Objects:
    """Collated graphs, layers and transforms of torch_geometric."""
    torch, data = torch_module(), importlib.import_module("torch_geometric.data")
    nn, transforms = (
        importlib.import_module("torch_geometric.nn"),
        importlib.import_module("torch_geometric.transforms"),
    )
    one = data.Data(x=torch.zeros(3, 2), edge_index=torch.tensor([[0, 1], [1, 2]]), smiles="CCO", name="m")
    yield "collated", data.InMemoryDataset.collate([one, one])
    yield "layers", torch.nn.Sequential(nn.SAGEConv(2, 2), nn.GINConv(torch.nn.Linear(2, 2)))
    yield "sequence", nn.Sequential("x, edge_index", [(nn.GCNConv(2, 2), "x, edge_index -> x"), torch.nn.ReLU()])
    yield "transforms", transforms.Compose([transforms.NormalizeFeatures(), transforms.ToUndirected()])
    yield "models", nn.GraphSAGE(2, 2, 1)


def trained(rng: random.Random) -> Objects:
    """Nets of skorch with their callbacks and histories."""
    skorch, torch, rows = importlib.import_module("skorch"), torch_module(), table(rng)
    calls = importlib.import_module("skorch.callbacks")
    steps = ("lr", calls.LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=1))
    options = {"module__in_features": 4, "module__out_features": 1, "max_epochs": 1, "verbose": 0}
    net = skorch.NeuralNetRegressor(torch.nn.Linear, callbacks=[calls.EarlyStopping(), steps], **options)
    yield "regressor", net.fit(rows.x.astype("f4"), rows.values.astype("f4").reshape(-1, 1))
    net = skorch.NeuralNetBinaryClassifier(torch.nn.Linear, train_split=skorch.dataset.ValidSplit(3), **options)
    yield "binary", net.fit(rows.x.astype("f4"), rows.classes.astype("f4"))


_SAVED = (*TORCH, "p2", "p4")

LIBRARIES: dict[str, Callable[[random.Random], Objects]] = {
    "tensors": varied(tensors, ways=TORCH),
    "layers": varied(layers, ways=_SAVED),
    "schedules": varied(schedules, ways=_SAVED),
    "adapters": varied(adapters, ways=_SAVED),
    "tokenizers": varied(tokenizers, ways=(*PICKLES, "zip.pt")),
    "diffusion": varied(diffusion, ways=_SAVED),
    "checkpoints": varied(checkpoints, ways=TORCH),
    "convolutions": varied(convolutions, ways=_SAVED),
    "trained": varied(trained, ways=_SAVED),
}
