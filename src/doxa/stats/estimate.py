"""One contrast of one score: its estimate, by the method that `doxa.stats.design` names."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from doxa.stats.bounds import rescaled, scaled_back
from doxa.stats.cells import Seeds, TermCells, cells_of
from doxa.stats.choice import default_estimand, reason, several_seeds
from doxa.stats.design import DECISION, Block, ScoreKind, blocks_of, design_of, is_level
from doxa.stats.estimands import Estimand, estimand_named
from doxa.stats.intervals import Interval, naive
from doxa.stats.known_coverage import LEAST, coverage_of, situation_of
from doxa.stats.ordinal import brunner_munzel
from doxa.stats.replication import replicated
from doxa.stats.table import ITEM, Rows, encode, factor_codes, identical, panel, selected
from doxa.words.contrasts import Contrast, Term, contrast_of
from doxa.words.errors import ResultsError

MOST_ROUNDING = 1e-3
"""However large the values are: logits that are summed to thousands may differ by more, and that is a difference."""
FEWEST_LEVELS = 5
"""Levels of a factor below which its levels as units are described and not tested."""
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
        estimand: What the interval is for.
        method: Name of the method.
        why: The design that was found in the table, and so why this method.
        level: Confidence level.
        coverage: How often .95 intervals of this design held in simulated studies like this one; None where that was
            not simulated.
        missing: By arm, rows without a value, and rows that another arm of the contrast has and this one lacks.
        p: Two-sided p-value of no difference.
        p_adjusted: p by Holm over the declared family; None outside it.
        superiority: P(X > Y) + P(X = Y)/2 with `low`, `high` and `p`, for two independent arms and a bounded score.
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
    estimand: Estimand
    method: str
    why: str
    level: float
    coverage: float | None
    missing: Mapping[str, int]
    p: float | None
    p_adjusted: float | None
    superiority: Mapping[str, float | None] | None
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
    contrast: Contrast | str,
    score: str,
    *,
    task: str | None = None,
    kind: ScoreKind = "unbounded",
    bounds: tuple[float, float] | None = None,
    estimand: str | None = None,
    unit: str = ITEM,
    seeds: Seeds | None = None,
    method: Literal["CLT"] | None = None,
    level: float = 0.95,
    primary: bool = False,
) -> Estimate:
    """Estimate a contrast of one score: by the design that is found in the table, which `Estimate.why` states.

    Args:
        table: A table of `doxa.words.schema`, or one that is coded already.
        contrast: A weighted sum of arms, or its arithmetic (`block - baseline`); the weights sum to zero (a difference)
            or to one (a level).
        score: Name of the score.
        task: Its task; may be left out when only one has the score.
        kind: `share` for values within 0 and 1, `binary` for 0 or 1. It is stated by whoever made the score and never
            guessed from the values: a score that happens to be 0 or 1 everywhere would change its method.
        bounds: Smallest and largest value of a score on another scale, such as (1, 10); its kind is then `scale`, and a
            difference of two independent arms gets P(X > Y) beside it.
        estimand: What the interval is for (`doxa.stats.estimands`), in full or short; None: new items, and over seeds
            where the table has several.
        unit: The factor whose levels are the units of replication (`paraphrase`, `topic`, a prompt that is asked in
            two tiers); `item` when it is the item.
        seeds: `independent` for arms whose training seeds have the same numbers and nothing else in common.
        method: `CLT` for the naive interval, mean ± z s/√n, to compare with.
        level: Confidence level.
        primary: Whether it belongs to the declared family.

    Raises:
        ResultsError: When the table is not valid, an arm, score or factor is not in it, several tasks have the score, a
            value lies outside its kind, two terms may hold the same rows, or the table lacks what the estimand needs.
        StudyError: When the arithmetic of the contrast cannot be read.
    """
    if not 0 < level < 1:
        raise ResultsError(f"a level of {level:g}", expected="above 0 and below 1", way_out="Write .95 for 95 %")
    rows = table if isinstance(table, Rows) else encode(table)
    if isinstance(contrast, str):
        contrast = contrast_of(contrast, [arm for arm in rows.arms if arm not in rows.of or arm in contrast])
    task = _task(rows, score, task)
    if bounds is not None:
        rows, kind = rescaled(rows, task, score, bounds), "scale"
    blocks = blocks_of(rows, contrast, score, task, unit)
    _check_range(blocks, kind)
    several = several_seeds(rows, contrast, score, task)
    aim = default_estimand(several, blocks, unit) if estimand is None else estimand_named(estimand)
    computed: ScoreKind = "unbounded" if method == "CLT" else kind
    items = sum(len(block.complete) for block in blocks)
    n = {"units": items, "items": items, "runs": max(block.runs for block in blocks), "seeds": 1}
    found = None if several or aim != "new items" else _not_tested(rows, contrast, blocks, kind, task)
    unit_name = unit
    if found is None and (several or aim != "new items"):
        found, n = replicated(rows, contrast, blocks, score, task, computed, aim, unit=unit, seeds=seeds, level=level)
        unit_name = _unit_name(aim, unit)
    elif found is None:
        found = DECISION[computed, design_of(contrast, blocks)](blocks, level)
    if unit != ITEM and items < FEWEST_LEVELS:
        found = replace(found, flags=(*found.flags, "few_units"))
    if unit != ITEM and _without_level(rows, blocks, unit):
        found = replace(found, flags=(*found.flags, "without_level"))
    if method == "CLT":
        found = naive(found, unit_name, level=level, null=None if is_level(contrast.terms) else 0.0)
    if kind == "binary" and len(contrast.terms) == 1 and not several:
        value = _values(rows, blocks[0], contrast.terms[0])
        n |= {"rows": len(value), "events": round(float(value.sum()))}
    if bounds is not None:
        found = scaled_back(found, bounds, contrast)
    held = None
    if found.low is not None and method is None:
        held = _coverage(rows, contrast, blocks, kind, aim, unit, several)
    if held is not None and held < LEAST:
        found = replace(found, flags=(*found.flags, "undercovers"))
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
        unit=unit_name,
        estimand=aim,
        method=found.method,
        why=reason(contrast, blocks, kind, aim, unit, n),
        level=level,
        coverage=held,
        missing=_missing(blocks, _cells(rows, blocks, unit) if several else ()),
        p=found.p,
        p_adjusted=None,
        superiority=_superiority(rows, contrast, blocks, aim, level) if bounds is not None and not several else None,
        kind=kind,
        flags=found.flags,
        primary=primary,
    )


def _not_tested(rows: Rows, contrast: Contrast, blocks: Sequence[Block], kind: ScoreKind, task: str) -> Interval | None:
    """Arms whose outputs are the same, or the same up to rounding: there is nothing to test."""
    if _same_everywhere(contrast, blocks) and identical(rows, task, *(term.arm for term in contrast.terms)):
        return Interval(0.0, method="identical outputs", flags=("identical",))
    if kind == "unbounded" and _only_rounding(contrast, blocks):
        return Interval(float(np.mean(blocks[0].sums)), method="equal up to rounding", flags=("rounding",))
    return None


def _cells(rows: Rows, blocks: Sequence[Block], unit: str) -> list[TermCells]:
    of = blocks[0].panels[0]
    return [one for block in cells_of(rows, blocks, of.score, of.task, unit) for one in block]


def _coverage(
    rows: Rows,
    contrast: Contrast,
    blocks: Sequence[Block],
    kind: ScoreKind,
    aim: Estimand,
    unit: str,
    several: bool,
) -> float | None:
    if kind == "unbounded" and not several:
        return None  # what values without bounds look like is not known
    terms = _cells(rows, blocks, unit)
    return coverage_of(situation_of(terms, blocks, kind, aim, design_of(contrast, blocks)))


def _values(rows: Rows, block: Block, term: Term) -> Float[np.ndarray, " rows"]:
    """The values of a term, row by row."""
    of = block.panels[0]
    index = selected(rows, of.task, of.score, term.levels)
    value = rows.value[index[rows.arm[index] == rows.arms[term.arm]]]
    kept: Float[np.ndarray, " rows"] = value[~np.isnan(value)]
    return kept


def _without_level(rows: Rows, blocks: Sequence[Block], unit: str) -> bool:
    """Whether an arm has rows that belong to no unit."""
    codes, levels = factor_codes(rows, unit)
    if "" not in levels:
        return False
    empty = levels.index("")
    for block in blocks:
        for term, found in zip(block.terms, block.panels, strict=True):
            index = selected(rows, found.task, found.score, term.levels)
            own = index[rows.arm[index] == rows.arms[term.arm]]
            if bool((codes[own] == empty).any()):
                return True
    return False


def _unit_name(aim: Estimand, unit: str) -> str:
    return {
        "new items": f"seed and {unit}",
        "these items": "run",
        "this checkpoint, over runs": "run",
        "the recipe, over seeds": "seed",
    }[aim]


def _superiority(
    rows: Rows, contrast: Contrast, blocks: Sequence[Block], aim: Estimand, level: float
) -> Mapping[str, float | None] | None:
    """P(X > Y) of a plain difference of two independent arms: over rows, or over units that the arms do not share."""
    if len(contrast.terms) != 2 or sorted(term.weight for term in contrast.terms) != [-1.0, 1.0]:
        return None
    by_weight: dict[float, Float[np.ndarray, " units"]] = {}
    for term in contrast.terms:
        if aim == "this checkpoint, over runs":
            by_weight[term.weight] = _values(rows, blocks[0], term)
        elif aim == "new items" and len(blocks) == 2:
            block = next(block for block in blocks if term in block.terms)
            by_weight[term.weight] = block.means[block.terms.index(term), block.complete]
        else:
            return None
    found = brunner_munzel(by_weight[1.0], by_weight[-1.0], level=level)
    return {"value": found.value, "low": found.low, "high": found.high, "p": found.p}


def per_item(
    table: pd.DataFrame | Rows, contrast: Contrast, score: str, *, task: str | None = None, unit: str = ITEM
) -> pd.Series:
    """The units behind an estimate, for figures: the weighted sum of the arms' means by item, or by another unit.

    Returns:
        A series indexed by item, in ascending order within each group of items.

    Raises:
        ResultsError: See `estimate`.
    """
    rows = table if isinstance(table, Rows) else encode(table)
    blocks = blocks_of(rows, contrast, score, _task(rows, score, task), unit)
    items = [block.units[code] for block in blocks for code in block.complete]
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
        and contrast.terms[0].levels == contrast.terms[1].levels
        and not np.any(blocks[0].sums)
    )


def _only_rounding(contrast: Contrast, blocks: Sequence[Block]) -> bool:
    """Whether the arms of a difference agree up to rounding in every item, and not exactly in all."""
    if len(blocks) != 1 or design_of(contrast, blocks) != "difference" or not np.any(blocks[0].sums):
        return False
    means = blocks[0].means[:, blocks[0].complete]
    return bool(np.max(np.abs(blocks[0].sums)) <= min(ROUNDING * np.max(np.abs(means)), MOST_ROUNDING))


def _check_range(blocks: Sequence[Block], kind: ScoreKind) -> None:
    for found in (found for block in blocks for found in block.panels):
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


def _missing(blocks: Sequence[Block], cells: Sequence[TermCells]) -> dict[str, int]:
    """By arm the rows that the estimate does without: no value, or no counterpart in another arm (or seed).

    Args:
        blocks: The blocks of the contrast.
        cells: With several training seeds the cells that were used; () with one.
    """
    missing: dict[str, int] = {}
    if cells:
        for block in blocks:
            for term, rows in zip(block.terms, block.rows, strict=True):
                used = sum(int(one.counts.sum()) for one in cells if one.term == term)
                missing[term.arm] = missing.get(term.arm, 0) + int(rows.sum()) - used
        return missing
    for block in blocks:
        expected = int(block.rows.max(axis=0, initial=0).sum())
        for term, counts in zip(block.terms, block.filled, strict=True):
            missing[term.arm] = missing.get(term.arm, 0) + expected - int(counts.sum())
    return missing
