from collections.abc import Callable
from itertools import product

import numpy as np
import pandas as pd
import pytest

from doxa.stats.derive import derivable, derive
from doxa.stats.table import validate
from doxa.words.errors import ResultsError
from doxa.words.schema import Derivation

Make = Callable[..., pd.DataFrame]

KINDS, POLARITIES, TOPICS = ("belief", "control"), ("affirmed", "reversed"), ("mind", "sky")
ITEMS = {f"{t}-{k}-{p}": (t, k, p) for t, k, p in product(TOPICS, KINDS, POLARITIES)}
FACTORS = {
    "topic": {item: levels[0] for item, levels in ITEMS.items()},
    "kind": {item: levels[1] for item, levels in ITEMS.items()},
    "polarity": {item: levels[2] for item, levels in ITEMS.items()},
    "field": {item: "physics" if levels[0] == "sky" else "philosophy" for item, levels in ITEMS.items()},
}
BELIEF = Derivation(
    "belief",
    "y",
    "topic",
    tuple(
        (weight, (("kind", kind), ("polarity", polarity)))
        for weight, kind, polarity in (
            (0.5, "belief", "affirmed"),
            (-0.5, "belief", "reversed"),
            (-0.5, "control", "affirmed"),
            (0.5, "control", "reversed"),
        )
    ),
)


@pytest.fixture
def table(make_rows: Make, make_table: Make) -> pd.DataFrame:
    random = np.random.default_rng(0)
    runs = {item: random.normal(size=2).tolist() for item in ITEMS}
    other = {item: random.normal(size=2).tolist() for item in ITEMS}
    twin = make_rows("block~twin/00", other, of="block", control="twin", factors=FACTORS)
    return make_table(make_rows("block", runs, factors=FACTORS), twin)


def value(table: pd.DataFrame, arm: str, item: str, run: int) -> float:
    chosen = table[(table["arm"] == arm) & (table["item"] == item) & (table["run"] == run)]
    assert len(chosen) == 1
    return float(chosen["value"].iloc[0])


def test_the_weighted_sum_by_arm_unit_and_run(table: pd.DataFrame) -> None:
    found = derive(table, [BELIEF])
    validate(found)
    pd.testing.assert_frame_equal(found.iloc[: len(table)], table)
    made = found.iloc[len(table) :]
    assert len(made) == 2 * len(TOPICS) * 2
    for arm, topic, run in product(("block", "block~twin/00"), TOPICS, (1, 2)):
        affirmed, reversed_, fact, unfact = (
            value(table, arm, f"{topic}-{kind}-{polarity}", run) for kind, polarity in product(KINDS, POLARITIES)
        )
        expected = (affirmed - reversed_ - fact + unfact) / 2
        assert value(made, arm, topic, run) == pytest.approx(expected, rel=1e-12)


def test_what_the_new_rows_keep(table: pd.DataFrame) -> None:
    made = derive(table, [BELIEF]).iloc[len(table) :]
    twin = made[(made["arm"] == "block~twin/00") & (made["item"] == "sky") & (made["run"] == 2)].iloc[0]
    expected = {"study": "one", "model": "one", "arm": "block~twin/00", "of": "block", "control": "twin"}
    expected |= {"task": "task", "item": "sky", "score": "belief", "reason": "", "stop": "", "log": "a.eval"}
    expected |= {"factor_topic": "sky", "factor_kind": "", "factor_polarity": "", "factor_field": "physics"}
    assert dict(twin.drop("value")) == {**expected, "run": 2, "seed": 0, "tokens": 0}


def test_a_missing_term_makes_a_missing_value_that_says_so(table: pd.DataFrame) -> None:
    first = (table["arm"] == "block") & (table["run"] == 1)
    at = {item: table.index[first & (table["item"] == item)][0] for item in ITEMS}
    table.loc[at["mind-belief-reversed"], ["value", "reason"]] = [np.nan, "refused"]
    table = table.drop(index=at["sky-control-affirmed"])
    made = derive(table, [BELIEF]).iloc[len(table) :]
    lost = made[made["value"].isna()].set_index("item")["reason"]
    assert dict(lost) == {
        "mind": "kind=belief polarity=reversed: refused",
        "sky": "no row with kind=control polarity=affirmed",
    }


def test_two_rows_for_a_term_are_not_averaged(table: pd.DataFrame) -> None:
    again = table[table["item"] == "sky-belief-affirmed"].assign(item="sky-again")
    made = derive(pd.concat([table, again], ignore_index=True), [BELIEF]).iloc[len(table) + len(again) :]
    assert set(made[made["item"] == "sky"]["reason"]) == {"2 rows with kind=belief polarity=affirmed"}
    assert made[made["item"] == "mind"]["value"].notna().all()


def test_several_rows_of_a_term_are_averaged_where_a_derivation_says_so(make_rows: Make, make_table: Make) -> None:
    """Each term weighs the same however many of its rows are missing."""
    wordings = {
        "a": ("mind", "affirmed", 1.0),
        "b": ("mind", "affirmed", None),
        "c": ("mind", "affirmed", 4.0),
        "d": ("mind", "reversed", 2.0),
        "e": ("sky", "affirmed", None),
        "f": ("sky", "reversed", 2.0),
        "g": ("sea", "affirmed", 2.0),
    }
    factors = {
        "topic": {item: one[0] for item, one in wordings.items()},
        "polarity": {item: one[1] for item, one in wordings.items()},
    }
    table = make_table(make_rows("block", {item: [one[2]] for item, one in wordings.items()}, factors=factors))
    table["reason"] = table["reason"].where(table["value"].notna(), "planted")
    terms = ((0.5, (("polarity", "affirmed"),)), (-0.5, (("polarity", "reversed"),)))
    made = derive(table, [Derivation("net", "y", "topic", terms, several="averaged")]).iloc[len(table) :]
    made = made.set_index("item")
    assert made.loc["mind", "value"] == 0.5 * 2.5 - 0.5 * 2.0
    assert made.loc["mind", "reason"] == ""
    assert made.loc["sky", "reason"] == "polarity=affirmed: planted"
    assert made.loc["sea", "reason"] == "no row with polarity=reversed"
    assert made["value"].isna().tolist() == [False, True, True]
    refused = derive(table, [Derivation("net", "y", "topic", terms)]).iloc[len(table) :].set_index("item")
    assert refused.loc["mind", "reason"] == "3 rows with polarity=affirmed"


def test_what_nobody_has_scored_cannot_be_derived(table: pd.DataFrame) -> None:
    other, elsewhere = Derivation("a", "z", "topic", ()), Derivation("b", "y", "tpic", ())
    assert derivable(table, [other, BELIEF, elsewhere]) == [BELIEF]
    table["factor_topic"] = ""
    assert derivable(table, [BELIEF]) == []


def test_a_derivation_may_build_on_another(table: pd.DataFrame) -> None:
    doubled = Derivation("doubled", "belief", "topic", ((2.0, (("topic", "sky"),)),))
    found = derive(table.astype({"arm": "category", "score": "category"}), [BELIEF, doubled])
    sky = found[found["item"] == "sky"].pivot_table(index=["arm", "run"], columns="score", values="value")
    np.testing.assert_allclose(sky["doubled"], 2 * sky["belief"])
    # The term asks for the other topic: nothing of that unit is asked, and nothing is missing.
    assert set(found[found["score"] == "doubled"]["item"]) == {"sky"}


def test_a_unit_that_is_asked_in_one_arm_is_missing_in_another_and_one_that_is_asked_in_none_is_not(
    make_rows: Make, make_table: Make
) -> None:
    def rows(arm: str, values: dict[str, tuple[str, str, float]]) -> pd.DataFrame:
        factors = {
            place: {item: one[index] for item, one in values.items()} for index, place in enumerate(("pair", "kind"))
        }
        return make_rows(arm, {item: [one[2]] for item, one in values.items()}, factors=factors)

    whole = {"a": ("sport", "bundle", 1.0), "b": ("art", "bundle", 2.0), "c": ("place", "shared", 3.0)}
    fewer = {"a": whole["a"], "c": whole["c"], "d": ("art", "shared", 4.0)}
    table = make_table(rows("block", whole), rows("late", fewer))
    score = Derivation("bundle", "y", "pair", ((1.0, (("kind", "bundle"),)),))
    made = derive(table, [score]).iloc[len(table) :].set_index(["arm", "item"])
    assert dict(made["value"].dropna()) == {("block", "sport"): 1.0, ("block", "art"): 2.0, ("late", "sport"): 1.0}
    assert dict(made["reason"][made["value"].isna()]) == {("late", "art"): "no row with kind=bundle"}


def test_rows_without_the_unit_take_no_part(table: pd.DataFrame, make_rows: Make, make_table: Make) -> None:
    elsewhere = make_rows("block", {"x": 1.0}, task="other")
    made = derive(make_table(table, elsewhere), [BELIEF])
    assert set(made[made["score"] == "belief"]["task"]) == {"task"}


@pytest.mark.parametrize(
    ("derivation", "message"),
    [
        (Derivation("belief", "z", "topic", ()), "made of 'z'"),
        (Derivation("y", "y", "topic", ()), "has the score 'y' already"),
        (Derivation("belief", "y", "tpic", ()), r"no factor 'tpic'. Did you mean 'topic'"),
        (Derivation("belief", "y", "empty", ()), "has a level of 'empty'"),
        (Derivation("belief", "y", "topic", ((1.0, (("knd", "belief"),)),)), "no factor 'knd'"),
    ],
)
def test_what_cannot_be_derived(table: pd.DataFrame, derivation: Derivation, message: str) -> None:
    with pytest.raises(ResultsError, match=message):
        derive(table.assign(factor_empty=""), [derivation])


SETS = {f"{t}-{k}-{p}": (t, k, p) for t, k, p in product(("mind", "sky"), ("free", "paid"), ("one", "two", "three"))}
GAP = Derivation("gap", "y", "topic", ((1.0, (("tier", "free"),)), (-1.0, (("tier", "paid"),))), ("wording",))


def in_sets(make_rows: Make, make_table: Make, values: dict[str, float | None]) -> pd.DataFrame:
    factors = {
        name: {item: levels[at] for item, levels in SETS.items()}
        for at, name in enumerate(("topic", "tier", "wording"))
    }
    return make_table(make_rows("a", {item: [values.get(item, 0.0)] for item in SETS}, factors=factors))


def test_matched_rows_are_compared_with_each_other_and_averaged(make_rows: Make, make_table: Make) -> None:
    free = {"mind-free-one": 5.0, "mind-free-two": 1.0, "mind-free-three": 3.0, "mind-paid-three": 1.0}
    table = in_sets(make_rows, make_table, dict(free))
    made = derive(table, [GAP]).iloc[len(table) :].set_index("item")
    assert made["value"].to_dict() == {"mind": pytest.approx((5 + 1 + 2) / 3), "sky": 0.0}
    assert set(made["factor_topic"]) == {"mind", "sky"}


def test_half_of_a_pair_says_nothing_about_the_difference(make_rows: Make, make_table: Make) -> None:
    """Without its partner the 5 would be taken for a part of the difference."""
    values = {"mind-free-one": 5.0, "mind-paid-one": None, "mind-free-two": 1.0, "mind-free-three": 3.0}
    values |= {f"sky-{tier}-{wording}": None for tier, wording in product(("free", "paid"), ("one", "two", "three"))}
    table = in_sets(make_rows, make_table, values)
    made = derive(table, [GAP]).iloc[len(table) :].set_index("item")
    assert made.loc["mind", "value"] == pytest.approx((1 + 3) / 2)
    assert np.isnan(made.loc["sky", "value"])
    assert made.loc["sky", "reason"].startswith("tier=free: ")


TIERS = Derivation(
    "gap", "y", "query", ((1.0, (("tier", "free"),)), (-1.0, (("tier", "paid"),))), matched=("prompt", "not-there")
)


def tiers(make_rows: Make, make_table: Make, values: dict[tuple[str, str, str], float | None]) -> pd.DataFrame:
    """One run of items (query, tier, prompt)."""
    items = {"-".join(levels): levels for levels in values}
    factors = {
        name: {item: levels[place] for item, levels in items.items()}
        for place, name in enumerate(("query", "tier", "prompt"))
    }
    return make_table(
        make_rows("base", {"-".join(levels): [value] for levels, value in values.items()}, factors=factors)
    )


def test_a_unit_asked_in_several_cells_is_the_mean_over_them(make_rows: Make, make_table: Make) -> None:
    found = derive(
        tiers(
            make_rows,
            make_table,
            {
                ("a", "free", "p"): 1.0, ("a", "paid", "p"): 0.0, ("a", "free", "q"): 0.5, ("a", "paid", "q"): 0.25,
                ("b", "free", "p"): 1.0, ("b", "paid", "p"): None, ("b", "free", "q"): 1.0, ("b", "paid", "q"): 0.25,
                ("c", "free", "p"): None, ("c", "paid", "p"): 1.0, ("c", "free", "q"): 1.0,
            },
        ),
        [TIERS],
    )  # fmt: skip
    gap = found[found["score"] == "gap"].set_index("item")
    assert gap["value"].to_dict() == pytest.approx({"a": 0.625, "b": 0.75, "c": float("nan")}, nan_ok=True)
    assert gap.loc[["a", "b"], "reason"].tolist() == ["", ""]
    assert gap.loc["c", "reason"].startswith("tier=free:")
    assert gap["factor_query"].tolist() == ["a", "b", "c"]
    assert set(gap["factor_prompt"]) == {""}


def test_what_was_asked_in_no_row_cannot_be_derived(make_rows: Make, make_table: Make) -> None:
    values: dict[tuple[str, str, str], float | None] = {("a", "free", "p"): 1.0, ("a", "paid", "p"): 0.0}
    table = tiers(make_rows, make_table, values)
    assert derivable(table, [TIERS])
    assert not derivable(table[table["factor_tier"] == "free"], [TIERS])
    assert not derivable(table.drop(columns="factor_tier"), [TIERS])
    assert not derivable(table.drop(columns="factor_query"), [TIERS])
    assert not derivable(table, [Derivation("gap", "z", "query", TIERS.terms)])
    assert not derivable(table.assign(factor_query=""), [TIERS])
