"""The table: checked, coded, and reduced to units before anything is estimated.

Rows are sorted by their key first, so that the order in which they were written changes no bit of any result. After the
reduction the cost of every method depends on units, not on rows.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from pandas.api import types

from doxa.words import schema
from doxa.words.errors import NotYetError, ResultsError, nearest

VERSION_KEY = "doxa_table"
"""Where `table.attrs` (which Parquet keeps) may say which version of the columns it has."""

Levels = tuple[tuple[str, str], ...]
Codes = dict[str, tuple[Int[np.ndarray, " rows"], tuple[str, ...]]]


def validate(table: pd.DataFrame) -> None:
    """Check that a table is what `doxa.words.schema` says.

    Raises:
        ResultsError: In words, for a table of another version, a missing or unknown column, a column of the wrong
            type, an infinite value, a missing value without its reason (or a value with one), rows that stand twice,
            or an arm that is a control of two arms.
    """
    _check_columns(table)
    _check_values(table)
    _arms(table, _sorted_codes(table)[1])


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
    value: Float[np.ndarray, " rows"]
    cells: Mapping[tuple[str, str], Int[np.ndarray, " found"]]
    _panels: dict[tuple[str, str, Levels], Panel] = field(default_factory=dict)

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
        NotYetError: For several training seeds: their unit of replication is the seed, not the item.
    """
    _check_columns(table)
    _check_values(table)
    for column in ("study", "model"):
        names = pd.unique(table[column])
        if len(names) > 1:
            raise ResultsError(
                f"the table holds {len(names)} values of {column!r}: {', '.join(map(str, names[:4]))}",
                expected="one",
                way_out=f"Select the rows of one {column} first",
            )
    if len(pd.unique(table["seed"])) > 1:
        raise NotYetError(
            "the table holds several training seeds",
            expected="one: with several, the seed is the unit of replication",
            way_out="Select the rows of one seed; estimates over seeds come with a later version",
        )
    order, codes = _sorted_codes(table)
    arm, task, item, score = (codes[column][0][order] for column in ("arm", "task", "item", "score"))
    arms, tasks, items, scores = (codes[column][1] for column in ("arm", "task", "item", "score"))
    cell = task * len(scores) + score
    by_cell = np.argsort(cell, kind="stable")
    found, starts = np.unique(cell[by_cell], return_index=True)
    parts = np.split(by_cell, starts[1:]) if len(found) else []
    cells = {
        (tasks[int(one) // len(scores)], scores[int(one) % len(scores)]): part
        for one, part in zip(found, parts, strict=True)
    }
    of = _arms(table, codes)
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
        value=table["value"].to_numpy(dtype=np.float64)[order],
        cells=cells,
    )


def panel(rows: Rows, task: str, score: str, levels: Levels = ()) -> Panel:
    """Reduce the rows of one score to unit means: first over runs within each item.

    Args:
        rows: A coded table.
        task: Name of the task.
        score: Name of the score.
        levels: Only rows whose factors have these levels.

    Raises:
        ResultsError: When the task has no such score, or the table no such factor.
    """
    key = (task, score, levels)
    if key not in rows._panels:
        rows._panels[key] = _reduce(rows, task, score, levels)
    return rows._panels[key]


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


def _index(arm: str, of: str, family: str) -> str:
    return arm.removeprefix(of).removeprefix("~").removeprefix(family).lstrip("/-")


def _reduce(rows: Rows, task: str, score: str, levels: Levels) -> Panel:
    if (task, score) not in rows.cells:
        names = {name for one, name in rows.cells if one == task}
        raise ResultsError(f"no score {score!r} of task {task!r} in the table", way_out=nearest(score, names))
    index = rows.cells[task, score]
    for factor, level in levels:
        index = index[_at_level(rows, index, factor, level)]
    codes = rows.item[index]
    present = np.flatnonzero(np.bincount(codes, minlength=len(rows.items)))
    item = np.searchsorted(present, codes)
    shape = (len(rows.arms), len(present))
    unit = rows.arm[index] * len(present) + item
    value = rows.value[index]
    filled = ~np.isnan(value)
    size = shape[0] * shape[1]
    total = np.bincount(unit, minlength=size)
    count = np.bincount(unit[filled], minlength=size)
    summed = np.bincount(unit[filled], weights=value[filled], minlength=size)
    means = np.full(size, np.nan)
    np.divide(summed, count, out=means, where=count > 0)
    known = value[filled]
    return Panel(
        task=task,
        score=score,
        arms=rows.arms,
        items=tuple(rows.items[code] for code in present),
        means=means.reshape(shape),
        counts=count.reshape(shape),
        rows=total.reshape(shape),
        scored=np.asarray(total.reshape(shape).any(axis=1)),
        binary=bool(np.isin(known, (0.0, 1.0)).all()),
        low=float(known.min(initial=np.inf)),
        high=float(known.max(initial=-np.inf)),
    )


def _at_level(rows: Rows, index: Int[np.ndarray, " found"], factor: str, level: str) -> Bool[np.ndarray, " found"]:
    column = schema.FACTOR_PREFIX + factor
    if column not in rows.table.columns:
        factors = [name.removeprefix(schema.FACTOR_PREFIX) for name in _factor_columns(rows.table)]
        raise ResultsError(f"the table has no factor {factor!r}", way_out=nearest(factor, factors))
    chosen: Bool[np.ndarray, " found"] = (rows.table[column] == level).to_numpy(dtype=bool)[rows.order[index]]
    return chosen


def _factor_columns(table: pd.DataFrame) -> list[str]:
    return [str(name) for name in table.columns if str(name).startswith(schema.FACTOR_PREFIX)]


def _check_columns(table: pd.DataFrame) -> None:
    again = "Make the table again from the logs with this version of doxa"
    version = table.attrs.get(VERSION_KEY, schema.VERSION)
    if version != schema.VERSION:
        raise ResultsError(f"a table of version {version}", expected=f"version {schema.VERSION}", way_out=again)
    absent = [name for name in schema.COLUMNS if name not in table.columns]
    if absent:
        raise ResultsError(f"the table has no column {', '.join(absent)}", way_out=again)
    unknown = [str(name) for name in table.columns if name not in schema.COLUMNS and name not in _factor_columns(table)]
    if unknown:
        raise ResultsError(
            f"the table has unknown columns {', '.join(unknown)}",
            expected=f"factors of a task are called {schema.FACTOR_PREFIX}*",
            way_out="Rename or drop them",
        )
    if len(set(table.columns)) != len(table.columns):
        raise ResultsError("the table has two columns of the same name", way_out=again)
    kinds = {**schema.COLUMNS, **dict.fromkeys(_factor_columns(table), "text")}
    for name, kind in kinds.items():
        column = table[name]
        right = {"text": _is_text, "integer": _is_integer, "number": types.is_numeric_dtype}[kind](column)
        if not right or (kind != "number" and bool(column.isna().any())):
            raise ResultsError(
                f"column {name!r} of the table holds {column.dtype}{' with gaps' if right else ''}",
                expected=f"{kind} in every row" if kind != "number" else "numbers",
                way_out='Text that is empty is "", not a gap' if kind == "text" else again,
            )


def _is_text(column: pd.Series) -> bool:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return len(column.cat.categories) == 0 or bool(types.is_string_dtype(column.cat.categories))
    return len(column) == 0 or bool(types.is_string_dtype(column))


def _is_integer(column: pd.Series) -> bool:
    return len(column) == 0 or bool(types.is_integer_dtype(column))


def _check_values(table: pd.DataFrame) -> None:
    value = table["value"].to_numpy(dtype=np.float64)
    if np.isinf(value).any():
        raise ResultsError(
            f"an infinite value in {_where(table, int(np.argmax(np.isinf(value))))}",
            way_out="A value that cannot be computed is missing, with a reason",
        )
    wrong = np.isnan(value) != (table["reason"] != "").to_numpy(dtype=bool)
    if wrong.any():
        position = int(np.argmax(wrong))
        what = (
            "a missing value without a reason" if np.isnan(value[position]) else "a value with a reason to be missing"
        )
        raise ResultsError(
            f"{what} in {_where(table, position)}",
            expected="a reason exactly where the value is missing",
            way_out="Say why it is missing, or leave the reason empty",
        )


def _where(table: pd.DataFrame, position: int) -> str:
    row = table.iloc[position]
    return ", ".join(f"{name} {row[name]}" for name in schema.KEY)


def _sorted_codes(table: pd.DataFrame) -> tuple[Int[np.ndarray, " rows"], Codes]:
    """The order of the rows by key, and for every key column its codes and their names (in ascending order)."""
    codes: Codes = {}
    key = np.zeros(len(table), dtype=np.int64)
    size = 1
    for column in schema.KEY:
        found, unique = pd.factorize(table[column], sort=True)
        codes[column] = (found.astype(np.int64), tuple(map(str, np.asarray(unique).tolist())))
        size *= max(len(unique), 1)
        if size >= 2**63:
            raise ResultsError("the table has more cells than can be numbered", way_out="Select some of its arms")
        key = key * len(unique) + codes[column][0]
    order = np.argsort(key, kind="stable")
    twice = np.flatnonzero(np.diff(key[order]) == 0)
    if len(twice):
        raise ResultsError(
            f"{len(twice)} rows stand twice in the table, the first is {_where(table, int(order[twice[0]]))}",
            expected=f"one row for each {', '.join(schema.KEY)}",
            way_out="Make the table again from the logs; do not join the tables of two runs of one study",
        )
    return order, codes


def _arms(table: pd.DataFrame, codes: Codes) -> dict[str, tuple[str, str]]:
    """For each control arm the arm that it is a control of, and its family."""
    (arm, names), found = codes["arm"], {}
    owners: list[tuple[str, ...]] = []
    for column in ("of", "control"):
        own, unique = pd.factorize(table[column])
        levels = [str(level) for level in unique]
        least, most = np.full(len(names), len(levels)), np.full(len(names), -1)
        np.minimum.at(least, arm, own)
        np.maximum.at(most, arm, own)
        torn = np.flatnonzero(least != most)
        if len(torn):
            one = int(torn[0])
            raise ResultsError(
                f"arm {names[one]!r} has {column!r} {levels[least[one]]!r} in some rows and "
                f"{levels[most[one]]!r} in others",
                expected="one entry for every arm",
                way_out="Make the table again from the logs",
            )
        owners.append(tuple(levels[code] for code in least))
    for name, of, family in zip(names, *owners, strict=True):
        if of:
            found[name] = (of, family)
    return found
