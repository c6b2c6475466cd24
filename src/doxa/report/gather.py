"""What a report is made of: the files of a results folder, read and nothing else."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from doxa.stats.estimate import Estimate, applies, estimate, per_item
from doxa.stats.evaluate import Evaluation, from_json
from doxa.stats.table import ITEM, Rows, encode
from doxa.stats.units import unit_of
from doxa.words.contrasts import Contrast, Term, contrast_from_json
from doxa.words.errors import ResultsError
from doxa.words.taken_over import read_taken_over

AGAIN = "Run `doxa run` on the study again: it goes on where it stopped and writes what is missing"
PLAN_FORMAT = 2
"""Version of `plan.json` that a report reads."""
PLAN_KEYS = ("study", "model", "tasks", "arms", "contrasts", "made_from", "digest", "doxa")
DOSE_KEYS = ("arm", "layer", "planned", "planned_cumulated", "measured_projection", "measured_norm")
STOPPING_KEYS = ("rule", "decides", "task", "score", "at_most", "met", "looks")
TRANSCRIPT_KEYS = ("arm", "task", "item", "run", "question", "answer")
CONTROLS = ("twin", "unrelated")
"""The families of noise controls; paraphrases and neutral prompts are controls of a wording."""


@dataclass(frozen=True, eq=False)
class Gathered:
    """A results folder.

    Attributes:
        folder: Where it stands.
        plan: `plan.json`: the study, its pins, arms, tasks and counts.
        evaluation: `estimates.json`.
        rows: `table.parquet`, checked and coded.
        dose: Rows of `dose.json`, in the order of layers.
        transcripts: Of the generating tasks, sorted by item and run.
        stopping: `stopping.json`: the looks of a stopping rule; None when the runs are a number, or none was made.
        taken_over: `taken_over.json`: the results that scores or answers were taken from, by folder, each with what it
            declared otherwise.
    """

    folder: Path
    plan: Mapping[str, Any]
    evaluation: Evaluation
    rows: Rows
    dose: Sequence[Mapping[str, Any]]
    transcripts: Sequence[Mapping[str, Any]]
    stopping: Mapping[str, Any] | None = None
    taken_over: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @cached_property
    def arms(self) -> dict[str, Mapping[str, Any]]:
        """The named arms by name, in the order of the study; one that is trained under its first training seed."""
        found: dict[str, Mapping[str, Any]] = {}
        for arm in self.plan["arms"]:
            if not arm["control"]:
                found.setdefault(arm["name"], arm)
        return found

    @property
    def trainings(self) -> Sequence[Mapping[str, Any]]:
        """The adapters that were trained, each with its training seed, its arms and its stages."""
        found: Sequence[Mapping[str, Any]] = self.plan.get("trainings", ())
        return found

    @property
    def baseline(self) -> str | None:
        """The arm that nothing is done to."""
        names = [name for name, steps in self.plan["study"]["arms"].items() if not steps]
        return names[0] if names else None

    @property
    def lead(self) -> str | None:
        """The score that the study's claims rest on: the first primary score of its first task that has rows."""
        primary = self.plan["tasks"][0]["primary"]
        return next((score for score in primary if self.task_of(score) is not None), primary[0] if primary else None)

    @cached_property
    def contrasts(self) -> dict[str, Contrast]:
        """The declared contrasts by name."""
        found = map(contrast_from_json, self.plan["contrasts"])
        return {one.name: one for one in found}

    def task_of(self, score: str) -> str | None:
        """The first task of the study that has rows of a score."""
        names = [task["name"] for task in self.plan["tasks"]]
        return next((name for name in names if (name, score) in self.rows.cells), None)

    def own(self, arm: str, score: str) -> Estimate | None:
        """The level of a named arm, with its interval."""
        task = self.task_of(score)
        found = (one for one in self.evaluation.arms if (one.contrast, one.task, one.score) == (arm, task, score))
        return next(found, None)

    def value(self, arm: str | None, score: str) -> float | None:
        """The level of a named arm."""
        found = self.own(arm, score) if arm is not None else None
        return found.value if found is not None else None

    def declared(self, arm: str, score: str) -> Estimate | None:
        """The estimate of the contrast between an arm and the baseline, when the study declares one."""
        task = self.task_of(score)
        for one in self.evaluation.estimates:
            contrast = self.contrasts.get(one.contrast)
            if contrast is not None and (one.task, one.score) == (task, score):
                weights = {term.arm: term.weight for term in contrast.terms if not term.levels}
                if weights == {arm: 1.0, self.baseline: -1.0} and len(contrast.terms) == 2:
                    return one
        return None

    def between(self, arm: str, other: str, score: str) -> Estimate | None:
        """The difference of any two arms, controls too, paired by item; None when one has no row of the score."""
        task = self.task_of(score)
        contrast = Contrast(f"{arm} - {other}", (Term(1.0, arm), Term(-1.0, other)))
        if task is None or not applies(self.rows, contrast, score, task):
            return None
        kinds = {name: kind for one in self.plan["tasks"] for name, kind in one["kinds"].items()}
        kind, unit = kinds.get(score, "unbounded"), self.unit_of(task, score)
        return estimate(self.rows, contrast, score, task=task, kind=kind, unit=unit)

    def unit_of(self, task: str, score: str) -> str:
        """The units of replication of a score: a factor, or `item`."""
        if (task, score) not in self.rows.cells:
            return ITEM
        declared = {str(one["name"]): str(one["unit"]) for one in self.plan["tasks"] if "unit" in one}
        return unit_of(self.rows, task, score, declared)

    def without_rows(self, contrast: str) -> list[str]:
        """The arms of a declared contrast that have no row of the leading score."""
        lead = self.lead
        task = self.task_of(lead) if lead is not None else None
        terms = self.contrasts[contrast].terms if contrast in self.contrasts else ()
        if lead is None or task is None:
            return list(dict.fromkeys(term.arm for term in terms))
        without = (
            t.arm for t in terms if not applies(self.rows, Contrast(t.arm, (replace(t, weight=1.0),)), lead, task)
        )
        return list(dict.fromkeys(without))

    def controls_of(self, arm: str, family: str) -> list[str]:
        """The controls of an arm that have a value of the leading score."""
        own = [one["name"] for one in self.plan["arms"] if (one["of"], one["control"]) == (arm, family)]
        return [
            name for name in dict.fromkeys(own) if self.lead is not None and self.level(name, self.lead) is not None
        ]

    def level(self, arm: str, score: str) -> float | None:
        """Mean of any arm, a control too, over its items."""
        return self._mean(Contrast(arm, (Term(1.0, arm),)), score)

    def shift(self, arm: str, score: str) -> float | None:
        """Mean difference of any arm from the baseline over shared items, also without a declared contrast."""
        if self.baseline is None:
            return None
        return self._mean(Contrast(arm, (Term(1.0, arm), Term(-1.0, self.baseline))), score)

    def _mean(self, contrast: Contrast, score: str) -> float | None:
        task = self.task_of(score)
        if task is None or not applies(self.rows, contrast, score, task):
            return None
        values = per_item(self.rows, contrast, score, task=task, unit=self.unit_of(task, score))
        return float(values.mean()) if len(values) else None

    def total(self, arm: str) -> float | None:
        """Planned total strength of an arm with one vector: what the layers together add."""
        return self._totals.get(arm)

    @cached_property
    def _totals(self) -> dict[str, float]:
        return {row["arm"]: float(row["planned_cumulated"]) for row in self.dose}


def placement(arm: Mapping[str, Any]) -> str:
    """An arm's name without its strength: the line that it lies on when strength is varied."""
    name = str(arm["of"] or arm["name"]).partition("[")[0]
    others = [f"{factor}={level}" for factor, level in arm["levels"].items() if factor != "strength"]
    return f"{name}[{','.join(others)}]" if others else name


def gather(folder: Path) -> Gathered:
    """Read a results folder.

    Raises:
        ResultsError: When a file is missing, damaged or of another version.
    """
    plan = _record(folder / "plan.json", PLAN_KEYS)
    if plan.get("format") != PLAN_FORMAT:
        raise ResultsError(
            f"{folder / 'plan.json'} has format {plan.get('format')}",
            expected=f"format {PLAN_FORMAT}",
            way_out="Run the study into a new folder with this version of doxa",
        )
    evaluation = from_json(_record(folder / "estimates.json", ("format",)))
    path = folder / "table.parquet"
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path} cannot be read ({error})", way_out=AGAIN) from error
    dose, stopping = _listed(folder / "dose.json", "rows", DOSE_KEYS), folder / "stopping.json"
    return Gathered(
        folder=folder,
        plan=plan,
        evaluation=evaluation,
        rows=encode(table),
        dose=sorted(dose, key=lambda row: row["layer"]),
        transcripts=_listed(folder / "transcripts.json", "transcripts", TRANSCRIPT_KEYS),
        stopping=_record(stopping, STOPPING_KEYS) if stopping.exists() else None,
        taken_over=read_taken_over(folder),
    )


def _record(path: Path, keys: Sequence[str]) -> Mapping[str, Any]:
    """A JSON object that has certain keys."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path} cannot be read ({error})", way_out=AGAIN) from error
    _has(value, keys, str(path))
    return dict(value)


def _listed(path: Path, name: str, keys: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    """The list of records in a JSON file; empty when the study has no such file."""
    if not path.exists():
        return []
    found = _record(path, (name,))[name]
    for one in found:
        _has(one, keys, f"{path}, {name}")
    return list(found)


def _has(value: object, keys: Sequence[str], where: str) -> None:
    lacks = [key for key in keys if key not in value] if isinstance(value, dict) else list(keys)
    if lacks:
        raise ResultsError(
            f"{where} lacks {', '.join(lacks)}",
            expected="a file that this version of doxa wrote",
            way_out="Run the study into a new folder with this version of doxa",
        )
