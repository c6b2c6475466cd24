"""What a study can find: the smallest effects that it detects, before it runs (with pilot SDs) and afterwards."""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from scipy import optimize, special

from doxa.stats.controls import ALPHA, FEWEST_FOR_RANK, ROUNDING, deviations, max_t
from doxa.stats.intervals import FEWEST_FOR_P
from doxa.stats.noncentral import power_of_t
from doxa.words.store import stream

REPETITIONS = 4000
"""Simulated studies behind `detectable_against_controls`: a power of .8 has a standard error of .006."""


def detectable(n_items: int, sd: float, power: float = 0.8, alpha: float = ALPHA) -> float:
    """The smallest difference of two paired arms that a two-sided t over items finds with this power.

    Solves P(|T| > t_{1-alpha/2}) = power for T noncentral t with n - 1 degrees of freedom and noncentrality √n δ / sd.

    Args:
        n_items: Items in both arms.
        sd: SD over items of the difference of the two arms, each averaged over its runs.
        power: Probability to find it.
        alpha: Level of the test.

    Returns:
        The effect in the units of `sd`; infinite with fewer than 6 items, which get no p-value.
    """
    if n_items < FEWEST_FOR_P:
        return math.inf
    return detectable_from(sd / math.sqrt(n_items), n_items - 1.0, power, alpha)


def detectable_from(se: float, df: float, power: float = 0.8, alpha: float = ALPHA) -> float:
    """The smallest difference that a two-sided t test with this standard error finds with this power.

    Args:
        se: Standard error of the difference.
        df: Its degrees of freedom; infinite for a normal test.
        power: Probability to find it.
        alpha: Level of the test.

    Returns:
        The effect in the units of `se`.
    """
    df = min(df, 1e8)
    critical = float(special.stdtrit(df, 1 - alpha / 2))

    def lacking(noncentrality: float) -> float:
        return power_of_t(df, noncentrality, alpha) - power

    return float(optimize.brentq(lacking, 0.0, 4 * critical + 10)) * se


def detectable_against_controls(
    m: int,
    sd_controls: float | Sequence[float],
    power: float = 0.8,
    alpha: float = ALPHA,
    *,
    noise: float = 0.0,
    cells: int = 1,
) -> float:
    """The smallest distance from the centre of the controls at which an effect stands out with this power.

    Simulated with a fixed seed: normal effects of controls and target, the same rule as in the report
    (`doxa.stats.controls.stands_out`): outside the band of every family, and p by max-T at most alpha in each.

    Args:
        m: Controls in each family.
        sd_controls: SD of the controls' effects, the noise of their items included; one for each family that the effect
            must stand out against. The centres of the families are taken as equal.
        power: Probability to find it.
        alpha: Level of the test.
        noise: Standard error of the target's own effect over items; the same noise is part of `sd_controls`.
        cells: Contrasts times scores of the declared family, taken as independent (correlated ones cost less).

    Returns:
        The effect in the units of `sd_controls`; infinite with fewer than 19 controls, which get no rank p, or when
        1 / (m + 1) is above alpha.
    """
    spreads = (sd_controls,) if isinstance(sd_controls, int | float) else tuple(sd_controls)
    largest = max(spreads)
    if m < FEWEST_FOR_RANK or 1 / (m + 1) > alpha:
        return math.inf
    if largest == 0:
        return 0.0
    return largest * _in_spreads(m, _ratios(spreads), round(noise / largest, 3), power, alpha, cells)


def power_against_controls(
    effect: float,
    m: int,
    sd_controls: float | Sequence[float],
    alpha: float = ALPHA,
    *,
    noise: float = 0.0,
    cells: int = 1,
) -> float:
    """The probability that an effect stands out: the inverse of `detectable_against_controls`, by the same simulation.

    Args:
        effect: Distance from the centre of the controls, in the units of `sd_controls`.
        m: Controls in each family.
        sd_controls: See `detectable_against_controls`.
        alpha: Level of the test.
        noise: See `detectable_against_controls`.
        cells: See `detectable_against_controls`.

    Returns:
        0 with fewer than 19 controls, which get no rank p, or when 1 / (m + 1) is above alpha.
    """
    spreads = (sd_controls,) if isinstance(sd_controls, int | float) else tuple(sd_controls)
    largest = max(spreads)
    if m < FEWEST_FOR_RANK or 1 / (m + 1) > alpha:
        return 0.0
    if largest == 0:
        return float(effect != 0)
    return _found(m, _ratios(spreads), round(noise / largest, 3), alpha, cells)(abs(effect) / largest)


def _ratios(spreads: tuple[float, ...]) -> tuple[float, ...]:
    """Rounded, so that nearly equal pilots share a simulation; the families' order does not matter."""
    return tuple(sorted(round(sd / max(spreads), 3) for sd in spreads))


@lru_cache(maxsize=64)
def _in_spreads(m: int, ratios: tuple[float, ...], noise: float, power: float, alpha: float, cells: int) -> float:
    """`detectable_against_controls` for a largest SD of 1."""
    found = _found(m, ratios, noise, alpha, cells)
    low, high = 0.0, 1.0
    while found(high) < power:
        low, high = high, 2 * high
        if high > 1e3:
            return math.inf
    while high - low > 1e-3 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if found(middle) < power else (low, middle)
    return high


@lru_cache(maxsize=1)  # what it draws is large
def _found(m: int, ratios: tuple[float, ...], noise: float, alpha: float, cells: int) -> Callable[[float], float]:
    """The share of simulated studies in which an effect stands out, in units of the largest SD."""
    random = stream("power against controls", m, list(ratios), cells)
    own = noise * random.standard_normal(REPETITIONS)
    families = []
    for ratio in ratios:
        effects = ratio * random.standard_normal((REPETITIONS, 1 + m, cells))
        band = effects[:, 1:, 0].min(axis=1), effects[:, 1:, 0].max(axis=1)
        families.append((effects[:, :, :1].copy(), deviations(effects), band))

    def found(shift: float) -> float:
        hit = np.ones(REPETITIONS, dtype=bool)
        target = shift + own
        for planted, deviation, (low, high) in families:
            planted[:, 0, 0] = target
            deviation[:, :, :1] = deviations(planted)
            hit &= (max_t(deviation)[:, 0] <= alpha + ROUNDING) & ((target < low) | (target > high))
        return float(hit.mean())

    return found
