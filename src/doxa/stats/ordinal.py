"""P(X > Y) + P(X = Y)/2: how often a score of one arm beats one of the other, whatever its scale."""

import math

import numpy as np
from jaxtyping import Float
from scipy import stats

from doxa.stats.intervals import FEWEST_FOR_INTERVAL, FEWEST_FOR_P, Interval, t_interval

METHOD = "Brunner-Munzel"


def brunner_munzel(
    first: Float[np.ndarray, " first"], second: Float[np.ndarray, " second"], *, level: float = 0.95
) -> Interval:
    """The relative effect of two independent samples, with the test that it is one half.

    p̂ = (mean rank of the first in both samples - (n₁ + 1)/2) / n₂; its variance is σ₁²/n₁ + σ₂²/n₂ with σ_i² that of
    the ranks in both samples less the ranks in the own one, over the other's size; degrees of freedom by Satterthwaite.
    Samples that do not overlap have the value 0 or 1 and no interval.

    Args:
        first: Scores, one a unit.
        second: Scores of the other arm.
        level: Confidence level; the interval is cut at 0 and 1.

    Source: Brunner & Munzel 2000 (Biometrical Journal 42:17).
    """
    n, m = len(first), len(second)
    if min(n, m) == 0:
        return Interval(None, method=METHOD, flags=("no_units",))
    ranks = stats.rankdata(np.concatenate([first, second]))
    value = float((ranks[:n].mean() - (n + 1) / 2) / m)
    if min(n, m) < FEWEST_FOR_INTERVAL:
        return Interval(value, method=METHOD, flags=("no_interval", "no_p"))
    parts = [
        float(np.var((joint - stats.rankdata(own)) / other, ddof=1)) / len(own)
        for joint, own, other in ((ranks[:n], first, m), (ranks[n:], second, n))
    ]
    variance = sum(parts)
    if variance <= 1e-18:
        return Interval(value, method=METHOD, flags=("no_overlap",) if value in (0.0, 1.0) else ("all_equal",))
    df = variance**2 / (parts[0] ** 2 / (n - 1) + parts[1] ** 2 / (m - 1))
    found = t_interval(value, math.sqrt(variance), df, METHOD, level=level, null=0.5)
    assert found.low is not None
    assert found.high is not None
    few = min(n, m) < FEWEST_FOR_P
    return Interval(
        value, max(0.0, found.low), min(1.0, found.high), found.se, df, None if few else found.p, METHOD,
        ("no_p",) if few else (),
    )  # fmt: skip
