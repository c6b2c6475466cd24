"""Planning with rates: one, two unpaired, two paired, and their equivalence.

The normal approximations below plan the score tests, which Wilson's and Newcombe's intervals belong to. The exact tests
that a report prints for small samples find a little less; `doxa.planning.exact_power` says how much. Paired rates are
planned with the exact test itself: with few discordant prompts the approximation promises several times too much.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from scipy import special

from doxa.planning.checks import check_level, one_of_two, positive, rate, whole
from doxa.planning.exact_power import power_of_mcnemar
from doxa.stats.controls import ALPHA
from doxa.stats.intervals import FEWEST_FOR_P
from doxa.stats.noncentral import power_of_z
from doxa.words.errors import StudyError


@dataclass(frozen=True)
class OneRate:
    """One rate beside a stated one. The effect is the true rate minus the stated one.

    Attributes:
        base: The stated rate.
        n: Prompts.
        runs: Runs of each prompt.
        icc: Share of the variance that lies between prompts; needed for more than one run.
        alpha: Level of the test.
    """

    base: float
    n: int
    runs: int = 1
    icc: float | None = None
    alpha: float = ALPHA

    def __post_init__(self) -> None:
        rate(self.base, "base")
        whole(self.n, "n")
        _check_runs(self.runs, self.icc)
        check_level(self.alpha)


@dataclass(frozen=True)
class TwoRates:
    """Two rates on different prompts. The effect is the second rate minus the base.

    Attributes:
        base: Rate of the first group.
        n: Prompts of each group.
        n_base: Prompts of the first group, where it has another number; None: `n`.
        runs: Runs of each prompt.
        icc: Share of the variance that lies between prompts; needed for more than one run.
        alpha: Level of the test.
    """

    base: float
    n: int
    n_base: int | None = None
    runs: int = 1
    icc: float | None = None
    alpha: float = ALPHA

    def __post_init__(self) -> None:
        rate(self.base, "base")
        whole(self.n, "n")
        if self.n_base is not None:
            whole(self.n_base, "n-base")
        _check_runs(self.runs, self.icc)
        check_level(self.alpha)


@dataclass(frozen=True)
class PairedRates:
    """Two rates on the same prompts, one run each. The effect is their difference.

    Attributes:
        discordance: Share of the prompts on which the two arms differ, in either direction.
        n: Prompts.
        alpha: Level of the test.
    """

    discordance: float
    n: int
    alpha: float = ALPHA

    def __post_init__(self) -> None:
        rate(self.discordance, "discordance")
        if self.discordance == 0:
            raise StudyError("a discordance of 0: the arms never differ", way_out="Name the share of prompts that do")
        whole(self.n, "n")
        check_level(self.alpha)


@dataclass(frozen=True)
class Equivalence:
    """Two groups whose difference lies within a margin: "no effect". What is planned as the effect is the margin.

    Attributes:
        n: Units of each group.
        base: Rate of the first group; or
        sd: SD of the units of each group.
        gap: True difference of the groups.
        alpha: Level of each of the two one-sided tests; the interval has the level 1 - 2 alpha.
    """

    n: int
    base: float | None = None
    sd: float | None = None
    gap: float = 0.0
    alpha: float = ALPHA

    def __post_init__(self) -> None:
        whole(self.n, "n")
        one_of_two("equivalence", base=self.base, sd=self.sd)
        if self.base is not None:
            rate(self.base, "base")
            shifted(self.base, self.gap)
        if self.sd is not None:
            positive(self.sd, "sd")
        check_level(self.alpha)


def power_of_one_rate(design: OneRate, effect: float) -> float:
    """Two-sided score test of one rate: se0 = √(p0 q0 / n), se = √(p1 q1 / n). A normal approximation.

    A stated rate of 0 or 1 is refuted by the first prompt that ends otherwise: 1 - (1 - |δ|)^n, which is exact.

    Source: Fleiss, Levin & Paik 2003, section 2.4, without its continuity correction.
    """
    n = _effective(design.n, design.runs, design.icc)
    p = shifted(design.base, effect)
    if design.base in (0, 1):
        return 1.0 if abs(effect) == 1 else -math.expm1(n * math.log1p(-abs(effect)))
    return power_of_z(effect, math.sqrt(design.base * (1 - design.base) / n), math.sqrt(p * (1 - p) / n), design.alpha)


def power_of_two_rates(design: TwoRates, effect: float) -> float:
    """Two-sided pooled z: se0 = √(p̄ q̄ (1/n0 + 1/n1)), se = √(p0 q0 / n0 + p1 q1 / n1). A normal approximation.

    p̄ is the mean of the rates weighted by the sizes of the groups.

    Source: Fleiss, Levin & Paik 2003, section 4.2, without its continuity correction.
    """
    n1 = _effective(design.n, design.runs, design.icc)
    n0 = _effective(design.n if design.n_base is None else design.n_base, design.runs, design.icc)
    p0, p1 = design.base, shifted(design.base, effect)
    pooled = (n0 * p0 + n1 * p1) / (n0 + n1)
    null_se = math.sqrt(pooled * (1 - pooled) * (1 / n0 + 1 / n1))
    return power_of_z(effect, null_se, math.sqrt(p0 * (1 - p0) / n0 + p1 * (1 - p1) / n1), design.alpha)


def power_of_paired_rates(design: PairedRates, effect: float) -> float:
    """Power of the exact two-sided McNemar test, which is the test of a report (`doxa.planning.exact_power`)."""
    _check_discordance(design, effect)
    return power_of_mcnemar(design.n, design.discordance, effect, design.alpha)


def normal_power_of_paired_rates(design: PairedRates, effect: float) -> float:
    """McNemar's score test by discordance ψ: se0 = √(ψ / n), se = √((ψ - δ²) / n). A normal approximation.

    Source: Connor 1987; Miettinen 1968.
    """
    _check_discordance(design, effect)
    se = math.sqrt((design.discordance - effect**2) / design.n)
    return power_of_z(effect, math.sqrt(design.discordance / design.n), se, design.alpha)


def power_of_equivalence(design: Equivalence, margin: float) -> float:
    """Two one-sided tests (TOST) with the margin m and the true gap δ.

    Rates: z tests, Φ((m - δ) / se - z) + Φ((m + δ) / se - z) - 1, at least 0, with se = √((p0 q0 + p1 q1) / n) and
    z = z_{1-alpha}: a normal approximation. Means: t tests, see `power_of_equivalent_means`.

    Source: Schuirmann 1987; Chow, Shao & Wang 2003, section 4.2.
    """
    if margin < 0:
        raise StudyError(f"a margin of {margin:g}", expected="a margin above 0", way_out="Write it without its sign")
    if design.base is None:
        assert design.sd is not None
        return power_of_equivalent_means(2 * design.n - 2, design.sd * math.sqrt(2 / design.n), design, margin)
    p0, p1 = design.base, shifted(design.base, design.gap)
    se = math.sqrt((p0 * (1 - p0) + p1 * (1 - p1)) / design.n)
    if se == 0:
        return float(abs(design.gap) < margin)
    z = -float(special.ndtri(design.alpha))
    both = special.ndtr((margin - design.gap) / se - z) + special.ndtr((margin + design.gap) / se - z) - 1
    return max(0.0, float(both))


def power_of_equivalent_means(df: int, se: float, design: Equivalence, margin: float) -> float:
    """Two one-sided t tests: the mean over the estimated standard error se s of Φ((m-δ)/se - t s) - Φ((-m-δ)/se + t s).

    s² has a χ² distribution over its degrees of freedom; its quantiles at 500 places carry the mean. Exact on normal
    data.

    Source: Phillips 1990; Owen 1965.
    """
    s = _chi_quantiles(df)
    t = -float(special.stdtrit(df, design.alpha))
    upper, lower = (margin - design.gap) / se - t * s, (-margin - design.gap) / se + t * s
    return float(np.mean(np.maximum(0.0, special.ndtr(upper) - special.ndtr(lower))))


def refused_equivalence(design: Equivalence) -> str:
    """Why two groups cannot be called equal."""
    if design.sd is not None and design.n < FEWEST_FOR_P:
        return f"{design.n} units in a group get no test; at least {FEWEST_FOR_P} are needed"
    if design.base in (0, 1) and design.gap == 0:
        return "rates of exactly 0 or 1 have no spread to plan with; name the rate nearest to it that you expect"
    return ""


def shifted(base: float, effect: float) -> float:
    """The rate that is an effect away from a base rate.

    Raises:
        StudyError: When it is no rate.
    """
    found = base + effect
    if not -1e-12 <= found <= 1 + 1e-12:
        raise StudyError(
            f"a base rate of {base:g} and an effect of {effect:+g} make a rate of {found:g}",
            expected="a rate from 0 to 1",
            way_out=f"Write an effect from {-base:g} to {1 - base:g}",
        )
    return min(1.0, max(0.0, found))


@lru_cache(maxsize=256)
def _chi_quantiles(df: int) -> Float[np.ndarray, " places"]:
    """Quantiles of an estimated SD of 1."""
    found: Float[np.ndarray, " places"] = np.sqrt(special.chdtri(df, (np.arange(500) + 0.5) / 500) / df)
    return found


def _check_discordance(design: PairedRates, effect: float) -> None:
    if abs(effect) > design.discordance:
        raise StudyError(
            f"an effect of {effect:g} with a discordance of {design.discordance:g}",
            expected="an effect that is not larger than the share of prompts on which the arms differ",
            way_out="Raise the discordance, or lower the effect",
        )


def _effective(n: int, runs: int, icc: float | None) -> float:
    """Runs that carry as much as independent ones: n R / (1 + (R - 1) ICC)."""
    return n * runs / (1 + (runs - 1) * (icc or 0.0))


def _check_runs(runs: int, icc: float | None) -> None:
    whole(runs, "runs")
    if icc is not None:
        rate(icc, "icc")
    elif runs > 1:
        raise StudyError(
            f"{runs} runs of each prompt and no icc",
            expected="the share of the variance that lies between prompts, because runs of one prompt are alike",
            way_out="Add icc: 0 when all prompts are alike, 1 when every run of a prompt ends alike",
        )
