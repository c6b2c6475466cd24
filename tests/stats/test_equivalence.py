from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from doxa.stats.equivalence import within_margin
from doxa.stats.estimate import estimate
from doxa.words.errors import ResultsError

Make = Callable[..., pd.DataFrame]


@pytest.fixture
def table(make_rows: Make, make_table: Make) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    one, two = ({f"i{i:02d}": float(generator.normal()) for i in range(40)} for _ in range(2))
    return make_table(make_rows("one", one), make_rows("two", two))


def test_only_an_interval_inside_the_margin_shows_no_effect(table: pd.DataFrame) -> None:
    found = estimate(table, "one - two", "y", level=0.9)
    assert found.low is not None
    assert found.high is not None
    reach = max(-found.low, found.high)
    inside = within_margin(table, "one - two", "y", reach * 1.001)
    assert (inside.answer, inside.low, inside.high) == ("smaller", found.low, found.high)
    assert within_margin(table, "one - two", "y", reach * 0.999).answer == "inconclusive"
    far = table.assign(value=table["value"].where(table["arm"] == "two", table["value"] + 10))
    assert within_margin(far, "one - two", "y", 1.0).answer == "larger"


def test_what_cannot_be_estimated_is_inconclusive(table: pd.DataFrame) -> None:
    assert within_margin(table[table["item"] < "i02"], "one - two", "y", 5.0).answer == "inconclusive"


@pytest.mark.parametrize("margin", [0.0, -1.0, float("nan"), float("inf")])
def test_a_margin_is_a_positive_number(table: pd.DataFrame, margin: float) -> None:
    with pytest.raises(ResultsError, match="a margin of"):
        within_margin(table, "one - two", "y", margin)
