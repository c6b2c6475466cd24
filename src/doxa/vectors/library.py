"""From a reference to a vector: find it, or make it once and keep it in the cache."""

import contextlib
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from doxa.models import handle
from doxa.models.handle import Model
from doxa.models.low_rank import LowRank
from doxa.vectors.extract import Recipe, extract, extraction_key
from doxa.vectors.gguf import import_gguf, import_key
from doxa.vectors.pairs import load_pairs
from doxa.vectors.twins import rescaled, twin
from doxa.vectors.vector import MANIFEST_FILE, Vector, check, load, save
from doxa.words.arms import Pin
from doxa.words.errors import EnvironmentFault, VectorError
from doxa.words.interventions import BASE, VectorReference
from doxa.words.store import cache_folder, content_hash


def obtain(
    reference: VectorReference,
    model: Model,
    folder: Path | None = None,
    progress: Callable[[int], None] | None = None,
    *,
    low_rank: LowRank | None = None,
) -> Vector:
    """The vector that a reference names, ready to be used on a model.

    Args:
        reference: A saved vector's folder, a GGUF control vector, or pairs; perhaps a twin, perhaps rescaled.
        model: The model it will be used on.
        folder: What relative paths are relative to; the working folder when not given.
        progress: Told how many texts were read, while a vector is extracted.
        low_rank: The adapter that the model is used with.

    Raises:
        ProseError: When there are no such pairs.
        VectorError: When the vector does not fit the model.
        EnvironmentFault: When a saved vector is damaged or the cache cannot be written.
    """

    def find(name: str) -> Vector:
        return original(name, model, base=reference.base, folder=folder, progress=progress, low_rank=low_rank)

    return derived(reference, model, find, folder, low_rank=low_rank)


def derived(
    reference: VectorReference,
    model: Model,
    find: Callable[[str], Vector],
    folder: Path | None = None,
    *,
    low_rank: LowRank | None = None,
) -> Vector:
    """Turn and rescale as a reference says, and check that the result fits the model.

    Args:
        reference: Which vector.
        model: The model it will be used on.
        find: Gives the vector of a name.
        folder: What the path of the model that it was taken from is relative to.
        low_rank: The adapter that the model is used with.

    Raises:
        VectorError: When the vector does not fit the model or cannot be turned.
    """
    vector = find(reference.name)
    check(vector, model, _base(vector, model, reference.base, folder), low_rank)
    if reference.twin is not None:
        vector = twin(vector, reference.twin.index, reference.twin.seed)
    if reference.norms_of is not None:
        vector = rescaled(vector, find(reference.norms_of))
    return vector


def as_made(reference: VectorReference, find: Callable[[str], Vector]) -> VectorReference:
    """A reference to a vector that was made for a plan: which model it was taken from was checked then.

    Args:
        reference: Which vector.
        find: Gives the made vector of a name.
    """
    if reference.base is None:
        return reference
    return replace(reference, base=find(reference.name).manifest.fingerprint)


def original(
    name: str,
    model: Model,
    *,
    base: str | None = None,
    folder: Path | None = None,
    progress: Callable[[int], None] | None = None,
    low_rank: LowRank | None = None,
) -> Vector:
    """The vector of a name, as saved or extracted.

    Args:
        name: Path of a saved vector's folder or of a `.gguf` file, or what `load_pairs` takes.
        model: The model that it is extracted from, and whose dtype and device are used.
        base: Extract it from this model instead (`from:` in a study); `base` is the model without its adapter.
        folder: What relative paths are relative to.
        progress: Told how many texts were read.
        low_rank: The model's adapter: without `base` a vector is extracted from the tuned model.

    Raises:
        ProseError: When there are no such pairs.
        VectorError: When a saved vector is of another format.
        EnvironmentFault: When a saved vector is damaged or the cache cannot be written.
    """
    saved = _saved(name, folder)
    if saved is not None:
        if saved.suffix == ".gguf":
            return import_gguf(saved, _source(model, base, folder))
        return load(saved)
    source = _source(model, base, folder)
    pairs = load_pairs(name, folder)
    low_rank = low_rank if base is None else None
    own = _of_adapter(extraction_key(source, pairs, Recipe()), "" if low_rank is None else low_rank.digest)
    kept = cache_folder() / "vectors" / own
    with contextlib.suppress(VectorError, EnvironmentFault):  # not there, or damaged: it can be made again
        return load(kept)
    shutil.rmtree(kept, ignore_errors=True)
    save(extract(source, pairs, progress=progress, low_rank=low_rank), kept)
    return load(kept)


def made_vector(pin: Pin, folder: Path) -> Vector:
    """The vector that a pin says was made.

    Args:
        pin: With the folder of the vector.
        folder: What that is relative to.

    Raises:
        VectorError: When no vector is there, or another one.
        EnvironmentFault: When it is damaged.
    """
    vector = load(folder / (pin.folder or ""))
    if pin.made is not None and vector.digest != pin.made:
        raise VectorError(
            f"{folder / (pin.folder or '')} holds another vector ({vector.digest[:12]}) than the one that was made",
            expected=f"the vector {pin.made[:12]}",
            way_out="Remove that folder and run the study again: it is made anew",
        )
    return vector


def vector_key(
    name: str, model: Model, *, base: str | None = None, folder: Path | None = None, adapter: str = ""
) -> str:
    """A hash of everything that the vector of a name depends on, known before the vector is made.

    Args:
        name: As for `original`.
        model: As for `original`.
        base: As for `original`.
        folder: As for `original`.
        adapter: What the model's adapter is known by, where it has one and `base` is not given.

    Raises:
        ProseError: When there are no such pairs.
        VectorError: When a saved vector does not fit the model.
    """
    source = _source(model, base, folder)
    saved = _saved(name, folder)
    if saved is not None:
        vector = original(name, model, base=base, folder=folder)
        check(vector, model, _base(vector, model, base, folder))
        return vector.digest if saved.suffix != ".gguf" else import_key(source, saved)
    if (source.n_layers, source.d_model) != (model.n_layers, model.d_model):
        raise VectorError(
            f"`from: {base}` has {source.n_layers} layers of width {source.d_model}",
            expected=f"{model.n_layers} layers of width {model.d_model}, as {model.name} has",
            way_out="Name the model that it was tuned from",
        )
    return _of_adapter(extraction_key(source, load_pairs(name, folder), Recipe()), adapter)


def find_vector(name: str, folder: Path | None) -> None:
    """Check, without a model, that there is a vector or pairs of this name.

    Raises:
        ProseError: When there are no such pairs.
    """
    if _saved(name, folder) is None:
        load_pairs(name, folder)


def _base(vector: Vector, model: Model, base: str | None, folder: Path | None) -> str | None:
    """The base that `from:` names, as `check` knows it: a fingerprint says more than the many names of a model."""
    if base is None or base in (vector.manifest.model, vector.manifest.fingerprint):
        return base
    return _source(model, base, folder).fingerprint


def _of_adapter(key: str, adapter: str) -> str:
    """The key of an extraction from a tuned model; without an adapter it is the one it was."""
    return content_hash([key, adapter]) if adapter else key


def _source(model: Model, base: str | None, folder: Path | None) -> Model:
    if base in (None, BASE, model.name):
        return model
    dtype, device = str(model.dtype).removeprefix("torch."), str(model.device)
    return handle.load_beside(base, folder, dtype=dtype, device=device)


def _saved(name: str, folder: Path | None) -> Path | None:
    path = (folder or Path()) / os.path.expanduser(name)
    return path if path.suffix == ".gguf" or os.path.isfile(path / MANIFEST_FILE) else None
