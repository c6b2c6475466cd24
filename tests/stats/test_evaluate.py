import json
from collections.abc import Callable
from dataclasses import replace
from statistics import fmean

import numpy as np
import pandas as pd
import pytest

from doxa.stats.estimate import estimate
from doxa.stats.evaluate import FORMAT, Evaluation, evaluate, from_json, to_json
from doxa.stats.holm import holm
from doxa.words.contrasts import Contrast, Term
from doxa.words.errors import ResultsError, StudyError

Make = Callable[..., pd.DataFrame]
Minus = Callable[[str, str], Contrast]
ITEMS = [f"i{i:02d}" for i in range(12)]
NAMES = ("block - baseline", "prompted - baseline")


@pytest.fixture
def table(make_rows: Make, make_table: Make) -> pd.DataFrame:
    """Baseline, prompted, steered with 20 twins and 20 unrelated vectors, which have one of the three scores."""
    random = np.random.default_rng(0)

    def values(shift: float) -> dict[str, float | None]:
        return {item: shift + float(x) for item, x in zip(ITEMS, random.normal(size=12), strict=True)}

    parts = []
    for arm, shift in (("baseline", 0.0), ("block", 6.0), ("prompted", 0.5)):
        parts += [make_rows(arm, values(shift)), make_rows(arm, values(0.0), score="length", task="open")]
        parts.append(make_rows(arm, {item: float(random.integers(0, 2)) for item in ITEMS[:4]}, score="gate"))
    for family in ("twin", "unrelated"):
        for j in range(20):
            parts.append(make_rows(f"block~{family}/{j:02d}", values(random.normal()), of="block", control=family))
    return make_table(*parts)


@pytest.fixture
def contrasts(minus: Minus) -> list[Contrast]:
    return [minus("block", "baseline"), minus("prompted", "baseline")]


def run(table: pd.DataFrame, contrasts: list[Contrast], **options: object) -> Evaluation:
    options = {"scores": [("task", "y")], "kinds": {"gate": "binary", "elsewhere": "share"}, **options}
    return evaluate(table, contrasts, **options)  # type: ignore[arg-type]


def test_every_contrast_and_score_is_estimated(table: pd.DataFrame, contrasts: list[Contrast]) -> None:
    found = run(table, contrasts, primary=["block - baseline"])
    cells = [(one.contrast, one.task, one.score) for one in found.estimates]
    pairs = [("open", "length"), ("task", "gate"), ("task", "y")]
    assert cells == [(contrast, *pair) for contrast in NAMES for pair in pairs]
    assert [(one.contrast, one.score) for one in found.estimates if one.primary] == [("block - baseline", "y")]
    one = next(e for e in found.estimates if (e.contrast, e.score) == ("block - baseline", "y"))
    assert replace(one, p_adjusted=None, primary=False) == estimate(table, contrasts[0], "y")
    assert {e.method for e in found.estimates if e.score == "gate"} == {"Bonett-Price, exact McNemar"}


def test_named_arms_have_error_bars_and_controls_have_none(table: pd.DataFrame, contrasts: list[Contrast]) -> None:
    found = run(table, contrasts)
    assert {one.contrast for one in found.arms} == {"baseline", "block", "prompted"}
    baseline = next(e for e in found.arms if (e.contrast, e.score) == ("baseline", "y"))
    own = table[(table["arm"] == "baseline") & (table["score"] == "y")]["value"]
    assert baseline.value == pytest.approx(fmean(own))
    assert baseline.low is not None


def test_verdicts_where_controls_were_scored(table: pd.DataFrame, contrasts: list[Contrast]) -> None:
    found = run(table, contrasts)
    assert [(v.contrast, v.score, v.family, v.m) for v in found.verdicts] == [
        ("block - baseline", "y", family, 20) for family in ("twin", "unrelated")
    ]
    assert all(v.p_adjusted == v.p == 1 / 21 for v in found.verdicts)
    assert found.outside_both == {("block - baseline", "task", "y"): True}
    assert [v.family for v in run(table, contrasts, families=["twin"]).verdicts] == ["twin"]


def test_p_is_adjusted_within_the_declared_family_only(table: pd.DataFrame, contrasts: list[Contrast]) -> None:
    found = run(table, contrasts)
    inside = [one for one in found.estimates if one.score == "y"]
    assert [one.p_adjusted for one in inside] == pytest.approx(holm([one.p for one in inside if one.p is not None]))
    assert all(one.p_adjusted is None for one in found.estimates if one.score != "y")
    exploratory = run(table, contrasts, scores=[("open", "length")])
    assert all(v.p_adjusted is None and "exploratory" in v.flags for v in exploratory.verdicts)
    everything = run(table, contrasts, scores=[])
    assert all(one.primary for one in everything.estimates)
    assert len(everything.scores) == 3


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def codes(found: Evaluation) -> dict[str, list[dict[str, object]]]:
    by_code: dict[str, list[dict[str, object]]] = {}
    for note in found.notes:
        by_code.setdefault(note["code"], []).append(note["subject"])
    return by_code


def test_notes_say_what_is_not_there(table: pd.DataFrame, contrasts: list[Contrast], minus: Minus) -> None:
    found = run(table, [*contrasts, minus("every", "block")], scores=[("task", "y"), ("task", "mood")])
    notes = codes(found)
    assert notes["family"] == [{"contrasts": 3, "scores": 2, "cells": 2}]
    assert notes["no_score"] == [{"task": "task", "score": "mood"}]
    assert {note["contrast"] for note in notes["no_rows"]} == {"every - block"}
    assert len(notes["no_rows"]) == 3
    assert {(note["contrast"], note["family"]) for note in notes["no_controls"]} == {
        ("prompted - baseline", "twin"),
        ("prompted - baseline", "unrelated"),
    }
    assert notes["few_items"] == [{"task": "task", "score": "gate", "items": 4}]
    assert "few_controls_in_common" not in notes


def test_too_few_controls_in_common(table: pd.DataFrame, contrasts: list[Contrast], make_rows: Make) -> None:
    other = [
        make_rows(
            f"block~twin/{j:02d}",
            {item: float(i + j) for i, item in enumerate(ITEMS)},
            score="length",
            task="open",
            of="block",
            control="twin",
        )
        for j in range(5, 25)
    ]
    wider = pd.concat([table, *other], ignore_index=True)
    notes = codes(run(wider, contrasts, scores=[("task", "y"), ("open", "length")]))
    assert notes["few_controls_in_common"] == [{"family": "twin"}]


def test_missing_rows_stand_beside_the_estimates(table: pd.DataFrame, contrasts: list[Contrast]) -> None:
    lost = (table["arm"] == "block~twin/03") & (table["item"] < "i03")
    table.loc[lost, ["value", "reason"]] = [np.nan, "refused"]
    found = run(table, contrasts)
    record = next(one for one in found.missing if one["control"] == "twin")
    where = {"arm": "block", "control": "twin", "task": "task", "score": "y"}
    assert record == {**where, "rows": 240, "missing": 3, "reasons": {"refused": 3}}


def test_json_is_the_same_whatever_the_order_of_the_rows(table: pd.DataFrame, contrasts: list[Contrast]) -> None:
    found = run(table, contrasts)
    text = json.dumps(to_json(found), allow_nan=False)
    assert text == json.dumps(to_json(run(table.sample(frac=1, random_state=1), contrasts)), allow_nan=False)
    assert from_json(json.loads(text)) == found
    assert json.loads(text)["format"] == FORMAT
    cell = {"contrast": "block - baseline", "task": "task", "score": "y"}
    assert json.loads(text)["outside_both"] == [{**cell, "outside_both": True}]
    assert json.loads(text)["stands_out"] == [{**cell, "stands_out": True}]


def test_estimates_of_another_version_are_refused(table: pd.DataFrame, contrasts: list[Contrast]) -> None:
    written = to_json(run(table, contrasts))
    with pytest.raises(ResultsError, match="format 99"):
        from_json({**written, "format": 99})
    with pytest.raises(ResultsError, match="estimates with the keys"):
        from_json({**written, "surprise": 1})


def test_a_primary_contrast_must_be_a_contrast(table: pd.DataFrame, contrasts: list[Contrast]) -> None:
    with pytest.raises(StudyError, match="Did you mean 'block - baseline'"):
        run(table, contrasts, primary=["block - basline"])


def test_a_contrast_of_factor_levels_is_left_out_where_a_task_lacks_them(
    table: pd.DataFrame, make_rows: Make, make_table: Make
) -> None:
    tier = {"tier": {item: "free" if place % 2 else "paid" for place, item in enumerate(ITEMS)}}
    values = {item: float(place % 5) for place, item in enumerate(ITEMS)}
    wider = make_table(table, make_rows("block", values, score="gap", task="tiers", factors=tier))
    gap = Contrast("gap", tuple(Term(w, "block", (("tier", t),)) for w, t in ((1.0, "free"), (-1.0, "paid"))))
    found = run(wider, [gap], scores=[("tiers", "gap")])
    assert [(one.score, one.method) for one in found.estimates] == [("gap", "Welch-Satterthwaite t")]
    assert {note["score"] for note in codes(found)["no_rows"]} == {"gate", "length", "y"}
    # Before any task has the factor the contrast applies nowhere.
    assert run(table, [gap], scores=[]).estimates == ()


def test_identical_arms_are_no_test_of_the_family(table: pd.DataFrame, contrasts: list[Contrast], minus: Minus) -> None:
    copy = table[table["arm"] == "baseline"].assign(arm="again")
    found = run(pd.concat([table, copy], ignore_index=True), [*contrasts, minus("again", "baseline")])
    same = next(e for e in found.estimates if e.contrast == "again - baseline" and e.score == "y")
    assert (same.method, same.p, same.p_adjusted) == ("identical outputs", None, None)
    ps = [e.p for e in found.estimates if e.score == "y" and e.p is not None]
    assert len(ps) == 2
    assert sorted(e.p_adjusted for e in found.estimates if e.p_adjusted is not None) == sorted(holm(ps))


def test_a_declared_margin_is_held_against_primary_contrasts(table: pd.DataFrame, contrasts: list[Contrast]) -> None:
    name = contrasts[0].name
    found = evaluate(table, contrasts, primary=[name], margins={"y": 100.0})
    (one,) = found.equivalences
    assert (one["contrast"], one["score"], one["margin"], one["answer"]) == (name, "y", 100.0, "smaller")
    alone = estimate(table, contrasts[0], "y", task=str(one["task"]), level=0.9)
    assert (one["low"], one["high"]) == (alone.low, alone.high)
    assert evaluate(table, contrasts, primary=[name]).equivalences == ()
    assert from_json(json.loads(json.dumps(to_json(found)))) == found


def test_a_score_on_a_scale_has_intervals_within_it_in_its_own_task_only(
    make_rows: Make, make_table: Make, minus: Minus
) -> None:
    parts = []
    for arm, low in (("a", 1.0), ("b", 2.0)):
        rated: dict[str, float | None] = {item: low + (place % 3) * 4 for place, item in enumerate(ITEMS)}
        right: dict[str, float | None] = {item: float(place % 2) for place, item in enumerate(ITEMS)}
        parts.append(make_rows(arm, rated, score="refusal", task="rated"))
        parts.append(make_rows(arm, right, score="refusal", task="other"))
    bounds = {("rated", "refusal"): (1.0, 10.0)}
    found = evaluate(make_table(*parts), [minus("b", "a")], kinds={"refusal": "binary"}, bounds=bounds)
    on_scale = {one.contrast: one for one in (*found.arms, *found.estimates) if one.task == "rated"}
    assert {one.kind for one in on_scale.values()} == {"scale"}
    assert {one.kind for one in found.arms if one.task == "other"} == {"binary"}
    low, value, high = on_scale["a"].low, on_scale["a"].value, on_scale["b"].high
    assert low is not None
    assert high is not None
    assert value == pytest.approx(5.0)
    assert 1 <= low < 5 < high <= 10
    assert on_scale["b - a"].value == pytest.approx(1.0)


def test_cells_of_one_query_are_one_unit(make_rows: Make, make_table: Make, minus: Minus) -> None:
    """Four queries, each asked in eight cells: every number rests on four units, whoever asks."""
    random = np.random.default_rng(0)
    own = {f"q{q}": float(random.normal()) for q in range(4)}

    def rows(arm: str, shift: float, cells: int = 8, **how: str) -> pd.DataFrame:
        parts = []
        for query, level in own.items():
            values = {f"{query}/{c}": shift * level + float(random.normal(scale=0.1)) for c in range(cells)}
            parts.append(make_rows(arm, values, factors={"query": dict.fromkeys(values, query)}, **how))
        return pd.concat(parts)

    controls = [rows(f"block~twin/{j:02d}", 0.1, of="block", control="twin") for j in range(20)]
    part = {f"q0/{c}": 5.0 for c in range(4)}
    half = make_rows("block~twin/20", part, of="block", control="twin", factors={"query": dict.fromkeys(part, "q0")})
    table = make_table(rows("baseline", 0.0), rows("block", 1.0), *controls, half)
    contrast = minus("block", "baseline")
    found = run(table, [contrast], primary=[contrast.name], units={"task": "query"}, margins={"y": 100.0})
    (one,), naive = found.estimates, run(table, [contrast]).estimates[0]
    assert (one.n["units"], one.unit, one.df) == (4, "query", 3)
    assert naive.n["units"] == 32
    assert one.value == pytest.approx(naive.value)
    assert one.low is not None
    assert naive.low is not None
    assert one.high - one.low > 3 * (naive.high - naive.low)
    assert {each.n["units"] for each in found.arms} == {4}
    assert found.equivalences[0]["low"] == pytest.approx(estimate(table, contrast, "y", unit="query", level=0.9).low)
    (verdict,) = found.verdicts
    assert verdict.items == 4
    assert "block~twin/20" not in verdict.effects  # half of a query is no unit
    alone = table[table["factor_query"] == "q1"]
    (one,) = run(alone, [contrast], units={"task": "query"}).estimates
    assert (one.n["units"], one.low) == (1, None)  # one query in eight cells has no interval
    assert one.value == pytest.approx(own["q1"], abs=0.2)
