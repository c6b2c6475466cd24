"""Tests of a difference of rates against a margin: by the binomial, by a search, and by an interval's own inversion."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from doxa.stats.estimate import estimate
from doxa.stats.intervals import Interval
from doxa.stats.margin import UNKNOWN, Sides, by_interval, design_effect, paired_sides, sides_of
from doxa.stats.table import encode
from doxa.words.contrasts import Contrast

Make = Callable[..., pd.DataFrame]
Minus = Callable[[str, str], Contrast]
ITEMS = 40


def of_counts(first: int, second: int, n: int = ITEMS, margin: float = 0.2) -> Sides:
    """One answer an item, in no order that pairs them."""
    rates = np.zeros((2, n))
    rates[0, :first] = 1
    rates[1, n - second :] = 1
    return paired_sides(rates, np.ones((2, n)), margin)


@pytest.mark.parametrize("n", [8, 15, 30, 100])
def test_where_nothing_was_seen_it_is_the_mid_p_of_the_binomial(n: int) -> None:
    """To a fifth; with no answer at all in the other arm its rate is most likely 0 at the margin."""
    p = of_counts(0, 0, n).below
    assert math.log(p) == pytest.approx(math.log(0.5 * 0.8**n), rel=0.2)
    assert of_counts(0, 0, n).above == pytest.approx(1 - p)


@pytest.mark.parametrize("first", [2, 5, 13, 20, 40])
@pytest.mark.parametrize("second", [1, 4, 9])
def test_the_root_of_the_likelihood_ratio_is_that_of_a_search(first: int, second: int) -> None:
    rates = np.zeros((2, ITEMS))
    rates[0, :first] = 1
    rates[1, ITEMS - second :] = 1
    n = ITEMS / design_effect(rates, ITEMS, ITEMS)
    distance = (first - second) / ITEMS - 0.2
    seen = first / ITEMS - math.copysign(min(abs(distance), 0.25 / n), distance), second / ITEMS

    def lost(rate: float) -> float:
        return -sum(
            n * (share * math.log(at) + (1 - share) * math.log(1 - at))
            for share, at in zip(seen, (rate + 0.2, rate), strict=True)
        )

    best = optimize.minimize_scalar(lost, bounds=(1e-9, 0.8 - 1e-9), method="bounded", options={"xatol": 1e-10})
    most = -sum(n * stats.entropy([share, 1 - share]) for share in seen)
    root = math.copysign(math.sqrt(2 * (most + best.fun)), distance)
    assert of_counts(first, second).above == pytest.approx(stats.norm.sf(root), rel=1e-4)
    assert of_counts(first, second).below == pytest.approx(stats.norm.cdf(root), rel=1e-4)


def test_at_the_margin_nothing_is_shown() -> None:
    assert of_counts(12, 4) == Sides(0.5, 0.5)


def test_runs_that_are_all_alike_are_one_answer() -> None:
    """Twice the runs and the same rates: no more is known, but for the quarter of an answer that is half as much."""
    random = np.random.default_rng(0)
    rates = random.integers(0, 2, (2, 30)).astype(float)
    once, often = (paired_sides(rates, np.full((2, 30), runs), 0.2) for runs in (1.0, 50.0))
    assert once.above == pytest.approx(often.above, rel=0.1)
    assert design_effect(rates, 30 * 50, 30 * 50) > 40


def test_pairing_helps_where_items_differ_and_is_no_more_than_seen() -> None:
    """Items that always show it, in both arms: their answers are no noise of the difference."""
    random = np.random.default_rng(1)
    second = np.repeat([0.0, 1.0], 30)
    first = np.where(random.random(60) < 0.1, 1 - second, second)
    assert design_effect(np.stack([first, second]), 60, 60) < 0.5
    shuffled = np.stack([random.permutation(first), second])
    assert design_effect(shuffled, 60, 60) == pytest.approx(1, abs=0.3)


def test_where_all_items_are_alike_nothing_shows_how_their_runs_are() -> None:
    assert design_effect(np.full((2, 10), 0.5), 50, 20) == 5
    assert design_effect(np.zeros((2, 10)), 10, 10) == 1


def test_an_interval_is_inverted_at_the_margin() -> None:
    def interval(level: float) -> Interval:
        half = stats.norm.ppf(0.5 + level / 2) * 0.1
        return Interval(0.35, 0.35 - half, 0.35 + half)

    found = by_interval(interval, 0.2)
    assert found.above == pytest.approx(stats.norm.sf(1.5), rel=1e-4)
    assert found.below == pytest.approx(stats.norm.cdf(1.5), rel=1e-4)
    assert by_interval(interval, 0.5).below == pytest.approx(stats.norm.sf(1.5), rel=1e-4)
    assert by_interval(lambda _: Interval(0.35), 0.2) == UNKNOWN


def answers(rate: float, items: int, runs: int, seed: int) -> dict[str, list[float]]:
    random = np.random.default_rng(seed)
    return {f"i{item}": (random.random(runs) < rate).astype(float).tolist() for item in range(items)}


def test_arms_that_share_their_items_are_paired(make_rows: Make, make_table: Make, minus: Minus) -> None:
    first, second = answers(0.6, 12, 3, 0), answers(0.1, 12, 3, 1)
    first["i0"] = [None, None, 1.0]  # type: ignore[list-item]
    second["i1"] = [None] * 3  # type: ignore[list-item]
    rows = encode(make_table(make_rows("a", first), make_rows("b", second)))
    kept = [item for item in first if item != "i1"]
    rates = np.array([[np.mean([v for v in of[item] if v is not None]) for item in kept] for of in (first, second)])
    runs = np.array([[1.0, *[3.0] * 10], [3.0] * 11])
    found = sides_of(rows, minus("a", "b"), "y", task="task", margin=0.2)
    assert found.above == pytest.approx(paired_sides(rates, runs, 0.2).above)
    other_way = sides_of(rows, minus("b", "a"), "y", task="task", margin=0.2)
    assert other_way.below == pytest.approx(paired_sides(rates[::-1], runs[::-1], 0.2).below)


@pytest.mark.parametrize("design", ["few items", "other items", "seeds"])
def test_other_designs_are_tested_by_their_interval(
    design: str, make_rows: Make, make_table: Make, minus: Minus
) -> None:
    items = 5 if design == "few items" else 8
    seeds = range(4) if design == "seeds" else [0]
    second = answers(0.1, items, 3, 1)
    if design == "other items":
        second = {f"other {item}": values for item, values in second.items()}
    parts = [make_rows("a", answers(0.8, items, 3, 2 + seed), seed=seed) for seed in seeds]
    rows = encode(make_table(*parts, make_rows("b", second)))
    found = sides_of(rows, minus("a", "b"), "y", task="task", margin=0.2)
    level = 1 - 2 * found.above
    one = estimate(rows, minus("a", "b"), "y", task="task", kind="binary", level=level)
    assert one.low == pytest.approx(0.2, abs=1e-4)
    assert found.below == 1 - found.above


def test_what_an_arm_lacks_is_unknown(make_rows: Make, make_table: Make, minus: Minus) -> None:
    nothing = {f"i{item}": None for item in range(8)}
    rows = encode(make_table(make_rows("a", nothing), make_rows("b", answers(0.1, 8, 1, 1))))
    assert sides_of(rows, minus("a", "b"), "y", task="task", margin=0.2) == UNKNOWN
