from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from doxa.stats.comparison import as_one, compare, to_json
from doxa.stats.estimate import estimate
from doxa.stats.holm import holm
from doxa.words.errors import ResultsError, StudyError

Make = Callable[..., pd.DataFrame]
ITEMS = [f"i{place:02d}" for place in range(20)]


@pytest.fixture
def logs(make_rows: Make, make_table: Make) -> pd.DataFrame:
    """Six seeds of a recipe as six models, beside a base model: a rate and a score on the same items."""
    generator = np.random.default_rng(0)
    parts = []
    for arm, shift in [("base", 0.0), *((f"org/tuned-{k}", 1.0 + 0.3 * k) for k in range(1, 7))]:
        kinds = {item: "ab"[place % 2] for place, item in enumerate(ITEMS)}
        score = {item: generator.normal(shift, 1, 3) for item in ITEMS}
        parts.append(make_rows(arm, score, score="judge/harm", factors={"category": kinds}))
        rate = {item: (generator.random(3) < 0.4).astype(float) for item in ITEMS}
        parts.append(make_rows(arm, rate, score="refused", factors={"category": kinds}))
    table = make_table(*parts)
    return table.assign(model=table["arm"])


def test_models_are_arms_and_those_of_a_pattern_are_seeds(logs: pd.DataFrame) -> None:
    table = as_one(logs, {"tuned": "org/tuned-*"})
    assert sorted(pd.unique(table["arm"])) == ["base", "tuned"]
    found = compare(table, ["tuned - base"])
    harm, refused = found.differences
    assert (harm.estimate.score, harm.estimate.kind) == ("judge/harm", "unbounded")
    assert (refused.estimate.score, refused.estimate.kind) == ("refused", "binary")
    assert harm.estimate.unit == "seed and item"
    assert harm.estimate.n["seeds"] == 6
    assert {arm for _, _, arm in found.variances} == {"tuned"}
    assert (found.variances["task", "judge/harm", "tuned"].p or 1.0) < 0.001
    levels = {(one.contrast, one.score) for one in found.levels}
    assert levels == {(arm, score) for arm in ("base", "tuned") for score in ("judge/harm", "refused")}


def test_several_scores_are_a_family(logs: pd.DataFrame) -> None:
    found = compare(as_one(logs, {}), ["'org/tuned-1' - base", "'org/tuned-2' - base"])
    raw = [one.estimate.p for one in found.differences]
    assert None not in raw
    assert [one.estimate.p_adjusted for one in found.differences] == pytest.approx(holm([p or 0.0 for p in raw]))
    assert found.family == 4


def test_it_is_the_estimate_of_the_table(logs: pd.DataFrame) -> None:
    table = as_one(logs, {})
    found = compare(table, ["'org/tuned-3' - base"], scores=["refused"], margin=0.2).differences[0]
    alone = estimate(table, "'org/tuned-3' - base", "refused", kind="binary")
    assert (found.estimate.low, found.estimate.high, found.estimate.p) == (alone.low, alone.high, alone.p)
    assert found.equivalence is not None
    assert found.equivalence.low is not None
    assert alone.low is not None
    assert found.equivalence.low > alone.low
    assert found.detectable is None  # of rates no t test tells
    x, y = (table[(table["arm"] == arm) & (table["score"] == "refused")]["value"] for arm in ("org/tuned-3", "base"))
    assert found.sides == pytest.approx((x.mean(), y.mean()))
    harm = compare(table, ["'org/tuned-3' - base"], scores=["judge/harm"]).differences[0]
    assert harm.detectable is not None
    assert harm.detectable > 2 * (harm.estimate.se or 0.0)


def test_a_contrast_is_a_difference_and_asked_once(logs: pd.DataFrame) -> None:
    table = as_one(logs, {})
    with pytest.raises(ResultsError, match="'base' is a level"):
        compare(table, ["base"])
    with pytest.raises(ResultsError, match="asks what"):
        compare(table, ["base - 'org/tuned-1'", "'org/tuned-1' - base"])
    with pytest.raises(ResultsError, match="a margin without a contrast"):
        compare(table, [], margin=1.0)
    with pytest.raises(ResultsError, match="bounds and the kind 'binary'"):
        compare(table, [], kinds={"refused": "binary"}, bounds={"refused": (0, 1)})
    with pytest.raises(ResultsError, match="is an arm already"):
        as_one(logs, {"base": "org/*"})
    with pytest.raises(ResultsError, match="no row"):
        as_one(logs.iloc[:0], {})


def test_arms_that_share_no_item_are_independent_groups(logs: pd.DataFrame) -> None:
    table = as_one(logs, {})
    apart = table[(table["arm"] == "base") == (table["item"] < "i10")]
    found = compare(apart, ["'org/tuned-1' - base"]).differences
    harm, refused = (one.estimate for one in found)
    x, y = (
        apart[(apart["arm"] == arm) & (apart["score"] == "judge/harm")].groupby("item")["value"].mean()
        for arm in ("org/tuned-1", "base")
    )
    welch = stats.ttest_ind(x, y, equal_var=False)
    assert harm.p == pytest.approx(welch.pvalue)
    assert "independent groups" in harm.why
    assert refused.low is not None
    assert refused.p is not None


def test_categories_are_compared_apart(logs: pd.DataFrame) -> None:
    found = compare(as_one(logs, {}, by="category"), ["'org/tuned-1' - base"], scores=["judge/harm"])
    assert [one.estimate.task for one in found.differences] == ["task category=a", "task category=b"]
    assert all(one.estimate.n["items"] == 10 for one in found.differences)


def test_one_scenario_is_compared_over_its_runs(make_rows: Make, make_table: Make) -> None:
    generator = np.random.default_rng(1)
    table = make_table(*(make_rows(arm, {"s": generator.integers(1, 11, 30)}) for arm in ("one", "two")))
    found = compare(table, ["one - two"], bounds={"y": (1, 10)}).differences[0].estimate
    assert (found.unit, found.estimand, found.n["units"]) == ("run", "this checkpoint, over runs", 60)
    assert found.superiority is not None
    x, y = (table[table["arm"] == arm]["value"].to_numpy() for arm in ("one", "two"))
    pairs = (x[:, None] > y).mean() + (x[:, None] == y).mean() / 2
    assert found.superiority["value"] == pytest.approx(pairs)


def test_what_is_not_there_is_named(logs: pd.DataFrame) -> None:
    with pytest.raises(ResultsError, match="no arm matches 'x-\\*'"):
        as_one(logs, {"tuned": "x-*"})
    with pytest.raises(ResultsError, match="seed of 'a' and of 'b'"):
        as_one(logs, {"a": "org/*", "b": "*1"})
    with pytest.raises(ResultsError, match=r"no factor 'categry'.*category"):
        as_one(logs, {}, by="categry")
    table = as_one(logs, {})
    with pytest.raises(ResultsError, match=r"no score 'harm'.*judge/harm"):
        compare(table, [], scores=["harm"])
    with pytest.raises(StudyError, match="unknown arm 'tuned'"):
        compare(table, ["tuned - base"])
    alone = table[(table["arm"] != "base") | (table["item"] < "i00")]
    with pytest.raises(StudyError, match="unknown arm 'base'"):
        compare(alone, ["'org/tuned-1' - base"])


def test_the_record_is_plain(logs: pd.DataFrame) -> None:
    import json

    record = to_json(compare(as_one(logs, {"tuned": "org/*"}), ["tuned - base"], margin=1.0))
    text = json.dumps(record, allow_nan=False)
    assert json.loads(text)["differences"][0]["equivalence"]["answer"] in ("smaller", "larger", "inconclusive")
    assert json.loads(text)["seed_variance"][0]["arm"] == "tuned"


def test_the_levels_beside_a_difference_are_those_of_its_seeds(make_rows: Make, make_table: Make) -> None:
    """Two seeds of one arm have no counterpart: the levels make the difference all the same."""
    generator = np.random.default_rng(0)
    parts = [
        make_rows(arm, {item: generator.normal(seed, 1, 2) for item in ITEMS}, seed=seed)
        for arm, seeds in (("a", 6), ("b", 4))
        for seed in range(1, seeds + 1)
    ]
    for estimand in (None, "seeds"):
        (found,) = compare(make_table(*parts), ["b - a"], estimand=estimand).differences
        assert "seeds_left_out" in found.estimate.flags
        assert found.sides[0] - found.sides[1] == pytest.approx(found.estimate.value)


def test_an_arm_of_several_seeds_does_not_forbid_to_compare_two_checkpoints(make_rows: Make, make_table: Make) -> None:
    one = {"i": [0.0, 1.0, 2.0, 4.0]}
    table = make_table(make_rows("b", one), make_rows("c", one), *(make_rows("a", one, seed=k) for k in (1, 2, 3)))
    found = compare(table, ["b - c"], estimand="runs")
    assert found.differences[0].estimate.estimand == "this checkpoint, over runs"
    assert {level.contrast: level.estimand for level in found.levels}["a"] == "the recipe, over seeds"


def test_seeds_are_numbered_in_the_order_of_their_numbers(logs: pd.DataFrame) -> None:
    tenth = logs[logs["arm"] == "org/tuned-1"].assign(arm="org/tuned-10")
    made = as_one(pd.concat([logs, tenth], ignore_index=True), {"tuned": "org/tuned-*"})
    assert set(made[made["arm"] == "tuned"]["seed"]) == set(range(1, 8))
    first = made[made["seed"] == 1]["value"].to_numpy()
    assert np.array_equal(first, made[made["seed"] == 7]["value"].to_numpy())
    again = made.assign(model="x")
    with pytest.raises(ResultsError, match="several training seeds of its own"):
        as_one(again, {"all": "tuned"})
