"""Vector controls of a trained arm are made under its first training seed: the target beside them is that seed's."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from doxa.stats.controls import control_effects
from doxa.stats.evaluate import evaluate, under_seeds_of
from doxa.stats.table import encode
from doxa.words.contrasts import Contrast

Make = Callable[..., pd.DataFrame]
ITEMS = [f"i{number}" for number in range(12)]


def values(level: float, seed: int) -> dict[str, float]:
    noise = np.random.default_rng(seed).normal(0.0, 0.1, len(ITEMS))
    return {item: level + float(one) for item, one in zip(ITEMS, noise, strict=True)}


@pytest.fixture
def table(make_rows: Make, make_table: Make) -> Callable[..., pd.DataFrame]:
    """The second seed of the steered arm lies at 9, the first at 1 above its untouched adapter."""

    def make(of_controls: tuple[int, ...] = (1,)) -> pd.DataFrame:
        parts = [make_rows("baseline", values(0.0, 0))]
        for seed, level in ((1, 1.0), (2, 9.0)):
            parts.append(make_rows("tuned", values(0.5, 10 + seed), seed=seed))
            parts.append(make_rows("both", values(0.5 + level, 20 + seed), seed=seed))
        parts += [
            make_rows(f"both~twin/{j:02d}", values(0.5 + 0.01 * j, 30 + j), of="both", control="twin", seed=seed)
            for j in range(19)
            for seed in of_controls
        ]
        return make_table(*parts)

    return make


def test_the_target_is_that_of_the_controls_seeds(table: Make, minus: Callable[[str, str], Contrast]) -> None:
    rows = encode(table())
    own = under_seeds_of(rows, "twin")
    found = control_effects(own, minus("both", "tuned"), "y", "task", "twin", ["both"])
    assert found is not None
    assert found.effects[0] == pytest.approx(1.0, abs=0.15)
    assert set(own.seeds) == {"0", "1"}


def test_controls_of_every_seed_keep_every_seed(table: Make, minus: Callable[[str, str], Contrast]) -> None:
    rows = encode(table((1, 2)))
    assert under_seeds_of(rows, "twin") is rows
    found = control_effects(rows, minus("both", "tuned"), "y", "task", "twin", ["both"])
    assert found is not None
    assert found.effects[0] == pytest.approx(5.0, abs=0.15)


def test_estimates_keep_every_seed_and_verdicts_those_of_the_controls(
    table: Make, minus: Callable[[str, str], Contrast]
) -> None:
    found = evaluate(table(), [minus("both", "tuned")], steered=["both"])
    (one,) = found.estimates
    (verdict,) = found.verdicts
    assert one.value == pytest.approx(5.0, abs=0.15)
    assert one.n["seeds"] == 2
    assert verdict.effect == pytest.approx(1.0, abs=0.15)


def test_where_nothing_is_trained_nothing_is_left_out(make_rows: Make, make_table: Make) -> None:
    parts: list[Any] = [make_rows("baseline", values(0.0, 0)), make_rows("block", values(1.0, 1))]
    parts.append(make_rows("block~twin/00", values(0.1, 2), of="block", control="twin"))
    rows = encode(make_table(*parts))
    assert under_seeds_of(rows, "twin") is rows


def test_controls_of_an_arm_that_is_not_trained_leave_the_seeds_of_another(
    make_rows: Make, make_table: Make, minus: Callable[[str, str], Contrast]
) -> None:
    parts = [make_rows("steered", values(1.0, 1))]
    parts += [make_rows("tuned", values(0.5, 10 + seed), seed=seed) for seed in (1, 2)]
    parts += [make_rows(f"steered~twin/{j:02d}", values(0.01 * j, 30 + j), of="steered", control="twin")
              for j in range(19)]  # fmt: skip
    found = evaluate(make_table(*parts), [minus("steered", "tuned")], steered=["steered"])
    (verdict,) = found.verdicts
    assert verdict.effect == pytest.approx(0.5, abs=0.15)
