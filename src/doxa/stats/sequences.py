"""Confidence sequences: intervals that hold at every look together, so that one may stop when they say enough.

An interval for a fixed n, looked at until it leaves 0 out, leaves the truth out far too often
(`benchmarks/stopping_simulation.py`). These do so with probability at most alpha over all looks, whatever ends them.
What comes in one after the other must be independent given the past: runs of one checkpoint on given items, training
seeds of a recipe. Rows of several seeds pooled are not.

Runs over several items. Items differ, so rows are independent and not alike. The looks come after whole runs, in which
every item stands once; then both sequences hold for the mean over these items.

- Beta-binomial: in one run the expected likelihood ratio against p is Π_i (1 + c_i (p_i q/p + (1 - p_i)(1 - q)/(1 - p)
  - 1)) with c_i the probability that item i has a value and p_i its rate. At p = Σ c_i p_i / Σ c_i the factors average
  to 1, so their product is at most 1 (geometric and arithmetic mean): a supermartingale over runs. So p is the rate
  among the rows that have a value.
- Empirical Bernstein: the bet of a run is the same for all its items, so that deviations of the items from their mean
  cancel in the exponent.
"""

import numpy as np
from jaxtyping import Float
from scipy import special

STEPS = 70
"""Halvings of an interval of log-odds: from 1e6 to less than the rounding of a float."""
FAR = 40.0
"""Log-odds beyond which a rate is 0 or 1 to a float."""
LARGEST_BET = 0.5
"""Truncation c of the bets; Waudby-Smith & Ramdas advise 1/2 or 3/4."""

Array = Float[np.ndarray, "..."]


def evidence_against(rate: float | Array, events: Array, n: Array) -> Array:
    """Log of the mixture likelihood ratio against a rate: log B(x + 1, n - x + 1) - x log p - (n - x) log(1 - p).

    Args:
        rate: The rate p, within 0 and 1 and neither of them.
        events: Events x among the first n.
        n: Observations so far.

    Returns:
        A log martingale under p (started at 0): at least log(1 / alpha) at any look with probability at most alpha.

    Source: Robbins 1970 (Ann. Math. Stat. 41:1397), uniform mixture; Ville 1939.
    """
    missed = n - events
    return np.asarray(
        special.betaln(events + 1, missed + 1) - special.xlogy(events, rate) - special.xlog1py(missed, -rate)
    )


def beta_binomial(events: Array, n: Array, *, alpha: float = 0.05) -> tuple[Array, Array]:
    """The confidence sequence of a rate: {p : B(x + 1, n - x + 1) / (p^x (1 - p)^(n - x)) < 1 / alpha}.

    Args:
        events: Events x among the first n, at every look.
        n: Observations at every look; 0 gives [0, 1].
        alpha: Probability that it leaves the rate out at any look.

    Returns:
        Lower and upper ends, in the shape of the looks.

    Source: Robbins 1970; Howard, Ramdas, McAuliffe & Sekhon 2021 (Ann. Stat. 49:1055), beta-binomial mixture.
    """
    x, n = np.broadcast_arrays(np.asarray(events, dtype=np.float64), np.asarray(n, dtype=np.float64))
    low = special.expit(_lower_log_odds(x, n, alpha))
    high = special.expit(-_lower_log_odds(n - x, n, alpha))
    return np.where(x > 0, low, 0.0), np.where(n - x > 0, high, 1.0)


def _lower_log_odds(x: Array, n: Array, alpha: float) -> Array:
    """The smaller root of x log p + (n - x) log(1 - p) = log B(x + 1, n - x + 1) + log alpha, by bisection."""
    target = special.betaln(x + 1, n - x + 1) + np.log(alpha)
    some = np.maximum(x, 1.0)
    below = target / some - 1.0  # x log p is at most x times the log-odds
    above = np.minimum(np.log(some) - np.log(np.maximum(n - x, np.exp(-FAR))), FAR)
    for _ in range(STEPS):
        middle = (below + above) / 2
        fits = x * special.log_expit(middle) + (n - x) * special.log_expit(-middle) > target
        below, above = np.where(fits, below, middle), np.where(fits, middle, above)
    return np.asarray(below)


def empirical_bernstein(
    values: Float[np.ndarray, "runs items"], *, alpha: float = 0.05
) -> tuple[Float[np.ndarray, " runs"], Float[np.ndarray, " runs"]]:
    """The confidence sequence of the mean of values within 0 and 1, after every run.

    Σλx / Σλ ± (log(2/alpha) + Σ 4 (x - m)² ψ(λ)) / Σλ with ψ(λ) = (-log(1 - λ) - λ) / 4, m the mean before the run
    (1/2 counted once with it) and the bet λ_t = min(1/2, √(2 log(2/alpha) / (s² t log(1 + t)))), s² the variance before
    the run. With one item this is the predictable plug-in sequence of the paper; with several the bet stays the same
    within a run.

    Args:
        values: One row per run, one column per item. What is missing (NaN) may have been anything: it counts as 0 in
            the lower end and as 1 in the upper.
        alpha: Probability that it leaves the mean out at any look.

    Returns:
        Lower and upper ends after every run.

    Source: Waudby-Smith & Ramdas 2024 (J. R. Stat. Soc. B 86:1), theorem 2.
    """
    values = np.asarray(values, dtype=np.float64)
    low = _above(np.nan_to_num(values, nan=0.0), alpha)
    high = 1.0 - _above(1.0 - np.nan_to_num(values, nan=1.0), alpha)
    return low, high


def _above(values: Float[np.ndarray, "runs items"], alpha: float) -> Float[np.ndarray, " runs"]:
    """The lower end after every run."""
    runs, items = values.shape
    seen = items * np.arange(1.0, runs + 1)
    mean = (0.5 + np.cumsum(values.sum(axis=1))) / (1 + seen)
    spread = (0.25 + np.cumsum(((values - mean[:, None]) ** 2).sum(axis=1))) / (1 + seen)
    mean, spread = np.concatenate([[0.5], mean[:-1]]), np.concatenate([[0.25], spread[:-1]])
    bet = np.minimum(LARGEST_BET, np.sqrt(2 * np.log(2 / alpha) / (spread * seen * np.log1p(seen))))
    weight = np.cumsum(items * bet)
    centre = np.cumsum(bet * values.sum(axis=1)) / weight
    noise = np.cumsum(((values - mean[:, None]) ** 2).sum(axis=1) * (-np.log1p(-bet) - bet))
    return np.asarray(np.maximum(centre - (np.log(2 / alpha) + noise) / weight, 0.0))
