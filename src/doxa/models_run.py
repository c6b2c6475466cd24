"""A study over several models: a whole run of each, and one page that puts them side by side.

    models.json  table.parquet  table.csv  report.html  summary.txt  figures/  models/<name>/   a results folder of each

Every model has a results folder of its own below the study's, so each can be resumed, read and reported by itself. The
table holds all of them, with the column `model`. Estimates are made within a model. Between models nothing is tested:
they are few and were chosen, not drawn. The one exception is a model with its reasoning on and off: there the same
weights get the same items, so the difference is a contrast of arms, paired by item.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from doxa.bridge.evaluate import reasoned
from doxa.bridge.inspect_models import role_models
from doxa.bridge.logs import read_table, write_table
from doxa.evals.catalogue import entry
from doxa.not_yet import refuse_what_is_not_run_yet
from doxa.plan import check_names, what_is_run
from doxa.report.models_page import MODELS, SUMMARY, write_models_page
from doxa.results import LOGS, held_by
from doxa.run import Progress, Silent
from doxa.run import run as run_one
from doxa.stats.estimate import estimate_to_json
from doxa.stats.evaluate import evaluate
from doxa.subject import is_distant, subject_of
from doxa.watched import watched
from doxa.words.contrasts import Contrast, Term
from doxa.words.errors import EnvironmentFault, ResultsError
from doxa.words.store import content_hash, read_json, write_json
from doxa.words.study import ModelChoice, Study, study_to_json

FORMAT = 1


def studies_of(study: Study) -> tuple[Study, ...]:
    """A study of each of a study's models."""
    return tuple(replace(study, models=(choice,)) for choice in study.models)


def folder_of(folder: Path, choice: ModelChoice) -> Path:
    """The results folder of a model below that of its study."""
    slug = "".join(c if c.isalnum() or c in "._" else "-" for c in choice.label).strip("-.")
    return folder / MODELS / f"{slug}.{content_hash(choice.label)[:6]}"


def run(study: Study, folder: Path, *, progress: Progress | None = None) -> Path:
    """Run a study of one model or of several to its report, or go on where an earlier run stopped.

    What can be refused of any model without loading it is refused before the first one runs. A model on which
    something ends in a fault of the environment does not hold up those after it.

    Args:
        study: The specification.
        folder: The results folder.
        progress: Told about every stage and step.

    Returns:
        The path of the report.

    Raises:
        DoxaError: With the way out; what was finished stays.
    """
    if len(study.models) == 1:
        return run_one(study, folder, progress=progress)
    check_all(study)
    with held_by(folder, SUMMARY):
        _check_same(study, folder)
        _write(study, folder, [_state(folder, choice, {}) for choice in study.models], [])
        faults: dict[str, EnvironmentFault] = {}
        for one in studies_of(study):
            (choice,) = one.models
            try:
                run_one(one, folder_of(folder, choice), progress=_Named(progress or Silent(), choice.label))
            except EnvironmentFault as error:
                faults[choice.label] = error
        page = _together(study, folder, faults)
    for name, fault in faults.items():
        raise EnvironmentFault(f"{name}: {fault.found}", expected=fault.expected, way_out=fault.way_out)
    return page


def check_all(study: Study) -> None:
    """Refuse what can be refused without loading a model.

    Raises:
        DoxaError: For the first thing that would go wrong.
    """
    check_names(study)
    role_models(study.roles)
    for one in studies_of(study):
        refuse_what_is_not_run_yet(one)
        watched(what_is_run(one)[0])
        if is_distant(one.models[0], one.folder):
            subject_of(one)


def _check_same(study: Study, folder: Path) -> None:
    path = folder / SUMMARY
    if not path.exists():
        return
    old = read_json(path, what="record of a study of several models", way_out="Choose another folder with --out")
    known, mine = old.get("study"), study_to_json(study)
    # A model more or fewer leaves the folders of the others as they are.
    differs = [key for key in mine if key != "models" and (not isinstance(known, dict) or known.get(key) != mine[key])]
    if differs:
        raise ResultsError(
            f"{folder} holds another study, or an earlier one of this name; it differs in {', '.join(differs)}",
            way_out=f"Run with `--out {folder}-2`, or delete {folder} to start anew",
        )


@dataclass(frozen=True)
class _Named:
    """A progress that says which model a stage is of."""

    inner: Progress
    name: str

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """A stage of the model's begins."""
        self.inner.stage(f"{self.name}: {name}", total, done)

    def step(self, count: int = 1) -> None:
        """Steps of it have ended."""
        self.inner.step(count)


def _together(study: Study, folder: Path, faults: Mapping[str, EnvironmentFault]) -> Path:
    """The table of all models, the record of the study and its page."""
    models = [_state(folder, choice, faults) for choice in study.models]
    tables = {one["name"]: read_table(folder / one["folder"] / "table.parquet") for one in models if one["finished"]}
    if tables:
        write_table(_joined(list(tables.values())), folder)
    names = dict.fromkeys(one.name for one in study.models)
    _write(study, folder, models, [found for name in names for found in _switched(study, name, tables)])
    return write_models_page(folder)


def _state(folder: Path, choice: ModelChoice, faults: Mapping[str, EnvironmentFault]) -> dict[str, Any]:
    own = folder_of(folder, choice)
    with_reasoning, answers = reasoned(own / LOGS)
    return {
        "name": choice.label,
        "folder": own.relative_to(folder).as_posix(),
        "finished": (own / "report.html").exists(),
        "fault": str(faults[choice.label]) if choice.label in faults else "",
        "answers": answers,
        "answers_with_reasoning": with_reasoning,
    }


def _write(study: Study, folder: Path, models: Sequence[Mapping[str, Any]], reasoning: Sequence[Any]) -> None:
    record = {"format": FORMAT, "study": study_to_json(study), "models": models, "reasoning": reasoning}
    write_json(folder / SUMMARY, record)


def _joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    joined = pd.concat(tables, ignore_index=True)
    factors = [name for name in joined.columns if str(name).startswith("factor_")]
    joined[factors] = joined[factors].fillna("")
    return joined


def _switched(study: Study, name: str, tables: Mapping[str, pd.DataFrame]) -> list[dict[str, Any]]:
    """What switching the reasoning of a model changes: every arm, and every declared contrast; paired by item."""
    pair = {way: ModelChoice(name, reasoning=way).label for way in ("on", "off")}
    if not all(label in tables for label in pair.values()):
        return []
    own = {way: tables[label] for way, label in pair.items()}
    parts = [one.assign(model=name, arm=one["arm"] + f"[reasoning={way}]") for way, one in own.items()]
    table = _joined([part[part["control"] == ""] for part in parts])
    present = set(table["arm"])
    arms = [Contrast(arm.name, (Term(1.0, arm.name),)) for arm in study.arms]
    contrasts = [one for one in map(_on_minus_off, [*arms, *study.contrasts]) if {t.arm for t in one.terms} <= present]
    entries = [entry(task.name) for task in study.tasks]
    found = evaluate(
        table,
        contrasts,
        kinds={score: kind for one in entries for score, kind in one.kinds.items()},
        units={one.name: one.unit for one in entries},
    )
    return [{"model": name, "estimate": estimate_to_json(one)} for one in found.estimates]


def _on_minus_off(one: Contrast) -> Contrast:
    ways: Sequence[tuple[str, Callable[[float], float]]] = (("on", float), ("off", lambda weight: -weight))
    terms = [Term(sign(t.weight), f"{t.arm}[reasoning={way}]", t.levels) for way, sign in ways for t in one.terms]
    return Contrast(f"({one.name})[on] - ({one.name})[off]", tuple(terms))
