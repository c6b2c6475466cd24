"""A GGUF file, converted once to a folder of safetensors and tokenizer in the cache.

Loading GGUF takes half a minute at every start, loading the converted folder about a second. The folder carries a
manifest; a folder that does not agree with it is made again.
"""

import io
import json
import mmap
import shutil
import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stderr
from functools import lru_cache
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors import SafetensorError
from tokenizers.pre_tokenizers import Digits, Sequence
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from doxa.models.fingerprint import file_hash, sha256_of
from doxa.models.quiet import quiet
from doxa.words.errors import EnvironmentFault, ModelError
from doxa.words.store import cache_folder, content_hash, locked, make_folder_atomic, read_json, write_json

CONVERSION = 1
"""Version of the conversion; a change makes every folder again and is part of the fingerprint."""

MANIFEST = "manifest.json"

# Tokenizers that split every digit off before anything else (`tokenizer.ggml.pre`; llama.cpp's llama-vocab.cpp).
# Transformers does not read that field, and then merges white space differently before a number.
_DIGITS_APART = frozenset(("smollm", "starcoder", "refact", "command-r", "codeshell"))


def gguf_fingerprint(sha256: str) -> str:
    """The fingerprint of a model converted from a GGUF file: the same on every machine."""
    return content_hash(["gguf", sha256, CONVERSION])


def from_gguf_file(file: Path) -> tuple[Path, str]:
    """Convert a user's GGUF file, or find it converted.

    Args:
        file: The GGUF file.

    Returns:
        The folder that Transformers can load, and the fingerprint of the model.

    Raises:
        ModelError: When the file is not a GGUF model that Transformers understands.
        EnvironmentFault: When the cache cannot be written.
    """
    sha256 = file_hash(file)
    folder = cache_folder() / "models" / f"gguf-{sha256[:16]}-{CONVERSION}"
    return converted(folder, lambda: nullcontext(file)), gguf_fingerprint(sha256)


def converted(
    folder: Path, source: Callable[[], AbstractContextManager[Path]], told: Callable[[str], None] = lambda _: None
) -> Path:
    """Return a converted folder; make it when it is missing or does not agree with its manifest.

    Two processes may ask at once: one makes it, the other waits.

    Args:
        folder: Where it is or will be.
        source: Opens the GGUF file as a context.
        told: Is told in words what is being done, when something is.

    Raises:
        ModelError: When the file is not a GGUF model that Transformers understands.
        EnvironmentFault: When the cache cannot be written, or a damaged folder cannot be removed.
    """
    if damage(folder) is None:
        return folder
    with locked(folder.with_suffix(".lock")):
        found = damage(folder)
        if found is None:
            return folder
        for killed in folder.parent.glob(f".{folder.name}.*"):  # half-made by a process that was killed
            shutil.rmtree(killed, ignore_errors=True)
        if folder.exists():
            told(f"{folder} is damaged ({found}) and is made again")
            shutil.rmtree(folder, ignore_errors=True)
            if folder.exists():
                raise EnvironmentFault(
                    f"{folder} is damaged ({found}) and could not be removed",
                    way_out="Delete it and run the same command again; it can be made again at any time",
                )
        with source() as file:
            told(f"Converting {file.name}, once")
            make_folder_atomic(folder, lambda beside: _convert(file, beside))
    return folder


def damage(folder: Path) -> str | None:
    """Say what is wrong with a converted folder; None when it is sound.

    Sizes are always compared; contents are hashed again when a file's time of change is not the one recorded.
    """
    if not folder.is_dir():
        return "it does not exist"
    try:
        files = read_json(folder / MANIFEST, what="The manifest", way_out="Delete the folder")["files"]
        needed = {"config.json", "tokenizer.json", "tokenizer_config.json"}
        if not (needed <= set(files) and any(name.endswith(".safetensors") for name in files)):
            return "its manifest does not list what a model needs"
        for name, (size, changed, sha256) in files.items():
            stat = (folder / name).stat()
            if stat.st_size != size:
                return f"{name} has {stat.st_size} bytes instead of {size}"
            if stat.st_mtime_ns != changed and sha256_of(folder / name) != sha256:
                return f"{name} has other contents than were written"
    except EnvironmentFault as error:
        return error.found
    except (OSError, KeyError, ValueError, TypeError) as error:
        return str(error)
    return None


def _convert(file: Path, folder: Path) -> None:
    try:
        digits_apart = _digits_apart(file)
        # The bar of its GGUF reader cannot be turned off.
        with quiet(), redirect_stderr(io.StringIO()), _reading_once():
            tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, trust_remote_code=False)
            network = AutoModelForCausalLM.from_pretrained(
                file.parent, gguf_file=file.name, dtype=torch.float32, trust_remote_code=False
            )
    except (OSError, ValueError, KeyError, IndexError, RuntimeError, struct.error) as error:
        raise ModelError(
            f"{file} could not be converted ({error})",
            expected="a GGUF file of a language model that Transformers can read",
            way_out="Use the model's safetensors folder or its hub id instead",
        ) from error
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    if digits_apart:
        rules = tokenizer.backend_tokenizer
        rules.pre_tokenizer = Sequence([Digits(individual_digits=True), rules.pre_tokenizer])
    # A network that remembers its quantizer refuses to be saved; the weights were dequantised when they were loaded.
    del network.hf_quantizer
    del network.config.quantization_config
    with quiet():
        tokenizer.save_pretrained(folder)
        try:
            network.save_pretrained(folder)
        except SafetensorError as error:
            raise EnvironmentFault(
                f"{folder} could not be written ({error})", way_out="Free some space and run the same command again"
            ) from error
    settings = folder / "tokenizer_config.json"
    kept = {
        key: value
        for key, value in json.loads(settings.read_text(encoding="utf-8")).items()
        if key not in ("backend", "is_local", "local_files_only")  # how it was loaded, not what it is
    }
    # The name of the class is transformers 5's own; this one every version knows.
    write_json(settings, {**kept, "tokenizer_class": "PreTrainedTokenizerFast"})
    files = {
        path.name: [path.stat().st_size, path.stat().st_mtime_ns, sha256_of(path)] for path in sorted(folder.iterdir())
    }
    write_json(
        folder / MANIFEST, {"conversion": CONVERSION, "file": file.name, "sha256": sha256_of(file), "files": files}
    )


class _Reader(gguf.GGUFReader):
    """A reader that takes slices of an ordinary array: those of a `np.memmap` cost ten times as much."""

    def _build_fields(self, offs: int, count: int) -> int:
        self.data = np.asarray(self.data)  # type: ignore[assignment]
        offset: int = super()._build_fields(offs, count)
        return offset


@contextmanager
def _reading_once() -> Iterator[None]:
    """Transformers reads the whole file three times and makes the map of tensor names for every module: once is enough.

    It imports both by name where it uses them, so that what stands in the package `gguf` meanwhile is what it takes.
    """
    usual = {name: vars(gguf)[name] for name in ("GGUFReader", "get_tensor_name_map")}
    try:
        vars(gguf).update(GGUFReader=lru_cache(_Reader), get_tensor_name_map=lru_cache(gguf.get_tensor_name_map))
        yield
    finally:
        vars(gguf).update(usual)


def _digits_apart(file: Path) -> bool:
    # GGUF writes a text field as: length of the key, key, type 8, length of the text, text. Looking for these bytes
    # takes no time; GGUFReader takes seconds for a vocabulary.
    key = b"tokenizer.ggml.pre"
    field = struct.pack("<Q", len(key)) + key + struct.pack("<I", 8)
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(field)
        if at < 0:
            return False
        at += len(field)
        (length,) = struct.unpack("<Q", data[at : at + 8])
        return data[at + 8 : at + 8 + min(length, 64)].decode("utf-8", errors="replace") in _DIGITS_APART
