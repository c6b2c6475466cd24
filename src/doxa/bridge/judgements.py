"""What judges said, read back from logs: every judged row of the table with its material and its verdict.

`doxa.bridge.judges.judged` wrote it into the metadata of the score; this is the way back.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pandas as pd

from doxa.bridge.judges import Verdict, majority
from doxa.bridge.logs import read_log
from doxa.words.errors import ResultsError

WHERE = ("arm", "task", "item", "run", "seed", "score")


@dataclass(frozen=True)
class Judgement:
    """A row of the table that a judge has judged.

    Attributes:
        where: Arm, task, item, run, seed and score.
        value: The score that was made of it; None when it is missing.
        verdict: The verdict of most votes; None when there is none.
        verdicts: Every vote.
        factors: Levels of the row's factors.
        rubric: Hash of the rubric.
        question: What the judge was asked.
        answers: Each verdict, and what it means.
        worth: The score's value for every verdict that has one.
        material: What was judged, by its names.
    """

    where: tuple[str, str, str, int, int, str]
    value: float | None
    verdict: str | None
    verdicts: tuple[Verdict, ...]
    factors: Mapping[str, str]
    rubric: str
    question: str
    answers: Mapping[str, str]
    worth: Mapping[str, float]
    material: Mapping[str, str]

    @property
    def arm(self) -> str:
        """Its arm."""
        return self.where[0]


def judgements(folder: Path, table: pd.DataFrame) -> tuple[Judgement, ...]:
    """Every judged row of named arms.

    Args:
        folder: Where the logs of the table are.
        table: What `table_from_logs` read from them.

    Returns:
        In the order of the table.

    Raises:
        ResultsError: When a log is damaged, or a judgement in it is not what `judged` writes.
    """
    paths = {path.name: path for path in sorted(folder.rglob("*")) if path.name in set(table["log"])}
    found: dict[tuple[str, str, int, str], Mapping[str, Any]] = {}
    for name, path in paths.items():
        for sample in read_log(path).samples or []:
            item = str(((sample.metadata or {}).get("doxa") or {}).get("item", sample.id))
            for score in (sample.scores or {}).values():
                for own, block in ((score.metadata or {}).get("judged") or {}).items():
                    found[name, item, sample.epoch, str(own)] = block
    factors = [column for column in table.columns if str(column).startswith("factor_")]
    made = []
    for row in table[table["of"] == ""].to_dict("records"):
        block = found.get((str(row["log"]), str(row["item"]), int(row["run"]), str(row["score"])))
        if block is not None:
            levels = {str(name).removeprefix("factor_"): str(row[name]) for name in factors if row[name]}
            made.append(_judgement(block, row, levels))
    return tuple(made)


def _judgement(block: Mapping[str, Any], row: Mapping[Any, Any], levels: Mapping[str, str]) -> Judgement:
    try:
        votes = tuple(
            Verdict(one["verdict"], str(one["why"]), str(one["missing"]), str(one["judge"]))
            for one in block["verdicts"]
        )
        return Judgement(
            where=(
                str(row["arm"]),
                str(row["task"]),
                str(row["item"]),
                int(row["run"]),
                int(row["seed"]),
                str(row["score"]),
            ),
            value=None if pd.isna(row["value"]) else float(row["value"]),
            verdict=majority(votes)[0],
            verdicts=votes,
            factors=levels,
            rubric=str(block["rubric"]["hash"]),
            question=str(block["question"]),
            answers={str(name): str(meaning) for name, meaning in block["answers"].items()},
            worth={str(name): float(value) for name, value in block["values"].items()},
            material={str(name): str(text) for name, text in block["material"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ResultsError(
            f"{unquote(str(row['log']))}: the judgement of {row['score']} is not understood ({error})",
            expected="what a task of doxa wrote",
            way_out="Run the task again with this version",
        ) from error
