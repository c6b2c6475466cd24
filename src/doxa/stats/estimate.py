"""One contrast of one score: its estimate, by the method that `doxa.stats.design` names."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from doxa.stats.design import DECISION, Block, ScoreKind, blocks_of, design_of
from doxa.stats.intervals import Interval
from doxa.stats.table import Rows, encode, identical, panel
from doxa.words.contrasts import Contrast
from doxa.words.errors import ResultsError

ROUNDING = 1e-5
"""Share of the largest value that two arms may differ by when they do the same: the last bits of logits depend on what
else is in a batch (measured: 5e-5 of logits around 20 in float32)."""


@dataclass(frozen=True)
class Estimate:
    """A value with its error and everything that must be printed beside it (law 7).

    Attributes:
        contrast: The contrast as declared, or the name of an arm.
        score: Name of the score.
        task: Name of the task.
        value: The estimate; None when no item has a value in every arm.
        low: Lower end of the interval.
        high: Upper end of the interval.
        se: Standard error.
        n: `units`, `items`, `runs` (the most that an item has), `seeds`; for the rate of one arm also `rows`, `events`.
        df: Degrees of freedom.
        unit: The unit of replication.
        method: Name of the method.
        level: Confidence level.
        missing: By arm, rows without a value, and rows that another arm of the contrast has and this one lacks.
        p: Two-sided p-value of no difference.
        p_adjusted: p by Holm over the declared family; None outside it.
        kind: What values the score can take.
        flags: Keys of `doxa.stats.intervals.FLAGS`.
        primary: Whether it belongs to the declared family; otherwise it is exploratory.
    """

    contrast: str
    score: str
    task: str
    value: float | None
    low: float | None
    high: float | None
    se: float | None
    n: Mapping[str, int]
    df: float | None
    unit: str
    method: str
    level: float
    missing: Mapping[str, int]
    p: float | None
    p_adjusted: float | None
    kind: ScoreKind
    flags: tuple[str, ...]
    primary: bool


def estimate_to_json(one: Estimate) -> dict[str, Any]:
    """An estimate as JSON: missing numbers are null."""
    return {**asdict(one), "flags": list(one.flags)}


def estimate_from_json(value: Mapping[str, Any]) -> Estimate:
    """Read what `estimate_to_json` wrote.

    Raises:
        ResultsError: When its keys are not those of an estimate.
    """
    check_keys(value, [field.name for field in fields(Estimate)], "an estimate")
    return Estimate(**{**value, "flags": tuple(value["flags"])})


def check_keys(value: Mapping[str, Any], expected: Sequence[str], what: str) -> None:
    """Refuse a JSON record of another version.

    Raises:
        ResultsError: When its keys are not the expected ones.
    """
    if set(value) != set(expected):
        raise ResultsError(
            f"{what} with the keys {', '.join(sorted(value))}",
            expected=", ".join(expected),
            way_out="Make the estimates again with this version of doxa",
        )


def estimate(
    table: pd.DataFrame | Rows,
    contrast: Contrast,
    score: str,
    *,
    task: str | None = None,
    kind: ScoreKind = "unbounded",
    level: float = 0.95,
    primary: bool = False,
) -> Estimate:
    """Estimate a contrast of one score.

    Args:
        table: A table of `doxa.words.schema`, or one that is coded already.
        contrast: A weighted sum of arms; the weights sum to zero (a difference) or to one (a level).
        score: Name of the score.
        task: Its task; may be left out when only one has the score.
        kind: `share` for values within 0 and 1, `binary` for 0 or 1. It is stated by whoever made the score and never
            guessed from the values: a score that happens to be 0 or 1 everywhere would change its method.
        level: Confidence level.
        primary: Whether it belongs to the declared family.

    Raises:
        ResultsError: When the table is not valid, an arm, score or factor is not in it, several tasks have the score, a
            value lies outside its kind, or arms share only some of their items between factor levels.
    """
    rows = table if isinstance(table, Rows) else encode(table)
    task = _task(rows, score, task)
    blocks = blocks_of(rows, contrast, score, task)
    _check_range(blocks, kind)
    found = None
    if _same_everywhere(contrast, blocks) and identical(rows, task, contrast.terms[0].arm, contrast.terms[1].arm):
        found = Interval(0.0, method="identical outputs", flags=("identical",))
    if found is None and kind == "unbounded" and _only_rounding(contrast, blocks):
        found = Interval(float(np.mean(blocks[0].sums)), method="equal up to rounding", flags=("rounding",))
    if found is None:
        found = DECISION[kind, design_of(contrast, blocks)](blocks, level)
    items = sum(len(block.complete) for block in blocks)
    n = {"units": items, "items": items, "runs": max(block.runs for block in blocks), "seeds": 1}
    if kind == "binary" and len(contrast.terms) == 1:
        counts = blocks[0].counts[0]
        n |= {"rows": int(counts.sum()), "events": round(float(counts @ blocks[0].sums) / contrast.terms[0].weight)}
    return Estimate(
        contrast=contrast.name,
        score=score,
        task=task,
        value=found.value,
        low=found.low,
        high=found.high,
        se=found.se,
        n=n,
        df=found.df,
        unit="item",
        method=found.method,
        level=level,
        missing=_missing(blocks),
        p=found.p,
        p_adjusted=None,
        kind=kind,
        flags=found.flags,
        primary=primary,
    )


def per_item(table: pd.DataFrame | Rows, contrast: Contrast, score: str, *, task: str | None = None) -> pd.Series:
    """The units behind an estimate, for figures: the weighted sum of the arms' means by item.

    Returns:
        A series indexed by item, in ascending order within each group of items.

    Raises:
        ResultsError: See `estimate`.
    """
    rows = table if isinstance(table, Rows) else encode(table)
    blocks = blocks_of(rows, contrast, score, _task(rows, score, task))
    items = [block.panel.items[code] for block in blocks for code in block.complete]
    return pd.Series(np.concatenate([block.sums for block in blocks]), index=pd.Index(items, name="item"), name=score)


def applies(rows: Rows, contrast: Contrast, score: str, task: str) -> bool:
    """Whether every term of a contrast has rows of a score; scores of other tasks lack its factor levels, say."""
    for term in contrast.terms:
        if any(f"factor_{factor}" not in rows.table.columns for factor, _ in term.levels):
            return False
        found = panel(rows, task, score, term.levels)
        if term.arm not in found.arms or not found.scored[found.arms[term.arm]]:
            return False
    return True


def _task(rows: Rows, score: str, task: str | None) -> str:
    tasks = rows.tasks_of(score)
    if task is not None:
        return task
    if len(tasks) > 1:
        raise ResultsError(
            f"{len(tasks)} tasks have the score {score!r}", way_out=f"Name one of them: {', '.join(tasks)}"
        )
    return tasks[0]


def _same_everywhere(contrast: Contrast, blocks: Sequence[Block]) -> bool:
    return (
        len(blocks) == 1
        and len(contrast.terms) == 2
        and contrast.terms[0].weight == -contrast.terms[1].weight
        and len(blocks[0].complete) > 0
        and not np.any(blocks[0].sums)
    )


def _only_rounding(contrast: Contrast, blocks: Sequence[Block]) -> bool:
    """Whether the arms of a difference agree up to rounding in every item, and not exactly in all."""
    if len(blocks) != 1 or design_of(contrast, blocks) != "difference" or not np.any(blocks[0].sums):
        return False
    means = blocks[0].panel.means[blocks[0].codes][:, blocks[0].complete]
    return bool(np.max(np.abs(blocks[0].sums)) <= ROUNDING * np.max(np.abs(means)))


def _check_range(blocks: Sequence[Block], kind: ScoreKind) -> None:
    for block in blocks:
        found = block.panel
        if kind != "unbounded" and (found.low < 0 or found.high > 1):
            raise ResultsError(
                f"score {found.score!r} is declared a {kind} and has values from {found.low:g} to {found.high:g}",
                expected="0 to 1",
                way_out="Declare it unbounded, or rescale it",
            )
        if kind == "binary" and not found.binary:
            raise ResultsError(
                f"score {found.score!r} is declared binary and has values between 0 and 1",
                way_out="Declare it a share",
            )


def _missing(blocks: Sequence[Block]) -> dict[str, int]:
    missing: dict[str, int] = {}
    for block in blocks:
        rows = block.panel.rows[block.codes]
        expected = int(rows.max(axis=0, initial=0).sum())
        for term, counts in zip(block.terms, block.panel.counts[block.codes], strict=True):
            missing[term.arm] = missing.get(term.arm, 0) + expected - int(counts.sum())
    return missing
