"""What of a plan could not be: refused when it is made, before anything runs."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from doxa.evals.catalogue import entry
from doxa.models.backend import backend_of
from doxa.models.handle import Model
from doxa.task_arguments import task_arguments
from doxa.words.arms import Arm
from doxa.words.errors import StudyError, nearest
from doxa.words.interventions import Steer, Where

if TYPE_CHECKING:
    from doxa.plan import Plan


def check_plan(plan: "Plan", counts: Mapping[str, int], model: Model | None) -> None:
    """Check what a plan's contrasts, scores, margins and limits name, and that the engine can do what arms ask.

    Args:
        plan: The plan.
        counts: How much there is to do (`doxa.plan.counts`).
        model: The loaded model; None where it is served elsewhere.

    Raises:
        StudyError: When a selector, score, margin or limit cannot be.
        ModelError: When the engine cannot do what an arm asks.
    """
    _check_selectors(plan)
    _check_lead(plan)
    _check_margins(plan)
    _check_limits(plan, counts)
    if model is not None:
        _check_backend(plan, model)


def _check_lead(plan: "Plan") -> None:
    """The report leads with scores that the first task has, each once."""
    choice = plan.study.tasks[0]
    first = entry(choice.name)
    known = {*first.shown, *first.primary, *first.own_scores(task_arguments(plan.study, choice))}
    for score in plan.study.lead:
        if score not in known or plan.study.lead.count(score) > 1:
            said = "twice" if score in known else f"which {choice.name}, the first task, does not have"
            raise StudyError(f"lead names the score {score!r}, {said}", way_out=nearest(score, known))


def _check_margins(plan: "Plan") -> None:
    """A margin is for a score that some task of the study has."""
    known = {score for one in plan.entries for score in (*one.shown, *one.primary)}
    known |= {
        score
        for one, task in zip(plan.entries, plan.study.tasks, strict=True)
        for score in one.own_scores(task_arguments(plan.study, task))
    }
    for score in plan.study.margins or {}:
        if score not in known:
            raise StudyError(f"margins names the score {score!r}", way_out=nearest(score, known))


def _check_selectors(plan: "Plan") -> None:
    """A selector that fits no item would leave its contrast without an estimate, and nobody would notice."""
    levels: dict[str, set[str]] = {}
    of_items = [item.factors for chunk in plan.chunks if not chunk.arm.control for item in chunk.items]
    for one, task in zip(plan.entries, plan.study.tasks, strict=True):
        of_items += one.open_factors(task_arguments(plan.study, task))
    for factors in of_items:
        for factor, level in factors.items():
            levels.setdefault(factor, set()).add(level)
    for contrast in plan.study.contrasts:
        for term in contrast.terms:
            for factor, level in term.levels:
                if level not in levels.get(factor, set()):
                    of_arms = {name for arm in plan.arms for name in arm.levels}
                    known = nearest(level, levels[factor]) if factor in levels else nearest(factor, {*levels, *of_arms})
                    raise StudyError(
                        f"contrast {contrast.name!r} selects by {factor}={level}, which no item and no arm of it has",
                        way_out=known,
                    )


def _check_limits(plan: "Plan", found: Mapping[str, int]) -> None:
    asked = {"generations": found["generations"], "tokens": found["tokens_at_most"]}
    asked["judge_calls"] = found["judge_calls"]
    for name, limit in (plan.study.limits or {}).items():
        if asked[name] > limit:
            raise StudyError(
                f"study {plan.study.name!r} would take {asked[name]} {name}",
                expected=f"at most {limit:g} (`limits`)",
                way_out="Lower runs, arms or items, or raise the limit",
            )


def _check_backend(plan: "Plan", model: Model) -> None:
    """The engine is there, and can do what the arms ask."""
    everyone = (*plan.arms, *plan.controls)
    backend_of(model).check(model, _places(everyone), _places(cell.arm for cell in plan.cells))


def _places(arms: Iterable[Arm]) -> list[frozenset[Where]]:
    steers = (one for arm in arms for one in arm.interventions if isinstance(one, Steer))
    return list(dict.fromkeys(frozenset(one.at) for one in steers))
