"""What a table must be before anything is estimated from it: its columns, its values, its keys."""

import numpy as np
import pandas as pd
from jaxtyping import Int
from pandas.api import types

from doxa.words import schema
from doxa.words.errors import ResultsError

VERSION_KEY = "doxa_table"
"""Where `table.attrs` (which Parquet keeps) may say which version of the columns it has."""

MOST = 1e100
"""Largest size of a value: squares of larger ones do not fit into a number."""

Codes = dict[str, tuple[Int[np.ndarray, " rows"], tuple[str, ...]]]


def factor_columns(table: pd.DataFrame) -> list[str]:
    """The columns that hold a task's factors."""
    return [str(name) for name in table.columns if str(name).startswith(schema.FACTOR_PREFIX)]


def check_columns(table: pd.DataFrame) -> None:
    """Check names and types of the columns.

    Raises:
        ResultsError: For a table of another version, a missing, unknown or repeated column, or one of the wrong type.
    """
    again = "Make the table again from the logs with this version of doxa"
    version = table.attrs.get(VERSION_KEY, schema.VERSION)
    if version != schema.VERSION:
        raise ResultsError(f"a table of version {version}", expected=f"version {schema.VERSION}", way_out=again)
    absent = [name for name in schema.COLUMNS if name not in table.columns]
    if absent:
        raise ResultsError(f"the table has no column {', '.join(absent)}", way_out=again)
    unknown = [str(name) for name in table.columns if name not in schema.COLUMNS and name not in factor_columns(table)]
    if unknown:
        raise ResultsError(
            f"the table has unknown columns {', '.join(unknown)}",
            expected=f"factors of a task are called {schema.FACTOR_PREFIX}*",
            way_out="Rename or drop them",
        )
    if len(set(table.columns)) != len(table.columns):
        raise ResultsError("the table has two columns of the same name", way_out=again)
    kinds = {**schema.COLUMNS, **dict.fromkeys(factor_columns(table), "text")}
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


def check_values(table: pd.DataFrame) -> None:
    """Check that values are finite, and missing exactly where there is a reason.

    Raises:
        ResultsError: With the first row where that is not so.
    """
    value = table["value"].to_numpy(dtype=np.float64)
    if np.isinf(value).any():
        raise ResultsError(
            f"an infinite value in {_where(table, int(np.argmax(np.isinf(value))))}",
            way_out="A value that cannot be computed is missing, with a reason",
        )
    with np.errstate(invalid="ignore"):
        large = np.abs(value) > MOST
    if large.any():
        raise ResultsError(
            f"a value of {value[int(np.argmax(large))]:g} in {_where(table, int(np.argmax(large)))}",
            expected=f"values up to {MOST:g} in size",
            way_out="Rescale the score",
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


def sorted_codes(table: pd.DataFrame) -> tuple[Int[np.ndarray, " rows"], Codes]:
    """The order of the rows by key, and for every key column its codes and their names (in ascending order).

    Raises:
        ResultsError: When rows stand twice.
    """
    codes: Codes = {}
    key = np.zeros(len(table), dtype=np.int64)
    size = 1
    for column in schema.KEY:
        codes[column] = coded(table[column])
        levels = len(codes[column][1])
        size *= max(levels, 1)
        if size >= 2**63:
            raise ResultsError("the table has more cells than can be numbered", way_out="Select some of its arms")
        key *= levels
        key += codes[column][0]
    # Keys differ, so any sort gives this order; a table that doxa wrote has it already.
    order = np.arange(len(key)) if (key[1:] > key[:-1]).all() else np.argsort(key)
    twice = np.flatnonzero(np.diff(key[order]) == 0)
    if len(twice):
        raise ResultsError(
            f"{len(twice)} rows stand twice in the table, the first is {_where(table, int(order[twice[0]]))}",
            expected=f"one row for each {', '.join(schema.KEY)}",
            way_out="Make the table again from the logs; do not join the tables of two runs of one study",
        )
    return order, codes


def coded(column: pd.Series) -> tuple[Int[np.ndarray, " rows"], tuple[str, ...]]:
    """The code of every row of a column, and what the codes stand for, in ascending order."""
    if isinstance(column.dtype, pd.CategoricalDtype):  # coded already, in an order of its own
        names = [str(name) for name in column.cat.categories]
        own = column.cat.codes.to_numpy()
        present = np.flatnonzero(np.bincount(own, minlength=len(names))).tolist()
        present.sort(key=names.__getitem__)
        place = np.zeros(len(names), dtype=np.int64)
        place[present] = np.arange(len(present))
        return place[own], tuple(names[code] for code in present)
    if _constant(column):
        return np.zeros(len(column), dtype=np.int64), (str(column.iloc[0]),)
    found, unique = pd.factorize(column, sort=True)
    return found.astype(np.int64, copy=False), tuple(map(str, np.asarray(unique).tolist()))


def _constant(column: pd.Series) -> bool:
    """Whether every row holds the same: cheaper to see than to look every row up."""
    if column.empty or column.iloc[0] != column.iloc[-1]:
        return False
    return bool((column == column.iloc[0]).all())


def owners_of(table: pd.DataFrame, codes: Codes) -> dict[str, tuple[str, str]]:
    """For each control arm the arm that it is a control of, and its family.

    Raises:
        ResultsError: When an arm is a control of two arms.
    """
    (arm, names), found = codes["arm"], {}
    owners: list[tuple[str, ...]] = []
    for column in ("of", "control"):
        own, levels = coded(table[column])
        if len(levels) == 1:
            owners.append(levels * len(names))
            continue
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
