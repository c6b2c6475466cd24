"""doxa, scipy and statsmodels against stored numbers of R, on the same data.

The numbers and the data are files in `benchmarks/oracles`; its README says how R made them. A line of `LINES` says who
computes which method of R, and which of its numbers must agree: a new function of doxa needs one new line. A number
that no line compares stands in `R_ALONE`.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import python_oracles as python
from python_oracles import Data, seed_means, two
from scipy import stats

from doxa.stats.cells import Checkpoints, TermCells
from doxa.stats.intervals import Interval, logit_t, mean_t, mover, weighted, welch
from doxa.stats.ordinal import brunner_munzel
from doxa.stats.parts import satterthwaite
from doxa.stats.rates import bonett_price, wilson
from doxa.stats.replication import crossed, over_seeds
from doxa.stats.variance import seed_variance
from doxa.words.contrasts import Term

FOLDER = Path(__file__).parents[2] / "benchmarks" / "oracles"
DATA = json.loads((FOLDER / "data.json").read_text(encoding="utf-8"))
MADE = json.loads((FOLDER / "oracles.json").read_text(encoding="utf-8"))
NUMBERS = MADE["numbers"]


@dataclass(frozen=True)
class Line:
    """Somebody's function for a method of R.

    Attributes:
        design: Design of the data sets, all of which are compared.
        method: R's method.
        by: Who computes it here.
        names: The numbers that must agree, with a space between.
        compute: Data set -> `Interval` or numbers by name.
        no_p: Data sets of too few units: R has a p-value there and doxa must withhold it.
        but: Data sets on the boundary, where doxa's floor makes it wider than R's formula; tested apart.
        within: Largest relative difference.
    """

    design: str
    method: str
    by: str
    names: str
    compute: Callable[[Data], Interval | Mapping[str, float]]
    no_p: tuple[str, ...] = ()
    but: tuple[str, ...] = ()
    within: float = 1e-6


def scores_logit_t(scores: np.ndarray) -> Interval:
    return logit_t(scores, low=1, high=10)


def up_and_down(data: Data) -> np.ndarray:
    up, down = data["up"], data["down"]
    return np.repeat([1.0, -1.0, 0.0], [up, down, data["n"] - up - down])


def minus(arm: Interval, baseline: Interval) -> Interval:
    return mover([arm, weighted(baseline, -1)])


def of_seeds(data: Data) -> tuple[np.ndarray, np.ndarray]:
    """Means of the recipe's seeds, and the runs of vanilla."""
    return seed_means(data), np.array(data["vanilla"])


def cells(table: list[list[float]], weight: float = 1.0, *, items: bool = False) -> TermCells:
    """Rows by seed, as runs of one scenario or as one run each of several items."""
    seeds = tuple(str(seed) for seed in range(len(table)))
    if items:
        means = np.array(table)
        units = tuple(str(item) for item in range(means.shape[1]))
        return TermCells(Term(weight, "arm"), seeds, units, means, np.ones(means.shape, int), np.zeros(means.shape))
    means, counts, squares = (
        np.array([[measure(np.array(runs))] for runs in table])
        for measure in (np.mean, np.size, lambda runs: np.sum((runs - runs.mean()) ** 2))
    )
    return TermCells(Term(weight, "arm"), seeds, ("scenario",), means, counts, squares)


def recipe_minus_vanilla(data: Data) -> Interval:
    groups = (Checkpoints((cells(data["seeds"]),)), Checkpoints((cells([data["vanilla"]], -1.0),)))
    parts = [part for group in groups for part in over_seeds(group)]
    return satterthwaite(parts, "nested", level=0.95, null=0.0)


def seeds_by_items(data: Data) -> Interval:
    group = Checkpoints((cells(data, items=True),))
    return crossed([group.sums], [group], "unbounded")


def searle(data: Data) -> Mapping[str, float]:
    found = seed_variance(cells(data["seeds"]), binary=False)
    assert found is not None
    return {"value": found.icc, "low": found.low, "high": found.high, "n0": found.runs, "p": found.p}


def relative_effect(data: Data) -> Mapping[str, float | None]:
    """As R writes it, whose interval is not cut at 0 and 1 (no data set here reaches them)."""
    found = brunner_munzel(*two(data))
    return {name: getattr(found, name) for name in ("value", "low", "high", "df", "p")}


def arm_minus_baseline(arm: np.ndarray, baseline: np.ndarray) -> Interval:
    return welch([arm, -baseline])


T = "value low high se df p"
SCIPY_T = "low high df p"
SQUARES = "ms_seeds ms_items ms_error df_seeds df_items df_error"
LINES = [
    Line("nested", "welch_of_seed_means", "doxa", T, lambda d: arm_minus_baseline(*of_seeds(d)), ("three_balanced",)),
    Line("crossed", "t_over_items", "doxa", T, lambda d: mean_t(np.mean(d, axis=0))),
    Line("crossed", "t_over_seeds", "doxa", T, lambda d: mean_t(np.mean(d, axis=1)), ("three_by_thirty",)),
    Line("scores", "welch", "doxa", T, lambda d: arm_minus_baseline(*two(d))),
    Line("scores", "logit_t_of_arm", "doxa", "value low high", lambda d: scores_logit_t(two(d)[0])),
    Line("scores", "mover_of_logit_t", "doxa", "value low high", lambda d: minus(*map(scores_logit_t, two(d)))),
    Line("tables", "newcombe", "doxa", "value low high", lambda d: minus(wilson(*d["arm"]), wilson(*d["baseline"]))),
    Line("pairs", "bonett_price", "doxa", "value low high se", lambda d: bonett_price(up_and_down(d))),
    Line("pairs", "mcnemar_exact", "doxa", "p", lambda d: bonett_price(up_and_down(d))),
    Line("rates", "wilson", "doxa", "value low high", lambda d: wilson(d["events"], d["n"])),
    Line("nested", "welch_of_seed_means_with_floor", "doxa", T, recipe_minus_vanilla),
    Line("nested", "searle", "doxa", "value low high n0", searle),
    Line("nested", "seed_f", "doxa", "p", searle),
    Line("crossed", "closed_form", "doxa", T, seeds_by_items, but=("seven_alike",)),
    Line("scores", "brunner_munzel", "doxa", "value low high df p", relative_effect),
    Line("nested", "welch_of_seed_means", "scipy", SCIPY_T, lambda d: python.welch(*of_seeds(d))),
    Line("nested", "seed_f", "scipy", "f p", python.seed_f),
    Line("crossed", "mean_squares", "statsmodels", SQUARES, python.anova),
    Line("crossed", "seed_f", "statsmodels", "f p", python.anova),
    Line("crossed", "t_over_items", "scipy", SCIPY_T, lambda d: python.t(np.mean(d, axis=0))),
    Line("crossed", "t_over_seeds", "scipy", SCIPY_T, lambda d: python.t(np.mean(d, axis=1))),
    Line("scores", "welch", "scipy", SCIPY_T, lambda d: python.welch(*two(d))),
    Line("scores", "wilcoxon", "scipy", "statistic p p_corrected", python.wilcoxon),
    Line("scores", "brunner_munzel", "scipy", "statistic p", python.brunner_munzel),
    Line("scores", "brunner_munzel", "placements", "value low high df", python.placements),
    Line("tables", "newcombe", "statsmodels", "low high", python.difference("newcomb")),
    Line("tables", "agresti_caffo", "statsmodels", "low high", python.difference("agresti-caffo")),
    Line("tables", "wald", "statsmodels", "low high", python.difference("wald")),
    Line("tables", "pooled_z", "statsmodels", "chi_squared p", python.pooled_z),
    Line("tables", "fisher", "scipy", "p", python.fisher),
    Line("tables", "fisher", "scipy", "value low high", python.fisher, within=0.02),  # R stops early
    Line("tables", "conditional_odds_ratio", "scipy", "value low high", python.fisher),
    Line("tables", "boschloo_central", "scipy", "p", python.boschloo),
    Line("pairs", "mcnemar_exact", "scipy", "value low high p", python.mcnemar_odds),
    Line("pairs", "mcnemar_exact", "statsmodels", "p", python.mcnemar_p(exact=True)),
    Line("pairs", "mcnemar_chi_squared", "statsmodels", "p", python.mcnemar_p(exact=False, correction=False)),
    Line("pairs", "mcnemar_corrected", "statsmodels", "p", python.mcnemar_p(exact=False, correction=True)),
    Line("rates", "wilson", "statsmodels", "low high", python.rate("wilson")),
    Line("rates", "clopper_pearson", "statsmodels", "low high", python.rate("beta")),
    Line("rates", "jeffreys", "statsmodels", "low high", python.rate("jeffreys")),
    Line("rates", "agresti_coull", "statsmodels", "low high", python.rate("agresti_coull")),
]  # fmt: skip

R_ALONE = {
    "nested/lmer_satterthwaite", "nested/lmer_kenward_roger", "nested/lme_two_variances", "nested/closed_form",
    "nested/psych_icc1",
    "crossed/lmer_satterthwaite", "crossed/lmer_kenward_roger",
    "scores/wilcoxon/p_exact", "tables/boschloo_fisher", "tables/mee", "tables/miettinen_nurminen", "pairs/mcnemar_mid",
}  # fmt: skip
"""Methods, or single numbers, that nothing here computes (some are held against each other below)."""


def number(found: object) -> float:
    """A stored or computed number; NaN where there is none. Infinity is stored as text."""
    return math.nan if found is None else float(found)  # type: ignore[arg-type]


CASES = [(line, name) for line in LINES for name in DATA[line.design] if name not in line.but]


@pytest.mark.parametrize(
    ("line", "name"), CASES, ids=[f"{line.by}-{line.design}-{line.method}-{name}" for line, name in CASES]
)
def test_the_same_numbers_as_r(line: Line, name: str) -> None:
    with np.errstate(divide="ignore", invalid="ignore"):
        found = line.compute(DATA[line.design][name])
    oracle = NUMBERS[line.design][name][line.method]
    ours = {key: getattr(found, key) if isinstance(found, Interval) else found[key] for key in line.names.split()}
    if name in line.no_p:
        assert isinstance(found, Interval)
        assert ours.pop("p") is None
        assert "no_p" in found.flags
    expected = {key: number(oracle[key]) for key in ours}
    assert {key: number(value) for key, value in ours.items()} == pytest.approx(
        expected, rel=line.within, abs=1e-9, nan_ok=True
    )


def test_every_number_of_r_is_compared_or_listed() -> None:
    stored = {
        f"{design}/{method}/{name}"
        for design, sets in NUMBERS.items()
        for methods in sets.values()
        for method, names in methods.items()
        for name in names
    }
    compared = {f"{line.design}/{line.method}/{name}" for line in LINES for name in line.names.split()}
    assert compared <= stored
    left = {name if name in R_ALONE else name.rsplit("/", 1)[0] for name in stored - compared}
    assert left - R_ALONE <= {f"{line.design}/{line.method}" for line in LINES}
    assert left >= R_ALONE, "a line compares what R_ALONE still lists"


def test_the_numbers_are_of_these_data() -> None:
    assert hashlib.md5((FOLDER / "data.json").read_bytes(), usedforsecurity=False).hexdigest() == MADE["data_md5"]
    assert {design: list(sets) for design, sets in NUMBERS.items()} == {
        design: list(sets) for design, sets in DATA.items()
    }


TWICE = [
    ("nested", "lmer_satterthwaite", "closed_form", T, 1e-6),
    ("nested", "lmer_kenward_roger", "closed_form", T, 1e-6),
    ("nested", "lme_two_variances", "welch_of_seed_means_with_floor", "value se", 2e-6),
    ("nested", "psych_icc1", "searle", "value low high", 1e-6),
    ("crossed", "lmer_satterthwaite", "closed_form", T, 1e-6),
    ("crossed", "lmer_kenward_roger", "closed_form", T, 1e-6),
]


@pytest.mark.parametrize(("design", "package", "formula", "names", "within"), TWICE)
def test_packages_of_r_agree_with_closed_forms_on_balanced_data(
    design: str, package: str, formula: str, names: str, within: float
) -> None:
    compared = 0
    for name, methods in NUMBERS[design].items():
        if name == "six_unbalanced" or (name.endswith("_alike") and package.startswith("lme")):
            continue  # no closed form; on the boundary they differ, and the test below says how
        compared += 1
        for key in names.split():
            assert methods[package][key] == pytest.approx(methods[formula][key], rel=within), (name, key)
    assert compared >= 2


def test_on_the_boundary_lmer_pools_what_doxa_keeps_apart() -> None:
    alike = NUMBERS["nested"]["six_alike"]
    assert alike["lmer_satterthwaite"]["singular"]
    assert alike["seed_f"]["f"] < 1
    for key in T.split():
        assert alike["lmer_satterthwaite"][key] == pytest.approx(alike["closed_form"][key], rel=1e-6)
    assert alike["welch_of_seed_means_with_floor"]["se"] > alike["welch_of_seed_means"]["se"]
    crossed = NUMBERS["crossed"]["seven_alike"]
    squares = crossed["mean_squares"]
    assert crossed["lmer_satterthwaite"]["singular"]
    assert squares["ms_seeds"] < squares["ms_error"]
    # Without variance of seeds the standard error is that of the items: the largest of the three candidates.
    assert crossed["lmer_satterthwaite"]["se"] == pytest.approx(math.sqrt(squares["ms_items"] / (7 * 40)), rel=1e-6)
    assert seeds_by_items(DATA["crossed"]["seven_alike"]).se == pytest.approx(crossed["lmer_satterthwaite"]["se"])


@pytest.mark.parametrize("name", DATA["tables"])
@pytest.mark.parametrize("method", ["mee", "miettinen_nurminen"])
def test_score_intervals_end_where_the_score_test_rejects(name: str, method: str) -> None:
    # statsmodels cannot be the oracle: its score interval fails on four of these tables and is wrong on a fifth.
    data = DATA["tables"][name]
    n = data["arm"][1] + data["baseline"][1]
    correction = 1.0 if method == "mee" else n / (n - 1)
    found = NUMBERS["tables"][name][method]
    for end in (found["low"], found["high"]):
        statistic = python.score_statistic(data, end, correction)
        assert statistic == pytest.approx(stats.chi2.ppf(0.95, 1), rel=1e-6)


def test_boschloo_of_equal_arms_is_the_same_by_both_orders() -> None:
    for name, methods in NUMBERS["tables"].items():
        central, fisher = methods["boschloo_central"]["p"], methods["boschloo_fisher"]["p"]
        assert (central == pytest.approx(fisher, rel=1e-9)) is (name != "2_of_20_12_of_40")


def test_the_mid_p_of_mcnemar_takes_half_of_the_observed_pairs() -> None:
    for name, pairs in DATA["pairs"].items():
        total = pairs["up"] + pairs["down"]
        below = stats.binom.cdf(pairs["down"], total, 0.5) - stats.binom.pmf(pairs["down"], total, 0.5) / 2
        assert NUMBERS["pairs"][name]["mcnemar_mid"]["p"] == pytest.approx(2 * below, rel=1e-9)


def test_the_known_numbers() -> None:
    table = NUMBERS["tables"]["14_26_of_520"]
    ps = [round(table[method]["p"], 4) for method in ("pooled_z", "fisher", "boschloo_central")]
    assert ps == [0.0530, 0.0749, 0.0673]
    assert [round(100 * table["newcombe"][end], 2) for end in ("low", "high")] == [-0.06, 4.78]
    assert round(NUMBERS["pairs"]["6_16_of_520"]["mcnemar_exact"]["p"], 4) == 0.0525
    assert round(NUMBERS["tables"]["0_13_of_180"]["fisher"]["p"], 6) == 0.000195
