"""Planted responders: scripted behaviour with known rates, drawn many times through reading and statistics.

A responder is an instrument check: whatever the model can or cannot do, an effect that is there must be found, in the
interval it should be in and without an interval so wide that everything is in it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from doxa.stats.derive import derive
from doxa.stats.estimate import Estimate, estimate
from doxa.words.schema import COLUMNS, Derivation

DRAWS = 300
LEAST = 275
"""Intervals of 300 that have to hold the truth: what 95 % intervals fall below in one of 200 such checks."""
WIDEST = 1.2


@dataclass(frozen=True)
class Recovery:
    """What became of the draws.

    Attributes:
        held: Intervals that hold the truth.
        width: Mean width of the intervals over that of an oracle, which knows the estimate's standard deviation (and
            the truth of every row, where `recovered` is told it).
        mean: Mean of the estimates.
    """

    held: int
    width: float
    mean: float


def row(
    arm: str, task: str, item: str, score: str, value: float | None, run: int = 1, **factors: str
) -> dict[str, Any]:
    """A row of the table; `factors` without their prefix. A missing value has the reason `planted`."""
    given: dict[str, Any] = {name: ("" if kind == "text" else 0) for name, kind in COLUMNS.items()}
    given |= {"study": "planted", "model": "scripted", "arm": arm, "task": task, "item": item, "run": run}
    given |= {"score": score, "value": np.nan if value is None else value, "reason": "planted" if value is None else ""}
    return given | {f"factor_{name}": level for name, level in factors.items()}


def recovered(
    draw: Callable[[np.random.Generator], list[dict[str, Any]]],
    contrast: str,
    score: str,
    truth: float,
    *,
    derivations: tuple[Derivation, ...] = (),
    seed: int = 0,
    draws: int = DRAWS,
    oracle: Callable[[np.random.Generator], list[dict[str, Any]]] | None = None,
    sd: float | None = None,
    **how: Any,
) -> Recovery:
    """Estimate a contrast on many tables of a planted responder.

    Args:
        draw: A table's rows (see `row`) from a generator.
        contrast: What is estimated.
        score: Of which score.
        truth: Its true value.
        derivations: The task's derived scores, if the score is one.
        seed: Of the generators.
        draws: How many tables.
        oracle: The same table from the same generator with the true values where `draw` has what was read.
        sd: Standard deviation of the estimate, where it is known; otherwise it is that of the draws, which has an error
            of 4 % itself (300 draws), and so has the width.
        how: Further arguments of `doxa.stats.estimate.estimate` (`kind`, `unit`, ...).
    """

    def estimates(of: Callable[[np.random.Generator], list[dict[str, Any]]]) -> list[Estimate]:
        tables = (pd.DataFrame(of(np.random.default_rng([seed, number]))) for number in range(draws))
        return [estimate(derive(one, derivations) if derivations else one, contrast, score, **how) for one in tables]

    found = estimates(draw)
    values = np.array([one.value for one in found], float)
    known = values if oracle is None else np.array([one.value for one in estimates(oracle)], float)
    lows, highs = (np.array([getattr(one, side) for one in found], float) for side in ("low", "high"))
    held = int(np.sum((lows <= truth) & (truth <= highs)))
    spread = float(known.std(ddof=1)) if sd is None else sd
    return Recovery(held, float(np.mean(highs - lows) / (2 * 1.959964 * spread)), float(values.mean()))
