"""Estimates whose unit is not the item alone: training seeds, runs, or seeds and items together.

Source: the closed forms of an analysis of variance (Searle, Casella & McCulloch 1992) with Satterthwaite's degrees of
freedom; for balanced data they equal a linear mixed model fitted by REML. `benchmarks/coverage.py` measures them.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from doxa.stats.cells import Checkpoints, Seeds, TermCells, cells_of, checkpoints
from doxa.stats.design import Block, ScoreKind, is_level
from doxa.stats.difference_of_rates import with_exact_test
from doxa.stats.estimands import Estimand
from doxa.stats.intervals import Interval, logit_interval, t_interval, tested
from doxa.stats.parts import Part, combined
from doxa.stats.table import ITEM, Rows
from doxa.stats.two_rates import Count
from doxa.words.contrasts import Contrast
from doxa.words.errors import ResultsError

NESTED = "Welch-Satterthwaite over seeds"
CROSSED = "seeds by items, two-way analysis of variance"


def replicated(
    rows: Rows,
    contrast: Contrast,
    blocks: Sequence[Block],
    score: str,
    task: str,
    kind: ScoreKind,
    estimand: Estimand,
    *,
    unit: str = ITEM,
    seeds: Seeds | None = None,
    level: float = 0.95,
) -> tuple[Interval, dict[str, int]]:
    """Estimate a contrast over seeds, over runs, or over seeds and items.

    Returns:
        The interval, and n: `units`, `items`, `runs` (the most that a cell has), `seeds`, `rows`.

    Raises:
        ResultsError: When the table lacks what the estimand is about: several seeds, several runs, or one seed.
    """
    cells = cells_of(rows, blocks, score, task, unit)
    terms = [one for block in cells for one in block]
    null = None if is_level(contrast.terms) else 0.0
    n = _counted(cells)
    if any(not one.units for one in terms):
        return Interval(None, method="", flags=("no_units",)), {**n, "units": 0}
    if estimand == "this checkpoint, over runs":
        _one_seed_each(terms, contrast)
        if unit != ITEM:
            raise ResultsError(
                f"rows are pooled over runs, so {unit!r} cannot be the unit",
                expected="`item`",
                way_out=f"Leave the unit out, or ask about `new items` with the unit {unit!r}",
            )
        pooled = ("pooled_items",) if max(len(one.units) for one in terms) > 1 else ()
        found = combined([_pooled(one) for one in terms], kind, "t over runs", level=level, null=null)
        if kind == "binary" and found.p is not None:
            found = with_exact_test(found, [_count(one) for one in terms], [one.term.weight for one in terms])
        return _with_flags(found, pooled), {**n, "units": n["rows"]}
    if estimand == "these items":
        found = combined([_of_runs(one) for one in terms], kind, "t over runs of these items", level=level, null=null)
        return found, {**n, "units": n["rows"]}
    groups, left_out = checkpoints(terms, seeds)
    dropped = ("seeds_left_out",) if left_out else ()
    n["units"] = min((len(group.seeds) for group in groups if len(group.seeds) > 1), default=1)
    if n["units"] < 2:
        raise ResultsError(
            f"contrast {contrast.name!r} has no arm with several training seeds",
            expected="at least 3 seeds of one arm for a claim about its recipe",
            way_out="Train more seeds, or ask about `new items` or `this checkpoint, over runs`",
        )
    if estimand == "the recipe, over seeds":
        parts = [part for group in groups for part in over_seeds(group)]
        return _with_flags(combined(parts, kind, NESTED, level=level, null=null), dropped), n
    if len(cells) > 1:
        raise ResultsError(
            f"contrast {contrast.name!r} compares different items over several training seeds",
            expected="the same units in every arm, for an interval over seeds and items together",
            way_out="Name the factor that pairs them as the unit, or ask about `the recipe, over seeds`",
        )
    found = crossed([group.sums for group in groups], groups, kind, level=level, null=null)
    return _with_flags(tested(found, n["items"], null), dropped), n


def crossed(
    sums: Sequence[Float[np.ndarray, "seeds units"]],
    groups: Sequence[Checkpoints],
    kind: ScoreKind,
    *,
    level: float = 0.95,
    null: float | None = 0.0,
) -> Interval:
    """Seeds and items both random: groups of checkpoints that answered the same items.

    With D_i the sum over groups of the mean over seeds, MS_s and MS_e of each group's table of seeds by items,
    V = max(s²(D)/I + Σ (MS_s - MS_e)/(K I), s²(D)/I, Σ MS_s/(K I)). For one group this is (MS_i + MS_s - MS_e)/(K I),
    floored. Degrees of freedom by Satterthwaite, at least the smallest of K and I less one. The noise of a group with a
    single seed is in s²(D).

    Args:
        sums: Of each group the weighted sums by seed and unit.
        groups: The groups, for the range of their scores.
        kind: What values the scores take.
        level: Confidence level.
        null: Value that the test is against; None: no test.
    """
    value = float(sum(one.mean() for one in sums))
    several = [one for one in sums if len(one) > 1]
    fewest = min(len(one) for one in several)
    items = sums[0].shape[1]
    few = ("few_seeds",) if fewest < 5 else ()
    if fewest < 3:
        return Interval(value, method=CROSSED, flags=("two_seeds",))
    if items < 3:
        return Interval(value, method=CROSSED, flags=("no_interval", "no_p"))
    between_items = float(np.var(np.sum([one.mean(axis=0) for one in sums], axis=0), ddof=1)) / items
    between_seeds, error, spread = 0.0, 0.0, [between_items**2 / (items - 1)]
    for one in several:
        k = len(one)
        seeds_part, error_part = (ms / (k * items) for ms in _mean_squares(one))
        between_seeds += seeds_part
        error += error_part
        spread += [seeds_part**2 / (k - 1), error_part**2 / ((items - 1) * (k - 1))]
    variance = max(between_items + between_seeds - error, between_items, between_seeds)
    largest = max(float(np.abs(one).max()) for one in sums)
    if variance <= (1e-12 * max(1.0, largest)) ** 2:
        return Interval(value, method=CROSSED, flags=("all_equal",))
    df = max((between_items + between_seeds - error) ** 2 / sum(spread), min(fewest, items) - 1.0)
    se = float(np.sqrt(variance))
    low = sum(group.span[0] for group in groups)
    high = sum(group.span[1] for group in groups)
    if kind == "unbounded" or not low < value < high:
        found = t_interval(value, se, df, CROSSED, level=level, null=null)
    else:
        found = logit_interval(value, se, df, low, high, f"{CROSSED}, on the logit", level=level, null=null)
    return _with_flags(found, (*few, *(("rare_seeds",) if kind == "binary" else ())))


def _mean_squares(table: Float[np.ndarray, "seeds units"]) -> tuple[float, float]:
    """Mean squares of seeds and of the error in a two-way table."""
    k, items = table.shape
    by_seed = table.mean(axis=1)
    rest = table - by_seed[:, None] - table.mean(axis=0)[None] + table.mean()
    return items * float(np.var(by_seed, ddof=1)), float((rest**2).sum()) / ((k - 1) * (items - 1))


def over_seeds(group: Checkpoints) -> list[Part]:
    """The parts of a group of checkpoints with items held fixed: one over its seeds, or the runs of a single one.

    V = max(s²(seeds), mean variance that runs give a seed) / K with K - 1 degrees of freedom.

    Args:
        group: The checkpoints.
    """
    k = len(group.seeds)
    if k == 1:
        return [_of_runs(one) for one in group.cells]
    values = group.values
    # The floor: seeds cannot differ less than their runs make them differ.
    variance = max(float(np.var(values, ddof=1)), group.noise or 0.0) / k
    alone = len(group.cells) == 1
    weight = group.cells[0].term.weight if alone else 1.0
    span = (0.0, 1.0) if alone else group.span
    scaled = values / weight
    rows = group.rows_by_seed
    worth, smallest = k**2 / float((1 / rows).sum()), int(rows.min())
    return [Part(float(scaled.mean()), variance / weight**2, k - 1.0, weight, span, worth, smallest, scaled)]


def _of_runs(one: TermCells) -> Part:
    """The part of a term whose items and checkpoints are all held fixed: only runs are drawn anew."""
    smallest = int(one.counts.sum())
    variance, df = _run_noise(one)
    return Part(float(one.means.mean()), variance, df, one.term.weight, (0.0, 1.0), one.rows, smallest)


def _run_noise(one: TermCells) -> tuple[float | None, float]:
    """Variance of a term's mean that comes from its runs, and its degrees of freedom.

    Where every cell has repeated runs each has a variance of its own, Σ s²/R with Satterthwaite's degrees of freedom:
    one pooled over cells would be that of the cells with many runs. Where some have a single run it is pooled.
    """
    if one.run_variance is None:
        return None, 0.0
    if (one.freedom > 0).all():
        own = one.squares / one.freedom / one.effective
        total = float(own.sum())
        if total > 0:
            df = total**2 / float((own**2 / one.freedom).sum())
            return total / one.means.size**2, df
    assert one.noise is not None
    return float(one.noise.sum()) / len(one.seeds) ** 2, float(one.run_df)


def _pooled(one: TermCells) -> Part:
    """The part of a term whose rows are pooled, whatever items they are of."""
    n = int(one.counts.sum())
    mean = float((one.means * one.counts).sum()) / n
    squares = float(one.squares.sum() + (one.counts * (one.means - mean) ** 2).sum())
    variance = squares / (n - 1) / n if n > 1 else None
    return Part(mean, variance, n - 1.0, one.term.weight, (0.0, 1.0), n, n)


def _count(one: TermCells) -> Count:
    n = int(one.counts.sum())
    return Count(round(float((one.means * one.counts).sum())), n)


def _one_seed_each(terms: Sequence[TermCells], contrast: Contrast) -> None:
    for one in terms:
        if len(one.seeds) > 1:
            raise ResultsError(
                f"arm {one.term.arm!r} of contrast {contrast.name!r} has {len(one.seeds)} training seeds",
                expected="one: pooled over seeds, rows cover as little as 71 % of the time",
                way_out="Select one seed, or ask about `the recipe, over seeds`",
            )


def _counted(cells: Sequence[Sequence[TermCells]]) -> dict[str, int]:
    terms = [one for block in cells for one in block]
    return {
        "units": 0,
        "items": sum(len(block[0].units) for block in cells),
        "runs": max(int(one.counts.max(initial=0)) for one in terms),
        "seeds": max(len(one.seeds) for one in terms),
        "rows": sum(int(one.counts.sum()) for one in terms),
    }


def _with_flags(found: Interval, flags: tuple[str, ...]) -> Interval:
    return Interval(
        found.value, found.low, found.high, found.se, found.df, found.p, found.method, (*found.flags, *flags)
    )
