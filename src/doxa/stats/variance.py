"""Do training seeds differ by more than their runs do, and what difference could have been seen?

The intraclass correlation (ICC) is the share of the variance of a run that lies between seeds. "No significant
variation" without the ICC that could have been found says nothing: 6 seeds of 30 runs find an ICC of .11 and more.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import optimize, stats

from doxa.stats.cells import TermCells
from doxa.stats.controls import ALPHA
from doxa.words.store import stream

DRAWS, LEAST_DRAWS, MOST_DEALT = 9_999, 999, 1_000_000
"""Of seed counts, for the permutation test of rates; fewer where there are many items, each of which is dealt anew."""
FEWEST_EVENTS = 10
"""Events (and rows without) below which no interval of the ICC is given: it covered .37 to .99 of the time there."""
LEVEL = 0.95


@dataclass(frozen=True)
class SeedVariance:
    """What is known about the variance between the training seeds of an arm.

    Attributes:
        arm: The arm.
        seeds: How many.
        runs: Rows that a seed's mean is worth, R; where they differ (N - Σ R²/N) / (K - 1), N = Σ R.
        icc: Share of the variance of a row that lies between seeds, not cut at 0, so that it is right on average; None
            where nothing varies.
        low: Lower end of its .95 interval; None for rates with fewer than 10 events.
        high: Upper end.
        p: Of "seeds do not differ"; None where the runs of a seed do not differ at all.
        method: Name of the test.
        detectable: The ICC that is found with 80 % power by this many seeds and runs; None for rare rates, which need
            more.
        by_seed: Mean of every seed, by its number.
    """

    arm: str
    seeds: int
    runs: float
    icc: float | None
    low: float | None
    high: float | None
    p: float | None
    method: str
    detectable: float | None
    by_seed: dict[str, float]


def seed_variance(cells: TermCells, *, binary: bool) -> SeedVariance | None:
    """The variance between the seeds of one arm, over runs; items are taken as they are, the same for every seed.

    Scores: F = MS_between / MS_within with (K - 1, N - K) degrees of freedom. Rates: runs are dealt to the seeds anew,
    p = (1 + #{variance of the drawn rates >= the one seen}) / (draws + 1). With several items, runs are dealt within
    items, and F is that of seeds against the error of a table of seeds by items where no cell has two runs.

    Args:
        cells: From `doxa.stats.cells`.
        binary: Whether scores are 0 or 1.

    Returns:
        None with fewer than 2 seeds, or fewer than 2 rows a seed.

    Source: Searle, Casella & McCulloch 1992 (the interval); Phipson & Smyth 2010 (the + 1).
    """
    k, items = cells.means.shape
    if k < 2 or items == 0 or cells.counts.sum(axis=1).min() < 2:
        return None
    rows = cells.rows_by_seed  # what a seed's mean is worth: fewer where runs are unequal
    total = float(rows.sum())
    runs = (total - float((rows**2).sum()) / total) / (k - 1)
    values = cells.means.mean(axis=1)
    within, df = _error(cells)
    between = float((rows * (values - (rows * values).sum() / total) ** 2).sum()) / (k - 1)
    nothing = between + within <= (1e-12 * float(np.abs(values).max(initial=0.0))) ** 2
    f = between / within if within > 0 else math.inf
    by_seed = dict(zip(cells.seeds, values.tolist(), strict=True))
    icc = None if nothing else (between - within) / (between + (runs - 1) * within)
    rare = binary and not _events(cells)
    alike = within <= (1e-12 * float(np.abs(values).max(initial=0.0))) ** 2  # the runs of a seed do not differ at all
    low, high = (None, None) if alike or rare else searle(f, k - 1, df, runs)
    if binary and cells.run_df > 0:
        p, method = _permuted(cells), f"{'runs' if items == 1 else 'runs within items'} dealt to the seeds anew"
    else:
        p, method = float(stats.f.sf(f, k - 1, df)), "F"
    return SeedVariance(
        arm=cells.term.arm,
        seeds=k,
        runs=runs,
        icc=icc,
        low=low,
        high=high,
        p=None if alike and method == "F" else p,
        method=method,
        detectable=None if rare else detectable_icc(k, runs),
        by_seed=by_seed,
    )


def detectable_icc(seeds: int, runs: float, *, power: float = 0.8, alpha: float = ALPHA) -> float | None:
    """The ICC that the F test finds with this power: F / (1 + R icc / (1 - icc)) follows the F distribution.

    Args:
        seeds: Training seeds K.
        runs: Runs R of each.
        power: Probability to find it.
        alpha: Level of the test.

    Returns:
        None where no ICC below 1 is found with this power, or with fewer than 2 seeds or runs.
    """
    if seeds < 2 or runs < 2:
        return None
    first, second = seeds - 1, seeds * (runs - 1)
    critical = float(stats.f.isf(alpha, first, second))

    def lacking(icc: float) -> float:
        return float(stats.f.sf(critical / (1 + runs * icc / (1 - icc)), first, second)) - power

    if lacking(1 - 1e-9) < 0:
        return None
    return float(optimize.brentq(lacking, 0.0, 1 - 1e-9))


def _error(cells: TermCells) -> tuple[float, float]:
    """Variance of a row around what its item and seed say, and its degrees of freedom."""
    if cells.run_variance is not None:
        return cells.run_variance, float(cells.run_df)
    k, items = cells.means.shape
    rest = cells.means - cells.means.mean(axis=1)[:, None] - cells.means.mean(axis=0)[None] + cells.means.mean()
    df = (k - 1) * (items - 1)
    return float((rest**2).sum()) / df, float(df)


def _events(cells: TermCells) -> bool:
    """Whether a rate has enough events, and enough rows without, for an interval of its ICC."""
    events = float((cells.means * cells.counts).sum())
    rate = events / float(cells.counts.sum())
    return min(events, float(cells.counts.sum()) - events) >= FEWEST_EVENTS and 0.1 <= rate <= 0.9


def searle(f: float, df_between: float, df_within: float, size: float) -> tuple[float, float]:
    """The .95 interval of an intraclass correlation from its F ratio.

    Args:
        f: Mean square between groups over that within them.
        df_between: Degrees of freedom of the former.
        df_within: Degrees of freedom of the latter.
        size: Rows of a group.

    Source: Searle, Casella & McCulloch 1992.
    """
    ends = []
    for tail in (0.5 + LEVEL / 2, 0.5 - LEVEL / 2):
        ratio = f / float(stats.f.ppf(tail, df_between, df_within))
        ends.append(1.0 if math.isinf(ratio) else (ratio - 1) / (ratio + size - 1))
    return ends[0], ends[1]


def _permuted(cells: TermCells) -> float:
    """Deal the runs of every item to the seeds anew, and compare the variance of the seeds' rates."""
    generator = stream("seed variance", *cells.counts.sum(axis=0).tolist(), *cells.counts.sum(axis=1).tolist())
    events: Int[np.ndarray, "seeds units"] = np.rint(cells.means * cells.counts).astype(np.int64)
    draws = int(min(DRAWS, max(LEAST_DRAWS, MOST_DEALT // max(cells.counts.shape[1], 1))))
    drawn: Float[np.ndarray, "draws seeds"] = np.zeros((draws, len(cells.seeds)))
    for place in range(cells.counts.shape[1]):
        own = cells.counts[:, place]
        dealt = generator.multivariate_hypergeometric(own, int(events[:, place].sum()), size=draws)
        drawn += dealt / own
    seen = float(np.var(cells.means.sum(axis=1)))
    return float(1 + (np.var(drawn, axis=1) >= seen * (1 - 1e-9)).sum()) / (1 + draws)
