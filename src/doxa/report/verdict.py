"""What the numbers say about each contrast, in words that follow from them by rule."""

from collections.abc import Sequence
from dataclasses import dataclass

from doxa.report.gather import Gathered
from doxa.report.numbers import interval, listed, number, ordinal, p_value
from doxa.stats.controls import ControlVerdict
from doxa.stats.estimate import Estimate

GATE_SCORE, GATE = "correct", 0.7
"""Known-facts gate: below this accuracy of the baseline a forced choice measures nothing (chance is .5)."""
DAMAGE = "kl"
FAMILY = {"twin": "its twins", "unrelated": "unrelated vectors"}


@dataclass(frozen=True)
class Finding:
    """What one contrast shows on the leading score.

    Attributes:
        contrast: Its name.
        estimate: Value, interval and method.
        verdicts: Beside each control family.
        sentence: The finding in words.
        tone: `found` (outside both families), `inside` (inside a band), `unknown` (no or too few controls) or `none`.
    """

    contrast: str
    estimate: Estimate
    verdicts: tuple[ControlVerdict, ...]
    sentence: str
    tone: str


def findings(gathered: Gathered) -> list[Finding]:
    """The finding of every declared contrast on the leading score, in the order of their declaration."""
    evaluation, score = gathered.evaluation, gathered.lead
    found = []
    for name in evaluation.contrasts:
        for estimate in evaluation.estimates:
            if estimate.contrast == name and estimate.score == score:
                verdicts = tuple(v for v in evaluation.verdicts if v.contrast == name and v.score == score)
                found.append(_finding(estimate, verdicts))
    return found


def gate(gathered: Gathered) -> float | None:
    """The baseline's accuracy on known facts; None when the study does not measure it."""
    return gathered.value(gathered.baseline, GATE_SCORE) if gathered.baseline else None


def answer(gathered: Gathered) -> list[str]:
    """The answer to the study's question, a sentence each."""
    accuracy = gate(gathered)
    said = []
    if accuracy is not None and accuracy < GATE:
        said.append(
            f"Not measurable here: on plain facts the unsteered model is right in {accuracy:.0%} of the forced "
            f"choices, below the gate of {GATE:.0%}. What follows supports no claim about a belief."
        )
    found = findings(gathered)
    judged = [one for one in found if one.verdicts]
    outside = [one for one in judged if one.tone == "found"]
    if outside:
        said.append(f"Outside the bands of both control families: {listed([one.contrast for one in outside])}.")
    elif judged:
        said.append(
            "Nothing lies outside the bands of both control families: what these vectors did to the stated belief, "
            "other vectors of the same size do as well."
        )
    else:
        said.append("No contrast was held against controls, so nothing here is evidence of a belief.")
    said += [one.sentence for one in found if one.estimate.primary]
    said += _damage(gathered, found)
    return said


def _finding(estimate: Estimate, verdicts: Sequence[ControlVerdict]) -> Finding:
    if estimate.method == "identical outputs":
        sentence = f"{estimate.contrast}: the outputs of the arms are identical."
        return Finding(estimate.contrast, estimate, tuple(verdicts), sentence, "none")
    moved = (
        f"{estimate.contrast}: {number(estimate.value, sign=True)} {interval(estimate.low, estimate.high)} "
        f"(n = {estimate.n['units']} {estimate.unit}s)"
    )
    if not verdicts:
        return Finding(
            estimate.contrast, estimate, (), f"{moved}; not held against controls, so it is no evidence.", "unknown"
        )
    parts, inside = [], []
    for verdict in verdicts:
        family = FAMILY.get(verdict.family, verdict.family)
        place = f"{ordinal(verdict.rank)} of {verdict.m + 1} beside {family} (p = {p_value(verdict.p)}"
        place += f", adjusted {p_value(verdict.p_adjusted)})" if verdict.p_adjusted is not None else ")"
        parts.append(place)
        if not verdict.outside:
            inside.append(family)
    both = {verdict.family for verdict in verdicts} >= {"twin", "unrelated"}
    if inside:
        ending, tone = f"inside the band of {listed(inside)}: not evidence of this belief.", "inside"
    elif both:
        ending, tone = "outside both bands.", "found"
    else:
        ending, tone = "outside its band; the other control family was not scored.", "unknown"
    return Finding(estimate.contrast, estimate, tuple(verdicts), f"{moved}; {listed(parts)}; {ending}", tone)


def _damage(gathered: Gathered, found: Sequence[Finding]) -> list[str]:
    """Equal total is not yet fair: what the primary arms did to neutral text."""
    arms = []
    for contrast in gathered.contrasts:
        if contrast.name in {one.contrast for one in found if one.estimate.primary}:
            arms += [term.arm for term in contrast.terms if term.arm != gathered.baseline]
    values = {arm: gathered.value(arm, DAMAGE) for arm in dict.fromkeys(arms)}
    known = [f"{arm} {number(value)}" for arm, value in values.items() if value is not None]
    if not known:
        return []
    return [f"Damage on neutral text (KL of next-token distributions, nats): {listed(known)}."]
