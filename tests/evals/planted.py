"""Planted responders: scripted behaviour with known rates, drawn many times through reading and statistics.

A responder is an instrument check: whatever the model can or cannot do, an effect that is there must be found, in the
interval it should be in and without an interval so wide that everything is in it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
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
TOGETHER = 50
"""Tables whose scores are derived as one, which is much faster than one by one."""
Draw = Callable[[np.random.Generator], list[dict[str, Any]]]


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


def recovered(draw: Draw, contrast: str, score: str, truth: float, **how: Any) -> Recovery:
    """Estimate a contrast on many tables of a planted responder.

    Args:
        draw: A table's rows (see `row`) from a generator.
        contrast: What is estimated.
        score: Of which score.
        truth: Its true value.
        how: As in `recoveries`.
    """
    return recoveries(draw, contrast, {score: truth}, **how)[score]


def recoveries(
    draw: Draw,
    contrast: str,
    truths: Mapping[str, float],
    *,
    derivations: tuple[Derivation, ...] = (),
    seed: int = 0,
    draws: int = DRAWS,
    reading: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
    oracle: Draw | None = None,
    sd: float | None = None,
    **how: Any,
) -> dict[str, Recovery]:
    """Estimate a contrast of several scores on the same tables of a planted responder.

    Args:
        draw: A table's rows (see `row`) from a generator.
        contrast: What is estimated.
        truths: Its true value by score.
        derivations: The task's derived scores, those of `truths` that are among them.
        seed: Of the generators.
        draws: How many tables.
        reading: What is made of tables before anything is estimated; training seeds never cross in it.
        oracle: The same table from the same generator with the true values where `draw` has what was read.
        sd: Standard deviation of the estimate, where it is known; otherwise it is that of the draws, which has an error
            of 4 % itself (300 draws), and so has the width.
        how: Further arguments of `doxa.stats.estimate.estimate` (`kind`, `unit`, ...).
    """

    def estimates(of: Draw) -> dict[str, list[Estimate]]:
        drawn = tables(of, derivations, seed, draws, reading)
        made = [{s: estimate(one, contrast, s, **how) for s in truths} for one in drawn]
        return {score: [one[score] for one in made] for score in truths}

    read, known = estimates(draw), None if oracle is None else estimates(oracle)
    found = {}
    for score, truth in truths.items():
        values = np.array([one.value for one in read[score]], float)
        lows, highs = (np.array([getattr(one, side) for one in read[score]], float) for side in ("low", "high"))
        spread = sd
        if spread is None:
            own = values if known is None else np.array([one.value for one in known[score]], float)
            spread = float(own.std(ddof=1))
        held = int(np.sum((lows <= truth) & (truth <= highs)))
        found[score] = Recovery(held, float(np.mean(highs - lows) / (2 * 1.959964 * spread)), float(values.mean()))
    return found


def tables(
    draw: Draw,
    derivations: Sequence[Derivation],
    seed: int,
    draws: int,
    reading: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
) -> Iterator[pd.DataFrame]:
    """Tables of a planted responder with their derived scores; arguments as `recoveries`.

    While scores are derived and tables are read each has a training seed of its own, which neither crosses.
    """
    for start in range(0, draws, TOGETHER):
        numbers = range(start, min(start + TOGETHER, draws))
        made = [pd.DataFrame(draw(np.random.default_rng([seed, number]))) for number in numbers]
        if not derivations and reading is None:
            yield from made
            continue
        whole = pd.concat(made, ignore_index=True)
        assert (whole["seed"] == 0).all(), "rows of a planted responder have no training seed"
        whole["seed"] = np.repeat(numbers, [len(one) for one in made])
        whole = derive(whole, derivations)
        whole = whole if reading is None else reading(whole)
        for number in numbers:
            yield whole[whole["seed"] == number].reset_index(drop=True).assign(seed=0)
