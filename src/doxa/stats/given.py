"""A score where another score holds: rows for conditional rates."""

import pandas as pd

from doxa.stats.table import Rows, encode
from doxa.words import schema

_CELL = [name for name in schema.KEY if name != "score"]


def given(rows: Rows, score: str, condition: str, levels: tuple[tuple[str, str], ...] = ()) -> Rows | None:
    """The rows of a score in whose cell (arm, task, item, run, seed) another score is 1.

    What is estimated from them is a rate among those, P(score | condition). Where the condition has no value it does
    not hold; a row of the score without a value stays, and is missing.

    Args:
        rows: The table.
        score: The score that is kept.
        condition: The score that has to be 1.
        levels: Only rows whose factors have these levels.

    Returns:
        The rows; None when there is none.
    """
    table = rows.table
    kept = table["score"] == score
    for factor, level in levels:
        column = schema.FACTOR_PREFIX + factor
        if column not in table.columns:
            return None
        kept &= table[column] == level
    holds = table.loc[(table["score"] == condition) & (table["value"] == 1.0), _CELL]
    found = table[kept]
    inside = pd.MultiIndex.from_frame(found[_CELL].astype(str)).isin(pd.MultiIndex.from_frame(holds.astype(str)))
    found = found[inside]
    return encode(found.reset_index(drop=True)) if len(found) else None
