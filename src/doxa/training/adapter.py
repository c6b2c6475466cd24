"""The folder of an adapter: PEFT's two files, and `run.json`, which says what it was trained on and how.

adapter_config.json, adapter_model.safetensors   as PEFT writes them; there once training is finished
run.json                                         what it is
metrics.jsonl                                    a line for each step
checkpoints/step-N/                              the adapter after N steps of the last stage
"""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from doxa.models.handle import Model
from doxa.training.rows import TrainingTokens
from doxa.training.steps import ADAPTER_FILE, Trainable, save_state
from doxa.words.errors import TrainingError
from doxa.words.store import content_hash, read_json, write_json
from doxa.words.tuning import Configuration, TrainingSeeds, configuration_to_json

CONFIG_FILE = "adapter_config.json"
RUN_FILE = "run.json"
METRICS_FILE = "metrics.jsonl"
CHECKPOINTS = "checkpoints"
FORMAT = "doxa adapter 1"
_AGAIN = "Remove that folder and run the same command again"


@dataclass(frozen=True)
class Stage:
    """What is trained on, and how. Several in a row are one training: each trains the adapter of the one before.

    Attributes:
        tokens: The rows as the model reads them.
        configuration: How.
        corpus: Name of the corpus.
        corpus_hash: Of its rows.
    """

    tokens: tuple[TrainingTokens, ...]
    configuration: Configuration
    corpus: str
    corpus_hash: str

    @property
    def content(self) -> list[object]:
        """All that decides what the stage does, as JSON."""
        rows = content_hash([[row.tokens, row.weights] for row in self.tokens])
        return [self.corpus_hash, rows, configuration_to_json(self.configuration)]


def adapter_key(fingerprint: str, stages: Sequence[Stage], seeds: TrainingSeeds) -> str:
    """What an adapter is known by: the hash of everything that decides what it becomes.

    Args:
        fingerprint: Of the base model, as `base_key` says.
        stages: In their order.
        seeds: Of the run.
    """
    return content_hash([FORMAT, fingerprint, [stage.content for stage in stages], seeds.initialisation, seeds.order])


def base_key(model: Model) -> str:
    """The fingerprint of a base model as it is held: weights that were rounded on being loaded train otherwise."""
    return model.fingerprint if model.dtype == torch.float32 else content_hash([model.fingerprint, str(model.dtype)])


def manifest(model: Model, stages: Sequence[Stage], seeds: TrainingSeeds) -> dict[str, Any]:
    """What `run.json` says before anything is trained."""
    return {
        "format": FORMAT,
        "key": adapter_key(base_key(model), stages, seeds),
        "base": {"name": model.name, "fingerprint": model.fingerprint},
        "seeds": {"initialisation": seeds.initialisation, "order": seeds.order},
        "stages": [
            {
                "corpus": stage.corpus,
                "corpus_hash": stage.corpus_hash,
                "rows": len(stage.tokens),
                "tokens": sum(len(row.tokens) for row in stage.tokens),
                "trained_tokens": sum(row.trained for row in stage.tokens),
                "configuration": configuration_to_json(stage.configuration),
            }
            for stage in stages
        ],
        "versions": {name: version(name) for name in ("doxa", "torch", "transformers")},
        "machine": {"processor": platform.machine(), "device": model.device.type},
    }


def check_folder(folder: Path, said: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The manifest of a folder that holds this training, or a part of it; None when nothing is there.

    Args:
        folder: The folder of an adapter.
        said: The manifest of what is to be trained.

    Raises:
        TrainingError: When it holds another adapter, or files of something else.
        EnvironmentFault: When its manifest cannot be read.
    """
    path = folder / RUN_FILE
    if not path.is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise TrainingError(
                f"{folder} holds something that is no adapter of doxa",
                expected="an empty folder, or one that does not exist",
                way_out="Choose another folder",
            )
        return None
    there = read_json(path, what="the manifest", way_out=_AGAIN)
    if there.get("key") == said["key"]:
        return there
    base = there.get("base")
    of = base.get("fingerprint") if isinstance(base, Mapping) else None
    if of != said["base"]["fingerprint"]:
        name = base.get("name") if isinstance(base, Mapping) else None
        raise TrainingError(
            f"{folder} holds an adapter of the base model {name} ({str(of)[:12]})",
            expected=f"one of {said['base']['name']} ({said['base']['fingerprint'][:12]})",
            way_out="Choose another folder, or train on that model",
        )
    raise TrainingError(
        f"{folder} holds another adapter of {said['base']['name']}: its rows, configuration or seeds are others",
        way_out="Choose another folder, or remove that one",
    )


def write_adapter(made: Trainable, folder: Path, *, with_optimizer: bool = False) -> None:
    """Write an adapter as PEFT does: what it is called for and its matrices, which come last.

    Raises:
        EnvironmentFault: When the disk is full or the folder may not be written.
    """
    write_json(folder / CONFIG_FILE, peft_config(made))
    save_state(made, folder, with_optimizer)


def peft_config(made: Trainable) -> dict[str, Any]:
    """What PEFT's `LoraConfig` needs to know."""
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": made.model.name,
        "r": made.rank,
        "lora_alpha": made.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "inference_mode": True,
        "modules_to_save": None,
        "target_modules": target_modules(made),
        "use_dora": False,
        "use_rslora": False,
    }


def target_modules(made: Trainable) -> list[str]:
    """Names by which PEFT finds the tuned layers and no other: last names where they suffice, else whole paths."""
    names = {path.rpartition(".")[2] for path in made.pairs}
    alike = {
        path
        for path, module in made.model.network.named_modules()
        if isinstance(module, torch.nn.Linear) and path.rpartition(".")[2] in names
    }
    return sorted(names if alike == set(made.pairs) else made.pairs)


def is_finished(folder: Path) -> bool:
    """Whether the folder holds an adapter that was trained to its end."""
    return (folder / ADAPTER_FILE).is_file()
