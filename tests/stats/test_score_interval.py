import math
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from doxa.stats.score_interval import miettinen_nurminen, wald_corrected
from doxa.stats.two_rates import Count


@st.composite
def counts(draw: st.DrawFn, most: int = 200) -> Count:
    n = draw(st.integers(2, most))
    return Count(draw(st.integers(0, n)), n)


@pytest.mark.parametrize("a", [Count(26, 520), Count(3, 40), Count(0, 12), Count(17, 18)], ids=str)
@pytest.mark.parametrize("b", [Count(14, 520), Count(9, 31), Count(11, 12)], ids=str)
def test_beyond_the_ends_the_score_test_rejects(a: Count, b: Count) -> None:
    """With the most likely rates that differ by the end, found by a search (statsmodels 0.14 has less likely ones)."""
    found = miettinen_nurminen(a, b)
    for end in (found.low, found.high):
        assert end is not None
        second = most_likely(a, b, end)
        parts = (second + end) * (1 - second - end) / a.n + second * (1 - second) / b.n
        variance = parts * (a.n + b.n) / (a.n + b.n - 1)
        assert abs(a.rate - b.rate - end) / math.sqrt(variance) == pytest.approx(1.959964, abs=1e-4)


def most_likely(a: Count, b: Count, difference: float) -> float:
    def unlikely(second: float) -> float:
        first = second + difference
        logs = ((a.events, first), (a.n - a.events, 1 - first), (b.events, second), (b.n - b.events, 1 - second))
        return -sum(n * math.log(rate) for n, rate in logs if n)

    ends = max(0.0, -difference) + 1e-12, min(1.0, 1 - difference) - 1e-12
    return float(minimize_scalar(unlikely, bounds=ends, method="bounded", options={"xatol": 1e-12}).x)


@settings(max_examples=60, deadline=None)
@given(counts(), counts())
@example(Count(0, 5), Count(0, 7))
@example(Count(5, 5), Count(0, 7))
def test_both_hold_the_difference_and_flip_with_the_groups(a: Count, b: Count) -> None:
    for method in (miettinen_nurminen, wald_corrected):
        one, other = method(a, b), method(b, a)
        assert one.low is not None
        assert one.high is not None
        assert -1 <= one.low <= a.rate - b.rate + 1e-12
        assert a.rate - b.rate - 1e-12 <= one.high <= 1
        assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-9)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("a", "b", "low", "high"),
    [
        (Count(15, 50), Count(25, 50), -0.4079931412323, 0.0079931412323),
        (Count(5, 50), Count(5, 60), -0.108652529013, 0.141985862347),
    ],
)
def test_the_corrected_interval_is_that_of_r(a: Count, b: Count, low: float, high: float) -> None:
    """`prop.test(c(15, 25), c(50, 50))` and `prop.test(c(5, 5), c(50, 60))`: the second one's correction is capped."""
    found = wald_corrected(a, b)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


def test_four_hundred_tables_take_no_time() -> None:
    started = time.process_time()
    for events in range(400):
        assert math.isfinite(miettinen_nurminen(Count(events, 520), Count(14, 520)).value or 0.0)
    assert time.process_time() - started < 5
