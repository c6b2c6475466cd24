import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint, proportions_ztest

from doxa.stats.boschloo import boschloo
from doxa.stats.intervals import Interval
from doxa.stats.rates import wilson
from doxa.stats.two_rates import (
    Count,
    agresti_caffo,
    clopper_pearson,
    exact_binomial,
    fisher,
    jeffreys,
    mcnemar_exact,
    mcnemar_mid_p,
    newcombe,
    pooled_z,
    pooled_z_corrected,
    wald_interval,
    wald_z,
    welch_t_of_counts,
)
from doxa.words.errors import ClaimError

A, B = Count(26, 520), Count(14, 520)
TESTS = (pooled_z, pooled_z_corrected, wald_z, welch_t_of_counts, fisher)
INTERVALS = (newcombe, agresti_caffo, wald_interval)


@st.composite
def counts(draw: st.DrawFn, most: int = 400) -> Count:
    n = draw(st.integers(1, most))
    return Count(draw(st.integers(0, n)), n)


def ends(found: Interval) -> tuple[float, float]:
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def zeros_and_ones(one: Count) -> np.ndarray:
    return np.repeat([1.0, 0.0], [one.events, one.n - one.events])


@pytest.mark.parametrize(
    ("test", "p"),
    [(pooled_z, 0.0530), (wald_z, 0.0526), (welch_t_of_counts, 0.0531), (fisher, 0.0749), (boschloo, 0.0673)],
)
def test_the_known_p_values_of_14_against_26_of_520(test, p) -> None:
    assert test(B, A).p == pytest.approx(p, abs=5e-5)


def test_known_counts_of_other_claims() -> None:
    assert pooled_z(Count(9, 520), Count(19, 520)).p == pytest.approx(0.0554, abs=5e-5)
    assert pooled_z(Count(10, 520), Count(21, 520)).p == pytest.approx(0.0449, abs=5e-5)
    assert fisher(Count(10, 520), Count(21, 520)).p == pytest.approx(0.0666, abs=5e-5)
    assert fisher(Count(0, 180), Count(13, 180)).p == pytest.approx(0.000195, abs=5e-7)
    assert mcnemar_exact(6, 16).p == pytest.approx(0.0525, abs=5e-5)
    assert mcnemar_exact(8, 19).p == pytest.approx(0.0522, abs=5e-5)


@pytest.mark.parametrize("pair", [(A, B), (Count(3, 40), Count(9, 31)), (Count(0, 30), Count(4, 25))], ids=str)
def test_tests_of_two_rates_are_those_of_scipy_and_statsmodels(pair) -> None:
    a, b = pair
    table = [[a.events, a.n - a.events], [b.events, b.n - b.events]]
    assert pooled_z(a, b).p == pytest.approx(proportions_ztest([a.events, b.events], [a.n, b.n])[1], rel=1e-9)
    assert pooled_z_corrected(a, b).p == pytest.approx(stats.chi2_contingency(table).pvalue, rel=1e-9)
    welch = stats.ttest_ind(zeros_and_ones(a), zeros_and_ones(b), equal_var=False)
    assert welch_t_of_counts(a, b).p == pytest.approx(welch.pvalue, rel=1e-9)
    z = (a.rate - b.rate) / math.sqrt(a.rate * (1 - a.rate) / a.n + b.rate * (1 - b.rate) / b.n)
    assert wald_z(a, b).p == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-9)
    assert fisher(a, b).p == pytest.approx(stats.fisher_exact(table)[1], rel=1e-9)
    for test in TESTS:
        assert test(a, b).one_sided <= test(a, b).p


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (Count(1, 9), Count(6, 8)),
        (Count(0, 6), Count(4, 6)),
        (Count(12, 30), Count(5, 41)),
        (Count(1, 1), Count(0, 3)),
        (Count(0, 3), Count(1, 3)),
    ],
)
def test_boschloo_is_scipys_with_the_groups_as_columns(a, b) -> None:
    table = [[a.events, b.events], [a.n - a.events, b.n - b.events]]
    assert boschloo(a, b).p == pytest.approx(stats.boschloo_exact(table, n=64).pvalue, abs=1e-7)


def test_boschloo_with_the_groups_as_rows_would_be_another_number() -> None:
    a, b = Count(1, 9), Count(6, 8)
    transposed = stats.boschloo_exact([[1, 8], [6, 2]]).pvalue
    assert abs(boschloo(a, b).p - transposed) > 1e-3


def test_boschloo_is_fast_and_stops_at_2000() -> None:
    begun = time.perf_counter()
    found = boschloo(Count(40, 2000), Count(60, 2000))
    assert time.perf_counter() - begun < 10  # scipy: 90 s
    assert found.p == pytest.approx(0.0517853879, abs=1e-8)  # scipy 1.17.1
    beyond = boschloo(Count(40, 2001), Count(60, 2000))
    assert beyond.p is None
    assert beyond.reason == "a group has more than 2,000 observations"


@settings(max_examples=25, deadline=None)
@given(counts(40), counts(40))
def test_boschloo_is_at_most_twice_fishers_one_sided_p_and_symmetric(a, b) -> None:
    found = boschloo(a, b)
    lower = stats.hypergeom.cdf(a.events, a.n + b.n, a.events + b.events, a.n)
    upper = stats.hypergeom.sf(a.events - 1, a.n + b.n, a.events + b.events, a.n)
    assert 0 < found.p <= min(1.0, 2 * min(lower, upper)) + 1e-8
    assert boschloo(b, a).p == pytest.approx(found.p, abs=1e-7)


@settings(max_examples=150, deadline=None)
@given(counts(), counts())
def test_p_values_lie_in_0_to_1_and_do_not_depend_on_the_order(a, b) -> None:
    for test in TESTS:
        found, swapped = test(a, b), test(b, a)
        if found.p is None:
            assert found.reason
            assert swapped.p is None
        else:
            assert 0 < found.p <= 1
            assert swapped.p == pytest.approx(found.p, rel=1e-9)
            assert 0 < found.one_sided <= 1


@settings(max_examples=150, deadline=None)
@given(counts(), counts(), st.floats(0.5, 0.999))
def test_intervals_contain_the_difference_and_swapping_flips_them(a, b, level) -> None:
    for interval in INTERVALS:
        low, high = ends(interval(a, b, level=level))
        assert low <= a.rate - b.rate <= high
        assert ends(interval(b, a, level=level)) == pytest.approx((-high, -low), abs=1e-12)


@settings(max_examples=150, deadline=None)
@given(counts(), st.floats(0.5, 0.999))
def test_intervals_of_one_rate_contain_it_and_the_exact_one_is_the_widest_of_the_beta_ones(one, level) -> None:
    for interval in (clopper_pearson, jeffreys):
        low, high = ends(interval(one, level=level))
        assert 0 <= low <= one.rate <= high <= 1
    exact, bayes = ends(clopper_pearson(one, level=level)), ends(jeffreys(one, level=level))
    assert exact[0] <= bayes[0] + 1e-12
    assert bayes[1] <= exact[1] + 1e-12


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 500), st.data())
def test_p_falls_as_the_second_count_moves_away(n, data) -> None:
    k = data.draw(st.integers(0, n - 2))
    further = data.draw(st.integers(k + 1, n - 1))
    for test in (pooled_z, fisher):
        assert test(Count(k, n), Count(further + 1, n)).p <= test(Count(k, n), Count(further, n)).p + 1e-9


def test_newcombe_is_statsmodels_and_its_known_limits() -> None:
    low, high = ends(newcombe(A, B))
    assert (low, high) == pytest.approx(confint_proportions_2indep(26, 520, 14, 520, method="newcomb"), abs=1e-12)
    # A limit takes the lower end of the larger rate with the upper end of the smaller one. With the ends exchanged
    # it would be -0.17 to 4.67 points.
    assert (100 * low, 100 * high) == pytest.approx((-0.06, 4.78), abs=5e-3)


@pytest.mark.parametrize(("method", "name"), [(agresti_caffo, "agresti-caffo"), (wald_interval, "wald")])
def test_other_intervals_are_those_of_statsmodels(method, name) -> None:
    for a, b in ((A, B), (Count(3, 40), Count(9, 31))):
        expected = confint_proportions_2indep(a.events, a.n, b.events, b.n, method=name)
        assert ends(method(a, b)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("one", [Count(0, 6), Count(3, 30), Count(26, 520), Count(6, 6)], ids=str)
def test_one_rate_is_scipys_and_statsmodels(one) -> None:
    exact = stats.binomtest(one.events, one.n).proportion_ci(method="exact")
    assert ends(clopper_pearson(one)) == pytest.approx((exact.low, exact.high), abs=1e-10)
    if 0 < one.events < one.n:
        assert ends(jeffreys(one)) == pytest.approx(proportion_confint(one.events, one.n, method="jeffreys"), abs=1e-10)
    assert exact_binomial(one, 0.3).p == pytest.approx(stats.binomtest(one.events, one.n, 0.3).pvalue, rel=1e-10)


def test_no_event_in_six_observations_leaves_much_open() -> None:
    assert ends(clopper_pearson(Count(0, 6)))[1] == pytest.approx(0.459, abs=5e-4)
    assert ends(wilson(0, 6))[1] == pytest.approx(0.390, abs=5e-4)


@pytest.mark.parametrize(("first", "second"), [(6, 16), (0, 3), (5, 5), (0, 0), (40, 61)])
def test_exact_mcnemar_is_that_of_statsmodels(first, second) -> None:
    expected = mcnemar([[10, first], [second, 10]], exact=True).pvalue if first + second else 1.0
    assert mcnemar_exact(first, second).p == pytest.approx(expected, rel=1e-10)


def test_the_mid_p_leaves_out_half_of_what_was_observed() -> None:
    assert mcnemar_mid_p(6, 16).p == pytest.approx(2 * stats.binom.cdf(6, 22, 0.5) - stats.binom.pmf(6, 22, 0.5))
    assert mcnemar_mid_p(5, 5).p == pytest.approx(1 - stats.binom.pmf(5, 10, 0.5) / 2)
    assert mcnemar_mid_p(6, 16).p < mcnemar_exact(6, 16).p


def test_a_million_pairs_take_no_time() -> None:
    mcnemar_exact(3, 4)
    begun = time.perf_counter()
    p = mcnemar_exact(498_900, 501_100).p
    assert time.perf_counter() - begun < 0.05
    assert p == pytest.approx(stats.binomtest(498_900, 10**6).pvalue, rel=1e-9)


def test_a_test_that_does_not_exist_says_why() -> None:
    none = Count(0, 9), Count(0, 7)
    for test in (pooled_z, pooled_z_corrected, wald_z, welch_t_of_counts):
        assert test(*none).p is None
        assert "same" in str(test(*none).reason)
    assert fisher(*none).p == 1
    assert boschloo(*none).p == pytest.approx(1)
    assert wald_z(Count(0, 9), Count(7, 7)).p is None
    assert "single" in str(welch_t_of_counts(Count(1, 1), Count(3, 9)).reason)


@pytest.mark.parametrize(("events", "n"), [(-1, 5), (6, 5), (0, 0), (1, -3), (1, 10**30)])
def test_counts_that_cannot_be_are_refused(events, n) -> None:
    with pytest.raises(ClaimError, match=r"expected|Expected"):
        Count(events, n)
