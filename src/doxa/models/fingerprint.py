"""Content hashes that identify a model: its weights, tokenizer and chat template, whatever the dtype in memory."""

import contextlib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from doxa.words.errors import EnvironmentFault
from doxa.words.store import cache_folder, content_hash, write_atomic

# What a configuration says about how it was saved or is run, not about what the model computes.
_NOT_ESSENTIAL = frozenset(
    (
        "_name_or_path",
        "_model_name_or_path",
        "architectures",
        "dtype",
        "torch_dtype",
        "transformers_version",
        "use_cache",
    )
)


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file, read now."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 (hex) of a file, remembered in the cache while its path, size and time of change stay the same."""
    stat = path.stat()
    key = content_hash([str(path.resolve()), stat.st_size, stat.st_mtime_ns])
    remembered = cache_folder() / "hashes" / key
    with contextlib.suppress(OSError, ValueError):
        found = remembered.read_text(encoding="ascii")
        if len(bytes.fromhex(found)) == 32:
            return found
    digest = sha256_of(path)
    with contextlib.suppress(EnvironmentFault, OSError):  # without a cache it is only slower
        write_atomic(remembered, digest)
    return digest


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files that Transformers loads the weights of a model folder from; () when there are none.

    Raises:
        EnvironmentFault: When the index cannot be read or names a file outside the folder.
    """
    single = folder / "model.safetensors"
    if single.is_file():  # before the index, when both are there
        return (single,)
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return ()
    way_out = "Fetch the model again; an index names the files beside it"
    try:
        names = sorted({str(name) for name in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EnvironmentFault(f"{index} cannot be read ({error})", way_out=way_out) from error
    for name in names:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise EnvironmentFault(f"{index} names {name!r}, which lies outside the folder", way_out=way_out)
    return tuple(folder / name for name in names)


def fingerprint_folder(folder: Path, tokenizer: PreTrainedTokenizerBase) -> str:
    """The fingerprint of a model loaded from a folder: the bytes on disk, so the same for every dtype in memory."""
    weights = [file_hash(file) for file in weight_files(folder)]
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return _combined({**config, **_ends(folder / "generation_config.json")}, weights, tokenizer)


def fingerprint_network(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> str:
    """The fingerprint of a model in memory: the bytes of every tensor of its state (in another dtype, another)."""
    weights = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        weights.update(json.dumps([name, list(tensor.shape)]).encode())
        flat = tensor.detach().to("cpu").contiguous().reshape(-1)
        weights.update(flat.view(torch.uint8).numpy().data)
    own = network.generation_config
    ends = {"generation_config.eos_token_id": own.eos_token_id} if own is not None and own.eos_token_id else {}
    return _combined({**network.config.to_diff_dict(), **ends}, [weights.hexdigest()], tokenizer)


def _ends(generation_config: Path) -> dict[str, Any]:
    """The tokens that end an answer, where they are set apart from the configuration: they decide what is written."""
    if not generation_config.is_file():
        return {}
    with contextlib.suppress(ValueError, AttributeError):
        ends = json.loads(generation_config.read_text(encoding="utf-8")).get("eos_token_id")
        return {"generation_config.eos_token_id": ends} if ends is not None else {}
    return {}


def _combined(config: Mapping[str, Any], weights: list[str], tokenizer: PreTrainedTokenizerBase) -> str:
    essential = {key: value for key, value in config.items() if key not in _NOT_ESSENTIAL}
    return content_hash([essential, weights, _tokenizer_hash(tokenizer), tokenizer.chat_template])


def _tokenizer_hash(tokenizer: PreTrainedTokenizerBase) -> str:
    special = {key: str(value) for key, value in tokenizer.special_tokens_map.items()}
    if isinstance(tokenizer, PreTrainedTokenizerFast):
        # Padding and truncation are how it was called last, not what it is.
        rules = json.loads(tokenizer.backend_tokenizer.to_str())
        return content_hash([{**rules, "padding": None, "truncation": None}, special])
    return content_hash([type(tokenizer).__name__, tokenizer.get_vocab(), special])
