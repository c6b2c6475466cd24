"""The power of z, t and F tests, from their noncentral distributions."""

import math

import numpy as np
from scipy import special

NORMAL_FROM = 1e6
"""Degrees of freedom from which a t is computed as a normal: they differ by less than 1e-6."""


def power_of_z(effect: float, null_se: float, se: float, alpha: float) -> float:
    """Power of a two-sided z test whose standard error is one under the null and another under the effect.

    Φ((δ - z se0) / se) + Φ((-δ - z se0) / se), z = z_{1-alpha/2}.

    Args:
        effect: The effect, δ.
        null_se: Standard error that the test divides by, se0.
        se: Standard error under the effect. 0: the estimate is the effect itself.
        alpha: Level of the test.
    """
    critical = -float(special.ndtri(alpha / 2)) * null_se
    above, below = effect - critical, -effect - critical
    if se == 0:
        return float(max(above, below) > 0)
    return float(special.ndtr(above / se) + special.ndtr(below / se))


def power_of_t(df: float, noncentrality: float, alpha: float) -> float:
    """Power of a two-sided t test: P(|T| > t_{1-alpha/2}) for a noncentral t with `df` degrees of freedom."""
    if df >= NORMAL_FROM:
        return power_of_z(noncentrality, 1.0, 1.0, alpha)
    critical = -float(special.stdtrit(df, alpha / 2))
    # Tails below 1e-20 come as NaN from scipy 1.17.
    below, far = np.nan_to_num(special.nctdtr(df, abs(noncentrality), [critical, -critical]))
    return float(1 - below + far)


def power_of_variance(df: float, df_error: float, ratio: float, alpha: float) -> float:
    """Power of a one-sided F test of a random effect: P(F > F_{1-alpha} / ratio).

    Args:
        df: Degrees of freedom of the groups.
        df_error: Degrees of freedom of the error.
        ratio: Expected mean square of the groups over that of the error. F / ratio has a central F distribution.
        alpha: Level of the test.
    """
    critical = float(special.fdtri(df, df_error, 1 - alpha))
    return 0.0 if math.isinf(critical) else float(special.fdtrc(df, df_error, critical / ratio))
