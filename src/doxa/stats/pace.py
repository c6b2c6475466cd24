"""How fast something happens, and whether it speeds up: counts in a window of time.

The rate has the exact interval for a Poisson count (Garwood 1936): it holds when events come independently at one
rate. Whether the last part of a window has more than its share is the conditional test of two Poisson rates: each of n
events falls into the last part with a probability of its share of the time, so their number is binomial (Przyborowski
& Wilenski 1940). That p-value is for a part that was chosen before the dates were seen. For one that was chosen
afterwards, `p_best_window` is the probability that some last part looks at least as extreme, by simulation under one
rate.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

DRAWS, SEED = 20_000, 0
"""Of the simulation."""


@dataclass(frozen=True)
class Pace:
    """Events per 30 days.

    Attributes:
        events: How many.
        days: In how many.
        rate: Per 30 days.
        low: Of the exact interval.
        high: Of it.
        level: Of it.
    """

    events: int
    days: float
    rate: float
    low: float
    high: float
    level: float


@dataclass(frozen=True)
class SpeedingUp:
    """Whether the last part of a window has more than its share.

    Attributes:
        p: One-sided, for a last part that was chosen before the dates were seen.
        p_best_window: The probability that the most extreme last part of any length looks at least as extreme.
    """

    p: float
    p_best_window: float


def pace(events: int, days: float, *, level: float = 0.95) -> Pace:
    """The rate of events per 30 days with its exact Poisson interval.

    Raises:
        ValueError: When there are fewer than no events, or no days.
    """
    if events < 0 or not days > 0:
        raise ValueError(f"{events} events in {days} days")
    tail = (1 - level) / 2
    low = float(stats.chi2.ppf(tail, 2 * events) / 2) if events else 0.0
    high = float(stats.chi2.ppf(1 - tail, 2 * events + 2) / 2)
    each = 30 / days
    return Pace(events, days, events * each, low * each, high * each, level)


def speeding_up(events: int, days: float, last_events: int, last_days: float) -> SpeedingUp:
    """Hold the last part of a window against the whole.

    Args:
        events: In the whole window.
        days: Its length.
        last_events: In its last part.
        last_days: Length of that.

    Raises:
        ValueError: When the part is not one of the whole.
    """
    if not 0 <= last_events <= events or not 0 < last_days < days:
        raise ValueError(f"{last_events} of {events} events in the last {last_days} of {days} days")
    p = float(stats.binom.sf(last_events - 1, events, last_days / days))
    if not events:
        return SpeedingUp(1.0, 1.0)
    ages = np.sort(np.random.default_rng(SEED).random((DRAWS, events)), axis=1)
    inside = np.arange(1, events + 1)  # the part that begins with the k-th last event holds k of them
    best = np.asarray(stats.binom.sf(inside - 1, events, ages)).min(axis=1)
    return SpeedingUp(p, float((1 + (best <= p * (1 + 1e-9)).sum()) / (DRAWS + 1)))
