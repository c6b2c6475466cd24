"""Planning with training seeds: a recipe beside one fixed model, seeds crossed with items, the variance of seeds."""

import math
from dataclasses import dataclass

from doxa.planning.checks import check_level, positive, rate, whole
from doxa.stats.controls import ALPHA
from doxa.stats.noncentral import power_of_t, power_of_variance
from doxa.words.errors import StudyError

FEWEST_SEEDS = 3
"""With fewer there is no interval over seeds."""
SEEDS_ADVISED = 5


@dataclass(frozen=True)
class Seeds:
    """A recipe, trained with several seeds, beside one fixed vanilla model. The effect is the difference of means.

    The spread is named by `sd` and `icc`, or by `seed_sd` and `run_sd`.

    Attributes:
        seeds: Training seeds, K.
        runs: Runs of each seed, R.
        vanilla_runs: Runs of the vanilla model; None: as many as one seed has.
        sd: SD of one run of a random seed: √(seed_sd² + run_sd²).
        icc: Share of sd² that lies between seeds.
        seed_sd: SD between seeds.
        run_sd: SD of one run around its seed, and of one run of the vanilla model.
        alpha: Level of the test.
    """

    seeds: int
    runs: int
    vanilla_runs: int | None = None
    sd: float | None = None
    icc: float | None = None
    seed_sd: float | None = None
    run_sd: float | None = None
    alpha: float = ALPHA

    def __post_init__(self) -> None:
        whole(self.seeds, "seeds")
        whole(self.runs, "runs")
        if self.vanilla_runs is not None:
            whole(self.vanilla_runs, "vanilla-runs")
        spread(self)
        check_level(self.alpha)


@dataclass(frozen=True)
class SeedRates:
    """The rate of a recipe, trained with several seeds, beside that of one fixed vanilla model.

    The effect is the recipe's rate minus the vanilla model's.

    Attributes:
        base: Rate of the vanilla model.
        seeds: Training seeds, K.
        runs: Runs of each seed, R.
        icc: Share of p (1 - p) that lies between seeds: at 0 all have one rate, at 1 a seed always or never does it.
        vanilla_runs: Runs of the vanilla model; None: as many as one seed has.
        alpha: Level of the test.
    """

    base: float
    seeds: int
    runs: int
    icc: float
    vanilla_runs: int | None = None
    alpha: float = ALPHA

    def __post_init__(self) -> None:
        rate(self.base, "base")
        whole(self.seeds, "seeds", most=200)
        whole(self.runs, "runs")
        rate(self.icc, "icc")
        if self.vanilla_runs is not None:
            whole(self.vanilla_runs, "vanilla-runs")
        check_level(self.alpha)


@dataclass(frozen=True)
class SeedsByItems:
    """A recipe beside one fixed vanilla model, every seed on the same items, items random too.

    The effect is the mean over seeds and items of seed minus vanilla.

    Attributes:
        seeds: Training seeds, K.
        items: Items, I.
        seed_sd: SD between seeds of the difference.
        item_sd: SD between items of the difference.
        run_sd: SD of one run around the sum of its seed and its item; what a seed does on single items is part of it.
        runs: Runs of each item in each seed, R.
        vanilla_runs: Runs of each item of the vanilla model; None: `runs`.
        alpha: Level of the test.
    """

    seeds: int
    items: int
    seed_sd: float
    item_sd: float
    run_sd: float
    runs: int = 1
    vanilla_runs: int | None = None
    alpha: float = ALPHA

    def __post_init__(self) -> None:
        whole(self.seeds, "seeds")
        whole(self.items, "items")
        whole(self.runs, "runs")
        if self.vanilla_runs is not None:
            whole(self.vanilla_runs, "vanilla-runs")
        positive(self.seed_sd, "seed-sd", zero=True)
        positive(self.item_sd, "item-sd", zero=True)
        positive(self.run_sd, "run-sd")
        check_level(self.alpha)


@dataclass(frozen=True)
class SeedVariance:
    """Do seeds differ at all? The effect is the ICC: the share of the variance of runs that lies between seeds.

    Attributes:
        seeds: Training seeds, K.
        runs: Runs of each seed, R.
        alpha: Level of the test.
    """

    seeds: int
    runs: int
    alpha: float = ALPHA

    def __post_init__(self) -> None:
        whole(self.seeds, "seeds")
        whole(self.runs, "runs")
        check_level(self.alpha)


def spread(design: Seeds) -> tuple[float, float]:
    """SD between seeds and SD between runs of a seed.

    Raises:
        StudyError: When neither pair of numbers is whole, both are, or one is not what it should be.
    """
    total, parts = (design.sd, design.icc), (design.seed_sd, design.run_sd)
    if total[0] is not None and total[1] is not None and parts == (None, None):
        positive(total[0], "sd")
        rate(total[1], "icc")
        return total[0] * math.sqrt(total[1]), total[0] * math.sqrt(1 - total[1])
    if parts[0] is not None and parts[1] is not None and total == (None, None):
        positive(parts[0], "seed-sd", zero=True)
        positive(parts[1], "run-sd", zero=parts[0] > 0)
        return parts[0], parts[1]
    names = {"sd": design.sd, "icc": design.icc, "seed-sd": design.seed_sd, "run-sd": design.run_sd}
    raise StudyError(
        f"seeds with {' and '.join(name for name, value in names.items() if value is not None) or 'no spread'}",
        expected="sd and icc, or seed-sd and run-sd",
        way_out="Name how far runs spread (sd) and the share of it between seeds (icc); 1 and 0.1 without a pilot",
    )


def power_of_seeds(design: Seeds, effect: float) -> float:
    """Two-sided t with Satterthwaite's degrees of freedom: noncentral t, δ / √(V1 + V0).

    V1 = (seed_sd² + run_sd² / R) / K, V0 = run_sd² / R0, df = (V1 + V0)² / (V1² / (K - 1) + V0² / (R0 - 1)).
    An approximation: the test estimates both variances and with them its degrees of freedom, and does not let V1 fall
    below what its runs alone make. Simulated for a power of .8: true to .02 from 6 seeds and an ICC of .1 on, .05 too
    high with 6 seeds, ICC 0 and 180 vanilla runs, .12 too high with 3 of them (`doxa.planning.simulated_power`).

    Source: Satterthwaite 1946; vanilla is one fixed model, so a variance of its seed is no part of V0.
    """
    seed_sd, run_sd = spread(design)
    vanilla_runs = design.runs if design.vanilla_runs is None else design.vanilla_runs
    v1 = (seed_sd**2 + run_sd**2 / design.runs) / design.seeds
    v0 = run_sd**2 / vanilla_runs
    df = (v1 + v0) ** 2 / (v1**2 / (design.seeds - 1) + (v0**2 / (vanilla_runs - 1) if v0 else 0.0))
    return power_of_t(df, effect / math.sqrt(v1 + v0), design.alpha)


def power_of_seeds_by_items(design: SeedsByItems, effect: float) -> float:
    """Two-sided t of a two-way layout: noncentral t, δ / √V, V = (MS_i + MS_s - MS_e) / (K I).

    With the expected mean squares MS_e = s_e², MS_s = I seed_sd² + s_e², MS_i = K s_i² + s_e², where s_e² = run_sd² / R
    and s_i² = item_sd² + run_sd² / R0 (vanilla's noise is the same for every seed). Degrees of freedom
    (MS_i + MS_s - MS_e)² / (MS_i² / (I - 1) + MS_s² / (K - 1) + MS_e² / ((I - 1)(K - 1))), at least min(K, I) - 1.
    An approximation, as for `power_of_seeds`: true to .02 from 6 seeds on, .09 too high with 3 seeds and 10 items.

    Source: Clark 1973; Satterthwaite 1946.
    """
    k, i = design.seeds, design.items
    vanilla_runs = design.runs if design.vanilla_runs is None else design.vanilla_runs
    error = design.run_sd**2 / design.runs
    by_seed = i * design.seed_sd**2 + error
    by_item = k * (design.item_sd**2 + design.run_sd**2 / vanilla_runs) + error
    mean_square = by_item + by_seed - error
    df = mean_square**2 / (by_item**2 / (i - 1) + by_seed**2 / (k - 1) + error**2 / ((i - 1) * (k - 1)))
    return power_of_t(max(df, min(k, i) - 1.0), effect / math.sqrt(mean_square / (k * i)), design.alpha)


def power_of_seed_variance(design: SeedVariance, icc: float) -> float:
    """One-sided F of seeds against runs: (1 + R ICC / (1 - ICC)) F has K - 1 and K (R - 1) degrees of freedom.

    Exact on normal data with as many runs in every seed.

    Source: Searle 1971, chapter 9.
    """
    if not 0 <= icc <= 1:
        raise StudyError(f"an ICC of {icc:g}", expected="a share from 0 to 1", way_out="Write 0.1 for a tenth")
    if icc == 1:
        return 1.0
    k, r = design.seeds, design.runs
    return power_of_variance(k - 1.0, k * (r - 1.0), 1 + r * icc / (1 - icc), design.alpha)


def refused_seeds(design: Seeds) -> str:
    """Why a recipe has no test."""
    vanilla_runs = design.runs if design.vanilla_runs is None else design.vanilla_runs
    _, run_sd = spread(design)
    if vanilla_runs < 2 and run_sd > 0:
        return "one run of the vanilla model does not say how far its runs spread; at least 2 are needed"
    return _too_few(design.seeds)


def refused_seed_rates(design: SeedRates) -> str:
    """Why the rate of a recipe has no interval."""
    return _too_few(design.seeds)


def refused_seeds_by_items(design: SeedsByItems) -> str:
    """Why seeds crossed with items have no test."""
    if design.items < FEWEST_SEEDS:
        return f"{design.items} items do not say how far items spread; at least {FEWEST_SEEDS} are needed"
    return _too_few(design.seeds)


def refused_seed_variance(design: SeedVariance) -> str:
    """Why the variance of seeds has no test."""
    if design.seeds < 2:
        return "one seed has no variance between seeds; at least 2 are needed"
    return "one run of each seed cannot be told from its seed; at least 2 are needed" if design.runs < 2 else ""


def _too_few(seeds: int) -> str:
    if seeds == 1:
        return f"one seed is one checkpoint and says nothing of the recipe; at least {FEWEST_SEEDS} seeds are needed"
    if seeds < FEWEST_SEEDS:
        return f"{seeds} seeds have no interval: both are printed; at least {FEWEST_SEEDS} are needed"
    return ""
