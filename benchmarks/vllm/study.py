"""Run one study here and on vLLM servers, and compare the two tables: `python benchmarks/vllm/study.py FOLDER`.

The embedded model, statements and open answers, steering at one layer and at every layer with noise controls at one of
them. Answers are greedy, so that open answers can be compared, too. Needs `DOXA_VLLM_URLS`; keeps what is finished in
FOLDER. The exit code is 1 when log-odds differ by more than 1e-3, or an estimate of the one lies outside the other's
interval.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from doxa.bridge.logs import read_table
from doxa.run import run
from doxa.words.schema import KEY
from doxa.words.study import study_from_json, with_overrides

MOST = 1e-3
LIMIT = 8


def study(name: str, model: str) -> dict[str, Any]:
    def steer(layers: Any, strength: float) -> list[dict[str, Any]]:
        return [{"steer": {"vector": "conscious", "layers": layers, "strength": strength}}]

    return {
        "study": name,
        "model": model,
        "arms": {
            "baseline": [],
            "prompted": [{"prompt": "beliefs/conscious"}],
            "middle": steer(0.5, 0.4),
            "every": steer("every", 0.4),
        },
        "tasks": [
            {"doxa/claims": {"belief": "conscious", "topics": 4}},
            {"doxa/drift": {"max_tokens": 24, "temperature": 0.0}},
        ],
        "controls": {
            "steer": {"twins": 19, "unrelated": 19, "arms": ["middle"]},
            "prompt": {"neutral": False, "paraphrases": 0},
        },
        "contrasts": ["middle - baseline", "every - baseline", "prompted - baseline"],
    }


def table(folder: Path) -> pd.DataFrame:
    return read_table(folder / "table.parquet").set_index([name for name in KEY if name != "model"])


def main() -> int:
    if len(sys.argv) != 2:
        sys.exit("usage: study.py FOLDER")
    folders = {name: Path(sys.argv[1]) / name for name in ("here", "on-vllm")}
    for name, model in (("here", "smollm2"), ("on-vllm", "vllm/smollm2")):
        run(with_overrides(study_from_json(study(name, model)), limit=LIMIT), folders[name])
    here, there = (table(folder) for folder in folders.values())
    both = here.merge(there, left_index=True, right_index=True, suffixes=("_here", "_there"), how="outer")
    print(f"{len(here)} rows here, {len(there)} on vLLM, {len(both)} together")
    worst = math.inf
    for score, rows in both.groupby("score"):
        apart = (rows.value_here.astype(float) - rows.value_there.astype(float)).abs().max()
        missing = int((rows.value_here.isna() != rows.value_there.isna()).sum())
        print(f"{score!s:20s} {len(rows):5d} rows, largest difference {apart:.2g}, missing on one side: {missing}")
        worst = float(apart) if score == "log_odds" else worst
    outside = compared = 0
    ours, theirs = (json.loads((folder / "estimates.json").read_text())["estimates"] for folder in folders.values())
    for one, other in zip(ours, theirs, strict=True):
        if one["low"] is not None and one["high"] is not None:
            compared += 1
            outside += not one["low"] - 1e-9 <= other["value"] <= one["high"] + 1e-9
    print(f"{compared} estimates with an interval: {outside} of those on vLLM lie outside of it")
    return 0 if worst < MOST and len(here) == len(there) == len(both) and outside == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
