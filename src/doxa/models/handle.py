"""A model under study in memory: weights, tokenizer and chat template, loaded once per process."""

import difflib
import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    StrictDataclassError,
)
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.hub import cached_file

from doxa.models.blocks import find_blocks
from doxa.models.convert import from_gguf_file
from doxa.models.embedded import NAME as EMBEDDED
from doxa.models.embedded import embedded_folder
from doxa.models.fingerprint import fingerprint_folder, fingerprint_network, weight_files
from doxa.models.memory import is_out_of_memory
from doxa.models.quiet import quiet
from doxa.models.vllm_servers import addresses
from doxa.words.errors import EnvironmentFault, ModelError, nearest

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
VLLM = "vllm/"
"""Begins the name of a model that servers run; what follows names the same model here."""


@dataclass(frozen=True, eq=False)
class Model:
    """A decoder-only language model, ready to be run. It is never changed: hooks live inside contexts.

    Attributes:
        name: As the user wrote it.
        network: In eval mode, without gradients.
        tokenizer: Its tokenizer, which carries the chat template.
        blocks: The decoder blocks, in order.
        n_layers: How many there are.
        d_model: Width of the residual stream.
        context_length: The most positions that the model was made for.
        dtype: Of the weights.
        device: Where they are.
        fingerprint: Hash of weights, configuration, tokenizer and chat template; of a loaded model it does not depend
            on `dtype` or `device`.
        servers: Addresses of the vLLM servers that generate and score in its stead; () where this process does. Vectors
            and doses are made from the weights here in either case.
    """

    name: str
    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    blocks: tuple[nn.Module, ...]
    n_layers: int
    d_model: int
    context_length: int
    dtype: torch.dtype
    device: torch.device
    fingerprint: str
    servers: tuple[str, ...] = ()


_loaded: dict[tuple[str, str, str], Model] = {}
_served: dict[tuple[str, Model, tuple[str, ...]], Model] = {}
_lock = threading.Lock()


def load(name: str, *, dtype: str = "float32", device: str = "cpu") -> Model:
    """Load a model, or return the one that this process has already loaded under that name, dtype and device.

    Args:
        name: `smollm2` (the embedded model), a folder with safetensors, a GGUF file or a folder with one, or the id of
            a model on the Hugging Face hub. `vllm/` before any of these: run by the
            servers that `DOXA_VLLM_URLS` names.
        dtype: `float32` or `bfloat16`.
        device: `cpu`, `cuda`, `cuda:1`, `mps`.

    Returns:
        The model.

    Raises:
        ModelError: When the name, dtype or device is unknown, files are missing or damaged, the architecture is not a
            decoder or is not understood, or memory does not suffice.
        EnvironmentFault: When something cannot be fetched, or the cache cannot be written.
    """
    if name.startswith(VLLM):
        return _on_servers(name, load(name.removeprefix(VLLM), dtype=dtype, device=device))
    if dtype not in DTYPES:
        raise ModelError(f"dtype {dtype!r} of model {name!r}", way_out=nearest(dtype, DTYPES))
    place = _device(device)
    path = Path(os.path.expanduser(name))
    local = name != EMBEDDED and (os.path.exists(path) or _looks_like_path(name))
    key = (str(path.resolve()) if local else name, dtype, str(place))
    with _lock:
        if key not in _loaded:
            _loaded[key] = _load_path(name, path, dtype, place) if local else _load_name(name, dtype, place)
        return _loaded[key]


def load_beside(name: str, folder: Path | None, *, dtype: str = "float32", device: str = "cpu") -> Model:
    """Load a model that a file names: a path is looked for beside that file first, and called what the file calls it.

    Args:
        name: As `load` takes it.
        folder: Where the file stands; None for the working folder.
        dtype: As `load` takes it.
        device: As `load` takes it.

    Raises:
        ModelError: As `load` does.
        EnvironmentFault: As `load` does.
    """
    if name.startswith(VLLM):
        return _on_servers(name, load_beside(name.removeprefix(VLLM), folder, dtype=dtype, device=device))
    beside = (folder or Path()) / os.path.expanduser(name)
    if name == EMBEDDED or not os.path.exists(beside):
        return load(name, dtype=dtype, device=device)
    return replace(load(str(beside), dtype=dtype, device=device), name=name)


def adopt(name: str, network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Model:
    """Use a network and a tokenizer that are already in memory; neither is changed.

    Args:
        name: What it is called in results.
        network: A decoder in eval mode.
        tokenizer: Its tokenizer.

    Raises:
        ModelError: When the network is in training mode or its architecture is not understood.
    """
    if network.training:
        raise ModelError(
            f"the network {name!r} is in training mode, where dropout makes every run another",
            way_out="Call `network.eval()` first",
        )
    return _model(name, network, tokenizer, fingerprint_network(network, tokenizer))


def _model(name: str, network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, fingerprint: str) -> Model:
    blocks, d_model = find_blocks(network)
    return Model(
        name=name,
        network=network,
        tokenizer=tokenizer,
        blocks=blocks,
        n_layers=len(blocks),
        d_model=d_model,
        context_length=_context_length(name, network, tokenizer),
        dtype=network.dtype,
        device=network.device,
        fingerprint=fingerprint,
    )


def _on_servers(name: str, model: Model) -> Model:
    """The same model, run by servers: one object as long as their addresses are the same, so that requests meet."""
    key = (name, model, addresses())
    with _lock:
        return _served.setdefault(key, replace(model, name=name, servers=key[2]))


def _load_name(name: str, dtype: str, device: torch.device) -> Model:
    if name == EMBEDDED:
        folder, fingerprint = embedded_folder()
        return _load(name, str(folder), dtype, device, fingerprint)
    if difflib.get_close_matches(name, [EMBEDDED], cutoff=0.8):  # asking the hub for it takes half a minute offline
        raise ModelError(f"no model is called {name!r}", way_out=f"Did you mean {EMBEDDED!r}?")
    return _load(name, name, dtype, device, None)


def _load_path(name: str, path: Path, dtype: str, device: torch.device) -> Model:
    ggufs = [path] if path.is_file() else sorted(path.glob("*.gguf"))
    if path.is_dir() and (path / "config.json").is_file() and weight_files(path):
        return _load(name, str(path), dtype, device, None)
    if len(ggufs) == 1 and ggufs[0].suffix == ".gguf":
        folder, fingerprint = from_gguf_file(ggufs[0])
        return _load(name, str(folder), dtype, device, fingerprint)
    raise _not_a_model(name, path, [gguf.name for gguf in ggufs])


def _load(name: str, source: str, dtype: str, device: torch.device, fingerprint: str | None) -> Model:
    with _in_words(name, dtype), quiet(downloads=source == name):
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
        if config.is_encoder_decoder or type(config) not in AutoModelForCausalLM._model_mapping:
            raise ModelError(
                f"{name} is a {config.model_type} model, not a decoder-only language model",
                way_out="Choose another model",
            )
        tokenizer = _tokenizer(name, source)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source, dtype=DTYPES[dtype], use_safetensors=True, trust_remote_code=False, output_loading_info=True
        )
        network, found = loaded
        wrong = [*found["missing_keys"], *found["mismatched_keys"]]
        if wrong:  # transformers would go on with random numbers in their place
            example = min(map(str, wrong))
            raise _wrong_shapes(name, f"{len(wrong)} tensors are missing or of another shape, {example} for instance")
        network = network.to(device).eval().requires_grad_(False)
        if fingerprint is None:
            found_config = cached_file(source, "config.json")
            assert found_config is not None
            fingerprint = fingerprint_folder(Path(found_config).parent, tokenizer)
        return _model(name, network, tokenizer, fingerprint)


def _tokenizer(name: str, source: str) -> PreTrainedTokenizerBase:
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except (ValueError, KeyError, ImportError) as error:
        raise _no_tokenizer(name, _first_line(error)) from error
    assert isinstance(tokenizer, PreTrainedTokenizerBase)
    if len(tokenizer) <= len(tokenizer.added_tokens_decoder):  # what transformers makes when it finds no vocabulary
        raise _no_tokenizer(name, "there is no vocabulary")
    return tokenizer


def _no_tokenizer(name: str, why: str) -> ModelError:
    return ModelError(
        f"the tokenizer of {name} could not be loaded ({why})",
        expected="a tokenizer.json (or tokenizer.model) beside the weights",
        way_out="Save it there with `tokenizer.save_pretrained(folder)`",
    )


@contextmanager
def _in_words(name: str, dtype: str) -> Iterator[None]:
    """Turn what transformers, the hub and torch raise while loading into errors that a person can act on."""
    try:
        yield
    except SafetensorError as error:
        raise ModelError(
            f"the weights of {name} are damaged ({error})", way_out="Delete them and save or download the model again"
        ) from error
    except OSError as error:
        raise _not_loaded(name, error) from error
    except (
        ValueError,
        KeyError,
        ImportError,
        RuntimeError,
        MemoryError,
        TypeError,
        AttributeError,
        AssertionError,
        ArithmeticError,
        IndexError,
        StrictDataclassError,
    ) as error:
        if is_out_of_memory(error):
            smaller = (
                "a smaller model" if dtype == "bfloat16" else "dtype bfloat16 (half the memory) or a smaller model"
            )
            raise ModelError(f"{name} does not fit into memory in {dtype}", way_out=f"Use {smaller}") from error
        if "ignore_mismatched_sizes" in str(error):
            raise _wrong_shapes(name, "tensors are of another shape") from error
        raise ModelError(
            f"{name} could not be loaded ({_first_line(error)})",
            expected="a decoder-only language model that Transformers loads without code of the model's own",
            way_out="Choose another model, or install what the message asks for",
        ) from error


def _wrong_shapes(name: str, what: str) -> ModelError:
    return ModelError(
        f"the weights of {name} do not fit its config.json: {what}", way_out="Save or download the model again"
    )


def _not_loaded(name: str, error: OSError) -> ModelError | EnvironmentFault:
    cause = error.__cause__
    known = (
        f"Use {EMBEDDED} (the embedded model), the path of a folder or GGUF file, or a hub id such as Qwen/Qwen3-0.6B"
    )
    if isinstance(cause, GatedRepoError):
        return ModelError(
            f"{name} is gated on the model hub",
            way_out="Accept its terms on the hub, run `hf auth login`, and try again",
        )
    if isinstance(cause, HFValidationError | RepositoryNotFoundError) or (cause is not None and "/" not in name):
        close = nearest(name, [EMBEDDED]).partition(" Allowed")[0]
        meant = f"{close} " if close.startswith("Did") else ""
        return ModelError(
            f"no model is called {name!r}, here or on the hub as far as it can be reached", way_out=meant + known
        )
    if isinstance(cause, LocalEntryNotFoundError):
        return EnvironmentFault(
            f"{name} is not in the cache of the model hub, and the hub cannot be reached",
            way_out="Connect to the network and try again, or give the path of a folder with the model",
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return EnvironmentFault(f"the disk is full while {name} is fetched", way_out="Free some space and try again")
    return ModelError(f"{name} could not be loaded ({_first_line(error)})", way_out=known)


def _not_a_model(name: str, path: Path, ggufs: list[str]) -> ModelError:
    expected = "a folder with config.json, model.safetensors and a tokenizer, or a GGUF file"
    if not path.exists():
        return ModelError(f"there is no {path}", expected=expected, way_out="Mend the path of the model")
    if len(ggufs) > 1:
        return ModelError(
            f"{path} holds several GGUF files: {', '.join(ggufs)}", way_out=f"Name one: {path / ggufs[0]}"
        )
    if path.is_file():
        return ModelError(f"{path} is not a GGUF file", expected=expected, way_out="Give the folder that it lies in")
    if (path / "adapter_config.json").is_file():
        return ModelError(
            f"{path} is an adapter, not a model", way_out="Name its base model, and the adapter in a `tune`"
        )
    if any(path.glob("*.bin")) or any(path.glob("*.pt")):
        return ModelError(
            f"{path} holds its weights as a pickle, which can run code when it is opened",
            expected=expected,
            way_out="Convert it to safetensors: `model.save_pretrained(folder)`",
        )
    missing = "config.json" if not (path / "config.json").is_file() else "model.safetensors"
    return ModelError(f"the folder {path} has no {missing}", expected=expected, way_out="Save the whole model there")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:300]


def _looks_like_path(name: str) -> bool:
    return name.startswith(("/", "./", "../", "~")) or name.endswith(".gguf") or os.sep in name.replace("/", "", 1)


def _device(device: str) -> torch.device:
    try:
        place = torch.device(device)
    except RuntimeError:
        raise ModelError(f"device {device!r}", expected="cpu, cuda, cuda:N or mps", way_out="Use cpu") from None
    if place.type == "cuda" and not (torch.cuda.is_available() and (place.index or 0) < torch.cuda.device_count()):
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        raise ModelError(f"device {device}, and torch sees {count} CUDA devices here", way_out="Use cpu")
    if place.type == "mps" and not torch.backends.mps.is_available():
        raise ModelError("device mps, and torch cannot use it here", way_out="Use cpu")
    if place.type not in ("cpu", "cuda", "mps"):
        raise ModelError(f"device {device!r}", expected="cpu, cuda, cuda:N or mps", way_out="Use cpu")
    return place


def _context_length(name: str, network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    said = network.config.get_text_config().to_dict()
    for key in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "max_sequence_length"):
        if isinstance(said.get(key), int):
            return int(said[key])
    if tokenizer.model_max_length < 10**9:  # transformers writes 10**30 where nobody said
        return int(tokenizer.model_max_length)
    raise ModelError(
        f"neither the configuration of {name} nor its tokenizer says how long a text may be",
        way_out="Set `max_position_embeddings` in its config.json",
    )
