"""The table: checked, coded, and reduced to units before anything is estimated.

Rows are sorted by their key first, so that the order in which they were written changes no bit of any result. After the
reduction the cost of every method depends on units, not on rows.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import compress

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from doxa.stats.table_checks import check_columns, check_values, coded, factor_columns, owners_of, sorted_codes
from doxa.words import schema
from doxa.words.errors import ResultsError, nearest

ITEM = "item"
"""The unit when no factor is named as one."""
Levels = tuple[tuple[str, str], ...]


def validate(table: pd.DataFrame) -> None:
    """Check that a table is what `doxa.words.schema` says.

    Raises:
        ResultsError: In words, for a table of another version, a missing or unknown column, a column of the wrong
            type, an infinite value, a missing value without its reason (or a value with one), rows that stand twice,
            or an arm that is a control of two arms.
    """
    check_columns(table)
    check_values(table)
    owners_of(table, sorted_codes(table)[1])


@dataclass(frozen=True, eq=False)
class Panel:
    """The unit means of one score of one task: arms by items.

    Attributes:
        task: Name of the task.
        score: Name of the score.
        arms: Every arm of the table.
        items: Items in ascending order.
        means: Mean over the runs that have a value; NaN where none has.
        counts: Runs with a value.
        rows: Runs, with or without a value.
        scored: Which arms have a row.
        binary: Whether every value is 0 or 1.
        low: Smallest value of a row (inf without any).
        high: Largest value of a row (-inf without any).
    """

    task: str
    score: str
    arms: Mapping[str, int]
    items: tuple[str, ...]
    means: Float[np.ndarray, "arms items"]
    counts: Int[np.ndarray, "arms items"]
    rows: Int[np.ndarray, "arms items"]
    scored: Bool[np.ndarray, " arms"]
    binary: bool
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Rows:
    """A checked table, coded by integers and sorted by its key.

    Attributes:
        table: The table as it was given.
        order: Positions of its rows in the order of the key; every array below is in this order.
        arms: Arm -> its code.
        of: For each control arm the arm that it is a control of, and its family.
        controls: (arm, family) -> index of a control -> its arm; `block~twin/07` has index `07`.
        arm: Code of the arm of each row.
        item: Code of the item of each row.
        items: Items in ascending order.
        seed: Code of the training seed of each row.
        seeds: Training seeds in ascending order.
        value: Value of each row; NaN when missing.
        cells: (task, score) -> the rows that hold it.
    """

    table: pd.DataFrame
    order: Int[np.ndarray, " rows"]
    arms: Mapping[str, int]
    of: Mapping[str, tuple[str, str]]
    controls: Mapping[tuple[str, str], Mapping[str, str]]
    arm: Int[np.ndarray, " rows"]
    item: Int[np.ndarray, " rows"]
    items: tuple[str, ...]
    seed: Int[np.ndarray, " rows"]
    seeds: tuple[str, ...]
    value: Float[np.ndarray, " rows"]
    cells: Mapping[tuple[str, str], Int[np.ndarray, " found"]]
    _panels: dict[tuple[str, str, Levels, str], Panel] = field(default_factory=dict)
    _factors: dict[str, tuple[Int[np.ndarray, " rows"], tuple[str, ...]]] = field(default_factory=dict)

    def tasks_of(self, score: str) -> tuple[str, ...]:
        """The tasks that have a score.

        Raises:
            ResultsError: When none has.
        """
        tasks = tuple(task for task, name in self.cells if name == score)
        if not tasks:
            raise ResultsError(
                f"no score {score!r} in the table", way_out=nearest(score, {name for _, name in self.cells})
            )
        return tasks


def encode(table: pd.DataFrame) -> Rows:
    """Check a table and code it.

    Raises:
        ResultsError: See `validate`; also for rows of several studies or models.
    """
    check_columns(table)
    check_values(table)
    for column in ("study", "model"):
        names = coded(table[column])[1]
        if len(names) > 1:
            raise ResultsError(
                f"the table holds {len(names)} values of {column!r}: {', '.join(names[:4])}",
                expected="one",
                way_out=f"Select the rows of one {column} first",
            )
    order, codes = sorted_codes(table)
    place = slice(None) if (order[1:] > order[:-1]).all() else order  # in order already: no code is copied
    arm, task, item, seed, score = (codes[column][0][place] for column in ("arm", "task", "item", "seed", "score"))
    arms, tasks, items, seeds, scores = (codes[column][1] for column in ("arm", "task", "item", "seed", "score"))
    cell = task * len(scores) + score
    # Small integers are sorted by counting.
    by_cell = np.argsort(cell.astype(np.min_scalar_type(len(tasks) * len(scores))), kind="stable")
    starts = np.flatnonzero(np.diff(cell[by_cell], prepend=-1))
    parts = np.split(by_cell, starts[1:]) if len(starts) else []
    cells = {
        (tasks[int(one) // len(scores)], scores[int(one) % len(scores)]): part
        for one, part in zip(cell[by_cell[starts]], parts, strict=True)
    }
    of = owners_of(table, codes)
    controls: dict[tuple[str, str], dict[str, str]] = {}
    for name, pair in of.items():
        controls.setdefault(pair, {})[_index(name, *pair)] = name
    return Rows(
        table=table,
        order=order,
        arms={name: code for code, name in enumerate(arms)},
        of=of,
        controls=controls,
        arm=arm,
        item=item,
        items=items,
        seed=seed,
        seeds=seeds,
        value=table["value"].to_numpy(dtype=np.float64)[order],
        cells=cells,
    )


def panel(rows: Rows, task: str, score: str, levels: Levels = (), unit: str = ITEM) -> Panel:
    """Reduce the rows of one score to unit means: over the runs of each item, then over the items of each unit.

    Args:
        rows: A coded table.
        task: Name of the task.
        score: Name of the score.
        levels: Only rows whose factors have these levels.
        unit: `item`, or the factor whose levels are the units (`paraphrase`, `topic`, `prompt`); rows without a level
            of it are left out.

    Raises:
        ResultsError: When the task has no such score, or the table no such factor.
    """
    key = (task, score, levels, unit)
    if key not in rows._panels:
        rows._panels[key] = _reduce(rows, task, score, levels, unit)
    return rows._panels[key]


def selected(rows: Rows, task: str, score: str, levels: Levels = ()) -> Int[np.ndarray, " found"]:
    """The rows of one score of one task whose factors have these levels, in the order of the key.

    Raises:
        ResultsError: When the task has no such score, or the table no such factor.
    """
    if (task, score) not in rows.cells:
        names = {name for one, name in rows.cells if one == task}
        raise ResultsError(f"no score {score!r} of task {task!r} in the table", way_out=nearest(score, names))
    index = rows.cells[task, score]
    for factor, level in levels:
        codes, known = factor_codes(rows, factor)
        index = index[codes[index] == known.index(level)] if level in known else index[:0]
    return index


def factor_codes(rows: Rows, factor: str) -> tuple[Int[np.ndarray, " rows"], tuple[str, ...]]:
    """The level that each row has of a factor, as a code in the order of the key, and the levels in ascending order.

    Raises:
        ResultsError: When the table has no such factor.
    """
    column = schema.FACTOR_PREFIX + factor
    if column not in rows.table.columns:
        factors = [name.removeprefix(schema.FACTOR_PREFIX) for name in factor_columns(rows.table)]
        raise ResultsError(f"the table has no factor {factor!r}", way_out=nearest(factor, factors))
    if factor not in rows._factors:
        codes, levels = coded(rows.table[column])
        rows._factors[factor] = (codes[rows.order], levels)
    return rows._factors[factor]


def units_of(
    rows: Rows, index: Int[np.ndarray, " found"], unit: str
) -> tuple[Int[np.ndarray, " kept"], Int[np.ndarray, " kept"], tuple[str, ...]]:
    """Which of some rows belong to a unit, the unit of each of these, and the names of the units.

    Raises:
        ResultsError: When the unit is no factor of the table.
    """
    if unit == ITEM:
        return index, *_present(rows.item[index], rows.items)
    codes, known = factor_codes(rows, unit)
    if "" in known:
        index = index[codes[index] != known.index("")]
    return index, *_present(codes[index], known)


def missing_by_arm(rows: Rows) -> tuple[Mapping[str, object], ...]:
    """Count rows without a value, by arm, task and score; controls are counted together by family.

    Returns:
        Records of arm, control family ("" for the arm itself), task, score, rows, missing, and reasons with counts, for
        every arm and score, also where nothing is missing.
    """
    names = list(rows.arms)
    group_of = {name: rows.of.get(name, (name, "")) for name in names}
    groups = sorted(set(group_of.values()))
    of_arm = np.array([groups.index(group_of[name]) for name in names], dtype=np.int64)
    reason_codes, reasons = pd.factorize(rows.table["reason"])
    reason_codes = reason_codes[rows.order]
    found = []
    for (task, score), index in rows.cells.items():
        group = of_arm[rows.arm[index]]
        empty = np.isnan(rows.value[index])
        total = np.bincount(group, minlength=len(groups))
        why = Counter(zip(group[empty].tolist(), reason_codes[index][empty].tolist(), strict=True))
        for code, (arm, family) in enumerate(groups):
            if total[code]:
                own = {str(reasons[reason]): count for (owner, reason), count in why.items() if owner == code}
                found.append(
                    {
                        "arm": arm,
                        "control": family,
                        "task": task,
                        "score": score,
                        "rows": int(total[code]),
                        "missing": sum(own.values()),
                        "reasons": dict(sorted(own.items())),
                    }
                )
    return tuple(sorted(found, key=lambda one: tuple(str(one[k]) for k in ("task", "score", "arm", "control"))))


def identical(rows: Rows, task: str, first: str, second: str) -> bool:
    """Whether two arms have the same outputs in a task: every score, missing value, reason, length and stop alike."""
    columns = ["item", "run", "score", "value", "reason", "tokens", "stop"]
    inside = np.concatenate([index for (name, _), index in rows.cells.items() if name == task])
    inside.sort()
    one, two = (
        rows.table[columns].take(rows.order[inside[rows.arm[inside] == rows.arms[arm]]]).reset_index(drop=True)
        for arm in (first, second)
    )
    return bool(one.equals(two))


def _present(
    codes: Int[np.ndarray, " rows"], names: tuple[str, ...]
) -> tuple[Int[np.ndarray, " rows"], tuple[str, ...]]:
    """Codes of only the names that occur, and these names."""
    found = np.bincount(codes, minlength=len(names)) > 0
    if found.all():
        return codes, names
    return (np.cumsum(found) - 1)[codes], tuple(compress(names, found))


def _index(arm: str, of: str, family: str) -> str:
    return arm.removeprefix(of).removeprefix("~").removeprefix(family).lstrip("/-")


def _reduce(rows: Rows, task: str, score: str, levels: Levels, unit: str) -> Panel:
    index, item, names = units_of(rows, selected(rows, task, score, levels), unit)
    shape = (len(rows.arms), len(names))
    cell = rows.arm[index] * len(names) + item
    value = rows.value[index]
    filled = ~np.isnan(value)
    size = shape[0] * shape[1]
    total = np.bincount(cell, minlength=size)
    own, known = cell[filled], value[filled]
    count = np.bincount(own, minlength=size)
    if unit == ITEM:
        summed, over = np.bincount(own, weights=known, minlength=size), count
    else:  # every item of a unit counts alike, however many runs it has
        summed, over = _summed_by_item(own, rows.item[index][filled], known, size)
    means = np.full(size, np.nan)
    np.divide(summed, over, out=means, where=over > 0)
    return Panel(
        task=task,
        score=score,
        arms=rows.arms,
        items=names,
        means=means.reshape(shape),
        counts=count.reshape(shape),
        rows=total.reshape(shape),
        scored=np.asarray(total.reshape(shape).any(axis=1)),
        binary=bool(((known == 0) | (known == 1)).all()),
        low=float(known.min(initial=np.inf)),
        high=float(known.max(initial=-np.inf)),
    )


def _summed_by_item(
    cell: Int[np.ndarray, " rows"], item: Int[np.ndarray, " rows"], value: Float[np.ndarray, " rows"], size: int
) -> tuple[Float[np.ndarray, " cells"], Int[np.ndarray, " cells"]]:
    """For every cell the sum of its items' means, and how many items it has."""
    pairs, within = np.unique(np.stack([cell, item]), axis=1, return_inverse=True)
    means = np.bincount(within, weights=value) / np.bincount(within)
    return np.bincount(pairs[0], weights=means, minlength=size), np.bincount(pairs[0], minlength=size)
