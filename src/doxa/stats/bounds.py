"""Scores on a scale, such as 1 to 10, brought to 0 to 1 and back."""

import math
from dataclasses import replace

import numpy as np

from doxa.stats.design import is_level
from doxa.stats.intervals import Interval
from doxa.stats.table import Rows
from doxa.words.contrasts import Contrast
from doxa.words.errors import ResultsError


def rescaled(rows: Rows, task: str, score: str, bounds: tuple[float, float]) -> Rows:
    """The table with one score brought to 0 to 1.

    Raises:
        ResultsError: When the bounds are no range, or a value lies outside them.
    """
    low, high = bounds
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ResultsError(
            f"bounds {low:g} to {high:g}", expected="two numbers, the smaller first", way_out="Mend them"
        )
    value = rows.value.copy()
    index = rows.cells[task, score] if (task, score) in rows.cells else np.empty(0, dtype=np.int64)
    known = value[index][~np.isnan(value[index])]
    if len(known) and (known.min() < low or known.max() > high):
        raise ResultsError(
            f"score {score!r} has values from {known.min():g} to {known.max():g}",
            expected=f"{low:g} to {high:g}, as its bounds say",
            way_out="Give the bounds of its scale",
        )
    value[index] = (value[index] - low) / (high - low)
    return replace(rows, value=value, _panels={})


def scaled_back(found: Interval, bounds: tuple[float, float], contrast: Contrast) -> Interval:
    """An interval of the rescaled score on the score's own scale."""
    width = bounds[1] - bounds[0]
    shift = bounds[0] if is_level(contrast.terms) else 0.0
    value, low, high = (None if one is None else shift + width * one for one in (found.value, found.low, found.high))
    return replace(found, value=value, low=low, high=high, se=None if found.se is None else width * found.se)
