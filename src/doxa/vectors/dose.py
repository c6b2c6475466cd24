"""Dose: what a `Steer` adds, as planned and as it arrives.

Planned: the addition at a layer as a fraction of the model's residual norm there, along the vector's own direction.
Measured: the displacement, steered minus clean residual, at every layer of the model: its projection on the vector's
direction at that layer, and its norm. When directions agree from layer to layer, three additions of .1 arrive as about
.3 at the third layer; when they do not, as less.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from doxa.models.handle import Model
from doxa.models.low_rank import LowRank
from doxa.models.steering import SteeringPlan
from doxa.vectors.reference import kept, reference_rows, residual_norms
from doxa.vectors.states import residuals
from doxa.vectors.vector import Vector, check
from doxa.words.errors import VectorError, nearest
from doxa.words.interventions import PLACES, Steer
from doxa.words.layers import strength_by_layer

LIMIT = 4
"""Reference conversations on which a dose is measured: displacements hardly differ between them (in the embedded model
those of 4 and of 16 conversations differ by 3 % at most), and every intervention runs through each of them."""

_TOLERANCE = 0.01
_ROUNDS = 8


@dataclass(frozen=True)
class DoseRow:
    """The dose at the output of one decoder block; fractions of the model's residual norm there.

    Attributes:
        layer: Index of the block.
        planned: What is added here along the vector's direction; negative for a negative strength, 0 where nothing is.
        planned_cumulated: The sum of what is added up to here: what arrives if directions agree and blocks pass it on.
        measured_projection: Displacement along the vector's direction at this layer, mean over the touched reference
            tokens. None where the vector has no direction, or no reference token is touched.
        measured_norm: L2 norm of the displacement, mean over the same tokens. None when no reference token is touched.
    """

    layer: int
    planned: float
    planned_cumulated: float
    measured_projection: float | None
    measured_norm: float | None


def steering_plan(steer: Steer, vector: Vector) -> SteeringPlan:
    """What a `Steer` adds at each layer.

    Args:
        steer: The intervention. Its reference is not looked at: `vector` is what it names.
        vector: The vector.

    Returns:
        Additions at the steered layers: strength_l x norm_l x unit direction for `unit: residual`, strength_l x
        direction for `unit: raw`, where strength_l is the whole strength or its share. No layers when strength is 0.

    Raises:
        VectorError: When the strength is not finite, a place or unit is unknown, a layer lies outside the model, or the
            vector has no direction at a steered layer.
    """
    if not steer.at:
        raise VectorError("`at` is empty", expected="the tokens to touch", way_out="Write `at: all`")
    for place in steer.at:
        if place not in PLACES:
            raise VectorError(f"at is {place!r}", way_out=nearest(place, PLACES))
    strengths = strength_by_layer(steer.strength, steer.layers.of(vector.n_layers), steer.share)
    layers = tuple(strengths) if steer.strength != 0 else ()
    missing = [layer for layer in layers if not vector.directions[layer].any()]
    if missing:
        raise VectorError(
            f"{vector.manifest.name} has no direction at layer {', '.join(map(str, missing))}",
            way_out="Steer other layers, or use a vector that has a direction there",
        )
    stacks = {"residual": vector.norms[:, None] * _units(vector), "raw": vector.directions.astype(np.float64)}
    if steer.unit not in stacks:
        raise VectorError(f"unit is {steer.unit!r}", way_out=nearest(steer.unit, stacks))
    share = np.array([strengths[layer] for layer in layers])
    additions = share[:, None] * stacks[steer.unit][list(layers)]
    return SteeringPlan(layers, torch.from_numpy(additions).float(), frozenset(steer.at))


def dose(
    model: Model, steer: Steer, vector: Vector, *, limit: int | None = LIMIT, low_rank: LowRank | None = None
) -> tuple[DoseRow, ...]:
    """Measure what a `Steer` adds, at every layer of the model: `doses` of one."""
    return doses(model, [(steer, vector)], [low_rank], limit=limit)[0]


def doses(
    model: Model,
    steered: Sequence[tuple[Steer, Vector]],
    low_ranks: Sequence[LowRank | None] | None = None,
    *,
    limit: int | None = LIMIT,
    progress: Callable[[int], None] | None = None,
) -> list[tuple[DoseRow, ...]]:
    """Measure what several `Steer`s add, each alone, in batches that mix them; a clean pass is run once an adapter.

    Measured on the reference conversations, at the tokens that the plan touches; attention sinks (tokens left out of
    the residual norms by the same rule) are left out. The last answer of a conversation counts as generated. Fractions
    are of the model's residual norms. Of a tuned model everything is its own: norms, clean pass and sinks.

    Args:
        model: The model.
        steered: Interventions with their vectors.
        low_ranks: For each the adapter of the model; None: the model as it is, for all.
        limit: Only so many reference conversations, spread over the file; None for all.
        progress: Called with 1 when an intervention has been measured.

    Returns:
        For each intervention one row per layer of the model, ascending.

    Raises:
        VectorError: When a vector does not fit the model or cannot be applied.
    """
    for _, vector in steered:
        check(vector, model, base=vector.manifest.model)  # its shape: whether it may be used here is not asked
    tuned = [None] * len(steered) if low_ranks is None else list(low_ranks)
    plans = [steering_plan(steer, vector) for steer, vector in steered]
    units = [torch.from_numpy(_units(vector)) for _, vector in steered]
    clean_rows = reference_rows(model, limit)
    adapters = list(dict.fromkeys(tuned))
    clean: dict[tuple[int, int], Float[Tensor, "layers time d_model"]] = {}
    as_is = [dataclasses.replace(row, low_rank=own) for own in adapters for row in clean_rows]
    for at, states in residuals(model, as_is):
        clean[divmod(at, len(clean_rows))] = states
    sane = []
    for own in range(len(adapters)):
        norms_of = [clean[own, at].norm(dim=-1).numpy() for at in range(len(clean_rows))]
        sane.append([torch.from_numpy(row) for row in kept(norms_of)])

    projections, norms = np.zeros((2, len(plans), model.n_layers))
    tokens, measured = np.zeros((2, len(plans)), dtype=int)
    rows = [
        dataclasses.replace(row, plans=(plan,), low_rank=own)
        for plan, own in zip(plans, tuned, strict=True)
        for row in clean_rows
    ]
    for at, states in residuals(model, rows):
        which, conversation = divmod(at, len(clean_rows))
        own = adapters.index(tuned[which])
        touched = sane[own][conversation] & torch.tensor(rows[at].touches(plans[which]))
        displacement = (states - clean[own, conversation])[:, touched].double()
        projections[which] += (displacement * units[which][:, None]).sum(dim=(1, 2)).numpy()
        norms[which] += displacement.norm(dim=-1).sum(dim=1).numpy()
        tokens[which] += int(touched.sum())
        measured[which] += 1
        if progress and measured[which] == len(clean_rows):
            progress(1)
    found: list[tuple[DoseRow, ...]] = []
    for which, (plan, (_, vector)) in enumerate(zip(plans, steered, strict=True)):
        size = residual_norms(model, low_rank=tuned[which])
        planned = np.zeros(model.n_layers)
        for layer, addition in zip(plan.layers, plan.additions, strict=True):
            planned[layer] = float(addition.double() @ units[which][layer]) / size[layer]
        n = tokens[which]
        projection = [
            float(value) if n and direction.any() else None
            for value, direction in zip(projections[which] / max(n, 1) / size, vector.directions, strict=True)
        ]
        norm = [float(value) if n else None for value in norms[which] / max(n, 1) / size]
        columns = zip(range(model.n_layers), planned.tolist(), planned.cumsum().tolist(), projection, norm, strict=True)
        found.append(tuple(DoseRow(*column) for column in columns))
    return found


def matched_factors(
    model: Model,
    steer: Steer,
    target: Vector,
    controls: Sequence[Vector],
    *,
    limit: int | None = LIMIT,
    progress: Callable[[int], None] | None = None,
    low_rank: LowRank | None = None,
) -> list[float]:
    """By what the strength of each control must be multiplied to arrive with the target's displacement norm.

    For `match: measured`. Compared is the norm of the displacement after the last steered layer; factors are found by
    repeated scaling until it is within 1 % of the target's.

    Args:
        model: The model.
        steer: The target's intervention; the controls get its layers, unit, share and places.
        target: The target.
        controls: The control vectors.
        limit: Only so many reference conversations, spread over the file; None for all.
        progress: Called with 1 when an intervention has been measured.
        low_rank: The adapter of the model; None: the model as it is.

    Raises:
        VectorError: When nothing is added, or no factor is found.
    """
    last = max(steer.layers.of(target.n_layers))

    def arrived(found: tuple[DoseRow, ...]) -> float:
        norm = found[last].measured_norm
        if not norm:
            raise VectorError(
                "nothing arrives, so there is nothing to match",
                expected="a strength other than 0 at tokens that the reference conversations have",
                way_out="Use `match: planned`",
            )
        return norm

    due = arrived(dose(model, steer, target, limit=limit, low_rank=low_rank))
    factors = [1.0] * len(controls)
    open_ = list(range(len(controls)))
    for _ in range(_ROUNDS):
        scaled = [
            (dataclasses.replace(steer, strength=steer.strength * factors[which]), controls[which]) for which in open_
        ]
        measured = doses(model, scaled, [low_rank] * len(scaled), limit=limit, progress=progress)
        norms = [arrived(found) for found in measured]
        open_, norms = _unmatched(open_, norms, due)
        if not open_:
            return factors
        for which, norm in zip(open_, norms, strict=True):
            factors[which] *= due / norm
    raise VectorError(
        f"no strength was found at which {controls[open_[0]].manifest.name} arrives as {target.manifest.name} does",
        expected=f"a displacement within {_TOLERANCE:.0%} after {_ROUNDS} rounds",
        way_out="Use a lower strength, or `match: planned`",
    )


def _unmatched(open_: Sequence[int], norms: Sequence[float], due: float) -> tuple[list[int], list[float]]:
    far = [(which, norm) for which, norm in zip(open_, norms, strict=True) if abs(norm / due - 1) > _TOLERANCE]
    return [which for which, _ in far], [norm for _, norm in far]


def _units(vector: Vector) -> Float[np.ndarray, "layers d_model"]:
    """Unit directions, float64; zero where the vector has none."""
    stack = vector.directions.astype(np.float64)
    norms = np.linalg.norm(stack, axis=1, keepdims=True)
    return np.asarray(np.divide(stack, norms, out=np.zeros_like(stack), where=norms > 0))
