"""A vector: one direction in the residual stream per layer, raw, with what it is and where it comes from.

Layer l is the output of decoder block l, counted from 0. Directions are raw differences of activations, not normalised;
beside them stand the model's own residual norms, so that a strength can be a fraction of them.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from jaxtyping import Float
from safetensors import SafetensorError

from doxa.models.handle import Model
from doxa.models.low_rank import LowRank, tuned_fingerprint
from doxa.words.errors import EnvironmentFault, VectorError
from doxa.words.interventions import BASE
from doxa.words.store import Json, content_hash, make_folder_atomic, read_json, write_json

DIRECTIONS_FILE = "directions.safetensors"
MANIFEST_FILE = "manifest.json"
_FORMAT = "doxa vector 1"
_MAX_BYTES = 1 << 30
_MAX_MANIFEST_BYTES = 1 << 24


@dataclass(frozen=True)
class VectorManifest:
    """What a vector is and where it comes from.

    Attributes:
        name: A short name (`conscious`, `twin 3 of conscious`).
        positive: What adding it means, in words.
        negative: What subtracting it means.
        recipe: How it was made: `kind` (`extracted`, `twin`, `rescaled`, `sum`, `imported`) and what that kind needs to
            be repeated; a vector made from others holds their recipes and digests.
        model: Name of the model that it was taken from, as the user wrote it.
        fingerprint: Content hash of that model.
        architecture: Its model type as Transformers calls it (`llama`).
        dtype: The dtype it was read in.
        norms_rule: How the residual norms were measured, in words.
        doxa: Version of doxa that made it.
    """

    name: str
    positive: str
    negative: str
    recipe: Mapping[str, Json]
    model: str
    fingerprint: str
    architecture: str
    dtype: str
    norms_rule: str
    doxa: str


@dataclass(frozen=True, eq=False)
class Vector:
    """Directions in the residual stream, one per layer.

    Attributes:
        directions: Raw directions, float32, read-only; a layer of zeros has no direction.
        norms: The model's residual norm at each layer (rule in the manifest), float32, read-only.
        manifest: What it is.

    Raises:
        VectorError: When shapes do not agree, a number is not finite, or a norm is not positive.
    """

    directions: Float[np.ndarray, "layers d_model"]
    norms: Float[np.ndarray, " layers"]
    manifest: VectorManifest

    def __post_init__(self) -> None:
        object.__setattr__(self, "directions", _frozen(self.directions))
        object.__setattr__(self, "norms", _frozen(self.norms))
        shape = self.directions.shape
        if len(shape) != 2 or 0 in shape or self.norms.shape != shape[:1]:
            raise VectorError(
                f"{self.manifest.name}: directions of shape {shape} and norms of shape {self.norms.shape}",
                expected="[layers, d_model] and [layers]",
                way_out="Make the vector again",
            )
        for layer, (direction, norm) in enumerate(zip(self.directions, self.norms, strict=True)):
            if not (np.isfinite(direction).all() and np.isfinite(norm) and norm > 0):
                raise VectorError(
                    f"{self.manifest.name}: layer {layer} holds NaN, infinity, or a residual norm that is not positive",
                    way_out="Make the vector again, in float32 if it was made in another dtype",
                )

    @property
    def n_layers(self) -> int:
        """How many decoder blocks the model has."""
        return int(self.directions.shape[0])

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return int(self.directions.shape[1])

    @cached_property
    def digest(self) -> str:
        """SHA-256 of directions, norms, meanings, recipe and model: of all but the model's nickname and our version."""
        manifest = dataclasses.asdict(self.manifest)
        del manifest["model"], manifest["doxa"]
        arrays = [content_hash(array.astype("<f4").tobytes()) for array in (self.directions, self.norms)]
        return content_hash([list(self.directions.shape), arrays, manifest])

    def __add__(self, other: "Vector") -> "Vector":
        """The sum, layer by layer."""
        return combine([(1.0, self), (1.0, other)])

    def __sub__(self, other: "Vector") -> "Vector":
        """The difference, layer by layer."""
        return combine([(1.0, self), (-1.0, other)])

    def __mul__(self, factor: float) -> "Vector":
        """A multiple."""
        return combine([(factor, self)])

    __rmul__ = __mul__

    def __neg__(self) -> "Vector":
        """The opposite."""
        return combine([(-1.0, self)])


def combine(terms: Sequence[tuple[float, Vector]], name: str | None = None) -> Vector:
    """A weighted sum of vectors of one model.

    Args:
        terms: Weights and vectors.
        name: Name of the result; the sum written out when not given.

    Returns:
        The sum. Its recipe holds the weights, digests and recipes of its terms; its meanings are theirs, those of a
        term of negative weight exchanged.

    Raises:
        VectorError: When there is no term, a weight is zero or not finite, or the vectors are of different models.
    """
    if not terms:
        raise VectorError("a sum of no vectors", expected="at least one", way_out="Name the vectors to combine")
    first = terms[0][1]
    for weight, vector in terms:
        if not np.isfinite(weight) or weight == 0:
            raise VectorError(f"weight {weight}", expected="a finite number other than 0", way_out="Change the weight")
        same_model = vector.manifest.fingerprint == first.manifest.fingerprint
        if not same_model or vector.directions.shape != first.directions.shape:
            raise VectorError(
                f"{vector.manifest.name} is of {_model_of(vector)}, {first.manifest.name} of {_model_of(first)}",
                expected="vectors of one model",
                way_out="Extract them from the same model",
            )
    total = sum(weight * vector.directions.astype(np.float64) for weight, vector in terms)
    parts = [
        {"weight": float(weight), "digest": vector.digest, "recipe": vector.manifest.recipe} for weight, vector in terms
    ]
    manifest = dataclasses.replace(
        first.manifest,
        name=name or _written_out(terms, lambda m, _: m.name, signed=True),
        positive=_written_out(terms, lambda m, weight: m.positive if weight > 0 else m.negative),
        negative=_written_out(terms, lambda m, weight: m.negative if weight > 0 else m.positive),
        recipe={"kind": "sum", "terms": parts},
    )
    return Vector(np.asarray(total), first.norms, manifest)


def mean(vectors: Sequence[Vector], name: str | None = None) -> Vector:
    """The mean of vectors of one model.

    Raises:
        VectorError: When there is no vector, or they are of different models.
    """
    return combine([(1.0 / len(vectors), vector) for vector in vectors], name)


def check(vector: Vector, model: Model, base: str | None = None, low_rank: LowRank | None = None) -> None:
    """Check that a vector can be used on a model.

    Args:
        vector: The vector.
        model: The model it is to be used on.
        base: Name or fingerprint of the model that the vector was taken from, when that is another one of the same
            architecture (`from:` in a study: the model that this one was tuned from).
        low_rank: The adapter that the model is used with: without `base` the vector was taken from it with that.

    Raises:
        VectorError: When the width, the number of layers or the weights are others than the vector's.
    """
    name = vector.manifest.name
    for what, found, expected in (
        ("layers", vector.n_layers, model.n_layers),
        ("dimensions", vector.d_model, model.d_model),
    ):
        if found != expected:
            raise VectorError(
                f"the vector {name} has {found} {what} (it was taken from {vector.manifest.model})",
                expected=f"{expected} {what}, as {model.name} has",
                way_out=f"Extract it again from {model.name}",
            )
    if base is None and low_rank is not None and vector.manifest.fingerprint == model.fingerprint:
        raise VectorError(
            f"the vector {name} was taken from {model.name} without the adapter that it is used with",
            way_out=f"Write `from: {BASE}`, which says so, or extract it from the tuned model",
        )
    if base is None and vector.manifest.fingerprint != tuned_fingerprint(model, low_rank):
        raise VectorError(
            f"the vector {name} was taken from {vector.manifest.model} ({vector.manifest.fingerprint[:12]})",
            expected=f"a vector of {model.name} ({model.fingerprint[:12]})",
            way_out=f"Extract it again, or write `from: {vector.manifest.model}` if {model.name} was tuned from it",
        )
    if base is not None and base not in (vector.manifest.model, vector.manifest.fingerprint):
        raise VectorError(
            f"the vector {name} was taken from {vector.manifest.model}, not from {base}",
            way_out=f"Write `from: {vector.manifest.model}`, or extract it from {base}",
        )


def manifest_from_json(head: Mapping[str, Json]) -> VectorManifest:
    """A manifest out of a JSON object that has its fields, and perhaps others.

    Raises:
        VectorError: When a field is missing or of another type.
    """
    fields = [field.name for field in dataclasses.fields(VectorManifest)]
    wrong = [name for name in fields if not isinstance(head.get(name), dict if name == "recipe" else str)]
    if wrong:
        raise VectorError(f"its manifest has no {' and no '.join(wrong)}", way_out="Make the vector again")
    return VectorManifest(**{name: head[name] for name in fields})


def save(vector: Vector, folder: Path) -> None:
    """Save a vector as a folder with `directions.safetensors` and `manifest.json`, whole or not at all.

    Args:
        vector: The vector.
        folder: A folder that does not exist, is empty, or holds this vector already.

    Raises:
        VectorError: When the folder holds something else.
        EnvironmentFault: When it cannot be written.
    """

    def fill(beside: Path) -> None:
        arrays = {"directions": vector.directions, "norms": vector.norms}
        (beside / DIRECTIONS_FILE).write_bytes(safetensors.numpy.save(arrays))
        head = {"format": _FORMAT, "digest": vector.digest, "n_layers": vector.n_layers, "d_model": vector.d_model}
        write_json(beside / MANIFEST_FILE, head | dataclasses.asdict(vector.manifest))

    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        make_folder_atomic(folder, fill)
    if load(folder).digest != vector.digest:
        raise VectorError(f"{folder} holds another vector", way_out="Choose another folder, or remove that one")


def load(folder: Path) -> Vector:
    """Read a saved vector.

    Raises:
        VectorError: When the folder holds no vector.
        EnvironmentFault: When it holds one that is damaged.
    """
    if not (folder / MANIFEST_FILE).is_file() or not (folder / DIRECTIONS_FILE).is_file():
        raise VectorError(
            f"{folder} holds no vector",
            expected=f"a folder with {DIRECTIONS_FILE} and {MANIFEST_FILE}",
            way_out="Check the path, or make the vector with `doxa vector`",
        )
    head = _manifest(folder)
    arrays = _arrays(folder)
    try:
        vector = Vector(arrays["directions"], arrays["norms"], manifest_from_json(head))
        intact = vector.digest == head.get("digest")
    except VectorError as error:
        raise _damaged(folder, error.found) from error
    except (ValueError, RecursionError) as error:
        raise _damaged(folder, f"its manifest holds what no manifest holds ({error})") from error
    if not intact:
        raise _damaged(folder, "its content does not match the digest in its manifest")
    return vector


def _manifest(folder: Path) -> Mapping[str, Json]:
    path = folder / MANIFEST_FILE
    if path.stat().st_size > _MAX_MANIFEST_BYTES:
        raise _damaged(folder, f"its manifest has {path.stat().st_size:,} bytes")
    try:
        head = read_json(path, what="the manifest", way_out=_REMOVE)
    except RecursionError as error:
        raise _damaged(folder, "its manifest is nested too deeply") from error
    if head.get("format") != _FORMAT:
        raise VectorError(
            f"{folder} is of format {head.get('format')!r}",
            expected=f"{_FORMAT!r}",
            way_out="Make the vector again with this version of doxa",
        )
    return head


def _arrays(folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    path = folder / DIRECTIONS_FILE
    if path.stat().st_size > _MAX_BYTES:
        raise _damaged(folder, f"its directions have {path.stat().st_size:,} bytes")
    try:
        arrays = safetensors.numpy.load(path.read_bytes())
    except OSError as error:
        raise EnvironmentFault(f"{path} cannot be read ({error.strerror})", way_out="Check its permissions") from error
    except (SafetensorError, KeyError, ValueError) as error:
        raise _damaged(folder, f"its directions are not a safetensors file of numbers ({error})") from error
    if set(arrays) != {"directions", "norms"} or any(array.dtype != np.float32 for array in arrays.values()):
        raise _damaged(folder, f"it holds the arrays {', '.join(sorted(arrays)) or 'none'}")
    return arrays


_REMOVE = "Remove that folder and run the same command again, or take it from where it came from once more"


def _damaged(folder: Path, what: str) -> EnvironmentFault:
    return EnvironmentFault(f"the vector in {folder} is damaged: {what}", way_out=_REMOVE)


def _frozen(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    with np.errstate(over="ignore"):  # an infinity is found by the check that follows
        copy = np.array(array, dtype=np.float32, order="C")
    copy.setflags(write=False)
    return copy


def _model_of(vector: Vector) -> str:
    shape = f"{vector.n_layers} layers of {vector.d_model} dimensions"
    return f"{vector.manifest.model} ({vector.manifest.fingerprint[:12]}, {shape})"


def _written_out(
    terms: Sequence[tuple[float, Vector]], word: Callable[[VectorManifest, float], str], *, signed: bool = False
) -> str:
    """A sum in words, such as `0.5 conscious - 2 deployed`."""
    parts: list[str] = []
    for weight, vector in terms:
        size = "" if abs(weight) == 1 else f"{abs(weight):g} "
        text = f"{size if signed else ''}{word(vector.manifest, weight)}"
        sign = "-" if signed and weight < 0 else "+"
        parts.append(f" {sign} {text}" if parts else f"-{text}" if sign == "-" else text)
    return "".join(parts)
