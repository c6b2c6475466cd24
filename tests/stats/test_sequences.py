import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special

from doxa.stats.sequences import beta_binomial, empirical_bernstein, evidence_against

LOOKS = np.arange(20, 3001, 10)
PATHS = 2000
ROOM = 3 * (0.05 * 0.95 / PATHS) ** 0.5
"""Three standard errors of a share of .05."""


def excluded(low: np.ndarray, high: np.ndarray, truth: float) -> float:
    """Share of paths [..., looks] that leave the truth out at any look."""
    return float(((low > truth) | (high < truth)).any(axis=-1).mean())


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.5])
def test_a_rate_is_left_out_at_any_look_at_most_as_often_as_promised(rate: float) -> None:
    draws = np.random.default_rng(1).random((PATHS, LOOKS[-1]), dtype=np.float32) < rate
    events = draws.cumsum(axis=1, dtype=np.int32)[:, LOOKS - 1].astype(float)
    beyond = evidence_against(rate, events, LOOKS.astype(float)) >= np.log(20)
    share = beyond.any(axis=1).mean()
    assert share <= 0.05 + ROOM
    assert share > 0  # it is no trivial interval
    some = slice(0, 60)
    low, high = beta_binomial(events[some], LOOKS)
    np.testing.assert_array_equal((low > rate) | (high < rate), beyond[some])


def test_a_mean_of_unlike_items_is_left_out_at_most_as_often_as_promised() -> None:
    """Looks after whole runs over items with rates from .02 to .9, an item having a value with a chance of its own."""
    random, runs = np.random.default_rng(2), 200
    rates, filled = np.array([0.02, 0.02, 0.1, 0.3, 0.9]), np.array([1.0, 0.4, 0.9, 1.0, 0.6])
    there = random.random((PATHS, runs, 5)) < filled
    events = (there & (random.random((PATHS, runs, 5)) < rates)).sum(axis=2).cumsum(axis=1).astype(float)
    n = there.sum(axis=2).cumsum(axis=1).astype(float)
    truth = float(rates @ filled / filled.sum())
    assert (evidence_against(truth, events, n) >= np.log(20)).any(axis=1).mean() <= 0.05 + ROOM


@pytest.mark.parametrize("items", [1, 5])
@pytest.mark.parametrize("shape", [(0.5, 9.5), (2.0, 2.0)])
def test_a_mean_of_scores_is_left_out_at_most_as_often_as_promised(items: int, shape: tuple[float, float]) -> None:
    random, paths = np.random.default_rng(3), 600
    tilt = np.linspace(0.5, 1.5, items) if items > 1 else np.ones(1)
    values = np.clip(random.beta(*shape, (paths, 300, items)) * tilt, 0, 1)
    truth = float(np.clip(random.beta(*shape, (200_000, 1)) * tilt, 0, 1).mean())
    ends = [empirical_bernstein(one) for one in values]
    share = excluded(np.array([low for low, _ in ends]), np.array([high for _, high in ends]), truth)
    assert share <= 0.05 + 3 * (0.05 * 0.95 / paths) ** 0.5


def test_the_ends_of_a_rate_are_the_roots() -> None:
    for x, n in ((1, 20), (5, 20), (17, 20), (50, 1000), (499_000, 1_000_000)):

        def beyond(p: float, x: int = x, n: int = n) -> float:
            return float(evidence_against(p, np.array(float(x)), np.array(float(n)))) - np.log(20)

        low, high = beta_binomial(np.array(x), np.array(n))
        assert low == pytest.approx(optimize.brentq(beyond, 1e-12, x / n, xtol=1e-15), rel=1e-9)
        assert high == pytest.approx(optimize.brentq(beyond, x / n, 1 - 1e-12, xtol=1e-15), rel=1e-9)


def test_the_first_terms_of_a_mean_are_those_of_the_paper() -> None:
    """Theorem 2 written out row by row."""
    x = np.random.default_rng(4).random(40)
    mean, spread, below, weight, noise = 0.5, 0.25, 0.0, 0.0, 0.0
    low, high = empirical_bernstein(x[:, None], alpha=0.1)
    squares = 0.0
    for t, value in enumerate(x, start=1):
        bet = min(0.5, np.sqrt(2 * np.log(2 / 0.1) / (spread * t * np.log(1 + t))))
        noise += 4 * (value - mean) ** 2 * (-np.log(1 - bet) - bet) / 4
        below, weight = below + bet * value, weight + bet
        half = (np.log(2 / 0.1) + noise) / weight
        assert low[t - 1] == pytest.approx(max(0.0, below / weight - half))
        assert high[t - 1] == pytest.approx(min(1.0, below / weight + half))
        mean = (0.5 + x[:t].sum()) / (t + 1)
        squares += (value - mean) ** 2
        spread = (0.25 + squares) / (t + 1)


def test_what_is_missing_widens_a_mean() -> None:
    values = np.random.default_rng(5).random((100, 4))
    low, high = empirical_bernstein(values)
    values[::3, 1] = np.nan
    lower, higher = empirical_bernstein(values)
    assert lower[-1] < low[-1]
    assert higher[-1] > high[-1]


def test_long_sequences_are_finite_and_narrow() -> None:
    n = np.array([10.0**6] * 4)
    low, high = beta_binomial(np.array([0.0, 3.0, 5e5, 1e6]), n)
    assert np.isfinite(low).all()
    assert np.isfinite(high).all()
    assert (high - low < 0.005).all()
    assert ((low == 0) == [True, False, False, False]).all()
    ends = empirical_bernstein(np.tile([[0.0], [1.0]], (500_000, 1)))
    assert ends[1][-1] - ends[0][-1] < 0.01


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 400), st.integers(0, 400), st.sampled_from([0.01, 0.05, 0.2]))
def test_sequences_of_rates_hold_the_estimate_and_mirror(x: int, missed: int, alpha: float) -> None:
    n = x + missed
    low, high = beta_binomial(np.array(x), np.array(n), alpha=alpha)
    assert 0 <= low <= (x / n if n else 0.5) <= high <= 1
    mirrored = beta_binomial(np.array(missed), np.array(n), alpha=alpha)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((float(low), float(high)))
    wide = beta_binomial(np.array(x), np.array(n), alpha=alpha / 2)
    assert wide[0] <= low
    assert wide[1] >= high


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=30))
def test_sequences_of_means_mirror_and_do_not_mind_the_order_of_items(values: list[list[float]]) -> None:
    array = np.array(values)
    low, high = empirical_bernstein(array)
    assert (low <= high).all()
    mirrored = empirical_bernstein(1 - array)
    np.testing.assert_allclose(1 - mirrored[1], low, atol=1e-9)
    swapped = empirical_bernstein(array[:, ::-1])
    np.testing.assert_allclose(swapped[0], low, atol=1e-9)
    np.testing.assert_allclose(swapped[1], high, atol=1e-9)


def test_the_evidence_is_that_of_the_formula() -> None:
    found = float(evidence_against(0.3, np.array(4.0), np.array(10.0)))
    assert found == pytest.approx(np.log(special.beta(5, 7) / (0.3**4 * 0.7**6)))
