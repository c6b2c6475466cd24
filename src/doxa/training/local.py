"""Training an adapter on this machine: stages, steps, checkpoints, and going on after an interruption.

What a run becomes is decided by its rows, configurations and seeds alone. A run that was killed goes on from its last
checkpoint and ends with the same bits (on the same machine, with as many threads).
"""

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from doxa.models.handle import Model
from doxa.training import checkpoints as kept
from doxa.training.adapter import METRICS_FILE, RUN_FILE, Stage, check_folder, is_finished, manifest, write_adapter
from doxa.training.metrics import Metrics, opened, read_metrics
from doxa.training.schedule import learning_rate, reduced, rows_of_step, total_steps
from doxa.training.steps import (
    Trainable,
    adamw_step,
    forward_backward,
    gradient_norm,
    load_state,
    restart_optimizer,
    trainable,
)
from doxa.words.errors import EnvironmentFault, TrainingError
from doxa.words.store import locked, write_atomic, write_json
from doxa.words.tuning import TrainingSeeds

__all__ = ["METRICS_FILE", "Evaluator", "Stage", "total_steps", "train"]

MINUTES = 5.0
"""Between checkpoints that are made so that less is lost; the last of them is kept, until the end."""


@dataclass(frozen=True)
class Evaluator:
    """Something that is measured while an adapter is trained.

    Attributes:
        name: As the lines of `metrics.jsonl` name it.
        every: After every so many steps of a stage, and after its last.
        measure: Values by their names. It must leave the matrices as they are.
    """

    name: str
    every: int
    measure: Callable[[Trainable], Mapping[str, float]]


@dataclass(frozen=True)
class _Step:
    """A step of a run: of which stage, from 0; which of it and of the run, from 1; of how many of the stage."""

    stage: int
    step: int
    of: int
    count: int
    last_stage: bool

    @property
    def name(self) -> str:
        """Of its checkpoint."""
        return _name(self.step) if self.last_stage else f"stage-{self.stage + 1}-step-{self.step}"


@dataclass(frozen=True)
class _Run:
    """A training run.

    Attributes:
        model: The base model.
        stages: What is trained on, and how.
        seeds: Of the matrices and of the order.
        folder: Of the adapter.
        steps: All of them.
        wanted: After which steps of the last stage the adapter is kept.
        evaluators: What is measured meanwhile.
        progress: Told of steps.
        begins_with: Folder of the finished training of all stages but the last.
    """

    model: Model
    stages: Sequence[Stage]
    seeds: TrainingSeeds
    folder: Path
    steps: Sequence[_Step]
    wanted: frozenset[int]
    evaluators: Sequence[Evaluator]
    progress: Callable[[int], None]
    begins_with: Path | None

    def names(self) -> set[str]:
        """Of the checkpoints that are kept."""
        return {_name(step) for step in self.wanted}


def train(
    model: Model,
    stages: Sequence[Stage],
    seeds: TrainingSeeds,
    folder: Path,
    *,
    progress: Callable[[int], None] | None = None,
    evaluators: Sequence[Evaluator] = (),
    checkpoints: Collection[int] = (),
    begins_with: Path | None = None,
) -> Path:
    """Train an adapter, or find it trained; what was begun is gone on with.

    AdamW begins anew in every stage.

    Args:
        model: The base model, which is not changed.
        stages: At least one. They agree in `rank`, `alpha` and `dtype`.
        seeds: Of the matrices and of the order.
        folder: Where the adapter is to lie; one that does not exist, is empty, or holds this training.
        progress: Told how many more steps are made: at once those that were made before, then one by one.
        evaluators: What is measured meanwhile. They do not decide what the adapter becomes.
        checkpoints: After which steps of the last stage the adapter is kept, in `checkpoints/step-N`. Those that a
            finished training lacks are made by training again.
        begins_with: The folder of the same training without its last stage, finished: the last stage goes on from
            there, to the same bits as from the beginning.

    Returns:
        The folder.

    Raises:
        TrainingError: When the folder holds something else, the stages do not fit together, a checkpoint lies beyond
            the last step, or the loss is not a number.
        EnvironmentFault: When the disk is full, or files of the folder are damaged.
    """
    _check_stages(stages)
    steps = _steps(stages)
    run = _Run(
        model,
        stages,
        seeds,
        folder,
        steps,
        frozenset(checkpoints),
        evaluators,
        progress or (lambda count: None),
        begins_with,
    )
    for step in run.wanted:
        if not 1 <= step <= steps[-1].step:
            raise TrainingError(
                f"a checkpoint after step {step}",
                expected=f"1 to {steps[-1].step}: training on {stages[-1].corpus} ends there",
                way_out="Lower it, or raise `steps` or `epochs`",
            )
    said = manifest(model, stages, seeds)
    with locked(folder.with_name(f"{folder.name}.lock")):  # another process may be training the same
        there = check_folder(folder, said)
        begun = there is None or not is_finished(folder)
        if begun:
            _train(run, said, there or {})
        if missing := {step for step in run.wanted if not kept.is_there(folder, _name(step))}:
            # Of an interrupted training too: they were not asked for when it came by them.
            _train_again(replace(run, progress=lambda count: None) if begun else run, missing)
        elif not begun:
            run.progress(len(steps))
    return folder


def _check_stages(stages: Sequence[Stage]) -> None:
    if len({(one.configuration.rank, one.configuration.alpha, one.configuration.dtype) for one in stages}) != 1:
        raise TrainingError(
            "the stages of a training differ in rank, alpha or dtype" if stages else "a training without stages",
            expected="one adapter, trained in at least one stage",
            way_out="Write the same `rank`, `alpha` and `dtype` in each",
        )
    for stage in stages:
        if not stage.tokens:
            raise TrainingError(f"the corpus {stage.corpus} has no rows", way_out="Give it at least one")


def _name(step: int) -> str:
    return f"step-{step}"


def _steps(stages: Sequence[Stage]) -> list[_Step]:
    found: list[_Step] = []
    for number, stage in enumerate(stages):
        count = total_steps(stage.configuration, len(stage.tokens))
        last, before = number == len(stages) - 1, len(found)
        found += [_Step(number, step, count, before + step, last) for step in range(1, count + 1)]
    return found


def _train(run: _Run, said: dict[str, Any], there: Mapping[str, Any]) -> None:
    """Train to the end, from the beginning or the last checkpoint, which a run that `there` tells of has left."""
    made = trainable(run.model, run.stages[0].configuration, run.seeds.initialisation)
    place = kept.go_on(made, run.folder)
    if not place.steps and run.begins_with is not None:
        place = _begun(made, run, run.begins_with)
    said = said | {"threads": _threads(there if place.steps else {})}
    write_json(run.folder / RUN_FILE, said | {"finished": False})
    run.progress(place.steps)
    saved = time.monotonic()
    with opened(run.folder / METRICS_FILE, place.metrics) as metrics:
        for step in run.steps[place.steps :]:
            _step(made, run, step, metrics)
            due = step.last_stage and step.step in run.wanted
            if due or time.monotonic() - saved >= 60 * MINUTES:
                kept.keep(made, run.folder, step.name, kept.Place(step.count, metrics.bytes()))
                kept.leave_only(run.folder, {step.name, *run.names()}, whole=True)
                saved = time.monotonic()
            run.progress(1)
    write_json(run.folder / RUN_FILE, said | {"finished": True, "done": _totals(run.folder)})
    write_adapter(made, run.folder)
    kept.leave_only(run.folder, run.names(), whole=False)


def _threads(there: Mapping[str, Any]) -> list[int]:
    """Under how many threads the parts of a run were made: where there are several, its bits are nobody else's."""
    before = there.get("threads")
    known = [one for one in before if isinstance(one, int)] if isinstance(before, list) else []
    return list(dict.fromkeys([*known, torch.get_num_threads()]))


def _begun(made: Trainable, run: _Run, folder: Path) -> kept.Place:
    """Take the adapter and the record of the stages before the last one."""
    said = check_folder(folder, manifest(run.model, run.stages[:-1], run.seeds))
    if said is None or not is_finished(folder):
        raise EnvironmentFault(
            f"{folder} holds no finished training of the stages before {run.stages[-1].corpus}",
            way_out="Run the same command again: they are trained first",
        )
    load_state(made, folder, with_optimizer=False)
    record = (folder / METRICS_FILE).read_bytes()
    write_atomic(run.folder / METRICS_FILE, record)
    return kept.Place(sum(not step.last_stage for step in run.steps), len(record))


def _train_again(run: _Run, missing: set[int]) -> None:
    """Make checkpoints that a finished training lacks."""
    made = trainable(run.model, run.stages[0].configuration, run.seeds.initialisation)
    for step in run.steps:
        _step(made, run, step, None)
        run.progress(1)
        if step.last_stage and step.step in missing:
            kept.keep(made, run.folder, step.name, kept.Place(step.count, 0))
            kept.without_optimizer(run.folder, step.name)
        if step.last_stage and step.step == max(missing):
            run.progress(len(run.steps) - step.count)
            return


def _step(made: Trainable, run: _Run, step: _Step, metrics: Metrics | None) -> None:
    """Make a step, and measure what is due after it.

    Raises:
        TrainingError: When the loss or the gradient is not a number; the matrices are as they were.
    """
    began = time.perf_counter()
    stage = run.stages[step.stage]
    configuration = stage.configuration
    if step.step == 1:
        restart_optimizer(made)
    drawn = rows_of_step(configuration, len(stage.tokens), run.seeds.order, step.stage, step.step - 1)
    rows = [stage.tokens[index] for index in drawn]
    found = forward_backward(made, reduced(rows, configuration.reduction))
    norm = gradient_norm(made)
    if not math.isfinite(found.total) or not math.isfinite(norm):
        raise _diverged(made, run, step, f"a loss of {found.total:g} and a gradient of norm {norm:g}", metrics)
    rate = learning_rate(configuration, step.step - 1, step.of)
    adamw_step(made, rate, configuration)
    if metrics is None:
        return
    pairs = zip(rows, found.logprobs, strict=True)
    lost = sum(float(-(own.double() * torch.tensor(row.weights).double()).nansum()) for row, own in pairs)
    where = {"stage": step.stage + 1, "step": step.step}
    metrics.add(
        where
        | {
            "loss": lost / (sum(sum(row.weights) for row in rows) or 1.0),
            "learning_rate": rate,
            "gradient_norm": norm,
            "tokens": sum(len(row.tokens) for row in rows),
            "trained_tokens": sum(row.trained for row in rows),
            "seconds": round(time.perf_counter() - began, 3),
        }
    )
    for one in run.evaluators:
        if step.step == step.of or step.step % one.every == 0:
            metrics.add(where | {"evaluation": one.name} | dict(one.measure(made)))


def _diverged(made: Trainable, run: _Run, step: _Step, found: str, metrics: Metrics | None) -> TrainingError:
    """Keep what there was before the step, and say where it is."""
    good = "the matrices were not changed yet"
    if step.count > 1 and metrics is not None:
        before = run.steps[step.count - 2]
        place = kept.keep(made, run.folder, before.name, kept.Place(before.count, metrics.bytes()))
        good = f"the last good checkpoint is {place}"
    return TrainingError(
        f"step {step.step} of training on {run.stages[step.stage].corpus} has {found}; {good}",
        way_out="Lower `learning_rate`, or set `clip_norm: 1`, and train again",
    )


def _totals(folder: Path) -> dict[str, Any]:
    lines = [line for line in read_metrics(folder / METRICS_FILE) if "loss" in line]
    totals = {key: sum(line[key] for line in lines) for key in ("tokens", "trained_tokens", "seconds")}
    return {"steps": len(lines), "threads": torch.get_num_threads(), **totals}
