"""What the numbers say about each contrast, in words that follow from them by rule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from doxa.report.gates import gate_sentence
from doxa.report.gather import CONTROLS, Gathered
from doxa.report.labels import units
from doxa.report.stopped import stopped
from doxa.report.taken_over import seen_before
from doxa.stats.controls import ALPHA, CONTROL_FLAGS, FEWEST_FOR_RANK, ROUNDING, ControlVerdict
from doxa.stats.estimate import Estimate
from doxa.words.left_out import left_out_words
from doxa.words.numbers import counted, interval, listed, number, ordinal, p_value, p_words

GATE_SCORE, GATE = "correct", 0.7
"""Known-facts gate: below this accuracy of the baseline a forced choice measures nothing (chance is .5)."""
DAMAGE = "kl"
FAMILY = {"twin": "its twins", "unrelated": "unrelated vectors"}
NO_EVIDENCE = {"belief": "not evidence of this belief"}
"""What an effect that does not stand out is not, by the leading score."""
_TOLD = ("unequal_items", "lost_controls")  # flags that a sentence does not leave to the table

Tone = Literal["found", "not found", "unknown", "none"]


@dataclass(frozen=True)
class Finding:
    """What one contrast shows on the leading score.

    Attributes:
        contrast: Its name.
        primary: Whether it belongs to the declared family; otherwise it is exploratory.
        estimate: Value, interval and method; None when an arm has no row of the score.
        verdicts: Beside each family of noise controls.
        sentence: The finding in words.
        tone: `found`: it stands out from both families (`doxa.stats.controls.stands_out`). `not found`: it was held
            against both and does not. `unknown`: exploratory, or no or too few controls. `none`: identical outputs, or
            nothing to estimate from.
    """

    contrast: str
    primary: bool
    estimate: Estimate | None
    verdicts: tuple[ControlVerdict, ...]
    sentence: str
    tone: Tone


def findings(gathered: Gathered) -> list[Finding]:
    """The finding of every declared contrast on the leading score, in the order of their declaration."""
    evaluation, score = gathered.evaluation, gathered.lead
    if score is None:
        return []
    task = gathered.task_of(score)
    estimates = {one.contrast: one for one in evaluation.estimates if (one.task, one.score) == (task, score)}
    found = []
    for name in evaluation.contrasts:
        verdicts = tuple(
            one
            for one in evaluation.verdicts
            if (one.contrast, one.task, one.score) == (name, task, score) and one.family in CONTROLS
        )
        sentence, tone = _said(gathered, name, estimates.get(name), verdicts)
        primary = name in evaluation.primary
        found.append(Finding(name, primary, estimates.get(name), verdicts, f"{name}: {sentence}", tone))
    return found


def gate(gathered: Gathered) -> float | None:
    """The baseline's accuracy on known facts; None when the study does not measure it."""
    return gathered.value(gathered.baseline, GATE_SCORE)


def answer(gathered: Gathered) -> list[str]:
    """The answer to the study's question, a sentence each."""
    found = findings(gathered)
    said = [_summary(gathered, found)]
    said += [one.sentence for one in found if one.primary]
    said += written_out(gathered, gathered.evaluation.primary)
    said += gate_sentence(gathered)
    said += _damage(gathered, found)
    said += stopped(gathered)
    said += seen_before(gathered)
    said += left_out_words(gathered.plan.get("left_out", ()), str(gathered.plan["model"]["name"]))
    return said + reservations(gathered.plan["study"])


def written_out(gathered: Gathered, names: Sequence[str]) -> list[str]:
    """The arithmetic of contrasts that are called by a name of their own, a sentence each."""
    found = (gathered.contrasts[name] for name in names if name in gathered.contrasts)
    return [f"{one.name} is {one.source}." for one in found if one.source is not None]


def reservations(study: Mapping[str, Any]) -> list[str]:
    """What a study says of itself that it cannot show, and whether it was cut short, a sentence or two each."""
    said = [study["caveat"]] if study.get("caveat") else []
    if study.get("limit"):
        said.append(f"This is a trial run with at most {counted(study['limit'], 'item')} of every task.")
    return said


def _summary(gathered: Gathered, found: Sequence[Finding]) -> str:
    accuracy = gate(gathered)
    if accuracy is not None and accuracy < GATE:
        return (
            f"Not measurable here: on plain facts the unsteered model is right in {accuracy:.0%} of the forced "
            f"choices, below the gate of {GATE:.0%}. What follows supports no claim about a belief."
        )
    out = [one.contrast for one in found if one.tone == "found"]
    if out:
        return f"Stands out from both control families, adjusted for all that was declared: {listed(out)}."
    if any(one.tone == "not found" for one in found):
        return (
            f"No declared contrast stands out from both control families: what is found here is {_nothing(gathered)}."
        )
    return f"No declared contrast was held against enough controls: what is found here is {_nothing(gathered)}."


def _nothing(gathered: Gathered) -> str:
    arms = gathered.arms.values()
    if any(arm.get("thought") for arm in arms) and not any(arm["steered"] for arm in arms):
        return "not shown to be more than cutting a thought and writing on does; see the referee's box"
    if any(arm.get("tuned") for arm in arms) and not any(arm["steered"] for arm in arms):
        return "not shown to be more than training on other rows does; see the referee's box"
    if not any(arm["steered"] for arm in arms):
        return "not shown to be more than another wording does; see the referee's box"
    return NO_EVIDENCE.get(gathered.lead or "", "not shown to be more than other vectors of that size do")


def _said(
    gathered: Gathered, name: str, estimate: Estimate | None, verdicts: tuple[ControlVerdict, ...]
) -> tuple[str, Tone]:
    if estimate is None:
        return f"missing; no row of {gathered.lead} in {listed(gathered.without_rows(name)) or 'an arm'}.", "none"
    if "identical" in estimate.flags:
        return f"the outputs of the arms in {estimate.task} are identical.", "none"
    if "rounding" in estimate.flags:
        return f"the arms are equal up to rounding in {estimate.task}.", "none"
    if estimate.value is None:
        return "missing; no item has a value in every arm.", "none"
    moved = f"{number(estimate.value, sign=True)} {interval(estimate.low, estimate.high)} (n = {units(estimate)})"
    if not verdicts:
        return f"{moved}; {_without_controls(gathered, name)}", "unknown"
    fewer = min(verdicts, key=lambda one: one.items)
    if fewer.items != estimate.n["items"]:
        there = counted(fewer.items, gathered.unit_of(estimate.task, estimate.score))
        moved += f", and {number(fewer.effect, sign=True)} on the {there} that its controls were scored on"
    ending, tone = _place(verdicts, _nothing(gathered), primary=estimate.primary)
    told = [CONTROL_FLAGS[flag] for flag in _TOLD if any(flag in one.flags for one in verdicts)]
    return "; ".join([moved, listed([_rank(one) for one in verdicts]), *told, ending]), tone


def _without_controls(gathered: Gathered, contrast: str) -> str:
    terms = gathered.contrasts[contrast].terms if contrast in gathered.contrasts else ()
    arms = [gathered.arms[term.arm] for term in terms if term.arm in gathered.arms]
    if any(arm["steered"] for arm in arms):
        return "not held against controls, so it is no evidence."
    if any(arm.get("thought") for arm in arms):
        return "an edit has no noise controls: compare its re-prefill and neutral edit in the referee's box."
    if any(arm.get("tuned") for arm in arms):
        return "training has no noise controls: compare its seeds and its control corpus in the referee's box."
    if any(arm["prompted"] for arm in arms):
        return "a prompt has no noise controls: compare its neutral prompt and paraphrases in the referee's box."
    return "no arm of it is steered or prompted."


def _rank(verdict: ControlVerdict) -> str:
    adjusted = f", adjusted {p_value(verdict.p_adjusted)}" if verdict.p_adjusted is not None else ""
    family = FAMILY.get(verdict.family, verdict.family)
    return f"{ordinal(verdict.rank)} of {verdict.m + 1} among {family} ({p_words(verdict.p)}{adjusted})"


def _place(verdicts: Sequence[ControlVerdict], nothing: str, *, primary: bool) -> tuple[str, Tone]:
    """Where the effect lies beside the bands, and what that means."""
    inside = [FAMILY.get(one.family, one.family) for one in verdicts if not one.outside]
    if inside:
        return f"inside the band of {listed(inside)}: {nothing}.", "not found"
    few = min(one.m for one in verdicts)
    if few < FEWEST_FOR_RANK:
        return f"too few controls for a verdict ({few}; at least {FEWEST_FOR_RANK} are needed).", "unknown"
    if {one.family for one in verdicts} < set(CONTROLS):
        return "outside its band; the other control family was not scored.", "unknown"
    sides = {"above" if one.effect > one.high else "below" for one in verdicts}
    where = f"outside, {sides.pop()} both bands" if len(sides) == 1 else "outside, above one band and below the other"
    if not primary:
        return f"{where}; exploratory, not adjusted for all that was looked at.", "unknown"
    adjusted = [one.p_adjusted for one in verdicts if one.p_adjusted is not None]
    if len(adjusted) < len(verdicts):
        return f"{where}; the declared contrasts share too few controls for an adjusted p, hence no verdict.", "unknown"
    if max(adjusted) > ALPHA + ROUNDING:
        return f"{where}, but not at {p_value(ALPHA)} once adjusted for all that was declared: {nothing}.", "not found"
    return f"{where}.", "found"


def _damage(gathered: Gathered, found: Sequence[Finding]) -> list[str]:
    """Equal total is not yet fair: what the primary arms did to neutral text."""
    if gathered.task_of(DAMAGE) is None:
        return []
    arms: list[str] = []
    for one in found:
        if one.primary and one.contrast in gathered.contrasts:
            arms += [term.arm for term in gathered.contrasts[one.contrast].terms if term.arm != gathered.baseline]
    known = [f"{arm} {number(gathered.value(arm, DAMAGE))}" for arm in dict.fromkeys(arms)]
    return [f"Damage on neutral text (KL of next-token distributions, nats): {listed(known)}."] if known else []
