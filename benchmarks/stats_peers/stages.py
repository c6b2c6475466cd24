"""Where the time of an estimate goes: a profile of `doxa.stats.estimate.estimate`, and what the machine could do.

    python stages.py ROWS

Prints one line of JSON: the share of every stage in the time of a paired estimate, and the memory's bandwidth.
"""

import cProfile
import json
import pstats
import sys
import time
from pathlib import Path

import numpy as np

TIMES, COPIED = 5, 2**24  # doubles: 128 MB, which no cache holds
READ = 24
"""Bytes of a row that any way must read: the value, and the codes of its arm and item."""


def bandwidth() -> float:
    """Bytes a second that numpy reads and writes when it copies; the best of several copies."""
    source, target = np.zeros(COPIED), np.ones(COPIED)
    seconds = []
    for _ in range(2 * TIMES):
        began = time.perf_counter()
        np.copyto(target, source)
        seconds.append(time.perf_counter() - began)
    return 2 * source.nbytes / min(seconds)


def stages(rows: int) -> dict[str, float]:
    """The share of every stage."""
    from stats_peers.data import drawn

    from doxa.stats.estimate import estimate

    table = drawn("paired", rows).table
    estimate(table, "block - baseline", "score")
    profile = cProfile.Profile()
    for _ in range(TIMES):
        profile.runcall(estimate, table, "block - baseline", "score")
    spent: dict[str, float] = {}
    within: dict[str, float] = {}  # time that names are coded in, by who asks
    for (file, _, name), (*_, cumulative, callers) in pstats.Stats(profile).stats.items():
        if "doxa" in Path(file).parts:
            spent[name] = spent.get(name, 0.0) + cumulative
            if name == "coded":
                within = {caller: own[-1] for (_, _, caller), own in callers.items()}
    whole, checked = spent["estimate"], spent["check_columns"] + spent["check_values"]
    parts = {
        "columns and values checked": checked,
        "names coded": spent["coded"],
        "rows sorted by their key": spent["sorted_codes"] - within["sorted_codes"],
        "owners of controls": spent["owners_of"] - within["owners_of"],
        "rest of the table": spent["encode"]
        - (checked + spent["sorted_codes"] + spent["owners_of"] + within["encode"]),
        "reduced to units": spent["panel"],
        "units put together": spent["blocks_of"] - spent["panel"],
        "interval and test": spent["_mean_difference"],
    }
    parts["rest"] = whole - sum(parts.values())
    return {name: seconds / whole for name, seconds in parts.items()}


def main() -> None:
    """Measure."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    print(json.dumps({"bandwidth": bandwidth(), "stages": stages(int(sys.argv[1]))}))


if __name__ == "__main__":
    main()
