"""Variances of ratings: right on average on simulated data, whatever the sizes; and a judge without noise has none."""

import numpy as np
import pandas as pd
import pytest

from doxa.stats.judge_noise import JudgeNoise, judge_noise
from doxa.words.errors import ResultsError
from doxa.words.schema import judge_run

ITEM, RUN, JUDGE = 2.0, 1.0, 0.5
SIZES = [[3, 3, 2, 3], [1, 2, 3], [3, 3], [3, 1, 1, 2, 3], [2, 2, 2]]
"""Readings of every run of every item: as unequal as they come."""


def table(draw: np.random.Generator, sizes: list[list[int]], item: float, run: float, judge: float) -> pd.DataFrame:
    rows = []
    for i, runs in enumerate(sizes):
        of_item = 5 + np.sqrt(item) * draw.normal()
        for r, readings in enumerate(runs, start=1):
            of_run = of_item + np.sqrt(run) * draw.normal()
            for j in range(1, readings + 1):
                value = of_run + np.sqrt(judge) * draw.normal()
                rows.append(("a", "doxa/audit", f"i{i}", r, 0, judge_run("concern", j), value))
    return pd.DataFrame(rows, columns=["arm", "task", "item", "run", "seed", "score", "value"])


def found(draw: np.random.Generator, sizes: list[list[int]], *parts: float) -> JudgeNoise:
    return judge_noise(table(draw, sizes, *parts), "a", "concern")


@pytest.mark.parametrize("sizes", [[[3] * 5] * 6, SIZES], ids=["balanced", "unbalanced"])
def test_the_variances_are_right_on_average(sizes: list[list[int]]) -> None:
    draw = np.random.default_rng(1)
    several = [found(draw, sizes, ITEM, RUN, JUDGE) for _ in range(400)]
    for name, truth in (("item", ITEM), ("run", RUN), ("judge", JUDGE)):
        values = np.array([getattr(one, name) for one in several])
        assert abs(values.mean() - truth) < 3.5 * values.std() / np.sqrt(len(values)), name
    if sizes is not SIZES:  # the interval is exact for equal sizes
        held = sum(one.low <= RUN / (RUN + JUDGE) <= one.high for one in several)  # type: ignore[operator]
        assert 364 <= held <= 394  # .95 of 400, within 3.5 standard deviations


def test_mean_squares_are_divided_by_what_they_expect() -> None:
    """Of unequal sizes: the coefficient of a variance in an expected mean square is a trace over df."""
    rows = table(np.random.default_rng(5), SIZES, ITEM, RUN, JUDGE)
    value = rows["value"].to_numpy()
    runs, items = (
        pd.get_dummies(key).to_numpy(float) for key in (rows["item"] + "/" + rows["run"].astype(str), rows["item"])
    )
    onto_runs, onto_items = (z @ np.linalg.pinv(z) for z in (runs, items))
    onto_mean, n = np.full_like(onto_runs, 1 / len(rows)), len(rows)
    parts = [(np.eye(n) - onto_runs, n - runs.shape[1]), (onto_runs - onto_items, runs.shape[1] - items.shape[1]),
             (onto_items - onto_mean, items.shape[1] - 1)]  # fmt: skip
    square = [value @ part @ value / df for part, df in parts]
    expected = [[np.trace(part @ z @ z.T) / df for z in (np.eye(n), runs, items)] for part, df in parts]
    judge, run, item = np.linalg.solve(np.array(expected), square)
    one = judge_noise(rows, "a", "concern")
    assert (one.judge, one.run, one.item) == pytest.approx((judge, run, item), rel=1e-9)


def test_the_standard_error_is_what_the_mean_of_an_arm_varies_by() -> None:
    draw, sizes = np.random.default_rng(2), [[2] * 3] * 8
    whole = found(draw, [[3] * 40] * 60, ITEM, RUN, JUDGE)
    means = [table(draw, sizes, ITEM, RUN, JUDGE)["value"].mean() for _ in range(1500)]
    assert whole.standard_error(8, 3, 2) == pytest.approx(np.std(means), rel=0.15)
    these = whole.standard_error(8, 3, 2, new_items=False)
    assert these == pytest.approx(np.sqrt(RUN / 24 + JUDGE / 48), rel=0.1)


def test_a_judge_that_always_says_the_same_has_no_noise() -> None:
    one = found(np.random.default_rng(3), [[3] * 5] * 4, ITEM, RUN, 0.0)
    assert one.judge == pytest.approx(0.0, abs=1e-20)
    assert one.reliability == pytest.approx(1.0)
    assert one.df == (3, 16, 40)
    assert (one.items, one.runs, one.readings) == (4, 20, 60)


def test_a_judge_that_rates_at_random_is_not_reliable() -> None:
    one = found(np.random.default_rng(4), [[3] * 20] * 10, ITEM, 0.0, 1.0)
    assert one.low is not None
    assert one.low < 0.0 < one.high  # type: ignore[operator]
    assert abs(one.reliability or 1.0) < 0.15


def test_what_the_design_cannot_tell_is_none() -> None:
    draw = np.random.default_rng(5)
    single_run = found(draw, [[3]] * 6, ITEM, RUN, JUDGE)
    assert single_run.judge is not None
    assert (single_run.run, single_run.item, single_run.reliability) == (None, None, None)
    assert single_run.standard_error(6, 2, 2) is None
    assert found(draw, [[1] * 4] * 6, ITEM, RUN, JUDGE).judge is None
    constant = table(draw, [[2] * 3] * 3, 0.0, 0.0, 0.0)
    assert judge_noise(constant, "a", "concern").reliability is None


def test_missing_readings_are_left_out_and_other_scores_too() -> None:
    rows = table(np.random.default_rng(6), [[3] * 3] * 3, ITEM, RUN, JUDGE)
    rows.loc[0, "value"] = np.nan
    other = rows.assign(score="concerned.judge1", run=9)
    whole = rows.assign(score="concern", run=8)
    one = judge_noise(pd.concat([rows, other, whole], ignore_index=True), "a", "concern")
    assert one.readings == 26
    assert one == judge_noise(rows.iloc[1:], "a", "concern")


def test_without_single_readings_it_says_how_to_get_them() -> None:
    rows = table(np.random.default_rng(7), [[2]], ITEM, RUN, JUDGE)
    with pytest.raises(ResultsError, match="judge_runs: 3"):
        judge_noise(rows.assign(score="concern"), "a", "concern")
    with pytest.raises(ResultsError, match="several training seeds"):
        judge_noise(pd.concat([rows, rows.assign(seed=1)]), "a", "concern")
