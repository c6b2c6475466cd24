"""From contrast pairs to a vector: mean difference, or principal component, of the residual stream at every layer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

import doxa
from doxa.models.chat import Message, Rendered, render
from doxa.models.handle import Model
from doxa.models.low_rank import LowRank, tuned_fingerprint
from doxa.vectors.pairs import Pair, PairSet
from doxa.vectors.reference import norms_rule, reference_hash, residual_norms
from doxa.vectors.states import Row, residuals
from doxa.vectors.vector import Vector, VectorManifest
from doxa.words.errors import VectorError, nearest
from doxa.words.store import Json, content_hash, stream

Method = Literal["mean", "pca"]
METHODS: tuple[Method, ...] = get_args(Method)
_VERSION = 1  # raise it when the same pairs and model begin to give other numbers
_SHOWN = 4


@dataclass(frozen=True)
class Recipe:
    """How a vector is made from pairs.

    Attributes:
        method: `mean`: the mean over pairs of positive minus negative. `pca`: the first principal component of both
            sides about each pair's midpoint (the uncentred one of the differences), with the sign and the norm of the
            mean difference.
        resample: Draw the pairs again with replacement, from this seed: the spread of such vectors is what the choice
            of pairs contributes.
        shuffled: Exchange the labels of exactly half of the pairs (rounded down), drawn from this seed: a control.
    """

    method: Method = "mean"
    resample: int | None = None
    shuffled: int | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise VectorError(f"method {self.method!r}", way_out=nearest(self.method, METHODS))


def extract(
    model: Model,
    pairs: PairSet,
    *,
    method: Method = "mean",
    resample: int | None = None,
    shuffled: int | None = None,
    progress: Callable[[int], None] | None = None,
    low_rank: LowRank | None = None,
) -> Vector:
    """Take a vector from a model.

    Every text is rendered by the model's chat template; the residual stream is read at the output of every decoder
    block (layer l: block l, counted from 0) in one pass, at the tokens that `pairs.read` names.

    Args:
        model: The model.
        pairs: The contrast pairs.
        method: See `Recipe`.
        resample: See `Recipe`.
        shuffled: See `Recipe`.
        progress: Called with the number of texts that were just read (two a pair in all).
        low_rank: The adapter that the model is read with; None: the model as it is.

    Returns:
        Raw directions, not normalised, from negative to positive; with the model's residual norms.

    Raises:
        VectorError: When the model does not tell the two sides apart, or the method is not known.
        ModelError: When a text is longer than the model's context.
    """
    return extract_all(model, pairs, [Recipe(method, resample, shuffled)], progress=progress, low_rank=low_rank)[0]


def extract_all(
    model: Model,
    pairs: PairSet,
    recipes: Sequence[Recipe],
    *,
    progress: Callable[[int], None] | None = None,
    low_rank: LowRank | None = None,
) -> list[Vector]:
    """Take several vectors from the same pairs, reading the model once (bootstrap vectors, for instance).

    Args:
        model: The model.
        pairs: The contrast pairs.
        recipes: How each vector is made.
        progress: Called with the number of texts that were just read.
        low_rank: The adapter that the model is read with.

    Raises:
        VectorError: When the model does not tell the two sides apart.
        ModelError: When a text is longer than the model's context.
    """
    states, read_at = _states(model, pairs, progress, low_rank)
    return [_vector(model, pairs, recipe, states, read_at, low_rank) for recipe in recipes]


def extraction_key(model: Model, pairs: PairSet, recipe: Recipe) -> str:
    """A hash of all that a vector is made from: the name under which a finished extraction can be kept."""
    made_from = [_VERSION, model.fingerprint, str(model.dtype), pairs.hash, pairs.name, reference_hash()]
    return content_hash([*made_from, recipe.method, recipe.resample, recipe.shuffled])


def _vector(
    model: Model,
    pairs: PairSet,
    recipe: Recipe,
    states: Float[np.ndarray, "sides pairs layers d_model"],
    read_at: Sequence[str],
    low_rank: LowRank | None,
) -> Vector:
    n = len(pairs.pairs)
    differences = states[0] - states[1]
    name, positive, negative = pairs.name, pairs.positive, pairs.negative
    if recipe.shuffled is not None:
        exchanged = stream("shuffled", recipe.shuffled).permutation(n)[: n // 2]
        differences[exchanged] *= -1
        name = f"{name} shuffled {recipe.shuffled}"
        positive, negative = (
            f"nothing: {side}, labels of half of the pairs exchanged" for side in (positive, negative)
        )
    if recipe.resample is not None:
        differences = differences[stream("resample", recipe.resample).integers(n, size=n)]
        name = f"{name} resampled {recipe.resample}"
    directions = differences.mean(axis=0)
    if recipe.method == "pca":
        directions = _principal(differences, directions)
    if not directions.any():
        raise VectorError(
            f"{model.name} does not tell the two sides of {pairs.name} apart where they are read",
            way_out="Read them elsewhere (`read:` in the pairs file), or write texts that differ before that token",
        )
    made: dict[str, Json] = {
        "kind": "extracted",
        "method": recipe.method,
        "pairs": pairs.name,
        "pairs_hash": pairs.hash,
        "n_pairs": n,
        "read": pairs.read,
        "read_at": list(read_at),
        "resample": recipe.resample,
        "shuffled": recipe.shuffled,
        "version": _VERSION,
        **({} if low_rank is None else {"adapter": low_rank.digest}),
    }
    manifest = VectorManifest(
        name=name,
        positive=positive,
        negative=negative,
        recipe=made,
        model=model.name if low_rank is None else f"{model.name} tuned {low_rank.digest[:8]}",
        fingerprint=tuned_fingerprint(model, low_rank),
        architecture=model.network.config.model_type,
        dtype=str(model.dtype).removeprefix("torch."),
        norms_rule=norms_rule(),
        doxa=doxa.__version__,
    )
    return Vector(directions, residual_norms(model, low_rank=low_rank), manifest)


def _principal(
    differences: Float[np.ndarray, "pairs layers d_model"], mean: Float[np.ndarray, "layers d_model"]
) -> Float[np.ndarray, "layers d_model"]:
    first = np.linalg.svd(differences.swapaxes(0, 1), full_matrices=False)[2][:, 0]  # [layers, d_model]
    along = (first * mean).sum(axis=1, keepdims=True)
    return np.asarray(np.where(along < 0, -1.0, 1.0) * np.linalg.norm(mean, axis=1, keepdims=True) * first)


def _states(
    model: Model, pairs: PairSet, progress: Callable[[int], None] | None, low_rank: LowRank | None
) -> tuple[Float[np.ndarray, "sides pairs layers d_model"], list[str]]:
    """The residual stream at the tokens read, float64, and the texts of those tokens (a few of them)."""
    rows = [_rendered(model, pairs, pair, text) for pair in pairs.pairs for text in (pair.positive, pair.negative)]
    places = [_places(pair_row, pairs) for pair_row in rows]
    states = np.empty((len(rows), model.n_layers, model.d_model))
    read = [Row(row, generated=len(row.tokens), low_rank=low_rank) for row in rows]
    for index, stack in residuals(model, read):
        states[index] = stack[:, places[index]].double().mean(dim=1).numpy()
        if progress:
            progress(1)
    read_at: list[str] = []
    if pairs.read in ("last", "colon", "reply"):
        last = {row.tokens[place[0]] for row, place in zip(rows, places, strict=True)}
        read_at = sorted(str(model.tokenizer.decode([token])) for token in last)[:_SHOWN]
    return states.reshape(len(pairs.pairs), 2, model.n_layers, model.d_model).swapaxes(0, 1), read_at


def _rendered(model: Model, pairs: PairSet, pair: Pair, text: str) -> Rendered:
    if pair.question is None:
        return render(model, [Message("user", text)], generation_prompt=False)
    if pairs.role == "system":
        conversation = [Message("system", text), Message("user", pair.question)]
        return render(model, conversation, generation_prompt=pairs.read == "reply")
    return render(model, [Message("user", pair.question), Message("assistant", text)], generation_prompt=False)


def _places(row: Rendered, pairs: PairSet) -> list[int]:
    """Positions whose residuals are averaged."""
    if pairs.read == "colon":
        return [len(row.tokens) - 2]
    if pairs.read == "reply":
        return [len(row.tokens) - 1]
    if pairs.role == "system":
        speaker = "user" if pairs.read == "request" else "system"
    else:
        speaker = "assistant" if "assistant" in row.roles else "user"
    own = [at for at, role in enumerate(row.roles) if role == speaker]
    return own[-1:] if pairs.read == "last" else own
