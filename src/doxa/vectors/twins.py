"""Twins: control vectors that differ from a target in direction only.

A twin is the target's whole stack of directions under one random rotation. With U an orthonormal basis of the span of
the target's directions v_l and W a random orthonormal frame of the same rank, twin_l = W U^T v_l: norms and
layer-to-layer cosines are the target's, so additions accumulate as the target's do, and only the meaning is lost.

The rotation is made from the stack of all layers, so it is the same whatever layers are steered, and how strongly.
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from doxa.vectors.vector import Vector
from doxa.words.errors import VectorError
from doxa.words.store import stream

_RANK_CUT = 1e-7  # of the largest singular value: directions are float32


def twin(vector: Vector, index: int, seed: int) -> Vector:
    """Twin number `index` of a vector.

    W is the orthonormal factor of the polar decomposition of a Gaussian matrix, and so is distributed uniformly
    (Haar). The Gaussian matrix [d_model, layers] is drawn from the stream ("twin", seed, index) and expressed in the
    basis in which the singular value decomposition expresses U: the twin is then the same whichever of its many bases
    that decomposition returns, and changes little when the target changes little.

    Args:
        vector: The target.
        index: Which twin, from 0.
        seed: The study's seed.

    Returns:
        A vector with the target's norms and layer-to-layer cosines.

    Raises:
        VectorError: When the target has no direction at any layer.
    """
    norms = _norms(vector)
    stack = vector.directions.astype(np.float64)
    # Unit directions span what the directions span; norms differ by orders of magnitude from layer to layer, and a rank
    # cut on the directions themselves would cut off the small ones.
    units = np.divide(stack, norms[:, None], out=np.zeros_like(stack), where=norms[:, None] > 0)
    left, singular, right = np.linalg.svd(units, full_matrices=False)  # units = left * singular @ right; U = right.T
    rank = int((singular > _RANK_CUT * singular[0]).sum())
    if rank == 0:
        raise VectorError(
            f"{vector.manifest.name} is zero at every layer",
            expected="a direction at one layer at least",
            way_out="Make the vector from pairs whose sides differ",
        )
    gaussian = stream("twin", seed, index).standard_normal((vector.d_model, vector.n_layers))
    frame = _orthonormal(gaussian @ left[:, :rank])
    turned = norms[:, None] * ((units @ right[:rank].T) @ frame.T)
    source = vector.manifest
    manifest = dataclasses.replace(
        source,
        name=f"twin {index} of {source.name}",
        positive=f"nothing: {source.positive}, turned in a random direction",
        negative=f"nothing: {source.negative}, turned in a random direction",
        recipe={"kind": "twin", "index": index, "seed": seed, "digest": vector.digest, "recipe": source.recipe},
    )
    return Vector(turned, vector.norms, manifest)


def rescaled(vector: Vector, like: Vector) -> Vector:
    """A vector with the norms of another at every layer (and zero where the other is zero).

    Args:
        vector: The control vector.
        like: The vector whose norms it gets.

    Raises:
        VectorError: When the shapes differ, or `vector` has no direction at a layer where `like` has one.
    """
    if vector.directions.shape != like.directions.shape:
        raise VectorError(
            f"{vector.manifest.name} has directions of shape {vector.directions.shape}",
            expected=f"{like.directions.shape}, as {like.manifest.name}",
            way_out="Take both from the same model",
        )
    own, due = _norms(vector), _norms(like)
    for layer in np.flatnonzero((own == 0) & (due > 0)):
        raise VectorError(
            f"{vector.manifest.name} has no direction at layer {layer}",
            expected=f"one, as {like.manifest.name} has",
            way_out="Extract it from pairs whose sides differ",
        )
    factors = np.divide(due, own, out=np.zeros_like(due), where=own > 0)
    source = vector.manifest
    recipe = {"kind": "rescaled", "digest": vector.digest, "recipe": source.recipe, "like": like.digest}
    manifest = dataclasses.replace(source, name=f"{source.name} at the norms of {like.manifest.name}", recipe=recipe)
    return Vector(vector.directions * factors[:, None], vector.norms, manifest)


def _orthonormal(matrix: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "rows columns"]:
    """The nearest matrix with orthonormal columns (polar decomposition)."""
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    return np.asarray(left @ right)


def _norms(vector: Vector) -> Float[np.ndarray, " layers"]:
    return np.asarray(np.linalg.norm(vector.directions.astype(np.float64), axis=1))
