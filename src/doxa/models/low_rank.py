"""An adapter in memory: low-rank matrices for linear layers of the decoder blocks, read from a folder of PEFT's.

The folder holds `adapter_config.json` and `adapter_model.safetensors`, as PEFT saves them, and beside them perhaps
`run.json`, which says what it was trained on. Safetensors and JSON are all that is read. What an adapter may hold
beyond two matrices for each of some linear layers (DoRA, biases, whole modules, embeddings) is refused in words: an
adapter that is half understood is another adapter.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from doxa.models.handle import Model
from doxa.words.errors import EnvironmentFault, TrainingError
from doxa.words.store import content_hash, read_json

CONFIG_FILE = "adapter_config.json"
MATRICES_FILE = "adapter_model.safetensors"
RUN_FILE = "run.json"
CHECKPOINTS = "checkpoints"
_PREFIX = "base_model.model."
_MAX_BYTES = 1 << 33
_MAX_CONFIG_BYTES = 1 << 24

# What PEFT's configuration says about how an adapter was made or is held in memory, not about what it computes.
_HARMLESS = frozenset(
    (
        "auto_mapping",
        "base_model_name_or_path",
        "bias",  # read below
        "ensure_weight_tying",
        "eva_config",
        "exclude_modules",
        "fan_in_fan_out",
        "inference_mode",
        "init_lora_weights",  # read below
        "layers_pattern",
        "layers_to_transform",
        "lora_alpha",
        "lora_dropout",
        "megatron_core",
        "peft_type",
        "peft_version",
        "qalora_group_size",
        "r",
        "revision",
        "runtime_config",
        "target_modules",
        "task_type",
        "use_rslora",
    )
)
# These begin with matrices that were taken out of the base model's weights, which are then others than the base's.
_CHANGES_THE_BASE = ("pissa", "olora", "loftq", "corda", "lora_ga")


@dataclass(frozen=True, eq=False)
class Factors:
    """What is added to the output of a linear layer: `scale * B A x`.

    Attributes:
        a: A, float32, on the CPU.
        b: B, likewise.
        scale: By which their product is multiplied.
    """

    a: Float[Tensor, "rank into"]
    b: Float[Tensor, "out rank"]
    scale: float


@dataclass(frozen=True)
class LowRank:
    """An adapter. Two with the same digest are equal.

    Attributes:
        digest: Hash of every matrix, its place and its scale: of what the adapter does.
        base: Fingerprint of the model that it was trained on; None where nobody says.
        modules: By the name of a linear layer, as the network has it, what is added there.
    """

    digest: str
    base: str | None
    modules: Mapping[str, Factors] = field(compare=False, repr=False)


def low_rank(modules: Mapping[str, Factors], base: str | None = None) -> LowRank:
    """An adapter out of its matrices."""
    digest = hashlib.sha256()
    for name, own in sorted(modules.items()):
        digest.update(json.dumps([name, list(own.a.shape), list(own.b.shape), own.scale]).encode())
        for matrix in (own.a, own.b):
            digest.update(matrix.contiguous().numpy().data)
    return LowRank(digest.hexdigest(), base, dict(sorted(modules.items())))


def tuned_fingerprint(model: Model, adapter: LowRank | None) -> str:
    """The fingerprint of a model under an adapter: its own without one."""
    return model.fingerprint if adapter is None else content_hash([model.fingerprint, adapter.digest])


def read_low_rank(folder: Path, model: Model) -> LowRank:
    """Read an adapter for a model.

    Args:
        folder: In PEFT's layout: the adapter itself, or one of its checkpoints.
        model: The model it will act on.

    Raises:
        TrainingError: When there is no adapter, it holds what is not understood, does not fit the network, or was
            trained on another model.
        EnvironmentFault: When a file cannot be read.
    """
    files = [folder / name for name in (CONFIG_FILE, MATRICES_FILE, RUN_FILE)] + [folder.parent.parent / RUN_FILE]
    key = (model.fingerprint, tuple(_stamp(file) for file in files))
    found = _read.get(key)
    if found is None:
        found = _read[key] = _read_now(folder, model)
    return found


_read: WeakValueDictionary[object, LowRank] = WeakValueDictionary()
"""What was read and is still in use: the arms of a study that have one adapter hold it once."""


def _stamp(file: Path) -> object:
    if not file.is_file():
        return str(file)
    stat = file.stat()
    return str(file.resolve()), stat.st_size, stat.st_mtime_ns, stat.st_ino


def _read_now(folder: Path, model: Model) -> LowRank:
    config, file = folder / CONFIG_FILE, folder / MATRICES_FILE
    if not config.is_file() or not file.is_file():
        raise _not_there(folder, config)
    if config.stat().st_size > _MAX_CONFIG_BYTES or file.stat().st_size > _MAX_BYTES:
        raise TrainingError(f"the files of {folder} are too large for an adapter", way_out="Name the right folder")
    settings = read_json(config, what="The adapter's configuration", way_out="Fetch or train the adapter again")
    _check_settings(settings, config)
    base = _base(folder)
    if base is not None and base != model.fingerprint:
        raise TrainingError(
            f"the adapter in {folder} was trained on another model ({base[:12]})",
            expected=f"an adapter of {model.name} ({model.fingerprint[:12]})",
            way_out=f"Train it on {model.name}, or use the model that its {RUN_FILE} names",
        )
    layers = _layers(model)
    scale = _scale(settings, config)
    modules: dict[str, Factors] = {}
    for name, (a, b) in sorted(_matrices(file).items()):
        into, out = _shape(name, layers, model, folder)
        rank = int(settings["r"])
        if a.shape != (rank, into) or b.shape != (out, rank):
            raise TrainingError(
                f"the matrices of {name} in {folder} are {list(a.shape)} and {list(b.shape)}",
                expected=f"[{rank}, {into}] and [{out}, {rank}]: rank {rank} for that layer of {model.name}",
                way_out="Use an adapter that was trained on this model",
            )
        modules[name] = Factors(a, b, scale)
    return low_rank(modules, base)


def _not_there(folder: Path, config: Path) -> TrainingError:
    if (folder / "adapter_model.bin").exists():
        return TrainingError(
            f"the adapter in {folder} is a pickle, adapter_model.bin: it could run a program",
            expected=f"{MATRICES_FILE}",
            way_out="Save it again with PEFT's `save_pretrained(folder, safe_serialization=True)`",
        )
    return TrainingError(
        f"no adapter in {folder}",
        expected=f"{CONFIG_FILE} and {MATRICES_FILE}, as PEFT saves them",
        way_out="Name the folder that holds both" if folder.is_dir() else "Name a folder that is there",
    )


def _check_settings(settings: Mapping[str, Any], file: Path) -> None:
    """Refuse what would make the adapter compute anything but `scale * B A x` beside a layer."""
    kind = settings.get("peft_type")
    if kind != "LORA":
        raise _refused(file, f"peft_type {kind!r}", "LORA")
    if settings.get("bias", "none") != "none":
        raise _refused(file, f"bias {settings['bias']!r}", "`none`")
    if settings.get("use_rslora") not in (None, True, False):
        raise _refused(file, f"use_rslora {json.dumps(settings['use_rslora'])[:80]}", "true or false")
    begun = settings.get("init_lora_weights", True)
    if isinstance(begun, str) and begun.lower().startswith(_CHANGES_THE_BASE):
        raise _refused(file, f"init_lora_weights {begun!r}, which changes the base model", "an unchanged base model")
    for key, value in sorted(settings.items()):
        if key not in _HARMLESS and value not in (None, False, 0, "", [], {}):
            raise _refused(file, f"{key} {json.dumps(value)[:80]}", "two matrices for each of some linear layers")


def _refused(file: Path, found: str, expected: str) -> TrainingError:
    way_out = "Train an adapter without it, or merge it into a model of its own with PEFT's `merge_and_unload`"
    return TrainingError(f"the adapter of {file} has {found}", expected=expected, way_out=way_out)


def _scale(settings: Mapping[str, Any], file: Path) -> float:
    rank, alpha = settings.get("r"), settings.get("lora_alpha")
    whole = isinstance(rank, int) and not isinstance(rank, bool) and rank > 0
    if not whole or not isinstance(alpha, int | float) or isinstance(alpha, bool) or not abs(alpha) < 1e9:
        raise _refused(file, f"r {rank!r} and lora_alpha {alpha!r}", "a whole number above 0, and a number")
    assert isinstance(rank, int)
    return float(alpha) / (sqrt(rank) if settings.get("use_rslora") else rank)


def _base(folder: Path) -> str | None:
    """The fingerprint in `run.json` beside the adapter, or beside the folder of its checkpoints."""
    above = [folder.parent.parent] if folder.parent.name == CHECKPOINTS else []
    for place in [folder, *above]:
        if (place / RUN_FILE).is_file():
            way_out = "Train the adapter again, or remove that file: its base model is then not checked"
            run = read_json(place / RUN_FILE, what="The manifest", way_out=way_out)
            base = run.get("base")
            fingerprint = base.get("fingerprint") if isinstance(base, Mapping) else None
            if not isinstance(fingerprint, str):
                raise EnvironmentFault(f"{place / RUN_FILE} names no base model", way_out=way_out)
            return fingerprint
    return None


def _matrices(file: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """By the name of a layer its two matrices.

    Raises:
        TrainingError: When something else is there, or one without the other.
        EnvironmentFault: When it is not a safetensors file.
    """
    found: dict[str, dict[str, Tensor]] = {}
    try:
        with safe_open(file, framework="pt") as opened:
            for key in opened.keys():  # noqa: SIM118 (it is no mapping)
                name, which = _place(key, file)
                tensor = opened.get_tensor(key)
                if not tensor.is_floating_point() or tensor.ndim != 2:
                    raise _refused(file, f"{key} of {tensor.dtype} and shape {list(tensor.shape)}", "matrices")
                if which in found.get(name, {}):
                    raise _refused(file, f"two matrices {which} of {name}", "one")
                found.setdefault(name, {})[which] = tensor.float().contiguous()
    except (OSError, SafetensorError, ValueError) as error:
        raise EnvironmentFault(f"{file} cannot be read ({error})", way_out="Fetch or train it again") from error
    if not found:
        raise TrainingError(f"{file} holds no matrices", way_out="Train the adapter again")
    for name, own in found.items():
        if set(own) != {"A", "B"}:
            raise TrainingError(f"{file} holds one of two matrices of {name}", way_out="Fetch or train it again")
        if not all(bool(torch.isfinite(matrix).all()) for matrix in own.values()):
            raise TrainingError(
                f"the matrices of {name} in {file} hold NaN or infinity",
                expected="finite numbers",
                way_out="Use an earlier checkpoint, or train again with a lower learning rate",
            )
    return {name: (own["A"], own["B"]) for name, own in found.items()}


def _place(key: str, file: Path) -> tuple[str, str]:
    """The layer that a tensor belongs to, and which of its matrices it is."""
    name = key.removeprefix(_PREFIX)
    for which in ("A", "B"):
        for end in (f".lora_{which}.weight", f".lora_{which}.default.weight"):
            if key.startswith(_PREFIX) and name.endswith(end):
                return name.removesuffix(end), which
    raise _refused(file, f"the tensor {key[:120]!r}", f"`{_PREFIX}LAYER.lora_A.weight` and `lora_B.weight`")


def _layers(model: Model) -> dict[str, tuple[int, int]]:
    """By name the width into and out of every linear layer of the decoder blocks."""
    inside = {module for block in model.blocks for module in block.modules()}
    found = {}
    for name, module in model.network.named_modules():
        if module in inside and isinstance(module, nn.Linear):
            found[name] = (module.weight.shape[1], module.weight.shape[0])
        elif module in inside and isinstance(module, Conv1D):  # GPT-2's, which holds its weight the other way round
            found[name] = (module.weight.shape[0], module.weight.shape[1])
    return found


def _shape(name: str, layers: Mapping[str, tuple[int, int]], model: Model, folder: Path) -> tuple[int, int]:
    if name not in layers:
        raise TrainingError(
            f"the adapter in {folder} acts on {name[:120]!r}",
            expected=f"linear layers of the decoder blocks of {model.name}, such as {next(iter(layers), 'none')!r}",
            way_out="Use an adapter of this model's attention and MLP layers, without embeddings and head",
        )
    return layers[name]
