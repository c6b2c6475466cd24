"""Does a rate lie above that of another arm by more than a margin, or by less? Two one-sided tests of a difference.

An interval around a small rate is wide, because it must not believe that nothing else can happen. A test against a
margin of one answer in five need not care: at the margin a rate has the spread of a rate of one in five. So likelihoods
are compared at the margin, in place of the end of an interval:

    T = ± √(2 (ℓ(p̂, p̂₀) - max ℓ(p, p₀) over p - p₀ = margin)),    ℓ of two binomials with n / D answers each

*The same items, several runs.* D is the design effect of the paired differences of the items' rates. With r, their
variance over that of independent answers, and an allowance for few items, c = (t / z)²: where pairing helps it is r c
and at most 1, and above 1 it is 1 + (r - 1) c, since what exceeds independent answers was estimated. Where all items
are alike nothing shows r, and D is the runs of an item, as if they were one answer.

*Few answers.* The rate is moved towards the margin by a quarter of an answer. This makes the root of a likelihood ratio
agree with the mid-p of the binomial also at 0 of n, where its p would otherwise be a third of that (n = 8).

How often what rests on it holds: `benchmarks/minimum_dose.py`, in `docs/coverage.md`.

After Farrington and Manning 1990, Statistics in Medicine 9, 1447: tests of a difference that is not zero at the most
likely rates with that difference; Rao and Scott 1992, Biometrics 48, 577: counts over a design effect.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import optimize, special

from doxa.stats.choice import several_seeds
from doxa.stats.design import Block, blocks_of
from doxa.stats.estimate import applies, estimate
from doxa.stats.intervals import FEWEST_FOR_P, Interval, inverted, t_quantile, z_quantile
from doxa.stats.table import ITEM, Rows
from doxa.words.contrasts import Contrast

QUARTER = 0.25
"""Of an answer: half of the half by which counts are corrected for an exact tail, as mid-p is."""


@dataclass(frozen=True)
class Sides:
    """What is known about a difference and a margin.

    Attributes:
        above: One-sided p of "it is at most the margin": small where the difference lies above.
        below: One-sided p of "it is at least the margin": small where it lies below.
    """

    above: float
    below: float


UNKNOWN = Sides(1.0, 1.0)


def sides_of(rows: Rows, contrast: Contrast, score: str, *, task: str, margin: float, unit: str = ITEM) -> Sides:
    """Both tests of a difference of two rates of a table.

    Arms that share their units are tested as above. What has several training seeds, other units in each arm, or fewer
    than six units is tested by the interval of its estimate, whose end reaches the margin at the level 1 - 2p.

    Raises:
        ResultsError: See `doxa.stats.estimate.estimate`.
    """
    if not applies(rows, contrast, score, task):
        return UNKNOWN
    blocks = blocks_of(rows, contrast, score, task, unit)
    if _plain(blocks[0]) and len(blocks) == 1 and not several_seeds(rows, contrast, score, task):
        block = blocks[0]
        order = np.argsort(-block.weights)  # the arm first, what it is held against second
        return paired_sides(block.means[:, block.complete][order], block.counts[order].astype(float), margin)

    def interval(level: float) -> Interval:
        one = estimate(rows, contrast, score, task=task, kind="binary", unit=unit, level=level)
        return Interval(one.value, one.low, one.high)

    return by_interval(interval, margin)


def _plain(block: Block) -> bool:
    return sorted(block.weights) == [-1.0, 1.0] and len(block.complete) >= FEWEST_FOR_P


def by_interval(interval: Callable[[float], Interval], margin: float) -> Sides:
    """Both tests from intervals: p is what an interval leaves out at the end that just reaches the margin.

    Args:
        interval: Of a two-sided confidence level.
        margin: What the difference is held against.
    """
    found = interval(0.95)
    if found.value is None or found.low is None:
        return UNKNOWN
    p = inverted(interval, margin) / 2
    return Sides(p, 1 - p) if found.value > margin else Sides(1 - p, p)


def paired_sides(rates: Float[np.ndarray, "2 items"], runs: Float[np.ndarray, "2 items"], margin: float) -> Sides:
    """Both tests of the first arm's rate minus the second's.

    Args:
        rates: Of every item in both arms.
        runs: Answers behind each rate, above 0.
        margin: Above 0 and below 1.
    """
    (first, second), items = rates.mean(axis=1), rates.shape[1]
    n, m = (items / (1 / runs).mean(axis=1)).tolist()
    effect = design_effect(rates, n, m)
    n, m = n / effect, m / effect
    distance = float(first - second) - margin
    moved = float(first) - math.copysign(min(abs(distance), QUARTER / n), distance)
    ratio = _most(moved, n) + _most(float(second), m) - _restricted(moved, n, float(second), m, margin)
    root = math.copysign(math.sqrt(max(0.0, 2 * ratio)), distance)
    return Sides(float(special.ndtr(-root)), float(special.ndtr(root)))


def design_effect(rates: Float[np.ndarray, "2 items"], n: float, m: float) -> float:
    """By how much the variance of paired differences of rates is that of fewer, or more, independent answers.

    Args:
        rates: Of every item in both arms.
        n: Answers that the first arm's rate is worth.
        m: Of the second.
    """
    items = int(rates.shape[1])
    shares = rates.mean(axis=1)
    independent = float(shares[0] * (1 - shares[0]) / n + shares[1] * (1 - shares[1]) / m)
    seen = float(np.var(rates[0] - rates[1], ddof=1)) / items
    if seen <= 1e-12:
        return max(1.0, n / items, m / items)
    ratio, allowance = seen / independent, (t_quantile(0.95, items - 1) / z_quantile(0.95)) ** 2
    return max(min(1.0, ratio * allowance), 1 + (ratio - 1) * allowance)


def _loglik(rate: float, seen: float, n: float) -> float:
    """Of n answers of which a share was seen."""
    return float(n * (special.xlogy(seen, rate) + special.xlog1py(1 - seen, -rate)))


def _most(seen: float, n: float) -> float:
    return _loglik(seen, seen, n)


def _restricted(first: float, n: float, second: float, m: float, margin: float) -> float:
    """The largest likelihood of two rates that differ by the margin: a concave function of the second."""

    def slope(rate: float) -> float:
        above = rate + margin
        return n * (first / above - (1 - first) / (1 - above)) + m * (second / rate - (1 - second) / (1 - rate))

    ends = 1e-9, 1 - margin - 1e-9
    if slope(ends[0]) <= 0:
        best = ends[0]
    elif slope(ends[1]) >= 0:
        best = ends[1]
    else:
        best = float(optimize.brentq(slope, *ends, xtol=1e-12))
    return _loglik(best + margin, first, n) + _loglik(best, second, m)
