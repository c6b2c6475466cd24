"""Sweeps over layers and strengths, without being fooled by the best cell of many.

The best of many cells is too good: it was chosen for its luck too. So three things stand beside every sweep:

* split half: the units are divided by a hash of their names, before anything is seen; the cell with the largest effect
  on one half is estimated on the other, where nobody chose it.
* simultaneous bands: mean ± c · standard error, with one c for all cells, such that all bands hold together. c is the
  .95 quantile of the largest |t| over cells when the signs of the units' deviations are drawn anew (all cells of a unit
  together, so their dependence is kept), every draw divided by its own standard error.
* twins on the maximum: every twin goes through the whole sweep, and the target's largest deviation over all cells is
  compared with each twin's largest.

The unit is the one that the score has in the table (a topic of `doxa/claims`): effects are cell minus baseline, paired
within units.

Sources: Romano & Wolf 2005 (max-t by resampling); Westfall & Young 1993; `benchmarks/sweep_simulation.py` measures
coverage and false alarms.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from doxa.stats.controls import FEWEST_FOR_RANK, deviations, max_t
from doxa.stats.dose_response import LEVEL, Dose, dose_response, mean_and_t
from doxa.stats.table import encode, panel
from doxa.words.errors import ResultsError
from doxa.words.sweeps import BASELINE, Cell

DRAWS = 9_999
"""Of signs, for the simultaneous bands."""
WIDEST = 100.0
"""Standard errors beyond which a band says nothing: draws of the signs of few, tied units have no spread."""
FEWEST_UNITS = 6
"""Units below which no band is drawn: signs of fewer can be drawn in fewer than 64 ways."""


@dataclass(frozen=True, eq=False)
class Grid:
    """The effects of a sweep: cell minus baseline.

    Attributes:
        cells: What was swept over.
        units: Names of the units of replication.
        target: Effects of the vector.
        twins: Mean effects of each twin over the same units; none when there were no twins.
    """

    cells: tuple[Cell, ...]
    units: tuple[str, ...]
    target: Float[np.ndarray, "cells units"]
    twins: Float[np.ndarray, "twins cells"]


@dataclass(frozen=True, eq=False)
class Bands:
    """Every cell with a band; all bands hold together with probability .95.

    Attributes:
        effect: Mean over units.
        error: Its standard error.
        low: Lower end of the band.
        high: Upper end.
        p: Adjusted for all cells.
        critical: Half width of a band in standard errors.
    """

    effect: Float[np.ndarray, " cells"]
    error: Float[np.ndarray, " cells"]
    low: Float[np.ndarray, " cells"]
    high: Float[np.ndarray, " cells"]
    p: Float[np.ndarray, " cells"]
    critical: float


@dataclass(frozen=True)
class SplitHalf:
    """The best cell of one half of the units, estimated on the other.

    Attributes:
        cell: Index of the cell with the largest mean effect, either way, on the half that chooses.
        chosen_on: Units of that half.
        estimated_on: Units of the other.
        effect: Mean on the other half.
        low: Lower end of its t interval (.95).
        high: Upper end.
        df: Degrees of freedom.
        p: Two-sided, from t.
        promised: What the half that chose it had promised.
    """

    cell: int
    chosen_on: int
    estimated_on: int
    effect: float
    low: float
    high: float
    df: int
    p: float
    promised: float


@dataclass(frozen=True, eq=False)
class OnTheMaximum:
    """The target's largest deviation over the whole sweep beside that of each twin.

    Attributes:
        twins: How many.
        rank: 1 for the largest of twins + 1.
        p: rank / (twins + 1); None with fewer than 19 twins.
        largest: The largest deviation of the target and of each twin, in units of the cell's root mean square.
        by_cell: Step-down adjusted p of each cell; None with fewer than 19 twins.
    """

    twins: int
    rank: int
    p: float | None
    largest: Float[np.ndarray, " units"]
    by_cell: Float[np.ndarray, " cells"] | None


def grid_of(table: pd.DataFrame, cells: Mapping[str, Cell], *, task: str, score: str) -> Grid:
    """Read a sweep from its table: every cell minus the baseline, on the units that all arms have a value for.

    Args:
        table: A table of `doxa.words.schema`.
        cells: By arm the cell it is. The twins of an arm are numbered, and number j is one rotation in every cell.
        task: Name of the task.
        score: Name of the score.

    Raises:
        ResultsError: When the table has no such score or lacks an arm, or no unit has a value in every arm.
    """
    rows = encode(table)
    values = panel(rows, task, score)
    for arm in (BASELINE, *cells):
        if arm not in values.arms:
            raise ResultsError(f"the table has no arm {arm!r}", way_out="Run the sweep again: it goes on")
    indices = sorted(set.intersection(*(set(rows.controls.get((arm, "twin"), {})) for arm in cells)))
    named = np.array([values.arms[arm] for arm in cells])
    twins = np.array([[values.arms[rows.controls[arm, "twin"][index]] for arm in cells] for index in indices])
    base = values.means[values.arms[BASELINE]]
    used = np.concatenate([values.means[named], base[None], *(values.means[own] for own in twins)])
    complete = ~np.isnan(used).any(axis=0)
    if not complete.any():
        raise ResultsError(
            f"no unit of {score!r} has a value in every arm of the sweep",
            way_out="Lower the strengths: where logits are not finite nothing is measured",
        )
    base = base[complete]
    return Grid(
        cells=tuple(cells.values()),
        units=tuple(unit for unit, whole in zip(values.items, complete, strict=True) if whole),
        target=values.means[named][:, complete] - base,
        twins=np.array([(values.means[own][:, complete] - base).mean(axis=1) for own in twins]).reshape(
            len(indices), len(cells)
        ),
    )


@dataclass(frozen=True, eq=False)
class Found:
    """A sweep and what holds of it; what there are too few units or twins for is None."""

    grid: Grid
    bands: Bands | None
    split_half: SplitHalf | None
    on_the_maximum: OnTheMaximum | None
    doses: tuple[Dose, ...]


def infer_sweep(grid: Grid) -> Found:
    """Everything that is said about a sweep."""
    return Found(
        grid=grid,
        bands=_bands_or_none(grid),
        split_half=split_half(grid),
        on_the_maximum=on_the_maximum(grid),
        doses=dose_response(grid.cells, grid.target),
    )


def _bands_or_none(grid: Grid) -> Bands | None:
    """Bands where there are enough units, and they differ enough for signs to say how far they scatter."""
    if len(grid.units) < FEWEST_UNITS:
        return None
    found = bands(grid.target)
    return found if 0 < found.critical <= WIDEST else None


def found_to_json(found: Found) -> dict[str, Any]:
    """Plain data: one record a cell, and the three things beside them; what is missing is null."""
    grid, band, most = found.grid, found.bands, found.on_the_maximum
    cells = []
    for index, cell in enumerate(grid.cells):
        twins = grid.twins[:, index]
        cells.append(
            {
                "layers": list(cell.layers),
                "strength": cell.strength,
                "effect": float(grid.target[index].mean()),
                "error": None if band is None else float(band.error[index]),
                "low": None if band is None else float(band.low[index]),
                "high": None if band is None else float(band.high[index]),
                "p_adjusted": None if band is None else float(band.p[index]),
                "twins_low": float(twins.min()) if len(twins) else None,
                "twins_high": float(twins.max()) if len(twins) else None,
                "p_twins": None if most is None or most.by_cell is None else float(most.by_cell[index]),
            }
        )
    return {
        "units": list(grid.units),
        "cells": cells,
        "critical": None if band is None else band.critical,
        "split_half": None if found.split_half is None else asdict(found.split_half),
        "on_the_maximum": None
        if most is None
        else {"twins": most.twins, "rank": most.rank, "p": most.p, "largest": most.largest.tolist()},
        "doses": [asdict(one) for one in found.doses],
    }


def halves(units: Sequence[str]) -> Bool[np.ndarray, " units"]:
    """Which units choose: every second one in the order of the hashes of their names."""
    order = sorted(range(len(units)), key=lambda index: hashlib.sha256(units[index].encode()).hexdigest())
    chooses = np.zeros(len(units), dtype=bool)
    chooses[order[::2]] = True
    return chooses


def split_half(grid: Grid) -> SplitHalf | None:
    """Choose a cell on one half of the units and estimate it on the other; None with fewer than 4, or equal ones."""
    chooses = halves(grid.units)
    first, second = grid.target[:, chooses], grid.target[:, ~chooses]
    if second.shape[1] < 2:
        return None
    promised = first.mean(axis=1)
    cell = int(np.argmax(np.abs(promised)))
    told = mean_and_t(second[cell])
    if told is None:
        return None
    effect, low, high, p = told
    return SplitHalf(
        cell=cell,
        chosen_on=first.shape[1],
        estimated_on=second.shape[1],
        effect=effect,
        low=low,
        high=high,
        df=second.shape[1] - 1,
        p=p,
        promised=float(promised[cell]),
    )


def bands(target: Float[np.ndarray, "cells units"], *, draws: int = DRAWS, seed: int = 0) -> Bands:
    """Simultaneous bands over all cells.

    Args:
        target: Effects.
        draws: Draws of signs.
        seed: Of the draws.

    Raises:
        ResultsError: With fewer than 6 units.
    """
    n = target.shape[1]
    if n < FEWEST_UNITS:
        raise ResultsError(
            f"{n} units for a band over {len(target)} cells",
            expected=f"at least {FEWEST_UNITS}",
            way_out="Sweep more topics (leave out `topics` and --limit)",
        )
    effect = target.mean(axis=1)
    error = target.std(axis=1, ddof=1) / math.sqrt(n)
    moves = error > 1e-12 * np.maximum(1.0, np.abs(target).max(axis=1))
    largest = _largest(target[moves], draws, seed)
    critical = float(np.quantile(largest, LEVEL, method="higher"))
    t = np.divide(np.abs(effect), error, out=np.where(np.abs(effect) > 1e-12, np.inf, 0.0), where=moves)
    p = (1 + (largest[:, None] >= t[None]).sum(axis=0)) / (1 + draws)
    return Bands(effect, error, effect - critical * error, effect + critical * error, p, critical)


def on_the_maximum(grid: Grid) -> OnTheMaximum | None:
    """Hold the target's best cell against the best cell of every twin; None without twins.

    Every unit, the target among them, is centred on the median of all at a cell and scaled by their root mean square
    there (`doxa.stats.controls.deviations`), so strong cells do not drown weak ones.
    """
    m = len(grid.twins)
    if m == 0:
        return None
    deviation = deviations(np.concatenate([grid.target.mean(axis=1)[None], grid.twins]))
    largest = deviation.max(axis=1)
    rank = int((largest >= largest[0] * (1 - 1e-9)).sum())
    enough = m >= FEWEST_FOR_RANK
    return OnTheMaximum(
        twins=m,
        rank=rank,
        p=rank / (m + 1) if enough else None,
        largest=largest,
        by_cell=max_t(deviation) if enough else None,
    )


def _largest(target: Float[np.ndarray, "cells units"], draws: int, seed: int) -> Float[np.ndarray, " draws"]:
    """The largest |t| over cells, for draws of the signs of the units' deviations."""
    cells, n = target.shape
    if cells == 0:
        return np.zeros(draws)
    deviation = (target - target.mean(axis=1, keepdims=True)) * math.sqrt(n / (n - 1))
    squares = (deviation**2).sum(axis=1)
    generator = np.random.Generator(np.random.PCG64(seed))
    found = np.empty(draws)
    for start in range(0, draws, 1000):
        count = min(1000, draws - start)
        signs: Int[np.ndarray, "count units"] = generator.integers(0, 2, (count, n)) * 2 - 1
        mean = signs @ deviation.T / n
        error = np.sqrt(np.maximum(squares - n * mean**2, 0.0) / (n - 1) / n)
        t = np.divide(np.abs(mean), error, out=np.full_like(mean, np.inf), where=error > 0)
        found[start : start + count] = t.max(axis=1)
    return found
