"""Which method a design asks for: the decision table, in one place.

`DECISION` gives the method by the kind of score and the design that is found in the table:

| design | unbounded | share (0 to 1) | binary (0 or 1) |
|---|---|---|---|
| level: one arm, or a mean of arms | t over items | logit-t | Wilson; several runs: with design effect |
| difference: arms share items | paired t | logit-t of the differences | Bonett-Price; several runs: pseudo-items |
| groups: items differ between factor levels | Welch-Satterthwaite | MOVER | MOVER |

The method depends on the design and never on n, so a report does not jump when rows are added. Runs are averaged within
items first; the item is the unit of replication ("new items, this vector, this checkpoint").
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from doxa.stats.intervals import (
    Interval,
    bonett_price,
    logit_t,
    mean_t,
    mover,
    pseudo_items,
    weighted,
    welch,
    wilson,
    wilson_clustered,
)
from doxa.stats.table import Levels, Panel, Rows, panel
from doxa.words.contrasts import Contrast, Term
from doxa.words.errors import ResultsError, nearest

ScoreKind = Literal["unbounded", "share", "binary"]
Design = Literal["level", "difference", "groups"]


@dataclass(frozen=True, eq=False)
class Block:
    """Terms that share their items: within a block arms are paired, blocks are independent of each other.

    Attributes:
        panel: The panel of the block's factor levels.
        terms: The terms of the contrast with these levels.
        complete: Which items have a value in every term.
    """

    panel: Panel
    terms: tuple[Term, ...]
    complete: Int[np.ndarray, " complete"]

    @property
    def codes(self) -> list[int]:
        """Codes of the terms' arms."""
        return [self.panel.arms[term.arm] for term in self.terms]

    @property
    def weights(self) -> Float[np.ndarray, " terms"]:
        """Weights of the terms."""
        return np.array([term.weight for term in self.terms])

    @property
    def sums(self) -> Float[np.ndarray, " complete"]:
        """For every complete item the weighted sum of its arms' means."""
        means = self.panel.means[self.codes][:, self.complete]
        summed: Float[np.ndarray, " complete"] = np.einsum("t,ti->i", self.weights, means)
        return summed

    @property
    def runs(self) -> int:
        """Largest number of runs that an item has in one of the terms' arms."""
        return int(self.panel.rows[self.codes].max(initial=0))

    @property
    def counts(self) -> Int[np.ndarray, "terms complete"]:
        """Runs with a value."""
        counts: Int[np.ndarray, "terms complete"] = self.panel.counts[self.codes][:, self.complete]
        return counts


def blocks_of(rows: Rows, contrast: Contrast, score: str, task: str) -> tuple[Block, ...]:
    """Group the terms of a contrast by the factor levels they select.

    Raises:
        ResultsError: When an arm is not in the table, or two groups share some items.
    """
    by_levels: dict[Levels, list[Term]] = {}
    for term in contrast.terms:
        if term.arm not in rows.arms:
            named = [arm for arm in rows.arms if arm not in rows.of]
            raise ResultsError(
                f"contrast {contrast.name!r} names arm {term.arm!r}, which the table does not have",
                way_out=nearest(term.arm, named),
            )
        by_levels.setdefault(term.levels, []).append(term)
    blocks, seen = [], set[str]()
    for levels, terms in by_levels.items():
        found = panel(rows, task, score, levels)
        if seen & set(found.items):
            raise ResultsError(
                f"contrast {contrast.name!r} takes the same items at several factor levels",
                expected="the same levels in every arm (paired) or levels that share no item (groups)",
                way_out="Select levels of one factor in every arm",
            )
        seen |= set(found.items)
        codes = [found.arms[term.arm] for term in terms]
        complete = np.flatnonzero(~np.isnan(found.means[codes]).any(axis=0))
        blocks.append(Block(found, tuple(terms), complete))
    return tuple(blocks)


def design_of(contrast: Contrast, blocks: Sequence[Block]) -> Design:
    """The design of a contrast: its weights sum to one (a level) or zero, in one block or several."""
    if len(blocks) > 1:
        return "groups"
    return "level" if _is_level(contrast.terms) else "difference"


def _is_level(terms: Sequence[Term]) -> bool:
    """Weights that sum to one make a level, which is not held against 0; a difference's sum to zero."""
    return sum(term.weight for term in terms) > 0.5


# The methods of the decision table: each takes blocks and a level.


def _span(block: Block) -> tuple[float, float]:
    """Smallest and largest weighted sum when every arm is within 0 and 1."""
    weights = block.weights
    return float(weights[weights < 0].sum()), float(weights[weights > 0].sum())


def _mean_level(blocks: Sequence[Block], level: float) -> Interval:
    return mean_t(blocks[0].sums, level=level, null=None)


def _mean_difference(blocks: Sequence[Block], level: float) -> Interval:
    return mean_t(blocks[0].sums, level=level)


def _share_level(blocks: Sequence[Block], level: float) -> Interval:
    low, high = _span(blocks[0])
    return logit_t(blocks[0].sums, low=low, high=high, level=level)


def _share_difference(blocks: Sequence[Block], level: float) -> Interval:
    low, high = _span(blocks[0])
    return logit_t(blocks[0].sums, low=low, high=high, level=level, null=0.0)


def _rate_level(blocks: Sequence[Block], level: float) -> Interval:
    block = blocks[0]
    if np.any(block.weights < 0):
        return _share_level(blocks, level)
    if block.runs == 1 and len(block.terms) == 1:
        return wilson(float(block.sums.sum()), len(block.complete), level=level)
    return wilson_clustered(block.sums, float(block.counts.sum()), level=level)


def _rate_difference(blocks: Sequence[Block], level: float) -> Interval:
    block = blocks[0]
    low, high = _span(block)
    if block.runs == 1 and len(block.terms) == 2 and high == 1:
        return bonett_price(block.sums, level=level)
    runs = float(block.counts.mean()) if block.counts.size else 1.0
    return pseudo_items(block.sums, runs, span=(high - low) / 2, level=level)


def _mean_groups(blocks: Sequence[Block], level: float) -> Interval:
    null = None if _is_level([term for block in blocks for term in block.terms]) else 0.0
    return welch([block.sums for block in blocks], level=level, null=null)


def _share_groups(blocks: Sequence[Block], level: float) -> Interval:
    return mover([_share_level([block], level) for block in blocks])


def _rate_groups(blocks: Sequence[Block], level: float) -> Interval:
    parts = []
    for block in blocks:
        if len(block.terms) > 1:
            parts.append(_rate_difference([block], level))
        else:
            # A rate is estimated on its own scale; its weight comes afterwards.
            weight = float(block.weights[0])
            alone = Block(block.panel, (Term(1.0, block.terms[0].arm, block.terms[0].levels),), block.complete)
            parts.append(weighted(_rate_level([alone], level), weight))
    return mover(parts)


DECISION: Mapping[tuple[ScoreKind, Design], Callable[[Sequence[Block], float], Interval]] = {
    ("unbounded", "level"): _mean_level,
    ("unbounded", "difference"): _mean_difference,
    ("unbounded", "groups"): _mean_groups,
    ("share", "level"): _share_level,
    ("share", "difference"): _share_difference,
    ("share", "groups"): _share_groups,
    ("binary", "level"): _rate_level,
    ("binary", "difference"): _rate_difference,
    ("binary", "groups"): _rate_groups,
}
"""The one place where a design is given its method."""
