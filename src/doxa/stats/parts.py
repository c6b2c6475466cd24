"""Independent parts of an estimate, put together: by Satterthwaite's t, or by MOVER of their intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from doxa.stats.design import PSEUDO, ScoreKind
from doxa.stats.intervals import (
    FEWEST_FOR_INTERVAL,
    FEWEST_FOR_P,
    Interval,
    inverted,
    logit_interval,
    mover,
    padded_logit,
    t_interval,
    tested,
    weighted,
)
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
        rows: Rows that it is worth: the variance of a rate is at most p (1 - p) / rows.
        seeds: Values by training seed, where seeds are the units.
        smallest: The fewest rows of a seed or of the checkpoint.
    """

    value: float
    variance: float | None
    df: float
    weight: float
    span: tuple[float, float]
    rows: float
    smallest: int
    seeds: Float[np.ndarray, " seeds"] | None = None


def combined(parts: Sequence[Part], kind: ScoreKind, method: str, *, level: float, null: float | None) -> Interval:
    """The sum of the weighted parts with its interval.

    Args:
        parts: Independent parts.
        kind: `unbounded`: t; `share` and `scale`: MOVER of logit-t; `binary`: MOVER of Wilson intervals (with a design
            effect where seeds are the units).
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
    runs = min((part.smallest for part in parts if part.seeds is None), default=FEWEST_FOR_P)
    if runs < FEWEST_FOR_INTERVAL:
        return Interval(value, method=method, flags=("no_interval", "no_p"))
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
    found = tested(found, runs, null)
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


def _mover(parts: Sequence[Part], kind: ScoreKind, level: float) -> Interval:
    return mover([weighted(_alone(part, kind, level), part.weight) for part in parts])


def _alone(part: Part, kind: ScoreKind, level: float) -> Interval:
    low, high = part.span
    if kind in ("share", "scale"):
        se = math.sqrt(part.variance or 0.0)
        if kind == "scale" and part.seeds is None and part.df == part.rows - 1 and se > 1e-12:
            return padded_logit(part.value, se, int(part.rows), low, high, PSEUDO, level=level)
        over = "seeds" if part.seeds is not None else "runs"
        return logit_interval(part.value, se, part.df, low, high, f"logit-t over {over}", level=level)
    if part.seeds is None:
        return wilson(part.value * part.rows, part.rows, level=level)
    if low == 0 or high == 0:  # weights of one sign: a rate on another scale
        scale = low or high
        alone = wilson_clustered(part.seeds / scale, part.rows, level=level)
        return weighted(alone, scale)
    return pseudo_items(part.seeds, part.rows / len(part.seeds), low=low, high=high, level=level)
