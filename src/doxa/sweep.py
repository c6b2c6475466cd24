"""Run a sweep: score every cell and every twin, read the grid from the table, and write what holds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from doxa.bridge.tables import write_table
from doxa.evals.catalogue import TaskEntry, entry
from doxa.models.handle import Model
from doxa.not_yet import refuse_what_is_not_run_yet
from doxa.plan import Plan, check_names, make_plan
from doxa.report.sweep_page import RESULT, write_sweep_page
from doxa.results import held, open_folder
from doxa.run import Progress, Silent, materialise_arms, score_chunks
from doxa.scored_table import table_from_chunks
from doxa.stats.sweep import found_to_json, grid_of, infer_sweep
from doxa.subject import load_model
from doxa.words.errors import StudyError
from doxa.words.scope import LEAST_TWINS
from doxa.words.store import write_json
from doxa.words.study import Study
from doxa.words.sweeps import Sweep, sweep_of


def plan_sweep(
    study: Study,
    arm: str,
    *,
    task: str | None = None,
    strengths: Sequence[float] = (),
    widths: Sequence[int] = (1,),
    twins: int = LEAST_TWINS,
) -> tuple[Model, Sweep, Plan]:
    """Load the study's model and lay a sweep out; arguments as `doxa.words.sweeps.sweep_of`.

    Raises:
        DoxaError: When the study, arm or grid cannot be run.
    """
    refuse_what_is_not_run_yet(study)
    check_names(study)
    model = load_model(study)
    sweep = sweep_of(study, arm, n_layers=model.n_layers, task=task, strengths=strengths, widths=widths, twins=twins)
    choice = sweep.study.tasks[0]  # every arm is asked what controls are asked: no item beside the score itself
    asked = replace(choice, arguments={**choice.arguments, **entry(choice.name).control_arguments})
    sweep = replace(sweep, study=replace(sweep.study, tasks=(asked,)))
    plan = make_plan(sweep.study, model)
    if not plan.chunks:
        scored = [one.name for one in study.tasks if entry(one.name).measured(one.arguments, 1)]
        raise StudyError(
            f"the task {sweep.study.tasks[0].name!r} has nothing that is scored without generating",
            expected=" or ".join(scored) or "a task such as doxa/claims",
            way_out="Name another with --task",
        )
    return model, sweep, plan


def run_sweep(
    model: Model, sweep: Sweep, plan: Plan, folder: Path, command: str, *, progress: Progress | None = None
) -> Path:
    """Run a sweep to its page, or go on where an earlier run stopped.

    Args:
        model: The loaded model.
        sweep: The sweep.
        plan: Its plan.
        folder: The results folder.
        command: What was typed, for the page.
        progress: Told about every stage and step.

    Returns:
        The path of the page.

    Raises:
        DoxaError: With the way out; what was finished stays.
    """
    progress = progress or Silent()
    with held(folder):
        open_folder(folder, plan)
        arms = materialise_arms(plan, model, folder, progress)
        done = score_chunks(plan, model, arms, folder, progress)
        progress.stage("table and estimates", 2)
        table = table_from_chunks(plan, done)
        write_table(table, folder)
        progress.step()
        write_json(folder / RESULT, {**swept(sweep, plan, table), "command": command})
        page = write_sweep_page(folder)
        progress.step()
    return page


def swept(sweep: Sweep, plan: Plan, table: pd.DataFrame) -> dict[str, Any]:
    """What a sweep found, as plain data: the grid of every leading score of its task, and what holds of it."""
    task = plan.entries[0]
    return {
        "study": sweep.study.name,
        "arm": sweep.arm,
        "model": plan.model.label,
        "dtype": plan.model.dtype,
        "task": task.name,
        "strengths": sorted({cell.strength for cell in sweep.cells.values()}),
        "unit": unit_of(task, task.primary[0]),
        "scores": {
            score: found_to_json(infer_sweep(grid_of(table, sweep.cells, task=task.name, score=score)))
            for score in task.primary
        },
    }


def unit_of(task: TaskEntry, score: str) -> str:
    """What the units of a score are called."""
    names: Mapping[str, str] = {one.score: one.unit for one in task.derivations}
    return names.get(score, "item")
