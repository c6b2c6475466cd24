"""A comparison in words, as tables and as a page."""

import json
from collections.abc import Sequence
from pathlib import Path

from doxa.report.comparison_figures import Bar, differences, seeds
from doxa.report.labels import flag_words, units
from doxa.report.page import render
from doxa.report.parts import Section, Table
from doxa.report.theme import Drawing
from doxa.stats.comparison import Comparison, Difference, to_json
from doxa.stats.estimands import MEANING
from doxa.stats.estimate import Estimate
from doxa.stats.variance import SeedVariance
from doxa.words.numbers import counted, interval, number, p_value, p_words, whole
from doxa.words.store import write_atomic

JSON, PAGE = "comparison.json", "comparison.html"
HEAD = ("difference", "task", "score", "estimate", "interval", "p", "p adjusted", "units", "df", "smallest found",
        "method", "holds for", "rows left out", "remarks")  # fmt: skip


def sentences(found: Comparison) -> list[str]:
    """What a comparison says, a sentence a difference; without any, a sentence a level."""
    if not found.differences:
        return [_level_sentence(one) for one in found.levels]
    said = [f"{_lead(found, one)} {_rest(one)}".strip() for one in found.differences]
    said += [variance_sentence(task, score, one) for (task, score, _), one in found.variances.items()]
    return [*said, *_family(found)]


def _family(found: Comparison) -> list[str]:
    if found.family < 2:
        return []
    return [f"{found.family} differences were tested; adjusted p-values are Holm's over all of them."]


def variance_sentence(task: str, score: str, one: SeedVariance) -> str:
    """Whether the seeds of an arm differ, beside the intraclass correlation that could have been seen."""
    icc = f"ICC {number(one.icc)}" + (f" {interval(one.low, one.high)}" if one.low is not None else "")
    if one.icc is None:
        return f"{one.arm}, {score} ({task}): all {one.seeds} seeds have the same values."
    least = "no ICC could be found with 80 % power" if one.detectable is None else (
        f"with 80 % power {one.seeds} seeds of {number(one.runs)} rows find an ICC of {number(one.detectable)} and more"
    )  # fmt: skip
    verdict = "the seeds differ" if one.p is not None and one.p <= 0.05 else "the seeds were not shown to differ"
    return f"{one.arm}, {score} ({task}): {verdict} ({p_words(one.p)}, {one.method}); {icc}; {least}."


def write_comparison(found: Comparison, folder: Path, command: str, margin: float | None = None) -> Path:
    """Write `comparison.html`, `comparison.json`, `comparison.csv` and `figures/`.

    Args:
        found: The comparison.
        folder: Where to.
        command: What was typed, for the page.
        margin: The margin that was stated, for the figure.

    Returns:
        The path of the page.

    Raises:
        EnvironmentFault: When it cannot be written.
    """
    sections = [one for one in (_differences(found, margin), _seeds(found), _levels(found), _missing(found)) if one]
    for drawing in (drawing for section in sections for drawing in section.drawings):
        write_atomic(folder / "figures" / f"{drawing.name}.svg", drawing.svg)
        write_atomic(folder / "figures" / f"{drawing.name}.png", drawing.png)
    write_atomic(folder / JSON, json.dumps(to_json(found), indent=1, allow_nan=False))
    names = ", ".join(dict.fromkeys(one.estimate.contrast for one in found.differences)) or "levels"
    leads = [_lead(found, one) for one in found.differences] or sentences(found)
    context = {"title": names, "answer": [*leads, *_family(found)], "sections": sections, "command": command}
    write_atomic(folder / PAGE, render("comparison.html", context))
    return folder / PAGE


def _differences(found: Comparison, margin: float | None) -> Section | None:
    if not found.differences:
        return None
    rows = [
        [
            one.estimate.contrast,
            one.estimate.task,
            one.estimate.score,
            number(one.estimate.value, sign=True),
            interval(one.estimate.low, one.estimate.high),
            p_value(one.estimate.p),
            p_value(one.estimate.p_adjusted),
            _units(one.estimate),
            whole(one.estimate.df),
            number(one.detectable) if one.detectable is not None else "–",
            one.estimate.method,
            one.estimate.estimand,
            "; ".join(f"{arm}: {count}" for arm, count in one.estimate.missing.items() if count) or "none",
            _remarks(one.estimate),
        ]
        for one in found.differences
    ]
    drawings: list[Drawing] = []
    for score in dict.fromkeys(one.estimate.score for one in found.differences):
        own = [one for one in found.differences if one.estimate.score == score]
        bars = [Bar(_label(one.estimate, own), one.estimate.value, one.estimate.low, one.estimate.high) for one in own]
        caption = f"Differences of {score} with {own[0].estimate.level:.0%} intervals. {_holds(own[0].estimate)}"
        drawings.append(
            differences(bars, name=f"differences-{len(drawings)}", axis=score, caption=caption, margin=margin)
        )
    why = [[f"{one.estimate.contrast}, {one.estimate.score} ({one.estimate.task})", one.estimate.why]
           for one in found.differences]  # fmt: skip
    tables = [
        Table(HEAD, rows, wrap=(0, 10, 12, 13)),
        Table(["difference", "why this method"], why, "Why each method", (1,)),
    ]
    said = [f"{one.estimate.score} ({one.estimate.task}): {_rest(one)}" for one in found.differences]
    return Section("differences", "Differences", said, drawings, tables)


def _seeds(found: Comparison) -> Section | None:
    if not found.variances:
        return None
    drawings: list[Drawing] = []
    for task, score in dict.fromkeys((task, score) for task, score, _ in found.variances):
        by_arm = {arm: one.by_seed for (t, s, arm), one in found.variances.items() if (t, s) == (task, score)}
        bars = [Bar(one.contrast, one.value, one.low, one.high) for one in found.levels
                if (one.task, one.score) == (task, score)]  # fmt: skip
        caption = f"{score} ({task}): every training seed, and every arm's level with its interval."
        drawings.append(seeds(by_arm, bars, name=f"seeds-{len(drawings)}", axis=score, caption=caption))
    said = [variance_sentence(task, score, one) for (task, score, _), one in found.variances.items()]
    return Section("seeds", "Training seeds", said, drawings)


def _levels(found: Comparison) -> Section:
    rows = [
        [one.contrast, one.task, one.score, number(one.value), interval(one.low, one.high), _events(one), _units(one),
         one.method, one.estimand, _remarks(one)]
        for one in found.levels
    ]  # fmt: skip
    head = ["arm", "task", "score", "level", "interval", "events", "units", "method", "for", "remarks"]
    return Section("levels", "Every arm by itself", tables=[Table(head, rows, wrap=(0, 7, 9))])


def _missing(found: Comparison) -> Section | None:
    lost = [one for one in found.missing if one["missing"]]
    if not lost:
        return None
    rows = [
        [str(one["arm"]), str(one["task"]), str(one["score"]), f"{one['missing']} of {one['rows']}",
         "; ".join(f"{reason}: {count}" for reason, count in one["reasons"].items())]
        for one in lost
    ]  # fmt: skip
    table = Table(["arm", "task", "score", "rows missing", "reasons"], rows, wrap=(4,))
    return Section("missing", "What is missing", tables=[table])


def _lead(found: Comparison, one: Difference) -> str:
    """The levels, the difference, its interval, p and unit."""
    own = one.estimate
    where = f"{own.contrast} on {own.score} ({own.task})"
    if own.value is None:
        return f"{where}: nothing to estimate from."
    interval_words = (
        f"{own.level:.0%} interval {interval(own.low, own.high)} ({own.method}), {p_words(own.p)}"
        if own.low is not None
        else "no interval"
    )
    adjusted = f", adjusted {p_value(own.p_adjusted)}" if own.p_adjusted is not None and found.family > 1 else ""
    difference = f"difference {number(own.value, sign=True)}, {interval_words}{adjusted}"
    return f"{where}: {_sides(found, one)}{difference}; over {_units(own)}."


def _rest(one: Difference) -> str:
    """What the interval holds for, what could have been found, and what is to be noted."""
    own, said = one.estimate, []
    if own.low is not None:
        said.append(_holds(own))
    if one.detectable is not None:
        said.append(f"A true difference of {number(one.detectable)} would be found with 80 % power.")
    if one.equivalence is not None:
        said.append(_equivalence(one))
    if own.superiority is not None and own.superiority["value"] is not None:
        words = interval(own.superiority["low"], own.superiority["high"])
        said.append(f"P(X > Y) + P(X = Y)/2 is {number(own.superiority['value'])} {words}.")
    lost = ", ".join(f"{count} of {arm}" for arm, count in own.missing.items() if count)
    if lost:
        said.append(f"Left out because they have no value, or no counterpart in the other arm: rows {lost}.")
    remarks = _remarks(own)
    return " ".join([*said, *([f"Note: {remarks}."] if remarks else [])])


def _sides(found: Comparison, one: Difference) -> str:
    """The levels of the two arms of a plain difference on what it rests on, with counts where nothing is left out."""
    if len(one.sides) != 2:
        return ""
    own = one.estimate
    levels = {each.contrast: each for each in found.levels if (each.task, each.score) == (own.task, own.score)}
    arms = [arm.strip("'") for arm in own.contrast.split(" - ")]
    whole = [levels.get(arm) for arm in arms] if len(arms) == 2 else [None, None]
    words = [
        f"{number(side)}{_counts(level) if level is not None and level.value == side else ''}"
        for side, level in zip(one.sides, whole, strict=True)
    ]
    return f"{words[0]} against {words[1]}; "


def _equivalence(one: Difference) -> str:
    found = one.equivalence
    assert found is not None
    inside = {
        "smaller": "the difference is smaller than the margin",
        "larger": "the difference is larger than the margin",
        "inconclusive": "inconclusive, which is not evidence of no difference",
    }[found.answer]
    return f"With a margin of {number(found.margin)}: 90% interval {interval(found.low, found.high)}, {inside}."


def _level_sentence(one: Estimate) -> str:
    return (
        f"{one.contrast}, {one.score} ({one.task}): {number(one.value)}{_counts(one)} {interval(one.low, one.high)}, "
        f"{one.method}, {_units(one)}."
    )


def _counts(one: Estimate) -> str:
    return f" ({_events(one)})" if "events" in one.n else ""


def _events(one: Estimate) -> str:
    return f"{one.n['events']}/{one.n['rows']}" if "events" in one.n else "–"


def _units(one: Estimate) -> str:
    if one.n["runs"] < 2 or one.unit == "run":
        return units(one)
    rows = "run" if one.unit in ("item", "seed", "seed and item") else "row"
    return f"{units(one)}, up to {counted(one.n['runs'], rows)} each"


def _holds(one: Estimate) -> str:
    return f"The interval {MEANING[one.estimand]}."


def _label(one: Estimate, beside: Sequence[Difference]) -> str:
    contrasts = {other.estimate.contrast for other in beside}
    tasks = {other.estimate.task for other in beside}
    contrast = one.contrast.replace(" - ", "\n− ")
    if len(tasks) == 1:
        return contrast
    return one.task if len(contrasts) == 1 else f"{contrast}\n{one.task}"


def _remarks(one: Estimate) -> str:
    return "; ".join(flag_words(one))
