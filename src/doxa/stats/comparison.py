"""Arms of any table compared, with no study: levels with error bars, contrasts, and what the seeds say."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pandas as pd

from doxa.stats.cells import cells_of, checkpoints
from doxa.stats.choice import several_seeds
from doxa.stats.design import ScoreKind, blocks_of, is_level
from doxa.stats.equivalence import Equivalence, within_margin
from doxa.stats.estimate import Estimate, applies, estimate, estimate_to_json
from doxa.stats.holm import holm
from doxa.stats.power import detectable_from
from doxa.stats.table import Rows, encode, missing_by_arm
from doxa.stats.units import unit_of
from doxa.stats.variance import SeedVariance, seed_variance
from doxa.words import schema
from doxa.words.contrasts import Contrast, Term, contrast_of
from doxa.words.errors import ResultsError, nearest

FORMAT = 1
"""Version of the record."""


@dataclass(frozen=True)
class Difference:
    """A contrast of one score.

    Attributes:
        estimate: The estimate; its `p_adjusted` is by Holm over everything that was compared.
        detectable: The smallest difference that a t test with this error finds with 80 % power; None for other tests.
        sides: Of a plain difference the levels of its two arms on what the difference rests on; () otherwise.
        equivalence: Whether it was shown to be smaller than a margin; None when no margin was stated.
    """

    estimate: Estimate
    detectable: float | None
    equivalence: Equivalence | None
    sides: tuple[float, ...]


@dataclass(frozen=True)
class Comparison:
    """What a table says of its arms.

    Attributes:
        levels: Every arm's own level of every score.
        differences: Every contrast of every score that has it.
        variances: Arms with several training seeds, by (task, score, arm).
        missing: Rows and missing rows, by arm, task and score.
        kinds: What values each score was taken to have.
        family: How many p-values were adjusted together.
    """

    levels: tuple[Estimate, ...]
    differences: tuple[Difference, ...]
    variances: Mapping[tuple[str, str, str], SeedVariance]
    missing: tuple[Mapping[str, Any], ...]
    kinds: Mapping[str, ScoreKind]
    family: int


def compare(
    table: pd.DataFrame,
    contrasts: Sequence[str],
    *,
    scores: Sequence[str] = (),
    kinds: Mapping[str, ScoreKind] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    estimand: str | None = None,
    unit: str | None = None,
    units: Mapping[str, str] | None = None,
    margin: float | None = None,
    level: float = 0.95,
) -> Comparison:
    """Compare arms of a table on every score they share.

    Args:
        table: A table of one model column (`as_one` makes one of a table of many models).
        contrasts: Arithmetic over arms; () for the levels alone.
        scores: Names of scores; () means all.
        kinds: Kind of a score. Without it a score whose every value is 0 or 1 counts as a rate, which the record says.
        bounds: Smallest and largest value of scores on a scale.
        estimand: See `doxa.stats.estimate.estimate`.
        unit: See there; None: of every score what `units` declares for its task.
        units: By task the factor whose levels are the units of replication (`doxa.stats.units`), else the item.
        margin: Largest difference that counts as none, stated beforehand.
        level: Confidence level.

    Raises:
        ResultsError: When the table is not valid, or there is no such score or no score that a contrast has.
        StudyError: When a contrast cannot be read.
    """
    rows = encode(table)
    bounds = dict(bounds or {})
    _check_options(rows, contrasts, kinds or {}, bounds, margin)
    cells = _cells(rows, [*scores, *bounds, *(kinds or {})], scores)
    known = {score: (kinds or {}).get(score) or _kind(rows, cells, score) for _, score in cells}
    parsed = _parsed(rows, contrasts)
    unit_by = {cell: unit or unit_of(rows, *cell, units or {}) for cell in cells}

    def how(task: str, score: str) -> dict[str, Any]:
        return {"estimand": estimand, "unit": unit_by[task, score]}

    def estimated(contrast: Contrast, task: str, score: str, **more: Any) -> Estimate:
        return estimate(
            rows, contrast, score, task=task, kind=known[score], bounds=bounds.get(score), level=level, **more
        )

    levels = [
        estimated(own, task, score, **_level_how(how(task, score), several_seeds(rows, own, score, task)))
        for arm in rows.arms
        if arm not in rows.of
        for task, score in cells
        if applies(rows, own := Contrast(arm, (Term(1.0, arm),)), score, task)
    ]
    found = [
        (one, estimated(one, task, score, **how(task, score)))
        for one in parsed
        for task, score in cells
        if applies(rows, one, score, task)
    ]
    for one in parsed:
        if not any(contrast is one for contrast, _ in found):
            raise ResultsError(
                f"no score has rows in every arm of {one.name!r}",
                expected="arms that were asked the same tasks",
                way_out=f"The arms are {', '.join(arm for arm in rows.arms if arm not in rows.of)}",
            )
    adjusted = _adjusted([each for _, each in found])
    differences = [
        Difference(
            each,
            _detectable(each),
            None
            if margin is None
            else within_margin(
                rows, one, each.score, margin, task=each.task, kind=known[each.score],
                bounds=bounds.get(each.score), **how(each.task, each.score),
            ),
            _sides(rows, one, each, unit_by[each.task, each.score]),
        )
        for (one, _), each in zip(found, adjusted, strict=True)
    ]  # fmt: skip
    return Comparison(
        tuple(levels),
        tuple(differences),
        _variances(rows, known, unit_by),
        missing_by_arm(rows),
        known,
        sum(each.p is not None for each in adjusted),
    )


def to_json(found: Comparison) -> dict[str, Any]:
    """A comparison as JSON: missing numbers are null."""
    return {
        "format": FORMAT,
        "family": found.family,
        "kinds": dict(found.kinds),
        "levels": [estimate_to_json(one) for one in found.levels],
        "differences": [
            {
                **estimate_to_json(one.estimate),
                "detectable": one.detectable,
                "equivalence": None if one.equivalence is None else asdict(one.equivalence),
            }
            for one in found.differences
        ],
        "seed_variance": [
            {"task": task, "score": score, **asdict(one)} for (task, score, _), one in found.variances.items()
        ],
        "missing": [dict(one) for one in found.missing],
    }


def as_one(table: pd.DataFrame, seeds: Mapping[str, str], by: str | None = None) -> pd.DataFrame:
    """A table of many models as one study of many arms.

    Args:
        table: A table of logs.
        seeds: Arm -> pattern (`recipe-*`): the arms that match are its training seeds, numbered in the order of names.
        by: A factor whose levels are set apart, as tasks of their own.

    Raises:
        ResultsError: When a pattern matches no arm, an arm matches two, or there is no such factor.
    """
    if table.empty:
        raise ResultsError("the table has no row", way_out="Give logs in which samples were scored")
    made = table.assign(study="comparison", model="")
    names = [str(name) for name in pd.unique(table["arm"][table["of"] == ""])]
    of: dict[str, tuple[str, int]] = {}
    for arm, pattern in seeds.items():
        matching = sorted((name for name in names if fnmatchcase(name, pattern.replace("[", "[[]"))), key=_natural)
        if not matching:
            raise ResultsError(f"no arm matches {pattern!r}", way_out=f"The arms are {', '.join(sorted(names))}")
        if arm in names and arm not in matching:
            raise ResultsError(
                f"{arm!r} is an arm already, and {pattern!r} does not match it",
                expected="a name of its own for the recipe",
                way_out="Write another name before the `=`",
            )
        for number, name in enumerate(matching, start=1):
            if name in of:
                raise ResultsError(
                    f"arm {name!r} is a seed of {of[name][0]!r} and of {arm!r}", way_out="Write patterns that differ"
                )
            of[name] = (arm, number)
    if of:
        again = table[table["arm"].isin(list(of))].groupby("arm")["seed"].nunique()
        if (again > 1).any():
            raise ResultsError(
                f"arm {again.index[int((again > 1).argmax())]!r} has several training seeds of its own",
                expected="arms of one seed each to be numbered as seeds",
                way_out="Leave it out of --seeds",
            )
        made["seed"] = [
            of[arm][1] if arm in of else seed for arm, seed in zip(table["arm"], table["seed"], strict=True)
        ]
        made["arm"] = [of[arm][0] if arm in of else arm for arm in table["arm"]]
    if by is not None:
        column = f"{schema.FACTOR_PREFIX}{by}"
        if column not in table.columns:
            factors = [
                c.removeprefix(schema.FACTOR_PREFIX) for c in table.columns if c.startswith(schema.FACTOR_PREFIX)
            ]
            raise ResultsError(f"the logs have no factor {by!r}", way_out=nearest(by, factors))
        made["task"] = table["task"] + " " + by + "=" + table[column].where(table[column] != "", "(none)")
    made = made.astype({"arm": "string", "task": "string", "study": "string", "model": "string", "seed": "int64"})
    made.attrs = table.attrs
    return made


def _natural(name: str) -> list[tuple[int, str]]:
    """Order in which `m-2` stands before `m-10`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _check_options(
    rows: Rows,
    contrasts: Sequence[str],
    kinds: Mapping[str, ScoreKind],
    bounds: Mapping[str, tuple[float, float]],
    margin: float | None,
) -> None:
    if margin is not None and not contrasts:
        raise ResultsError("a margin without a contrast", expected="a difference of arms", way_out="Write `a - b`")
    for score in kinds.keys() & bounds.keys():
        if kinds[score] != "share":
            raise ResultsError(
                f"score {score!r} is given bounds and the kind {kinds[score]!r}",
                expected="one of them: a score with bounds is a share of its scale",
                way_out="Leave the kind out",
            )


def _parsed(rows: Rows, contrasts: Sequence[str]) -> list[Contrast]:
    """The contrasts, each a difference and none asked twice."""
    parsed: list[Contrast] = []
    for one in contrasts:
        contrast = contrast_of(one, list(rows.arms))
        if is_level(contrast.terms):
            raise ResultsError(
                f"{one!r} is a level",
                expected="a difference such as `a - b`",
                way_out="Leave it out: without a contrast every arm's level is shown",
            )
        for other in parsed:
            same = set(other.terms) in (set(contrast.terms), {replace(t, weight=-t.weight) for t in contrast.terms})
            if same:
                raise ResultsError(f"{one!r} asks what {other.name!r} asks", way_out="Leave one of them out")
        parsed.append(contrast)
    return parsed


def _sides(rows: Rows, contrast: Contrast, found: Estimate, unit: str) -> tuple[float, ...]:
    """The levels of the two arms of a plain difference, on the units and seeds that it rests on."""
    if sorted(term.weight for term in contrast.terms) != [-1.0, 1.0] or found.value is None:
        return ()
    cells = cells_of(rows, blocks_of(rows, contrast, found.score, found.task, unit), found.score, found.task, unit)
    terms = [one for block in cells for one in block]
    if found.estimand in ("new items", "the recipe, over seeds"):  # seeds may be left out to pair the others
        terms = [one for group in checkpoints(terms)[0] for one in group.cells]
    of_arm = {one.term.weight: one for one in terms}
    pooled = found.estimand == "this checkpoint, over runs"
    return tuple(
        float((one.means * one.counts).sum() / one.counts.sum()) if pooled else float(one.means.mean())
        for one in (of_arm[1.0], of_arm[-1.0])
    )


def _cells(rows: Rows, named: Sequence[str], scores: Sequence[str]) -> list[tuple[str, str]]:
    known = {score for _, score in rows.cells}
    for score in named:
        if score not in known:
            raise ResultsError(f"no score {score!r} in the table", way_out=nearest(score, known))
    return sorted(cell for cell in rows.cells if not scores or cell[1] in scores)


def _kind(rows: Rows, cells: Sequence[tuple[str, str]], score: str) -> ScoreKind:
    """A rate when every value in every task is 0 or 1, a share when some are a half (Inspect's letter P)."""
    value = np.concatenate([rows.value[rows.cells[cell]] for cell in cells if cell[1] == score])
    value = value[~np.isnan(value)]
    if len(value) and bool(np.isin(value, (0.0, 1.0)).all()):
        return "binary"
    return "share" if len(value) and bool(np.isin(value, (0.0, 0.5, 1.0)).all()) else "unbounded"


def _level_how(how: Mapping[str, Any], several: bool) -> dict[str, Any]:
    """An arm by itself may have one seed where a contrast is about several, and several where it is about one."""
    of_seeds = how["estimand"] in ("seeds", "the recipe, over seeds")
    of_one = how["estimand"] in ("runs", "this checkpoint, over runs")
    return {**how, "estimand": None if of_seeds or (of_one and several) else how["estimand"]}


def _detectable(one: Estimate) -> float | None:
    """Of a t test alone: what exact tests and sums of intervals find is planned by `doxa power`."""
    if one.p is None or one.se is None or one.df is None or one.kind == "binary":
        return None
    return detectable_from(one.se, one.df)


def _adjusted(found: Sequence[Estimate]) -> list[Estimate]:
    tested = [place for place, one in enumerate(found) if one.p is not None]
    by_place = dict(zip(tested, holm([p for one in found if (p := one.p) is not None]), strict=True))
    return [replace(one, p_adjusted=by_place.get(place)) for place, one in enumerate(found)]


def _variances(
    rows: Rows, kinds: Mapping[str, ScoreKind], units: Mapping[tuple[str, str], str]
) -> dict[tuple[str, str, str], SeedVariance]:
    found = {}
    for arm in rows.arms:
        own = Contrast(arm, (Term(1.0, arm),))
        for (task, score), unit in units.items():
            if arm in rows.of or not applies(rows, own, score, task):
                continue
            ((of_arm,),) = cells_of(rows, blocks_of(rows, own, score, task, unit), score, task, unit)
            variance = seed_variance(of_arm, binary=kinds[score] == "binary") if len(of_arm.seeds) > 1 else None
            if variance is not None:
                found[task, score, arm] = variance
    return found
