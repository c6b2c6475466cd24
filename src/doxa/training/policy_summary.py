"""Measures of a corpus in a few numbers: excess surprisal with its z, perplexity, shares of surprising tokens, rows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, t

from doxa.training.policy import Measures, Numbers, RowPolicy

LEVEL = 0.95
SURPRISING = (0.1, 0.01)
"""Probabilities below which a token counts as surprising."""
RANKS = (1, 10, 100)


@dataclass(frozen=True)
class PolicySummary:
    """How off-policy some rows are; in nats per token.

    Attributes:
        rows: How many.
        tokens: Tokens that are trained on.
        excess: Mean of surprisal minus entropy.
        low: Of its interval over rows, at 95 %: t over rows, of a ratio of sums. None with a single row.
        high: Likewise.
        z: Of the hypothesis that the model wrote the rows at temperature 1. None where the model had no choice.
        p: Two-sided, of that.
        surprisal: Mean.
        entropy: Mean.
        perplexity: exp of the mean surprisal.
        below: For each of `SURPRISING` the share of tokens with a lower probability.
        beyond: For each of `RANKS` the share of tokens with a higher rank.
        divergence: Mean of KL(model under the prompt || model); None where no prompt was given.
    """

    rows: int
    tokens: int
    excess: float
    low: float | None
    high: float | None
    z: float | None
    p: float | None
    surprisal: float
    entropy: float
    perplexity: float
    below: tuple[float, ...]
    beyond: tuple[float, ...]
    divergence: float | None = None


@dataclass(frozen=True)
class RowSummary:
    """Surprisal of one row's tokens, in nats, and its excess."""

    id: str
    tokens: int
    excess: float
    mean: float
    median: float
    percentile_95: float


def summary(measures: Sequence[Measures], divergence: Sequence[Numbers] = ()) -> PolicySummary:
    """Put rows together: every token counts the same.

    Args:
        measures: Of each row; at least one.
        divergence: Of each row, where it was measured.
    """
    surprisal, entropy, variance, rank = (
        np.concatenate([getattr(one, name) for one in measures])
        for name in ("surprisal", "entropy", "variance", "rank")
    )
    excess = float((surprisal - entropy).mean())
    spread = math.sqrt(float(variance.sum()))
    z = float((surprisal - entropy).sum()) / spread if spread > 0 else None
    half = _half_width(measures, excess)
    mean = float(surprisal.mean())
    return PolicySummary(
        rows=len(measures),
        tokens=len(surprisal),
        excess=excess,
        low=None if half is None else excess - half,
        high=None if half is None else excess + half,
        z=z,
        p=None if z is None else float(2 * norm.sf(abs(z))),
        surprisal=mean,
        entropy=float(entropy.mean()),
        perplexity=math.exp(mean) if mean < 700 else math.inf,
        below=tuple(float((surprisal > -math.log(least)).mean()) for least in SURPRISING),
        beyond=tuple(float((rank > most).mean()) for most in RANKS),
        divergence=float(np.concatenate(list(divergence)).mean()) if divergence else None,
    )


def row_summary(row: RowPolicy) -> RowSummary:
    """The numbers of one row."""
    s = row.own.surprisal
    return RowSummary(
        row.id,
        len(s),
        float(row.own.excess.mean()),
        float(s.mean()),
        float(np.median(s)),
        float(np.quantile(s, 0.95)),
    )


def _half_width(measures: Sequence[Measures], excess: float) -> float | None:
    """Half of the interval of a ratio of sums over rows (linearised)."""
    rows = len(measures)
    if rows < 2:
        return None
    residuals = np.array([(one.excess - excess).sum() for one in measures])
    tokens = sum(len(one.surprisal) for one in measures)
    error = math.sqrt(rows / (rows - 1) * float((residuals**2).sum())) / tokens
    return float(t.ppf((1 + LEVEL) / 2, rows - 1)) * error
