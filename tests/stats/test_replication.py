"""Estimates over seeds, runs, and seeds with items, beside the formulas written out once more."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats
from statsmodels.stats.proportion import proportions_ztest

from doxa.stats.estimate import Estimate, estimate
from doxa.stats.intervals import mover, weighted
from doxa.stats.rates import wilson
from doxa.words.errors import ResultsError

Make = Callable[..., pd.DataFrame]
RUNS = (5, 10, 15, 30, 60, 60)


def ends(found: Estimate) -> tuple[float, float]:
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


@pytest.fixture
def nested(make_rows: Make, make_table: Make) -> Callable[..., tuple[pd.DataFrame, list[np.ndarray], np.ndarray]]:
    """A recipe with unequally many runs a seed, beside one fixed model; one scenario."""

    def make(binary: bool = False) -> tuple[pd.DataFrame, list[np.ndarray], np.ndarray]:
        generator = np.random.default_rng(5)
        seeds = [generator.normal(generator.normal(0, 0.6), 1, runs) for runs in RUNS]
        vanilla = generator.normal(0, 1, 30)
        if binary:
            seeds, vanilla = [(one > 0.3).astype(float) for one in seeds], (vanilla > 0.8).astype(float)
        parts = [make_rows("recipe", {"s": one}, seed=k) for k, one in enumerate(seeds, start=1)]
        return make_table(*parts, make_rows("vanilla", {"s": vanilla})), seeds, vanilla

    return make


def test_the_recipe_beside_one_fixed_model(nested: Callable[..., tuple[pd.DataFrame, list, np.ndarray]]) -> None:
    table, seeds, vanilla = nested()
    means = np.array([one.mean() for one in seeds])
    k, n = len(seeds), sum(RUNS)
    within = sum(((one - one.mean()) ** 2).sum() for one in seeds) / (n - k)
    recipe = max(means.var(ddof=1), within * np.mean([1 / runs for runs in RUNS])) / k
    fixed = vanilla.var(ddof=1) / 30
    df = (recipe + fixed) ** 2 / (recipe**2 / (k - 1) + fixed**2 / 29)
    value, half = means.mean() - vanilla.mean(), special.stdtrit(df, 0.975) * np.sqrt(recipe + fixed)
    found = estimate(table, "recipe - vanilla", "y")
    assert ends(found) == pytest.approx((value - half, value + half), rel=1e-9)
    assert (found.unit, found.estimand, found.n["units"], found.n["seeds"]) == ("seed", "the recipe, over seeds", 6, 6)
    assert found.df == pytest.approx(df)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(value) / np.sqrt(recipe + fixed), df))
    assert "one fixed model" in found.why
    assert found.missing == {"recipe": 0, "vanilla": 0}


def test_the_floor_holds_where_seeds_agree_more_than_their_runs_allow(make_rows: Make, make_table: Make) -> None:
    runs = np.array([-1.0, 1.0, -1.0, 1.0])
    parts = [make_rows("recipe", {"s": runs + 1e-3 * k}, seed=k) for k in range(1, 6)]
    found = estimate(make_table(*parts), "recipe", "y")
    within = 5 * 4 / 15  # each seed's squares are 4
    assert found.se == pytest.approx(np.sqrt(within / 4 / 5))
    assert found.p is None  # a level is not held against 0


def test_rates_over_seeds(nested: Callable[..., tuple[pd.DataFrame, list, np.ndarray]]) -> None:
    table, seeds, vanilla = nested(binary=True)
    rates = np.array([one.mean() for one in seeds])
    n, rate = sum(RUNS), rates.mean()
    effect = max(1.0, rates.var(ddof=1) / 6 / (rate * (1 - rate) / n))
    effective = n / effect * (special.ndtri(0.975) / special.stdtrit(5, 0.975)) ** 2
    parts = [wilson(rate * effective, effective), weighted(wilson(vanilla.sum(), 30), -1)]
    found = estimate(table, "recipe - vanilla", "y", kind="binary")
    assert ends(found) == pytest.approx((mover(parts).low, mover(parts).high))
    assert "rare_seeds" in found.flags
    assert found.p is not None
    reached = estimate(table, "recipe - vanilla", "y", kind="binary", level=1 - found.p)
    assert min(abs(end) for end in ends(reached)) == pytest.approx(0, abs=1e-4)


def test_bounded_scores_stay_within_their_bounds(nested: Callable[..., tuple[pd.DataFrame, list, np.ndarray]]) -> None:
    table, _, _ = nested()
    scores = table.assign(value=np.clip(np.round(table["value"] * 2 + 2), 1, 10))
    found = estimate(scores, "recipe", "y", bounds=(1, 10))
    low, high = ends(found)
    assert 1 < low < found.value < high < 10  # type: ignore[operator]
    share = estimate(scores.assign(value=(scores["value"] - 1) / 9), "recipe - vanilla", "y", bounds=(0, 1))
    scaled = estimate(scores, "recipe - vanilla", "y", bounds=(1, 10))
    assert ends(scaled) == pytest.approx(tuple(9 * end for end in ends(share)))
    assert scaled.p == pytest.approx(share.p)
    with pytest.raises(ResultsError, match=r"values from 1 to 10.*Expected 2 to 9"):
        estimate(scores.assign(value=scores["value"].replace(3, 10)), "recipe", "y", bounds=(2, 9))


def test_seeds_and_items_both_drawn_anew(make_rows: Make, make_table: Make) -> None:
    generator = np.random.default_rng(2)
    k, items = 7, 40
    difficulty = generator.normal(0, 1, items)
    recipe = 0.4 + generator.normal(0, 0.5, k)[:, None] + difficulty + generator.normal(0, 1, (k, items))
    vanilla = difficulty + generator.normal(0, 1, items)
    names = [f"i{place:02d}" for place in range(items)]
    parts = [
        make_rows("recipe", dict(zip(names, row.tolist(), strict=True)), seed=s)
        for s, row in enumerate(recipe, start=1)
    ]
    table = make_table(*parts, make_rows("vanilla", dict(zip(names, vanilla.tolist(), strict=True))))
    d = recipe - vanilla
    by_item, by_seed, error = (
        k * d.mean(axis=0).var(ddof=1),
        items * d.mean(axis=1).var(ddof=1),
        ((d - d.mean(axis=1)[:, None] - d.mean(axis=0) + d.mean()) ** 2).sum() / ((k - 1) * (items - 1)),
    )
    total = by_item + by_seed - error
    df = total**2 / (by_item**2 / (items - 1) + by_seed**2 / (k - 1) + error**2 / ((items - 1) * (k - 1)))
    half = special.stdtrit(df, 0.975) * np.sqrt(max(total, by_item, by_seed) / (k * items))
    found = estimate(table, "recipe - vanilla", "y")
    assert ends(found) == pytest.approx((d.mean() - half, d.mean() + half))
    assert (found.unit, found.estimand, found.df) == ("seed and item", "new items", pytest.approx(df))
    fixed = estimate(table.assign(run=1), "recipe", "y", estimand="seeds")
    assert fixed.df == 6
    assert ends(fixed) == pytest.approx(tuple(stats.ttest_1samp(recipe.mean(axis=1), 0).confidence_interval()))


def test_arms_with_the_same_seeds_are_paired_by_them(make_rows: Make, make_table: Make) -> None:
    generator = np.random.default_rng(3)
    seeds = generator.normal(0, 3, 6)
    tuned, steered = (
        [make_rows(arm, {"s": [shift + one]}, seed=k) for k, one in enumerate(seeds + generator.normal(0, 0.1, 6))]
        for arm, shift in (("tuned", 0.0), ("steered", 0.5))
    )
    table = make_table(*tuned, *steered)
    values = {arm: rows.sort_values("seed")["value"].to_numpy() for arm, rows in table.groupby("arm")}
    found = estimate(table, "steered - tuned", "y")
    paired = stats.ttest_rel(values["steered"], values["tuned"]).confidence_interval()
    assert ends(found) == pytest.approx(tuple(paired))
    apart = estimate(table, "steered - tuned", "y", seeds="independent")
    welch = stats.ttest_ind(values["steered"], values["tuned"], equal_var=False).confidence_interval()
    assert ends(apart) == pytest.approx(tuple(welch))


def test_the_two_presets_over_runs(make_rows: Make, make_table: Make) -> None:
    generator = np.random.default_rng(4)
    one, two = ({item: generator.normal(shift, 1, 10) for item, shift in (("a", 0), ("b", 5))} for _ in range(2))
    table = make_table(make_rows("one", one), make_rows("two", two))
    pooled = estimate(table, "one - two", "y", estimand="runs")
    x, y = np.concatenate(list(one.values())), np.concatenate(list(two.values()))
    assert ends(pooled) == pytest.approx(tuple(stats.ttest_ind(x, y, equal_var=False).confidence_interval()))
    assert (pooled.unit, pooled.n["units"], "pooled_items" in pooled.flags) == ("run", 40, True)
    fixed = estimate(table, "one - two", "y", estimand="these items")
    noise = np.array([runs.var(ddof=1) / 10 / 4 for arm in (one, two) for runs in arm.values()])
    df = noise.sum() ** 2 / (noise**2 / 9).sum()
    half = special.stdtrit(df, 0.975) * np.sqrt(noise.sum())
    assert fixed.value == pytest.approx(x.mean() - y.mean())
    assert ends(fixed) == pytest.approx((x.mean() - y.mean() - half, x.mean() - y.mean() + half))
    assert fixed.p is not None
    assert pooled.p is not None
    clt = estimate(table, "one - two", "y", estimand="runs", method="CLT")
    se = np.sqrt(x.var(ddof=1) / 20 + y.var(ddof=1) / 20)
    assert ends(clt) == pytest.approx(tuple(x.mean() - y.mean() + sign * special.ndtri(0.975) * se for sign in (-1, 1)))


def test_rates_over_runs_are_newcombes(make_rows: Make, make_table: Make) -> None:
    rows = [make_rows(arm, {"s": [1.0] * k + [0.0] * (30 - k)}) for arm, k in (("one", 9), ("two", 0))]
    found = estimate(make_table(*rows), "one - two", "y", kind="binary", estimand="this checkpoint, over runs")
    expected = mover([wilson(9, 30), weighted(wilson(0, 30), -1)])
    assert ends(found) == pytest.approx((expected.low, expected.high))


def test_what_a_table_cannot_answer_is_refused(make_rows: Make, make_table: Make) -> None:
    seeds = [make_rows("recipe", {"s": [0.0, 1.0, 2.0]}, seed=k) for k in (1, 2, 3)]
    single = make_rows("vanilla", {"s": [0.5]})
    table = make_table(*seeds, single)
    with pytest.raises(ResultsError, match=r"3 training seeds.*71 %"):
        estimate(table, "recipe - vanilla", "y", estimand="runs")
    with pytest.raises(ResultsError, match="no arm with several training seeds"):
        estimate(make_table(seeds[0], single), "recipe - vanilla", "y", estimand="seeds")
    with pytest.raises(ResultsError, match=r"no estimand is called 'sedes'.*Did you mean 'seeds'"):
        estimate(table, "recipe - vanilla", "y", estimand="sedes")
    found = estimate(table, "recipe - vanilla", "y")
    assert (found.low, found.flags) == (None, ("no_run_noise",))
    two = estimate(make_table(*seeds[:2]), "recipe", "y")
    assert (two.low, two.flags) == (None, ("two_seeds",))
    assert "few_seeds" in estimate(make_table(*seeds), "recipe", "y").flags


def test_units_may_be_levels_of_a_factor(make_rows: Make, make_table: Make) -> None:
    generator = np.random.default_rng(6)
    levels = {f"{p}{q}": f"p{p}" for p in range(8) for q in range(3)}
    one, two = ({item: float(generator.normal(int(item[0]))) for item in levels} for _ in range(2))
    table = make_table(
        *(make_rows(arm, own, factors={"paraphrase": levels}) for arm, own in (("one", one), ("two", two)))
    )
    found = estimate(table, "one - two", "y", unit="paraphrase")
    x, y = (np.array(list(own.values())).reshape(8, 3).mean(axis=1) for own in (one, two))
    assert ends(found) == pytest.approx(tuple(stats.ttest_rel(x, y).confidence_interval()))
    assert (found.unit, found.n["units"]) == ("paraphrase", 8)
    few = estimate(table[table["factor_paraphrase"] < "p3"], "one - two", "y", unit="paraphrase")
    assert "few_units" in few.flags
    with pytest.raises(ResultsError, match="no factor 'wording'"):
        estimate(table, "one - two", "y", unit="wording")


def test_items_of_a_unit_count_alike_however_many_runs_they_have(make_rows: Make, make_table: Make) -> None:
    levels = {"a": "p", "b": "p", "c": "q", "d": "r"}
    values = {"a": [0.0] * 9, "b": [1.0], "c": [1.0], "d": [0.0]}
    table = make_table(make_rows("one", values, factors={"prompt": levels}))
    assert estimate(table, "one", "y", unit="prompt").value == pytest.approx((0.5 + 1 + 0) / 3)


def test_a_gap_between_tiers_is_paired_by_prompt(make_rows: Make, make_table: Make) -> None:
    generator = np.random.default_rng(7)
    prompts = [f"q{place}" for place in range(12)]
    items = {f"{prompt}-{tier}": (prompt, tier) for prompt in prompts for tier in ("free", "paid")}
    factors = {name: {item: own[place] for item, own in items.items()} for place, name in enumerate(("prompt", "tier"))}
    arms = {
        arm: {item: float(generator.normal(int(own[0][1:]))) for item, own in items.items()} for arm in ("steer", "sys")
    }
    table = make_table(*(make_rows(arm, own, factors=factors) for arm, own in arms.items()))
    gap = "(steer[tier=free] - steer[tier=paid]) - (sys[tier=free] - sys[tier=paid])"
    found = estimate(table, gap, "y", unit="prompt")
    of = {arm: np.array(list(own.values())).reshape(12, 2) for arm, own in arms.items()}
    units = (of["steer"][:, 0] - of["steer"][:, 1]) - (of["sys"][:, 0] - of["sys"][:, 1])
    assert ends(found) == pytest.approx(tuple(stats.ttest_1samp(units, 0).confidence_interval()))
    assert "paired" in found.why
    unpaired = estimate(table, gap, "y")
    assert unpaired.method == "Welch-Satterthwaite t"
    assert unpaired.value == pytest.approx(found.value)


def test_items_with_many_runs_do_not_set_the_noise_of_those_with_few(make_rows: Make, make_table: Make) -> None:
    generator = np.random.default_rng(8)
    shapes = [(4, 3.0), (20, 0.5)] * 4
    covered = 0
    for _ in range(150):
        parts = [
            make_rows(arm, {f"i{i}": generator.normal(0, sd, runs) for i, (runs, sd) in enumerate(shapes)})
            for arm in ("one", "two")
        ]
        found = estimate(make_table(*parts), "one - two", "y", estimand="these items")
        low, high = ends(found)
        covered += low <= 0 <= high
    assert covered >= 132  # of 150 at .95: fewer one time in a thousand


def test_rows_of_items_that_a_seed_lacks_are_counted_as_left_out(make_rows: Make, make_table: Make) -> None:
    names = [f"i{i}" for i in range(8)]
    seeds = [
        make_rows("recipe", {name: [float(i + k)] for i, name in enumerate(names) if i != k}, seed=k) for k in range(4)
    ]
    table = make_table(*seeds, make_rows("vanilla", {name: [1.0 + i] for i, name in enumerate(names)}))
    found = estimate(table, "recipe - vanilla", "y")
    assert found.n["items"] == 4
    assert found.missing == {"recipe": 28 - 16, "vanilla": 4}


def test_tiers_of_one_arm_may_be_run_with_different_seeds(make_rows: Make, make_table: Make) -> None:
    generator = np.random.default_rng(9)
    parts = []
    for tier, seeds in (("free", (1, 2, 3, 4)), ("paid", (5, 6, 7, 8))):
        for seed in seeds:
            values = {f"{tier}{i}": generator.normal(0, 1, 3) for i in range(5)}
            parts.append(make_rows("recipe", values, seed=seed, factors={"tier": dict.fromkeys(values, tier)}))
    found = estimate(make_table(*parts), "recipe[tier=free] - recipe[tier=paid]", "y")
    assert (found.unit, found.n["seeds"], found.flags) == ("seed", 4, ("few_seeds",))
    assert found.low is not None


def test_tiers_of_one_arm_are_one_checkpoint_whatever_is_said_of_other_arms(make_rows: Make, make_table: Make) -> None:
    generator = np.random.default_rng(10)
    parts = []
    for seed, shift in enumerate(generator.normal(0, 3, 6), start=1):
        items = {f"{tier}{i}": float(shift + generator.normal()) for tier in ("free", "paid") for i in range(4)}
        parts.append(make_rows("recipe", items, seed=seed, factors={"tier": {item: item[:4] for item in items}}))
    table, gap = make_table(*parts), "recipe[tier=free] - recipe[tier=paid]"
    paired, apart = estimate(table, gap, "y"), estimate(table, gap, "y", seeds="independent")
    assert ends(paired) == ends(apart)
    by_seed = table.groupby(["factor_tier", "seed"])["value"].mean()
    expected = stats.ttest_rel(by_seed["free"], by_seed["paid"]).confidence_interval()
    assert ends(paired) == pytest.approx(tuple(expected))


def test_two_plain_rates_are_tested_by_boschloo(make_rows: Make, make_table: Make) -> None:
    rows = [make_rows(arm, {"s": [1.0] * k + [0.0] * (40 - k)}) for arm, k in (("one", 9), ("two", 2))]
    found = estimate(make_table(*rows), "one - two", "y", kind="binary", estimand="runs")
    assert found.p == pytest.approx(stats.boschloo_exact([[9, 2], [31, 38]]).pvalue, rel=1e-3)
    assert found.method.endswith("Boschloo")
    many = [make_rows(arm, {"s": [1.0] * k + [0.0] * (1500 - k)}) for arm, k in (("one", 90), ("two", 60))]
    large = estimate(make_table(*many), "one - two", "y", kind="binary", estimand="runs")
    pooled = proportions_ztest([90, 60], [1500, 1500])[1]
    assert (large.p, large.method.endswith("pooled z")) == (pytest.approx(pooled), True)


def test_rows_without_a_level_of_the_unit_are_told(make_rows: Make, make_table: Make) -> None:
    levels = {f"i{i}": f"t{i // 2}" if i < 12 else "" for i in range(14)}
    arms = [
        make_rows(arm, dict.fromkeys(levels, shift), factors={"topic": levels})
        for arm, shift in (("a", 1.0), ("b", 0.0))
    ]
    table = make_table(*arms)
    assert "without_level" in estimate(table, "a - b", "y", unit="topic").flags
    assert "without_level" not in estimate(table[table["factor_topic"] != ""], "a - b", "y", unit="topic").flags


def test_what_was_not_simulated_has_no_coverage(make_rows: Make, make_table: Make) -> None:
    table = make_table(*(make_rows(arm, {"s": [0.0, 1.0] * 15, "t": [1.0, 0.0] * 15}) for arm in ("one", "two")))
    assert estimate(table, "one - two", "y", kind="binary", estimand="these items").coverage is None
    assert estimate(table, "one - two", "y", kind="binary", estimand="runs").coverage is not None
