from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from doxa.stats.table import encode, identical, missing_by_arm, panel, validate
from doxa.stats.table_checks import VERSION_KEY
from doxa.words.errors import ResultsError

Make = Callable[..., pd.DataFrame]


@pytest.fixture
def table(make_rows: Make, make_table: Make) -> pd.DataFrame:
    return make_table(
        make_rows("baseline", {"a": [1.0, 3.0], "b": [None, 5.0], "c": [None, None]}),
        make_rows("block", {"a": [2.0, 2.0], "b": [4.0, 4.0], "c": [1.0, 0.0]}),
        make_rows("block~twin/07", {"a": [0.0, None]}, of="block", control="twin"),
        make_rows("block~twin/08", {"a": [0.0, 1.0]}, of="block", control="twin"),
    )


def test_a_good_table_passes(table: pd.DataFrame) -> None:
    validate(table)
    validate(table.astype({"arm": "category", "item": "string", "run": "int32"}))
    validate(table.iloc[:0])


def broken(table: pd.DataFrame, column: str, row: int, value: object) -> pd.DataFrame:
    changed = table.copy()
    changed[column] = changed[column].astype(object)
    changed.loc[row, column] = value
    return changed if column not in ("value", "run") else changed.astype({column: "float64"})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.drop(columns=["reason", "stop"]), "no column reason, stop"),
        (lambda t: t.assign(monitored="yes"), "unknown columns monitored"),
        (lambda t: t.assign(value=t["value"].astype(str)), "column 'value'.*numbers"),
        (lambda t: t.assign(run=t["run"] + 0.5), "column 'run' of the table holds float64"),
        (lambda t: t.assign(arm=3), "column 'arm' of the table holds int"),
        (lambda t: broken(t, "stop", 2, None), "column 'stop'.*not a gap"),
        (lambda t: t.assign(factor_topic=[None] * len(t)), "column 'factor_topic'"),
        (lambda t: broken(t, "value", 0, np.inf), "infinite value in arm baseline, task task, item a, run 1"),
        (lambda t: t.assign(reason=""), "a missing value without a reason in arm baseline.*item b"),
        (lambda t: broken(t, "reason", 0, "refused"), "a value with a reason"),
        (lambda t: pd.concat([t, t.iloc[[3]]]), "1 rows stand twice.*item b, run 2"),
        (lambda t: broken(t, "of", 12, ""), "arm 'block~twin/07' has 'of'"),
        (lambda t: pd.concat([t, t[["arm"]]], axis=1), "two columns of the same name"),
    ],
)
def test_a_wrong_table_is_refused_in_words(
    table: pd.DataFrame, spoil: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    with pytest.raises(ResultsError, match=message):
        validate(spoil(table))


def test_a_table_of_another_version_is_refused(table: pd.DataFrame) -> None:
    table.attrs[VERSION_KEY] = 0
    with pytest.raises(ResultsError, match="version 0"):
        validate(table)


def test_one_study_and_one_model(table: pd.DataFrame) -> None:
    with pytest.raises(ResultsError, match="2 values of 'model'"):
        encode(broken(table, "model", 0, "other"))


def test_rows_are_reduced_to_unit_means_over_the_runs_that_have_a_value(table: pd.DataFrame) -> None:
    found = panel(encode(table), "task", "y")
    baseline, block = (found.arms[name] for name in ("baseline", "block"))
    assert found.items == ("a", "b", "c")
    np.testing.assert_array_equal(found.means[baseline], [2.0, 5.0, np.nan])
    np.testing.assert_array_equal(found.means[block], [2.0, 4.0, 0.5])
    np.testing.assert_array_equal(found.counts[baseline], [2, 1, 0])
    np.testing.assert_array_equal(found.rows[baseline], [2, 2, 2])
    assert (found.low, found.high, found.binary) == (0.0, 5.0, False)
    assert found.scored.all()


def test_the_order_of_rows_changes_no_bit(table: pd.DataFrame) -> None:
    values = np.random.default_rng(1).normal(size=len(table))
    table = table.assign(value=values, reason="")
    one = panel(encode(table), "task", "y").means
    two = panel(encode(table.sample(frac=1, random_state=3)), "task", "y").means
    assert one.tobytes() == two.tobytes()


def test_how_text_is_stored_changes_nothing(table: pd.DataFrame) -> None:
    names = pd.unique(table["item"])[::-1]
    categories = table.assign(
        arm=pd.Categorical(table["arm"], categories=["nobody", *pd.unique(table["arm"])[::-1]]),
        item=pd.Categorical(table["item"], categories=names),
        factor_topic=pd.Categorical(table["item"], categories=names),
    )
    expected = encode(table.assign(factor_topic=table["item"]))
    for stored in (categories, categories.astype({"arm": object, "item": "string", "factor_topic": "string"})):
        found = encode(stored)
        assert list(found.arms) == ["baseline", "block", "block~twin/07", "block~twin/08"]
        assert (found.items, found.arms) == (("a", "b", "c"), expected.arms)
        for unit in ("item", "topic"):
            one, two = panel(expected, "task", "y", unit=unit), panel(found, "task", "y", unit=unit)
            assert one.items == two.items
            assert one.means.tobytes() == two.means.tobytes()


def test_rows_keep_their_order_within_many_scores(make_rows: Make, make_table: Make) -> None:
    values = {"b": [1.0, 2.0], "a": [3.0, 4.0]}
    parts = [make_rows("one", values, task=task, score=score) for task in ("t", "u") for score in "zyx"]
    table = make_table(*parts, make_rows("one", {"c": [5.0]}, task="t", score="y"))
    found = encode(table.sample(frac=1, random_state=4))
    assert sorted(found.cells) == [(task, score) for task in ("t", "u") for score in "xyz"]
    for (task, score), index in found.cells.items():
        assert (np.diff(index) > 0).all()
        rows = found.table.iloc[found.order[index]]
        assert set(rows["task"]) == {task}
        assert set(rows["score"]) == {score}
        assert rows["value"].tolist() == [3.0, 4.0, 1.0, 2.0] + [5.0] * ((task, score) == ("t", "y"))


def test_levels_select_rows(make_rows: Make, make_table: Make) -> None:
    kinds = {"kind": {"a": "belief", "b": "belief", "c": "control"}}
    rows = encode(make_table(make_rows("one", {"a": 1.0, "b": 2.0, "c": 3.0}, factors=kinds)))
    assert panel(rows, "task", "y", (("kind", "belief"),)).items == ("a", "b")
    assert panel(rows, "task", "y", (("kind", "nothing"),)).items == ()
    with pytest.raises(ResultsError, match=r"no factor 'knd'. Did you mean 'kind'"):
        panel(rows, "task", "y", (("knd", "belief"),))
    with pytest.raises(ResultsError, match="no score 'z' of task"):
        panel(rows, "task", "z")
    with pytest.raises(ResultsError, match="no score 'z' in the table"):
        rows.tasks_of("z")


def test_controls_are_found_by_index(table: pd.DataFrame, make_rows: Make, make_table: Make) -> None:
    prompts = [
        make_rows(f"prompted~{kind}", {"a": 1.0}, of="prompted", control=kind.partition("-")[0])
        for kind in ("neutral", "paraphrase-1", "paraphrase-2")
    ]
    rows = encode(make_table(table, *prompts))
    assert rows.controls["block", "twin"] == {"07": "block~twin/07", "08": "block~twin/08"}
    assert rows.controls["prompted", "paraphrase"] == {"1": "prompted~paraphrase-1", "2": "prompted~paraphrase-2"}
    assert rows.controls["prompted", "neutral"] == {"": "prompted~neutral"}
    assert rows.of["block~twin/07"] == ("block", "twin")


def test_missing_rows_are_counted_by_arm_with_their_reasons(table: pd.DataFrame) -> None:
    found = {(one["arm"], one["control"]): one for one in missing_by_arm(encode(table))}
    assert (found["baseline", ""]["rows"], found["baseline", ""]["missing"]) == (6, 3)
    assert found["baseline", ""]["reasons"] == {"refused": 3}
    assert (found["block", ""]["rows"], found["block", ""]["missing"], found["block", ""]["reasons"]) == (6, 0, {})
    assert (found["block", "twin"]["rows"], found["block", "twin"]["missing"]) == (4, 1)
    assert len(found) == 3


def test_identical_outputs_agree_in_every_score_length_and_stop(make_rows: Make, make_table: Make) -> None:
    values = {"a": [0.5, None], "b": [0.0, 1.0]}
    one = make_table(make_rows("one", values), make_rows("one", {"a": 3.0}, score="z"))
    two = one.assign(arm="two")
    assert identical(encode(make_table(one, two.iloc[::-1])), "task", "one", "two")
    for column, value in (("value", 9.0), ("tokens", 9), ("stop", "max_tokens")):
        changed = two.copy()
        changed.loc[4, column] = value  # in the other score
        assert not identical(encode(make_table(one, changed)), "task", "one", "two")
    assert not identical(encode(make_table(one, two.iloc[:3])), "task", "one", "two")
