"""Is it enough? A stopping rule looked at on the runs so far.

- **Width**: the interval of each arm's rate or mean, the one that a report prints, is at most so wide. A rule that
  sees only widths leaves the coverage of Wilson's interval alone (`benchmarks/stopping_simulation.py`); that of t loses
  two to three points at 30 items, which is why fewer do not count. Wald's would fall to .18: at 0 events it has no
  width.
- **Decided**: the confidence sequence of each contrast leaves 0 out, or lies within a margin either side of it that was
  stated beforehand. The fixed-n interval and p of the same data do not allow for the looks.

Each term of a contrast has a sequence of its own at alpha / terms, and their ends are added: by the union bound the
difference is left out with probability at most alpha however the arms depend on each other. That is conservative: what
pairing gains is not used. Several contrasts share alpha equally. A sequence holds for the items that were asked and the
model as it is ("these items, this checkpoint"); a report's interval over items is for new items of their kind.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from doxa.stats.design import ScoreKind
from doxa.stats.estimate import Estimate, applies, check_keys, estimate
from doxa.stats.intervals import FLAGS
from doxa.stats.sequences import beta_binomial, empirical_bernstein
from doxa.stats.table import ITEM, encode
from doxa.stats.units import unit_of
from doxa.words import schema
from doxa.words.contrasts import Contrast, Term
from doxa.words.errors import ResultsError
from doxa.words.stopping import Decided, Width

FEWEST_FOR_T = 30
"""Items below which the width of the interval of a mean does not stop a study."""
ALPHA = 0.05

Answer = Literal["narrow", "differs", "within the margin", ""]


@dataclass(frozen=True)
class Quantity:
    """One arm or contrast at a look.

    Attributes:
        name: The arm with its selector, or the contrast.
        value: The estimate; None when nothing has a value.
        low: Lower end of the interval or sequence; None when it cannot be computed.
        high: Upper end.
        rows: Rows with a value, of all arms together.
        missing: Rows without one.
        method: Name of the method.
        answer: What it says; "" as long as it is not enough.
        why: Why there is no interval, or why its width does not count.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    rows: int
    missing: int
    method: str
    answer: Answer
    why: str = ""


@dataclass(frozen=True)
class Look:
    """What a rule saw after so many runs; it is met when every quantity has an answer."""

    runs: int
    quantities: tuple[Quantity, ...]

    @property
    def met(self) -> bool:
        """Whether the rule is met."""
        return bool(self.quantities) and all(one.answer for one in self.quantities)


def look_to_json(look: Look) -> dict[str, Any]:
    """A look as JSON."""
    return {"runs": look.runs, "met": look.met, "quantities": [asdict(one) for one in look.quantities]}


def look_from_json(value: dict[str, Any]) -> Look:
    """Read what `look_to_json` wrote.

    Raises:
        ResultsError: When its keys are not those of a look.
    """
    check_keys(value, ("runs", "met", "quantities"), "a look of a stopping rule")
    try:
        return Look(int(value["runs"]), tuple(Quantity(**one) for one in value["quantities"]))
    except (TypeError, ValueError) as error:
        raise ResultsError(
            f"a look of a stopping rule that cannot be read ({error})", way_out="Run the study again"
        ) from error


def look(
    table: pd.DataFrame,
    runs: int,
    rule: Width | Decided,
    contrasts: Sequence[Contrast],
    *,
    task: str,
    score: str,
    kind: ScoreKind,
    unit: str = ITEM,
) -> Look:
    """Look at a rule after so many whole runs.

    Args:
        table: A table of `doxa.words.schema`; later runs in it are not looked at.
        runs: Runs of every item to look at.
        rule: The rule.
        contrasts: The contrasts that are to be decided, or whose arms are to be narrow.
        task: The task.
        score: Its score.
        kind: What values the score can take; a sequence needs `binary` or `share`.
        unit: The factor whose levels are the units of the intervals whose widths are looked at, where the rows have
            one. A sequence is for these items and has no other unit.

    Raises:
        ResultsError: When the table is not valid, or a value lies outside its kind.
    """
    seen = table[(table["run"] <= runs) & (table["task"] == task) & (table["score"] == score)]
    if isinstance(rule, Width):
        found = [_width(seen, term, rule.most, task, score, kind, unit) for term in terms_of(contrasts)]
    else:
        alpha = ALPHA / max(len(contrasts), 1)
        found = [_decided(seen, one, rule.margin, kind, alpha) for one in contrasts]
    return Look(runs, tuple(found))


def terms_of(contrasts: Sequence[Contrast]) -> list[Term]:
    """The arms, with their selectors, that contrasts name; each once, with weight 1."""
    named = dict.fromkeys((term.arm, term.levels) for one in contrasts for term in one.terms)
    return [Term(1.0, arm, levels) for arm, levels in named]


def _width(seen: pd.DataFrame, term: Term, most: float, task: str, score: str, kind: ScoreKind, unit: str) -> Quantity:
    alone = Contrast(_named(term), (term,))
    rows = encode(seen) if len(seen) else None
    if rows is None or not applies(rows, alone, score, task):
        return Quantity(alone.name, None, None, None, 0, 0, "", "", "it has no row of the score")
    own_unit = unit_of(rows, task, score, {task: unit})
    found = estimate(rows, alone, score, task=task, kind=kind, unit=own_unit, level=1 - ALPHA)
    own = _values(seen, term)
    filled = int(np.isfinite(own).sum())
    why = _why_not(found, kind)
    narrow = not why and found.low is not None and found.high is not None and found.high - found.low <= most
    answer: Answer = "narrow" if narrow else ""
    return Quantity(
        alone.name, found.value, found.low, found.high, filled, own.size - filled, found.method, answer, why
    )


def _why_not(found: Estimate, kind: ScoreKind) -> str:
    """Why the width of an interval says nothing."""
    if found.low is None or found.high is None:
        return "; ".join(FLAGS[flag] for flag in found.flags if flag != "no_p") or "no interval"
    if kind != "binary" and found.n["items"] < FEWEST_FOR_T:
        units = "items" if found.unit == ITEM else f"units ({found.unit})"
        return f"{found.n['items']} {units}: the width of a mean's interval counts from {FEWEST_FOR_T} {units}"
    return ""


def _decided(seen: pd.DataFrame, contrast: Contrast, margin: float | None, kind: ScoreKind, alpha: float) -> Quantity:
    value, low, high, rows, missing = 0.0, 0.0, 0.0, 0, 0
    lacking = []
    for term in contrast.terms:
        own = _values(seen, term)
        filled = np.isfinite(own)
        rows, missing = rows + int(filled.sum()), missing + int((~filled).sum())
        if not filled.any():
            lacking.append(_named(term))
            continue
        ends = _sequence(own, kind, alpha / len(contrast.terms))
        value += term.weight * float(own[filled].mean())
        low += term.weight * ends[term.weight < 0]
        high += term.weight * ends[term.weight > 0]
    method = "beta-binomial sequence" if kind == "binary" else "empirical Bernstein sequence"
    if lacking:
        why = f"no value of {', '.join(lacking)}"
        return Quantity(contrast.name, None, None, None, rows, missing, method, "", why)
    answer: Answer = ""
    if low > 0 or high < 0:
        answer = "differs"
    elif margin is not None and -margin <= low and high <= margin:
        answer = "within the margin"
    return Quantity(contrast.name, value, low, high, rows, missing, method, answer)


def _sequence(values: Float[np.ndarray, "runs items"], kind: ScoreKind, alpha: float) -> tuple[float, float]:
    """The ends of the sequence of one term after its last run."""
    filled = values[np.isfinite(values)]
    if kind == "unbounded" or filled.min() < 0 or filled.max() > 1 or (kind == "binary" and not _binary(filled)):
        raise ResultsError(
            f"values from {filled.min():g} to {filled.max():g} of a score that is {kind}",
            expected="0 or 1 (binary), or values within 0 and 1 (share): a confidence sequence needs bounds",
            way_out="Use `until: {width: ...}`, or another score",
        )
    if kind == "binary":
        low, high = beta_binomial(np.array(filled.sum()), np.array(float(filled.size)), alpha=alpha)
        return float(low), float(high)
    lows, highs = empirical_bernstein(values, alpha=alpha)
    return float(lows[-1]), float(highs[-1])


def _binary(values: Float[np.ndarray, " rows"]) -> bool:
    return bool(np.isin(values, (0.0, 1.0)).all())


def _values(seen: pd.DataFrame, term: Term) -> Float[np.ndarray, "runs items"]:
    """The values of a term, runs by items."""
    chosen = seen["arm"] == term.arm
    for factor, level in term.levels:
        column = seen.get(f"{schema.FACTOR_PREFIX}{factor}")
        chosen &= False if column is None else column == level
    own = seen.loc[chosen, ["run", "item", "value"]].astype({"item": "str"})
    return own.pivot(index="run", columns="item", values="value").to_numpy(dtype=np.float64)


def _named(term: Term) -> str:
    selector = ",".join(f"{factor}={level}" for factor, level in term.levels)
    return f"{term.arm}[{selector}]" if selector else term.arm
