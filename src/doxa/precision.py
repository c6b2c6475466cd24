"""What the declared precision of a study changes, measured before it runs: never is one switched in silence."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from doxa.bridge.arms import prepare_arm
from doxa.evals.catalogue import TaskEntry
from doxa.measure import measure
from doxa.models.handle import Model
from doxa.models.rounding import Rounding, rounding
from doxa.plan import Plan, make_plan
from doxa.scored_table import table_from_chunks
from doxa.stats.estimate import applies, estimate
from doxa.stats.table import Rows, encode
from doxa.stats.units import unit_of
from doxa.subject import Subject, load_model
from doxa.vectors.reference import reference_rows
from doxa.words.contrasts import Contrast
from doxa.words.numbers import number
from doxa.words.stages import in_seeds

FLOAT32 = "float32"
CONVERSATIONS = 8
"""Reference conversations on which distributions are compared."""


@dataclass(frozen=True)
class Change:
    """An estimate of a study in float32, and in the declared precision."""

    contrast: str
    score: str
    float32: float
    declared: float


@dataclass(frozen=True)
class Precision:
    """A declared precision beside float32.

    Attributes:
        dtype: The precision.
        rounding: Next-token distributions on reference conversations.
        changes: The study's declared contrasts on the leading scores of its first task, as far as these are scored
            without generating; everything that makes them, vectors too, is made in each precision.
    """

    dtype: str
    rounding: Rounding
    changes: tuple[Change, ...]


def precision_of(plan: Plan, model: Subject) -> Precision | None:
    """Measure what the declared precision of a plan changes; None in float32, and where others compute.

    Args:
        plan: The plan.
        model: Its model, loaded.

    Raises:
        DoxaError: When the model does not fit into memory in float32, or something cannot be measured.
    """
    if not isinstance(model, Model) or plan.model.dtype == FLOAT32 or model.servers:
        return None
    study = plan.study
    wide = replace(study, models=(replace(plan.model, dtype=FLOAT32),))
    reference = load_model(wide)
    tokens = [row.rendered.tokens for row in reference_rows(model, CONVERSATIONS)]
    found = [_estimates(one, own) for one, own in ((make_plan(wide, reference), reference), (plan, model))]
    changes = tuple(
        Change(contrast, score, value, found[1][contrast, score])
        for (contrast, score), value in found[0].items()
        if (contrast, score) in found[1]
    )
    return Precision(plan.model.dtype, rounding(reference, model, tokens), changes)


def precision_to_json(one: Precision) -> dict[str, Any]:
    """For a program."""
    return asdict(one)


def precision_lines(plan: Plan, one: Precision | None) -> list[str]:
    """For a person; says so where a declared precision was not measured."""
    if one is None:
        unmeasured = plan.model.dtype != FLOAT32
        return [f"{plan.model.dtype} beside float32: not measured, as servers compute"] if unmeasured else []
    far = one.rounding
    lines = [
        f"{one.dtype} beside float32: KL of next-token distributions {number(far.kl)} nats a token (largest "
        f"{number(far.kl_largest)}), another most probable token at {100 * far.changed:.1f} % of {far.tokens} tokens"
    ]
    lines += [
        f"  {each.contrast}, {each.score}: {number(each.declared, sign=True)} instead of "
        f"{number(each.float32, sign=True)}"
        for each in one.changes
    ]
    return lines


def _estimates(plan: Plan, model: Model) -> dict[tuple[str, str], float]:
    """The declared contrasts on the leading scores of the first task, from its scored items alone."""
    study, entry = plan.study, plan.entries[0]
    declared = [
        one
        for one in study.contrasts
        if (not study.primary or one.name in study.primary)
        and not any(in_seeds(study.arm(term.arm), study.arms) for term in one.terms)  # nothing is trained for this
    ]
    arms = {term.arm for one in declared for term in one.terms}
    chunks = tuple(one for one in plan.chunks if one.task == 0 and one.arm.name in arms)
    if not chunks:
        return {}
    prepared = {
        name: prepare_arm(model, study.arm(name), study.folder or Path(), arms=study.arms) for name in sorted(arms)
    }
    done = {chunk.id: measure(model, chunk, entry, prepared[chunk.arm.name]) for chunk in chunks}
    rows = encode(table_from_chunks(replace(plan, chunks=chunks), done))
    return {
        (one.name, score): value
        for one in declared
        for score in entry.primary
        if (value := _value(rows, one, score, entry)) is not None
    }


def _value(rows: Rows, contrast: Contrast, score: str, task: TaskEntry) -> float | None:
    if (task.name, score) not in rows.cells or not applies(rows, contrast, score, task.name):
        return None
    unit = unit_of(rows, task.name, score, {task.name: task.unit})
    return estimate(rows, contrast, score, task=task.name, kind=task.kinds.get(score, "unbounded"), unit=unit).value
