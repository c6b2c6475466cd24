"""Run a study: plan, vectors, dose, chunks, logs, table, estimates, report. Every step resumes where it stopped."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from doxa.adapters import steps_of
from doxa.bridge.arms import PreparedArm, prepare
from doxa.bridge.evaluate import MAX_CONNECTIONS, ArmTask, Written, logs_of, run_tasks, runs_written, transcripts
from doxa.bridge.inspect_models import reasoning_settings, role_models
from doxa.bridge.logs import table_from_logs, write_table
from doxa.bridge.offered import offering
from doxa.evals.catalogue import TaskEntry
from doxa.evals.scores import task_metadata
from doxa.measure import measure
from doxa.models.handle import Model
from doxa.not_yet import refuse_what_is_not_run_yet
from doxa.plan import Plan, check_names, make_plan, what_is_run
from doxa.report.page import write_report
from doxa.resolve import adapter_of, arm_path, materialise, vector_of, with_adapters
from doxa.results import (
    DOSE,
    LOGS,
    archive_logs,
    commit_chunk,
    held,
    open_folder,
    read_chunk,
    read_dose,
)
from doxa.scored_logs import ScoredGroup, scored_groups, write_group
from doxa.stats.evaluate import Evaluation, evaluate, to_json
from doxa.subject import Subject, subject_of
from doxa.taken_over import adopt_answers, adopt_chunk
from doxa.task_arguments import task_arguments
from doxa.topping_up import top_up
from doxa.trained_on import describe_corpora
from doxa.vectors.dose import doses
from doxa.watched import watched
from doxa.words.arms import ADAPTER_PIN, Arm, write_arm
from doxa.words.errors import EnvironmentFault
from doxa.words.interventions import Steer
from doxa.words.store import write_json
from doxa.words.study import Study

DOSE_CONTROLS = 6
"""Controls of each family whose dose is measured: a band for the figure, at a sixth of the time of all 39."""
DOSE_CONVERSATIONS = 4
"""Reference conversations on which the dose of a study's arms is measured, as `doxa dose` measures it."""


class Progress(Protocol):
    """What a run tells about itself; the command line draws it."""

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """A stage begins; `done` of its `total` steps were finished earlier."""

    def step(self, count: int = 1) -> None:
        """Steps of the stage have ended."""


@dataclass(frozen=True)
class Silent:
    """A progress that says nothing."""

    def stage(self, name: str, total: int, done: int = 0) -> None:
        """Nothing."""

    def step(self, count: int = 1) -> None:
        """Nothing."""


def run(study: Study, folder: Path, *, progress: Progress | None = None) -> Path:
    """Run a study to its report, or go on where an earlier run stopped.

    Args:
        study: The specification.
        folder: The results folder.
        progress: Told about every stage and step.

    Returns:
        The path of the report.

    Raises:
        DoxaError: With the way out; what was finished stays.
    """
    progress = progress or Silent()
    progress.stage("loading the model", 1)
    model, plan = load_and_plan(study)
    progress.step()
    with held(folder), offering(model if isinstance(model, Model) else None, folder):
        created = open_folder(folder, plan)
        if isinstance(model, Model):
            arms = materialise_arms(plan, model, folder, progress)
            _measure_dose(plan, model, arms, folder, progress)
            done = score_chunks(plan, model, arms, folder, progress)
        else:
            arms, done = _arm_files(plan, folder), {}
        groups = scored_groups(plan)
        generating = _generating(plan, arms, folder)
        written_by = {task.model: cell.arm for task, cell in zip(generating, plan.cells, strict=True)}
        adopt_answers(folder, written_by, plan)
        archive_logs(folder, {group.file for group in groups} | set(logs_of(folder / LOGS, written_by)))
        _write_logs(plan, groups, arms, done, folder, created, progress)
        written = _generate(plan, generating, folder, progress)
        # A log of the same arm that Inspect did not take for this task's: the folder was moved, the task has changed.
        archive_logs(folder, {group.file for group in groups} | written.logs)
        report = finish(plan, folder, progress)
    if written.errors:
        raise EnvironmentFault(
            f"{len(written.errors)} of {written.samples} answers ended in an error and count as missing in {report}; "
            f"the first: {written.errors[0]}",
            way_out="Run the same command again: only these are asked for again",
        )
    return report


def load_and_plan(study: Study) -> tuple[Subject, Plan]:
    """Load the study's model and lay the study out; what can be refused without a model is refused before."""
    refuse_what_is_not_run_yet(study)
    check_names(study)
    watched(what_is_run(study)[0])
    role_models(study.roles)
    model = subject_of(study)
    return model, make_plan(study, model)


def finish(plan: Plan, folder: Path, progress: Progress) -> Path:
    """From logs to table, estimates and report."""
    progress.stage("table and estimates", 3)
    table = table_from_logs(folder / LOGS)
    write_table(table, folder)
    progress.step()
    evaluation = infer(plan, table)
    notes = [{"code": "left_out", "subject": vars(one)} for one in plan.left_out]
    write_json(folder / "estimates.json", to_json(replace(evaluation, notes=(*notes, *evaluation.notes))))
    progress.step()
    write_json(folder / "transcripts.json", {"transcripts": transcripts(folder / LOGS)})
    progress.step()
    progress.stage("report", 1)
    report = write_report(folder)
    progress.step()
    return report


def infer(plan: Plan, table: pd.DataFrame) -> Evaluation:
    """The estimates of a study from its table: its contrasts, with the leading scores of its first task declared.

    Raises:
        ResultsError: When the table is not one of this study.
    """
    given = [(one, task_arguments(plan.study, task)) for one, task in zip(plan.entries, plan.study.tasks, strict=True)]
    first, arguments = given[0]
    return evaluate(
        table,
        plan.study.contrasts,
        primary=plan.study.primary,
        scores=[(first.name, score) for score in (*first.primary, *first.own_scores(arguments))],
        kinds={score: kind for one in plan.entries for score, kind in one.kinds.items()},
        bounds={(one.name, score): scale for one, own in given for score, scale in one.scales(own).items()},
        margins=plan.study.margins,
        units={one.name: one.unit for one in plan.entries},
        steered=[arm.name for arm in plan.arms if any(isinstance(one, Steer) for one in arm.interventions)],
    )


def materialise_arms(plan: Plan, model: Model, folder: Path, progress: Progress) -> dict[str, Arm]:
    """Make the adapters, the vectors and the arm files of a plan; the arms by their keys."""
    everyone: Sequence[Arm] = (*plan.arms, *plan.controls)
    study = plan.study
    if any(ADAPTER_PIN in arm.pins for arm in everyone):
        progress.stage("training", *steps_of(plan.trainings))
        everyone = with_adapters(
            everyone, model, results=folder, folder=study.folder, seed=study.seed, progress=progress.step
        )
        describe_corpora(
            plan.trainings,
            model,
            folder=study.folder,
            results=folder,
            progress=progress.stage,
            step=progress.step,
        )
    pins = [(name, pin) for arm in everyone for name, pin in arm.pins.items()]
    progress.stage("vectors", len({pin.hash for name, pin in pins if pin.text is None and name != ADAPTER_PIN}))
    made = materialise(everyone, model, results=folder, folder=study.folder, progress=lambda _: progress.step())
    return {arm.key: arm for arm in made}


def _arm_files(plan: Plan, folder: Path) -> dict[str, Arm]:
    """Write the arm files of a plan whose arms name texts alone, which their pins hold; the arms by their keys."""
    for arm in plan.arms:
        write_arm(arm_path(folder, arm), arm)
    return {arm.key: arm for arm in plan.arms}


def _measure_dose(plan: Plan, model: Model, arms: Mapping[str, Arm], folder: Path, progress: Progress) -> None:
    """Measure what arrives at every layer, for every steered arm and the first controls of each family.

    Of an arm that is also trained, under its first training seed.
    """
    shown = [arms[arm.key] for arm in plan.arms if arm.seed in (None, 1)]
    for arm in plan.controls:
        _, _, index = arm.name.rpartition("/")
        if index.isdigit() and int(index) < DOSE_CONTROLS and arm.seed in (None, 1):
            shown.append(arms[arm.key])
    steered = []
    for arm in shown:
        steers = [one for one in arm.interventions if isinstance(one, Steer)]
        if len(steers) == 1:  # the dose of one vector along its own direction; arms with several have no such line
            vector = vector_of(model, arm, steers[0], results=folder)
            steered.append((arm.name, steers[0], vector, adapter_of(model, arm, results=folder)))
    due = {(name, layer) for name, *_ in steered for layer in range(model.n_layers)}
    if read_dose(folder) == due:
        return
    progress.stage("measured dose", len(steered))
    measured = doses(
        model,
        [(steer, vector) for _, steer, vector, _ in steered],
        [low_rank for *_, low_rank in steered],
        limit=DOSE_CONVERSATIONS,
        progress=progress.step,
    )
    rows = [{"arm": name, **vars(row)} for (name, *_), found in zip(steered, measured, strict=True) for row in found]
    write_json(folder / DOSE, {"rows": rows})


def score_chunks(
    plan: Plan, model: Model, arms: Mapping[str, Arm], folder: Path, progress: Progress
) -> dict[str, Mapping[str, Any]]:
    """Measure the chunks of a plan that are not committed yet, one after the other; all results by chunk id."""
    done = {chunk.id: result for chunk in plan.chunks if (result := read_chunk(folder, chunk)) is not None}
    progress.stage("scoring", len(plan.chunks), len(done))
    prepared: dict[str, PreparedArm] = {}
    for chunk in plan.chunks:
        if chunk.id in done:
            continue
        result = adopt_chunk(folder, chunk, plan)
        if result is None:
            key = chunk.arm.key
            if key not in prepared:
                prepared[key] = prepare(model, arm_path(folder, arms[key]))
            result = measure(model, chunk, plan.entries[chunk.task], prepared[key])
            commit_chunk(folder, chunk, result)
        done[chunk.id] = result
        progress.step()
    return done


def _write_logs(
    plan: Plan,
    groups: Sequence[ScoredGroup],
    arms: Mapping[str, Arm],
    done: Mapping[str, Mapping[str, Any]],
    folder: Path,
    created: str,
    progress: Progress,
) -> None:
    progress.stage("logs of what was scored", len(groups))
    for group in groups:
        path = folder / LOGS / group.file
        if not path.exists():
            write_group(path, plan, group, done, created)
        progress.step()


def _generating(plan: Plan, arms: Mapping[str, Arm], folder: Path) -> list[ArmTask]:
    tasks = []
    for cell in plan.cells:
        choice, entry, arm = plan.study.tasks[cell.task], plan.entries[cell.task], arms[cell.arm.key]
        block = task_metadata(entry.name, entry.version, entry.derivations)["doxa"]
        # Below the results folder: a folder that was moved is the same study to Inspect.
        file = {"arm": arm_path(Path(), arm).as_posix()}
        here = bool(plan.fingerprint)
        tasks.append(
            ArmTask(
                make=_maker(entry, task_arguments(plan.study, choice), plan.study.limit),
                model=f"doxa/{plan.model.label}+{arm.label}" if here else f"doxa-arm/{plan.model.name}+{arm.label}",
                arguments={**file, "dtype": plan.model.dtype, "device": plan.model.device} if here else file,
                settings={"max_connections": MAX_CONNECTIONS}
                if here
                else reasoning_settings(plan.model.name, plan.model.reasoning),
                metadata={
                    "doxa": {**block, "study": plan.study.name, "model": plan.model.label, "arm": arm.name}
                    | {
                        "of": arm.of,
                        "control": arm.control,
                        "seed": arm.seed or 0,
                        "study_seed": plan.study.seed,
                        "levels": dict(arm.levels),
                    }
                },
            )
        )
    return tasks


def _generate(plan: Plan, tasks: Sequence[ArmTask], folder: Path, progress: Progress) -> Written:
    """Generate all runs, or a step of runs after the other until the study's rule is met."""
    samples, watching = sum(cell.samples for cell in plan.cells), watched(plan.study)
    roles = role_models(plan.study.roles)

    def up_to(runs: int, done: int) -> Written:
        if watching is not None:  # where looks were lost, runs are not: fewer epochs would make Inspect drop samples
            runs = max(runs, runs_written(folder / LOGS, {one.model for one in tasks}))
        progress.stage(f"generating runs {done + 1} to {runs}" if watching else "generating", samples * (runs - done))
        return run_tasks(
            tasks,
            folder / LOGS,
            runs=runs,
            seed=plan.study.seed if plan.fingerprint else None,
            generate=plan.study.generate or {},
            roles=roles,
            progress=progress.step,
        )

    return up_to(plan.study.runs, 0) if watching is None else top_up(watching, plan.digest, folder, up_to)


def _maker(entry: TaskEntry, arguments: Mapping[str, Any], limit: int | None) -> Callable[[], Any]:
    make = entry.generated
    assert make is not None, "a task with open items generates"
    return lambda: make(arguments, limit)
