"""The power of the exact tests of rates, enumerated: what the normal approximations of planning leave out."""

from functools import lru_cache

import numpy as np
from jaxtyping import Float
from scipy import special, stats

MOST_TABLES = 1_100_000
"""Two-by-two tables, or counts of events, that are enumerated at most."""
PLACES = 101
"""Common rates at which the size of Boschloo's test is looked at."""
LEFT_OUT = 1e-9
"""Probability of numbers of discordant pairs that is left out at either end."""


def power_of_binomial(n: int, stated: float, p: float, alpha: float) -> float | None:
    """Power of the exact two-sided binomial test: rejected are the counts whose likelihood sums to at most alpha.

    As scipy's `binomtest`: the p of a count is the probability of all that are no likelier under the stated rate.

    Args:
        n: Units.
        stated: Rate under the null.
        p: True rate.
        alpha: Level of the test.

    Returns:
        None above 1,100,000 units.
    """
    if n > MOST_TABLES:
        return None
    counts = np.arange(n + 1)
    mass = np.asarray(stats.binom.pmf(counts, n, stated))
    order = np.sort(mass)
    p_values = np.cumsum(order)[np.searchsorted(order, mass * (1 + 1e-7), side="right") - 1]
    return float(stats.binom.pmf(counts, n, p) @ (p_values <= alpha))


def power_of_mcnemar(n: int, discordance: float, effect: float, alpha: float) -> float:
    """Power of the exact two-sided McNemar test, over the number of discordant pairs.

    Of D ~ Bin(n, ψ) discordant pairs, Bin(D, (ψ + δ) / 2ψ) go one way; the test doubles the smaller binomial tail.

    Args:
        n: Pairs.
        discordance: Share of discordant pairs, ψ.
        effect: Difference of the rates, δ.
        alpha: Level of the test.
    """
    first, last = (float(stats.binom.ppf(share, n, discordance)) for share in (LEFT_OUT, 1 - LEFT_OUT))
    pairs = np.arange(int(first), int(last) + 1)
    quantile = np.asarray(stats.binom.ppf(alpha / 2, pairs, 0.5))
    critical = quantile - (stats.binom.cdf(quantile, pairs, 0.5) > alpha / 2)
    one_way = min(1.0, (discordance + effect) / (2 * discordance))
    rejects = stats.binom.cdf(critical, pairs, one_way) + stats.binom.sf(pairs - critical - 1, pairs, one_way)
    return float(stats.binom.pmf(pairs, n, discordance) @ rejects)


def power_of_boschloo(n0: int, n1: int, p0: float, p1: float, alpha: float) -> float | None:
    """Power of Boschloo's test: in either direction Fisher's p as the statistic, rejected while the size is alpha / 2.

    The largest size is looked for at 101 common rates. Two-sided as in scipy: twice the smaller one-sided p.

    Args:
        n0: Units of the first group.
        n1: Units of the second group.
        p0: Rate of the first group.
        p1: Rate of the second group.
        alpha: Level of the test.

    Returns:
        None when there are more than 1,100,000 tables.

    Source: Boschloo 1970.
    """
    if (n0 + 1) * (n1 + 1) > MOST_TABLES:
        return None
    rejected = _boschloo_region(n0, n1, alpha)
    by_group = stats.binom.pmf(np.arange(n0 + 1), n0, p0), stats.binom.pmf(np.arange(n1 + 1), n1, p1)
    return float(by_group[0] @ rejected @ by_group[1])


def fisher_table(n0: int, n1: int) -> Float[np.ndarray, "n0+1 n1+1"]:
    """Fisher's one-sided p of every table: the first group has as few events, or fewer, given the margins."""
    p = np.ones((n0 + 1, n1 + 1))
    ways = [_log_ways(n) for n in (n0, n1, n0 + n1)]
    for events in range(n0 + n1 + 1):
        k0 = np.arange(max(0, events - n1), min(n0, events) + 1)
        p[k0, events - k0] = np.minimum(1.0, np.cumsum(np.exp(ways[0][k0] + ways[1][events - k0] - ways[2][events])))
    return p


@lru_cache(maxsize=4)
def _boschloo_region(n0: int, n1: int, alpha: float) -> Float[np.ndarray, "n0+1 n1+1"]:
    """1 for every table that the two-sided test rejects."""
    fewer, more = (_one_sided_region(fisher_table(*sizes), alpha / 2) for sizes in ((n0, n1), (n1, n0)))
    rejected: Float[np.ndarray, "n0+1 n1+1"] = fewer + more.T
    return rejected


def _one_sided_region(p: Float[np.ndarray, "n0+1 n1+1"], alpha: float) -> Float[np.ndarray, "n0+1 n1+1"]:
    n0, n1 = p.shape[0] - 1, p.shape[1] - 1
    common = (np.arange(PLACES) + 0.5) / PLACES
    first = stats.binom.pmf(np.arange(n0 + 1)[:, None], n0, common)
    second = stats.binom.pmf(np.arange(n1 + 1)[:, None], n1, common)
    # Tables whose p differ by rounding are rejected together.
    levels = np.unique(p[p < min(1.0, 4 * alpha)]) * (1 + 1e-9)
    low, high = -1, len(levels)
    while high - low > 1:
        middle = (low + high) // 2
        size = np.max(np.sum(first * ((p <= levels[middle]).astype(float) @ second), axis=0))
        low, high = (middle, high) if size <= alpha else (low, middle)
    rejected: Float[np.ndarray, "n0+1 n1+1"] = (p <= (levels[low] if low >= 0 else -1.0)).astype(float)
    return rejected


def _log_ways(n: int) -> Float[np.ndarray, " n+1"]:
    """Logarithms of the binomial coefficients of n."""
    chosen = np.arange(n + 1)
    ways: Float[np.ndarray, " n+1"] = (
        special.gammaln(n + 1) - special.gammaln(chosen + 1) - special.gammaln(n - chosen + 1)
    )
    return ways
