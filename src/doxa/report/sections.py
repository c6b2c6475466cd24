"""The sections of a report: which figure and which table answers what."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from doxa.report.figures import (
    DoseLine,
    Dot,
    ForestRow,
    Line,
    dose,
    dose_response,
    forest,
    frontier,
    small_multiples,
)
from doxa.report.gather import Gathered
from doxa.report.numbers import interval, number, ordinal, p_value
from doxa.report.theme import Drawing
from doxa.report.verdict import DAMAGE, findings
from doxa.stats.estimate import Estimate, per_item
from doxa.words.arms import read_arm
from doxa.words.contrasts import Contrast, Term
from doxa.words.difference import differences

CONTROLS = ("twin", "unrelated")


@dataclass(frozen=True)
class Table:
    """Rows of text under heads; folded under `summary` when that is given; columns in `wrap` may break."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    summary: str = ""
    wrap: tuple[int, ...] = ()


@dataclass(frozen=True)
class Section:
    """A titled part of the page."""

    id: str
    title: str
    paragraphs: Sequence[str] = ()
    drawings: Sequence[Drawing] = ()
    tables: Sequence[Table] = ()


def sections(gathered: Gathered) -> list[Section]:
    """The sections that the folder has data for, in reading order."""
    lead = gathered.lead
    made = [_effects(gathered), _frontier(gathered), _dose_response(gathered), _dose(gathered), _drift(gathered)]
    made += [_differences(gathered), _all_estimates(gathered), _missing(gathered)]
    return [section for section in made if section is not None and lead is not None]


def _effects(gathered: Gathered) -> Section | None:
    found = findings(gathered)
    if not found:
        return None
    by_name = {contrast.name: contrast for contrast in gathered.contrasts}
    rows = [
        ForestRow(
            one.contrast,
            one.estimate.value,
            one.estimate.low,
            one.estimate.high,
            [
                float(v)
                for v in per_item(gathered.table, by_name[one.contrast], one.estimate.score, task=one.estimate.task)
            ],
            {verdict.family: list(verdict.effects.values()) for verdict in one.verdicts},
            one.estimate.primary,
        )
        for one in found
    ]
    drawing = forest(
        rows,
        name="forest",
        axis=f"change of {gathered.lead} (nats)",
        caption="Every contrast with its 95 % interval over items; each item is a faint point. The grey bands are what "
        "twins (plain) and unrelated vectors (hatched) do: an effect inside a band is not evidence of the belief.",
    )
    head = [
        "contrast",
        "estimate",
        "95 % interval",
        "n",
        "unit",
        "df",
        "method",
        "p",
        "rank, twins",
        "rank, unrelated",
        "",
    ]
    table = [
        [
            one.contrast,
            number(one.estimate.value, sign=True),
            interval(one.estimate.low, one.estimate.high),
            str(one.estimate.n.get("units", "")),
            one.estimate.unit,
            number(one.estimate.df) if one.estimate.df is not None else "–",
            one.estimate.method,
            p_value(one.estimate.p),
            *[
                next(
                    (f"{ordinal(v.rank)} of {v.m + 1}, p {p_value(v.p)}" for v in one.verdicts if v.family == family),
                    "no controls",
                )
                for family in CONTROLS
            ],
            "declared" if one.estimate.primary else "exploratory",
        ]
        for one in found
    ]
    paragraphs = [f"{one.sentence}" for one in found if not one.estimate.primary]
    return Section(
        "effects", "What each placement did to the stated belief", paragraphs, [drawing], [Table(head, table)]
    )


def _placement(name: str) -> str:
    return name.partition("[")[0]


def _strength(gathered: Gathered, arm: str) -> float | None:
    level = gathered.arms[arm]["levels"].get("strength")
    return float(level) if level is not None else None


def _total(gathered: Gathered, arm: str) -> float | None:
    """The planned total strength of an arm: that of its last layer's cumulated plan."""
    planned = [row["planned_cumulated"] for row in gathered.dose if row["arm"] == arm]
    return abs(planned[-1]) if planned else None


def _effect(gathered: Gathered, arm: str, score: str) -> Estimate | None:
    name = f"{arm} - {gathered.baseline}"
    for one in gathered.evaluation.estimates:
        if one.contrast == name and one.score == score:
            return one
    return None


def _shift(gathered: Gathered, arm: str, score: str) -> float | None:
    """Mean difference from the baseline over shared items, also for arms without a declared contrast."""
    if gathered.baseline is None:
        return None
    contrast = Contrast(f"{arm} - {gathered.baseline}", (Term(1.0, arm), Term(-1.0, gathered.baseline)))
    values = per_item(gathered.table, contrast, score)
    return float(values.mean()) if len(values) else None


def _frontier(gathered: Gathered) -> Section | None:
    lead, baseline = gathered.lead, gathered.baseline
    if lead is None or baseline is None or DAMAGE not in set(gathered.table["score"]):
        return None
    means = gathered.table.groupby(["arm", "score"])["value"].mean()
    origin = means.get((baseline, lead), np.nan)
    dots = []
    for arm in gathered.plan["arms"]:
        effect, damage = means.get((arm["name"], lead), np.nan), means.get((arm["name"], DAMAGE), np.nan)
        if arm["control"] not in ("", *CONTROLS) or arm["name"] == baseline or pd.isna(effect) or pd.isna(damage):
            continue
        dots.append(
            Dot(
                arm["name"], _placement(arm["of"] or arm["name"]), float(damage), float(effect - origin), arm["control"]
            )
        )
    if not dots:
        return None
    drawing = frontier(
        dots,
        name="frontier",
        x="damage: KL of next-token distributions on neutral text (nats, log scale)",
        y=f"change of {lead} (nats)",
        caption="Equal strength is not equal damage. Up is more of the stated belief, right is more damage to text "
        "that has nothing to do with it; strengths of one placement are joined. Grey: the controls.",
    )
    return Section("frontier", "Effect against damage", (), [drawing])


def _lines(gathered: Gathered, score: str, *, shifts: bool) -> list[Line]:
    lines: dict[str, list[tuple[float, float, float | None, float | None]]] = {}
    controls: dict[str, dict[str, dict[float, list[float]]]] = {}
    for arm in gathered.arms:
        total = _total(gathered, arm)
        if total is None or _strength(gathered, arm) is None:
            continue
        if shifts:
            estimate, value = _effect(gathered, arm, score), _shift(gathered, arm, score)
        else:
            estimate = next((o for o in gathered.evaluation.arms if o.contrast == arm and o.score == score), None)
            value = estimate.value if estimate else None
        if value is None:
            continue
        low, high = (estimate.low, estimate.high) if estimate else (None, None)
        lines.setdefault(_placement(arm), []).append((total, value, low, high))
        for verdict in gathered.evaluation.verdicts if shifts else ():
            if verdict.contrast == f"{arm} - {gathered.baseline}" and verdict.score == score:
                own = controls.setdefault(_placement(arm), {}).setdefault(verdict.family, {})
                own[total] = list(verdict.effects.values())
    drawn = []
    for label, points in lines.items():
        points.sort()
        origin = [(0.0, 0.0, None, None)] if shifts else []
        x, y, lows, highs = zip(*origin, *points, strict=True)
        drawn.append(Line(label, x, y, lows, highs, controls.get(label, {})))
    return drawn


def _dose_response(gathered: Gathered) -> Section | None:
    if gathered.lead is None or gathered.baseline is None:
        return None
    lines = _lines(gathered, gathered.lead, shifts=True)
    if not lines:
        return None
    drawing = dose_response(
        lines,
        name="dose-response",
        axis=f"change of {gathered.lead} (nats)",
        title="",
        caption="The stated belief over the planned total strength, one line a placement; intervals where a contrast "
        "was declared, grey where controls were scored.",
    )
    return Section("dose-response", "Dose and response", (), [drawing])


def _dose(gathered: Gathered) -> Section | None:
    if not gathered.dose:
        return None
    frame = pd.DataFrame(gathered.dose)
    strongest: dict[str, str] = {}
    for arm in gathered.arms:
        total = _total(gathered, arm)
        other = strongest.get(_placement(arm))
        if total is not None and (other is None or total >= (_total(gathered, other) or 0.0)):
            strongest[_placement(arm)] = arm
    lines, table = [], []
    for arm in strongest.values():
        own = frame[frame["arm"] == arm].sort_values("layer")
        controls = {}
        for family in (*CONTROLS, "independent"):
            rows = frame[frame["arm"].str.startswith(f"{arm}~{family}/")]
            if len(rows):
                controls[family] = [
                    part.sort_values("layer")["measured_norm"].tolist() for _, part in rows.groupby("arm")
                ]
        lines.append(
            DoseLine(
                arm,
                own["planned_cumulated"].tolist(),
                own["measured_projection"].tolist(),
                own["measured_norm"].tolist(),
                controls,
            )
        )
    for arm in gathered.arms:
        own = frame[frame["arm"] == arm].sort_values("layer")
        steered = own[own["planned"] != 0]
        if len(steered):
            last = steered.iloc[-1]
            table.append(
                [
                    arm,
                    f"{int(steered['layer'].iloc[0])}–{int(last['layer'])} ({len(steered)})",
                    number(float(last["planned_cumulated"])),
                    number(float(last["measured_projection"])),
                    number(float(last["measured_norm"])),
                    number(float(own["measured_norm"].iloc[-1])),
                ]
            )
    drawing = dose(
        lines,
        name="dose",
        caption="What arrives at every layer on neutral reference prompts, as a fraction of the clean residual norm. "
        "Dotted: the sum planned. Red: along the target's own direction. Blue: in norm. Grey: the norm that "
        "arrives from the controls.",
    )
    head = ["arm", "layers", "planned", "measured along", "measured norm", "norm at the last layer"]
    return Section("dose", "The dose that arrived", (), [drawing], [Table(head, table, "At the last steered layer")])


def _drift(gathered: Gathered) -> Section | None:
    tasks = [task for task in gathered.plan["tasks"] if task["name"] == "doxa/drift"]
    if not tasks:
        return None
    scores = [score for score in tasks[0]["shown"] if score in set(gathered.table["score"])]
    panels = {score: lines for score in scores if (lines := _lines(gathered, score, shifts=False))}
    drawings = []
    if panels:
        baselines = {
            score: value for score in panels if (value := gathered.value(gathered.baseline or "", score)) is not None
        }
        drawings.append(
            small_multiples(
                panels,
                baselines,
                name="drift",
                caption="Everything else that changed, over the planned total strength: the mean of each score with "
                "its interval; the baseline is dashed.",
            )
        )
    rows = [[arm, *[number(gathered.value(arm, score)) for score in scores]] for arm in gathered.arms]
    return Section("drift", "What else it did", (), drawings, [Table(["arm", *scores], rows, "Every arm's level")])


def _differences(gathered: Gathered) -> Section | None:
    """Are the hyper-parameters all the same? What differs between the arms of the declared contrasts."""
    rows = []
    files = {arm["name"]: gathered.folder / "arms" / f"{arm['label']}.json" for arm in gathered.arms.values()}
    for contrast in gathered.contrasts:
        names = [term.arm for term in contrast.terms]
        if (
            contrast.name in gathered.evaluation.primary
            and len(names) == 2
            and all(Path(files[n]).exists() for n in names)
        ):
            a, b = (read_arm(files[name]) for name in names)
            rows += [[contrast.name, one.where, one.a, one.b] for one in differences(a, b)]
    if not rows:
        return None
    return Section(
        "differences",
        "What differs between the compared arms",
        (),
        (),
        [Table(["contrast", "field", "first", "second"], rows)],
    )


def _all_estimates(gathered: Gathered) -> Section:
    rows = [
        [
            one.task,
            one.score,
            one.contrast,
            number(one.value, sign=True),
            interval(one.low, one.high),
            ", ".join(f"{count} {level}" for level, count in one.n.items()),
            one.unit,
            number(one.df) if one.df is not None else "–",
            one.method,
            p_value(one.p),
        ]
        for one in gathered.evaluation.estimates
    ]
    head = ["task", "score", "contrast", "estimate", "95 % interval", "n", "unit", "df", "method", "p"]
    return Section("estimates", "Every estimate", (), (), [Table(head, rows, f"{len(rows)} estimates, not adjusted")])


def _missing(gathered: Gathered) -> Section:
    lost = [one for one in gathered.evaluation.missing if one["missing"]]
    total = sum(int(one["rows"]) for one in gathered.evaluation.missing)
    words = [f"{sum(int(one['missing']) for one in lost)} of {total} values are missing."]
    rows = [
        [
            f"{one['arm']} {one['control']}".strip(),
            one["task"],
            one["score"],
            f"{one['missing']} of {one['rows']}",
            "; ".join(f"{reason} ({count})" for reason, count in one["reasons"].items()),
        ]
        for one in lost
    ]
    tables = [Table(["arm", "task", "score", "missing", "why"], rows, "By arm and score", (4,))] if rows else []
    return Section("missing", "What is missing", words, (), tables)
