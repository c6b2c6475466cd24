"""The referee's box: what a careful reader asks of any such study, answered from the data or left red.

A red answer names the cheapest next run that would answer it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from doxa.report.gather import Gathered
from doxa.report.numbers import interval, listed, number
from doxa.report.verdict import DAMAGE, GATE, gate

State = Literal["yes", "no", "absent"]


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
    for one in gathered.evaluation.arms:
        if one.contrast == gathered.baseline and one.score == gathered.lead and one.low is not None:
            return Answer(question, "yes", f"{one.score} = {number(one.value)} {interval(one.low, one.high)}.")
    return Answer(question, "no", "The baseline has no interval.", "Add an arm `baseline: []` and at least 3 items.")


def _unit(gathered: Gathered) -> Answer:
    question = "Over what unit?"
    for one in gathered.evaluation.estimates:
        if one.score == gathered.lead and one.df is not None:
            n = ", ".join(f"{count} {level}" for level, count in one.n.items())
            return Answer(
                question,
                "yes",
                f"{one.unit}: {n}; df {number(one.df)}; {one.method}. An interval is for new items of this kind, "
                "with this vector and this checkpoint.",
            )
    return Answer(question, "no", "No interval could be computed.", "Add items.")


def _gate(gathered: Gathered) -> Answer:
    question = "Does the forced choice measure anything on this model (known-facts gate)?"
    accuracy = gate(gathered)
    if accuracy is None:
        return Answer(question, "no", "No known facts were asked.", "Add the task doxa/claims.")
    words = f"The baseline is right on {accuracy:.0%} of known facts (gate {GATE:.0%}, chance 50%)."
    return Answer(
        question, "yes" if accuracy >= GATE else "no", words, "" if accuracy >= GATE else "Use a larger model."
    )


def _manipulation(gathered: Gathered) -> Answer:
    question = "Manipulation check: does anything move the stated belief at all?"
    prompted = [name for name, arm in gathered.arms.items() if arm["prompted"]]
    for one in gathered.evaluation.estimates:
        if one.score == gathered.lead and one.contrast in {f"{name} - {gathered.baseline}" for name in prompted}:
            moved = one.low is not None and one.high is not None and (one.low > 0 or one.high < 0)
            words = f"The system prompt: {number(one.value, sign=True)} {interval(one.low, one.high)}."
            if moved:
                return Answer(question, "yes", words)
            return Answer(
                question, "no", f"{words} Its interval holds 0.", "Raise the number of topics, or use a larger model."
            )
    return Answer(
        question,
        "no",
        "No arm states the belief in a prompt.",
        "Add `prompted: [{prompt: beliefs/...}]` and its contrast.",
    )


def _twins(gathered: Gathered) -> Answer:
    question = "Is it more than any vector of that size would do (twins, unrelated vectors)?"
    steered = {arm["name"] for arm in gathered.arms.values() if arm["steered"]}
    if not steered:
        return Answer(question, "absent", "Nothing is steered.")
    have = {arm["of"] for arm in gathered.plan["arms"] if arm["control"] == "twin"} & {
        arm["of"] for arm in gathered.plan["arms"] if arm["control"] == "unrelated"
    }
    without = sorted(steered - have)
    controls = gathered.plan["study"]["controls"]["steer"]
    whom = listed(sorted(have)) or "no arm"
    words = f"{controls['twins']} twins and {controls['unrelated']} unrelated vectors for {whom}."
    if not without:
        return Answer(question, "yes", words)
    return Answer(
        question,
        "no",
        f"{words} Without controls, hence without a verdict: {listed(without)}.",
        "Leave `arms` out under `controls: {steer: ...}`: every steered arm then gets its controls.",
    )


def _paraphrases(gathered: Gathered) -> Answer:
    question = "Is it more than a change of wording (paraphrases, neutral prompt)?"
    prompted = [name for name, arm in gathered.arms.items() if arm["prompted"]]
    if not prompted:
        return Answer(question, "absent", "No arm has a prompt.")
    rows = gathered.table[gathered.table["score"] == gathered.lead]
    said = []
    for name in prompted:
        for control in ("paraphrase", "neutral"):
            own = rows[(rows["of"] == name) & (rows["control"] == control)]
            means = own.groupby("arm")["value"].mean().dropna()
            if len(means):
                said.append(f"{name}, {control}: {listed([number(value, sign=True) for value in means])}")
        mean = rows[rows["arm"] == name]["value"].mean()
        said.append(f"{name} itself: {number(float(mean), sign=True)}" if mean == mean else f"{name} itself: missing")
    words = f"Levels of {gathered.lead}: {'; '.join(said)}. Fewer than 5 paraphrases describe and do not test."
    return Answer(question, "no", words, "Write 5 paraphrases and set `controls: {prompt: {paraphrases: 5}}`.")


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
    known = [f"{name} {number(value)}" for name, value in values.items() if value]
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
    lines = [f"{one['arm']} {one['score']}: {one['missing']} of {one['rows']}" for one in lost[:12]]
    more = f" and {len(lost) - 12} more; see the table below" if len(lost) > 12 else ""
    return Answer(question, "yes", f"{'; '.join(lines)}{more}.")
