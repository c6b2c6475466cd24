import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from doxa.stats.intervals import Interval, logit_t, mean_t, mover, weighted, welch
from doxa.stats.rates import bonett_price, one_rate, pseudo_items, wilson, wilson_clustered

X = np.array([1.2, 0.3, 2.2, -0.4, 1.9, 0.8, 1.1])


def ends(found: Interval) -> tuple[float, float]:
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def from_events(up: int, down: int, same: int) -> np.ndarray:
    return np.repeat([1.0, -1.0, 0.0], [up, down, same])


def test_mean_t_is_scipys_one_sample_t() -> None:
    found = mean_t(X, level=0.9)
    test = stats.ttest_1samp(X, 0.0)
    assert ends(found) == pytest.approx(tuple(test.confidence_interval(0.9)), rel=1e-12)
    assert found.p == pytest.approx(test.pvalue, rel=1e-10)
    assert (found.value, found.se, found.df) == pytest.approx((X.mean(), stats.sem(X), 6))


def test_the_interval_of_a_mean_excludes_zero_exactly_when_p_is_below_its_level() -> None:
    shift = 2.446911851144969 * stats.sem(X)  # t of .975 with 6 degrees of freedom
    for margin, significant in ((1.001, True), (0.999, False)):
        found = mean_t(X - X.mean() + shift * margin)
        assert (ends(found)[0] > 0) is significant
        assert found.p is not None
        assert (found.p < 0.05) is significant


@pytest.mark.parametrize("method", [mean_t, lambda x: logit_t(x, low=-5, high=5, null=0.0)])
def test_few_units_get_no_interval_and_no_p(method: Callable[[np.ndarray], Interval]) -> None:
    none, two, five, six = (method(X[:n]) for n in (0, 2, 5, 6))
    assert (none.value, none.flags) == (None, ("no_units",))
    assert two.value == pytest.approx(X[:2].mean())
    assert (two.low, two.se, two.p) == (None, None, None)
    assert set(two.flags) == {"no_interval", "no_p"}
    assert five.low is not None
    assert (five.p, five.flags) == (None, ("no_p",))
    assert six.p is not None
    assert six.flags == ()


def test_units_that_are_all_equal_have_no_interval_of_width_zero() -> None:
    for found in (mean_t(np.full(9, 0.3)), logit_t(np.full(9, 0.3)), welch([np.full(9, 0.3), np.full(4, 0.1)])):
        assert (found.low, found.high, found.se, found.p) == (None, None, None, None)
        assert found.flags == ("all_equal",)
    # Differences of equal floats that were rounded apart are still equal.
    assert mean_t(np.array([0.1 + 0.2, 0.3, 0.3])).flags == ("all_equal",)


def test_logit_t_stays_inside_and_agrees_with_t_in_the_middle() -> None:
    low, high = ends(logit_t(np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.9, 1.0])))
    assert 0 < low < 1.9 / 8 < high < 1
    middle = 0.5 + np.linspace(-0.01, 0.01, 41)
    assert ends(logit_t(middle)) == pytest.approx(ends(mean_t(middle)), abs=1e-6)


def test_logit_t_by_hand() -> None:
    x = np.array([0.1, 0.2, 0.2, 0.5])
    mean, se = 0.25, stats.sem(x)
    half = stats.t.ppf(0.975, 3) * se / (mean * (1 - mean))
    centre = math.log(mean / (1 - mean))
    expected = tuple(1 / (1 + math.exp(-(centre + sign * half))) for sign in (-1, 1))
    assert ends(logit_t(x)) == pytest.approx(expected, rel=1e-12)


def test_logit_t_of_differences_has_the_p_of_its_interval() -> None:
    x = np.array([0.3, 0.1, -0.1, 0.4, 0.2, 0.05, 0.1, -0.05])
    p = logit_t(x, low=-1, high=1, null=0.0).p
    assert p is not None
    low, _ = ends(logit_t(x, low=-1, high=1, level=1 - p))
    assert low == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("events", "n"), [(0, 6), (1, 6), (3, 10), (14, 520), (520, 520), (9999, 10000)])
def test_wilson_is_scipys(events: int, n: int) -> None:
    expected = stats.binomtest(events, n).proportion_ci(0.95, method="wilson")
    assert ends(wilson(events, n)) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_of_no_events_is_flagged() -> None:
    found = wilson(0, 20)
    assert (found.value, found.low, found.se) == (0.0, 0.0, None)
    assert found.high == pytest.approx(3.8415 / (20 + 3.8415), abs=1e-4)
    assert found.flags == ("no_events",)


def test_clustered_wilson_by_hand() -> None:
    rates = np.array([0.0, 0.0, 0.2, 1.0, 0.4, 0.0])
    p, n = rates.mean(), 30
    design = (rates.var(ddof=1) / 6) / (p * (1 - p) / n)
    effective = n / design * (stats.norm.ppf(0.975) / stats.t.ppf(0.975, 5)) ** 2
    assert design > 1
    found = wilson_clustered(rates, n)
    assert ends(found) == pytest.approx(ends(wilson(p * effective, effective)))
    assert found.value == pytest.approx(p)
    assert ends(found)[1] - ends(found)[0] > np.diff(ends(wilson(p * n, n)))[0]


def test_clustered_wilson_never_believes_more_than_independent_rows() -> None:
    found = wilson_clustered(np.full(8, 0.5), 80)
    t_for_z = (stats.norm.ppf(0.975) / stats.t.ppf(0.975, 7)) ** 2
    assert ends(found) == pytest.approx(ends(wilson(40 * t_for_z, 80 * t_for_z)))
    assert wilson_clustered(np.zeros(8), 80).flags == ("no_events",)
    assert wilson_clustered(np.zeros(2), 80).flags == ("no_interval",)
    assert wilson_clustered(np.zeros(0), 0).flags == ("no_units",)


def test_bonett_price_by_hand() -> None:
    found = bonett_price(from_events(16, 6, 498))
    up, down, n = 17 / 522, 7 / 522, 522
    half = 1.959963984540054 * math.sqrt((up + down - (up - down) ** 2) / n)
    assert ends(found) == pytest.approx((up - down - half, up - down + half))
    assert found.value == pytest.approx(10 / 520)


@pytest.mark.parametrize(("up", "down", "p"), [(16, 6, 0.0525), (19, 8, 0.0522), (0, 0, 1.0), (3, 3, 1.0)])
def test_exact_mcnemar(up: int, down: int, p: float) -> None:
    assert bonett_price(from_events(up, down, 493)).p == pytest.approx(p, abs=5e-5)


def test_pairs_without_a_difference_still_have_an_interval() -> None:
    low, high = ends(bonett_price(np.zeros(16)))
    assert (low, high) == pytest.approx((-high, high))
    assert high == pytest.approx(1.959963984540054 * math.sqrt(2 / 18 / 18))
    low, high = ends(pseudo_items(np.zeros(16), 4))
    assert (low, high) == pytest.approx((-high, high))
    assert high > 0.02


def test_pseudo_items_by_hand() -> None:
    d = np.array([0.2, 0.0, -0.2, 0.6, 0.0, 0.4, 0.2])
    padded = np.append(d, [1 / math.sqrt(5), -1 / math.sqrt(5)])
    half = stats.t.ppf(0.975, 6) * padded.std(ddof=1) / 3
    found = pseudo_items(d, 5)
    assert ends(found) == pytest.approx((padded.mean() - half, padded.mean() + half))
    assert found.value == pytest.approx(d.mean())
    assert found.p is not None
    assert found.p == pytest.approx(2 * stats.t.sf(padded.mean() / (padded.std(ddof=1) / 3), 6))


def test_pseudo_items_cover_rare_behaviour_where_the_plain_t_does_not() -> None:
    random = np.random.default_rng(20261124)
    n, runs, studies = 30, 5, 600
    first, second = 0.02, 0.04
    hits = {"pseudo": 0, "plain": 0}
    for _ in range(studies):
        rates = [random.beta(0.3 * p, 0.3 * (1 - p), n) for p in (first, second)]
        d = np.subtract(*(random.binomial(runs, rate) / runs for rate in rates[::-1]))
        hits["pseudo"] += ends(pseudo_items(d, runs))[0] <= second - first <= ends(pseudo_items(d, runs))[1]
        plain = mean_t(d)
        hits["plain"] += plain.low is not None and ends(plain)[0] <= second - first <= ends(plain)[1]
    assert hits["pseudo"] / studies >= 0.94
    assert hits["plain"] / studies < 0.93


def test_rate_intervals_need_three_items() -> None:
    for found in (bonett_price(np.ones(2)), pseudo_items(np.ones(2), 3)):
        assert found.value == 1
        assert found.low is None
        assert set(found.flags) == {"no_interval", "no_p"}
    for found in (bonett_price(np.ones(0)), pseudo_items(np.ones(0), 3), wilson(0, 0), welch([X, X[:0]])):
        assert (found.value, found.flags) == (None, ("no_units",))
    assert welch([X, X[:2]]).low is None


def test_welch_is_scipys() -> None:
    y = np.array([3.1, 0.2, 4.4, 2.0])
    found = welch([X, -y])
    test = stats.ttest_ind(X, y, equal_var=False)
    assert ends(found) == pytest.approx(tuple(test.confidence_interval()))
    assert (found.p, found.df) == (None, pytest.approx(test.df))
    assert welch([X, -X]).p == pytest.approx(1.0)


def test_mover_of_two_rates_is_newcombes_interval() -> None:
    # Newcombe 1998 (Statistics in Medicine 17:873), table II, 56/70 - 48/80, method 10.
    found = mover([wilson(56, 70), weighted(wilson(48, 80), -1)])
    assert ends(found) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert found.value == pytest.approx(0.2)
    assert (found.p, found.flags) == (None, ("no_test",))
    backwards = mover([wilson(48, 80), weighted(wilson(56, 70), -1)])
    assert ends(backwards) == pytest.approx((-0.3339, -0.0524), abs=5e-5)


def test_mover_without_an_interval_of_one_part_has_none() -> None:
    partly = mover([wilson(3, 10), Interval(0.1, flags=("all_equal",))])
    assert (partly.value, partly.low) == (pytest.approx(0.4), None)
    assert "all_equal" in partly.flags
    assert mover([wilson(3, 10), weighted(wilson(0, 0), -1)]).value is None


def test_one_rate_by_itself_holds_where_wilson_does_not() -> None:
    for n, p in ((10, 0.05), (100, 0.01), (10, 0.95)):
        counts = np.arange(n + 1)
        weight = stats.binom.pmf(counts, n, p)
        plain, mended = (
            sum(w for k, w in zip(counts, weight, strict=True) if (found := one(int(k), n)).low <= p <= found.high)  # type: ignore[operator]
            for one in (wilson, one_rate)
        )
        assert plain < 0.925 < 0.975 < mended
    two = one_rate(2, 10)
    assert stats.poisson.cdf(1, 10 * (two.low or 0.0)) == pytest.approx(0.95)
    assert one_rate(8, 10).high == pytest.approx(1 - (two.low or 0.0))
    same, wilsons = one_rate(4, 100), wilson(4, 100)
    assert (same.low, same.high) == (wilsons.low, wilsons.high)


def test_pseudo_units_widen_few_bounded_scores_and_are_forgotten_in_many() -> None:
    few, many = np.array([0.0, 0.0, 0.1, 0.0, 0.2, 0.1]), np.tile([0.0, 0.0, 0.1, 0.0, 0.2, 0.1], 50)
    for units, most in ((few, 2.5), (many, 1.02)):
        plain, padded = logit_t(units), logit_t(units, pseudo=0.05)
        assert padded.value == plain.value
        ratio = (padded.high - padded.low) / (plain.high - plain.low)  # type: ignore[operator]
        assert 1 < ratio < most
    assert logit_t(np.zeros(6), pseudo=0.05).flags == ("all_equal",)
    barely = logit_t(np.array([0.0] * 5 + [0.1]), pseudo=0.05)
    assert barely.low is not None
    assert barely.low <= (barely.value or 0.0)
    assert logit_t(np.zeros(2), pseudo=0.05).flags == ("no_interval", "no_p")


def test_an_interval_with_pseudo_units_holds_its_own_mean() -> None:
    rare = np.zeros(74)
    rare[0] = 5.5e-5  # the pseudo-unit at 1 outweighs it
    for units in (rare, 1 - rare):
        found = logit_t(units, level=0.5, pseudo=0.05)
        assert found.low is not None
        assert found.high is not None
        assert found.low <= np.mean(units) <= found.high
