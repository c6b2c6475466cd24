"""Intervals: one small pure function per method, on units that rows were reduced to already.

Every function returns an `Interval`. What cannot be estimated is None with a flag that says why: fewer than three units
have no interval, fewer than six no p-value, and units that are all equal have neither (an interval of width 0 would
claim certainty). Which design uses which method is decided in `doxa.stats.estimate`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy import optimize, special

from doxa.words.numbers import plural

FEWEST_FOR_INTERVAL = 3
FEWEST_FOR_P = 6

FLAGS = {
    "no_units": "no unit has a value in every arm, and in every training seed of an arm",
    "no_interval": f"fewer than {FEWEST_FOR_INTERVAL} units: no interval",
    "no_p": f"fewer than {FEWEST_FOR_P} units: no p-value",
    "all_equal": "every unit has the same value: the spread cannot be estimated",
    "no_events": "the rate is exactly 0 or 1 in the sample: behaviour that few units show can be missed",
    "no_test": "this method has an interval and no test",
    "identical": "the outputs of the two arms are identical",
    "rounding": "the arms differ by rounding only: no interval and no test",
    "two_seeds": "two training seeds show their spread and carry no interval (its t quantile would be 12.7)",
    "few_seeds": "fewer than 5 training seeds: the interval leans on its assumptions",
    "rare_seeds": "behaviour that few training seeds have can be missed",
    "seeds_left_out": "training seeds that not every arm has are left out, so that the others are paired",
    "without_level": "rows without a level of the unit are left out",
    "no_run_noise": "an arm has one training seed and one run per item: nothing shows how much its runs differ",
    "pooled_items": "rows of several items are pooled as if independent: neither for these items nor for new ones",
    "undercovers": "in simulated studies of this kind the interval held less often than 93 % of the time",
    "no_overlap": "every unit of one arm is above every unit of the other: no interval",
    "few_units": "fewer than 5 units of this factor: this describes more than it tests",
}
"""What each flag of an estimate means."""


@dataclass(frozen=True)
class Interval:
    """A value with what is known about its error; None where the method does not give it.

    Attributes:
        value: The estimate; None when there is no unit.
        low: Lower end of the interval.
        high: Upper end of the interval.
        se: Standard error.
        df: Degrees of freedom.
        p: Two-sided p-value of "no difference".
        method: Name of the method.
        flags: Keys of `FLAGS`.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    se: float | None = None
    df: float | None = None
    p: float | None = None
    method: str = ""
    flags: tuple[str, ...] = ()


def mean_t(units: Float[np.ndarray, " units"], *, level: float = 0.95, null: float | None = 0.0) -> Interval:
    """Mean of unbounded values: mean ± t s / √n with n - 1 degrees of freedom; p by inversion.

    On per-item differences of two arms this is the paired t.

    Args:
        units: One value per unit.
        level: Confidence level.
        null: Value that the test is against; None: no test.

    Source: Student 1908; Miller 2024 (arXiv 2411.00640) for the pairing by item.
    """
    found = _spread(units, "t over items")
    if found.se is None or found.df is None or found.value is None:
        return found
    return tested(t_interval(found.value, found.se, found.df, found.method, level=level, null=null), len(units), null)


def t_interval(
    value: float, se: float, df: float, method: str, *, level: float = 0.95, null: float | None = 0.0
) -> Interval:
    """An estimate ± t standard errors; p by inversion.

    Args:
        value: The estimate.
        se: Its standard error, above 0.
        df: Degrees of freedom of the standard error.
        method: Name of the method.
        level: Confidence level.
        null: Value that the test is against; None: no test.
    """
    half = t_quantile(level, df) * se
    p = None if null is None else p_of_t((value - null) / se, df)
    return Interval(value, value - half, value + half, se, df, p, method)


def logit_t(
    units: Float[np.ndarray, " units"],
    *,
    low: float = 0.0,
    high: float = 1.0,
    level: float = 0.95,
    null: float | None = None,
    pseudo: float = 0.0,
) -> Interval:
    """Mean of values within [low, high]: t on the logit of the rescaled mean (delta method), so it stays inside.

    m = (mean - low) / (high - low); logit m ± t s / (√n m (1 - m)), n - 1 degrees of freedom. Few scores of which most
    are at one end seldom show the other end, and then their spread is too small: pseudo-units at both ends, of so small
    a weight that they are forgotten at n = 30, mend that (coverage of 10 bimodal scores .95 for .90). The value is the
    plain mean.

    Args:
        units: One value per unit.
        low: Smallest possible value.
        high: Largest possible value.
        level: Confidence level.
        null: Value that the test is against; None: no test.
        pseudo: Weight of one pseudo-unit at each end, in units; 0 for none.

    Source: delta method; pseudo-observations after Agresti & Coull 1998, their weight by `benchmarks/coverage.py`.
    """
    found = _spread(units, "logit-t over items")
    if pseudo > 0 and found.value is not None and found.se is not None:
        at = padded_logit(found.value, found.se, len(units), low, high, pseudo, level=level, null=null)
        return tested(at, len(units), null)
    if found.se is None or found.df is None or found.value is None:
        return found
    at = logit_interval(found.value, found.se, found.df, low, high, found.method, level=level, null=null)
    return tested(at, len(units), null)


def padded_logit(
    value: float,
    se: float,
    n: int,
    low: float,
    high: float,
    pseudo: float,
    *,
    level: float = 0.95,
    null: float | None = None,
) -> Interval:
    """The logit-t interval of a mean of n values with a pseudo-unit at each end of their scale (`logit_t`).

    Args:
        value: The mean, which stays the value.
        se: Its standard error, s / √n, above 0.
        n: Values behind it.
        low: Smallest possible value.
        high: Largest possible value.
        pseudo: Weight of a pseudo-unit.
        level: Confidence level.
        null: Value that the test is against; None: no test.
    """
    weight = n + 2 * pseudo
    centre = (n * value + pseudo * (low + high)) / weight
    squares = se**2 * n * (n - 1) + n * (value - centre) ** 2
    squares += pseudo * ((low - centre) ** 2 + (high - centre) ** 2)
    own = math.sqrt(squares / (weight - 1) / weight)
    at = logit_interval(centre, own, n - 1.0, low, high, "logit-t with pseudo-units", level=level, null=null)
    assert at.low is not None
    assert at.high is not None
    return replace(at, value=value, low=min(at.low, value), high=max(at.high, value))


def logit_interval(
    value: float,
    se: float,
    df: float,
    low: float,
    high: float,
    method: str,
    *,
    level: float = 0.95,
    null: float | None = None,
) -> Interval:
    """A mean within [low, high] from its standard error: t on the logit of the rescaled mean (delta method).

    Args:
        value: The mean.
        se: Its standard error; 0 when all units are equal, which has no interval.
        df: Degrees of freedom of the standard error.
        low: Smallest possible value.
        high: Largest possible value.
        method: Name of the method.
        level: Confidence level.
        null: Value that the test is against; None: no test.
    """
    width = high - low
    mean = (value - low) / width
    if se <= 1e-12 * width or not 0 < mean < 1:
        return Interval(value, method=method, flags=("all_equal",))
    slope = se / width / (mean * (1 - mean))
    half = t_quantile(level, df) * slope
    centre = float(special.logit(mean))
    ends = low + width * special.expit(np.array([centre - half, centre + half]))
    p = None if null is None else p_of_t((centre - float(special.logit((null - low) / width))) / slope, df)
    return Interval(value, float(ends[0]), float(ends[1]), se, df, p, method)


def welch(groups: Sequence[Float[np.ndarray, " units"]], *, level: float = 0.95, null: float | None = 0.0) -> Interval:
    """Sum of the means of independent groups of (already weighted) units: t with Welch-Satterthwaite df.

    V = Σ s²/n; df = V² / Σ ((s²/n)² / (n - 1)). p by inversion.

    Args:
        groups: For every group its units, multiplied by the weight of the group.
        level: Confidence level.
        null: Value that the test is against; None: no test.

    Source: Welch 1947; Satterthwaite 1946.
    """
    method = "Welch-Satterthwaite t"
    sizes = [len(group) for group in groups]
    if min(sizes) == 0:
        return Interval(None, method=method, flags=("no_units",))
    value = float(sum(np.mean(group) for group in groups))
    if min(sizes) < FEWEST_FOR_INTERVAL:
        return Interval(value, method=method, flags=("no_interval", "no_p"))
    parts = [0.0 if _constant(group) else float(np.var(group, ddof=1)) / len(group) for group in groups]
    variance = sum(parts)
    if variance == 0:
        return Interval(value, method=method, flags=("all_equal",))
    df = variance**2 / sum(part**2 / (n - 1) for part, n in zip(parts, sizes, strict=True))
    return tested(t_interval(value, math.sqrt(variance), df, method, level=level, null=null), min(sizes), null)


def mover(parts: Sequence[Interval]) -> Interval:
    """Sum of independent estimates from their own intervals.

    L = Σθ - √Σ(θ - l)², U = Σθ + √Σ(u - θ)². Of two Wilson intervals this is Newcombe's method 10.

    Args:
        parts: Intervals of the (already weighted) parts.

    Source: Zou & Donner 2008; Newcombe 1998.
    """
    method = f"MOVER ({', '.join(dict.fromkeys(part.method for part in parts))})"
    flags = tuple(dict.fromkeys(flag for part in parts for flag in part.flags))
    value, below, above = 0.0, 0.0, 0.0
    complete = True
    for part in parts:
        if part.value is None:
            return Interval(None, method=method, flags=flags)
        value += part.value
        if part.low is None or part.high is None:
            complete = False
        else:
            below += (part.value - part.low) ** 2
            above += (part.high - part.value) ** 2
    if not complete:
        return Interval(value, method=method, flags=(*flags, "no_test"))
    low, high = value - math.sqrt(below), value + math.sqrt(above)
    return Interval(value, low, high, method=method, flags=(*flags, "no_test"))


def weighted(part: Interval, weight: float) -> Interval:
    """An interval multiplied by a number, for `mover`."""
    if part.value is None or part.low is None or part.high is None:
        return replace(part, value=None if part.value is None else weight * part.value)
    low, high = sorted((weight * part.low, weight * part.high))
    return replace(part, value=weight * part.value, low=low, high=high)


def inverted(build: Callable[[float], Interval], null: float) -> float:
    """The p-value of an interval: one less the level at which it just reaches the null."""

    def beyond(logit: float) -> float:
        found = build(float(special.expit(logit)))
        if found.low is None or found.high is None or found.value is None:
            return -1.0
        return found.low - null if found.value > null else null - found.high

    if build(0.5).value == null:
        return 1.0
    first, last = -12.0, 34.0
    if beyond(first) <= 0:
        return 1.0
    if beyond(last) >= 0:
        return float(special.expit(-last))
    return float(special.expit(-optimize.brentq(beyond, first, last, xtol=1e-6)))


def naive(found: Interval, unit: str, *, level: float = 0.95, null: float | None = 0.0) -> Interval:
    """The same estimate with the interval of the central limit theorem, value ± z se, to compare with.

    Args:
        found: An interval with a standard error.
        unit: What it is over.
        level: Confidence level.
        null: Value that the test is against; None: no test.

    Source: Miller 2024 (arXiv 2411.00640). With 6 units it covers .90 of the time on normal data, and not .95.
    """
    method = f"CLT over {plural(unit)}"
    if found.value is None or found.se is None:
        return replace(found, method=method)
    half = z_quantile(level) * found.se
    p = None if null is None else float(2 * special.ndtr(-abs(found.value - null) / found.se))
    flags = tuple(flag for flag in found.flags if flag != "no_p")
    return replace(found, low=found.value - half, high=found.value + half, df=None, p=p, method=method, flags=flags)


def _spread(units: Float[np.ndarray, " units"], method: str) -> Interval:
    """Mean and standard error, or a flag that says why there is none."""
    n = len(units)
    if n == 0:
        return Interval(None, method=method, flags=("no_units",))
    value = float(np.mean(units))
    if n < FEWEST_FOR_INTERVAL:
        return Interval(value, method=method, flags=("no_interval", "no_p"))
    if _constant(units):
        return Interval(value, method=method, flags=("all_equal",))
    return Interval(value, se=float(np.std(units, ddof=1)) / math.sqrt(n), df=float(n - 1), method=method)


def _constant(units: Float[np.ndarray, " units"]) -> bool:
    """Equal up to the rounding of a mean or a difference of floats."""
    return bool(np.ptp(units) <= 1e-12 * max(1.0, float(np.max(np.abs(units)))))


def tested(found: Interval, n: int, null: float | None) -> Interval:
    """An interval whose p-value is withheld where it has too few units."""
    if null is not None and n < FEWEST_FOR_P:
        return replace(found, p=None, flags=(*found.flags, "no_p"))
    return found


def t_quantile(level: float, df: float) -> float:
    """The quantile of t that a two-sided interval reaches to."""
    return float(special.stdtrit(df, 0.5 + level / 2))


def z_quantile(level: float) -> float:
    """The quantile of the normal distribution that a two-sided interval reaches to."""
    return float(special.ndtri(0.5 + level / 2))


def p_of_t(t: float, df: float) -> float:
    """The two-sided p of t."""
    return float(2 * special.stdtr(df, -abs(t)))
