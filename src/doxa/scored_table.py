"""The table of what was scored, from committed chunks alone: for sweeps, whose thousands of arms no viewer would open.

A study's table is made from its logs (law 3); this one has the same columns, and names the chunk where a log would be.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from doxa.bridge.tables import typed
from doxa.plan import Plan
from doxa.results import CHUNKS
from doxa.stats.derive import derivable, derive
from doxa.words import schema


def table_from_chunks(plan: Plan, done: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Make the table of a plan's chunks, derived scores included.

    Args:
        plan: A plan of one task that generates nothing.
        done: Committed results by chunk id: all of them.

    Returns:
        The columns of `doxa.words.schema`, then the factors by name; sorted by the key.
    """
    rows: list[dict[str, str | int | float | None]] = []
    for chunk in plan.chunks:
        arm = chunk.arm
        head = {"study": plan.study.name, "model": plan.model.label, "arm": arm.name, "of": arm.of}
        head |= {"control": arm.control, "task": plan.study.tasks[chunk.task].name, "log": f"{CHUNKS}/{chunk.id}.json"}
        for item in done[chunk.id]["items"]:
            levels = {**arm.levels, **item["factors"]}
            factors = {f"{schema.FACTOR_PREFIX}{name}": level for name, level in levels.items()}
            for value in item["values"]:
                place = {"item": item["id"], "run": 1, "seed": arm.seed or 0, "tokens": 0, "stop": ""}
                rows.append({**head, **place, **value, **factors})
    frame = pd.DataFrame(rows)
    text = [name for name in frame.columns if schema.COLUMNS.get(str(name), "text") == "text"]
    frame[text] = frame[text].fillna("")
    scored = typed(frame)
    table = typed(derive(scored, derivable(scored, plan.entries[0].derivations)))
    return table.sort_values(list(schema.KEY), ignore_index=True)
