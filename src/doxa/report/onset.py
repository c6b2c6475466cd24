"""The section on thresholds: at which strength answers change their language, loop or refuse."""

from doxa.report.gather import Gathered, placement
from doxa.report.labels import label
from doxa.report.parts import Section, Table
from doxa.stats.margin import sides_of
from doxa.stats.minimum_dose import LEVEL, MARGIN, MinimumDose, minimum_dose
from doxa.words.contrasts import Contrast, Term

TASK = "doxa/drift"
SCORES = ("any_other_language", "any_chinese", "loop", "refusal")
LEAST_STRENGTHS = 3
"""With fewer, an interval between strengths says no more than their contrasts do."""


def onset_section(gathered: Gathered) -> Section | None:
    """Where behaviours begin at each placement; None without `doxa/drift`, a baseline or enough strengths."""
    if gathered.baseline is None:
        return None
    lines = _lines(gathered)
    rows = [
        row
        for score in SCORES
        if (TASK, score) in gathered.rows.cells
        for where, arms in lines.items()
        if (row := _row(gathered, score, where, arms)) is not None
    ]
    if not rows:
        return None
    words = (
        f"A behaviour has begun where it is seen in {MARGIN:.0%} more of the answers than in the baseline. The "
        f"interval ({LEVEL:.0%}) lies between strengths that were tested, and leaves out those of which the answers "
        "show that it begins elsewhere. Answers without a value (a text that has fallen apart has no language) do not "
        "count."
    )
    head = ["score", "placement", "seen first at", "begins between", "strengths tested"]
    return Section("onset", "At which strength it begins", [words], tables=[Table(head, rows, wrap=(1, 4))])


def _lines(gathered: Gathered) -> dict[str, dict[float, str]]:
    """The arms of every placement by strength, where it has enough strengths."""
    found: dict[str, dict[float, str]] = {}
    for name, arm in gathered.arms.items():
        total = gathered.total(name)
        if total is not None and total > 0:
            found.setdefault(placement(arm), {})[round(total, 9)] = name
    return {where: dict(sorted(arms.items())) for where, arms in found.items() if len(arms) >= LEAST_STRENGTHS}


def _row(gathered: Gathered, score: str, where: str, arms: dict[float, str]) -> list[str] | None:
    assert gathered.baseline is not None
    contrasts = [
        Contrast(f"{arm} - {gathered.baseline}", (Term(1.0, arm), Term(-1.0, gathered.baseline)))
        for arm in arms.values()
    ]
    unit = gathered.unit_of(TASK, score)
    sides = [sides_of(gathered.rows, one, score, task=TASK, margin=MARGIN, unit=unit) for one in contrasts]
    found = minimum_dose(list(arms), sides)
    return [label(score), where, *in_words(found), ", ".join(f"{dose:g}" for dose in found.doses)]


def in_words(one: MinimumDose) -> tuple[str, str]:
    """The strength at which it is seen first, and the interval of the threshold."""
    if one.high is None:
        return "not seen", f"above {one.low:g}" if one.low else f"not known up to {one.doses[-1]:g}"
    return f"{one.high:g}", f"{one.low:g} and {one.high:g}"
