"""Intervals of rates: one small pure function per method, as in `doxa.stats.intervals`."""

import math
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from scipy import special, stats

from doxa.stats.intervals import (
    FEWEST_FOR_INTERVAL,
    Interval,
    p_of_t,
    t_quantile,
    tested,
    z_quantile,
)


def wilson(events: float, n: float, *, level: float = 0.95) -> Interval:
    """One rate: {p : |p̂ - p| ≤ z √(p (1 - p) / n)}, the score interval.

    Args:
        events: How many of `n` showed the behaviour.
        n: Number of independent observations, or an effective number.
        level: Confidence level.

    Source: Wilson 1927; Brown, Cai, DasGupta 2001.
    """
    if n <= 0:
        return Interval(None, method="Wilson", flags=("no_units",))
    z = z_quantile(level)
    rate = events / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    # Written out at the ends, where rounding would leave the rate outside its own interval.
    low = 0.0 if rate == 0 else centre - half
    high = 1.0 if rate == 1 else centre + half
    certain = rate in (0.0, 1.0)
    se = None if certain else math.sqrt(rate * (1 - rate) / n)
    return Interval(rate, low, high, se, method="Wilson", flags=("no_events",) if certain else ())


def one_rate(events: float, n: float, *, level: float = 0.95) -> Interval:
    """One rate by itself: Wilson's interval, mended where it holds too seldom, with one to three events (or all but).

    With x events of n, x at most 2 (3 above 50), the lower end is λ/n with P(Poisson(λ) < x) = level; the upper end of
    n - x events likewise. Ten observations of a rate of .05: coverage .91 without and .99 with it.

    Args:
        events: How many of `n` showed the behaviour.
        n: Number of independent observations.
        level: Confidence level.

    Source: Brown, Cai & DasGupta 2001 (Statistical Science 16:101), the modified Wilson interval.
    """
    found = wilson(events, n, level=level)
    if found.low is None or found.high is None:
        return found
    most, others = (2 if n <= 50 else 3), n - events
    low, high = found.low, found.high
    if 0 < events <= most:
        low = min(low, float(special.chdtri(2 * events, level)) / 2 / n)
    if 0 < others <= most:
        high = max(high, 1 - float(special.chdtri(2 * others, level)) / 2 / n)
    if (low, high) == (found.low, found.high):
        return found
    return replace(found, low=low, high=high, method="modified Wilson")


def wilson_clustered(rates: Float[np.ndarray, " items"], rows: float, *, level: float = 0.95) -> Interval:
    """One rate over items with several runs each: Wilson with an effective number of observations.

    deff = max(1, (s²(rates) / K) / (p̂ (1 - p̂) / n)); n_eff = n / deff · (z / t_{K-1})², K items and n rows. Without any
    event (or without any that is none) rows say nothing about how alike the runs of an item are; then n_eff is that of
    K observations: items that never show the behaviour in many runs are still only K items.

    Args:
        rates: Rate of each item over its runs.
        rows: Number of rows n behind the rates.
        level: Confidence level.

    Source: Korn & Graubard 1998, with Wilson in place of Clopper-Pearson.
    """
    method = "Wilson with design effect"
    k = len(rates)
    if k == 0:
        return Interval(None, method=method, flags=("no_units",))
    rate = float(np.mean(rates))
    if k < FEWEST_FOR_INTERVAL:
        return Interval(rate, method=method, flags=("no_interval",))
    binomial = rate * (1 - rate) / rows
    effect = max(1.0, float(np.var(rates, ddof=1)) / k / binomial) if binomial > 0 else max(1.0, rows / k)
    effective = rows / effect * (z_quantile(level) / t_quantile(level, k - 1)) ** 2
    return replace(wilson(rate * effective, effective, level=level), value=rate, df=float(k - 1), method=method)


def bonett_price(differences: Float[np.ndarray, " items"], *, level: float = 0.95) -> Interval:
    """Difference of two paired rates, one run per item, with the exact McNemar test.

    The value is the plain difference; only the interval is centred on the adjusted one.

    Args:
        differences: -1, 0 or 1 for every item.
        level: Confidence level.

    Source: Bonett & Price 2012 (J. Educ. Behav. Stat. 37:479); McNemar 1947, exact by the binomial.
    """
    method = "Bonett-Price, exact McNemar"
    n = len(differences)
    if n == 0:
        return Interval(None, method=method, flags=("no_units",))
    if n < FEWEST_FOR_INTERVAL:
        return Interval(float(np.mean(differences)), method=method, flags=("no_interval", "no_p"))
    up, down = int(np.sum(differences > 0)), int(np.sum(differences < 0))
    p = float(stats.binomtest(up, up + down).pvalue) if up + down else 1.0
    return tested(replace(bonett_price_of_counts(up, down, n, level=level), p=p, method=method), n, 0.0)


def bonett_price_of_counts(up: int, down: int, n: int, *, level: float = 0.95) -> Interval:
    """Interval of the difference of two paired rates from the counts of discordant pairs.

    p₁₂ = (n₁₂ + 1) / (n + 2), p₂₁ = (n₂₁ + 1) / (n + 2); (p₁₂ - p₂₁) ± z √((p₁₂ + p₂₁ - (p₁₂ - p₂₁)²) / (n + 2)).

    Args:
        up: Pairs that show the behaviour in the first condition only, n₁₂.
        down: Pairs that show it in the second only, n₂₁.
        n: All pairs.
        level: Confidence level.

    Source: Bonett & Price 2012 (J. Educ. Behav. Stat. 37:479).
    """
    first, second = (up + 1) / (n + 2), (down + 1) / (n + 2)
    centre = first - second
    se = math.sqrt((first + second - centre**2) / (n + 2))
    half = z_quantile(level) * se
    low, high = max(-1.0, centre - half), min(1.0, centre + half)
    return Interval((up - down) / n, low, high, se, method="Bonett-Price")


def pseudo_items(
    sums: Float[np.ndarray, " items"],
    runs: float,
    *,
    low: float = -1.0,
    high: float = 1.0,
    level: float = 0.95,
) -> Interval:
    """Weighted sum of paired rates over several runs per item: t with two pseudo-items, at middle ± half range / √runs.

    The pseudo-items keep the interval honest when the behaviour is rare and most sums are the same. Of a difference the
    middle is 0. Degrees of freedom are n - 1 of the n real items. p by inversion, of no difference.

    Args:
        sums: Per item the weighted sum of the mean rates.
        runs: Runs that an item's sum is worth.
        low: Smallest possible sum (-1 for a plain difference of two arms).
        high: Largest possible sum.
        level: Confidence level.

    Source: Agresti & Caffo 2000 and Bonett & Price 2012, carried over to runs by the project's simulations.
    """
    method = "t with pseudo-items"
    n = len(sums)
    if n == 0:
        return Interval(None, method=method, flags=("no_units",))
    value = float(np.mean(sums))
    if n < FEWEST_FOR_INTERVAL:
        return Interval(value, method=method, flags=("no_interval", "no_p"))
    middle, extra = (low + high) / 2, (high - low) / 2 / math.sqrt(runs)
    padded = np.concatenate([sums, [middle + extra, middle - extra]])
    centre, se, df = float(np.mean(padded)), float(np.std(padded, ddof=1)) / math.sqrt(n + 2), float(n - 1)
    half = t_quantile(level, df) * se
    ends = max(low, centre - half), min(high, centre + half)
    return tested(Interval(value, *ends, se, df, p_of_t(centre / se, df), method), n, 0.0)
