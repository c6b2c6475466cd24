"""The power of the tests over seeds, simulated: what the closed forms of planning leave out.

The closed forms put expected variances into a noncentral t. The tests estimate them, keep them from falling below what
the runs alone make, and take their degrees of freedom from them. On normal data with equal numbers of runs all mean
squares are independent multiples of χ², so that one draw of each stands for a whole study.
"""

import math

import numpy as np
from jaxtyping import Float
from scipy import special

from doxa.stats.planning_seeds import Seeds, SeedsByItems, spread
from doxa.words.store import stream

REPETITIONS = 20_000
"""Simulated studies: a power of .8 has a standard error of .003."""


def simulated_power_of_seeds(design: Seeds, effect: float) -> float:
    """Power of the t of a recipe beside one fixed model, with its floor of V1 and its own degrees of freedom."""
    seed_sd, run_sd = spread(design)
    k, r = design.seeds, design.runs
    vanilla_runs = r if design.vanilla_runs is None else design.vanilla_runs
    random = stream("power of seeds", k, r, vanilla_runs)
    v1, v0 = (seed_sd**2 + run_sd**2 / r) / k, run_sd**2 / vanilla_runs
    difference = effect + math.sqrt(v1 + v0) * random.standard_normal(REPETITIONS)
    between = v1 * random.chisquare(k - 1, REPETITIONS) / (k - 1)
    vanilla = v0 * random.chisquare(max(vanilla_runs - 1, 1), REPETITIONS) / max(vanilla_runs - 1, 1)
    if r > 1:  # one run of each seed has no spread of its own
        between = np.maximum(between, run_sd**2 * random.chisquare(k * (r - 1), REPETITIONS) / (k * (r - 1)) / r / k)
    df = (between + vanilla) ** 2 / (between**2 / (k - 1) + vanilla**2 / max(vanilla_runs - 1, 1))
    return _rejected(difference, between + vanilla, df, design.alpha)


def simulated_power_of_seeds_by_items(design: SeedsByItems, effect: float) -> float:
    """Power of the two-way t, V = max(MS_i + MS_s - MS_e, MS_i, MS_s) / (K I), degrees of freedom with their floor."""
    k, i = design.seeds, design.items
    vanilla_runs = design.runs if design.vanilla_runs is None else design.vanilla_runs
    random = stream("power of seeds by items", k, i)
    error = design.run_sd**2 / design.runs
    by_seed = i * design.seed_sd**2 + error
    by_item = k * (design.item_sd**2 + design.run_sd**2 / vanilla_runs) + error
    spread_of_mean = math.sqrt((by_item + by_seed - error) / (k * i))
    difference = effect + spread_of_mean * random.standard_normal(REPETITIONS)
    ms_seed = by_seed * random.chisquare(k - 1, REPETITIONS) / (k - 1)
    ms_item = by_item * random.chisquare(i - 1, REPETITIONS) / (i - 1)
    ms_error = error * random.chisquare((i - 1) * (k - 1), REPETITIONS) / ((i - 1) * (k - 1))
    together = ms_item + ms_seed - ms_error
    df = together**2 / (ms_item**2 / (i - 1) + ms_seed**2 / (k - 1) + ms_error**2 / ((i - 1) * (k - 1)))
    variance = np.maximum(np.maximum(together, ms_item), ms_seed) / (k * i)
    return _rejected(difference, variance, np.maximum(df, min(k, i) - 1.0), design.alpha)


def _rejected(
    difference: Float[np.ndarray, " studies"],
    variance: Float[np.ndarray, " studies"],
    df: Float[np.ndarray, " studies"],
    alpha: float,
) -> float:
    return float(np.mean(np.abs(difference) > -special.stdtrit(df, alpha / 2) * np.sqrt(variance)))
