"""Anyone's Inspect logs, or a table, compared: no study is needed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from doxa.evals.catalogue import TASKS, entry
from doxa.stats.comparison import Comparison, as_one, compare
from doxa.stats.design import ScoreKind


def table_of(paths: Sequence[Path], arm: str | None = None) -> pd.DataFrame:
    """The table of some logs, folders of logs, or a table that doxa wrote.

    Args:
        paths: Logs, folders, or one `.parquet` or `.csv` file.
        arm: What the arm is: `model`, `task`, or a task argument, model argument or metadata; several with commas.

    Raises:
        ResultsError: When nothing can be read.
    """
    from doxa.bridge.logs import read_table, table_from_logs

    if len(paths) == 1 and paths[0].suffix in (".parquet", ".csv"):
        return read_table(paths[0])
    return table_from_logs(paths, arm=arm)


def compare_logs(
    paths: Sequence[Path],
    contrasts: Sequence[str],
    *,
    arm: str | None = None,
    seeds: Mapping[str, str] | None = None,
    by: str | None = None,
    scores: Sequence[str] = (),
    kinds: Mapping[str, ScoreKind] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    estimand: str | None = None,
    unit: str | None = None,
    margin: float | None = None,
) -> tuple[pd.DataFrame, Comparison]:
    """Compare the arms of logs on every score they share; see `doxa.stats.comparison`.

    Scores of doxa's own tasks have the units that these declare, unless a unit is named.

    Returns:
        The table that was made of the logs, and the comparison.

    Raises:
        ResultsError: When logs cannot be read, or lack what is asked for.
        StudyError: When a contrast cannot be read.
    """
    table = as_one(table_of(paths, arm), seeds or {}, by)
    found = compare(
        table,
        contrasts,
        scores=scores,
        kinds=kinds,
        bounds=bounds,
        estimand=estimand,
        unit=unit,
        units=declared_units(table),
        margin=margin,
    )
    return table, found


def declared_units(table: pd.DataFrame) -> dict[str, str]:
    """By task the factor that doxa's own tasks in a table declare as their unit of replication, or `item`."""
    tasks = {str(name).partition(" ")[0] for name in pd.unique(table["task"])}
    return {name: entry(name).unit for name in sorted(tasks & set(TASKS))}
