"""What may be said of "no effect": only that an interval lies inside a margin that was stated beforehand."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from doxa.stats.estimate import estimate
from doxa.stats.table import Rows
from doxa.words.contrasts import Contrast
from doxa.words.errors import ResultsError

LEVEL = 0.90
"""Of the interval: two one-sided tests at .05 each."""


@dataclass(frozen=True)
class Equivalence:
    """Whether an effect was shown to be smaller than a margin.

    Attributes:
        margin: The margin, in the units of the score.
        low: Lower end of the .90 interval; None when there is none.
        high: Upper end.
        answer: `smaller` when the interval lies inside the margin, `larger` when it lies outside it, else
            `inconclusive`, which is not evidence of no effect.
    """

    margin: float
    low: float | None
    high: float | None
    answer: Literal["smaller", "larger", "inconclusive"]


def within_margin(
    table: pd.DataFrame | Rows, contrast: Contrast | str, score: str, margin: float, **how: Any
) -> Equivalence:
    """Two one-sided tests at .05: is the effect smaller than the margin either way?

    Args:
        table: A table.
        contrast: A difference of arms.
        score: Name of the score.
        margin: The largest effect that counts as none; it has to be stated before the result is seen.
        how: Anything else that `doxa.stats.estimate.estimate` takes, except the level.

    Raises:
        ResultsError: For a margin that is not a positive number; otherwise as `estimate`.

    Source: Schuirmann 1987; Lakens 2017.
    """
    if not (math.isfinite(margin) and margin > 0):
        raise ResultsError(f"a margin of {margin:g}", expected="a positive number", way_out="Give the margin anew")
    found = estimate(table, contrast, score, **{**how, "level": LEVEL})
    if found.low is None or found.high is None:
        return Equivalence(margin, None, None, "inconclusive")
    if -margin < found.low and found.high < margin:
        return Equivalence(margin, found.low, found.high, "smaller")
    outside = found.low > margin or found.high < -margin
    return Equivalence(margin, found.low, found.high, "larger" if outside else "inconclusive")
