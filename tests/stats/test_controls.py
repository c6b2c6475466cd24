import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from doxa.stats.controls import (
    ControlEffects,
    ControlVerdict,
    control_effects,
    deviations,
    families_of,
    max_t,
    outside_both,
    prediction_t,
    stands_out,
    verdict_from_json,
    verdict_to_json,
    verdicts,
)
from doxa.stats.table import encode
from doxa.words.contrasts import Contrast, Term
from doxa.words.errors import ResultsError

Make = Callable[..., pd.DataFrame]
Minus = Callable[[str, str], Contrast]


def cell(
    effects: np.ndarray, contrast: str = "block - baseline", score: str = "y", family: str = "twin"
) -> ControlEffects:
    indices = tuple(f"{j:02d}" for j in range(len(effects) - 1))
    items = np.full(len(effects), 40)
    return ControlEffects(contrast, score, "task", family, indices, effects, items, unequal=False, lost=0)


def judge(effects: np.ndarray) -> ControlVerdict:
    return verdicts([cell(effects)], [("block - baseline", "task", "y")])[0]


def test_the_rank_is_centred_on_the_median_of_all() -> None:
    effects = np.array([-1.0, *np.linspace(0.1, 1.9, 39)])
    found = judge(effects)
    centre = np.median(effects)
    count = int(np.sum(np.abs(effects[1:] - centre) >= abs(-1.0 - centre)))
    assert count == 0
    assert (found.rank, found.m, found.p) == (1, 39, 1 / 40)
    assert found.centre == pytest.approx(centre)
    assert (found.low, found.high, found.outside) == (pytest.approx(0.1), pytest.approx(1.9), True)
    # In the midst of its controls it is the last.
    assert judge(np.array([1.0, *np.linspace(0.1, 1.9, 39)])).p == pytest.approx(1.0)


def test_power_needs_the_centring() -> None:
    """Controls N(1, .5), target at -1: by |effect| the target never stands out, from the centre it always does."""
    random = np.random.default_rng(0)
    effects = np.concatenate([np.full((300, 1), -1.0), random.normal(1.0, 0.5, (300, 39))], axis=1)
    centred = max_t(deviations(effects[:, :, None]))[:, 0]
    uncentred = (np.abs(effects) >= np.abs(effects[:, :1])).mean(axis=1)
    assert np.mean(centred <= 0.05) == 1.0
    assert np.mean(uncentred <= 0.05) == 0.0


def test_ties_count_against_the_target() -> None:
    # With an even number of units two of them lie equally far from the median.
    for place in (19, 20):
        effects = np.linspace(0.0, 1.0, 40)
        order = [place, *(j for j in range(40) if j != place)]
        assert judge(effects[order]).rank == 40
    assert judge(np.zeros(40)).p == 1.0
    assert judge(np.array([3.0, 3.0, *np.linspace(-1, 1, 38)])).rank == 2


def test_prediction_t_is_the_t_of_one_new_draw() -> None:
    random = np.random.default_rng(3)
    controls = random.normal(1, 2, 12)
    expected = (5.0 - controls.mean()) / (controls.std(ddof=1) * np.sqrt(1 + 1 / 12))
    # Algebraically the pooled two-sample t of one against m.
    pooled = stats.ttest_ind([5.0], controls, equal_var=True)
    found = prediction_t(np.array([5.0, *controls]))
    assert found == pytest.approx((expected, pooled.pvalue))
    assert found is not None
    assert found[0] == pytest.approx(pooled.statistic)


def test_few_controls() -> None:
    random = np.random.default_rng(4)
    eighteen, three = judge(random.normal(size=19)), judge(random.normal(size=4))
    assert (eighteen.p, eighteen.flags) == (None, ("few_controls",))
    assert eighteen.t is not None
    assert (three.t, three.p_t) == (None, None)
    assert three.flags == ("few_controls", "no_prediction_t")
    nineteen = judge(np.array([9.0, *random.normal(size=19)]))
    assert (nineteen.p, nineteen.rank, nineteen.flags) == (0.05, 1, ())


def test_controls_that_do_nothing_leave_a_rank_and_no_t() -> None:
    found = judge(np.array([0.1, *np.zeros(39)]))
    assert (found.rank, found.p, found.t) == (1, 1 / 40, None)
    assert found.flags == ("no_spread",)


def brute_force(deviation: np.ndarray) -> np.ndarray:
    """Step-down by its definition as a closed test: p of a cell is the largest p over the sets that hold it."""
    units, cells = deviation.shape
    p = np.zeros(cells)
    for chosen in range(1, 2**cells):
        inside = [c for c in range(cells) if chosen >> c & 1]
        largest = deviation[:, inside].max(axis=1)
        own = np.sum(largest >= largest[0] * (1 - 1e-9)) / units
        for c in inside:
            p[c] = max(p[c], own)
    return p


def test_max_t_is_the_closed_test() -> None:
    random = np.random.default_rng(6)
    for _ in range(20):
        effects = random.normal(size=(20, 4)) + random.normal(size=(20, 1))
        effects[0] += random.normal(0, 3, 4)
        found = max_t(deviations(effects))
        np.testing.assert_allclose(found, brute_force(deviations(effects)))
        alone = np.array([max_t(deviations(effects[:, [c]]))[0] for c in range(4)])
        assert (found >= alone - 1e-12).all()


def test_max_t_is_exact_for_exchangeable_units() -> None:
    """Each unit in the target's place in turn: exactly 5 % of the units alarm, whatever their values (no ties)."""
    random = np.random.default_rng(7)
    effects = random.standard_cauchy((40, 6)) * np.array([1, 10, 0.1, 1, 5, 2])
    alarms = 0
    for unit in range(40):
        order = [unit, *(j for j in range(40) if j != unit)]
        alarms += (max_t(deviations(effects[order])) <= 0.05 + 1e-12).any()
    assert alarms == 2


def test_deviations_have_one_scale_and_no_nan() -> None:
    effects = np.random.default_rng(8).normal(size=(5, 20, 3)) * np.array([1, 100, 0])
    found = deviations(effects)
    np.testing.assert_allclose((found**2).mean(axis=1)[:, :2], 1)
    assert (found[..., 2] == 0).all()


def test_only_the_declared_family_gets_an_adjusted_p() -> None:
    random = np.random.default_rng(9)
    one, two, other = (np.array([4.0, *random.normal(size=39)]) for _ in range(3))
    cells = [cell(one, score="a"), cell(two, score="b"), cell(other, score="c")]
    found = verdicts(cells, [("block - baseline", "task", "a"), ("block - baseline", "task", "b")])
    together = max_t(deviations(np.stack([one, two], axis=1)))
    assert [v.p_adjusted for v in found] == [together[0], together[1], None]
    assert ["exploratory" in v.flags for v in found] == [False, False, True]
    assert all(v.p == 1 / 40 for v in found)


def test_cells_are_joined_by_the_index_of_the_control() -> None:
    random = np.random.default_rng(10)
    one, two = random.normal(size=40), random.normal(size=40)
    joint = verdicts([cell(one, score="a"), cell(two, score="b")], [("block - baseline", "task", s) for s in "ab"])
    shuffled = cell(two, score="b")
    order = random.permutation(39)
    shuffled = replace(
        shuffled,
        indices=tuple(shuffled.indices[j] for j in order),
        effects=np.array([two[0], *two[1:][order]]),
    )
    again = verdicts([cell(one, score="a"), shuffled], [("block - baseline", "task", s) for s in "ab"])
    assert [v.p_adjusted for v in joint] == [v.p_adjusted for v in again]
    # Controls that one cell lacks are left out of the joint test; with too few in common there is none.
    partly = replace(cell(two[:21], score="b"))
    twenty = verdicts([cell(one, score="a"), partly], [("block - baseline", "task", s) for s in "ab"])
    expected = max_t(deviations(np.stack([one[:21], two[:21]], axis=1)))
    assert [v.p_adjusted for v in twenty] == list(expected)
    few = verdicts([cell(one, score="a"), cell(two[:19], score="b")], [("block - baseline", "task", s) for s in "ab"])
    assert [v.p_adjusted for v in few] == [None, None]


@pytest.fixture
def table(make_rows: Make, make_table: Make) -> pd.DataFrame:
    """Two placements with three twins each; twin j adds 10 j to block and 20 j to every; item i adds i."""
    items = [f"i{i}" for i in range(4)]
    parts = [make_rows("baseline", {item: float(i) for i, item in enumerate(items)})]
    for place, scale in (("block", 10.0), ("every", 20.0)):
        parts.append(make_rows(place, {item: i + scale * 9 for i, item in enumerate(items)}))
        for j in range(3):
            values = {item: i + scale * j for i, item in enumerate(items[:3])}
            parts.append(make_rows(f"{place}~twin/{j:02d}", values, of=place, control="twin"))
    return make_table(*parts)


def test_control_j_takes_the_place_of_every_steered_arm(table: pd.DataFrame, minus: Minus) -> None:
    rows = encode(table)
    assert families_of(rows) == ("twin",)
    alone = control_effects(rows, minus("block", "baseline"), "y", "task", "twin")
    assert alone is not None
    np.testing.assert_allclose(alone.effects, [90, 0, 10, 20])
    placements = control_effects(rows, minus("every", "block"), "y", "task", "twin")
    assert placements is not None
    np.testing.assert_allclose(placements.effects, [90, 0, 10, 20])
    assert placements.indices == ("00", "01", "02")
    assert control_effects(rows, minus("block", "baseline"), "y", "task", "unrelated") is None


def test_the_target_is_judged_on_the_items_of_its_controls(table: pd.DataFrame, minus: Minus) -> None:
    # The fourth item was given to no control; what the target does there must not enter.
    table.loc[(table["arm"] == "block") & (table["item"] == "i3"), "value"] = 1e6
    found = control_effects(encode(table), minus("block", "baseline"), "y", "task", "twin")
    assert found is not None
    assert found.effects[0] == pytest.approx(90)
    assert list(found.items) == [3, 3, 3, 3]
    assert not found.unequal


def test_missing_rows_of_controls(table: pd.DataFrame, minus: Minus) -> None:
    lost = table["arm"] == "block~twin/01"
    table.loc[lost, ["value", "reason"]] = [np.nan, "refused"]
    one = (table["arm"] == "block~twin/02") & (table["item"] == "i0")
    table.loc[one, ["value", "reason"]] = [np.nan, "refused"]
    found = control_effects(encode(table), minus("block", "baseline"), "y", "task", "twin")
    assert found is not None
    assert (found.indices, found.lost, found.unequal) == (("00", "02"), 1, True)
    np.testing.assert_allclose(found.effects, [90, 0, 20])
    (verdict,) = verdicts([found], [])
    assert {"lost_controls", "unequal_items"} <= set(verdict.flags)
    table.loc[table["arm"] == "block", ["value", "reason"]] = [np.nan, "refused"]
    assert control_effects(encode(table), minus("block", "baseline"), "y", "task", "twin") is None


def test_controls_at_factor_levels(make_rows: Make, make_table: Make) -> None:
    tier = {"tier": {"a": "free", "b": "free", "c": "paid", "d": "paid"}}
    parts = [make_rows("block", {"a": 5.0, "b": 7.0, "c": 1.0, "d": 2.0}, factors=tier)]
    for j in range(2):
        values = {"a": 1.0 * j, "b": 3.0 * j, "c": 0.0, "d": 1.0}
        parts.append(make_rows(f"block~twin/{j}", values, of="block", control="twin", factors=tier))
    terms = tuple(Term(w, "block", (("tier", t),)) for w, t in ((1.0, "free"), (-1.0, "paid")))
    found = control_effects(encode(make_table(*parts)), Contrast("gap", terms), "y", "task", "twin")
    assert found is not None
    np.testing.assert_allclose(found.effects, [4.5, -0.5, 1.5])


def test_outside_both_needs_both_families() -> None:
    far = np.array([9.0, *np.linspace(-1, 1, 39)])
    near = np.array([0.5, *np.linspace(-1, 1, 39)])
    key = ("block - baseline", "task", "y")

    def families(**effects: np.ndarray) -> list[ControlVerdict]:
        return [verdicts([cell(e, family=family)], [key])[0] for family, e in effects.items()]

    assert outside_both(families(twin=far, unrelated=far)) == {key: True}
    assert outside_both(families(twin=far, unrelated=near)) == {key: False}
    assert outside_both(families(twin=far)) == {key: None}
    assert outside_both(families(twin=far, unrelated=far[:10])) == {key: None}


def test_json(table: pd.DataFrame, minus: Minus) -> None:
    found = control_effects(encode(table), minus("block", "baseline"), "y", "task", "twin")
    assert found is not None
    (verdict,) = verdicts([found], [])
    written = json.loads(json.dumps(verdict_to_json(verdict), allow_nan=False))
    assert written["outside"] is True
    assert written["p"] is None
    assert written["effects"] == {"00": 0.0, "01": 10.0, "02": 20.0}
    assert verdict_from_json(written) == verdict
    with pytest.raises(ResultsError, match="a verdict with the keys"):
        verdict_from_json({"rank": 1})


def test_a_steered_arm_without_controls_leaves_no_null(make_rows: Make, make_table: Make, minus: Minus) -> None:
    """Both arms do the same: replacing one of them by its twins alone would make zero stand out."""
    random = np.random.default_rng(3)
    items = [f"i{i}" for i in range(6)]

    def values(shift: float) -> dict[str, float]:
        return {item: shift + 0.05 * float(random.normal()) for item in items}

    arms = [make_rows("block", values(3.0)), make_rows("every", values(3.0)), make_rows("baseline", values(0.0))]
    arms += [make_rows(f"block~twin/{j:02d}", values(0.0), of="block", control="twin") for j in range(20)]
    rows = encode(make_table(*arms))
    difference, alone = minus("block", "every"), minus("block", "baseline")
    naive = control_effects(rows, difference, "y", "task", "twin")
    assert naive is not None
    assert verdicts([naive], [])[0].outside
    assert control_effects(rows, difference, "y", "task", "twin", steered=["block", "every"]) is None
    assert control_effects(rows, alone, "y", "task", "twin", steered=["block", "every"]) is not None
    # Not told, an arm with controls of another family is known to be steered.
    more = [make_rows(f"every~unrelated/{j:02d}", values(0.0), of="every", control="unrelated") for j in range(20)]
    assert control_effects(encode(make_table(*arms, *more)), difference, "y", "task", "twin") is None


@pytest.mark.parametrize(
    ("p", "outside", "due"),
    [((0.05, 0.05), (True, True), True), ((0.05, 0.075), (True, True), False), ((0.05, 0.05), (True, False), False)],
)
def test_what_stands_out(p: tuple[float, float], outside: tuple[bool, bool], due: bool) -> None:
    found = []
    for family, own, out in zip(("twin", "unrelated"), p, outside, strict=True):
        one = judge(np.array([9.0 if out else 1.0, *np.linspace(0.1, 1.9, 39)]))
        found.append(replace(one, family=family, p_adjusted=own))
    assert stands_out(found) == {("block - baseline", "task", "y"): due}
    assert stands_out(found[:1]) == {("block - baseline", "task", "y"): None}
    assert stands_out([replace(one, p_adjusted=None) for one in found]) == {("block - baseline", "task", "y"): None}
