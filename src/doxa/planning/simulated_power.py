"""The power of the tests over seeds, simulated: of rates, and what the closed forms of means leave out.

The closed forms put expected variances into a noncentral t. The tests estimate them, keep them from falling below what
the runs alone make, and take their degrees of freedom from them. On normal data with equal numbers of runs all mean
squares are independent multiples of χ², so that one draw of each stands for a whole study.
"""

import math

import numpy as np
from jaxtyping import Float
from scipy import special

from doxa.planning.rates import shifted
from doxa.planning.seeds import SeedRates, Seeds, SeedsByItems, spread
from doxa.words.store import stream

REPETITIONS = 20_000
"""Simulated studies of means: a power of .8 has a standard error of .003."""
STUDIES_OF_RATES = 4_000
"""Simulated studies of rates, where every seed is drawn: a power of .8 has a standard error of .006."""


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


def power_of_seed_rates(design: SeedRates, effect: float) -> float:
    """How often the interval of recipe minus vanilla leaves 0 out.

    The interval is MOVER of a design-effect Wilson interval and the vanilla model's Wilson interval. Seeds have
    beta-distributed rates with the variance ICC p (1 - p), runs are binomial. The recipe's Wilson interval has
    n_eff = K R / deff (z / t_{K-1})² runs, deff = max(1, (s² / K) / (p̂ (1 - p̂) / (K R))).

    Source: Zou & Donner 2008; Korn & Graubard 1998.
    """
    k, r = design.seeds, design.runs
    vanilla_runs = r if design.vanilla_runs is None else design.vanilla_runs
    random = stream("power of seed rates", k, r, vanilla_runs)
    vanilla = random.binomial(vanilla_runs, design.base, STUDIES_OF_RATES) / vanilla_runs
    p = shifted(design.base, effect)
    if design.icc == 0 or p in (0, 1):
        by_seed = np.full((STUDIES_OF_RATES, k), p)
    elif design.icc == 1:
        by_seed = (random.random((STUDIES_OF_RATES, k)) < p).astype(float)
    else:
        rest = (1 - design.icc) / design.icc
        by_seed = random.beta(p * rest, (1 - p) * rest, (STUDIES_OF_RATES, k))
    rates = random.binomial(r, by_seed) / r
    recipe = rates.mean(axis=1)
    plain = recipe * (1 - recipe) / (k * r)
    ratio = np.divide(rates.var(axis=1, ddof=1) / k, plain, out=np.ones(STUDIES_OF_RATES), where=plain > 0)
    z, t = -float(special.ndtri(design.alpha / 2)), -float(special.stdtrit(k - 1, design.alpha / 2))
    low, high = _wilson(recipe, k * r / np.maximum(1.0, ratio) * (z / t) ** 2, z)
    vanilla_low, vanilla_high = _wilson(vanilla, np.full(STUDIES_OF_RATES, float(vanilla_runs)), z)
    difference = recipe - vanilla
    rise = difference - np.hypot(recipe - low, vanilla_high - vanilla) > 0
    fall = difference + np.hypot(high - recipe, vanilla - vanilla_low) < 0
    return float(np.mean(rise | fall))


def _wilson(
    rates: Float[np.ndarray, " studies"], n: Float[np.ndarray, " studies"], z: float
) -> tuple[Float[np.ndarray, " studies"], Float[np.ndarray, " studies"]]:
    centre = (rates + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(rates * (1 - rates) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return centre - half, centre + half


def _rejected(
    difference: Float[np.ndarray, " studies"],
    variance: Float[np.ndarray, " studies"],
    df: Float[np.ndarray, " studies"],
    alpha: float,
) -> float:
    return float(np.mean(np.abs(difference) > -special.stdtrit(df, alpha / 2) * np.sqrt(variance)))
