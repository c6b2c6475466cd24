"""The rows of a contrast by training seed and unit, and the arms whose seeds belong together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from doxa.stats.design import Block, whole
from doxa.stats.table import ITEM, Rows, selected, units_of
from doxa.words.contrasts import Term

Seeds = Literal["paired", "independent"]


@dataclass(frozen=True, eq=False)
class TermCells:
    """One term of a contrast: its checkpoints by its units, only units that have a value everywhere.

    Attributes:
        term: The term.
        seeds: Training seeds of its arm.
        units: Names of the units.
        means: Mean of a cell: over the runs of each of its items, then over its items.
        counts: Rows of a cell with a value.
        squares: Sum of squared distances of these rows from their item's mean.
        freedom: Degrees of freedom of `squares`: rows less items.
        effective: Rows that a cell's mean is worth: items² / Σ 1/runs, which is `counts` where runs are equal.
    """

    term: Term
    seeds: tuple[str, ...]
    units: tuple[str, ...]
    means: Float[np.ndarray, "seeds units"]
    counts: Int[np.ndarray, "seeds units"]
    squares: Float[np.ndarray, "seeds units"]
    freedom: Int[np.ndarray, "seeds units"]
    effective: Float[np.ndarray, "seeds units"]

    @property
    def run_df(self) -> int:
        """Degrees of freedom of `run_variance`."""
        return int(self.freedom.sum())

    @property
    def run_variance(self) -> float | None:
        """Variance of one row around its item's mean, pooled over cells; None when every item has one run."""
        return float(self.squares.sum()) / self.run_df if self.run_df > 0 else None

    @property
    def rows_by_seed(self) -> Float[np.ndarray, " seeds"]:
        """Rows that a seed's mean over units is worth: its variance is that of one row divided by them."""
        worth: Float[np.ndarray, " seeds"] = len(self.units) ** 2 / (1 / self.effective).sum(axis=1)
        return worth

    @property
    def rows(self) -> float:
        """Rows that the mean over seeds is worth."""
        return float(len(self.seeds) ** 2 / (1 / self.rows_by_seed).sum())

    @property
    def noise(self) -> Float[np.ndarray, " seeds"] | None:
        """By seed the variance of its mean over units that comes from its runs; None without repeated runs."""
        return None if self.run_variance is None else self.run_variance / self.rows_by_seed


@dataclass(frozen=True, eq=False)
class Checkpoints:
    """Terms whose training seeds are the same checkpoints, or are paired by their number.

    Attributes:
        cells: The terms.
    """

    cells: tuple[TermCells, ...]

    @property
    def seeds(self) -> tuple[str, ...]:
        """The training seeds."""
        return self.cells[0].seeds

    @property
    def values(self) -> Float[np.ndarray, " seeds"]:
        """By seed the weighted sum of the terms' means over their units."""
        summed: Float[np.ndarray, " seeds"] = sum(
            (one.term.weight * one.means.mean(axis=1) for one in self.cells), np.zeros(len(self.seeds))
        )
        return summed

    @property
    def sums(self) -> Float[np.ndarray, "seeds units"]:
        """By seed and unit the weighted sum of the terms, which must have the same units."""
        summed: Float[np.ndarray, "seeds units"] = np.sum([one.term.weight * one.means for one in self.cells], axis=0)
        return summed

    @property
    def noise(self) -> float | None:
        """Mean over seeds of the variance of `values` that comes from runs; None without repeated runs."""
        parts = [one.noise for one in self.cells]
        if any(part is None for part in parts):
            return None
        weighted = [one.term.weight**2 * part for one, part in zip(self.cells, parts, strict=True) if part is not None]
        return float(np.mean(np.sum(weighted, axis=0)))

    @property
    def span(self) -> tuple[float, float]:
        """Smallest and largest of `values` when every score is within 0 and 1."""
        weights = np.array([one.term.weight for one in self.cells])
        return float(weights[weights < 0].sum()), float(weights[weights > 0].sum())

    @property
    def rows_by_seed(self) -> Float[np.ndarray, " seeds"]:
        """Rows that a seed's weighted sum is worth (`doxa.stats.design.whole`)."""
        weights = np.array([one.term.weight for one in self.cells])
        rows = np.stack([one.rows_by_seed for one in self.cells])
        worth: Float[np.ndarray, " seeds"] = whole(weights) / (weights[:, None] ** 2 / rows).sum(axis=0)
        return worth


def cells_of(
    rows: Rows, blocks: Sequence[Block], score: str, task: str, unit: str = ITEM
) -> tuple[tuple[TermCells, ...], ...]:
    """The cells of every block's terms, on the units that have a value in every term and every seed of its arm."""
    return tuple(_of_block(rows, block, score, task, unit) for block in blocks)


def _of_block(rows: Rows, block: Block, score: str, task: str, unit: str) -> tuple[TermCells, ...]:
    found = [_of_term(rows, term, block.units, score, task, unit) for term in block.terms]
    whole = np.ones(len(block.units), dtype=bool)
    for one in found:
        whole &= (one.counts > 0).all(axis=0) & bool(one.seeds)
    names = tuple(name for name, kept in zip(block.units, whole, strict=True) if kept)
    return tuple(
        TermCells(
            one.term, one.seeds, names, one.means[:, whole], one.counts[:, whole], one.squares[:, whole],
            one.freedom[:, whole], one.effective[:, whole],
        )
        for one in found
    )  # fmt: skip


def _of_term(rows: Rows, term: Term, units: tuple[str, ...], score: str, task: str, unit: str) -> TermCells:
    index = selected(rows, task, score, term.levels)
    index = index[(rows.arm[index] == rows.arms[term.arm]) & ~np.isnan(rows.value[index])]
    index, own, names = units_of(rows, index, unit)
    place = np.searchsorted(np.array(units, dtype=object), np.array(names, dtype=object))[own] if names else own
    present, seed = np.unique(rows.seed[index], return_inverse=True)  # a seed without any value is no seed here
    shape = (len(present), len(units))
    cell, value = seed * len(units) + place, rows.value[index]
    # First over the runs of each item, then over the items of each unit, which all count alike.
    key = cell * len(rows.items) + rows.item[index]
    _, first, item = np.unique(key, return_index=True, return_inverse=True)
    runs = np.bincount(item, minlength=len(first))
    means = np.bincount(item, weights=value, minlength=len(first)) / runs
    squares = np.bincount(cell, weights=(value - means[item]) ** 2, minlength=shape[0] * shape[1])
    of_item, size = cell[first], shape[0] * shape[1]
    items = np.bincount(of_item, minlength=size)
    counts = np.bincount(cell, minlength=size)
    averaged = np.full(size, np.nan)
    np.divide(np.bincount(of_item, weights=means, minlength=size), items, out=averaged, where=items > 0)
    effective = np.zeros(size)
    np.divide(items**2, np.bincount(of_item, weights=1 / runs, minlength=size), out=effective, where=items > 0)
    named = tuple(rows.seeds[code] for code in present)
    columns = (averaged, counts, squares, counts - items, effective)
    return TermCells(term, named, units, *(column.reshape(shape) for column in columns))


def checkpoints(cells: Sequence[TermCells], seeds: Seeds | None = None) -> tuple[tuple[Checkpoints, ...], bool]:
    """Put terms together whose arms have the same training seeds.

    Arms with the same seed numbers are paired by them: they may be one checkpoint under two interventions, and seeds
    that share nothing may be paired too, at the cost of degrees of freedom. Where most of the numbers are the same
    (three and half of all at least), arms are paired by those that are. Terms of one arm with the same seeds always
    belong together. An arm with a single seed stands by itself.

    Args:
        cells: Of every term.
        seeds: `independent` keeps arms apart whatever the numbers of their seeds; None or `paired`: as above.

    Returns:
        The groups, and whether seeds were left out to pair the others.
    """
    groups: list[list[TermCells]] = []
    left_out = False
    for one in cells:
        for group in groups:
            same_arm = any(other.term.arm == one.term.arm for other in group)
            common = [seed for seed in group[0].seeds if seed in one.seeds]
            union = len({*group[0].seeds, *one.seeds})
            whole_set = len(common) == union and (same_arm or (seeds != "independent" and len(common) > 1))
            most = (same_arm or seeds != "independent") and len(common) >= 3 and 2 * len(common) >= union
            if whole_set or most:
                left_out |= len(common) < union
                group[:] = [_with_seeds(other, common) for other in (*group, one)]
                break
        else:
            groups.append([one])
    return tuple(Checkpoints(tuple(group)) for group in groups), left_out


def _with_seeds(one: TermCells, seeds: Sequence[str]) -> TermCells:
    if tuple(seeds) == one.seeds:
        return one
    kept = [one.seeds.index(seed) for seed in seeds]
    return TermCells(
        one.term, tuple(seeds), one.units, one.means[kept], one.counts[kept], one.squares[kept], one.freedom[kept],
        one.effective[kept],
    )  # fmt: skip
