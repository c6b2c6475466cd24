"""Independent parts of an estimate, put together: by Satterthwaite's t, or by MOVER of their intervals."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy import optimize, special

from doxa.stats.design import ScoreKind
from doxa.stats.intervals import Interval, logit_interval, mover, t_interval, weighted
from doxa.stats.rates import one_rate, pseudo_items, wilson, wilson_clustered


@dataclass(frozen=True, eq=False)
class Part:
    """A part of an estimate, independent of the other parts.

    Attributes:
        value: Its value.
        variance: Squared standard error of the value; None when nothing in the table shows it.
        df: Degrees of freedom of the variance.
        weight: What the value is multiplied by in the estimate.
        span: Smallest and largest possible value of a score within 0 and 1.
        rows: Rows behind it.
        seeds: Values by training seed, where seeds are the units.
    """

    value: float
    variance: float | None
    df: float
    weight: float
    span: tuple[float, float]
    rows: int
    seeds: Float[np.ndarray, " seeds"] | None = None


def combined(parts: Sequence[Part], kind: ScoreKind, method: str, *, level: float, null: float | None) -> Interval:
    """The sum of the weighted parts with its interval.

    Args:
        parts: Independent parts.
        kind: `unbounded`: t; `share`: MOVER of logit-t; `binary`: MOVER of Wilson intervals (with a design effect where
            seeds are the units).
        method: Name of the method for unbounded scores.
        level: Confidence level.
        null: Value that the test is against; None: no test.

    Source: Satterthwaite 1946; Zou & Donner 2008 (MOVER); Korn & Graubard 1998 (design effect).
    """
    value = float(sum(part.weight * part.value for part in parts))
    if any(part.seeds is not None and len(part.seeds) == 2 for part in parts):
        return Interval(value, method=method, flags=("two_seeds",))
    if kind != "binary" and any(part.variance is None for part in parts):
        return Interval(value, method=method, flags=("no_run_noise",))
    if kind == "binary" and len(parts) == 1 and parts[0].seeds is None and null is None:
        return one_rate(parts[0].value * parts[0].rows, parts[0].rows, level=level)
    few = ("few_seeds",) if any(part.seeds is not None and len(part.seeds) < 5 for part in parts) else ()
    if kind == "unbounded":
        found = satterthwaite(parts, method, level=level, null=null)
    else:
        found = _mover(parts, kind, level)
        if null is not None and found.low is not None:
            p = inverted(lambda at: _mover(parts, kind, at), null)
            found = replace(found, p=p, flags=tuple(flag for flag in found.flags if flag != "no_test"))
    if kind == "binary" and any(part.seeds is not None for part in parts):
        few = (*few, "rare_seeds")
    return replace(found, flags=(*found.flags, *few))


def satterthwaite(parts: Sequence[Part], method: str, *, level: float, null: float | None) -> Interval:
    """The t interval of the sum of the parts: V = Σ w² V_g, df = V² / Σ ((w² V_g)² / df_g).

    Source: Welch 1947; Satterthwaite 1946.
    """
    value = float(sum(part.weight * part.value for part in parts))
    own = [part.weight**2 * (part.variance or 0.0) for part in parts]
    variance = sum(own)
    largest = max(abs(part.weight * part.value) for part in parts)
    if variance <= (1e-12 * max(1.0, largest)) ** 2:
        return Interval(value, method=method, flags=("all_equal",))
    df = variance**2 / sum(one**2 / part.df for one, part in zip(own, parts, strict=True) if one > 0)
    return t_interval(value, math.sqrt(variance), df, method, level=level, null=null)


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


def _mover(parts: Sequence[Part], kind: ScoreKind, level: float) -> Interval:
    return mover([weighted(_alone(part, kind, level), part.weight) for part in parts])


def _alone(part: Part, kind: ScoreKind, level: float) -> Interval:
    low, high = part.span
    if kind == "share":
        se = math.sqrt(part.variance or 0.0)
        over = "seeds" if part.seeds is not None else "runs"
        return logit_interval(part.value, se, part.df, low, high, f"logit-t over {over}", level=level)
    if part.seeds is None:
        return wilson(part.value * part.rows, part.rows, level=level)
    if (low, high) == (0.0, 1.0):
        return wilson_clustered(part.seeds, part.rows, level=level)
    return pseudo_items(part.seeds, part.rows / len(part.seeds), span=(high - low) / 2, level=level)
