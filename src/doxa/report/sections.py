"""The sections of a report: which figure and which table answers what."""

from collections.abc import Mapping, Sequence
from typing import Any

from doxa.report.audits import audit_section
from doxa.report.doses import dose_response_section, dose_section, drift_section, frontier_section
from doxa.report.figures import ForestRow, forest
from doxa.report.gates import gate_section
from doxa.report.gather import AGAIN, CONTROLS, Gathered
from doxa.report.labels import flag_words, label, units
from doxa.report.marks import SINGLES
from doxa.report.onset import onset_section
from doxa.report.parts import Section, Table
from doxa.report.stopped import stopping_section
from doxa.report.training import seeds_section, training_section
from doxa.report.verdict import Finding, findings
from doxa.stats.controls import CONTROL_FLAGS, ControlVerdict
from doxa.stats.estimate import Estimate, per_item
from doxa.stats.evaluate import NOTES
from doxa.words.arms import read_arm
from doxa.words.difference import differences, training_facts
from doxa.words.errors import ResultsError, StudyError
from doxa.words.numbers import counted, interval, listed, number, ordinal, p_value, plural, whole

HEAD = ("contrast", "estimate", "interval", "n", "df", "method", "holds for", "p", "p adjusted")
NO_CELLS = ("missing", *(len(HEAD) - 2) * ("–",))


def sections(gathered: Gathered) -> list[Section]:
    """The sections that the folder has data for, in reading order.

    Raises:
        ResultsError: When an arm file is missing or was changed.
    """
    compared = _differences(gathered)  # first: it may refuse, and figures take seconds
    made = (
        gate_section(gathered),
        effects_section(gathered),
        seeds_section(gathered),
        training_section(gathered),
        audit_section(gathered),
        frontier_section(gathered),
        dose_response_section(gathered),
        dose_section(gathered),
        drift_section(gathered),
        onset_section(gathered),
        compared,
        stopping_section(gathered),
        _all_estimates(gathered),
        _missing(gathered),
    )
    return [section for section in made if section is not None]


BANDS = (
    " The grey bands are what other vectors of the same size do: twins (plain, above the line) and unrelated vectors "
    "(hatched, below it). An effect inside a band is not evidence of the belief."
)
SEEDS_OF_BANDS = (
    " Arms that are trained have these controls under the first training seed only: their verdicts are of its effect, "
    "not of the effect over seeds beside them (`controls: {steer: {seeds: all}}` makes them for every seed)."
)
MARKED = (
    " Hollow marks are the same contrast with a control in the place of what was edited or prompted, one mark a "
    "control. A re-prefill or a neutral text that lies as far out says that the effect is not one of what the text "
    "says; a paraphrase that lies elsewhere, that it is one of the wording. How sure they are stands in the referee's "
    "box."
)


def effects_section(gathered: Gathered) -> Section | None:
    """Every declared contrast on the leading score, as a figure, in numbers and in words."""
    found = findings(gathered)
    if not found or gathered.lead is None:
        return None
    level = f"{gathered.evaluation.level:.0%}"
    unit = gathered.unit_of(gathered.task_of(gathered.lead) or "", gathered.lead)
    over = listed(sorted({_over(one.estimate.unit, unit) for one in found if one.estimate is not None})) or plural(unit)
    rows = [_forest_row(gathered, one) for one in found]
    drawing = forest(
        rows,
        name="forest",
        axis=f"change of the {label(gathered.lead)}",
        caption=f"Every declared contrast with its {level} interval over {over}; each {unit} is a faint "
        f"point.{BANDS * any(row.controls for row in rows)}"
        f"{seeds_of_bands(gathered)}{MARKED * any(row.singles for row in rows)}",
    )
    table = [
        [
            *(_cells(one.estimate) if one.estimate is not None else (one.contrast, *NO_CELLS)),
            *(_rank(one, family) for family in CONTROLS),
            _lost(one.estimate) if one.estimate is not None else "all",
            "declared" if one.primary else "exploratory",
            _remarks(one.estimate, one.verdicts),
        ]
        for one in found
    ]
    head = [*HEAD, "beside twins", "beside unrelated", "rows missing", "", "remarks"]
    named = [[one.name, one.source] for one in gathered.contrasts.values() if one.source is not None]
    margins = [_equivalence(one) for one in gathered.evaluation.equivalences]
    sentences = [[one.sentence] for one in found if not one.primary]
    tables = [Table(head, table, wrap=(0, 6, 11, 13))]
    if sentences:
        tables.append(Table(["exploratory contrasts"], sentences, "Exploratory contrasts in words", (0,)))
    if named:
        tables.append(Table(["contrast", "is"], named, "What the names of contrasts stand for", (1,)))
    return Section(
        "effects",
        "What each arm did to the stated belief" if gathered.lead == "belief" else f"Effects on {label(gathered.lead)}",
        margins,
        [drawing],
        tables,
    )


def _over(replicated: str, unit: str) -> str:
    """What an estimate's interval is over, by its unit of replication."""
    several = {"seed": "training seeds", f"seed and {unit}": f"training seeds and {plural(unit)}", "run": "runs"}
    return several.get(replicated, plural(unit))


def seeds_of_bands(gathered: Gathered) -> str:
    """Said where controls were made under fewer training seeds than the effects rest on."""
    table = gathered.rows.table
    controls = table["control"].isin(CONTROLS)
    of = table["arm"].isin(table["of"][controls])
    own, all_ = (set(table["seed"][which]) - {0} for which in (controls, of))
    return SEEDS_OF_BANDS if own and own < all_ else ""


def _equivalence(one: Mapping[str, Any]) -> str:
    """Whether an effect was shown to be smaller than its declared margin; only then is there evidence of none."""
    said = {
        "smaller": "lies inside it: the effect is smaller than what was declared to count as none.",
        "larger": "lies outside it: the effect is larger than what was declared to count as none.",
        "inconclusive": "crosses it, or does not exist: inconclusive, which is no evidence of no effect.",
    }[str(one["answer"])]
    return (
        f"{one['contrast']} on the {label(str(one['score']))}: the declared margin is ±{number(one['margin'])}, and "
        f"the 90% interval {interval(one['low'], one['high'])} {said}"
    )


def _forest_row(gathered: Gathered, one: Finding) -> ForestRow:
    estimate = one.estimate
    if estimate is None:
        return ForestRow(one.contrast, None, None, None, primary=one.primary)
    unit = gathered.unit_of(estimate.task, estimate.score)
    units = per_item(gathered.rows, gathered.contrasts[one.contrast], estimate.score, task=estimate.task, unit=unit)
    return ForestRow(
        one.contrast,
        estimate.value,
        estimate.low,
        estimate.high,
        [float(unit) for unit in units],
        {verdict.family: list(verdict.effects.values()) for verdict in one.verdicts},
        {verdict.family: verdict.effect for verdict in one.verdicts if verdict.items != estimate.n["items"]},
        one.primary,
        {
            verdict.family: list(verdict.effects.values())
            for verdict in gathered.evaluation.verdicts
            if (verdict.contrast, verdict.task, verdict.score) == (one.contrast, estimate.task, estimate.score)
            and verdict.family in SINGLES
        },
    )


def _cells(one: Estimate) -> list[str]:
    return [
        one.contrast,
        number(one.value, sign=True),
        interval(one.low, one.high),
        units(one),
        whole(one.df),
        one.method,
        one.estimand,
        p_value(one.p),
        p_value(one.p_adjusted),
    ]


def _rank(one: Finding, family: str) -> str:
    for verdict in one.verdicts:
        if verdict.family == family:
            return f"{ordinal(verdict.rank)} of {verdict.m + 1}, p {p_value(verdict.p)}; by t, p {p_value(verdict.p_t)}"
    return "no controls"


def _remarks(estimate: Estimate | None, verdicts: Sequence[ControlVerdict] = ()) -> str:
    """What the flags of an estimate and of its verdicts mean; that a contrast is exploratory has its own column."""
    said = flag_words(estimate) if estimate is not None else []
    said += [CONTROL_FLAGS[flag] for one in verdicts for flag in one.flags if flag != "exploratory"]
    return "; ".join(dict.fromkeys(said)) or "–"


def _lost(one: Estimate) -> str:
    return "; ".join(f"{arm}: {count}" for arm, count in one.missing.items() if count) or "none"


def _differences(gathered: Gathered) -> Section | None:
    """Are the hyper-parameters all the same? What differs between two arms that both do something."""
    rows = []
    for name in gathered.evaluation.primary:
        contrast = gathered.contrasts.get(name)
        arms = [term.arm for term in contrast.terms] if contrast is not None else []
        if len(set(arms)) == len(arms) == 2 and gathered.baseline not in arms:
            try:
                a, b = (read_arm(gathered.folder / "arms" / f"{gathered.arms[arm]['label']}.json") for arm in arms)
            except StudyError as error:
                raise ResultsError(error.found, expected=error.expected, way_out=AGAIN) from error
            facts = _trained_on(gathered, arms[0]), _trained_on(gathered, arms[1])
            rows += [[name, one.where, one.a, one.b] for one in differences(a, b, facts)]
    if not rows:
        return None
    table = Table(["contrast", "what", "first arm", "second arm"], rows, wrap=(0, 2, 3))
    return Section("differences", "What differs between the compared arms", tables=[table])


def _trained_on(gathered: Gathered, arm: str) -> Mapping[str, str]:
    own = next((one for one in gathered.trainings if arm in one["arms"]), None)
    return {} if own is None else training_facts(own["stages"])


def _all_estimates(gathered: Gathered) -> Section:
    estimates = gathered.evaluation.estimates
    rows = [[one.task, one.score, *_cells(one), _lost(one), _remarks(one)] for one in estimates]
    words = "The adjusted p (Holm) is for the declared family; the rest is exploratory, with p not adjusted."
    table = Table(
        ["task", "score", *HEAD, "rows missing", "remarks"], rows, f"{len(rows)} estimates", wrap=(2, 8, 11, 12)
    )
    return Section("estimates", "Every estimate", [words], tables=[table])


def _missing(gathered: Gathered) -> Section:
    everything = gathered.evaluation.missing
    lost = [one for one in everything if one["missing"]]
    total = sum(int(one["rows"]) for one in everything)
    words = [f"{sum(int(one['missing']) for one in lost)} of {total} values are missing."]
    rows = [
        [
            str(one["arm"]),
            str(one["control"]) or "–",
            str(one["task"]),
            str(one["score"]),
            f"{one['missing']} of {one['rows']}",
            "; ".join(f"{reason} ({count})" for reason, count in one["reasons"].items()),
        ]
        for one in lost
    ]
    tables = []
    if rows:
        tables.append(Table(["arm", "controls", "task", "score", "missing", "why"], rows, "By arm and score", (5,)))
    notes = [
        [NOTES.get(str(note["code"]), str(note["code"])), ", ".join(f"{k}: {v}" for k, v in note["subject"].items())]
        for note in gathered.evaluation.notes
    ]
    if notes:
        tables.append(Table(["note", "where"], notes, f"{counted(len(notes), 'note')} on the estimates", (0, 1)))
    return Section("missing", "What is missing", words, tables=tables)
