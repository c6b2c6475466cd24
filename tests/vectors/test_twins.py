from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest

from doxa.vectors.twins import rescaled, twin
from doxa.vectors.vector import Vector
from doxa.words.errors import VectorError

Make = Callable[..., Vector]


def norms(vector: Vector) -> np.ndarray:
    return np.linalg.norm(vector.directions.astype(np.float64), axis=1)


def cosines(a: Vector, b: Vector) -> np.ndarray:
    units = [v.directions.astype(np.float64) / norms(v)[:, None] for v in (a, b)]
    return units[0] @ units[1].T


@pytest.mark.parametrize(
    ("layers", "d_model", "keep"),
    [(12, 64, 0.8), (30, 576, 0.95), (30, 576, 0.0), (8, 5, 0.5), (5, 5, 0.5), (1, 7, 0.0), (6, 32, 1.0)],
)
def test_norms_and_cosines_between_layers_are_the_targets(
    make_vector: Make, layers: int, d_model: int, keep: float
) -> None:
    target = make_vector(layers=layers, d_model=d_model, keep=keep)
    control = twin(target, 3, seed=1)
    assert np.abs(norms(control) / norms(target) - 1).max() < 1e-5
    assert np.abs(cosines(control, control) - cosines(target, target)).max() < 1e-5


def test_small_layers_beside_large_ones_keep_their_cosines(make_vector: Make) -> None:
    target = make_vector()
    scales = 10.0 ** np.linspace(-6, 6, 12)[:, None]
    steep = Vector(target.directions * scales, target.norms, target.manifest)
    control = twin(steep, 0, seed=0)
    assert np.abs(norms(control) / norms(steep) - 1).max() < 1e-5
    assert np.abs(cosines(control, control) - cosines(target, target)).max() < 1e-5


def test_layers_without_a_direction_have_none_in_the_twin(make_vector: Make) -> None:
    target = make_vector()
    directions = target.directions.copy()
    directions[[0, 5]] = 0
    control = twin(Vector(directions, target.norms, target.manifest), 0, seed=0)
    assert np.array_equal(np.flatnonzero(norms(control) == 0), [0, 5])
    kept = [i for i in range(12) if i not in (0, 5)]
    assert np.abs(norms(control)[kept] / norms(target)[kept] - 1).max() < 1e-5


def test_twins_are_nearly_orthogonal_to_the_target_and_to_each_other(make_vector: Make) -> None:
    target = make_vector(layers=30, d_model=576)
    family = [target, *(twin(target, index, seed=0) for index in range(8))]
    found = np.array([np.diag(cosines(a, b)) for a, b in combinations(family, 2)])
    assert np.abs(found).max() < 6 / 576**0.5
    assert found.std() == pytest.approx(1 / 576**0.5, rel=0.25)


def test_rotations_have_no_preferred_direction(make_vector: Make) -> None:
    target = make_vector(layers=3, d_model=4)
    firsts = np.array([twin(target, index, seed=0).directions[0] for index in range(2000)])
    units = firsts / np.linalg.norm(firsts, axis=1, keepdims=True)
    assert np.abs(units.mean(axis=0)).max() < 0.05
    assert np.abs(units.T @ units / 2000 - np.eye(4) / 4).max() < 0.025


def test_a_twin_is_drawn_from_its_index_and_seed_alone(make_vector: Make) -> None:
    target = make_vector()
    again = twin(target, 7, seed=5)
    assert again.digest == twin(target, 7, seed=5).digest
    for other in (twin(target, 8, seed=5), twin(target, 7, seed=6)):
        assert other.digest != again.digest
        assert not np.allclose(other.directions, again.directions, atol=0.1 * float(np.abs(again.directions).max()))


def test_a_twin_does_not_hang_on_the_last_bits_of_the_target(make_vector: Make) -> None:
    target = make_vector()
    noise = 1 + 1e-6 * np.random.default_rng(0).standard_normal(target.directions.shape)
    nearly = Vector(target.directions * noise, target.norms, target.manifest)
    difference = twin(nearly, 0, seed=0).directions - twin(target, 0, seed=0).directions
    assert (np.linalg.norm(difference, axis=1) / norms(target)).max() < 1e-4


def test_a_twin_is_one_rotation_of_the_stack(make_vector: Make) -> None:
    """Sums of layers keep their norms too, so additions accumulate as the target's do, whatever layers are steered."""
    target = make_vector()
    control = twin(target, 2, seed=0)
    for layers in ([0, 1, 2], [3, 7, 11], list(range(12))):
        arrived = np.linalg.norm(target.directions[layers].sum(axis=0))
        assert np.linalg.norm(control.directions[layers].sum(axis=0)) == pytest.approx(arrived, rel=1e-5)


def test_the_manifest_says_that_it_means_nothing(make_vector: Make) -> None:
    target = make_vector()
    control = twin(target, 2, seed=9)
    assert control.manifest.name == "twin 2 of weather"
    assert control.manifest.positive.startswith("nothing")
    expected = {"kind": "twin", "index": 2, "seed": 9, "digest": target.digest, "recipe": target.manifest.recipe}
    assert control.manifest.recipe == expected
    assert np.array_equal(control.norms, target.norms)


def test_a_vector_of_zeros_has_no_twin(make_vector: Make) -> None:
    target = make_vector()
    with pytest.raises(VectorError, match="zero at every layer"):
        twin(Vector(np.zeros_like(target.directions), target.norms, target.manifest), 0, seed=0)


def test_rescaled_has_the_others_norms_and_its_own_directions(make_vector: Make) -> None:
    own, like = make_vector(seed=4), make_vector()
    control = rescaled(own, like)
    assert np.allclose(norms(control), norms(like), rtol=1e-6)
    assert np.allclose(np.diag(cosines(control, own)), 1)
    assert control.manifest.recipe["like"] == like.digest
    assert control.manifest.positive == own.manifest.positive


def test_rescaled_is_zero_where_the_other_is(make_vector: Make) -> None:
    own, like = make_vector(seed=4), make_vector()
    directions = like.directions.copy()
    directions[2] = 0
    assert norms(rescaled(own, Vector(directions, like.norms, like.manifest)))[2] == 0
    gap = Vector(directions, like.norms, like.manifest)
    with pytest.raises(VectorError, match="no direction at layer 2"):
        rescaled(gap, own)
    with pytest.raises(VectorError, match="shape"):
        rescaled(make_vector(d_model=32), like)
