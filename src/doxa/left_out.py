"""What of a study a model that is served elsewhere cannot do: left out in words, never in silence.

Its weights are not here, so nothing can be added to its residual stream, and its provider does not give the probability
of a given text, so nothing can be scored without generating. What is left is a study of its own, and every list of what
was left out goes into its plan, its report and its estimates.
"""

from collections.abc import Sequence
from dataclasses import replace

from doxa.evals.catalogue import Arguments, TaskEntry
from doxa.words.arms import Arm
from doxa.words.contrasts import Contrast
from doxa.words.controls import controls_of
from doxa.words.errors import StudyError
from doxa.words.interventions import Prompt
from doxa.words.left_out import LeftOut
from doxa.words.study import Study


def without_scoring(
    study: Study, entries: Sequence[TaskEntry], arguments: Sequence[Arguments]
) -> tuple[Study, tuple[LeftOut, ...]]:
    """What remains of a study on a model that only answers, and what does not.

    Args:
        study: A study of one model.
        entries: What its tasks offer, in its order.
        arguments: The arguments of its tasks, files found.

    Raises:
        StudyError: When nothing remains.
    """
    found: list[LeftOut] = []
    arms = []
    for arm in study.arms:
        if all(isinstance(one, Prompt) for one in arm.interventions):
            arms.append(arm)
        else:
            found.append(LeftOut("arm", arm.name, "it changes the network, which is not here"))
    tasks, levels = [], set[tuple[str, str]]()
    for task, one, own in zip(study.tasks, entries, arguments, strict=True):
        if one.generated is None or not one.open_items(own, study.limit):
            found.append(LeftOut("task", task.name, "it scores given texts, and generates nothing"))
            continue
        tasks.append(task)
        levels |= {level for factors in one.open_factors(own) for level in factors.items()}
        if one.measured(own, study.limit):
            found.append(LeftOut("scored items", task.name, "they need the probabilities of given texts"))
    contrasts = []
    for contrast in study.contrasts:
        why = _not_here(contrast, arms, levels)
        if why:
            found.append(LeftOut("contrast", contrast.name, why))
        else:
            contrasts.append(contrast)
    rest = replace(study, arms=tuple(arms), tasks=tuple(tasks), contrasts=tuple(contrasts))
    rest = replace(rest, primary=tuple(name for name in study.primary if name in [one.name for one in contrasts]))
    controls = {f"{arm.of}, {arm.control}" for arm in controls_of(rest)}
    found += [LeftOut("controls", name, "controls are scored, not generated from") for name in sorted(controls)]
    if not arms or not tasks:
        raise StudyError(
            f"study {study.name!r} has no {'task' if arms else 'arm'} that {study.models[0].name} can do",
            expected="arms without vectors, and tasks that generate: a model that is served elsewhere only answers",
            way_out="Add `baseline: []`, or a task such as doxa/claims_open; or use a model that is computed here",
        )
    return rest, tuple(found)


def _not_here(contrast: Contrast, arms: Sequence[Arm], levels: set[tuple[str, str]]) -> str:
    """Why a contrast cannot be estimated on what is left; "" when it can."""
    kept = {arm.name: arm for arm in arms}
    for term in contrast.terms:
        if term.arm not in kept:
            return f"the arm {term.arm} is left out"
        for level in term.levels:
            if level not in levels:
                return f"nothing that is generated has {'='.join(level)}"
    return ""
