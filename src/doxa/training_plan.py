"""What a study would train, before anything runs: rows, tokens, steps, and minutes from a short measured probe."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from doxa.adapters import Training, TrainingStage, is_trained_already, trainings
from doxa.models.handle import Model
from doxa.subject import load_model
from doxa.training.adapter import Stage
from doxa.training.corpus import RECIPE, corpus_path
from doxa.training.rows import TrainingTokens
from doxa.training.steps import adamw_step, forward_backward, trainable
from doxa.words.arms import Arm
from doxa.words.difference import Facts, training_facts
from doxa.words.numbers import counted, listed
from doxa.words.stages import tunes_of
from doxa.words.study import Study
from doxa.words.tuning import Configuration

PROBED = 2
"""Steps that are timed, after one that is not."""


def training_lines(plans: Sequence[Training]) -> list[str]:
    """Sentences for a plan, one for every recipe: what is trained on, how long and how often."""
    recipes: dict[tuple[TrainingStage, ...], list[Training]] = {}
    for one in plans:
        recipes.setdefault(one.stages, []).append(one)
    lines = []
    for stages, own in recipes.items():
        arms = listed(list(dict.fromkeys(name for one in own for name in one.arms)))
        there = sum(is_trained_already(one.key) for one in own)
        lines.append(
            f"{arms}: trained {counted(len(own), 'time')}" + (f", {there} of them there already" if there else "")
        )
        lines += [f"  {_stage_words(stage)}" for stage in stages]
    return lines


def _stage_words(stage: TrainingStage) -> str:
    return (
        f"{stage.corpus}: {counted(stage.rows, 'row')}, {stage.tokens:,} tokens ({stage.trained:,} trained on), "
        f"{counted(stage.steps, 'step')} of {stage.configuration.batch_size} rows at a learning rate of "
        f"{stage.configuration.learning_rate:g}, rank {stage.configuration.rank}"
    )


def facts_of(study: Study, a: Arm, b: Arm) -> tuple[Facts, Facts]:
    """What two arms are trained on, for telling them apart; nothing where nothing is, or a recipe makes the rows.

    Args:
        study: Its model is loaded.
        a: One of its arms.
        b: Another.
    """
    model, known = load_model(study), dict[tuple[str, Configuration], Stage]()

    def facts(arm: Arm) -> Facts:
        paths = [corpus_path(one.corpus, study.folder) for one in tunes_of(arm) if one.corpus is not None]
        if not paths or any(path.suffix == RECIPE for path in paths):
            return {}
        (one,) = trainings([replace(arm, seed=1)], model, folder=study.folder, seed=study.seed, known=known)
        return training_facts([vars(stage) for stage in one.stages])

    return facts(a), facts(b)


def training_counts(plans: Sequence[Training]) -> Mapping[str, Any]:
    """For a program: adapters, steps and trained tokens of all of them."""
    stages = list({key: stage for one in plans for key, stage in zip(one.keys, one.stages, strict=True)}.values())
    return {
        "adapters": len(plans),
        "training_steps": sum(stage.steps for stage in stages),
        "trained_tokens": sum(round(_passes(stage) * stage.trained) for stage in stages),
    }


def training_minutes(plans: Sequence[Training], model: Model) -> float:
    """Time a few steps on rows of the right length, and scale them up; what is trained already takes no time.

    Args:
        plans: The trainings of a plan.
        model: The loaded model.
    """
    seconds: dict[tuple[Configuration, int, int], float] = {}
    due = {key: stage for one in plans for key, stage in zip(one.keys, one.stages, strict=True)}
    total = 0.0
    for key, stage in due.items():
        if is_trained_already(key):
            continue
        length = max(2, round(stage.tokens / stage.rows))
        trained = min(length - 1, max(1, round(stage.trained / stage.rows)))
        place = (stage.configuration, length, trained)
        if place not in seconds:
            seconds[place] = _seconds_a_step(model, *place)
        total += seconds[place] * stage.steps
    return total / 60


def _passes(stage: TrainingStage) -> float:
    """How often every row is trained on."""
    return stage.steps * stage.configuration.batch_size / stage.rows


def _seconds_a_step(model: Model, configuration: Configuration, length: int, trained: int) -> float:
    made = trainable(model, configuration, 0)
    vocabulary = len(model.tokenizer)
    weights = (0.0,) * (length - trained) + (1.0 / trained,) * trained
    batch = [
        TrainingTokens(str(row), tuple((row + 7 * place) % vocabulary for place in range(length)), weights)
        for row in range(configuration.batch_size)
    ]
    start = 0.0
    for number in range(1 + PROBED):
        if number == 1:  # what is made once and kept is not counted
            start = time.perf_counter()
        forward_backward(made, batch)
        adamw_step(made, 1e-6, configuration)
    return (time.perf_counter() - start) / PROBED
