"""Steering against its controls: is an effect more than what any vector of this kind does?

Unit 0 is the target, units 1 to m are its controls of one family: control j of a contrast is the contrast with every
steered arm replaced by its own control j (twin j is one rotation in every placement, so a contrast of two placements
has a null too); arms that are not steered, such as the baseline, stay. A steered arm without controls would keep its
true vector while the others lose theirs, which is no null, so a contrast with one has no verdict. Under the null the
m + 1 units are exchangeable, jointly over all contrasts and scores, so everything below is exact as long as all m + 1
units are treated alike:

* centred rank: d_j is the effect of unit j minus the median of all m + 1,
  p = (1 + #{j >= 1: |d_j| >= |d_0|}) / (m + 1). Controls do not average to zero effect, and an uncentred rank can have
  no power at all.
* max-T over a family of cells (contrast x score): every cell is scaled by its own root mean square of d over all
  m + 1 units, and unit 0's largest value is compared with every unit's largest value, stepping down.

An effect stands out when it lies outside the bands of both families and its adjusted p is at most .05 in both.

Sources: Phipson & Smyth 2010 (the + 1); Westfall & Young 1993, algorithm 2.8 (step-down max-T).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import special

from doxa.stats.design import blocks_of
from doxa.stats.estimate import check_keys
from doxa.stats.table import ITEM, Panel, Rows
from doxa.words.contrasts import Contrast, Term

FEWEST_FOR_RANK = 19
"""Controls with which a rank can reach p = .05."""
FEWEST_FOR_T = 4
"""Controls with which the prediction-t was found to hold its size (.05 normal, at most .078 lognormal)."""
ALPHA = 0.05
"""Level of the test by which an effect stands out."""
ROUNDING = 1e-12
"""Of a p that is a multiple of 1 / (m + 1)."""
BOTH = ("twin", "unrelated")
"""The families that a vector has to stand out against."""

CONTROL_FLAGS = {
    "few_controls": f"fewer than {FEWEST_FOR_RANK} controls: no rank p",
    "no_prediction_t": f"fewer than {FEWEST_FOR_T} controls: no prediction-t",
    "no_spread": "all controls have the same effect: no prediction-t",
    "lost_controls": "some controls have no item with a value",
    "unequal_items": "target and controls rest on different items, because values are missing",
    "exploratory": "not in the declared family: no adjusted p",
}
"""What each flag of a verdict means."""


@dataclass(frozen=True)
class ControlVerdict:
    """A target beside one family of controls.

    Attributes:
        contrast: The contrast.
        score: Name of the score.
        task: Its task.
        family: The control family.
        m: Number of controls.
        effect: The target's effect on the items that the controls were scored on.
        low: Smallest effect of a control: the lower edge of the band.
        high: Largest effect of a control.
        centre: Median effect of target and controls.
        rank: 1 for the effect farthest from the centre, of m + 1; ties count against the target.
        p: rank / (m + 1); None with fewer than 19 controls.
        p_adjusted: p by max-T over the declared family; None outside it.
        t: Prediction-t: (effect - mean) / (s √(1 + 1/m)) with m - 1 degrees of freedom, of the controls alone.
        p_t: Its two-sided p.
        items: Items that the effect rests on.
        effects: Effect of each control by its index, for figures.
        flags: Keys of `CONTROL_FLAGS`.
    """

    contrast: str
    score: str
    task: str
    family: str
    m: int
    effect: float
    low: float
    high: float
    centre: float
    rank: int
    p: float | None
    p_adjusted: float | None
    t: float | None
    p_t: float | None
    items: int
    effects: Mapping[str, float]
    flags: tuple[str, ...]

    @property
    def outside(self) -> bool:
        """Whether the effect lies outside the band of the controls."""
        return not self.low <= self.effect <= self.high


def verdict_to_json(one: ControlVerdict) -> dict[str, Any]:
    """A verdict as JSON: missing numbers are null; `outside` is written for readers without doxa."""
    return {**asdict(one), "flags": list(one.flags), "outside": one.outside}


def verdict_from_json(value: Mapping[str, Any]) -> ControlVerdict:
    """Read what `verdict_to_json` wrote.

    Raises:
        ResultsError: When its keys are not those of a verdict.
    """
    check_keys(value, [*(field.name for field in fields(ControlVerdict)), "outside"], "a verdict")
    kept = {key: one for key, one in value.items() if key != "outside"}
    return ControlVerdict(**{**kept, "flags": tuple(kept["flags"])})


@dataclass(frozen=True, eq=False)
class ControlEffects:
    """The effects of a target and its controls in one cell.

    Attributes:
        contrast: The contrast.
        score: Name of the score.
        task: Its task.
        family: The control family.
        indices: Index of each control, ascending.
        effects: Unit 0 is the target, then the controls.
        items: Items with a value, by unit.
        unequal: Whether the units rest on different items.
        lost: Controls without any item.
    """

    contrast: str
    score: str
    task: str
    family: str
    indices: tuple[str, ...]
    effects: Float[np.ndarray, " units"]
    items: Int[np.ndarray, " units"]
    unequal: bool
    lost: int


def families_of(rows: Rows) -> tuple[str, ...]:
    """The control families of a table."""
    return tuple(sorted({family for _, family in rows.controls}))


def control_effects(
    rows: Rows,
    contrast: Contrast,
    score: str,
    task: str,
    family: str,
    steered: Collection[str] | None = None,
    unit: str = ITEM,
) -> ControlEffects | None:
    """The effects of a contrast and of its controls, on the items that the controls were scored on.

    Args:
        rows: A coded table.
        contrast: The contrast.
        score: Name of the score.
        task: Its task.
        family: The control family.
        steered: The arms that are steered; None: not known, then those that have controls of any family.
        unit: The factor whose levels are the units of replication; a unit counts where controls were asked all of it.

    Returns:
        None when no arm of the contrast has scored controls of this family, a steered one has none, or the target has
        no value on their items.
    """
    blocks = blocks_of(rows, contrast, score, task, unit)
    scored = np.any(np.stack([found.scored for block in blocks for found in block.panels]), axis=0)
    replaced = {}
    for term in contrast.terms:
        by_index = rows.controls.get((term.arm, family), {})
        found = {index: arm for index, arm in by_index.items() if scored[rows.arms[arm]]}
        if found:
            replaced[term.arm] = found
    known = {arm for arm, _ in rows.controls} if steered is None else steered
    if not replaced or any(term.arm in known and term.arm not in replaced for term in contrast.terms):
        return None
    indices = sorted(set[str].intersection(*(set(found) for found in replaced.values())))
    total = np.zeros(1 + len(indices))
    items = np.zeros(1 + len(indices), dtype=np.int64)
    unequal = False
    for block in blocks:
        units = [
            _units_of(found, term, indices, replaced) for term, found in zip(block.terms, block.panels, strict=True)
        ]
        own = [place for place, term in enumerate(block.terms) if term.arm in replaced]
        # Only the items of the controls: they may have been given fewer than the target.
        common = np.ones(len(block.units), dtype=bool)
        if own:
            asked = [_asked(block.panels[place], units[place], whole=unit != ITEM) for place in own]
            common = np.any(np.concatenate(asked), axis=0)
        means = np.stack([found.means[codes][:, common] for found, codes in zip(block.panels, units, strict=True)])
        sums = np.einsum("t,tui->ui", block.weights, means)
        filled = ~np.isnan(sums)
        count = filled.sum(axis=1)
        mean = np.full(len(sums), np.nan)
        np.divide(np.where(filled, sums, 0.0).sum(axis=1), count, out=mean, where=count > 0)
        total += mean
        items += count
        unequal |= bool(np.any(filled != filled[0]))
    kept = ~np.isnan(total)
    if not kept[0] or kept.sum() < 2:
        return None
    return ControlEffects(
        contrast=contrast.name,
        score=score,
        task=task,
        family=family,
        indices=tuple(index for index, keep in zip(indices, kept[1:], strict=True) if keep),
        effects=total[kept],
        items=items[kept],
        unequal=unequal,
        lost=int((~kept).sum()),
    )


def _asked(found: Panel, units: Sequence[int], *, whole: bool) -> Bool[np.ndarray, "controls items"]:
    """Which units each control was asked; `whole`: in as many cells as the target, the first of the units."""
    rows = found.rows[list(units)]
    asked: Bool[np.ndarray, "controls items"] = (rows[1:] == rows[0]) & (rows[0] > 0) if whole else rows[1:] > 0
    return asked


def verdicts(cells: Sequence[ControlEffects], declared: Sequence[tuple[str, str, str]]) -> tuple[ControlVerdict, ...]:
    """Judge cells of one control family together.

    Args:
        cells: Effects by cell.
        declared: (contrast, task, score) of the declared family; only these get an adjusted p, together.

    Returns:
        One verdict for each cell, in the same order.
    """
    wanted = set(declared)
    inside = [cell for cell in cells if (cell.contrast, cell.task, cell.score) in wanted]
    adjusted = _adjusted(inside)
    found = []
    for cell in cells:
        verdict = _verdict(cell)
        key = (cell.contrast, cell.task, cell.score)
        if key in wanted:
            found.append(replace(verdict, p_adjusted=adjusted.get(key)))
        else:
            found.append(replace(verdict, flags=(*verdict.flags, "exploratory")))
    return tuple(found)


def deviations(effects: Float[np.ndarray, "*studies units cells"]) -> Float[np.ndarray, "*studies units cells"]:
    """|effect - median over units|, in units of its root mean square over units; 0 where nothing differs.

    Every unit enters alike, the target too, so that exchangeable units stay exchangeable.
    """
    distance = np.abs(effects - np.median(effects, axis=-2, keepdims=True))
    scale = np.sqrt(np.mean(distance**2, axis=-2, keepdims=True))
    scaled: Float[np.ndarray, "*studies units cells"] = np.divide(
        distance, scale, out=np.zeros_like(distance), where=scale > 0
    )
    return scaled


def max_t(deviation: Float[np.ndarray, "*studies units cells"]) -> Float[np.ndarray, "*studies cells"]:
    """Adjusted p of unit 0 in every cell: Westfall-Young step-down max-T over the exchangeable units.

    Cells are taken in descending order of unit 0's deviation. The p of a cell is the share of units (unit 0 among them)
    whose largest deviation over this and the later cells reaches unit 0's, and is never below that of an earlier cell.
    With one cell it is the centred rank p. The family-wise error is at most alpha whichever of the nulls are true.

    Args:
        deviation: From `deviations`; unit 0 is the target.
    """
    target = deviation[..., 0, :]
    order = np.argsort(-target, axis=-1, kind="stable")
    ordered = np.take_along_axis(deviation, order[..., None, :], axis=-1)
    largest = np.maximum.accumulate(ordered[..., ::-1], axis=-1)[..., ::-1]
    # Two units at the same distance on both sides of the median differ by rounding: a tie counts against the target.
    reaches = largest >= ordered[..., :1, :] * (1 - 1e-9)
    p = np.maximum.accumulate(reaches.mean(axis=-2), axis=-1)
    adjusted: Float[np.ndarray, "*studies cells"] = np.empty_like(p)
    np.put_along_axis(adjusted, order, p, axis=-1)
    return adjusted


def prediction_t(effects: Float[np.ndarray, " units"]) -> tuple[float, float] | None:
    """Prediction-t and its two-sided p: unit 0 as one more draw from the normal distribution of the controls.

    t = (d_0 - mean) / (s √(1 + 1/m)), m - 1 degrees of freedom.

    Returns:
        None with fewer than 4 controls or when they do not differ.
    """
    controls = effects[1:]
    m = len(controls)
    if m < FEWEST_FOR_T:
        return None
    spread = float(np.std(controls, ddof=1))
    if spread <= 1e-12 * max(1.0, float(np.max(np.abs(controls)))):
        return None
    t = float(effects[0] - np.mean(controls)) / (spread * float(np.sqrt(1 + 1 / m)))
    return t, float(2 * special.stdtr(m - 1, -abs(t)))


def outside_both(found: Sequence[ControlVerdict]) -> dict[tuple[str, str, str], bool | None]:
    """Whether each (contrast, task, score) lies outside the bands of twins *and* unrelated vectors.

    Returns:
        None for a cell where one of the families is missing or has fewer than 19 controls.
    """
    bands: dict[tuple[str, str, str], dict[str, ControlVerdict]] = {}
    for one in found:
        bands.setdefault((one.contrast, one.task, one.score), {})[one.family] = one
    answers: dict[tuple[str, str, str], bool | None] = {}
    for key, by_family in bands.items():
        both = [by_family[name] for name in BOTH if name in by_family]
        enough = len(both) == len(BOTH) and all(one.m >= FEWEST_FOR_RANK for one in both)
        answers[key] = all(one.outside for one in both) if enough else None
    return answers


def stands_out(found: Sequence[ControlVerdict]) -> dict[tuple[str, str, str], bool | None]:
    """Whether each (contrast, task, score) stands out: outside both bands, and p_adjusted at most .05 in both families.

    Returns:
        None for a cell outside the declared family, or with a missing or too small family.
    """
    answers = outside_both(found)
    for one in found:
        key = (one.contrast, one.task, one.score)
        if one.family in BOTH and answers[key] is not None:
            answers[key] = None if one.p_adjusted is None else bool(answers[key] and one.p_adjusted <= ALPHA + ROUNDING)
    return answers


def _verdict(cell: ControlEffects) -> ControlVerdict:
    m = len(cell.effects) - 1
    controls = cell.effects[1:]
    p = float(max_t(deviations(cell.effects[:, None]))[0])
    t = prediction_t(cell.effects)
    flags = [
        flag
        for flag, raised in (
            ("few_controls", m < FEWEST_FOR_RANK),
            ("no_prediction_t", m < FEWEST_FOR_T),
            ("no_spread", m >= FEWEST_FOR_T and t is None),
            ("lost_controls", cell.lost > 0),
            ("unequal_items", cell.unequal),
        )
        if raised
    ]
    return ControlVerdict(
        contrast=cell.contrast,
        score=cell.score,
        task=cell.task,
        family=cell.family,
        m=m,
        effect=float(cell.effects[0]),
        low=float(controls.min()),
        high=float(controls.max()),
        centre=float(np.median(cell.effects)),
        rank=round(p * (m + 1)),
        p=p if m >= FEWEST_FOR_RANK else None,
        p_adjusted=None,
        t=None if t is None else t[0],
        p_t=None if t is None else t[1],
        items=int(cell.items[0]),
        effects=dict(zip(cell.indices, controls.tolist(), strict=True)),
        flags=tuple(flags),
    )


def _adjusted(cells: Sequence[ControlEffects]) -> dict[tuple[str, str, str], float]:
    """Max-T over the declared cells, with the controls that all of them have."""
    if not cells:
        return {}
    common = sorted(set[str].intersection(*(set(cell.indices) for cell in cells)))
    if len(common) < FEWEST_FOR_RANK:
        return {}
    columns = []
    for cell in cells:
        position = {index: 1 + place for place, index in enumerate(cell.indices)}
        columns.append(cell.effects[[0, *(position[index] for index in common)]])
    p = max_t(deviations(np.stack(columns, axis=1)))
    return {(cell.contrast, cell.task, cell.score): float(one) for cell, one in zip(cells, p, strict=True)}


def _units_of(panel: Panel, term: Term, indices: Sequence[str], replaced: Mapping[str, Mapping[str, str]]) -> list[int]:
    """Codes of the arms that stand for a term in unit 0 (the target) and in every control."""
    if term.arm not in replaced:
        return [panel.arms[term.arm]] * (1 + len(indices))
    return [panel.arms[term.arm], *(panel.arms[replaced[term.arm][index]] for index in indices)]
