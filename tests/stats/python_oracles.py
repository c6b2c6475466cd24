"""What scipy and statsmodels say of the data sets of `benchmarks/oracles`: numbers by R's names."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize, special, stats
from statsmodels.formula.api import ols
from statsmodels.stats import proportion
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.contingency_tables import mcnemar

Data = Any
"""A data set as its file has it; the design says which keys."""
Numbers = dict[str, float]


def seed_means(data: Data) -> np.ndarray:
    return np.array([np.mean(runs) for runs in data["seeds"]])


def two(data: Data) -> tuple[np.ndarray, np.ndarray]:
    """Arm and baseline."""
    return np.array(data["arm"], float), np.array(data["baseline"], float)


def counts(data: Data) -> tuple[int, int, int, int]:
    """Events and observations of the arm, then of the baseline."""
    return *data["arm"], *data["baseline"]


def ends(low_high: Any, **others: float) -> Numbers:
    return {"low": float(low_high[0]), "high": float(low_high[1]), **others}


def welch(x: np.ndarray, y: np.ndarray) -> Numbers:
    test = stats.ttest_ind(x, y, equal_var=False)
    return ends(test.confidence_interval(), df=float(test.df), p=float(test.pvalue))


def wilcoxon(data: Data) -> Numbers:
    plain, corrected = (
        stats.mannwhitneyu(*two(data), method="asymptotic", use_continuity=correct) for correct in (False, True)
    )
    return {"statistic": plain.statistic, "p": plain.pvalue, "p_corrected": corrected.pvalue}


def brunner_munzel(data: Data) -> Numbers:
    # scipy's statistic is positive when its second sample is larger. Samples that do not overlap have variance 0: scipy
    # then warns, and says infinity and NaN.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        test = stats.brunnermunzel(*reversed(two(data)))
    return {"statistic": test.statistic if math.isfinite(test.statistic) else math.nan, "p": test.pvalue}


def placements(data: Data) -> Numbers:
    """Brunner-Munzel in DeLong's form: where each value lies among the values of the other arm."""
    x, y = two(data)
    above = (x[:, None] > y) + 0.5 * (x[:, None] == y)
    parts = np.array([np.var(above.mean(axis), ddof=1) / n for axis, n in ((1, len(x)), (0, len(y)))])
    df = parts.sum() ** 2 / np.sum(parts**2 / (np.array([len(x), len(y)]) - 1))
    half = stats.t.ppf(0.975, df) * math.sqrt(parts.sum())
    return {"value": above.mean(), "low": above.mean() - half, "high": above.mean() + half, "df": df}


def fisher(data: Data) -> Numbers:
    a, n, b, m = counts(data)
    ratio = stats.contingency.odds_ratio([[a, b], [n - a, m - b]])
    p = float(stats.fisher_exact([[a, b], [n - a, m - b]]).pvalue)
    return ends(ratio.confidence_interval(), value=float(ratio.statistic), p=p)


def boschloo(data: Data) -> Numbers:
    a, n, b, m = counts(data)
    return {"p": stats.boschloo_exact([[a, b], [n - a, m - b]]).pvalue}  # groups are columns


def difference(method: str) -> Callable[[Data], Numbers]:
    # R keeps Wald's interval inside -1 and 1.
    return lambda data: ends(np.clip(proportion.confint_proportions_2indep(*counts(data), method=method), -1, 1))


def pooled_z(data: Data) -> Numbers:
    a, n, b, m = counts(data)
    z, p = proportion.proportions_ztest([a, b], [n, m])
    return {"chi_squared": z**2, "p": p}


def rate(method: str) -> Callable[[Data], Numbers]:
    return lambda data: ends(proportion.proportion_confint(data["events"], data["n"], method=method))


def mcnemar_p(**options: bool) -> Callable[[Data], Numbers]:
    return lambda data: {"p": float(mcnemar([[0, data["up"]], [data["down"], 0]], **options).pvalue)}


def mcnemar_odds(data: Data) -> Numbers:
    """Odds of the exact interval for the share of pairs that went up."""
    test = stats.binomtest(data["up"], data["up"] + data["down"])
    return ends([rate / (1 - rate) for rate in test.proportion_ci()], value=data["up"] / data["down"], p=test.pvalue)


def anova(data: Data) -> Numbers:
    frame = pd.DataFrame(data).stack().rename_axis(["seed", "item"]).rename("d").reset_index()
    table = anova_lm(ols("d ~ C(seed) + C(item)", frame).fit())
    found = {"f": table["F"].iloc[0], "p": table["PR(>F)"].iloc[0]}
    for row, name in enumerate(("seeds", "items", "error")):
        found |= {f"ms_{name}": table["mean_sq"].iloc[row], f"df_{name}": table["df"].iloc[row]}
    return found


def seed_f(data: Data) -> Numbers:
    test = stats.f_oneway(*data["seeds"])
    return {"f": test.statistic, "p": test.pvalue}


def t(units: np.ndarray) -> Numbers:
    test = stats.ttest_1samp(units, 0.0)
    return ends(test.confidence_interval(), df=float(test.df), p=float(test.pvalue))


def score_statistic(data: Data, difference: float, correction: float) -> float:
    """Squared score statistic of a difference of two rates, its most likely rates found by brute force."""
    a, n, b, m = counts(data)

    def surprise(rate: np.ndarray) -> np.ndarray:
        return -(
            special.xlogy(a, rate + difference)
            + special.xlog1py(n - a, -(rate + difference))
            + special.xlogy(b, rate)
            + special.xlog1py(m - b, -rate)
        )

    low, high = max(0.0, -difference), min(1.0, 1 - difference)
    grid = np.linspace(low, high, 20_001)
    near = grid[np.nanargmin(surprise(grid))]
    around = (max(low, near - 1e-4), min(high, near + 1e-4))
    rate = optimize.minimize_scalar(surprise, bounds=around, method="bounded", options={"xatol": 1e-13}).x
    variance = (rate + difference) * (1 - rate - difference) / n + rate * (1 - rate) / m
    return float((a / n - b / m - difference) ** 2 / (correction * variance))
