"""Random adapters for tests: as folders in PEFT's layout, in memory, and merged into a network of their own."""

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from doxa.models.handle import Model, adopt
from doxa.models.low_rank import Factors, LowRank, low_rank


def random_adapter(model: Model, seed: int, *, rank: int = 4, size: float = 0.3, only: Sequence[str] = ()) -> LowRank:
    """Matrices for every linear layer of the decoder blocks, or those whose name ends with one of `only`."""
    generator = torch.Generator().manual_seed(seed)
    inside = {module for block in model.blocks for module in block.modules()}
    modules = {}
    for name, module in model.network.named_modules():
        if module in inside and isinstance(module, nn.Linear | Conv1D) and (not only or name.endswith(tuple(only))):
            out, into = module.weight.shape if isinstance(module, nn.Linear) else module.weight.T.shape
            a = torch.randn(rank, into, generator=generator) / into**0.5
            b = torch.randn(out, rank, generator=generator) * size
            modules[name] = Factors(a, b, 0.5)
    return low_rank(modules)


def write_adapter(folder: Path, adapter: LowRank, *, base: str | None = None, **settings: Any) -> Path:
    """Write an adapter as PEFT does; `settings` replace what its configuration says."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, own in adapter.modules.items():
        tensors[f"base_model.model.{name}.lora_A.weight"] = own.a.clone()
        tensors[f"base_model.model.{name}.lora_B.weight"] = own.b.clone()
    safetensors.torch.save_file(tensors, folder / "adapter_model.safetensors")
    first = next(iter(adapter.modules.values()))
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": len(first.a),
        "lora_alpha": first.scale * len(first.a),
        "target_modules": sorted({name.rpartition(".")[2] for name in adapter.modules}),
        "bias": "none",
        **settings,
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))
    if base is not None:
        (folder / "run.json").write_text(json.dumps({"base": {"name": "a model", "fingerprint": base}}))
    return folder


def merged(model: Model, adapter: LowRank | None) -> Model:
    """A model of its own whose weights have the adapter in them: the oracle."""
    network = copy.deepcopy(model.network)
    with torch.no_grad():
        for name, own in ({} if adapter is None else adapter.modules).items():
            layer = network.get_submodule(name)
            change = own.scale * own.b @ own.a
            layer.weight += (change if isinstance(layer, nn.Linear) else change.T).to(layer.weight.dtype)
    return adopt(f"{model.name}-merged", network, model.tokenizer)
