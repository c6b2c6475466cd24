"""The unit of replication that a task declares, where a table has it."""

from collections.abc import Mapping

from doxa.stats.table import ITEM, Rows, factor_codes
from doxa.words import schema


def unit_of(rows: Rows, task: str, score: str, declared: Mapping[str, str]) -> str:
    """The unit of a score: the factor that its task declares, or the item where no row of the score has a level of it.

    Logs of an older version, or of somebody else's task, lack the factor; every estimate says which unit it has.

    Args:
        rows: A coded table, which has the score.
        task: Name of the task; levels may stand behind it (`doxa/honeypot threat=none`).
        score: Name of the score.
        declared: By task the factor whose levels are the units.
    """
    unit = declared.get(task, declared.get(task.partition(" ")[0], ITEM))
    if unit == ITEM or schema.FACTOR_PREFIX + unit not in rows.table.columns:
        return ITEM
    codes, levels = factor_codes(rows, unit)
    own = codes[rows.cells[task, score]]
    return unit if any(levels[code] for code in set(own.tolist())) else ITEM
