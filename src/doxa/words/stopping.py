"""How many runs: a fixed number, or until a rule is met that is looked at after every step.

    runs: 4
    runs: until width 0.05
    runs: until decided
    runs: {until: {width: 0.05}, at_most: 200, step: 10}
    runs: {until: decided, margin: 0.02, score: stated, at_most: 200, step: 10}

What the rules mean, and why one looks at widths and the other uses a confidence sequence: `doxa.stats.stopping`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from doxa.words.errors import StudyError, nearest
from doxa.words.reading import mapping, number, shown, text, whole

AT_MOST, STEP = 200, 10
"""Runs at most, and runs between two looks, where a study does not say."""
KEYS = ("until", "at_most", "step", "margin", "score")
FORMS = "a whole number, `until width 0.05`, `until decided`, or {until: ..., at_most: ..., step: ...}"


@dataclass(frozen=True)
class Width:
    """Stop when the interval of every arm's rate or mean is at most this wide."""

    most: float


@dataclass(frozen=True)
class Decided:
    """Stop when the confidence sequence of every contrast leaves 0 out, or lies within the margin either side of it."""

    margin: float | None = None


@dataclass(frozen=True)
class Stopping:
    """A rule by which runs end.

    Attributes:
        rule: What ends them.
        step: Runs between two looks.
        score: The score that is looked at; None is the leading score of what is generated.
    """

    rule: Width | Decided
    step: int = STEP
    score: str | None = None


def read_runs(value: object) -> tuple[int, Stopping | None]:
    """Read the `runs` of a study.

    Returns:
        The number of runs (with a rule: the most), and the rule.

    Raises:
        StudyError: When it is not understood.
    """
    if isinstance(value, str):
        return AT_MOST, Stopping(_short(value))
    if not isinstance(value, Mapping):
        if isinstance(value, int) and not isinstance(value, bool):
            return whole(value, "runs", least=1), None
        raise StudyError(
            f"runs is {shown(value)}", expected=f"a whole number of at least 1, or {FORMS}", way_out="Write `runs: 4`"
        )
    body = mapping(value, "runs", allowed=KEYS, required=("until",))
    rule = _rule(body["until"], body.get("margin"))
    at_most = whole(body.get("at_most", AT_MOST), "runs.at_most", least=1)
    step = whole(body.get("step", min(STEP, at_most)), "runs.step", least=1)
    if step > at_most:
        raise StudyError(
            f"runs.step is {step} and runs.at_most is {at_most}",
            expected="a step that is not beyond the most",
            way_out="Lower the step, or raise `at_most`",
        )
    score = text(body["score"], "runs.score") if body.get("score") is not None else None
    return at_most, Stopping(rule, step, score)


def runs_to_json(runs: int, stopping: Stopping | None) -> int | dict[str, Any]:
    """Write the `runs` of a study, every default spelt out."""
    if stopping is None:
        return runs
    rule = stopping.rule
    return {
        "until": {"width": rule.most} if isinstance(rule, Width) else "decided",
        "margin": rule.margin if isinstance(rule, Decided) else None,
        "at_most": runs,
        "step": stopping.step,
        "score": stopping.score,
    }


def looks_at(runs: int, stopping: Stopping) -> tuple[int, ...]:
    """The numbers of runs after which the rule is looked at; the last is the most, also when no step ends there."""
    return (*range(stopping.step, runs, stopping.step), runs)


def _short(value: str) -> Width | Decided:
    match value.split():
        case ["until", "decided"]:
            return Decided()
        case ["until", "width", most]:
            return Width(_positive(most, "the width in runs"))
    raise StudyError(f"runs is {shown(value)}", expected=FORMS, way_out="Write `runs: until width 0.05`")


def _rule(value: object, margin: object) -> Width | Decided:
    if value == "decided":
        return Decided(None if margin is None else _positive(margin, "runs.margin"))
    if isinstance(value, str):
        raise StudyError(f"runs.until is {shown(value)}", way_out=nearest(value, ("decided", "{width: ...}")))
    if margin is not None:
        raise StudyError(
            "runs.margin stands beside a width", expected="a margin beside `until: decided`", way_out="Leave it out"
        )
    body = mapping(value, "runs.until", allowed=("width",), required=("width",))
    return Width(_positive(body["width"], "runs.until.width"))


def _positive(value: object, where: str) -> float:
    found = number(value, where)
    if found <= 0:
        raise StudyError(f"{where} is {found:g}", expected="more than 0", way_out="Write for instance 0.05")
    return found
