import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from doxa.stats.estimate import estimate
from doxa.stats.sequences import beta_binomial, empirical_bernstein
from doxa.stats.stopping import Look, look, look_from_json, look_to_json, terms_of
from doxa.words.contrasts import Contrast, Term
from doxa.words.errors import ResultsError
from doxa.words.stopping import Decided, Width

MakeRows = Callable[..., pd.DataFrame]
MakeTable = Callable[..., pd.DataFrame]
Minus = Callable[[str, str], Contrast]


@pytest.fixture
def rates(make_rows: MakeRows, make_table: MakeTable) -> Callable[..., pd.DataFrame]:
    """A table of arms whose items show a behaviour at a rate, in so many runs."""

    def make(runs: int, items: int = 6, **arms: float) -> pd.DataFrame:
        random = np.random.default_rng(0)
        values = {
            arm: {f"item-{i}": tuple(map(float, random.random(runs) < rate)) for i in range(items)}
            for arm, rate in arms.items()
        }
        return make_table(*(make_rows(arm, own) for arm, own in values.items()))

    return make


def seen(table: pd.DataFrame, runs: int, rule: Width | Decided, *contrasts: Contrast, kind: str = "binary") -> Look:
    return look(table, runs, rule, contrasts, task="task", score="y", kind=kind)  # type: ignore[arg-type]


def test_a_width_is_that_of_the_interval_that_a_report_prints(rates: Callable[..., pd.DataFrame], minus: Minus) -> None:
    table = rates(40, a=0.5, b=0.1)
    found = seen(table, 40, Width(0.3), minus("a", "b"))
    assert [one.name for one in found.quantities] == ["a", "b"]
    for one in found.quantities:
        alone = estimate(table, Contrast(one.name, (Term(1.0, one.name),)), "y", kind="binary")
        assert (one.value, one.low, one.high, one.method) == (alone.value, alone.low, alone.high, alone.method)
        assert (one.rows, one.missing) == (240, 0)
        assert alone.low is not None
        assert alone.high is not None
        assert (one.answer == "narrow") == (alone.high - alone.low <= 0.3)
    widths = [one.high - one.low for one in found.quantities if one.high is not None and one.low is not None]
    assert seen(table, 40, Width(max(widths)), minus("a", "b")).met
    assert not seen(table, 40, Width(max(widths) * 0.999), minus("a", "b")).met
    assert not seen(table, 40, Width(min(widths)), minus("a", "b")).met  # every arm, not one


def test_a_width_is_over_the_units_of_the_task(make_rows: MakeRows, make_table: MakeTable) -> None:
    """Ten items of each of four families, which agree: forty items are no forty units."""
    random = np.random.default_rng(0)
    values = {f"{family}{n}": tuple(random.normal(family, 0.1, 2)) for family in range(4) for n in range(10)}
    levels = {"family": {item: item[0] for item in values}}
    table = make_table(make_rows("a", values, factors=levels))
    alone = Contrast("a", (Term(1.0, "a"),))
    of = {"task": "task", "score": "y", "kind": "unbounded"}
    (by_item,) = look(table, 2, Width(1.0), [alone], **of).quantities  # type: ignore[arg-type]
    (by_family,) = look(table, 2, Width(1.0), [alone], unit="family", **of).quantities  # type: ignore[arg-type]
    found = estimate(table, alone, "y", unit="family")
    assert by_item.answer == "narrow"
    assert (by_family.low, by_family.high) == (found.low, found.high)
    assert (by_family.answer, by_family.why.partition(":")[0]) == ("", "4 units (family)")
    (without,) = look(table, 2, Width(1.0), [alone], unit="query", **of).quantities  # type: ignore[arg-type]
    assert without == by_item  # a table that has no such factor


def test_later_runs_other_tasks_and_other_scores_are_not_looked_at(
    rates: Callable[..., pd.DataFrame], minus: Minus
) -> None:
    table = rates(40, a=0.5, b=0.1)
    more = pd.concat([table, table.assign(task="other", value=1.0), table.assign(score="z", value=1.0)])
    for rule in (Width(0.3), Decided()):
        alone = seen(table[table["run"] <= 20], 20, rule, minus("a", "b"))
        assert seen(more.reset_index(drop=True), 20, rule, minus("a", "b")) == alone


def test_a_decision_is_the_union_of_the_arms_sequences(rates: Callable[..., pd.DataFrame], minus: Minus) -> None:
    table = rates(40, a=0.6, b=0.1)
    (one,) = seen(table, 40, Decided(), minus("a", "b")).quantities
    ends = {}
    for arm, own in table.groupby("arm")["value"]:
        ends[arm] = beta_binomial(np.array(own.sum()), np.array(len(own)), alpha=0.025)
    assert one.low == pytest.approx(float(ends["a"][0] - ends["b"][1]))
    assert one.high == pytest.approx(float(ends["a"][1] - ends["b"][0]))
    assert one.answer == "differs"
    assert (one.rows, one.missing) == (480, 0)
    back = seen(table, 40, Decided(), minus("b", "a")).quantities[0]
    assert (back.low, back.high) == pytest.approx((-(one.high or 0), -(one.low or 0)))
    assert back.answer == "differs"


def test_several_contrasts_share_alpha(rates: Callable[..., pd.DataFrame], minus: Minus) -> None:
    table = rates(40, a=0.6, b=0.1, c=0.1)
    (alone,) = seen(table, 40, Decided(), minus("a", "b")).quantities
    two = seen(table, 40, Decided(), minus("a", "b"), minus("b", "c"))
    assert two.quantities[0].low is not None
    assert alone.low is not None
    assert two.quantities[0].low < alone.low
    assert [one.answer for one in two.quantities] == ["differs", ""]
    assert not two.met


def test_a_margin_can_decide_that_there_is_no_difference(rates: Callable[..., pd.DataFrame], minus: Minus) -> None:
    table = rates(400, a=0.0, b=0.0)
    assert seen(table, 400, Decided(), minus("a", "b")).quantities[0].answer == ""
    assert seen(table, 400, Decided(0.01), minus("a", "b")).quantities[0].answer == "within the margin"
    assert not seen(table, 40, Decided(0.01), minus("a", "b")).met


def test_a_share_has_the_sequence_of_a_bounded_mean(make_rows: MakeRows, make_table: MakeTable, minus: Minus) -> None:
    random = np.random.default_rng(1)
    own = {arm: random.beta(a, 2, (60, 3)) for arm, a in (("a", 6), ("b", 2))}
    parts = [make_rows(arm, {f"i{i}": tuple(v[:, i]) for i in range(3)}) for arm, v in own.items()]
    (one,) = seen(make_table(*parts), 60, Decided(), minus("a", "b"), kind="share").quantities
    ends = {arm: empirical_bernstein(v, alpha=0.025) for arm, v in own.items()}
    assert one.low == pytest.approx(ends["a"][0][-1] - ends["b"][1][-1])
    assert one.value == pytest.approx(own["a"].mean() - own["b"].mean())
    assert one.method == "empirical Bernstein sequence"


def test_an_interaction_has_four_sequences(rates: Callable[..., pd.DataFrame]) -> None:
    table = rates(40, a=0.9, b=0.1, c=0.5, d=0.5)
    terms = (Term(1.0, "a"), Term(-1.0, "b"), Term(-1.0, "c"), Term(1.0, "d"))
    (one,) = seen(table, 40, Decided(), Contrast("(a - b) - (c - d)", terms)).quantities
    n = np.array(240)
    sums = table.groupby("arm")["value"].sum()
    ends = {arm: beta_binomial(np.array(sums[arm]), n, alpha=0.0125) for arm in "abcd"}
    assert one.low == pytest.approx(float(ends["a"][0] - ends["b"][1] - ends["c"][1] + ends["d"][0]))


def test_selectors_choose_items(make_rows: MakeRows, make_table: MakeTable) -> None:
    levels = {"tier": {"x": "free", "y": "paid"}}
    table = make_table(make_rows("a", {"x": (1.0,) * 30, "y": (0.0,) * 30}, factors=levels))
    gap = Contrast("gap", (Term(1.0, "a", (("tier", "free"),)), Term(-1.0, "a", (("tier", "paid"),))))
    (one,) = seen(table, 30, Decided(), gap).quantities
    assert (one.value, one.answer, one.rows) == (1.0, "differs", 60)
    assert [term.levels for term in terms_of([gap])] == [(("tier", "free"),), (("tier", "paid"),)]
    assert [one.name for one in seen(table, 30, Width(0.1), gap).quantities] == ["a[tier=free]", "a[tier=paid]"]


def test_what_cannot_be_computed_says_why_and_is_not_met(
    make_rows: MakeRows, make_table: MakeTable, rates: Callable[..., pd.DataFrame], minus: Minus
) -> None:
    few = seen(rates(10, items=2, a=0.5, b=0.5), 10, Width(0.9), minus("a", "b"))
    assert {one.why for one in few.quantities} == {"fewer than 3 units: no interval"}
    equal = make_table(*(make_rows(arm, {f"i{i}": (2.0, 2.0) for i in range(40)}) for arm in "ab"))
    same = seen(equal, 2, Width(0.9), minus("a", "b"), kind="unbounded")
    assert {one.why for one in same.quantities} == {"every unit has the same value: the spread cannot be estimated"}
    assert not few.met
    assert not same.met
    lost = make_table(make_rows("a", {"x": (None, None)}), make_rows("b", {"x": (1.0, 0.0)}))
    for rule in (Width(0.9), Decided()):
        assert not seen(lost, 2, rule, minus("a", "b")).met
    assert seen(lost, 2, Decided(), minus("a", "b")).quantities[0].why == "no value of a"
    assert seen(lost, 2, Decided(), minus("a", "c")).quantities[0].why == "no value of a, c"
    assert seen(lost, 2, Width(0.9), minus("b", "c")).quantities[1].why == "it has no row of the score"
    assert not seen(lost, 2, Decided()).met


@pytest.mark.parametrize(("items", "met"), [(29, False), (30, True)])
def test_the_width_of_a_mean_counts_from_30_items(
    make_rows: MakeRows, make_table: MakeTable, minus: Minus, items: int, met: bool
) -> None:
    parts = [make_rows(arm, {f"i{i:02d}": (float(i), float(i)) for i in range(items)}) for arm in "ab"]
    found = seen(make_table(*parts), 2, Width(1000), minus("a", "b"), kind="unbounded")
    assert found.met is met
    assert ("30 items" in found.quantities[0].why) is not met


@pytest.mark.parametrize(("value", "kind"), [(0.5, "binary"), (1.5, "share"), (-0.5, "share"), (0.5, "unbounded")])
def test_values_that_a_sequence_cannot_take_are_refused(
    make_rows: MakeRows, make_table: MakeTable, minus: Minus, value: float, kind: str
) -> None:
    table = make_table(*(make_rows(arm, {"x": (value, value)}) for arm in "ab"))
    with pytest.raises(ResultsError, match="a confidence sequence needs bounds"):
        seen(table, 2, Decided(), minus("a", "b"), kind=kind)


def test_categories_are_read_like_text(rates: Callable[..., pd.DataFrame], minus: Minus) -> None:
    table = rates(10, a=0.5, b=0.5)
    coded = table.astype(dict.fromkeys(("arm", "item", "task", "score"), "category"))
    for rule in (Width(0.3), Decided()):
        assert seen(coded, 10, rule, minus("a", "b")) == seen(table, 10, rule, minus("a", "b"))


def test_the_order_of_rows_changes_nothing(rates: Callable[..., pd.DataFrame], minus: Minus) -> None:
    table = rates(10, a=0.5, b=0.5)
    for rule in (Width(0.3), Decided()):
        assert seen(table.iloc[::-1], 10, rule, minus("a", "b")) == seen(table, 10, rule, minus("a", "b"))


def test_a_look_survives_its_way_through_json(rates: Callable[..., pd.DataFrame], minus: Minus) -> None:
    found = seen(rates(10, a=0.5, b=0.5), 10, Width(0.3), minus("a", "b"))
    assert look_from_json(json.loads(json.dumps(look_to_json(found)))) == found
    with pytest.raises(ResultsError, match="a look of a stopping rule"):
        look_from_json({"runs": 1})
    with pytest.raises(ResultsError, match="cannot be read"):
        look_from_json({"runs": 1, "met": True, "quantities": [{"name": "a"}]})
