from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from doxa.stats.comparison import compare
from doxa.stats.evaluate import evaluate
from doxa.stats.table import encode
from doxa.stats.units import unit_of
from doxa.words.contrasts import Contrast, Term

MakeRows = Callable[..., pd.DataFrame]
MakeTable = Callable[..., pd.DataFrame]
FAMILIES = 6


@pytest.fixture
def agreeing(make_rows: MakeRows, make_table: MakeTable) -> pd.DataFrame:
    """Two arms on families of items that agree with each other; another score belongs to no family."""
    random = np.random.default_rng(0)
    parts = []
    for arm in ("a", "b"):
        means = random.normal(0, 1, FAMILIES)
        values = {
            f"{family}-{n}": float(random.normal(means[family], 0.1)) for family in range(FAMILIES) for n in "xyz"
        }
        parts.append(make_rows(arm, values, factors={"family": {item: item[0] for item in values}}))
        parts.append(make_rows(arm, values, score="other", factors={"family": dict.fromkeys(values, "")}))
    return make_table(*parts)


def test_the_declared_factor_where_the_score_has_it(agreeing: pd.DataFrame) -> None:
    rows = encode(agreeing)
    assert unit_of(rows, "task", "y", {"task": "family"}) == "family"
    assert unit_of(rows, "task", "other", {"task": "family"}) == "item"
    assert unit_of(rows, "task", "y", {"task": "problem"}) == "item"
    assert unit_of(rows, "task", "y", {"tusk": "family"}) == unit_of(rows, "task", "y", {}) == "item"
    again = encode(agreeing.assign(task="task tier=free"))  # what `doxa compare --by tier` makes of it
    assert unit_of(again, "task tier=free", "y", {"task": "family"}) == "family"


def test_a_comparison_is_over_declared_units_unless_one_is_named(agreeing: pd.DataFrame) -> None:
    def units(**how: object) -> dict[str, tuple[str, int]]:
        found = compare(agreeing, ["a - b"], **how)  # type: ignore[arg-type]
        levels = {(one.score, one.unit, one.n["units"]) for one in found.levels}
        differences = {(d.estimate.score, d.estimate.unit, d.estimate.n["units"]) for d in found.differences}
        assert levels == differences
        return {score: (unit, n) for score, unit, n in levels}

    items = 3 * FAMILIES
    assert units() == {"y": ("item", items), "other": ("item", items)}
    assert units(units={"task": "family"}) == {"y": ("family", FAMILIES), "other": ("item", items)}
    assert units(unit="item", units={"task": "family"}) == {"y": ("item", items), "other": ("item", items)}


def test_a_study_is_over_declared_units(agreeing: pd.DataFrame) -> None:
    minus = Contrast("a - b", (Term(1.0, "a"), Term(-1.0, "b")))
    found = evaluate(agreeing, [minus], units={"task": "family"}, margins={"y": 1.0, "other": 1.0})
    every = (*found.estimates, *found.arms)
    assert {(one.score, one.unit) for one in every} == {("y", "family"), ("other", "item")}
    plain = {(one.contrast, one.score): one for one in evaluate(agreeing, [minus]).estimates}
    (own,) = [one for one in found.estimates if one.score == "y"]
    assert own.value == pytest.approx(plain["a - b", "y"].value)
    assert own.se is not None
    assert own.se > 1.5 * (plain["a - b", "y"].se or 0)
