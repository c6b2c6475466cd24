"""How an effect grows with the strength at each placement, and whether it turns over: one test a placement.

For every unit the effects at a placement's strengths are fitted by least squares without an intercept, since strength 0
has no effect: a line (the slope), and a line with a bend (effect = b₁ s + b₂ s²). A bend against the slope means that
more strength adds less, and beyond -b₁ / (2 b₂) takes away. Coefficients are tested by t over units.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy import special

from doxa.stats.holm import holm
from doxa.words.sweeps import Cell

LEVEL = 0.95


@dataclass(frozen=True)
class Dose:
    """How the effect grows with the strength at one placement.

    Attributes:
        layers: The placement.
        slope: Effect per unit of strength: the least-squares line through no effect at strength 0, unit by unit.
        low: Lower end of its t interval (.95).
        high: Upper end.
        p: Two-sided, from t.
        p_adjusted: By Holm over the placements.
        bend: Coefficient of the squared strength, fitted beside a slope; None with a single strength beside 0.
        p_bend: Two-sided, from t; by Holm over the placements.
        turns_at: The strength from which more strength takes away; None where that lies outside what was swept, or the
            bend was not shown (p_bend above .05).
    """

    layers: tuple[int, ...]
    slope: float
    low: float
    high: float
    p: float
    p_adjusted: float
    bend: float | None
    p_bend: float | None
    turns_at: float | None


def dose_response(cells: Sequence[Cell], target: Float[np.ndarray, "cells units"]) -> tuple[Dose, ...]:
    """A slope for every placement that has several strengths, and its bend: one test a placement and not one a cell.

    Args:
        cells: What was swept over.
        target: Effects, cell minus baseline.

    Returns:
        By placement; none with fewer than 3 units, or where all units have the same slope.
    """
    placements: dict[tuple[int, ...], list[int]] = {}
    for index, cell in enumerate(cells):
        placements.setdefault(cell.layers, []).append(index)
    found, slopes_at = [], []
    for layers, own in placements.items():
        if len(own) < 2 or target.shape[1] < 3:
            continue
        strengths = np.array([cells[index].strength for index in own])
        slopes = strengths @ target[own] / float(strengths @ strengths)
        told = mean_and_t(slopes)
        if told is None:
            continue
        slope, low, high, p = told
        found.append(Dose(layers, slope, low, high, p, p, None, None, None))
        slopes_at.append((strengths, target[own]))
    found = [replace(one, p_adjusted=p) for one, p in zip(found, holm([one.p for one in found]), strict=True)]
    bends = [_bend(*one) for one in slopes_at]
    adjusted = iter(holm([bend[2] for bend in bends if bend is not None]))
    swept = [(min(0.0, float(strengths.min())), max(0.0, float(strengths.max()))) for strengths, _ in slopes_at]
    return tuple(
        one if bend is None else _bent(one, bend, next(adjusted), *ends)
        for one, bend, ends in zip(found, bends, swept, strict=True)
    )


def mean_and_t(values: Float[np.ndarray, " units"]) -> tuple[float, float, float, float] | None:
    """Mean, its t interval (.95) and two-sided p; None where all units are equal: nothing shows their spread."""
    n = len(values)
    mean, error = float(values.mean()), float(values.std(ddof=1)) / np.sqrt(n)
    if float(np.ptp(values)) <= 1e-12 * float(np.abs(values).max(initial=0.0)):
        return None
    half = float(special.stdtrit(n - 1, (1 + LEVEL) / 2)) * error
    return mean, mean - half, mean + half, float(2 * special.stdtr(n - 1, -abs(mean) / error))


def _bend(
    strengths: Float[np.ndarray, " strengths"], effects: Float[np.ndarray, "strengths units"]
) -> tuple[float, float, float] | None:
    """Slope and bend, and the p of the bend; None where two strengths cannot tell them apart."""
    if len(np.unique(strengths)) < 2:
        return None
    design = np.stack([strengths, strengths**2], axis=1)
    fitted = np.linalg.lstsq(design, effects, rcond=None)[0]
    told = mean_and_t(fitted[1])
    return None if told is None else (float(fitted[0].mean()), told[0], told[3])


def _bent(one: Dose, bend: tuple[float, float, float], p: float, least: float, most: float) -> Dose:
    slope, own, _ = bend
    turns_at = -slope / (2 * own) if own else 0.0
    turns = p <= 1 - LEVEL and least < turns_at < most and turns_at != 0
    return replace(one, bend=own, p_bend=p, turns_at=turns_at if turns else None)
