"""Scores made of other scores: in every unit a weighted sum over rows that are picked by their factors."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from doxa.stats.table import validate
from doxa.words import schema
from doxa.words.errors import ResultsError, nearest
from doxa.words.schema import Derivation

_GROUP = ("arm", "task", "run", "seed")
_KEPT = ("study", "model", "arm", "of", "control", "task", "run", "seed", "log")


def derive(table: pd.DataFrame, derivations: Sequence[Derivation]) -> pd.DataFrame:
    """Append derived scores.

    For every arm, task, unit, run and seed that has a row of the source score the new row holds the weighted sum of the
    terms: of each its one source row, or the mean of several where the derivation averages. When a term has no row, no
    value, or several rows that are not averaged, the new value is missing and its reason says so; a unit that no arm
    was asked any term of has no row. The new item is the level of the unit's factor; factors that are constant within
    the unit are kept, others are empty. Of a derivation that matches rows by factors, the value is the mean over the
    sets of matched rows that have one; it is missing when none has, with the reason of the first.

    Args:
        table: A table of `doxa.words.schema`.
        derivations: Applied in order; a later one may use the score of an earlier one.

    Returns:
        A new table: the rows given, then the derived ones.

    Raises:
        ResultsError: When the table is not valid, has no such score or factor, or has the new score already.
    """
    validate(table)
    for derivation in derivations:
        made = _derived(table, derivation)
        attrs = table.attrs
        table = pd.concat([_plain(table), made], ignore_index=True)
        table.attrs = attrs
    return table


def derivable(table: pd.DataFrame, derivations: Iterable[Derivation]) -> list[Derivation]:
    """Those derivations all of whose terms were asked: some row of the source has a unit and the levels of the term.

    A task may ask a part of its design only (two tiers of three); scores that need the rest are none of the table's.
    """
    return [one for one in derivations if _was_asked(table, one)]


def _was_asked(table: pd.DataFrame, derivation: Derivation) -> bool:
    names = (derivation.unit, *(factor for _, levels in derivation.terms for factor, _ in levels))
    if any(schema.FACTOR_PREFIX + name not in table.columns for name in names):
        return False
    source = table[(table["score"] == derivation.source) & (table[schema.FACTOR_PREFIX + derivation.unit] != "")]
    return not source.empty and all(
        bool(np.logical_and.reduce([source[schema.FACTOR_PREFIX + factor] == level for factor, level in levels]).any())
        for _, levels in derivation.terms
        if levels
    )


def _derived(table: pd.DataFrame, derivation: Derivation) -> pd.DataFrame:
    scores = {str(name) for name in pd.unique(table["score"])}
    if derivation.source not in scores:
        raise ResultsError(
            f"{derivation.score!r} is made of {derivation.source!r}, which the table does not have",
            way_out=nearest(derivation.source, scores),
        )
    if derivation.score in scores:
        raise ResultsError(
            f"the table has the score {derivation.score!r} already", way_out="Derive it from the table of the logs"
        )
    unit = _factor(table, derivation.unit)
    source = table[(table["score"] == derivation.source) & (table[unit] != "")]
    if source.empty:
        raise ResultsError(
            f"no row of {derivation.source!r} has a level of {derivation.unit!r}",
            way_out="Name the factor whose levels are the units",
        )
    source = _of_units_asked(source, unit, derivation)
    groups, first = _groups(source, unit)
    matched = [name for one in derivation.matched if (name := schema.FACTOR_PREFIX + one) in table.columns]
    if matched:
        sets, of_set = _groups(source, unit, *matched)
        value, reason = _weighted_sums(source, sets, len(of_set), derivation)
        value, reason = _means(value, reason, groups[of_set], len(first))
    else:
        value, reason = _weighted_sums(source, groups, len(first), derivation)
    head = source.iloc[first]
    columns: dict[str, object] = {name: head[name].to_numpy() for name in _KEPT}
    columns |= {
        "item": head[unit].to_numpy(),
        "score": derivation.score,
        "value": value,
        "reason": reason,
        "tokens": 0,
        "stop": "",
    }
    for name in table.columns:
        if str(name).startswith(schema.FACTOR_PREFIX):
            columns[str(name)] = _constant_levels(source[name], groups, len(first))
    made = pd.DataFrame(columns)[list(table.columns)]
    return made.astype(_plain(table.iloc[:0]).dtypes.to_dict())


def _of_units_asked(source: pd.DataFrame, unit: str, derivation: Derivation) -> pd.DataFrame:
    """Rows of the units that were asked for some term of the score in some arm; of others nothing is missing."""
    asked = np.logical_or.reduce([_picked(source, levels) for _, levels in derivation.terms])
    units = pd.MultiIndex.from_frame(source[["task", unit]].astype(str))
    return source[units.isin(units[asked])] if asked.any() else source


def _picked(source: pd.DataFrame, levels: Sequence[tuple[str, str]]) -> Bool[np.ndarray, " rows"]:
    """Which rows have these levels."""
    picked = np.ones(len(source), dtype=bool)
    for factor, level in levels:
        picked &= (source[_factor(source, factor)] == level).to_numpy(dtype=bool)
    return picked


def _groups(source: pd.DataFrame, *units: str) -> tuple[Int[np.ndarray, " rows"], Int[np.ndarray, " groups"]]:
    """The group of every row, and the first row of every group in the order of the groups."""
    key = np.zeros(len(source), dtype=np.int64)
    for name in (*_GROUP, *units):
        codes, unique = pd.factorize(source[name], sort=True)
        key = key * len(unique) + codes
    _, first, groups = np.unique(key, return_index=True, return_inverse=True)
    return groups, first


def _weighted_sums(
    source: pd.DataFrame, groups: Int[np.ndarray, " rows"], n: int, derivation: Derivation
) -> tuple[Float[np.ndarray, " groups"], np.ndarray]:
    value = source["value"].to_numpy(dtype=np.float64)
    why = source["reason"].to_numpy(dtype=object)
    total = np.zeros(n)
    reason = np.full(n, "", dtype=object)
    for weight, levels in derivation.terms:
        rows = np.flatnonzero(_picked(source, levels))
        count = np.bincount(groups[rows], minlength=n)
        known = rows[~np.isnan(value[rows])]
        n_known = np.bincount(groups[known], minlength=n)
        summed = np.bincount(groups[known], weights=value[known], minlength=n)
        usable = count > 0 if derivation.several == "averaged" else count == 1
        total += weight * np.divide(summed, n_known, out=np.full(n, np.nan), where=usable & (n_known > 0))
        name = " ".join(f"{factor}={level}" for factor, level in levels)
        open_ = reason == ""
        reason[open_ & (count == 0)] = f"no row with {name}"
        for several in np.unique(count[~usable & (count > 1)]):
            reason[open_ & (count == several)] = f"{several} rows with {name}"
        row_of = np.zeros(n, dtype=np.int64)
        row_of[groups[rows]] = rows
        empty = open_ & usable & (n_known == 0)
        reason[empty] = [f"{name}: {one}" for one in why[row_of[empty]]]
    return total, reason


def _means(
    value: Float[np.ndarray, " sets"], reason: np.ndarray, groups: Int[np.ndarray, " sets"], n: int
) -> tuple[Float[np.ndarray, " groups"], np.ndarray]:
    """The mean over the sets of each group that have a value; without one, why the first of them has none."""
    known = ~np.isnan(value)
    count = np.bincount(groups[known], minlength=n)
    total = np.bincount(groups[known], weights=value[known], minlength=n)
    why = np.full(n, "", dtype=object)
    last_first = np.arange(len(groups))[::-1]
    why[groups[last_first]] = reason[last_first]
    why[count > 0] = ""
    return np.where(count > 0, total / np.maximum(count, 1), np.nan), why


def _constant_levels(column: pd.Series, groups: Int[np.ndarray, " rows"], n: int) -> np.ndarray:
    codes, unique = pd.factorize(column, sort=True)
    low, high = np.full(n, len(unique)), np.full(n, -1)
    np.minimum.at(low, groups, codes)
    np.maximum.at(high, groups, codes)
    levels = np.asarray(unique, dtype=object)
    return np.where(low == high, levels[low], "")


def _factor(table: pd.DataFrame, factor: str) -> str:
    column = schema.FACTOR_PREFIX + factor
    if column not in table.columns:
        known = [str(name).removeprefix(schema.FACTOR_PREFIX) for name in table.columns]
        raise ResultsError(
            f"the table has no factor {factor!r}",
            way_out=nearest(factor, [name for name in known if name not in schema.COLUMNS]),
        )
    return column


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Categories turned to text, so that rows with new names can be appended."""
    categorical = [name for name in table.columns if isinstance(table[name].dtype, pd.CategoricalDtype)]
    return table.astype(dict.fromkeys(categorical, "str"))
