"""The sections on strength: effect against damage, dose and response, the dose that arrived, and drift."""

from collections.abc import Sequence

from doxa.report.figures import Dot, frontier
from doxa.report.gather import CONTROLS, Gathered, placement
from doxa.report.labels import label
from doxa.report.marks import MANY, colours_of
from doxa.report.panels import DoseLine, Line, dose, dose_response, envelope, finite, small_multiples
from doxa.report.parts import Section, Table
from doxa.report.verdict import DAMAGE
from doxa.words.numbers import number

TOO_MANY = ": the baseline alone, as there are too many; all are in the table"
ELSEWHERE = " Arms without a strength are too many to be lines here: the frontier has them."
Point = tuple[float, float, float | None, float | None]


def frontier_section(gathered: Gathered) -> Section | None:
    """Effect against damage; None when the study has no baseline or no damage."""
    lead = gathered.lead
    if lead is None or lead == DAMAGE or gathered.task_of(DAMAGE) is None:
        return None
    dots = []
    for arm in gathered.plan["arms"]:
        name = arm["name"]
        if arm["control"] not in ("", *CONTROLS) or name == gathered.baseline:
            continue
        effect, damage = gathered.shift(name, lead), gathered.level(name, DAMAGE)
        if effect is not None and damage is not None:
            dots.append(Dot(placement(arm), damage, effect, gathered.total(name) or 0.0, arm["control"]))
    if not dots:
        return None
    drawing = frontier(
        dots,
        _colours(gathered),
        name="frontier",
        x=f"{label(DAMAGE)}, log scale",
        y=f"change of the\n{label(lead)}",
        caption="Equal strength is not equal damage. Up: the belief is stated more. Right: text that has nothing to do "
        "with it is predicted more differently. The strengths of one placement are joined, a larger dot is a larger "
        "strength. A diamond, or a number, has none; the levels of one grid share a number and are joined in the order "
        "of their damage. No damage at all is drawn at the left edge. Grey: the controls.",
    )
    return Section("frontier", "Effect against damage", drawings=[drawing])


def dose_response_section(gathered: Gathered) -> Section | None:
    """The leading score over strength; None when no arm has a strength or there is no baseline."""
    lead = gathered.lead
    lines = _lines(gathered, lead, shifts=True) if lead is not None and gathered.baseline is not None else []
    if lead is None or not lines:
        return None
    others = {arm: value for arm in _without_strength(gathered) if (value := gathered.shift(arm, lead)) is not None}
    drawing = dose_response(
        lines,
        _colours(gathered),
        others if len(others) <= MANY else {},
        name="dose-response",
        axis=f"change of the\n{label(lead)}",
        caption="The change from the baseline over the planned total strength, a panel a placement; each has its own "
        "scale of strength. Vertical lines are intervals, where a contrast with the baseline was declared; grey is the "
        f"range of the controls, where they were scored.{ELSEWHERE * (len(others) > MANY)}",
    )
    return Section("dose-response", "Dose and response", drawings=[drawing])


def dose_section(gathered: Gathered) -> Section | None:
    """Planned and measured displacement by layer; None when no dose was measured."""
    shown: dict[str, tuple[tuple[bool, float], DoseLine]] = {}
    for name, arm in gathered.arms.items():
        total, where = gathered.total(name), placement(arm)
        if total is None:
            continue
        line = _dose_line(gathered, where, name)
        tells = (bool(line.controls), abs(total))  # a strength beside controls says more than a larger one without
        if where not in shown or tells >= shown[where][0]:
            shown[where] = (tells, line)
    if not shown:
        return None
    drawing = dose(
        [line for _, line in shown.values()],
        _colours(gathered),
        name="dose",
        caption="What arrives at every layer on neutral reference prompts, as a fraction of the clean residual norm, "
        "for the largest strength of each placement, or the largest that has controls. Dotted: the sum planned. Solid: "
        "measured along the vector's own direction. Dashed: measured norm. Grey: the norm that arrives from controls.",
    )
    head = ["arm", "steered layers", "planned", "measured along", "measured norm", "norm at the last layer"]
    rows = [row for name in gathered.arms if (row := _arrived(gathered, name)) is not None]
    return Section("dose", "The dose that arrived", drawings=[drawing], tables=[Table(head, rows, "In numbers")])


def drift_section(gathered: Gathered) -> Section | None:
    """Every shown score of `doxa/drift` by strength, and of every arm; None when the study does not measure it."""
    shown = [score for task in gathered.plan["tasks"] if task["name"] == "doxa/drift" for score in task["shown"]]
    scores = [score for score in shown if gathered.task_of(score) is not None]
    if not scores:
        return None
    panels = {label(score): lines for score in scores if (lines := _lines(gathered, score, shifts=False))}
    without = _without_strength(gathered)
    few = without if len(without) <= MANY else []
    others = {
        label(score): {
            arm: value
            for arm in [*([gathered.baseline] if gathered.baseline else []), *few]
            if (value := gathered.value(arm, score)) is not None
        }
        for score in scores
    }
    drawings = []
    if panels:
        drawings.append(
            small_multiples(
                panels,
                _colours(gathered),
                others,
                name="drift",
                caption="Everything else that changed, over the planned total strength: the mean of each score with "
                f"its interval. Horizontal lines are arms without a strength{TOO_MANY * (few != without)}.",
            )
        )
    rows = [[arm, *[number(gathered.value(arm, score)) for score in scores]] for arm in gathered.arms]
    table = Table(["arm", *scores], rows, "Every arm's level")
    return Section("drift", "What else it did", drawings=drawings, tables=[table])


def _colours(gathered: Gathered) -> dict[str, str]:
    return colours_of(placement(arm) for name, arm in gathered.arms.items() if gathered.total(name) is not None)


def _without_strength(gathered: Gathered) -> list[str]:
    return [name for name in gathered.arms if gathered.total(name) is None and name != gathered.baseline]


def _lines(gathered: Gathered, score: str, *, shifts: bool) -> list[Line]:
    """A line for each placement: levels, or shifts from the baseline with their controls."""
    points: dict[str, list[Point]] = {}
    controls: dict[str, dict[str, dict[float, Sequence[float]]]] = {}
    for name, arm in gathered.arms.items():
        total = gathered.total(name)
        estimate = gathered.declared(name, score) if shifts else gathered.own(name, score)
        value = gathered.shift(name, score) if shifts else gathered.value(name, score)
        if total is None or value is None:
            continue
        low, high = (estimate.low, estimate.high) if estimate is not None else (None, None)
        points.setdefault(placement(arm), []).append((total, value, low, high))
        if shifts and estimate is not None:
            for verdict in gathered.evaluation.verdicts:
                same = (verdict.contrast, verdict.task, verdict.score) == (estimate.contrast, estimate.task, score)
                if same and verdict.family in CONTROLS:
                    own = controls.setdefault(placement(arm), {}).setdefault(verdict.family, {})
                    own[total] = list(verdict.effects.values())
    drawn = []
    for where, found in points.items():
        x, y, lows, highs = zip(*sorted(found, key=lambda point: point[0]), strict=True)
        drawn.append(Line(where, x, y, lows, highs, controls.get(where, {})))
    return drawn


def _dose_line(gathered: Gathered, where: str, name: str) -> DoseLine:
    own = [row for row in gathered.dose if row["arm"] == name]
    controls = {}
    for family in CONTROLS:
        stacks: dict[str, list[float | None]] = {}
        for row in gathered.dose:
            if str(row["arm"]).startswith(f"{name}~{family}/"):
                stacks.setdefault(row["arm"], []).append(row["measured_norm"])
        if stacks:
            controls[family] = envelope(list(stacks.values()))
    return DoseLine(
        name,
        where,
        [row["layer"] for row in own],
        [row["planned_cumulated"] for row in own],
        finite([row["measured_projection"] for row in own]),
        finite([row["measured_norm"] for row in own]),
        controls,
    )


def _arrived(gathered: Gathered, name: str) -> list[str] | None:
    own = [row for row in gathered.dose if row["arm"] == name]
    steered = [row for row in own if row["planned"]]
    if not steered:
        return None
    first, last = steered[0], steered[-1]
    layers = f"{first['layer']} to {last['layer']} ({len(steered)})" if len(steered) > 1 else str(first["layer"])
    return [
        name,
        layers,
        *(number(last[key]) for key in ("planned_cumulated", "measured_projection", "measured_norm")),
        number(own[-1]["measured_norm"]),
    ]
