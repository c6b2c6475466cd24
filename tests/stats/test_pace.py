import numpy as np
import pytest
from scipy import stats

from doxa.stats.pace import pace, speeding_up


def test_the_published_counts() -> None:
    found = speeding_up(14, 50, 13, 31)
    assert found.p == pytest.approx(0.0118, abs=5e-4)  # the figure that is published for these counts
    assert 0.05 < found.p_best_window < 0.15  # a window that was chosen afterwards is no evidence


def test_the_interval_is_garwoods() -> None:
    found = pace(14, 50)
    assert found.rate == pytest.approx(8.4)
    assert stats.poisson.sf(13, found.low / 30 * 50) == pytest.approx(0.025)
    assert stats.poisson.cdf(14, found.high / 30 * 50) == pytest.approx(0.025)
    none = pace(0, 30)
    assert (none.rate, none.low) == (0, 0)
    assert none.high == pytest.approx(-np.log(0.025))


@pytest.mark.parametrize("rate", [0.5, 3, 12])
def test_the_interval_covers(rate: float) -> None:
    counts = np.arange(60)
    found = [pace(int(count), 30) for count in counts]
    inside = np.array([one.low <= rate <= one.high for one in found])
    assert stats.poisson.pmf(counts, rate)[inside].sum() >= 0.95


def test_under_one_rate_the_best_window_is_no_more_extreme_than_it_should_be() -> None:
    generator = np.random.default_rng(7)
    small = 0
    for _ in range(300):
        ages = np.sort(generator.random(10)) * 50
        p = [stats.binom.sf(k, 10, age / 50) for k, age in enumerate(ages)]
        k = int(np.argmin(p))
        small += speeding_up(10, 50, k + 1, float(ages[k])).p_best_window <= 0.05
    assert 2 <= small <= 27  # .05 of 300, and four standard errors: the plain p would give more than 40


def test_a_window_that_holds_its_share_is_not_faster() -> None:
    found = speeding_up(10, 50, 5, 25)
    assert found.p == pytest.approx(stats.binom.sf(4, 10, 0.5))
    assert found.p_best_window > 0.9
    assert speeding_up(0, 50, 0, 25) == speeding_up(0, 50, 0, 10)


@pytest.mark.parametrize("wrong", [(1, 50, 2, 31), (5, 50, 2, 50), (5, 50, -1, 31), (5, 50, 2, 0)])
def test_counts_that_do_not_fit_are_errors(wrong: tuple[int, float, int, float]) -> None:
    with pytest.raises(ValueError, match="events"):
        speeding_up(*wrong)


@pytest.mark.parametrize(("events", "days"), [(-1, 30), (1, 0)])
def test_no_pace_without_days(events: int, days: float) -> None:
    with pytest.raises(ValueError, match="events in"):
        pace(events, days)
