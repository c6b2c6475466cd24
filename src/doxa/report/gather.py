"""What a report is made of: the files of a results folder, read and nothing else."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from doxa.stats.evaluate import Evaluation, from_json
from doxa.words.contrasts import Contrast, Term
from doxa.words.errors import ResultsError

AGAIN = "Run `doxa run` on the study again: it goes on where it stopped and writes what is missing"


@dataclass(frozen=True, eq=False)
class Gathered:
    """A results folder.

    Attributes:
        folder: Where it stands.
        plan: `plan.json`: the study, its pins, arms, tasks and counts.
        evaluation: `estimates.json`.
        table: `table.parquet`.
        dose: Rows of `dose.json`: arm, layer, planned_cumulated, measured_projection, measured_norm.
        transcripts: Of the generating tasks, sorted by item and run.
    """

    folder: Path
    plan: Mapping[str, Any]
    evaluation: Evaluation
    table: pd.DataFrame
    dose: Sequence[Mapping[str, Any]]
    transcripts: Sequence[Mapping[str, Any]]

    @property
    def arms(self) -> dict[str, Mapping[str, Any]]:
        """The named arms by name, in the order of the study."""
        return {arm["name"]: arm for arm in self.plan["arms"] if not arm["control"]}

    @property
    def baseline(self) -> str | None:
        """The arm that nothing is done to."""
        names = [name for name, steps in self.plan["study"]["arms"].items() if not steps]
        return names[0] if names else None

    @property
    def lead(self) -> str | None:
        """The score that the study's claims rest on: the first primary score of its first task."""
        primary = self.plan["tasks"][0]["primary"]
        return primary[0] if primary else None

    @property
    def contrasts(self) -> list[Contrast]:
        """The declared contrasts."""
        return [
            Contrast(
                one["name"], tuple(Term(w, arm, tuple((f, v) for f, v in levels)) for w, arm, levels in one["terms"])
            )
            for one in self.plan["contrasts"]
        ]

    def value(self, arm: str, score: str) -> float | None:
        """An arm's own estimate of a score."""
        return next((one.value for one in self.evaluation.arms if one.contrast == arm and one.score == score), None)


def gather(folder: Path) -> Gathered:
    """Read a results folder.

    Raises:
        ResultsError: When a file is missing, damaged or of another version.
    """
    plan = _json(folder / "plan.json")
    estimates = _json(folder / "estimates.json")
    path = folder / "table.parquet"
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path} cannot be read ({error})", way_out=AGAIN) from error
    return Gathered(
        folder=folder,
        plan=plan,
        evaluation=from_json(estimates),
        table=table,
        dose=_json(folder / "dose.json")["rows"] if (folder / "dose.json").exists() else [],
        transcripts=_json(folder / "transcripts.json")["transcripts"] if (folder / "transcripts.json").exists() else [],
    )


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path} cannot be read ({error})", way_out=AGAIN) from error
