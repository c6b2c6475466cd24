import json
import math
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from doxa.stats.design import DECISION, PSEUDO, ScoreKind
from doxa.stats.estimate import Estimate, estimate, estimate_from_json, estimate_to_json, per_item
from doxa.stats.intervals import Interval, logit_t, mean_t, mover, weighted
from doxa.stats.rates import bonett_price, one_rate, pseudo_items, wilson, wilson_clustered
from doxa.words.contrasts import Contrast, Term
from doxa.words.errors import ResultsError

Make = Callable[..., pd.DataFrame]
Minus = Callable[[str, str], Contrast]
ITEMS = [f"i{i}" for i in range(8)]


def ends_of(found: Interval) -> tuple[float, float]:
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def ends(found: Estimate) -> tuple[float | None, float | None]:
    return found.low, found.high


def runs(random: np.random.Generator, kind: ScoreKind, n: int) -> dict[str, list[float]]:
    draw = {
        "unbounded": random.normal(size=(8, n)),
        "share": random.random((8, n)),
        "binary": random.integers(0, 2, (8, n)),
    }
    return {item: [float(v) for v in draw[kind][i]] for i, item in enumerate(ITEMS)}


@pytest.fixture
def two(make_rows: Make, make_table: Make) -> Callable[[ScoreKind, int], pd.DataFrame]:
    """Two arms with the same items."""

    def make(kind: ScoreKind, n: int) -> pd.DataFrame:
        random = np.random.default_rng(5)
        return make_table(*(make_rows(arm, runs(random, kind, n)) for arm in ("block", "baseline")))

    return make


def test_every_kind_and_design_has_one_method() -> None:
    assert set(DECISION) == {
        (k, d) for k in ("unbounded", "share", "scale", "binary") for d in ("level", "difference", "groups")
    }


def test_a_paired_difference_is_scipys_paired_t(two: Callable[[ScoreKind, int], pd.DataFrame], minus: Minus) -> None:
    table = two("unbounded", 3)
    found = estimate(table, minus("block", "baseline"), "y", level=0.9, primary=True)
    means = table.pivot_table(index="item", columns="arm", values="value")
    test = stats.ttest_rel(means["block"], means["baseline"])
    assert ends(found) == pytest.approx(tuple(test.confidence_interval(0.9)))
    assert (found.p, found.df, found.value) == pytest.approx(
        (test.pvalue, 7, (means["block"] - means["baseline"]).mean())
    )
    assert found.n == {"units": 8, "items": 8, "runs": 3, "seeds": 1}
    assert (found.unit, found.method, found.level, found.task) == ("item", "t over items", 0.9, "task")
    assert (found.primary, found.missing, found.flags) == (True, {"block": 0, "baseline": 0}, ())


@pytest.mark.parametrize("kind", ["unbounded", "share", "binary"])
@pytest.mark.parametrize("n", [1, 3])
def test_a_difference_by_kind(
    two: Callable[[ScoreKind, int], pd.DataFrame], minus: Minus, kind: ScoreKind, n: int
) -> None:
    table = two(kind, n)
    found = estimate(table, minus("block", "baseline"), "y", kind=kind)
    d = per_item(table, minus("block", "baseline"), "y").to_numpy()
    rate = bonett_price(d) if n == 1 else pseudo_items(d, n)
    expected = {"unbounded": mean_t(d), "share": logit_t(d, low=-1, high=1, null=0.0), "binary": rate}[kind]
    assert (found.method, found.p, *ends(found)) == (expected.method, expected.p, expected.low, expected.high)


@pytest.mark.parametrize("n", [1, 3])
def test_the_error_bars_of_one_arm_by_kind(two: Callable[[ScoreKind, int], pd.DataFrame], n: int) -> None:
    alone = Contrast("baseline", (Term(1.0, "baseline"),))
    for kind in ("unbounded", "share", "binary"):
        table = two(kind, n)
        x = table[table["arm"] == "baseline"].groupby("item")["value"].mean().to_numpy()
        if kind == "unbounded":
            expected = mean_t(x, null=None)
        elif kind == "share":
            expected = logit_t(x)
        else:
            expected = one_rate(x.sum(), 8) if n == 1 else wilson_clustered(x, 8 * n)
        found = estimate(table, alone, "y", kind=kind)
        assert ends(found) == pytest.approx((expected.low, expected.high))
        assert (found.method, found.p) == (expected.method, None)
        assert found.value == pytest.approx(x.mean())
        if kind == "binary":
            assert (found.n["rows"], found.n["events"]) == (8 * n, x.sum() * n)


def test_an_interaction_is_paired_by_item(make_rows: Make, make_table: Make) -> None:
    random = np.random.default_rng(2)
    values = {
        arm: dict(zip(ITEMS, random.normal(size=8).tolist(), strict=True)) for arm in ("both", "sys", "steer", "no")
    }
    table = make_table(*(make_rows(arm, v) for arm, v in values.items()))
    terms = tuple(Term(w, a) for w, a in ((1.0, "both"), (-1.0, "sys"), (-1.0, "steer"), (1.0, "no")))
    x = {arm: np.array(list(v.values())) for arm, v in values.items()}
    found = estimate(table, Contrast("interaction", terms), "y")
    expected = mean_t(x["both"] - x["sys"] - x["steer"] + x["no"])
    assert ends(found) == pytest.approx((expected.low, expected.high))


def test_rates_of_an_interaction_may_differ_by_two(make_rows: Make, make_table: Make) -> None:
    arms = {"both": 1.0, "sys": 0.0, "steer": 0.0, "no": 1.0}
    table = make_table(*(make_rows(arm, dict.fromkeys(ITEMS, value)) for arm, value in arms.items()))
    terms = tuple(Term(w, a) for w, a in ((1.0, "both"), (-1.0, "sys"), (-1.0, "steer"), (1.0, "no")))
    found = estimate(table, Contrast("interaction", terms), "y", kind="binary")
    assert (found.value, found.high) == (2.0, 2.0)
    assert found.low is not None
    assert found.low > 0


def test_a_mean_of_arms_is_a_level_without_a_test(make_rows: Make, make_table: Make) -> None:
    table = make_table(
        make_rows("low", dict.fromkeys(ITEMS[:4], 1.0) | dict.fromkeys(ITEMS[4:], 0.0)),
        make_rows("high", dict.fromkeys(ITEMS, 1.0)),
    )
    level = Contrast("mean", (Term(0.5, "low"), Term(0.5, "high")))
    found = estimate(table, level, "y", kind="binary")
    assert (found.value, found.p) == (0.75, None)
    expected = wilson_clustered(np.array([1.0] * 4 + [0.5] * 4), 16)
    assert ends(found) == pytest.approx((expected.low, expected.high))
    odd = estimate(table, Contrast("odd", (Term(2.0, "high"), Term(-1.0, "low"))), "y", kind="binary")
    assert odd.method == "logit-t over items"
    assert odd.value == pytest.approx(1.5)


GROUPS = {"tier": {item: "free" if i < 5 else "paid" for i, item in enumerate(ITEMS)}}


def by_tier(weights: Mapping[str, float], *arms: tuple[str, float]) -> Contrast:
    terms = [Term(w * v, arm, (("tier", tier),)) for tier, w in weights.items() for arm, v in arms]
    return Contrast("by tier", tuple(terms))


def test_groups_of_items_are_compared_unpaired(make_rows: Make, make_table: Make) -> None:
    values = dict(zip(ITEMS, [0.1, 0.5, 0.3, 0.9, 0.4, 0.2, 0.6, 0.1], strict=True))
    table = make_table(make_rows("steer", values, factors=GROUPS))
    gap = by_tier({"free": 1.0, "paid": -1.0}, ("steer", 1.0))
    x = np.array(list(values.values()))
    test = stats.ttest_ind(x[:5], x[5:], equal_var=False)
    found = estimate(table, gap, "y")
    assert ends(found) == pytest.approx(tuple(test.confidence_interval()))
    assert (found.method, found.n["items"], found.n["units"]) == ("Welch-Satterthwaite t", 8, 8)
    share = estimate(table, gap, "y", kind="share")
    expected = mover([logit_t(x[:5]), weighted(logit_t(x[5:]), -1)])
    assert ends(share) == pytest.approx((expected.low, expected.high))


def test_scores_on_a_scale_have_pseudo_units_and_shares_have_none(make_rows: Make, make_table: Make) -> None:
    values = dict(zip(ITEMS, [1.0, 1.0, 1.0, 2.0, 1.0, 9.0, 1.0, 1.0], strict=True))
    table = make_table(make_rows("steer", values, factors=GROUPS))
    x = (np.array(list(values.values())) - 1) / 9
    found = estimate(table, "steer", "y", bounds=(1, 10))
    expected = logit_t(x, pseudo=PSEUDO)
    assert ends(found) == pytest.approx((1 + 9 * (expected.low or 0), 1 + 9 * (expected.high or 0)))
    plain = estimate(table.assign(value=x), "steer", "y", kind="share")
    assert ends(plain) == pytest.approx(ends_of(logit_t(x)))
    gap = estimate(table, by_tier({"free": 1.0, "paid": -1.0}, ("steer", 1.0)), "y", bounds=(1, 10))
    both = mover([logit_t(x[:5], pseudo=PSEUDO), weighted(logit_t(x[5:], pseudo=PSEUDO), -1)])
    assert ends(gap) == pytest.approx(tuple(9 * end for end in ends_of(both)))
    runs = make_table(make_rows("steer", {"s": list(values.values())}))
    pooled = estimate(runs, "steer", "y", bounds=(1, 10))
    assert pooled.unit == "run"
    assert ends(pooled) == pytest.approx(ends(found))


def test_rates_of_groups_are_newcombes(make_rows: Make, make_table: Make) -> None:
    values = dict(zip(ITEMS, [1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0], strict=True))
    table = make_table(
        make_rows("steer", values, factors=GROUPS), make_rows("sys", dict.fromkeys(ITEMS, 0.0), factors=GROUPS)
    )
    found = estimate(table, by_tier({"free": 1.0, "paid": -1.0}, ("steer", 1.0)), "y", kind="binary")
    expected = mover([wilson(4, 5), weighted(wilson(1, 3), -1)])
    assert ends(found) == pytest.approx((expected.low, expected.high))
    # The gap of one arm minus the gap of another: pairs within a tier, independent between tiers.
    double = estimate(table, by_tier({"free": 1.0, "paid": -1.0}, ("steer", 1.0), ("sys", -1.0)), "y", kind="binary")
    pairs = [bonett_price(np.array([1.0, 1, 0, 1, 1])), weighted(bonett_price(np.array([0.0, 0, 1])), -1)]
    assert double.value == pytest.approx(0.8 - 1 / 3)
    assert double.low == pytest.approx(mover(pairs).low, abs=0.2)


def test_levels_that_share_items_are_refused(make_rows: Make, make_table: Make) -> None:
    table = make_table(make_rows("steer", dict.fromkeys(ITEMS, 0.0), factors=GROUPS))
    whole = Contrast("overlap", (Term(1.0, "steer"), Term(-1.0, "steer", (("tier", "free"),))))
    with pytest.raises(ResultsError, match="same items at several factor levels"):
        estimate(table, whole, "y")


def test_items_with_a_missing_arm_are_left_out_and_counted(make_rows: Make, make_table: Make, minus: Minus) -> None:
    block = dict(zip(ITEMS, [2.0, 3.0, None, 5.0, 4.0, 1.0, 2.5, 0.5], strict=True))
    baseline = dict(zip(ITEMS, [1.0, None, 2.0, 1.0, 2.0, 0.0, 1.5, 0.0], strict=True))
    del baseline["i7"]
    table = make_table(make_rows("block", block), make_rows("baseline", baseline))
    found = estimate(table, minus("block", "baseline"), "y")
    assert found.value == pytest.approx(np.mean([1.0, 4.0, 2.0, 1.0, 1.0]))
    assert found.n["items"] == 5
    # One unparsed row each; the baseline also lacks an item that block has.
    assert found.missing == {"block": 1, "baseline": 2}


def test_one_missing_run_of_an_item_does_not_lose_the_item(make_rows: Make, make_table: Make, minus: Minus) -> None:
    block = {item: [float(i), None if i == 3 else float(i)] for i, item in enumerate(ITEMS)}
    table = make_table(make_rows("block", block), make_rows("baseline", {item: [0.0, 1.0] for item in ITEMS}))
    found = estimate(table, minus("block", "baseline"), "y")
    assert (found.value, found.n["items"], found.missing["block"]) == (3.0, 8, 1)


def test_an_arm_without_any_value(make_rows: Make, make_table: Make, minus: Minus) -> None:
    for kind in ("unbounded", "share", "binary"):
        table = make_table(make_rows("block", dict.fromkeys(ITEMS)), make_rows("baseline", dict.fromkeys(ITEMS, 1.0)))
        found = estimate(table, minus("block", "baseline"), "y", kind=kind)
        assert (found.value, found.low, found.p, found.n["items"]) == (None, None, None, 0)
        assert found.flags == ("no_units",)
        assert found.missing == {"block": 8, "baseline": 0}


def test_identical_arms_are_reported_as_identical(make_rows: Make, make_table: Make, minus: Minus) -> None:
    values = {item: [float(i), 1.0] for i, item in enumerate(ITEMS)}
    table = make_table(make_rows("block", values), make_rows("baseline", values))
    found = estimate(table, minus("block", "baseline"), "y")
    assert (found.value, found.method, found.flags) == (0.0, "identical outputs", ("identical",))
    assert (found.low, found.high, found.se, found.p) == (None, None, None, None)


def test_arms_that_only_agree_in_one_rate_are_not_called_identical(
    make_rows: Make, make_table: Make, minus: Minus
) -> None:
    zeros = dict.fromkeys(ITEMS, 0.0)
    lengths = [
        make_rows(arm, dict.fromkeys(ITEMS, v), score="length") for arm, v in (("block", 1.0), ("baseline", 2.0))
    ]
    table = make_table(make_rows("block", zeros), make_rows("baseline", zeros), *lengths)
    found = estimate(table, minus("block", "baseline"), "y", kind="binary")
    assert found.method == "Bonett-Price, exact McNemar"
    assert found.high is not None
    assert found.high > 0.2
    assert estimate(table, minus("block", "baseline"), "y").flags == ("all_equal",)


def test_a_value_outside_its_kind_is_refused(make_rows: Make, make_table: Make, minus: Minus) -> None:
    table = make_table(make_rows("block", {"a": 1.5, "b": 0.5}), make_rows("baseline", {"a": 0.0, "b": 0.5}))
    with pytest.raises(ResultsError, match=r"declared a share and has values from 0 to 1\.5"):
        estimate(table, minus("block", "baseline"), "y", kind="share")
    table["value"] = table["value"].clip(upper=1)
    with pytest.raises(ResultsError, match="declared binary and has values between"):
        estimate(table, minus("block", "baseline"), "y", kind="binary")


def test_what_is_not_there_is_named(make_rows: Make, make_table: Make, minus: Minus) -> None:
    one = make_table(make_rows("block", {"a": 1.0}), make_rows("baseline", {"a": 0.0}))
    with pytest.raises(ResultsError, match=r"names arm 'blok'.*Did you mean 'block'"):
        estimate(one, minus("blok", "baseline"), "y")
    both = make_table(one, one.assign(task="other"))
    with pytest.raises(ResultsError, match=r"2 tasks have the score 'y'.*other, task"):
        estimate(both, minus("block", "baseline"), "y")
    assert estimate(both, minus("block", "baseline"), "y", task="other").task == "other"


def test_swapping_the_arms_flips_the_signs(two: Callable[[ScoreKind, int], pd.DataFrame], minus: Minus) -> None:
    for kind in ("unbounded", "share", "binary"):
        for n in (1, 2):
            table = two(kind, n)
            there = estimate(table, minus("block", "baseline"), "y", kind=kind)
            back = estimate(table, minus("baseline", "block"), "y", kind=kind)
            assert there.low is not None
            assert there.high is not None
            assert ends(back) == pytest.approx((-there.high, -there.low))
            assert back.p == pytest.approx(there.p)


def test_json_has_null_and_never_nan(two: Callable[[ScoreKind, int], pd.DataFrame], minus: Minus) -> None:
    found = estimate(two("unbounded", 1), minus("block", "baseline"), "y")
    text = json.dumps(estimate_to_json(found), allow_nan=False)
    assert estimate_from_json(json.loads(text)) == found
    alone = estimate(two("binary", 1), Contrast("block", (Term(1.0, "block"),)), "y", kind="binary")
    assert json.loads(json.dumps(estimate_to_json(alone), allow_nan=False))["p"] is None
    assert not any(isinstance(v, float) and math.isnan(v) for v in vars(alone).values())
    with pytest.raises(ResultsError, match="an estimate with the keys"):
        estimate_from_json({"value": 1.0})


def test_runs_of_other_arms_do_not_change_the_method(
    two: Callable[[ScoreKind, int], pd.DataFrame], make_rows: Make, make_table: Make, minus: Minus
) -> None:
    table = two("binary", 1)
    other = make_rows("other", runs(np.random.default_rng(1), "binary", 3))
    alone, beside = (
        estimate(t, minus("block", "baseline"), "y", kind="binary") for t in (table, make_table(table, other))
    )
    assert alone == beside
    assert beside.method == "Bonett-Price, exact McNemar"
    assert beside.n["runs"] == 1


def test_a_level_over_groups_is_not_held_against_zero(make_rows: Make, make_table: Make) -> None:
    values = {tier: {f"{tier}{i}": 5.0 + i for i in range(7)} for tier in ("free", "paid")}
    levels = {tier: {"tier": dict.fromkeys(own, tier)} for tier, own in values.items()}
    table = make_table(*(make_rows("a", own, factors=levels[tier]) for tier, own in values.items()))
    terms = {weight: Term(weight, "a", (("tier", "free"),)) for weight in (0.5, 1.0)}
    paid = {weight: Term(weight, "a", (("tier", "paid"),)) for weight in (0.5, -1.0)}
    level = estimate(table, Contrast("level", (terms[0.5], paid[0.5])), "y")
    gap = estimate(table, Contrast("gap", (terms[1.0], paid[-1.0])), "y")
    assert (level.value, level.p) == (8.0, None)
    assert level.low is not None
    assert gap.p == pytest.approx(1.0)


def test_items_that_never_show_it_in_many_runs_are_only_so_many_items(make_rows: Make, make_table: Make) -> None:
    table = make_table(make_rows("a", {item: [0.0] * 100 for item in ITEMS}))
    found = estimate(table, Contrast("a", (Term(1.0, "a"),)), "y", kind="binary")
    assert (found.value, found.low, found.flags) == (0.0, 0.0, ("no_events",))
    assert found.high is not None
    assert found.high > float(wilson(0, 8).high or 0)


def test_differences_as_small_as_rounding_are_not_tested(make_rows: Make, make_table: Make, minus: Minus) -> None:
    random = np.random.default_rng(0)
    base = {item: float(value) for item, value in zip(ITEMS, 5 * random.normal(size=8), strict=True)}

    def beside(scale: float) -> Estimate:
        other = {item: value + scale * float(random.normal()) for item, value in base.items()}
        table = make_table(make_rows("block", other), make_rows("baseline", base))
        return estimate(table, minus("block", "baseline"), "y")

    same, other = beside(1e-6), beside(1e-2)
    assert (same.method, same.flags) == ("equal up to rounding", ("rounding",))
    assert (same.low, same.high, same.p) == (None, None, None)
    assert other.method == "t over items"
    assert other.p is not None


def test_items_of_other_arms_do_not_join_groups(make_rows: Make, make_table: Make) -> None:
    """A third arm that was asked one item in both tiers says nothing of how the tiers of the first are compared."""
    free = make_rows("a", {f"f{k}": k % 3 for k in range(8)}, factors={"tier": {f"f{k}": "free" for k in range(8)}})
    paid = make_rows("a", {f"p{k}": k % 4 for k in range(8)}, factors={"tier": {f"p{k}": "paid" for k in range(8)}})
    other = [make_rows("c", {"z": 1.0}, factors={"tier": {"z": tier}}) for tier in ("free", "paid")]
    other[1]["run"] = 2
    alone, beside = make_table(free, paid), make_table(free, paid, *other)
    contrast = "a[tier=free] - a[tier=paid]"
    assert estimate(beside, contrast, "y") == estimate(alone, contrast, "y")


def test_the_order_of_arms_does_not_decide_what_is_paired(make_rows: Make, make_table: Make) -> None:
    """Arms a and c share their items, b has others."""
    parts = [make_rows(arm, {f"{first}{k}": (k * step) % 5 for k in range(8)})
             for arm, first, step in (("a", "i", 2), ("b", "j", 3), ("c", "i", 1))]  # fmt: skip
    table = make_table(*parts)
    found = [estimate(table, f"a - 0.5 * {one} - 0.5 * {two}", "y") for one, two in (("b", "c"), ("c", "b"))]
    assert found[0].low is not None
    assert [found[0].low, found[0].high] == pytest.approx([found[1].low, found[1].high])
