"""A plan: every name pinned, every cell and chunk laid out, before anything runs.

A chunk is the unit of batching and of commit (law 9): scored items of one task for one arm, at most `CHUNK_ITEMS` at a
time. Its id is the hash of all that decides its content, so a resumed study forms the same chunks, and an edited
belief makes exactly the chunks of the arms that use it anew.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from doxa import __version__
from doxa.adapters import Stages, Training, trainings
from doxa.bridge.judges import ATTEMPTS
from doxa.evals.catalogue import JUDGE, Measured, TaskEntry, asked_roles, entry
from doxa.left_out import without_scoring
from doxa.models.handle import Model
from doxa.not_yet import refuse_what_is_not_run_yet
from doxa.plan_checks import check_plan
from doxa.resolve import find_names, made_from, pin
from doxa.subject import Distant, Subject, is_distant, pin_texts
from doxa.task_arguments import task_arguments
from doxa.words.arms import Arm
from doxa.words.contrasts import contrast_to_json
from doxa.words.controls import controls_of, edit_of, generates
from doxa.words.errors import StudyError, nearest
from doxa.words.interventions import Prompt, Steer
from doxa.words.left_out import LeftOut
from doxa.words.stages import replicates, tunes_of
from doxa.words.store import content_hash
from doxa.words.study import ModelChoice, Study, TaskChoice, model_to_json, study_to_json
from doxa.words.tuning import configuration_to_json

FORMAT = 2
CHUNK_ITEMS = 96
VECTOR_CONTROLS = ("twin", "unrelated")


@dataclass(frozen=True)
class Chunk:
    """Scored items of one task for one arm.

    Attributes:
        id: Content hash; the name of the file it is committed to.
        task: Index of the task in the study.
        arm: The pinned arm.
        items: What is measured.
    """

    id: str
    task: int
    arm: Arm
    items: tuple[Measured, ...]


@dataclass(frozen=True)
class Cell:
    """One arm on one generating task: `samples` items, `runs` times each, in one Inspect log."""

    task: int
    arm: Arm
    samples: int
    runs: int
    max_tokens: int


@dataclass(frozen=True)
class Plan:
    """Everything that will run, and what it was made from.

    Where a model is served elsewhere the study is what that model can do of it, and the fingerprint is "". An arm that
    is trained stands in it once for every training seed; `trainings` are the adapters, which several arms may share.
    """

    study: Study
    model: ModelChoice
    fingerprint: str
    arms: tuple[Arm, ...]
    controls: tuple[Arm, ...]
    chunks: tuple[Chunk, ...]
    cells: tuple[Cell, ...]
    left_out: tuple[LeftOut, ...] = ()
    trainings: tuple[Training, ...] = ()

    @property
    def entries(self) -> tuple[TaskEntry, ...]:
        """The entries of the study's tasks, in the study's order; they lead with scores that the model can get.

        The first leads with those that the study names, where it names some.
        """
        first, *others = (entry(task.name) for task in self.study.tasks)
        first = replace(first, primary=self.study.lead) if self.study.lead else first
        return tuple([first, *others] if self.fingerprint else map(_without_scoring, [first, *others]))

    @property
    def digest(self) -> str:
        """Hash of everything that decides the results."""
        return content_hash(
            [self.fingerprint, [chunk.id for chunk in self.chunks], study_to_json(self.study)]
            + [
                [
                    one.content(task_arguments(self.study, task))
                    for one, task in zip(self.entries, self.study.tasks, strict=True)
                ]
            ]
            + [[cell.task, cell.arm.digest, cell.samples, cell.runs] for cell in self.cells]
        )

    @property
    def conditions(self) -> str:
        """Hash of what decides an arm's written answers beside the arm: the model, the seed, what is asked and how."""
        study = self.study
        tasks = [
            [
                one.name,
                one.version,
                dict(task.arguments),
                one.content(task_arguments(study, task)),
                list(map(asdict, one.derivations)),
            ]
            for one, task in zip(self.entries, study.tasks, strict=True)
        ]
        asked = [dict(study.generate or {}), dict(study.roles or {}), study.limit]
        computed = [__version__, self.fingerprint, self.model.dtype, self.model.device, study.seed]
        return content_hash([computed, asked, tasks])


def _without_scoring(one: TaskEntry) -> TaskEntry:
    written = {*one.written, *(each.score for each in one.derivations if each.source in one.written)}
    return replace(one, primary=tuple(score for score in one.primary if score in written) or one.written[:1])


def make_plan(study: Study, model: Subject) -> Plan:
    """Lay out a study.

    Args:
        study: The specification.
        model: The loaded model, or one that is served elsewhere.

    Raises:
        NotYetError: When the study asks for what this version does not run.
        StudyError: When a task or its arguments are unknown.
        DoxaError: When a name cannot be pinned.
    """
    refuse_what_is_not_run_yet(study)
    choice = study.models[0]
    entries = [entry(task.name) for task in study.tasks]
    left_out: tuple[LeftOut, ...] = ()
    trained: tuple[Training, ...] = ()
    if isinstance(model, Distant):
        study, left_out = what_is_run(study)
        entries = [entry(task.name) for task in study.tasks]
        pinned = pin_texts(study.arms, model, study.folder)
    else:
        first_only = () if study.steer_controls.seeds == "all" else VECTOR_CONTROLS
        everyone = replicates((*study.arms, *controls_of(study)), study.seeds, first_only)
        stages: Stages = {}
        pinned = pin(everyone, model, folder=study.folder, seed=study.seed, stages=stages)
        trained = trainings(pinned, model, folder=study.folder, seed=study.seed, known=stages)
    named = tuple(arm for arm in pinned if not arm.control)
    controls = tuple(arm for arm in pinned if arm.control)
    chunks: list[Chunk] = []
    cells: list[Cell] = []
    for index, (task, one) in enumerate(zip(study.tasks, entries, strict=True)):
        for arm in pinned:
            if not _in_scope(study, task, arm):
                continue
            if isinstance(model, Distant):
                continue
            own = task_arguments(study, task)
            arguments = {**own, **one.control_arguments} if _is_vector_control(arm) else own
            items = one.measured(arguments, _item_limit(study, arm))
            for start in range(0, len(items), CHUNK_ITEMS):
                part = items[start : start + CHUNK_ITEMS]
                chunks.append(Chunk(_chunk_id(choice, model.fingerprint, task, one, arm, part), index, arm, part))
        samples = one.open_items(task_arguments(study, task), study.limit)
        most = int((study.generate or {}).get("max_tokens", one.max_tokens(task.arguments)))
        cells += [
            Cell(index, arm, samples, study.runs, most) for arm in (*named, *filter(generates, controls)) if samples
        ]
    plan = Plan(study, choice, model.fingerprint, named, controls, tuple(chunks), tuple(cells), left_out, trained)
    check_plan(plan, counts(plan), model if isinstance(model, Model) else None)
    return plan


def what_is_run(study: Study) -> tuple[Study, tuple[LeftOut, ...]]:
    """What of a study its one model can do, and what is left out.

    Raises:
        StudyError: When that is nothing.
    """
    if not is_distant(study.models[0], study.folder):
        return study, ()
    entries = [entry(task.name) for task in study.tasks]
    return without_scoring(study, entries, [task_arguments(study, task) for task in study.tasks])


def check_names(study: Study) -> None:
    """Check, without a model, that the tasks, arguments, beliefs and pairs that a study names are there.

    Raises:
        StudyError: When a task or an argument is unknown.
        ProseError: When a belief or pairs file cannot be found or read.
    """
    for task in study.tasks:
        one, arguments = entry(task.name), task_arguments(study, task)
        one.measured(arguments, study.limit)
        one.open_items(arguments, study.limit)
        one.content(arguments)
    _check_roles(study)
    find_names((*study.arms, *controls_of(study)), folder=study.folder)


def _check_roles(study: Study) -> None:
    """A role that nobody asks would stand in the report as if it had been asked."""
    asked = {role for task in study.tasks for role in asked_roles(entry(task.name), task_arguments(study, task))}
    for role in study.roles or {}:
        if role not in asked:
            raise StudyError(
                f"no task of study {study.name!r} asks a model in the role {role!r}",
                way_out=nearest(role, asked) if asked else "Leave `roles` out, or add a task that asks one",
            )


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """What `plan.json` holds: the study, the pins and the versions; enough to say later what a report was made from."""
    return {
        "format": FORMAT,
        "doxa": __version__,
        "digest": plan.digest,
        "conditions": plan.conditions,
        "study_hash": plan.study.hash,
        "study": study_to_json(plan.study),
        "model": _model_summary(plan),
        "made_from": dict(made_from((*plan.arms, *plan.controls))),
        "tasks": [
            {
                "name": one.name,
                "version": one.version,
                "arguments": dict(task.arguments),
                "primary": [*one.primary, *one.own_scores(task_arguments(plan.study, task))],
                "kinds": dict(one.kinds),
                "unit": one.unit,
                "shown": [*one.shown, *one.own_scores(task_arguments(plan.study, task))],
            }
            for one, task in zip(plan.entries, plan.study.tasks, strict=True)
        ],
        "arms": [_arm_summary(arm) for arm in (*plan.arms, *plan.controls)],
        "contrasts": [contrast_to_json(one) for one in plan.study.contrasts],
        "counts": counts(plan),
        "left_out": [vars(one) for one in plan.left_out],
        **({"trainings": [_training_summary(one) for one in plan.trainings]} if plan.trainings else {}),
    }


def counts(plan: Plan) -> dict[str, int]:
    """How much there is to do: arms, controls, chunks, scored items, prompts to score, generations, tokens at most.

    `judge_calls` are the verdicts on what is generated, if the study names a judge, who is asked again where he gives
    none. Generations and all that is called `at_most` are upper bounds: a conversation may end before its last turn.
    """
    tasks = [(one, task_arguments(plan.study, task)) for one, task in zip(plan.entries, plan.study.tasks, strict=True)]
    answers = [one.answers(given) + (0 if plan.fingerprint else one.side_questions(given)) for one, given in tasks]

    def calls(of_task: Sequence[int]) -> int:
        return sum(cell.samples * cell.runs * of_task[cell.task] for cell in plan.cells)

    verdicts = calls([one.judge_calls(given) for one, given in tasks]) if JUDGE in (plan.study.roles or {}) else 0
    return {
        "arms": len(plan.arms),
        "controls": len(plan.controls),
        "chunks": len(plan.chunks),
        "scored_items": sum(len(chunk.items) for chunk in plan.chunks),
        "scored_prompts": sum(len(item.prompts) for chunk in plan.chunks for item in chunk.items),
        "generations": calls(answers),
        "tokens_at_most": sum(cell.samples * cell.runs * answers[cell.task] * cell.max_tokens for cell in plan.cells),
        "judge_calls": verdicts,
        "judge_requests_at_most": verdicts * ATTEMPTS,
        "role_calls_at_most": calls([one.role_calls(given) for one, given in tasks]),
    }


def _in_scope(study: Study, task: TaskChoice, arm: Arm) -> bool:
    scope = study.steer_controls.tasks
    return not _is_vector_control(arm) or scope is None or task.name in scope


def _is_vector_control(arm: Arm) -> bool:
    return arm.control in VECTOR_CONTROLS


def _item_limit(study: Study, arm: Arm) -> int | None:
    limits = [study.limit, study.steer_controls.items if _is_vector_control(arm) else None]
    return min((limit for limit in limits if limit is not None), default=None)


def _chunk_id(
    model: ModelChoice, fingerprint: str, task: TaskChoice, one: TaskEntry, arm: Arm, items: Sequence[Measured]
) -> str:
    return content_hash(
        {
            "format": FORMAT,
            "arm": arm.digest,
            "model": fingerprint,
            "dtype": model.dtype,
            "device": model.device,
            "task": [one.name, one.version, dict(task.arguments)],
            "items": [
                [
                    item.id,
                    item.kind,
                    [[vars(m) for m in prompt] for prompt in item.prompts],
                    item.options,
                    dict(item.factors),
                ]
                for item in items
            ],
        }
    )[:24]


def _model_summary(plan: Plan) -> dict[str, Any]:
    """The model as a report shows it; of one that is served elsewhere nothing is known but its name."""
    known = model_to_json(plan.model) if plan.fingerprint else {}
    return {**known, "name": plan.model.label, "fingerprint": plan.fingerprint}


def _training_summary(one: Training) -> dict[str, Any]:
    stages = [{**vars(stage), "configuration": configuration_to_json(stage.configuration)} for stage in one.stages]
    return {"key": one.key, "seed": one.seed, "arms": list(one.arms), "stages": stages}


def _arm_summary(arm: Arm) -> dict[str, Any]:
    return {
        "name": arm.name,
        "of": arm.of,
        "control": arm.control,
        "digest": arm.digest,
        "label": arm.label,
        "levels": dict(arm.levels),
        "prompted": any(isinstance(one, Prompt) for one in arm.interventions),
        "steered": any(isinstance(one, Steer) for one in arm.interventions),
        **({"tuned": True} if tunes_of(arm) else {}),
        **({} if arm.seed is None else {"seed": arm.seed}),
        "thought": edit_of(arm),
        "vectors": [one.vector.name for one in arm.interventions if isinstance(one, Steer)],
    }
