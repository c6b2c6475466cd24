"""Boschloo's test of two independent rates: exact, and never less powerful than Fisher's.

The p-value of Fisher's one-sided test orders the tables; p is the largest probability, over the common rate, of a table
that is at least as extreme. Both directions are computed, and the smaller is doubled. Fisher's p falls when the first
count falls or the second rises, so for every first count the extreme tables begin at one second count: p costs the sum
of the two sizes for each common rate, not their product.
"""

import sys

import numpy as np
from jaxtyping import Float, Int
from scipy import optimize, stats

from doxa.stats.two_rates import Count, TestResult

MOST = 2_000
"""Observations in a group up to which the test is made; beyond, the pooled z is as good."""
TIED = 1 + 1e-9
"""Fisher's p of tables that are equally extreme, up to rounding."""
REFINED = 4
"""Peaks over the common rate that are searched more finely."""


def boschloo(a: Count, b: Count) -> TestResult:
    """Boschloo's exact test, two-sided by doubling.

    Args:
        a: First group.
        b: Second group.

    Source: Boschloo 1970; the doubling is that of `scipy.stats.boschloo_exact` (which takes the groups as columns).
    """
    name = "Boschloo exact"
    if max(a.n, b.n) > MOST:
        return TestResult(name, None, reason=f"a group has more than {MOST:,} observations")
    low, high = _lower(a, b), _lower(b, a)
    one_sided = high if a.rate > b.rate else low if a.rate < b.rate else max(low, high)
    least = sys.float_info.min  # never 0: the smallest number is written for what is smaller
    return TestResult(name, min(1.0, max(least, 2 * min(low, high))), max(least, one_sided))


def _lower(a: Count, b: Count) -> float:
    """The p-value against a first rate that is not smaller, by Boschloo's order."""
    observed = float(stats.hypergeom.cdf(a.events, a.n + b.n, a.events + b.events, a.n)) * TIED
    first = np.arange(a.n + 1)
    begin = _begins(first, a.n, b.n, observed)

    def extreme(rate: float) -> float:
        beyond = stats.binom.sf(begin - 1, b.n, rate)
        return float(np.dot(stats.binom.pmf(first, a.n, rate), beyond))

    # A peak over the common rate has about the width of one count, which is even on the scale of the arcsine.
    angles = np.linspace(0.0, np.pi / 2, 66 + 8 * int(np.sqrt(a.n + b.n)))[1:-1]
    heights = np.array([extreme(float(np.sin(angle) ** 2)) for angle in angles])
    step = float(angles[1] - angles[0])
    best = float(heights.max())
    for index in _peaks(heights):
        middle = float(angles[index])
        found = optimize.minimize_scalar(
            lambda angle: -extreme(float(np.sin(angle) ** 2)),
            bounds=(max(0.0, middle - step), min(np.pi / 2, middle + step)),
            method="bounded",
            options={"xatol": 1e-7},
        )
        best = max(best, -float(found.fun))
    return min(1.0, best)


def _begins(first: Int[np.ndarray, " counts"], n: int, m: int, observed: float) -> Int[np.ndarray, " counts"]:
    """For every first count the smallest second count whose Fisher p is at most the observed one; m + 1 if none."""
    low, high = np.zeros(n + 1, dtype=np.int64), np.full(n + 1, m + 1, dtype=np.int64)
    while np.any(low < high):
        middle = (low + high) // 2
        second = np.minimum(middle, m)
        p = stats.hypergeom.cdf(first, n + m, first + second, n)
        inside = (p <= observed) & (middle <= m)
        open_ = low < high
        high = np.where(open_ & inside, middle, high)
        low = np.where(open_ & ~inside, middle + 1, low)
    return high


def _peaks(heights: Float[np.ndarray, " rates"]) -> list[int]:
    """The highest local maxima."""
    padded = np.concatenate([[-1.0], heights, [-1.0]])
    local = np.flatnonzero((heights >= padded[:-2]) & (heights >= padded[2:]))
    return [int(one) for one in local[np.argsort(-heights[local])][:REFINED]]
