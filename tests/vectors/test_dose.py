from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from doxa.models.handle import Model, load
from doxa.vectors.dose import DoseRow, dose, doses, matched_factors, steering_plan
from doxa.vectors.extract import extract
from doxa.vectors.pairs import load_pairs
from doxa.vectors.reference import kept, reference_rows, residual_norms
from doxa.vectors.states import residuals
from doxa.vectors.twins import twin
from doxa.vectors.vector import Vector
from doxa.words.errors import VectorError
from doxa.words.interventions import Steer, VectorReference
from doxa.words.layers import Layers
from planted_adapters import merged, random_adapter

WEATHER = VectorReference("weather")


def steer(layers: Layers, strength: float, **more: Any) -> Steer:
    return Steer(WEATHER, layers, strength, **more)


def norms(additions: torch.Tensor) -> list[float]:
    return additions.double().norm(dim=1).tolist()


@pytest.fixture
def vector_of(make_vector: Callable[..., Vector]) -> Callable[..., Vector]:
    """`vector_of(model, directions)`: a vector with these directions at the layers of a model."""

    def make(model: Model, directions: Sequence[Sequence[float]] | np.ndarray) -> Vector:
        manifest = replace(make_vector().manifest, model=model.name, fingerprint=model.fingerprint)
        return Vector(np.asarray(directions), residual_norms(model), manifest)

    return make


def same(model: Model, seed: int = 0) -> np.ndarray:
    """One direction at every layer."""
    return np.tile(np.random.default_rng(seed).standard_normal(model.d_model), (model.n_layers, 1))


def different(model: Model) -> np.ndarray:
    """Orthogonal directions."""
    return np.linalg.qr(np.random.default_rng(0).standard_normal((model.d_model, model.n_layers)))[0].T


# --- what is added


def test_a_fraction_of_the_residual_norm_shared_among_layers(make_vector: Callable[..., Vector]) -> None:
    vector = make_vector()
    plan = steering_plan(steer(Layers.at([2, 5, 7]), 0.6), vector)
    assert plan.layers == (2, 5, 7)
    assert plan.at == frozenset({"all"})
    assert norms(plan.additions) == pytest.approx([0.2 * vector.norms[layer] for layer in (2, 5, 7)], rel=1e-5)
    for row, layer in zip(plan.additions.numpy(), plan.layers, strict=True):
        assert np.allclose(row / np.linalg.norm(row), unit(vector.directions[layer]), atol=1e-6)


def unit(row: np.ndarray) -> np.ndarray:
    return np.asarray(row / np.linalg.norm(row))


def test_the_same_strength_at_every_layer(make_vector: Callable[..., Vector]) -> None:
    vector = make_vector()
    plan = steering_plan(steer(Layers.every(), 0.6, share="each"), vector)
    assert norms(plan.additions) == pytest.approx((0.6 * vector.norms).tolist(), rel=1e-5)


def test_a_multiple_of_the_raw_difference(make_vector: Callable[..., Vector]) -> None:
    vector = make_vector()
    each = steering_plan(steer(Layers.at([2, 5]), -0.6, unit="raw", share="each"), vector)
    assert np.allclose(each.additions, -0.6 * vector.directions[[2, 5]], rtol=1e-5)
    total = steering_plan(steer(Layers.at([2, 5]), -0.6, unit="raw"), vector)
    assert np.allclose(total.additions, -0.3 * vector.directions[[2, 5]], rtol=1e-5)


def test_a_negative_strength_is_the_opposite(make_vector: Callable[..., Vector]) -> None:
    vector = make_vector()
    plus, minus = (steering_plan(steer(Layers.one(3), sign * 0.2), vector) for sign in (1, -1))
    assert torch.equal(plus.additions, -minus.additions)


def test_strength_zero_is_no_plan(make_vector: Callable[..., Vector]) -> None:
    plan = steering_plan(steer(Layers.every(), 0.0), make_vector())
    assert plan.layers == ()
    assert plan.additions.shape == (0, 64)


def test_steers_that_cannot_be_applied(make_vector: Callable[..., Vector]) -> None:
    vector = make_vector()
    directions = vector.directions.copy()
    directions[[3, 4]] = 0
    gap = Vector(directions, vector.norms, vector.manifest)
    assert steering_plan(steer(Layers.at([2, 5]), 1.0), gap).layers == (2, 5)
    for wrong, own, said in (
        (steer(Layers.block(end=5, width=4), 1.0), gap, "weather has no direction at layer 3, 4"),
        (steer(Layers.one(12), 1.0), vector, "12 layers"),
        (steer(Layers.one(3), float("nan")), vector, "strength nan"),
        (steer(Layers.one(3), float("inf")), vector, "strength inf"),
        (steer(Layers.one(3), 1.0, unit="relative"), vector, "unit is 'relative'"),
        (steer(Layers.one(3), 1.0, at=("users",)), vector, "Did you mean 'user'"),
        (steer(Layers.one(3), 1.0, at=()), vector, "`at` is empty"),
    ):
        with pytest.raises(VectorError, match=said):
            steering_plan(wrong, own)


# --- what arrives


def test_three_layers_that_agree_add_up(make_model: Callable[..., Model], vector_of: Callable[..., Vector]) -> None:
    passing = make_model(spread=1e-4)  # its blocks pass on what they get
    vector = vector_of(passing, same(passing))
    rows = dose(passing, steer(Layers.at([1, 2, 3]), 0.1, share="each"), vector)
    assert [row.layer for row in rows] == [0, 1, 2, 3, 4]
    assert [row.planned for row in rows] == pytest.approx([0, 0.1, 0.1, 0.1, 0], abs=1e-6)
    assert [row.planned_cumulated for row in rows] == pytest.approx([0, 0.1, 0.2, 0.3, 0.3], abs=1e-6)
    assert [row.measured_projection for row in rows] == pytest.approx([0, 0.1, 0.2, 0.3, 0.3], abs=1e-3)
    assert [row.measured_norm for row in rows] == pytest.approx([0, 0.1, 0.2, 0.3, 0.3], abs=1e-3)


def test_three_layers_that_do_not_agree_add_up_to_less(
    make_model: Callable[..., Model], vector_of: Callable[..., Vector]
) -> None:
    passing = make_model(spread=1e-4)
    rows = dose(passing, steer(Layers.at([1, 2, 3]), -0.3), vector_of(passing, different(passing)))
    assert rows[3].planned_cumulated == pytest.approx(-0.3, abs=1e-6)
    assert rows[3].measured_projection == pytest.approx(-0.1, abs=1e-3)
    assert rows[3].measured_norm == pytest.approx(0.1 * 3**0.5, abs=1e-3)
    assert rows[4].measured_projection == pytest.approx(0, abs=1e-3)


def test_it_is_what_hooks_measure(model: Model, vector_of: Callable[..., Vector]) -> None:
    """The same by hand: plain hooks, one conversation at a time, blocks that do change what they get."""
    vector = vector_of(model, np.random.default_rng(3).standard_normal((5, 32)))
    one = steer(Layers.at([1, 3]), 0.8)
    plan = steering_plan(one, vector)
    conversations = [row.rendered.tokens for row in reference_rows(model)]

    def states(tokens: tuple[int, ...], additions: dict[int, torch.Tensor]) -> torch.Tensor:
        found: list[torch.Tensor] = []

        def hook(layer: int) -> Callable[..., torch.Tensor]:
            def add(module: torch.nn.Module, args: object, output: torch.Tensor) -> torch.Tensor:
                found.append(output + additions.get(layer, torch.zeros(32)))
                return found[-1]

            return add

        hooks = [block.register_forward_hook(hook(layer)) for layer, block in enumerate(model.blocks)]
        with torch.no_grad():
            model.network(input_ids=torch.tensor([tokens]))
        for handle in hooks:
            handle.remove()
        return torch.cat(found)

    clean = [states(tokens, {}) for tokens in conversations]
    moved = [states(tokens, dict(zip(plan.layers, plan.additions, strict=True))) for tokens in conversations]
    keep = kept([row.norm(dim=-1).numpy() for row in clean])
    displacement = torch.cat(
        [(b - a)[:, k] for a, b, k in zip(clean, moved, map(torch.from_numpy, keep), strict=True)], 1
    )
    rows = dose(model, one, vector, limit=None)
    for layer, row in enumerate(rows):
        size, direction = residual_norms(model)[layer], torch.from_numpy(unit(vector.directions[layer]))
        assert row.measured_norm == pytest.approx(float(displacement[layer].norm(dim=-1).mean()) / size, abs=1e-4)
        assert row.measured_projection == pytest.approx(
            float((displacement[layer] @ direction).mean()) / size, abs=1e-4
        )
    assert rows[4].measured_norm > 0.1


def test_several_at_once_are_as_each_alone(model: Model, vector_of: Callable[..., Vector]) -> None:
    vector, other = vector_of(model, same(model)), vector_of(model, same(model, 1))
    steered = [
        (steer(Layers.one(2), 0.3), vector),
        (steer(Layers.every(), -0.6), other),
        (steer(Layers.one(0), 0.2, unit="raw", at=("user",)), vector),
        (steer(Layers.every(), 0.0), vector),
    ]
    done: list[int] = []
    together = doses(model, steered, limit=3, progress=done.append)
    assert done == [1, 1, 1, 1]
    for (one, own), rows in zip(steered, together, strict=True):
        alone = dose(model, one, own, limit=3)
        for a, b in zip(rows, alone, strict=True):
            assert vars(a) == pytest.approx(vars(b), abs=1e-5)
    assert all(row == DoseRow(row.layer, 0.0, 0.0, 0.0, 0.0) for row in together[3])


def test_a_tuned_model_is_measured_as_its_merged_weights_are(model: Model, vector_of: Callable[..., Vector]) -> None:
    one, other = random_adapter(model, 1), random_adapter(model, 2)
    steered = [(steer(Layers.at([1, 2]), 0.4), vector_of(model, same(model)))] * 3
    found = doses(model, steered, [one, None, other], limit=2)
    for rows, adapter in zip(found, (one, None, other), strict=True):
        expected = dose(merged(model, adapter), *steered[0], limit=2)
        for row, due in zip(rows, expected, strict=True):
            assert vars(row) == pytest.approx(vars(due), rel=1e-3, abs=1e-6, nan_ok=True)
    assert found[0] != found[1]


def test_only_touched_tokens_are_measured(make_model: Callable[..., Model], vector_of: Callable[..., Vector]) -> None:
    passing = make_model(spread=1e-4)
    vector = vector_of(passing, same(passing))
    for place in ("prompt", "generated", "user", "assistant"):
        rows = dose(passing, steer(Layers.one(2), 0.2, at=(place,)), vector)
        assert rows[2].measured_projection == pytest.approx(0.2, abs=1e-3)
    silent = dose(passing, steer(Layers.one(2), 0.2, at=("thinking",)), vector)  # nobody thinks in the conversations
    assert silent[2].planned == pytest.approx(0.2)
    assert {row.measured_projection for row in silent} == {row.measured_norm for row in silent} == {None}


def test_a_layer_without_a_direction_has_no_projection(model: Model, vector_of: Callable[..., Vector]) -> None:
    directions = same(model)
    directions[3] = 0
    rows = dose(model, steer(Layers.one(2), 0.2), vector_of(model, directions))
    assert rows[3].measured_projection is None
    assert rows[3].measured_norm is not None
    assert rows[3].measured_norm > 0


def test_raw_strengths_are_planned_as_fractions_too(model: Model, vector_of: Callable[..., Vector]) -> None:
    vector = vector_of(model, same(model))
    rows = dose(model, steer(Layers.one(2), -2.0, unit="raw"), vector)
    expected = -2 * np.linalg.norm(vector.directions[2]) / residual_norms(model)[2]
    assert rows[2].planned == pytest.approx(expected, rel=1e-5)


def test_a_vector_of_another_shape(model: Model, make_vector: Callable[..., Vector]) -> None:
    for shape in ({"layers": 5, "d_model": 64}, {"layers": 12, "d_model": 32}):
        with pytest.raises(VectorError, match=r"Expected 5 layers|Expected 32 dimensions"):
            dose(model, steer(Layers.one(2), 0.1), make_vector(**shape))


# --- matching what arrives


def test_matched_controls_arrive_with_the_norm_of_the_target(model: Model, vector_of: Callable[..., Vector]) -> None:
    target = vector_of(model, same(model))
    controls = [vector_of(model, different(model)), twin(target, 0, 0), target]
    one = steer(Layers.at([1, 2, 3]), 0.6)
    factors = matched_factors(model, one, target, controls)
    assert factors[0] > 1.05  # orthogonal additions arrive as less
    assert factors[2] == 1.0
    due = dose(model, one, target)[3].measured_norm
    for factor, control in zip(factors, controls, strict=True):
        scaled = replace(one, strength=one.strength * factor)
        assert dose(model, scaled, control)[3].measured_norm == pytest.approx(due, rel=0.011)


def test_nothing_to_match(model: Model, vector_of: Callable[..., Vector]) -> None:
    vector = vector_of(model, same(model))
    with pytest.raises(VectorError, match="nothing arrives"):
        matched_factors(model, steer(Layers.one(2), 0.0), vector, [vector])
    with pytest.raises(VectorError, match="nothing arrives"):
        matched_factors(model, steer(Layers.one(2), 0.1, at=("thinking",)), vector, [vector])


# --- a language model


@pytest.mark.embedded
def test_a_block_of_the_embedded_model_arrives_as_less_than_planned() -> None:
    model = load("smollm2")
    pairs = load_pairs("conscious")
    vector = extract(model, replace(pairs, pairs=pairs.pairs[:10]))
    tokens = next(iter(residuals(model, reference_rows(model, 1))))[1]
    assert float(tokens[12, 0].norm()) > 100 * float(residual_norms(model)[12])  # an attention sink stands first
    assert float(residual_norms(model)[12]) == pytest.approx(146, rel=0.03)
    cosines = (vector.directions[1:] * vector.directions[:-1]).sum(axis=1)
    cosines /= np.linalg.norm(vector.directions[1:], axis=1) * np.linalg.norm(vector.directions[:-1], axis=1)
    assert cosines[9:14].min() > 0.5
    assert cosines[9:14].max() < 0.9
    rows = dose(model, steer(Layers.block(end=14, width=6), 0.3), vector)
    assert rows[14].planned_cumulated == pytest.approx(0.3, abs=1e-5)
    assert rows[8].measured_norm == pytest.approx(0, abs=1e-6)
    assert rows[9].measured_projection == pytest.approx(0.05, abs=1e-3)
    assert 0.08 < rows[14].measured_projection < 0.25
    assert 0.18 < rows[14].measured_norm < 0.3
