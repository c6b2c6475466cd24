"""Planning with means over units: two groups, pairs, and paraphrases."""

import math
from dataclasses import dataclass

from doxa.planning.checks import check_level, positive, whole
from doxa.stats.controls import ALPHA
from doxa.stats.intervals import FEWEST_FOR_P
from doxa.stats.noncentral import power_of_t

FEWEST_PARAPHRASES = 5
"""Fewer wordings are described, not tested."""


@dataclass(frozen=True)
class Means:
    """Two means over different units. The effect is their difference.

    Attributes:
        sd: SD between the units of a group.
        n: Units of each group.
        n_base: Units of the first group, where it has another number; None: `n`.
        runs: Runs of each unit.
        run_sd: SD of one run around its unit, on top of `sd`.
        alpha: Level of the test.
    """

    sd: float
    n: int
    n_base: int | None = None
    runs: int = 1
    run_sd: float = 0.0
    alpha: float = ALPHA

    def __post_init__(self) -> None:
        _check(self.sd, self.n, self.runs, self.run_sd, self.alpha)
        if self.n_base is not None:
            whole(self.n_base, "n-base")


@dataclass(frozen=True)
class PairedMeans:
    """Two means over the same units. The effect is the mean of the differences.

    Attributes:
        sd: SD over units of the true difference.
        n: Units.
        runs: Runs of each unit in either arm.
        run_sd: SD of one run around its unit in its arm, on top of `sd`.
        alpha: Level of the test.
    """

    sd: float
    n: int
    runs: int = 1
    run_sd: float = 0.0
    alpha: float = ALPHA

    def __post_init__(self) -> None:
        _check(self.sd, self.n, self.runs, self.run_sd, self.alpha)


@dataclass(frozen=True)
class Paraphrases:
    """A difference that has to hold over wordings. The effect is its mean over paraphrases.

    Attributes:
        sd: SD of the true difference over paraphrases.
        paraphrases: Wordings of the same meaning, the same in both arms.
        runs: Runs of each wording in either arm.
        run_sd: SD of one run around its wording in its arm, on top of `sd`.
        alpha: Level of the test.
    """

    sd: float
    paraphrases: int
    runs: int = 1
    run_sd: float = 0.0
    alpha: float = ALPHA

    def __post_init__(self) -> None:
        _check(self.sd, self.paraphrases, self.runs, self.run_sd, self.alpha, "paraphrases")


def power_of_means(design: Means, effect: float) -> float:
    """Two-sided t of two groups: noncentral t, δ / √(s² (1/n0 + 1/n1)), n0 + n1 - 2 degrees of freedom.

    s² = sd² + run_sd² / runs. Exact for the pooled t on normal data. The report's Welch t estimates its degrees of
    freedom, and has a little less power with few or unequal units.

    Source: Cohen 1988, chapter 2.
    """
    n0 = design.n if design.n_base is None else design.n_base
    variance = design.sd**2 + design.run_sd**2 / design.runs
    return power_of_t(n0 + design.n - 2.0, effect / math.sqrt(variance * (1 / n0 + 1 / design.n)), design.alpha)


def power_of_paired_means(design: PairedMeans, effect: float) -> float:
    """Two-sided paired t: noncentral t, √n δ / s, n - 1 degrees of freedom; s² = sd² + 2 run_sd² / runs.

    Exact on normal data; `doxa.stats.power.detectable` is its inverse.

    Source: Cohen 1988, chapter 2.
    """
    return _paired(design.n, design.sd, design.run_sd, design.runs, effect, design.alpha)


def power_of_paraphrases(design: Paraphrases, effect: float) -> float:
    """Two-sided t over paraphrases: noncentral t, √P δ / s, P - 1 degrees of freedom; s² = sd² + 2 run_sd² / runs."""
    return _paired(design.paraphrases, design.sd, design.run_sd, design.runs, effect, design.alpha)


def refused_means(design: Means) -> str:
    """Why two groups have no test."""
    fewest = min(design.n, design.n if design.n_base is None else design.n_base)
    return _too_few(fewest, "in a group")


def refused_paired_means(design: PairedMeans) -> str:
    """Why pairs have no test."""
    return _too_few(design.n, "in all")


def refused_paraphrases(design: Paraphrases) -> str:
    """Why paraphrases have no test."""
    if design.paraphrases >= FEWEST_PARAPHRASES:
        return ""
    return (
        f"{design.paraphrases} paraphrases describe how a wording matters; a claim about wordings needs at least "
        f"{FEWEST_PARAPHRASES}"
    )


def _too_few(n: int, where: str) -> str:
    return "" if n >= FEWEST_FOR_P else f"{n} units {where} get no p-value; at least {FEWEST_FOR_P} are needed"


def _paired(n: int, sd: float, run_sd: float, runs: int, effect: float, alpha: float) -> float:
    variance = sd**2 + 2 * run_sd**2 / runs
    return power_of_t(n - 1.0, effect * math.sqrt(n / variance), alpha)


def _check(sd: float, n: int, runs: int, run_sd: float, alpha: float, units: str = "n") -> None:
    positive(sd, "sd")
    whole(n, units)
    whole(runs, "runs")
    positive(run_sd, "run-sd", zero=True)
    check_level(alpha)
