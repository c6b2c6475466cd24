"""Enumerated power against scipy's tests, table by table."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from doxa.planning.exact_power import fisher_table, power_of_binomial, power_of_boschloo, power_of_mcnemar


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 14), st.integers(1, 14))
def test_fishers_p_is_scipys(n0: int, n1: int) -> None:
    found = fisher_table(n0, n1)
    for a in range(n0 + 1):
        for b in range(n1 + 1):
            p = stats.fisher_exact([[a, b], [n0 - a, n1 - b]], alternative="less").pvalue
            assert found[a, b] == pytest.approx(p, abs=1e-9)


def test_boschloos_power_is_that_of_scipys_test() -> None:
    """Groups are columns for scipy."""
    n0, n1, p0, p1 = 9, 12, 0.2, 0.7
    power = 0.0
    for a in range(n0 + 1):
        for b in range(n1 + 1):
            p = stats.boschloo_exact([[a, b], [n0 - a, n1 - b]], n=64).pvalue
            power += (p <= 0.05) * stats.binom.pmf(a, n0, p0) * stats.binom.pmf(b, n1, p1)
    assert power_of_boschloo(n0, n1, p0, p1, 0.05) == pytest.approx(power, abs=1e-9)


@settings(max_examples=10, deadline=None)
@given(st.integers(2, 40), st.integers(2, 40), st.floats(0.01, 0.99), st.sampled_from([0.01, 0.05, 0.1]))
def test_boschloo_keeps_its_size(n0: int, n1: int, rate: float, alpha: float) -> None:
    size = power_of_boschloo(n0, n1, rate, rate, alpha)
    assert size is not None
    assert size <= alpha * 1.02


def test_boschloo_finds_more_than_fisher() -> None:
    by_group = [stats.binom.pmf(np.arange(101), 100, rate) for rate in (0.1, 0.3)]
    fisher = float(by_group[0] @ (fisher_table(100, 100) <= 0.025) @ by_group[1])
    found = power_of_boschloo(100, 100, 0.1, 0.3, 0.05)
    assert found is not None
    assert fisher < found < 1


def test_what_boschloo_cannot_do() -> None:
    assert power_of_boschloo(3, 3, 0.01, 0.99, 1e-6) == 0
    assert power_of_boschloo(2000, 2000, 0.1, 0.3, 0.05) is None


def test_mcnemars_power_is_that_of_the_binomial_test() -> None:
    n, share, effect = 60, 0.3, 0.2
    power = 0.0
    for pairs in range(n + 1):
        for one in range(pairs + 1):
            p = stats.binomtest(one, pairs).pvalue if pairs else 1.0
            chance = stats.binom.pmf(pairs, n, share) * stats.binom.pmf(one, pairs, (share + effect) / (2 * share))
            power += (p <= 0.05) * chance
    assert power_of_mcnemar(n, share, effect, 0.05) == pytest.approx(power, abs=1e-7)
    assert power_of_mcnemar(n, share, share, 0.05) > power_of_mcnemar(n, share, -effect, 0.05)
    assert power_of_mcnemar(n, share, -effect, 0.05) == pytest.approx(power, abs=1e-7)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 40), st.sampled_from([0.02, 0.1, 0.5, 0.9]), st.floats(0, 1))
def test_the_binomial_power_is_that_of_scipys_test(n: int, stated: float, p: float) -> None:
    chances = stats.binom.pmf(np.arange(n + 1), n, p)
    power = sum(chances[k] for k in range(n + 1) if stats.binomtest(k, n, stated).pvalue <= 0.05)
    assert power_of_binomial(n, stated, p, 0.05) == pytest.approx(power, abs=1e-9)
