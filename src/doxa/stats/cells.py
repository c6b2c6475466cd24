"""The rows of a contrast by training seed and unit, and the arms whose seeds belong together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from doxa.stats.design import Block
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
        means: Mean over the runs (and items) of a cell.
        counts: Rows of a cell with a value.
        squares: Sum of squared distances of these rows from the cell's mean.
    """

    term: Term
    seeds: tuple[str, ...]
    units: tuple[str, ...]
    means: Float[np.ndarray, "seeds units"]
    counts: Int[np.ndarray, "seeds units"]
    squares: Float[np.ndarray, "seeds units"]

    @property
    def run_df(self) -> int:
        """Degrees of freedom of `run_variance`: rows less cells."""
        return int((self.counts - 1).sum())

    @property
    def run_variance(self) -> float | None:
        """Variance of one row around its cell's mean, pooled over cells; None when every cell has one row."""
        return float(self.squares.sum()) / self.run_df if self.run_df > 0 else None

    @property
    def noise(self) -> Float[np.ndarray, " seeds"] | None:
        """By seed the variance of its mean over units that comes from its runs; None without repeated runs."""
        if self.run_variance is None:
            return None
        by_seed: Float[np.ndarray, " seeds"] = self.run_variance * (1 / self.counts).sum(axis=1) / len(self.units) ** 2
        return by_seed


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
    def rows(self) -> int:
        """Rows with a value behind the first term."""
        return int(self.cells[0].counts.sum())


def cells_of(
    rows: Rows, blocks: Sequence[Block], score: str, task: str, unit: str = ITEM
) -> tuple[tuple[TermCells, ...], ...]:
    """The cells of every block's terms, on the units that have a value in every term and every seed of its arm."""
    return tuple(_of_block(rows, block, score, task, unit) for block in blocks)


def _of_block(rows: Rows, block: Block, score: str, task: str, unit: str) -> tuple[TermCells, ...]:
    found = [_of_term(rows, term, block.units, score, task, unit) for term in block.terms]
    whole = np.ones(len(block.units), dtype=bool)
    for one in found:
        whole &= (one.counts > 0).all(axis=0)
    names = tuple(name for name, kept in zip(block.units, whole, strict=True) if kept)
    return tuple(
        TermCells(one.term, one.seeds, names, one.means[:, whole], one.counts[:, whole], one.squares[:, whole])
        for one in found
    )


def _of_term(rows: Rows, term: Term, units: tuple[str, ...], score: str, task: str, unit: str) -> TermCells:
    index = selected(rows, task, score, term.levels)
    index = index[rows.arm[index] == rows.arms[term.arm]]
    index, own, names = units_of(rows, index, unit)
    place = np.searchsorted(np.array(units, dtype=object), np.array(names, dtype=object))[own] if names else own
    present, seed = np.unique(rows.seed[index], return_inverse=True)
    shape = (len(present), len(units))
    value = rows.value[index]
    filled = ~np.isnan(value)
    cell, value = (seed * len(units) + place)[filled], value[filled]
    size = shape[0] * shape[1]
    counts = np.bincount(cell, minlength=size)
    means = np.full(size, np.nan)
    np.divide(np.bincount(cell, weights=value, minlength=size), counts, out=means, where=counts > 0)
    squares = np.bincount(cell, weights=(value - means[cell]) ** 2, minlength=size)
    named = tuple(rows.seeds[code] for code in present)
    return TermCells(term, named, units, means.reshape(shape), counts.reshape(shape), squares.reshape(shape))


def checkpoints(cells: Sequence[TermCells], seeds: Seeds | None = None) -> tuple[Checkpoints, ...]:
    """Put terms together whose arms have the same training seeds.

    Arms with the same two or more seed numbers are paired by them: they may be one checkpoint under two interventions,
    and seeds that share nothing may be paired too, at the cost of degrees of freedom. Terms of one arm always belong
    together. An arm with a single seed stands by itself.

    Args:
        cells: Of every term.
        seeds: `independent` keeps arms apart whatever the numbers of their seeds; None or `paired`: as above.
    """
    groups: dict[tuple[str, ...], list[TermCells]] = {}
    for one in cells:
        apart = len(one.seeds) < 2 or seeds == "independent"
        groups.setdefault((*one.seeds, one.term.arm) if apart else one.seeds, []).append(one)
    return tuple(Checkpoints(tuple(group)) for group in groups.values())
