"""The referee's box: what a careful reader asks of any such study, answered from the data or left red.

A red answer names the cheapest next run that would answer it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from doxa.report.gather import CONTROLS, Gathered
from doxa.report.numbers import counted, interval, listed, number, whole
from doxa.report.verdict import DAMAGE, GATE, gate
from doxa.stats.controls import FEWEST_FOR_RANK

State = Literal["yes", "no", "absent"]

FEWEST_PARAPHRASES = 5
"""Paraphrases of a prompt below which its wording is described and not tested."""


@dataclass(frozen=True)
class Answer:
    """A question of the referee.

    Attributes:
        question: The question.
        state: `yes`: answered from the data. `no`: not answered, printed red. `absent`: the study has no such thing.
        words: The answer.
        next_run: The cheapest change that would answer it, or "".
    """

    question: str
    state: State
    words: str
    next_run: str = ""


def referee(gathered: Gathered) -> list[Answer]:
    """All questions, in a fixed order."""
    asked: Sequence[Callable[[Gathered], Answer]] = (
        _baseline, _unit, _gate, _manipulation, _twins, _paraphrases, _one_vector, _damage, _family, _tiers, _missing,
    )  # fmt: skip
    return [question(gathered) for question in asked]


def _baseline(gathered: Gathered) -> Answer:
    question = "Are there error bars on the baseline?"
    one = gathered.own(gathered.baseline, gathered.lead) if gathered.baseline and gathered.lead else None
    if one is not None and one.low is not None:
        return Answer(question, "yes", f"{one.score} = {number(one.value)} {interval(one.low, one.high)}.")
    return Answer(question, "no", "The baseline has no interval.", "Add an arm `baseline: []` and at least 3 items.")


def _unit(gathered: Gathered) -> Answer:
    question = "Over what unit?"
    for one in gathered.evaluation.estimates:
        if one.score == gathered.lead and one.df is not None:
            n = ", ".join(counted(one.n[level], level[:-1]) for level in ("items", "runs", "seeds"))
            return Answer(
                question,
                "yes",
                f"{one.unit}: {n}; df {whole(one.df)}; {one.method}. An interval is for new items of this kind, "
                "with this vector and this checkpoint.",
            )
    return Answer(question, "no", "No interval could be computed.", "Add items.")


def _gate(gathered: Gathered) -> Answer:
    question = "Does the forced choice measure anything on this model (known-facts gate)?"
    accuracy = gate(gathered)
    if accuracy is None and all(task["name"] != "doxa/claims" for task in gathered.plan["tasks"]):
        return Answer(question, "absent", "The study asks no forced choice about a belief.")
    if accuracy is None:
        return Answer(question, "no", "No known facts were asked.", "Leave `gate` out of the arguments of doxa/claims.")
    words = f"The baseline is right on {accuracy:.0%} of known facts (gate {GATE:.0%}, chance 50%)."
    if accuracy >= GATE:
        return Answer(question, "yes", words)
    return Answer(question, "no", words, "Use a larger model.")


def _manipulation(gathered: Gathered) -> Answer:
    question = "Manipulation check: does anything move the stated belief at all?"
    prompted = [name for name, arm in gathered.arms.items() if arm["prompted"] and not arm["steered"]]
    if not prompted or gathered.lead is None:
        way_out = "Add `prompted: [{prompt: beliefs/...}]` and its contrast with the baseline."
        return Answer(question, "no", "No arm states the belief in a prompt.", way_out)
    said, moved = [], False
    for name in prompted:
        one = gathered.declared(name, gathered.lead)
        if one is None:
            said.append(f"{name}: its contrast with the baseline is not declared.")
            continue
        moved |= one.low is not None and one.low > 0
        said.append(f"{name}: {number(one.value, sign=True)} {interval(one.low, one.high)}.")
    if moved:
        return Answer(question, "yes", " ".join(said))
    return Answer(
        question,
        "no",
        f"{' '.join(said)} No interval lies above 0.",
        "Declare `prompted - baseline`, ask about more topics, or use a larger model.",
    )


def _twins(gathered: Gathered) -> Answer:
    question = "Is it more than any vector of that size would do (twins, unrelated vectors)?"
    steered = [arm["name"] for arm in gathered.arms.values() if arm["steered"]]
    if not steered:
        return Answer(question, "absent", "Nothing is steered.")
    counts = {
        name: {
            family: sum(arm["of"] == name and arm["control"] == family for arm in gathered.plan["arms"])
            for family in CONTROLS
        }
        for name in steered
    }
    have = [name for name in steered if min(counts[name].values()) >= FEWEST_FOR_RANK]
    without = [name for name in steered if name not in have]
    said = [
        f"{name}: {counts[name]['twin']} twins and {counts[name]['unrelated']} unrelated vectors."
        for name in steered
        if any(counts[name].values())
    ]
    words = " ".join(said) or "No arm has twins or unrelated vectors."
    if not without:
        return Answer(question, "yes", words)
    return Answer(
        question,
        "no",
        f"{words} Without enough controls, hence without a verdict: {listed(without)}.",
        "Leave `arms` out under `controls: {steer: ...}`: every steered arm then gets 39 of each.",
    )


def _paraphrases(gathered: Gathered) -> Answer:
    question = "Is it more than a change of wording (paraphrases, neutral prompt)?"
    prompted = [name for name, arm in gathered.arms.items() if arm["prompted"]]
    if not prompted or gathered.lead is None:
        return Answer(question, "absent", "No arm has a prompt.")
    said, enough = [], True
    for name in prompted:
        said.append(f"{name} itself: {number(gathered.value(name, gathered.lead), sign=True)}")
        for family, least in (("neutral", 1), ("paraphrase", FEWEST_PARAPHRASES)):
            own = [arm["name"] for arm in gathered.plan["arms"] if (arm["of"], arm["control"]) == (name, family)]
            levels = [level for one in own if (level := gathered.level(one, gathered.lead)) is not None]
            enough &= len(levels) >= least
            shown = listed([number(level, sign=True) for level in levels]) or "none"
            said.append(f"{name}, {family}: {shown}")
    words = f"Levels of {gathered.lead}: {'; '.join(said)}."
    if enough:
        return Answer(question, "yes", words)
    return Answer(
        question,
        "no",
        f"{words} Fewer than {FEWEST_PARAPHRASES} paraphrases describe and do not test.",
        "Write 5 paraphrases and set `controls: {prompt: {paraphrases: 5}}`.",
    )


def _one_vector(gathered: Gathered) -> Answer:
    question = "Is it the belief, or this one vector?"
    if not any(arm["steered"] for arm in gathered.arms.values()):
        return Answer(question, "absent", "Nothing is steered.")
    return Answer(
        question,
        "no",
        "One set of pairs gives one vector: n = 1 for a claim about the belief.",
        "Write a second set of pairs independently and add its arms.",
    )


def _damage(gathered: Gathered) -> Answer:
    question = "Equal strength is not equal damage: what else did it do?"
    values = {name: gathered.value(name, DAMAGE) for name in gathered.arms}
    known = [f"{name} {number(v)}" for name, v in values.items() if v is not None and name != gathered.baseline]
    if known:
        return Answer(question, "yes", f"KL on neutral text (nats): {'; '.join(known)}. See the frontier.")
    return Answer(question, "no", "Damage was not measured.", "Add the task doxa/drift.")


def _family(gathered: Gathered) -> Answer:
    question = "How many comparisons were declared, and how many were looked at?"
    evaluation = gathered.evaluation
    declared = sum(one.primary for one in evaluation.estimates)
    return Answer(
        question,
        "yes",
        f"{declared} declared ({listed(list(evaluation.primary))} on "
        f"{listed([score for _, score in evaluation.scores])}), adjusted within that family; "
        f"the other {len(evaluation.estimates) - declared} are exploratory and not adjusted.",
    )


def _tiers(gathered: Gathered) -> Answer:
    question = "Tier swap: would it be the same if the other tier were monitored?"
    return Answer(question, "absent", "This study has no tiers.")


def _missing(gathered: Gathered) -> Answer:
    question = "What is missing, by arm?"
    lost = [one for one in gathered.evaluation.missing if one["missing"]]
    if not lost:
        return Answer(question, "yes", "Nothing.")
    lines = [f"{one['arm']} {one['control']} {one['score']}: {one['missing']} of {one['rows']}" for one in lost[:12]]
    lines = [" ".join(line.split()) for line in lines]
    more = f" and {len(lost) - 12} more; see the table above" if len(lost) > 12 else ""
    return Answer(question, "yes", f"{'; '.join(lines)}{more}.")
