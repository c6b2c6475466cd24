"""Counts: tests and intervals for one rate, for two independent rates and for pairs.

One small pure function per method. The difference is always the first rate minus the second. A test that does not exist
for the counts at hand has no p-value and a reason in words. Boschloo's test is in `doxa.stats.boschloo`.
"""

import math
import sys
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int
from scipy import special, stats

from doxa.stats.intervals import Interval, mover, weighted, z_quantile
from doxa.stats.rates import wilson
from doxa.words.errors import ClaimError

MOST_OBSERVATIONS = 10**9
"""Beyond it the exact tests lose digits; no evaluation has as many."""
NO_EVENTS = "neither rate varies: all outcomes are the same"


@dataclass(frozen=True)
class Count:
    """How many of how many.

    Attributes:
        events: Observations that showed the behaviour.
        n: All observations, at least 1.
    """

    events: int
    n: int

    def __post_init__(self) -> None:
        if not 1 <= self.n <= MOST_OBSERVATIONS:
            raise ClaimError(
                f"{self.n} observations",
                expected=f"a whole number from 1 to {MOST_OBSERVATIONS:,}",
                way_out="Correct the n of the claim",
            )
        if not 0 <= self.events <= self.n:
            raise ClaimError(
                f"{self.events} of {self.n}",
                expected=f"a count from 0 to {self.n}",
                way_out="Correct the counts: no more events than observations, and none below 0",
            )

    @property
    def rate(self) -> float:
        """Events over observations."""
        return self.events / self.n


@dataclass(frozen=True)
class TestResult:
    """The p-value of one test.

    Attributes:
        name: Name of the test.
        p: Two-sided p-value; None where the test does not exist.
        one_sided: p-value in the direction of the observed difference; None where it is not defined.
        reason: Why there is no p-value; None when there is one.
    """

    __test__ = False  # not a class of tests

    name: str
    p: float | None
    one_sided: float | None = None
    reason: str | None = None


def pooled_z(a: Count, b: Count) -> TestResult:
    """The pooled z, which is Pearson's chi-squared test of the table: z = d / √(p̄ (1 - p̄) (1/n + 1/m))."""
    se = _pooled_se(a, b)
    return _normal("pooled z", a.rate - b.rate, se)


def pooled_z_corrected(a: Count, b: Count) -> TestResult:
    """The pooled z with Yates' correction for continuity, |d| - (1/n + 1/m) / 2; the default of R's `prop.test`.

    Source: Yates 1934.
    """
    smaller = max(0.0, abs(a.rate - b.rate) - (1 / a.n + 1 / b.n) / 2)
    return _normal("Yates' chi-squared", smaller, _pooled_se(a, b))


def wald_z(a: Count, b: Count) -> TestResult:
    """The z with each rate's own variance: z = d / √(p (1 - p) / n + q (1 - q) / m)."""
    return _normal("Wald z", a.rate - b.rate, _wald_se(a, b))


def welch_t_of_counts(a: Count, b: Count) -> TestResult:
    """Welch's t on the outcomes as 0 and 1.

    Source: Welch 1947.
    """
    name = "Welch t"
    if min(a.n, b.n) < 2:
        return TestResult(name, None, reason="one of the groups has a single observation")
    parts = [one.rate * (1 - one.rate) / (one.n - 1) for one in (a, b)]
    variance = sum(parts)
    if variance == 0:
        return TestResult(name, None, reason=NO_EVENTS)
    df = variance**2 / sum(part**2 / (one.n - 1) for part, one in zip(parts, (a, b), strict=True))
    tail = float(special.stdtr(df, -abs(a.rate - b.rate) / math.sqrt(variance)))
    return _result(name, 2 * tail, tail)


def fisher(a: Count, b: Count) -> TestResult:
    """Fisher's exact test: all tables with the same margins that are at most as likely as the one observed."""
    one_sided = float(stats.fisher_exact(_table(a, b), alternative=_direction(a.rate, b.rate)).pvalue)
    return _result("Fisher exact", fisher_p(a, b), one_sided)


def fisher_p(a: Count, b: Count) -> float:
    """Two-sided p of Fisher's exact test alone."""
    return min(1.0, max(float(stats.fisher_exact(_table(a, b)).pvalue), sys.float_info.min))


def newcombe(a: Count, b: Count, *, level: float = 0.95) -> Interval:
    """Interval of the difference from two Wilson intervals (MOVER).

    Source: Newcombe 1998, method 10.
    """
    found = mover([wilson(a.events, a.n, level=level), weighted(wilson(b.events, b.n, level=level), -1.0)])
    assert found.low is not None
    assert found.high is not None
    return Interval(found.value, max(-1.0, found.low), min(1.0, found.high), method="Newcombe")


def agresti_caffo(a: Count, b: Count, *, level: float = 0.95) -> Interval:
    """Interval of the difference: Wald's after one event and one non-event were added to each group.

    It is centred on the shrunken difference; where that leaves the plain difference outside, it is widened to it.

    Source: Agresti & Caffo 2000.
    """
    more = [(one.events + 1) / (one.n + 2) for one in (a, b)]
    centre = more[0] - more[1]
    se = math.sqrt(sum(rate * (1 - rate) / (one.n + 2) for rate, one in zip(more, (a, b), strict=True)))
    half = z_quantile(level) * se
    value = a.rate - b.rate
    low, high = max(-1.0, centre - half), min(1.0, centre + half)
    return Interval(value, min(value, low), max(value, high), se, method="Agresti-Caffo")


def wald_interval(a: Count, b: Count, *, level: float = 0.95) -> Interval:
    """Wald's d ± z √(p (1 - p) / n + q (1 - q) / m): often printed; covers too little at small n and low rates."""
    value, se = a.rate - b.rate, _wald_se(a, b)
    half = z_quantile(level) * se
    return Interval(value, value - half, value + half, se, method="Wald")


def wald_of_one(one: Count, *, level: float = 0.95) -> Interval:
    """Wald's p ± z √(p (1 - p) / n) of one rate: to recognise it, never to use it."""
    se = math.sqrt(one.rate * (1 - one.rate) / one.n)
    half = z_quantile(level) * se
    return Interval(one.rate, one.rate - half, one.rate + half, se, method="Wald")


def mcnemar_exact(first: int, second: int) -> TestResult:
    """Exact McNemar: the discordant pairs as a fair coin.

    Args:
        first: Pairs that show the behaviour in the first condition only.
        second: Pairs that show it in the second only.

    Source: McNemar 1947, by the binomial distribution.
    """
    less, n = min(first, second), first + second
    tail = float(stats.binom.cdf(less, n, 0.5)) if n else 1.0
    return _result("exact McNemar", 2 * tail, tail)


def mcnemar_mid_p(first: int, second: int) -> TestResult:
    """McNemar with the mid-p-value: half of the probability of what was observed is left out.

    Args:
        first: Pairs that show the behaviour in the first condition only.
        second: Pairs that show it in the second only.

    Source: Fagerland, Lydersen, Laake 2013.
    """
    less, n = min(first, second), first + second
    here = float(stats.binom.pmf(less, n, 0.5)) if n else 1.0
    tail = float(stats.binom.cdf(less, n, 0.5)) if n else 1.0
    p = 1 - here / 2 if first == second else 2 * tail - here
    return _result("mid-p McNemar", p, tail - here / 2)


def exact_binomial(one: Count, null: float) -> TestResult:
    """Exact two-sided binomial test of one rate against a number: all counts at most as likely as the one observed."""
    p = float(stats.binomtest(one.events, one.n, null).pvalue)
    one_sided = float(stats.binomtest(one.events, one.n, null, _direction(one.rate, null)).pvalue)
    return _result(f"exact binomial against {null:g}", p, one_sided)


def clopper_pearson(one: Count, *, level: float = 0.95) -> Interval:
    """Exact interval of one rate: it covers at least its level, always.

    Source: Clopper & Pearson 1934, by quantiles of the beta distribution.
    """
    k, n, tail = one.events, one.n, (1 - level) / 2
    low = 0.0 if k == 0 else float(special.betaincinv(k, n - k + 1, tail))
    high = 1.0 if k == n else float(special.betainccinv(k + 1, n - k, tail))
    return Interval(one.rate, low, high, method="Clopper-Pearson")


def jeffreys(one: Count, *, level: float = 0.95) -> Interval:
    """Interval of one rate from Jeffreys' prior, with the end written out where the rate is 0 or 1.

    Source: Brown, Cai, DasGupta 2001.
    """
    k, n, tail = one.events, one.n, (1 - level) / 2
    low = 0.0 if k == 0 else float(special.betaincinv(k + 0.5, n - k + 0.5, tail))
    high = 1.0 if k == n else float(special.betainccinv(k + 0.5, n - k + 0.5, tail))
    return Interval(one.rate, low, high, method="Jeffreys")


def _table(a: Count, b: Count) -> Int[np.ndarray, "2 2"]:
    return np.array([[a.events, a.n - a.events], [b.events, b.n - b.events]])


def _pooled_se(a: Count, b: Count) -> float:
    pooled = (a.events + b.events) / (a.n + b.n)
    return math.sqrt(pooled * (1 - pooled) * (1 / a.n + 1 / b.n))


def _wald_se(a: Count, b: Count) -> float:
    return math.sqrt(sum(one.rate * (1 - one.rate) / one.n for one in (a, b)))


def _normal(name: str, difference: float, se: float) -> TestResult:
    if se == 0:
        return TestResult(name, None, reason=NO_EVENTS)
    tail = float(special.ndtr(-abs(difference) / se))
    return _result(name, 2 * tail, tail)


def _result(name: str, p: float, one_sided: float) -> TestResult:
    """Never above 1 by rounding, and never 0: the smallest number is written for what is smaller."""
    return TestResult(name, min(1.0, max(p, sys.float_info.min)), min(1.0, max(one_sided, sys.float_info.min)))


def _direction(rate: float, other: float) -> Literal["greater", "less"]:
    return "greater" if rate >= other else "less"
