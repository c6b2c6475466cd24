"""Controls that were asked a part of every unit: their target is compared on that part."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from doxa.stats.evaluate import evaluate, on_items_of_controls
from doxa.stats.table import encode
from doxa.words.contrasts import Contrast

Make = Callable[..., pd.DataFrame]
FAMILIES = {f"i{number:02d}": f"family-{number % 8}" for number in range(32)}
ASKED = sorted(FAMILIES)[:16]
"""Two of every family's four."""


def values(level: float, seed: int, items: list[str]) -> dict[str, float]:
    noise = np.random.default_rng(seed).normal(0.0, 0.1, len(items))
    return {item: level + float(one) for item, one in zip(items, noise, strict=True)}


@pytest.fixture
def table(make_rows: Make, make_table: Make) -> Callable[[list[str]], pd.DataFrame]:
    """The target lies 1 above the baseline on the items of the controls, and 9 above it on the others."""

    def make(asked: list[str]) -> pd.DataFrame:
        factors = {"family": FAMILIES}
        target = {item: one + (0 if item in ASKED else 8) for item, one in values(1.0, 1, list(FAMILIES)).items()}
        parts = [
            make_rows("steered", target, factors=factors),
            make_rows("baseline", values(0.0, 0, list(FAMILIES)), factors=factors),
        ]
        parts += [
            make_rows(
                f"steered~twin/{j:02d}",
                values(0.01 * j, 30 + j, asked),
                of="steered",
                control="twin",
                factors=factors,
            )
            for j in range(19)
        ]
        return make_table(*parts)

    return make


def test_a_unit_is_compared_by_the_items_that_its_controls_were_asked(
    table: Make, minus: Callable[[str, str], Contrast]
) -> None:
    found = evaluate(table(ASKED), [minus("steered", "baseline")], steered=["steered"], units={"task": "family"})
    (one,) = found.estimates
    (verdict,) = found.verdicts
    assert one.value == pytest.approx(5.0, abs=0.1)
    assert one.n["units"] == 8
    assert verdict.effect == pytest.approx(1.0, abs=0.1)
    assert verdict.outside


def test_nothing_is_left_out_where_controls_were_asked_all(table: Make, minus: Callable[[str, str], Contrast]) -> None:
    rows = encode(table(list(FAMILIES)))
    assert on_items_of_controls(rows, "twin", minus("steered", "baseline"), "task", "y") is rows
    assert on_items_of_controls(rows, "unrelated", minus("steered", "baseline"), "task", "y") is rows
