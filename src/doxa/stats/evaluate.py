"""Everything that a study infers from its table, as one plain record: `estimates.json`, which a report reads."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any

import pandas as pd

from doxa.stats.controls import (
    ControlVerdict,
    control_effects,
    families_of,
    outside_both,
    stands_out,
    verdict_from_json,
    verdict_to_json,
    verdicts,
)
from doxa.stats.design import ScoreKind
from doxa.stats.equivalence import within_margin
from doxa.stats.estimate import Estimate, applies, check_keys, estimate, estimate_from_json, estimate_to_json
from doxa.stats.holm import holm
from doxa.stats.table import ITEM, Rows, encode, missing_by_arm
from doxa.stats.units import unit_of
from doxa.words import schema
from doxa.words.contrasts import Contrast, Term
from doxa.words.errors import ResultsError, StudyError, nearest

FORMAT = 3
"""Version of the record and of the formulas behind it: a change that moves a number raises it (law 11)."""
FEW_ITEMS = 10
"""Items below which a report says that there are few."""
NOTES = {
    "family": "the declared family: number of contrasts and of scores, and how many cells of them are estimated",
    "no_score": "a score of the declared family has no row at all",
    "no_rows": "the contrast is not estimated for this score: an arm or factor level has no row of it",
    "no_controls": "no control of this family was scored for this cell of the declared family",
    "few_controls_in_common": "the cells of the declared family share fewer than 19 controls: no adjusted p",
    "left_out": "a part of the study that this model cannot do, and why",
    "few_items": f"a score has fewer than {FEW_ITEMS} items",
}
"""What each note means; `subject` says where."""

_KEYS = (
    *("format", "table_version", "contrasts", "primary", "scores", "level"),
    *("estimates", "arms", "verdicts", "outside_both", "stands_out", "missing", "equivalences", "notes"),
)


@dataclass(frozen=True)
class Evaluation:
    """The estimates of a study.

    Attributes:
        contrasts: Names in the order of their declaration.
        primary: Names of the contrasts of the declared family.
        scores: (task, score) of the declared family.
        level: Confidence level of every interval.
        estimates: Of every contrast and score, by (contrast, task, score).
        arms: Of every named arm and score: the error bars of the baseline are among them.
        verdicts: Of every contrast and score that has controls, by (contrast, task, score, family).
        missing: Rows and missing rows with reasons, by arm (controls by family), task and score.
        equivalences: Of every primary contrast and score with a declared margin: whether the effect was shown to be
            smaller than it (`doxa.stats.equivalence`).
        notes: Codes (keys of `NOTES`) with their subject.
    """

    contrasts: tuple[str, ...]
    primary: tuple[str, ...]
    scores: tuple[tuple[str, str], ...]
    level: float
    estimates: tuple[Estimate, ...]
    arms: tuple[Estimate, ...]
    verdicts: tuple[ControlVerdict, ...]
    missing: tuple[Mapping[str, Any], ...]
    equivalences: tuple[Mapping[str, Any], ...]
    notes: tuple[Mapping[str, Any], ...]

    @property
    def outside_both(self) -> dict[tuple[str, str, str], bool | None]:
        """Whether each (contrast, task, score) lies outside both control families; None where that is not known."""
        return outside_both(self.verdicts)

    @property
    def stands_out(self) -> dict[tuple[str, str, str], bool | None]:
        """Whether each (contrast, task, score) stands out from both families; None where that is not known."""
        return stands_out(self.verdicts)


def evaluate(
    table: pd.DataFrame,
    contrasts: Sequence[Contrast],
    primary: Sequence[str] = (),
    scores: Sequence[tuple[str, str]] = (),
    families: Sequence[str] | None = None,
    *,
    kinds: Mapping[str, ScoreKind] | None = None,
    bounds: Mapping[tuple[str, str], tuple[float, float]] | None = None,
    steered: Collection[str] | None = None,
    margins: Mapping[str, float] | None = None,
    units: Mapping[str, str] | None = None,
    level: float = 0.95,
) -> Evaluation:
    """Estimate every contrast and every named arm for every score, and hold steering against its controls.

    Args:
        table: A table of `doxa.words.schema`, derived scores included.
        contrasts: As declared in the study.
        primary: Names of the contrasts that were declared primary; () means all.
        scores: (task, score) that the study's claims rest on; () means all. Primary contrasts and these scores are the
            declared family, within which p-values are adjusted; every other cell is exploratory.
        families: Control families; None means all that the table has.
        kinds: Kind of each score that is not unbounded.
        bounds: Of each (task, score) on another scale its smallest and largest value, such as (1, 10).
        steered: Names of the arms that are steered; None: not known (`control_effects`).
        margins: By score the largest difference that counts as none, declared before the study ran.
        units: By task the factor whose levels are the units of replication (`doxa.stats.units`); the item where none is
            named.
        level: Confidence level.

    Raises:
        ResultsError: When the table is not valid or takes the same items at several factor levels.
        StudyError: When a primary contrast is not among the contrasts.
    """
    rows = encode(table)
    kinds, bounds, units = kinds or {}, bounds or {}, units or {}
    known = [one.name for one in contrasts]
    for name in primary:
        if name not in known:
            raise StudyError(f"primary contrast {name!r} is not among the contrasts", way_out=nearest(name, known))
    first = tuple(primary) or tuple(known)
    leading = tuple(scores) or tuple(sorted(rows.cells))

    possible, notes = [], []
    for contrast, (task, score) in product(contrasts, rows.cells):
        if applies(rows, contrast, score, task):
            possible.append((contrast, task, score))
        else:
            notes.append(_note("no_rows", contrast=contrast.name, task=task, score=score))
    estimates = [
        estimate(
            rows,
            c,
            s,
            task=t,
            kind=kinds.get(s, "unbounded"),
            bounds=bounds.get((t, s)),
            unit=unit_of(rows, t, s, units),
            level=level,
            primary=c.name in first and (t, s) in leading,
        )
        for c, t, s in possible
    ]
    declared = [(one.contrast, one.task, one.score) for one in estimates if one.primary]
    notes += [_note("no_score", task=task, score=score) for task, score in leading if (task, score) not in rows.cells]
    notes.append(_note("family", contrasts=len(first), scores=len(leading), cells=len(declared)))
    arms = _one_arm(rows, kinds, bounds, units, level)
    named = families_of(rows) if families is None else families
    judged, found = _judge(rows, possible, declared, named, steered, units)
    return Evaluation(
        contrasts=tuple(known),
        primary=first,
        scores=leading,
        level=level,
        estimates=tuple(sorted(_holm(estimates), key=_key)),
        arms=tuple(sorted(arms, key=_key)),
        verdicts=tuple(sorted(judged, key=lambda one: (*_key(one), one.family))),
        missing=missing_by_arm(rows),
        equivalences=tuple(
            {"contrast": c.name, "task": t, "score": s}
            | asdict(
                within_margin(
                    rows,
                    c,
                    s,
                    margin,
                    task=t,
                    kind=kinds.get(s, "unbounded"),
                    bounds=bounds.get((t, s)),
                    unit=unit_of(rows, t, s, units),
                )
            )
            for c, t, s in possible
            if c.name in first and (margin := (margins or {}).get(s)) is not None
        ),
        notes=tuple(sorted([*notes, *found, *_few_items(arms)], key=str)),
    )


def to_json(one: Evaluation) -> dict[str, Any]:
    """An evaluation as JSON: sorted, unrounded, missing numbers null; the same table gives the same bytes."""
    return {
        "format": FORMAT,
        "table_version": schema.VERSION,
        "contrasts": list(one.contrasts),
        "primary": list(one.primary),
        "scores": [{"task": task, "score": score} for task, score in one.scores],
        "level": one.level,
        "estimates": [estimate_to_json(each) for each in one.estimates],
        "arms": [estimate_to_json(each) for each in one.arms],
        "verdicts": [verdict_to_json(each) for each in one.verdicts],
        **{
            name: [
                {"contrast": contrast, "task": task, "score": score, name: answer}
                for (contrast, task, score), answer in sorted(answers.items())
            ]
            for name, answers in (("outside_both", one.outside_both), ("stands_out", one.stands_out))
        },
        "missing": [dict(each) for each in one.missing],
        "equivalences": [dict(each) for each in one.equivalences],
        "notes": [dict(each) for each in one.notes],
    }


def from_json(value: Mapping[str, Any]) -> Evaluation:
    """Read what `to_json` wrote.

    Raises:
        ResultsError: When it was written by another version, or is something else.
    """
    if value.get("format") != FORMAT or value.get("table_version") != schema.VERSION:
        raise ResultsError(
            f"estimates of format {value.get('format')} from a table of version {value.get('table_version')}",
            expected=f"format {FORMAT} and version {schema.VERSION}",
            way_out="Make them again from the table with this version of doxa",
        )
    check_keys(value, _KEYS, "estimates")
    return Evaluation(
        contrasts=tuple(value["contrasts"]),
        primary=tuple(value["primary"]),
        scores=tuple((one["task"], one["score"]) for one in value["scores"]),
        level=value["level"],
        estimates=tuple(estimate_from_json(one) for one in value["estimates"]),
        arms=tuple(estimate_from_json(one) for one in value["arms"]),
        verdicts=tuple(verdict_from_json(one) for one in value["verdicts"]),
        missing=tuple(value["missing"]),
        equivalences=tuple(value["equivalences"]),
        notes=tuple(value["notes"]),
    )


def _holm(estimates: Sequence[Estimate]) -> list[Estimate]:
    """Adjust within the declared family; a cell without a p-value does not count."""
    declared = [place for place, one in enumerate(estimates) if one.primary and one.p is not None]
    adjusted = holm([p for place in declared if (p := estimates[place].p) is not None])
    by_place = dict(zip(declared, adjusted, strict=True))
    return [replace(one, p_adjusted=by_place.get(place)) for place, one in enumerate(estimates)]


def _one_arm(
    rows: Rows,
    kinds: Mapping[str, ScoreKind],
    bounds: Mapping[tuple[str, str], tuple[float, float]],
    units: Mapping[str, str],
    level: float,
) -> list[Estimate]:
    found = []
    for arm in sorted(set(rows.arms) - set(rows.of)):
        alone = Contrast(arm, (Term(1.0, arm),))
        for task, score in rows.cells:
            if applies(rows, alone, score, task):
                kind, scale = kinds.get(score, "unbounded"), bounds.get((task, score))
                unit = unit_of(rows, task, score, units)
                found.append(estimate(rows, alone, score, task=task, kind=kind, bounds=scale, unit=unit, level=level))
    return found


def under_seeds_of(rows: Rows, family: str, contrast: Contrast | None = None) -> Rows:
    """The rows under the training seeds that a control family was scored under, and those that nothing was trained for.

    Vector controls of a trained arm are made for its first training seed unless told otherwise: the target beside them
    is then that seed's too. Controls of arms that are not trained leave every seed of the arms beside them.

    Args:
        rows: Of all arms.
        family: Of controls.
        contrast: Only controls of its arms count.
    """
    table = rows.table
    if len(set(table["seed"].unique()) - {0}) < 2:
        return rows  # there are no other seeds
    scored = table["control"] == family
    if contrast is not None:
        scored &= table["of"].isin([term.arm for term in contrast.terms])
    own = set(table["seed"][scored]) - {0}
    kept = table["seed"].isin({0, *own})
    return rows if not own or bool(kept.all()) else encode(table[kept])


def on_items_of_controls(rows: Rows, family: str, contrast: Contrast, task: str, score: str) -> Rows:
    """The rows of a score on the items that most controls of a contrast were asked; all rows where these are all items.

    Controls may be given fewer items than their target. A unit of several items, a family of problems for instance, is
    then compared by those that both were asked.

    Args:
        rows: Of all arms.
        family: Of controls.
        contrast: Whose arms' controls count.
        task: Of the score.
        score: Its name.
    """
    own = rows.table.iloc[rows.order[rows.cells[task, score]]]
    controls = own[(own["control"] == family) & own["of"].isin([term.arm for term in contrast.terms])]
    by_item = controls.groupby("item", observed=True)["arm"].nunique()
    asked = own["item"].isin(by_item.index[2 * by_item >= controls["arm"].nunique()])
    return rows if controls.empty or asked.all() or not asked.any() else encode(own[asked])


def _judge(
    rows: Rows,
    cells: Sequence[tuple[Contrast, str, str]],
    declared: Sequence[tuple[str, str, str]],
    families: Sequence[str],
    steered: Collection[str] | None,
    units: Mapping[str, str],
) -> tuple[list[ControlVerdict], list[Mapping[str, Any]]]:
    """The verdicts of every family, and notes on declared cells that have none."""
    judged: list[ControlVerdict] = []
    notes: list[Mapping[str, Any]] = []
    for family in families:
        own = {c: under_seeds_of(rows, family, c) for c in {c for c, _, _ in cells}}
        effects = []
        for c, t, s in cells:
            unit = unit_of(own[c], t, s, units)
            beside = own[c] if unit == ITEM else on_items_of_controls(own[c], family, c, t, s)
            effects.append(control_effects(beside, c, s, t, family, steered, unit))
        inside = verdicts([one for one in effects if one is not None], declared)
        judged += inside
        have = {_key(one) for one in inside}
        notes += [
            _note("no_controls", contrast=contrast, task=task, score=score, family=family)
            for contrast, task, score in declared
            if (contrast, task, score) not in have
        ]
        unadjusted = [one for one in inside if "exploratory" not in one.flags and one.p_adjusted is None]
        if unadjusted and any(one.p is not None for one in unadjusted):
            notes.append(_note("few_controls_in_common", family=family))
    return judged, notes


def _few_items(arms: Iterable[Estimate]) -> list[Mapping[str, Any]]:
    most: dict[tuple[str, str], int] = {}
    for one in arms:
        most[one.task, one.score] = max(most.get((one.task, one.score), 0), one.n["items"])
    return [_note("few_items", task=t, score=s, items=n) for (t, s), n in most.items() if n < FEW_ITEMS]


def _note(code: str, **subject: object) -> Mapping[str, Any]:
    return {"code": code, "subject": subject}


def _key(one: Estimate | ControlVerdict) -> tuple[str, str, str]:
    return (one.contrast, one.task, one.score)
