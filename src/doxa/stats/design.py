"""Which method a design asks for: the decision table, in one place.

`DECISION` gives the method by the kind of score and the design that is found in the table:

| design | unbounded | share (0 to 1) | binary (0 or 1) |
|---|---|---|---|
| level: one arm, or a mean of arms | t over items | logit-t | Wilson; several runs: with design effect |
| difference: arms share items | paired t | logit-t of the differences | Bonett-Price; several runs: pseudo-items |
| groups: arms have different items | Welch-Satterthwaite | MOVER | MOVER; two plain rates: Newcombe, Boschloo |

Scores on a scale with bounds (a judge's 1 to 10) are a share of it; few of them, most at one end, get pseudo-units.
The method depends on the design and never on n, so a report does not jump when rows are added. Runs are averaged within
items first; the item is the unit of replication ("new items, this vector, this checkpoint").
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import combinations
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from doxa.stats.difference_of_rates import with_exact_test
from doxa.stats.intervals import Interval, inverted, logit_t, mean_t, mover, tested, weighted, welch
from doxa.stats.rates import bonett_price, one_rate, pseudo_items, wilson, wilson_clustered
from doxa.stats.table import ITEM, Levels, Panel, Rows, panel
from doxa.stats.two_rates import Count
from doxa.words.contrasts import Contrast, Term
from doxa.words.errors import ResultsError, nearest

PSEUDO = 0.05
"""Weight of a pseudo-unit at each end of a scale, in units (`intervals.logit_t`)."""

ScoreKind = Literal["unbounded", "share", "scale", "binary"]
Design = Literal["level", "difference", "groups"]


@dataclass(frozen=True, eq=False)
class Block:
    """Terms that share their units: within a block they are paired, blocks are independent of each other.

    Attributes:
        terms: The terms of the contrast.
        panels: Of each term the panel of its factor levels; all are on the same units.
        complete: Which units have a value in every term.
    """

    terms: tuple[Term, ...]
    panels: tuple[Panel, ...]
    complete: Int[np.ndarray, " complete"]

    @property
    def units(self) -> tuple[str, ...]:
        """Names of the units, complete or not."""
        return self.panels[0].items

    @property
    def weights(self) -> Float[np.ndarray, " terms"]:
        """Weights of the terms."""
        return np.array([term.weight for term in self.terms])

    @property
    def means(self) -> Float[np.ndarray, "terms units"]:
        """Unit means of the terms."""
        return np.stack(
            [found.means[found.arms[term.arm]] for term, found in zip(self.terms, self.panels, strict=True)]
        )

    @property
    def rows(self) -> Int[np.ndarray, "terms units"]:
        """Runs of the terms, with a value or without."""
        return np.stack([found.rows[found.arms[term.arm]] for term, found in zip(self.terms, self.panels, strict=True)])

    @property
    def filled(self) -> Int[np.ndarray, "terms units"]:
        """Runs of the terms with a value."""
        return np.stack(
            [found.counts[found.arms[term.arm]] for term, found in zip(self.terms, self.panels, strict=True)]
        )

    @property
    def sums(self) -> Float[np.ndarray, " complete"]:
        """For every complete unit the weighted sum of the terms' means."""
        summed: Float[np.ndarray, " complete"] = np.einsum("t,ti->i", self.weights, self.means[:, self.complete])
        return summed

    @property
    def runs(self) -> int:
        """Largest number of runs that a unit has in one of the terms."""
        return int(self.rows.max(initial=0))

    @property
    def counts(self) -> Int[np.ndarray, "terms complete"]:
        """Runs with a value, of the complete units."""
        counts: Int[np.ndarray, "terms complete"] = self.filled[:, self.complete]
        return counts


def blocks_of(rows: Rows, contrast: Contrast, score: str, task: str, unit: str = ITEM) -> tuple[Block, ...]:
    """Group the terms of a contrast by the units they share.

    Terms at the same factor levels share their units; terms at different levels do where some units have both (a
    prompt that was asked in two tiers), and are independent groups where none has.

    Raises:
        ResultsError: When an arm is not in the table, or two terms of one arm may hold the same rows.
    """
    for term in contrast.terms:
        if term.arm not in rows.arms:
            named = [arm for arm in rows.arms if arm not in rows.of]
            raise ResultsError(
                f"contrast {contrast.name!r} names arm {term.arm!r}, which the table does not have",
                way_out=nearest(term.arm, named),
            )
    _check_levels(contrast)
    by_levels: dict[Levels, list[Term]] = {}
    for term in contrast.terms:
        by_levels.setdefault(term.levels, []).append(term)
    groups: list[tuple[set[str], list[tuple[Term, Panel]]]] = []
    for levels, terms in by_levels.items():
        found = panel(rows, task, score, levels, unit)
        for own in _sharing(found, terms):
            groups = _joined(groups, own)
    return tuple(_block(names, members) for names, members in groups)


def _joined(
    groups: Sequence[tuple[set[str], list[tuple[Term, Panel]]]], own: tuple[set[str], list[tuple[Term, Panel]]]
) -> list[tuple[set[str], list[tuple[Term, Panel]]]]:
    """Groups with one more: those that share a unit with it become one."""
    apart = []
    for group in groups:
        if group[0] & own[0]:
            own = (group[0] | own[0], [*group[1], *own[1]])
        else:
            apart.append(group)
    return [*apart, own]


def _sharing(found: Panel, terms: Sequence[Term]) -> list[tuple[set[str], list[tuple[Term, Panel]]]]:
    """Terms at the same levels, in groups that share a unit; all in one where an arm has no value at all."""
    valued = [np.flatnonzero(~np.isnan(found.means[found.arms[term.arm]])) for term in terms]
    if any(len(own) == 0 for own in valued) or reduce(np.intersect1d, valued).size:
        # Units of other arms of the table alone are none of theirs.
        own_rows = np.flatnonzero(found.rows[[found.arms[term.arm] for term in terms]].any(axis=0))
        return [({found.items[place] for place in own_rows}, [(term, found) for term in terms])]
    groups: list[tuple[set[str], list[tuple[Term, Panel]]]] = []
    for term, own in zip(terms, valued, strict=True):
        groups = _joined(groups, ({found.items[place] for place in own}, [(term, found)]))
    return groups if len(groups) > 1 else [(set(found.items), groups[0][1])]


def _block(names: set[str], members: Sequence[tuple[Term, Panel]]) -> Block:
    first = members[0][1].items
    units = first if len(first) == len(names) else tuple(sorted(names))
    panels = tuple(found if found.items == units else _on_units(found, units) for _, found in members)
    terms = tuple(term for term, _ in members)
    means = np.stack([found.means[found.arms[term.arm]] for term, found in zip(terms, panels, strict=True)])
    return Block(terms, panels, np.flatnonzero(~np.isnan(means).any(axis=0)))


def _on_units(found: Panel, units: tuple[str, ...]) -> Panel:
    """A panel on other units than its own: those it does not have hold no row, and of its own only those are kept."""
    place_of = {unit: place for place, unit in enumerate(units)}
    own = [place for place, item in enumerate(found.items) if item in place_of]
    place = [place_of[found.items[one]] for one in own]
    shape = (len(found.arms), len(units))
    means, counts, rows = np.full(shape, np.nan), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    means[:, place], counts[:, place], rows[:, place] = found.means[:, own], found.counts[:, own], found.rows[:, own]
    return replace(found, items=units, means=means, counts=counts, rows=rows)


def _check_levels(contrast: Contrast) -> None:
    """Two terms of one arm hold different rows only when one factor has a different level in each."""
    for one, other in combinations(contrast.terms, 2):
        first, second = dict(one.levels), dict(other.levels)
        apart = any(first[factor] != second[factor] for factor in first.keys() & second.keys())
        if one.arm == other.arm and first != second and not apart:
            raise ResultsError(
                f"contrast {contrast.name!r} takes the same items at several factor levels",
                expected="levels of one factor that differ, such as `a[tier=free] - a[tier=paid]`",
                way_out="Select levels of one factor in every arm",
            )


def design_of(contrast: Contrast, blocks: Sequence[Block]) -> Design:
    """The design of a contrast: its weights sum to one (a level) or zero, in one block or several."""
    if len(blocks) > 1:
        return "groups"
    return "level" if is_level(contrast.terms) else "difference"


def is_level(terms: Sequence[Term]) -> bool:
    """Whether weights sum to one: a level, which is not held against 0. Those of a difference sum to zero."""
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


def _scale_level(blocks: Sequence[Block], level: float) -> Interval:
    low, high = _span(blocks[0])
    return logit_t(blocks[0].sums, low=low, high=high, level=level, pseudo=PSEUDO if low == 0 or high == 0 else 0.0)


def _share_difference(blocks: Sequence[Block], level: float) -> Interval:
    low, high = _span(blocks[0])
    return logit_t(blocks[0].sums, low=low, high=high, level=level, null=0.0)


def _rate_level(blocks: Sequence[Block], level: float) -> Interval:
    block = blocks[0]
    if np.any(block.weights < 0):
        return _share_level(blocks, level)
    if block.runs == 1 and len(block.terms) == 1:
        return one_rate(float(block.sums.sum()), len(block.complete), level=level)
    return wilson_clustered(block.sums, _worth(block) * len(block.complete), level=level)


def _worth(block: Block) -> float:
    """Runs that a unit's weighted sum is worth, on the harmonic mean over units."""
    if not block.counts.size:
        return 1.0
    return whole(block.weights) / float((block.weights[:, None] ** 2 / block.counts).sum(axis=0).mean())


def whole(weights: Float[np.ndarray, " terms"]) -> float:
    """What the variances w² / runs of a weighted sum of rates are divided into, to give the runs that it is worth.

    Weights of one sign make a rate on another scale: (Σ w)². Otherwise Σ w², so that a difference of two arms with R
    runs each is worth R.
    """
    same_sign = bool(np.all(weights > 0) or np.all(weights < 0))
    return float(weights.sum() ** 2 if same_sign else (weights**2).sum())


def _rate_difference(blocks: Sequence[Block], level: float) -> Interval:
    block = blocks[0]
    low, high = _span(block)
    if block.runs == 1 and len(block.terms) == 2 and high == 1:
        return bonett_price(block.sums, level=level)
    if low == 0 or high == 0:  # weights of one sign, in a sum of groups: a rate on another scale
        scale = low or high
        return weighted(wilson_clustered(block.sums / scale, _worth(block) * len(block.complete), level=level), scale)
    return pseudo_items(block.sums, _worth(block), low=low, high=high, level=level)


def _mean_groups(blocks: Sequence[Block], level: float) -> Interval:
    null = None if is_level([term for block in blocks for term in block.terms]) else 0.0
    return welch([block.sums for block in blocks], level=level, null=null)


def _share_groups(blocks: Sequence[Block], level: float) -> Interval:
    return _with_p(blocks, level, lambda at: mover([_share_level([block], at) for block in blocks]))


def _scale_groups(blocks: Sequence[Block], level: float) -> Interval:
    return _with_p(blocks, level, lambda at: mover([_scale_level([block], at) for block in blocks]))


def _with_p(blocks: Sequence[Block], level: float, build: Callable[[float], Interval]) -> Interval:
    """A sum of groups with the p of its interval, where it is a difference."""
    found = build(level)
    if found.low is None or is_level([term for block in blocks for term in block.terms]):
        return found
    found = replace(found, p=inverted(build, 0.0), flags=tuple(flag for flag in found.flags if flag != "no_test"))
    return tested(found, min(len(block.complete) for block in blocks), 0.0)


def _rate_groups(blocks: Sequence[Block], level: float) -> Interval:
    found = _with_p(blocks, level, lambda at: _rates_of_groups(blocks, at))
    plain = found.p is not None and all(block.runs == 1 and len(block.terms) == 1 for block in blocks)
    if not plain:
        return found
    counts = [Count(round(float(block.sums.sum() / block.weights[0])), len(block.complete)) for block in blocks]
    return with_exact_test(found, counts, [float(block.weights[0]) for block in blocks])


def _rates_of_groups(blocks: Sequence[Block], level: float) -> Interval:
    parts = []
    for block in blocks:
        if len(block.terms) > 1:
            parts.append(_rate_difference([block], level))
        else:
            # A rate is estimated on its own scale; its weight comes afterwards.
            weight = float(block.weights[0])
            alone = replace(block, terms=(replace(block.terms[0], weight=1.0),))
            parts.append(weighted(_rate_of_part(alone, level), weight))
    return mover(parts)


def _rate_of_part(block: Block, level: float) -> Interval:
    """A rate that MOVER puts together with others: of two plain Wilson intervals that is Newcombe's."""
    if block.runs == 1:
        return wilson(float(block.sums.sum()), len(block.complete), level=level)
    return _rate_level([block], level)


DECISION: Mapping[tuple[ScoreKind, Design], Callable[[Sequence[Block], float], Interval]] = {
    ("unbounded", "level"): _mean_level,
    ("unbounded", "difference"): _mean_difference,
    ("unbounded", "groups"): _mean_groups,
    ("share", "level"): _share_level,
    ("share", "difference"): _share_difference,
    ("share", "groups"): _share_groups,
    ("scale", "level"): _scale_level,
    ("scale", "difference"): _share_difference,
    ("scale", "groups"): _scale_groups,
    ("binary", "level"): _rate_level,
    ("binary", "difference"): _rate_difference,
    ("binary", "groups"): _rate_groups,
}
"""The one place where a design is given its method."""
