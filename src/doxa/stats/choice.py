"""Which estimand a table is asked about when nothing is said, and in words why this method was chosen."""

from collections.abc import Mapping, Sequence

from doxa.stats.design import Block, ScoreKind, design_of
from doxa.stats.estimands import Estimand
from doxa.stats.table import ITEM, Rows
from doxa.words.contrasts import Contrast
from doxa.words.numbers import plural

KINDS = {
    "unbounded": "scores without bounds",
    "share": "scores between 0 and 1",
    "scale": "scores on a scale",
    "binary": "scores of 0 or 1",
}


def several_seeds(rows: Rows, contrast: Contrast, score: str, task: str) -> bool:
    """Whether an arm of a contrast has rows of several training seeds."""
    index = rows.cells[task, score]
    for arm in {term.arm for term in contrast.terms}:
        seeds = rows.seed[index[rows.arm[index] == rows.arms[arm]]]
        if len(seeds) and seeds.min() != seeds.max():
            return True
    return False


def default_estimand(seeds: bool, blocks: Sequence[Block], unit: str = ITEM) -> Estimand:
    """New items; with a single one, or with several seeds and different items in the arms, seeds or runs are left.

    Args:
        seeds: Whether an arm has several training seeds.
        blocks: The blocks of the contrast.
        unit: The unit; rows of one level of a factor are its items, and no runs of it.
    """
    single = max(len(block.units) for block in blocks) == 1
    if seeds:
        return "the recipe, over seeds" if single or len(blocks) > 1 else "new items"
    return (
        "this checkpoint, over runs"
        if single and unit == ITEM and max(block.runs for block in blocks) > 1
        else "new items"
    )


def reason(
    contrast: Contrast, blocks: Sequence[Block], kind: ScoreKind, estimand: Estimand, unit: str, n: Mapping[str, int]
) -> str:
    """Why the method is what it is: the design as it was found in the table.

    Args:
        contrast: The contrast.
        blocks: Its blocks.
        kind: What values the score takes.
        estimand: What the interval is for.
        unit: `item`, or the factor whose levels are the units.
        n: What was counted: `seeds`, `runs`.
    """
    several = n["seeds"] > 1
    drawn = {
        "new items": f"training seeds and {plural(unit)} are drawn anew" if several else "",
        "these items": f"{plural(unit)}{' and training seeds' if several else ''} are held fixed, only runs vary",
        "this checkpoint, over runs": "one checkpoint an arm, its rows pooled",
        "the recipe, over seeds": f"training seeds are the units, {plural(unit)} are held fixed, an arm with one seed "
        "is one fixed model",
    }[estimand]
    shared = {
        "level": "one arm or a mean of arms",
        "difference": f"the arms share their {plural(unit)}, so they are paired",
        "groups": f"the arms have different {plural(unit)}: independent groups",
    }[design_of(contrast, blocks)]
    said = [shared] if estimand == "new items" else []
    said += [drawn] if drawn else []
    said.append(KINDS[kind])
    if unit != ITEM:
        said.append(f"items are averaged within each {unit}")
    if n["runs"] > 1:
        said.append(f"up to {n['runs']} rows in a cell")
    return "; ".join(said)
