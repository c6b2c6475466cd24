"""How a p-value depends on the base rate when the gap and the numbers of observations stay the same."""

import math

import numpy as np
from scipy import optimize, special

from doxa.claims.checked import Curve
from doxa.stats.two_rates import Count, fisher_p

POINTS = 60
"""Base rates on the curve."""
SMALLEST = 1e-300
"""What a smaller p is written as."""
MOST_FOR_FISHER = 10**6
"""Observations up to which Fisher's test is on the curve."""


def base_curve(gap: float, n: int, m: int, *, own: float | None, reported: float | None) -> Curve:
    """The curve of p against the base rate: up to the rate where p is largest, or all rates when the claim's is beyond.

    Fisher's test is that of the nearest counts.

    Args:
        gap: Difference of the rates, as a share, above 0.
        n: Observations of the group with the lower rate.
        m: Observations of the other.
        own: The claim's own base rate.
        reported: The reported p-value, when it is an exact one.
    """
    steps = np.linspace(0.0, 1.0, POINTS)
    # Closer together near 0 (and near 1), where p changes most; and only where a count is.
    half = own is None or own <= (1 - gap) / 2
    shares = (1 - gap) / 2 * steps**2 if half else (1 - gap) * np.sin(np.pi / 2 * steps) ** 2
    base = np.unique(np.floor(shares * n + 1e-9)) / n
    p = {
        "pooled z": tuple(pooled_p(float(one), gap, n, m) for one in base),
        "Wald z": tuple(_wald(float(one), gap, n, m) for one in base),
    }
    if n + m <= MOST_FOR_FISHER:
        p["Fisher exact"] = tuple(_fisher(float(one), gap, n, m) for one in base)
    needed = None if reported is None else base_rate_for(reported, gap, n, m)
    return Curve(gap, n, m, tuple(float(one) for one in base), p, own, needed)


def base_rate_for(p: float, gap: float, n: int, m: int) -> float | None:
    """The base rate below which the gap has a smaller two-sided p by the pooled z; None when no rate has this p.

    Args:
        p: The p-value.
        gap: Difference of the rates, as a share, above 0.
        n: Observations of the group with the lower rate.
        m: Observations of the other.
    """

    def above(base: float) -> float:
        return math.log(pooled_p(base, gap, n, m)) - math.log(p)

    last = min(1 - gap, max(0.0, 0.5 - gap * m / (n + m)))  # the pooled rate is one half
    if above(0.0) > 0 or above(last) < 0:
        return None
    return float(optimize.brentq(above, 0.0, last, xtol=1e-12))


def pooled_p(base: float, gap: float, n: int, m: int) -> float:
    """Two-sided p of the pooled z for a gap above a base rate; the rates are not rounded to counts."""
    rate = base + gap * m / (n + m)
    variance = rate * (1 - rate) * (1 / n + 1 / m)
    return _p(gap, math.sqrt(variance)) if variance > 0 else SMALLEST


def _wald(base: float, gap: float, n: int, m: int) -> float | None:
    other = min(1.0, base + gap)
    se = math.sqrt(base * (1 - base) / n + other * (1 - other) / m)
    return _p(gap, se) if se > 0 else None


def _fisher(base: float, gap: float, n: int, m: int) -> float:
    events = round(base * n)
    other = round(events * m / n + gap * m) if n != m else events + round(gap * m)
    return fisher_p(Count(events, n), Count(min(m, other), m))


def _p(gap: float, se: float) -> float:
    return max(float(2 * special.ndtr(-gap / se)), SMALLEST)
