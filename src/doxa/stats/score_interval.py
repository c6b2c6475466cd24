"""Two intervals of a difference of rates that others print, to recognise them: of inverted score tests, and R's own.

doxa itself reports Newcombe's (`two_rates.py`), which has a closed form and covers as well.
"""

import math

from scipy import optimize

from doxa.stats.intervals import Interval, z_quantile
from doxa.stats.two_rates import Count, wald_interval


def miettinen_nurminen(a: Count, b: Count, *, level: float = 0.95) -> Interval:
    """Differences d that the score test with the variance n / (n - 1) Σ p(d) (1 - p(d)) / n does not reject.

    Source: Miettinen & Nurminen 1985, equations 8 and 9; the restricted rates by their cubic.
    """
    value, z = a.rate - b.rate, z_quantile(level)

    def beyond(d: float) -> float:
        return (value - d) ** 2 - z**2 * _variance(a, b, d)

    def end(side: float) -> float:
        return side if beyond(side) <= 0 or value == side else float(optimize.brentq(beyond, value, side, xtol=1e-12))

    return Interval(value, end(-1.0), end(1.0), method="Miettinen-Nurminen")


def wald_corrected(a: Count, b: Count, *, level: float = 0.95) -> Interval:
    """Wald's interval, wider at each end by (1/n + 1/m) / 2 or the difference, whichever is less: R's `prop.test`."""
    plain = wald_interval(a, b, level=level)
    assert plain.low is not None
    assert plain.high is not None
    wider = min(abs(a.rate - b.rate), (1 / a.n + 1 / b.n) / 2)
    low, high = max(-1.0, plain.low - wider), min(1.0, plain.high + wider)
    return Interval(plain.value, low, high, plain.se, method="Wald with continuity correction")


def _variance(a: Count, b: Count, d: float) -> float:
    """Variance of the difference under the hypothesis that it is d."""
    n = a.n + b.n
    second = _restricted(a, b, d)
    first = second + d
    parts = first * (1 - first) / a.n + second * (1 - second) / b.n
    return max(0.0, parts) * n / (n - 1)


def _restricted(a: Count, b: Count, d: float) -> float:
    """The most likely rate of the second group where the first is larger by d: a root of the likelihood's cubic."""
    n, events = a.n + b.n, a.events + b.events
    l3, l2 = float(n), (a.n + 2 * b.n) * d - n - events
    l1, l0 = (b.n * d - n - 2 * b.events) * d + events, b.events * d * (1 - d)
    q = l2**3 / (3 * l3) ** 3 - l1 * l2 / (6 * l3**2) + l0 / (2 * l3)
    p = math.copysign(math.sqrt(max(0.0, l2**2 / (3 * l3) ** 2 - l1 / (3 * l3))), q)
    angle = (math.pi + math.acos(max(-1.0, min(1.0, q / p**3 if p else 1.0)))) / 3
    return min(max(2 * p * math.cos(angle) - l2 / (3 * l3), 0.0, -d), 1.0, 1.0 - d)
