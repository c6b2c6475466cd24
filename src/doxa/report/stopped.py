"""When and why the runs of a study ended, where a rule ended them."""

from collections.abc import Mapping
from typing import Any

from doxa.report.gather import Gathered
from doxa.report.parts import Section, Table
from doxa.stats.stopping import Quantity, look_from_json
from doxa.words.numbers import counted, interval, number

NOT_FIXED = (
    "The confidence sequence holds at every look, for these items. The other intervals and p-values of what was "
    "generated are for a number of runs that is fixed beforehand; this one was not, so read the rule's score by its "
    "sequence."
)
WIDTHS = "The rule saw widths only, which leaves the coverage of the intervals of these rates as it is."
MEANS = (
    "The rule saw widths only. That lowers the coverage of the intervals of these means by two to three points at 30 "
    "items, and by about one at 100."
)
HEAD = ("runs", "what", "estimate", "interval", "rows", "missing", "method", "answer")


def stopped(gathered: Gathered) -> list[str]:
    """When the runs ended and by which rule, a sentence each; nothing when their number was fixed."""
    if isinstance(gathered.plan["study"]["runs"], int):
        return []
    found = gathered.stopping
    if found is None:
        return ["The runs were to end by a rule, which was not looked at: answers of the first step ended in an error."]
    last = look_from_json(found["looks"][-1])
    runs, most, rule = last.runs, found["at_most"], found["rule"]
    if found["met"]:
        said = [f"Stopped after {counted(runs, 'run')} of at most {most}: {rule}."]
    elif runs == most:
        said = [f"All {most} runs were made, and the rule was not met: {rule}."]
    else:
        return [
            f"Not finished: after {counted(runs, 'run')} of at most {most} the rule was not met ({rule}), and answers "
            "of the next step ended in an error."
        ]
    said += [_quantity(one, found) for one in last.quantities if one.answer != "narrow" or one.why]
    means = not all("Wilson" in one.method for one in last.quantities)
    return [*said, NOT_FIXED if found["decides"] else MEANS if means else WIDTHS]


def _quantity(one: Quantity, found: Mapping[str, Any]) -> str:
    if one.why:
        return f"{one.name} on {found['score']}: {one.why}."
    ends = f"{number(one.value, sign=bool(found['decides']))} {interval(one.low, one.high)} by the {one.method}"
    answer = {"differs": "differs from 0", "within the margin": "lies within the margin", "": "not enough"}[one.answer]
    lost = f", {one.missing} more missing" if one.missing else ""
    return f"{one.name} on {found['score']}: {ends} ({counted(one.rows, 'row')}{lost}): {answer}."


def stopping_section(gathered: Gathered) -> Section | None:
    """Every look of the rule."""
    found = gathered.stopping
    if found is None:
        return None
    rows = [
        [
            str(at.runs),
            one.name,
            number(one.value),
            interval(one.low, one.high),
            str(one.rows),
            str(one.missing),
            one.method,
            one.why or one.answer or "not enough",
        ]
        for at in map(look_from_json, found["looks"])
        for one in at.quantities
    ]
    words = [f"{found['score']} of {found['task']}, {found['rule']}; at most {found['at_most']} runs."]
    table = Table(HEAD, rows, counted(len(found["looks"]), "look"), wrap=(1, 6, 7))
    return Section("stopping", "When the runs were stopped", words, tables=[table])
