"""The referee's box: what a careful reader asks of any such study, answered from the data or left red.

A red answer names the cheapest next run that would answer it.
"""

from collections.abc import Callable, Sequence

import numpy as np

from doxa.report.answers import Answer
from doxa.report.gates import GATES
from doxa.report.gather import CONTROLS, Gathered
from doxa.report.referee_training import corpus_control, training_seeds
from doxa.report.taken_over import seen_before
from doxa.report.verdict import DAMAGE, GATE, GATE_SCORE, gate
from doxa.stats.controls import FEWEST_FOR_RANK
from doxa.stats.estimands import MEANING
from doxa.stats.intervals import mean_t
from doxa.stats.table import ITEM
from doxa.words.numbers import counted, interval, listed, number, whole

FEWEST_PARAPHRASES = 5
"""Paraphrases of a prompt below which its wording is described and not tested."""
SHOWN = 12
"""Lines of what is missing that the box holds; the rest is in a table."""


EDIT_CONTROLS = {"reprefill": "its re-prefill", "neutral": "its neutral edit"}
WHAT_THEY_ARE = (
    "The re-prefill cuts the same rollouts at the same place, changes nothing and writes on; the neutral edit changes "
    "as much there, about something else."
)


def referee(gathered: Gathered) -> list[Answer]:
    """All questions, in a fixed order."""
    asked: Sequence[Callable[[Gathered], Answer]] = (
        _baseline, _unit, training_seeds, _gate, _manipulation, _twins, _edits, corpus_control, _paraphrases,
        _one_vector, _damage, _family, _tiers, _missing,
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
        if one.score == gathered.lead and one.low is not None:
            within = gathered.unit_of(one.task, one.score)
            names = {"items": within, "runs": "run" if within == ITEM else "row", "seeds": "seed"}
            n = ", ".join(counted(one.n[level], name) for level, name in names.items())
            return Answer(
                question,
                "yes",
                f"{one.unit}: {n}; df {whole(one.df)}; {one.method}. The interval {MEANING[one.estimand]}.",
            )
    return Answer(question, "no", "No interval could be computed.", "Add items.")


def _gate(gathered: Gathered) -> Answer:
    question = "Does the forced choice measure anything on this model (known-facts gate)?"
    asking = [task["name"] for task in gathered.plan["tasks"] if GATE_SCORE in task["shown"]]
    if not asking:
        return Answer(question, "absent", "The study asks no forced choice that known facts go with.")
    if gathered.baseline is None:
        return Answer(question, "no", "No arm is without interventions.", "Add an arm `baseline: []`.")
    if gathered.task_of(GATE_SCORE) is None:
        way_out = f"Leave `gate` out of the arguments of {listed(asking)}."
        return Answer(question, "no", "No known facts were asked.", way_out)
    accuracy = gate(gathered)
    if accuracy is None:
        return Answer(question, "no", "No answer of the baseline to a known fact has a value.", "Use another model.")
    words = f"The baseline is right on {accuracy:.0%} of known facts (gate {GATE:.0%}, chance 50%)."
    if accuracy >= GATE:
        return Answer(question, "yes", words)
    return Answer(question, "no", words, "Use a larger model.")


def _manipulation(gathered: Gathered) -> Answer:
    question = "Manipulation check: does stating the belief in a prompt move it, more than a neutral prompt does?"
    prompted = [name for name in _prompted(gathered) if not gathered.arms[name]["steered"]]
    if not prompted or gathered.lead is None or gathered.baseline is None:
        way_out = "Add the arms `baseline: []` and `prompted: [{prompt: beliefs/...}]`."
        return Answer(question, "no", "No arm states the belief in a prompt beside a baseline.", way_out)
    said, moved, neutral = [], False, False
    for name in prompted:
        others = [(gathered.baseline, gathered.baseline)]
        others += [(one, "its neutral prompt") for one in gathered.controls_of(name, "neutral")]
        neutral |= len(others) > 1
        found = [(words, gathered.between(name, other, gathered.lead)) for other, words in others]
        said += [
            f"{name} - {words}: {number(one.value, sign=True)} {interval(one.low, one.high)}."
            for words, one in found
            if one is not None
        ]
        above = [one is not None and one.low is not None and one.low > 0 for _, one in found]
        moved |= len(above) > 1 and all(above)
    words = " ".join(said)
    if moved:
        return Answer(question, "yes", words)
    if not neutral:
        way_out = "Give the belief file a `neutral` prompt; it is scored by itself."
        return Answer(question, "no", f"{words} No neutral prompt was scored.", way_out)
    return Answer(
        question,
        "no",
        f"{words} No prompt lies above both, so nothing shows that this belief can be moved here.",
        "Ask about more topics, or use a larger model.",
    )


def _prompted(gathered: Gathered) -> list[str]:
    """Arms with a prompt and no edit of their thinking: the neutral control of an edit is no neutral prompt."""
    return [name for name, arm in gathered.arms.items() if arm["prompted"] and not arm.get("thought")]


def _twins(gathered: Gathered) -> Answer:
    question = "Is it more than any vector of that size would do (twins, unrelated vectors)?"
    steered = [arm["name"] for arm in gathered.arms.values() if arm["steered"]]
    if not steered:
        return Answer(question, "absent", "Nothing is steered.")
    counts = {name: [len(gathered.controls_of(name, family)) for family in CONTROLS] for name in steered}
    without = [name for name in steered if min(counts[name]) < FEWEST_FOR_RANK]
    said = [f"{name}: {twins} twins and {other} unrelated vectors." for name, (twins, other) in counts.items() if twins]
    words = " ".join(said) or f"No arm has twins or unrelated vectors with a value of {gathered.lead}."
    if not without:
        return Answer(question, "yes", words)
    return Answer(
        question,
        "no",
        f"{words} Without enough controls, hence without a verdict: {listed(without)}.",
        "Leave `arms` and `tasks` out under `controls: {steer: ...}`: every steered arm then gets 39 of each.",
    )


def _edits(gathered: Gathered) -> Answer:
    question = "Is it what the edit says, or cutting and writing on by itself (re-prefill, neutral edit)?"
    lead = gathered.lead
    named = [name for name, arm in gathered.arms.items() if arm.get("thought")]
    if not named or lead is None:
        return Answer(question, "absent", "No arm edits its chain of thought.")
    said, without = [], []
    for name in named:
        own = {family: [one["name"] for one in gathered.plan["arms"] if (one["of"], one["control"]) == (name, family)]
               for family in EDIT_CONTROLS}  # fmt: skip
        if not any(own.values()) and gathered.arms[name]["thought"] == "opened":
            continue
        found = {
            family: gathered.between(name, control, lead) for family, names in own.items() for control in names[:1]
        }
        for family, one in found.items():
            if one is not None and one.value is not None:
                words = f"{number(one.value, sign=True)} {interval(one.low, one.high)}"
                said.append(f"{name} - {EDIT_CONTROLS[family]}: {words}.")
        intervals = [one is not None and one.low is not None for one in map(found.get, EDIT_CONTROLS)]
        if not all(intervals):
            without.append(name)
    words = " ".join([*said, WHAT_THEY_ARE])
    if not said and not without:
        return Answer(question, "absent", "A thinking block is opened, and nothing is written into it.")
    if not without:
        return Answer(question, "yes", words)
    return Answer(
        question,
        "no",
        f"{words} Without an interval beside both: {listed(without)}.",
        "Leave `thought` out under `controls`, and give a task that generates at least 3 items.",
    )


def _paraphrases(gathered: Gathered) -> Answer:
    question = "Is it more than a change of wording (paraphrases, neutral prompt)?"
    prompted = _prompted(gathered)
    lead = gathered.lead
    if not prompted or lead is None:
        return Answer(question, "absent", "No arm has a prompt.")
    said, tested, enough = [], [], True
    for name in prompted:
        levels = {
            family: [gathered.level(one, lead) for one in gathered.controls_of(name, family)]
            for family in ("neutral", "paraphrase")
        }
        shown = {family: listed([number(level, sign=True) for level in own]) for family, own in levels.items()}
        said.append(f"{name} itself: {number(gathered.value(name, lead), sign=True)}")
        said += [f"{name}, {family}: {words or 'none'}" for family, words in shown.items()]
        enough &= len(levels["paraphrase"]) >= FEWEST_PARAPHRASES and len(levels["neutral"]) == 1
        if enough:
            (neutral,) = levels["neutral"]
            beyond = mean_t(np.array(levels["paraphrase"], dtype=float) - float(neutral or 0.0), null=None)
            tested.append(
                f"Paraphrases of {name} beyond its neutral prompt: {number(beyond.value, sign=True)} "
                f"{interval(beyond.low, beyond.high)} (t over {len(levels['paraphrase'])} paraphrases)."
            )
    words = f"Levels of {lead}: {'; '.join(said)}."
    if enough:
        return Answer(question, "yes", " ".join([words, *tested]))
    return Answer(
        question,
        "no",
        f"{words} Fewer than {FEWEST_PARAPHRASES} paraphrases and a neutral prompt describe and do not test.",
        "Write 5 paraphrases and set `controls: {prompt: {paraphrases: 5}}`.",
    )


def _one_vector(gathered: Gathered) -> Answer:
    question = "Is it the belief, or this one vector?"
    vectors: dict[str, list[str]] = {}
    for name, arm in gathered.arms.items():
        for vector in arm["vectors"]:
            vectors.setdefault(vector, []).append(name)
    if not vectors:
        return Answer(question, "absent", "Nothing is steered.")
    if len(vectors) == 1:
        return Answer(
            question,
            "no",
            f"One set of pairs gives one vector ({next(iter(vectors))}): n = 1 for a claim about the belief.",
            "Write a second set of pairs independently and add its arms.",
        )
    said = [f"{vector}: {listed(arms)}" for vector, arms in vectors.items()]
    return Answer(
        question,
        "yes",
        f"{len(vectors)} vectors, each of them n = 1 for its belief: {'; '.join(said)}. Compare their contrasts.",
    )


def _damage(gathered: Gathered) -> Answer:
    question = "Equal strength is not equal damage: what else did it do?"
    if gathered.task_of(DAMAGE) is None:
        return Answer(question, "no", "Damage was not measured.", "Add the task doxa/drift.")
    values = [f"{name} {number(gathered.value(name, DAMAGE))}" for name in gathered.arms if name != gathered.baseline]
    return Answer(question, "yes", f"KL on neutral text (nats): {'; '.join(values)}. See the frontier.")


def _family(gathered: Gathered) -> Answer:
    question = "How many comparisons were declared, and how many were looked at?"
    evaluation = gathered.evaluation
    declared = sum(one.primary for one in evaluation.estimates)
    words = (
        f"{declared} declared ({listed(list(evaluation.primary))} on "
        f"{listed([score for _, score in evaluation.scores])}), adjusted within that family; "
        f"the other {len(evaluation.estimates) - declared} are exploratory and not adjusted."
    )
    if seen := seen_before(gathered):
        way_out = "Run the study in a folder of its own, with items that were not asked yet."
        return Answer(question, "no", " ".join([words, *seen]), way_out)
    return Answer(question, "yes", words)


def _tiers(gathered: Gathered) -> Answer:
    question = "Tier swap: would it be the same if the other tier were monitored?"
    if all(task["name"] not in GATES for task in gathered.plan["tasks"]):
        return Answer(question, "absent", "This study has no tiers.")
    pairs = [("gap", "swap_difference"), ("choice_gap", "choice_swap_difference")]
    found = [
        [gathered.own(gathered.baseline, score) if gathered.baseline else None for score in pair]
        for pair in pairs
        if gathered.task_of(pair[1]) is not None
    ]
    said = [
        f"{one.score} = {number(one.value, sign=True)} {interval(one.low, one.high)}"
        for pair in found
        for one in pair
        if one is not None and one.value is not None
    ]
    if not said:
        way_out = "Write `swap: [no, yes]` under the arguments of doxa/compliance."
        return Answer(question, "no", "A gap may follow the label: no tier was swapped.", way_out)
    words = "Of the baseline, what follows the monitoring (gap) and what follows the label (swap difference): "
    words += f"{'; '.join(said)}."
    if all(pair[1] is None or pair[1].low is None for pair in found):
        return Answer(question, "no", f"{words} No swap difference has an interval.", "Ask more queries.")
    return Answer(question, "yes", words)


def _missing(gathered: Gathered) -> Answer:
    question = "What is missing, by arm?"
    evaluation = gathered.evaluation
    lines = [
        f"{name}: no row of {gathered.lead} in {listed(arms)}"
        for name in evaluation.contrasts
        if (arms := gathered.without_rows(name))
    ]
    lost = [one for one in evaluation.missing if one["missing"]]
    known = {(one["arm"], one["score"]) for one in lost}
    lines += [f"{one['arm']} {one['control']} {one['score']}: {one['missing']} of {one['rows']}" for one in lost]
    for one in evaluation.estimates:
        for arm, count in one.missing.items():
            if count and (arm, one.score) not in known:  # items that the arm was never asked
                known.add((arm, one.score))
                lines.append(f"{arm} {one.score}: {count} rows that another arm of {one.contrast} has")
    if not lines:
        return Answer(question, "yes", "Nothing.")
    more = f" and {len(lines) - SHOWN} more; see the table above" if len(lines) > SHOWN else ""
    return Answer(question, "yes", f"{'; '.join(' '.join(line.split()) for line in lines[:SHOWN])}{more}.")
