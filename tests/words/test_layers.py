import math

import pytest

from doxa.words.errors import VectorError
from doxa.words.layers import Layers, strength_by_layer


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (Layers.one(0.5), (14,)),
        (Layers.one(0), (0,)),
        (Layers.one(1.0), (29,)),
        (Layers.block(end=0.5, width=6), (9, 10, 11, 12, 13, 14)),
        (Layers.block(end=5, width=6), (0, 1, 2, 3, 4, 5)),
        (Layers.spread(start=0.12, end=0.38, n=6), (3, 5, 6, 8, 9, 11)),
        (Layers.spread(start=4, end=9, n=1), (4,)),
        (Layers.at([20, 3, 3]), (3, 20)),
        (Layers.every(), tuple(range(30))),
    ],
)
def test_rules_pick_layers_of_a_model_with_30(layers: Layers, expected: tuple[int, ...]) -> None:
    assert layers.of(30) == expected


@pytest.mark.parametrize(
    ("layers", "says"),
    [
        (Layers.one(30), "from 0 to 29"),
        (Layers.one(-1), "from 0 to 29"),
        (Layers.one(12.0), "between 0.0 and 1.0"),
        (Layers.one(math.nan), "fraction of the depth"),
        (Layers.block(end=3, width=6), "before the first layer"),
        (Layers.block(end=3, width=0), "at least one layer"),
        (Layers.spread(start=3, end=5, n=6), "at most 3"),
        (Layers.spread(start=9, end=5, n=2), "at most 0"),
    ],
)
def test_what_does_not_fit_is_an_error_in_words(layers: Layers, says: str) -> None:
    with pytest.raises(VectorError, match=says):
        layers.of(30)


def test_a_total_is_shared_and_an_each_is_not() -> None:
    assert strength_by_layer(0.6, (1, 2, 3), "total") == pytest.approx({1: 0.2, 2: 0.2, 3: 0.2})
    assert strength_by_layer(0.6, (1, 2, 3), "each") == {1: 0.6, 2: 0.6, 3: 0.6}


@pytest.mark.parametrize("strength", [math.nan, math.inf])
def test_a_strength_is_finite(strength: float) -> None:
    with pytest.raises(VectorError, match="finite"):
        strength_by_layer(strength, (1,), "total")


def test_no_layers_is_an_error() -> None:
    with pytest.raises(VectorError, match="no layers"):
        strength_by_layer(0.1, (), "total")
