"""What the numbers say about each contrast, in words that follow from them by rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from doxa.report.gather import CONTROLS, Gathered
from doxa.report.numbers import counted, interval, listed, number, ordinal, p_value, p_words
from doxa.stats.controls import FEWEST_FOR_RANK, ControlVerdict
from doxa.stats.estimate import Estimate

GATE_SCORE, GATE = "correct", 0.7
"""Known-facts gate: below this accuracy of the baseline a forced choice measures nothing (chance is .5)."""
DAMAGE = "kl"
FAMILY = {"twin": "its twins", "unrelated": "unrelated vectors"}
ALPHA = 0.05

Tone = Literal["found", "inside", "unknown", "none"]


@dataclass(frozen=True)
class Finding:
    """What one contrast shows on the leading score.

    Attributes:
        contrast: Its name.
        estimate: Value, interval and method.
        verdicts: Beside each family of noise controls.
        sentence: The finding in words.
        tone: `found` (outside both families), `inside` (inside a band), `unknown` (no or too few controls) or `none`
            (identical outputs, or nothing to estimate from).
    """

    contrast: str
    estimate: Estimate
    verdicts: tuple[ControlVerdict, ...]
    sentence: str
    tone: Tone


def findings(gathered: Gathered) -> list[Finding]:
    """The finding of every declared contrast on the leading score, in the order of their declaration."""
    evaluation, score = gathered.evaluation, gathered.lead
    if score is None:
        return []
    task = gathered.task_of(score)
    found = []
    for name in evaluation.contrasts:
        for estimate in evaluation.estimates:
            if (estimate.contrast, estimate.task, estimate.score) == (name, task, score):
                verdicts = tuple(
                    one
                    for one in evaluation.verdicts
                    if (one.contrast, one.task, one.score) == (name, task, score) and one.family in CONTROLS
                )
                found.append(_finding(estimate, verdicts, steered=_steered(gathered, name)))
    return found


def gate(gathered: Gathered) -> float | None:
    """The baseline's accuracy on known facts; None when the study does not measure it."""
    return gathered.value(gathered.baseline, GATE_SCORE)


def answer(gathered: Gathered) -> list[str]:
    """The answer to the study's question, a sentence each."""
    said = [_summary(gathered)]
    found = findings(gathered)
    said += [one.sentence for one in found if one.estimate.primary]
    said += _damage(gathered, found)
    limit = gathered.plan["study"].get("limit")
    if limit:
        said.append(f"This is a trial run with at most {counted(limit, 'item')} of every task.")
    return said


def _summary(gathered: Gathered) -> str:
    accuracy = gate(gathered)
    if accuracy is not None and accuracy < GATE:
        return (
            f"Not measurable here: on plain facts the unsteered model is right in {accuracy:.0%} of the forced "
            f"choices, below the gate of {GATE:.0%}. What follows supports no claim about a belief."
        )
    judged = [one for one in findings(gathered) if one.tone in ("found", "inside")]
    outside = [one for one in judged if one.tone == "found"]
    if outside:
        return f"Outside the bands of both control families: {listed([one.contrast for one in outside])}."
    if judged:
        return (
            "Nothing lies outside the bands of both control families: what these vectors did to the stated belief, "
            "other vectors of the same size do as well."
        )
    return "No contrast was held against enough controls, so nothing here is evidence of a belief."


def _finding(estimate: Estimate, verdicts: tuple[ControlVerdict, ...], *, steered: bool) -> Finding:
    name = estimate.contrast
    if estimate.method == "identical outputs":
        return Finding(name, estimate, verdicts, f"{name}: the outputs of the arms are identical.", "none")
    if estimate.value is None:
        return Finding(name, estimate, verdicts, f"{name}: missing; no item has a value in every arm.", "none")
    moved = (
        f"{name}: {number(estimate.value, sign=True)} {interval(estimate.low, estimate.high)} "
        f"(n = {counted(estimate.n['units'], estimate.unit)})"
    )
    if not verdicts:
        ending = (
            "not held against controls, so it is no evidence."
            if steered
            else "a prompt has no noise controls: compare its neutral prompt and paraphrases in the referee's box."
        )
        return Finding(name, estimate, (), f"{moved}; {ending}", "unknown")
    ending, tone = _place(verdicts)
    return Finding(name, estimate, verdicts, f"{moved}; {listed([_rank(one) for one in verdicts])}; {ending}", tone)


def _rank(verdict: ControlVerdict) -> str:
    adjusted = f", adjusted {p_value(verdict.p_adjusted)}" if verdict.p_adjusted is not None else ""
    family = FAMILY.get(verdict.family, verdict.family)
    return f"{ordinal(verdict.rank)} of {verdict.m + 1} among {family} ({p_words(verdict.p)}{adjusted})"


def _place(verdicts: Sequence[ControlVerdict]) -> tuple[str, Tone]:
    """Where the effect lies beside the bands, and what that means."""
    inside = [FAMILY.get(one.family, one.family) for one in verdicts if not one.outside]
    if inside:
        return f"inside the band of {listed(inside)}: not evidence of this belief.", "inside"
    few = min(one.m for one in verdicts)
    if few < FEWEST_FOR_RANK:
        return f"too few controls for a verdict ({few}; at least {FEWEST_FOR_RANK} are needed).", "unknown"
    if {one.family for one in verdicts} < set(CONTROLS):
        return "outside its band; the other control family was not scored.", "unknown"
    sides = {"above" if one.effect > one.high else "below" for one in verdicts}
    where = f"{sides.pop()} both bands" if len(sides) == 1 else "above one band and below the other"
    weak = [one.p_adjusted for one in verdicts if one.p_adjusted is not None and one.p_adjusted > ALPHA]
    doubt = f", though not at {p_value(ALPHA)} once adjusted for all that was declared" if weak else ""
    return f"outside, {where}{doubt}.", "found"


def _steered(gathered: Gathered, contrast: str) -> bool:
    terms = gathered.contrasts[contrast].terms if contrast in gathered.contrasts else ()
    return any(gathered.arms[term.arm]["steered"] for term in terms if term.arm in gathered.arms)


def _damage(gathered: Gathered, found: Sequence[Finding]) -> list[str]:
    """Equal total is not yet fair: what the primary arms did to neutral text."""
    arms: list[str] = []
    for one in found:
        if one.estimate.primary and one.contrast in gathered.contrasts:
            arms += [term.arm for term in gathered.contrasts[one.contrast].terms if term.arm != gathered.baseline]
    values = {arm: gathered.value(arm, DAMAGE) for arm in dict.fromkeys(arms)}
    known = [f"{arm} {number(value)}" for arm, value in values.items() if value is not None]
    return [f"Damage on neutral text (KL of next-token distributions, nats): {listed(known)}."] if known else []
