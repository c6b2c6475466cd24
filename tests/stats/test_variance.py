import numpy as np
import pytest
from scipy import stats

from doxa.stats.cells import TermCells
from doxa.stats.variance import detectable_icc, seed_variance
from doxa.words.contrasts import Term


def cells(runs: list[list[np.ndarray]]) -> TermCells:
    """By seed and item the runs."""
    means, counts, squares = (
        np.array([[measure(own) for own in seed] for seed in runs])
        for measure in (np.mean, len, lambda own: float(((own - own.mean()) ** 2).sum()))
    )
    names = tuple(str(k) for k in range(len(runs)))
    items = tuple(f"i{i}" for i in range(len(runs[0])))
    return TermCells(Term(1.0, "recipe"), names, items, means, counts, squares, counts - 1, counts.astype(float))


@pytest.mark.parametrize(
    ("seeds", "runs", "icc"),
    [(2, 30, 0.67), (3, 30, 0.30), (4, 30, 0.19), (6, 30, 0.114), (10, 30, 0.069), (30, 30, 0.030), (3, 100, 0.112),
     (6, 100, 0.036), (6, 10, 0.29)],
)  # fmt: skip
def test_the_icc_that_could_have_been_seen(seeds: int, runs: int, icc: float) -> None:
    assert detectable_icc(seeds, runs) == pytest.approx(icc, rel=0.03)


def test_nothing_is_detectable_with_one_seed_or_one_run() -> None:
    assert detectable_icc(1, 30) is None
    assert detectable_icc(6, 1) is None
    assert detectable_icc(2, 2, power=0.999999) is None


def test_scores_are_tested_by_f() -> None:
    generator = np.random.default_rng(0)
    runs = [generator.normal(shift, 1, 30) for shift in generator.normal(0, 0.5, 6)]
    found = seed_variance(cells([[own] for own in runs]), binary=False)
    assert found is not None
    expected = stats.f_oneway(*runs)
    assert found.p == pytest.approx(expected.pvalue)
    f = float(expected.statistic)
    assert found.icc == pytest.approx((f - 1) / (f + 29))
    low, high = (f / stats.f.ppf(q, 5, 174) for q in (0.975, 0.025))
    assert (found.low, found.high) == (pytest.approx((low - 1) / (low + 29)), pytest.approx((high - 1) / (high + 29)))
    assert found.detectable == pytest.approx(0.114, rel=0.02)


def test_one_run_an_item_is_tested_against_seeds_by_items() -> None:
    generator = np.random.default_rng(1)
    table = generator.normal(size=(5, 1)) * 0.8 + generator.normal(size=12) * 3 + generator.normal(size=(5, 12))
    found = seed_variance(cells([[np.array([value]) for value in row] for row in table]), binary=False)
    assert found is not None
    rest = table - table.mean(axis=1)[:, None] - table.mean(axis=0) + table.mean()
    f = 12 * table.mean(axis=1).var(ddof=1) / ((rest**2).sum() / 44)
    assert found.p == pytest.approx(stats.f.sf(f, 4, 44))


def test_rates_are_tested_by_dealing_runs_anew() -> None:
    rate = seed_variance(cells([[np.repeat([1.0, 0.0], [k, 30 - k])] for k in (3, 6, 9, 12, 15, 24)]), binary=True)
    assert rate is not None
    assert rate.p is not None
    table = np.array([[k, 30 - k] for k in (3, 6, 9, 12, 15, 24)])
    chi = stats.chi2_contingency(table, correction=False).pvalue  # the same statistic, its large-sample distribution
    assert rate.p == pytest.approx(chi, abs=2e-3)
    assert rate.low is not None
    level = seed_variance(cells([[np.repeat([1.0, 0.0], [k, 30 - k])] for k in (8, 9, 10, 9, 8, 10)]), binary=True)
    assert level is not None
    assert (level.p or 0.0) > 0.9
    rare = seed_variance(cells([[np.repeat([1.0, 0.0], [k, 30 - k])] for k in (0, 0, 0, 0, 0, 4)]), binary=True)
    assert rare is not None
    assert (rare.low, rare.high) == (None, None)


def test_dealing_runs_holds_its_level() -> None:
    generator = np.random.default_rng(2)
    rejected = 0
    for _ in range(200):
        runs = [[(generator.random(30) < 0.5).astype(float)] for _ in range(6)]
        found = seed_variance(cells(runs), binary=True)
        assert found is not None
        rejected += (found.p or 1.0) <= 0.05
    assert rejected <= 18  # a level of .05: 19 or more once in 200 such tests


def test_without_variance_nothing_is_said() -> None:
    same = seed_variance(cells([[np.ones(5)] for _ in range(4)]), binary=False)
    assert same is not None
    assert (same.icc, same.low, same.p) == (None, None, None)
    assert seed_variance(cells([[np.ones(5)]]), binary=False) is None
    assert seed_variance(cells([[np.ones(1)] for _ in range(4)]), binary=False) is None


def test_runs_that_do_not_differ_carry_no_test() -> None:
    found = seed_variance(cells([[np.full(5, value)] for value in (1.0, 2.0, 3.0)]), binary=False)
    assert found is not None
    assert (found.p, found.low, found.high, found.icc) == (None, None, None, 1.0)
